//! config.yaml as Quay takes it: upper-case top-level keys, `QUAY_OVERRIDE_CONFIG` laid over them.
//! Only what the stand-in needs is kept. Pure.

use serde_json::{Map, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct QuayConfig {
    /// `V3_UPGRADE_MODE` as it stands; a value that is not a string counts as an unknown mode.
    pub(super) mode: Option<String>,
    pub(super) setup_complete: bool,
    pub(super) database_uri: Option<String>,
    pub(super) server_hostname: String,
    pub(super) preferred_scheme: String,
    /// `FEATURE_BILLING` hides /upgradeprogress/ (quay-facts 1.1).
    pub(super) feature_billing: bool,
    /// `REGISTRY_STATE: readonly` makes the backfill stand still (quay-facts 2.5).
    pub(super) is_read_only: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("config.yaml does not parse as YAML")]
    Yaml { source: serde_yaml::Error },
    #[error("QUAY_OVERRIDE_CONFIG does not parse as JSON")]
    Override { source: serde_json::Error },
}

impl QuayConfig {
    /// `yaml` is `None` where no config.yaml is mounted: Quay then runs on its own defaults.
    pub(super) fn parse(
        yaml: Option<&str>,
        override_json: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let mut keys: Map<String, Value> = match yaml {
            Some(yaml) => serde_yaml::from_str::<Option<Map<String, Value>>>(yaml)
                .map_err(|source| ConfigError::Yaml { source })?
                .unwrap_or_default(),
            None => Map::new(),
        };
        keys.retain(|key, _| *key == key.to_uppercase());
        if let Some(json) = override_json {
            let over: Map<String, Value> =
                serde_json::from_str(json).map_err(|source| ConfigError::Override { source })?;
            keys.extend(over);
        }
        let text = |key: &str| keys.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_true = |key: &str| keys.get(key) == Some(&Value::Bool(true));
        Ok(Self {
            mode: keys
                .get("V3_UPGRADE_MODE")
                .map(|mode| mode.as_str().map_or_else(|| mode.to_string(), str::to_owned)),
            setup_complete: is_true("SETUP_COMPLETE"),
            database_uri: text("DB_URI"),
            server_hostname: text("SERVER_HOSTNAME").unwrap_or_else(|| "localhost:5000".into()),
            preferred_scheme: text("PREFERRED_URL_SCHEME").unwrap_or_else(|| "http".into()),
            feature_billing: is_true("FEATURE_BILLING"),
            is_read_only: text("REGISTRY_STATE").as_deref() == Some("readonly"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_override_is_laid_over_the_file() {
        let yaml = "DB_URI: sqlite:////x\nSETUP_COMPLETE: true\nv3_upgrade_mode: no\n";
        let config = QuayConfig::parse(Some(yaml), Some(r#"{"V3_UPGRADE_MODE":"complete"}"#));
        let config = config.unwrap();
        assert_eq!(config.mode.as_deref(), Some("complete"));
        assert!(config.setup_complete);
        assert_eq!(QuayConfig::parse(Some(yaml), None).unwrap().mode, None);
    }

    #[test]
    fn setup_complete_as_a_word_is_not_true() {
        let config = QuayConfig::parse(Some("SETUP_COMPLETE: 'true'\n"), None).unwrap();
        assert!(!config.setup_complete);
    }
}
