//! `DB_CONNECTION_ARGS`: what of it another client of the same database must
//! do alike.

use crate::quay::yaml::value::Value;

/// TLS as Quay itself uses it towards its database (quay-facts 3.4).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionArguments {
    /// PostgreSQL's `sslmode`.
    pub ssl_mode: Option<String>,
    /// Path of the CA's certificate, as Quay sees it inside its container.
    pub ssl_root_certificate: Option<String>,
}

impl ConnectionArguments {
    pub(super) fn of(arguments: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_text).map(ToOwned::to_owned);
        let mysql_ca = arguments.get("ssl").and_then(|ssl| ssl.get("ca"));
        Self {
            ssl_mode: text(arguments.get("sslmode")),
            ssl_root_certificate: text(arguments.get("sslrootcert").or(mysql_ca)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::quay::settings::Settings;

    #[test]
    fn both_servers_ways_to_name_a_ca_are_known() {
        let arguments =
            |text: &str| Settings::read(text.as_bytes()).unwrap().connection_arguments();
        let postgres = arguments(
            "DB_CONNECTION_ARGS:\n  autorollback: true\n  sslmode: verify-full\n  sslrootcert: conf/stack/database.pem\n",
        );
        assert_eq!(postgres.ssl_mode.as_deref(), Some("verify-full"));
        assert_eq!(postgres.ssl_root_certificate.as_deref(), Some("conf/stack/database.pem"));
        let mysql = arguments("DB_CONNECTION_ARGS: {ssl: {ca: /ca.pem}}\n");
        assert_eq!(mysql.ssl_root_certificate.as_deref(), Some("/ca.pem"));
    }
}
