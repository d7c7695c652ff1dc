//! Settings that a window could stumble over, as answers without values.

use quaymaster_proto::footing::ConfigFooting;

use super::Settings;
use crate::quay::redis::RedisServer;
use crate::quay::yaml::value::Value;
use crate::secret::Secret;

/// Each may name another Redis (quay-facts 4.1).
const REDIS_KEYS: [&str; 2] = ["BUILDLOGS_REDIS", "USER_EVENTS_REDIS"];

/// Where a Redis listens that is given no port.
const REDIS_PORT: u16 = 6379;

impl Settings {
    /// `tls_key` = there is an `ssl.key` beside config.yaml.
    pub fn footing(&self, tls_key: bool) -> ConfigFooting {
        let text = |key: &str| self.values.get(key).and_then(Value::as_text);
        ConfigFooting {
            testing: self.values.get("TESTING").map(|value| *value != Value::Boolean(false)),
            https: text("PREFERRED_URL_SCHEME") == Some("https"),
            external_tls: self.values.get("EXTERNAL_TLS_TERMINATION")
                == Some(&Value::Boolean(true)),
            tls_key,
            percent_in_database_uri: text("DB_URI").is_some_and(|uri| uri.contains('%')),
        }
    }

    /// Every Redis that is named and speaks the plain protocol.
    pub(crate) fn redis_servers(&self) -> Vec<RedisServer> {
        let mut servers: Vec<RedisServer> = Vec::new();
        for settings in REDIS_KEYS.iter().filter_map(|key| self.values.get(*key)) {
            let server = redis_server(settings);
            servers.extend(server.filter(|server| !servers.contains(server)));
        }
        servers
    }
}

fn redis_server(settings: &Value) -> Option<RedisServer> {
    let speaks_tls = settings.get("ssl").is_some_and(|ssl| *ssl != Value::Boolean(false));
    if speaks_tls {
        return None;
    }
    let port = match settings.get("port") {
        None | Some(Value::Null) => REDIS_PORT,
        Some(Value::Number(digits) | Value::Text(digits)) => digits.parse().ok()?,
        Some(_) => return None,
    };
    Some(RedisServer {
        host: settings.get("host")?.as_text()?.to_owned(),
        port,
        password: settings.get("password").and_then(Value::as_text).map(Secret::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_redis_is_named_once_and_its_password_is_not_shown() {
        let of = |text: &str| Settings::read(text.as_bytes()).unwrap().redis_servers();
        let servers = of("BUILDLOGS_REDIS: {host: cache, port: 6380, password: hunter2}\n\
             USER_EVENTS_REDIS: {host: cache, port: 6380, password: hunter2}\n");
        let [one] = servers.as_slice() else { panic!("{servers:?}") };
        assert_eq!((one.host.as_str(), one.port), ("cache", 6380));
        assert!(!format!("{one:?}").contains("hunter2"), "{one:?}");
        let two = of("BUILDLOGS_REDIS: {host: a}\nUSER_EVENTS_REDIS: {host: b}\n");
        assert_eq!(two.iter().map(|server| server.port).collect::<Vec<_>>(), [6379, 6379]);
        assert!(of("BUILDLOGS_REDIS: {host: a, ssl: true}\nUSER_EVENTS_REDIS: x\n").is_empty());
    }

    #[test]
    fn what_quay_reads_is_answered_and_no_value_is_shown() {
        let of = |text: &str| Settings::read(text.as_bytes()).unwrap().footing(false);
        assert_eq!(of("A: 1\n"), ConfigFooting::default());
        for (text, testing) in [("false", false), ("no", false), ("true", true), ("'false'", true)]
        {
            assert_eq!(of(&format!("TESTING: {text}\n")).testing, Some(testing), "{text}");
        }
        let found = of("PREFERRED_URL_SCHEME: https\nEXTERNAL_TLS_TERMINATION: true\n\
             DB_URI: 'postgresql://quay:hunter%402@db/quay'\n");
        assert!(found.https && found.external_tls && found.percent_in_database_uri, "{found:?}");
        assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
        let other = of("PREFERRED_URL_SCHEME: http\nDB_URI: postgresql://quay:x@db/quay\n");
        assert_eq!(other, ConfigFooting::default());
    }
}
