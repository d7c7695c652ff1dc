//! The option file by which a client of MySQL or MariaDB logs in as this node's
//! Quay does. Pure.

use std::fmt::Write as _;
use std::path::PathBuf;

use quaymaster_proto::mysql_version::MysqlKind;

use crate::quay::database_uri::ServerUri;
use crate::quay::settings::MysqlTls;
use crate::secret::Secret;

/// TLS as Quay itself uses it; paths on this host.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Tls {
    pub(super) kind: MysqlTls,
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// What the programs of that kind read.
pub(super) fn file(server: &ServerUri, tls: &Tls, kind: MysqlKind) -> Secret {
    let ServerUri { kind: _, host, port, name: _, user, password } = server;
    // As Quay's own client: it takes no socket for `localhost`.
    let host = if host.is_empty() { "localhost" } else { host };
    let mut text = format!("[client]\nprotocol=TCP\nhost={}\nport={port}\n", quoted(host));
    if let Some(user) = user {
        let _ = writeln!(text, "user={}", quoted(user)); // a String takes everything
    }
    if let Some(password) = password {
        let _ = writeln!(text, "password={}", quoted(password.expose()));
    }
    text.push_str(match (kind, tls.kind) {
        (MysqlKind::Mysql, MysqlTls::Off) => "ssl-mode=DISABLED\n",
        (MysqlKind::Mysql, MysqlTls::Unverified) => "ssl-mode=REQUIRED\n",
        (MysqlKind::Mysql, MysqlTls::Ca) => "ssl-mode=VERIFY_CA\n",
        (MysqlKind::Mysql, MysqlTls::Name) => "ssl-mode=VERIFY_IDENTITY\n",
        (MysqlKind::Mariadb, MysqlTls::Off) => "skip-ssl\n",
        // With a CA its chain is verified all the same.
        (MysqlKind::Mariadb, MysqlTls::Unverified | MysqlTls::Ca) => {
            "ssl\nssl-verify-server-cert=0\n"
        }
        (MysqlKind::Mariadb, MysqlTls::Name) => "ssl\nssl-verify-server-cert\n",
    });
    if tls.kind == MysqlTls::Off {
        return Secret::new(text);
    }
    let ca = if tls.kind == MysqlTls::Unverified { None } else { tls.ca.as_ref() };
    let both = tls.certificate.as_ref().zip(tls.key.as_ref());
    let files = [
        ("ssl-ca", ca),
        ("ssl-cert", both.map(|(certificate, _)| certificate)),
        ("ssl-key", both.map(|(_, key)| key)),
    ];
    for (name, path) in files {
        if let Some(path) = path {
            let _ = writeln!(text, "{name}={}", quoted(&path.display().to_string()));
        }
    }
    Secret::new(text)
}

/// Whatever it holds, `#` and quotes too.
pub(super) fn quoted(value: &str) -> String {
    let mut out = String::from('"');
    for letter in value.chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quay::database_uri::DatabaseUri;

    fn server(uri: &str) -> ServerUri {
        match uri.parse().unwrap() {
            DatabaseUri::Server(server) => server,
            DatabaseUri::Sqlite { .. } => panic!("{uri}"),
        }
    }

    #[test]
    fn the_login_is_whole_whatever_it_holds_and_tls_is_each_kinds_own() {
        let server = server("mysql+pymysql://quay:p%23%22%27%5C%20x@db.example.com:3307/q");
        let path = |name: &str| Some(PathBuf::from(format!("/mnt/config/{name}")));
        let mut shown = Vec::new();
        for mode in [MysqlTls::Off, MysqlTls::Unverified, MysqlTls::Ca, MysqlTls::Name] {
            let (ca, certificate, key) = (path("ca.pem"), path("c.pem"), path("k.pem"));
            let tls = Tls { kind: mode, ca, certificate, key };
            for kind in [MysqlKind::Mysql, MysqlKind::Mariadb] {
                let text = file(&server, &tls, kind);
                shown.push(format!("# {mode:?}, {kind}\n{}", text.expose()));
            }
        }
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn without_a_host_it_is_this_one_over_tcp() {
        let server = server("mysql:///quay");
        let text = file(&server, &Tls::default(), MysqlKind::Mariadb);
        let wanted = "[client]\nprotocol=TCP\nhost=\"localhost\"\nport=3306\nskip-ssl\n";
        assert_eq!(text.expose(), wanted);
    }
}
