//! `DB_CONNECTION_ARGS`: what of it another client of the same database must
//! do alike.

use crate::quay::yaml::value::Value;

/// TLS as Quay itself uses it towards its database (quay-facts 3.4). Paths are
/// as Quay sees them inside its container.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionArguments {
    /// PostgreSQL's `sslmode`.
    pub ssl_mode: Option<String>,
    /// The CA's certificate.
    pub ssl_root_certificate: Option<String>,
    /// This client's certificate.
    pub ssl_certificate: Option<String>,
    /// That certificate's key.
    pub ssl_key: Option<String>,
    /// What `ssl` asks of MySQL.
    pub mysql_tls: MysqlTls,
}

/// What Quay's client of MySQL makes of the mapping `ssl`: PyMySQL speaks TLS
/// where there is one, and verifies where it names a CA.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MysqlTls {
    /// No `ssl`, or an empty one: in clear.
    #[default]
    Off,
    /// Encrypted to whoever answers.
    Unverified,
    /// The CA vouches for the server, whatever its name.
    Ca,
    /// And for its name.
    Name,
}

impl ConnectionArguments {
    pub(super) fn of(arguments: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_text).map(ToOwned::to_owned);
        let ssl = arguments.get("ssl");
        let of_ssl = |key: &str| ssl.and_then(|ssl| ssl.get(key));
        Self {
            ssl_mode: text(arguments.get("sslmode")),
            ssl_root_certificate: text(arguments.get("sslrootcert").or_else(|| of_ssl("ca"))),
            ssl_certificate: text(arguments.get("sslcert").or_else(|| of_ssl("cert"))),
            ssl_key: text(arguments.get("sslkey").or_else(|| of_ssl("key"))),
            mysql_tls: ssl.map(MysqlTls::of).unwrap_or_default(),
        }
    }
}

impl MysqlTls {
    fn of(ssl: &Value) -> Self {
        let Value::Map(entries) = ssl else { return Self::Off };
        if entries.is_empty() {
            return Self::Off;
        }
        let has_ca = ["ca", "capath"].iter().any(|key| ssl.get(key).is_some());
        match (has_ca, ssl.get("check_hostname")) {
            (false, _) => Self::Unverified,
            (true, Some(Value::Boolean(false))) => Self::Ca,
            (true, _) => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quay::settings::Settings;

    fn arguments(text: &str) -> ConnectionArguments {
        let text = format!("DB_CONNECTION_ARGS: {text}\n");
        Settings::read(text.as_bytes()).unwrap().connection_arguments()
    }

    #[test]
    fn both_servers_ways_to_name_a_ca_are_known() {
        let postgres = arguments(
            "{autorollback: true, sslmode: verify-full, sslrootcert: conf/stack/database.pem, \
             sslcert: c.pem, sslkey: k.pem}",
        );
        assert_eq!(postgres.ssl_mode.as_deref(), Some("verify-full"));
        assert_eq!(postgres.ssl_root_certificate.as_deref(), Some("conf/stack/database.pem"));
        assert_eq!(postgres.ssl_certificate.as_deref(), Some("c.pem"));
        assert_eq!(postgres.ssl_key.as_deref(), Some("k.pem"));
        let mysql = arguments("{ssl: {ca: /ca.pem, cert: /c.pem, key: /k.pem}}");
        assert_eq!(mysql.ssl_root_certificate.as_deref(), Some("/ca.pem"));
        assert_eq!(mysql.ssl_certificate.as_deref(), Some("/c.pem"));
        assert_eq!(mysql.ssl_key.as_deref(), Some("/k.pem"));
    }

    #[test]
    fn mysql_verifies_where_quay_does() {
        let cases = [
            ("{autorollback: true}", MysqlTls::Off),
            ("{ssl: {}}", MysqlTls::Off),
            ("{ssl: {cert: c.pem, key: k.pem}}", MysqlTls::Unverified),
            ("{ssl: {ca: conf/stack/database.pem}}", MysqlTls::Name),
            ("{ssl: {ca: conf/stack/database.pem, check_hostname: false}}", MysqlTls::Ca),
        ];
        for (text, meant) in cases {
            assert_eq!(arguments(text).mysql_tls, meant, "{text}");
        }
    }
}
