//! The stand-in's own settings, out of the environment of its image (`STANDIN_*`), and what the
//! stand-in engine hands to a process in place of a container's walls. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::release::{Release, UnknownRelease};

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) release: Release,
    pub(super) timing: Timing,
    /// Where the records go, as a path inside the container.
    pub(super) witness: String,
    pub(super) node: String,
    pub(super) container_id: Option<String>,
    /// `QUAY_OVERRIDE_CONFIG`: JSON laid over config.yaml (quay-facts 2.1).
    pub(super) override_config: Option<String>,
    /// `None` in a real container, where the container's port is the one to listen on.
    pub(super) ports: Option<Vec<Port>>,
    pub(super) binds: Vec<Bind>,
    /// In place of /tmp: a directory that lives as long as the container.
    pub(super) root: Option<String>,
    /// Started as `repomirror`, which before 3.3 does all that `registry` does (quay-facts 2.1).
    pub(super) is_mirror: bool,
}

/// The real figures are the defaults; a lab scales them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// From process start to healthy, the migration not counted: 43 to 61 s (quay-observed 2, 6).
    pub(super) start: Duration,
    /// Per schema revision: "a few minutes maximum" for the 18 of them (quay-facts 10.4).
    pub(super) revision: Duration,
    /// The backfill worker's first run is at a random moment up to here (quay-observed 1).
    pub(super) stagger: Duration,
    /// From SIGTERM to the end where SIGTERM is heard: 15.6 to 18.2 s (quay-observed 2).
    pub(super) stop: Duration,
    /// Tags a second that one background worker maps: 12 to 14.5 (quay-observed 1, quay-facts 2.5).
    pub(super) backfill_rate: f64,
    /// Tags a second in b918abdbee43: about 30 on an idle machine (quay-observed 4).
    pub(super) offline_rate: f64,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bind {
    pub(crate) source: String,
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) read_only: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    pub(crate) container_port: u16,
    pub(crate) host_address: String,
    pub(crate) host_port: u16,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("`{name}` is not set; the image of the stand-in has to set it")]
    Missing { name: &'static str },
    #[error("`STANDIN_RELEASE` names a release that the stand-in does not know")]
    Release(#[source] UnknownRelease),
    #[error("`{name}` is `{value}`, which is not a number from 0 up")]
    Number { name: &'static str, value: String },
    #[error("`{name}` is not the JSON list that it should be")]
    Json { name: &'static str, source: serde_json::Error },
}

impl Settings {
    pub(super) fn from_environment(
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let text = |name: &str| environment.get(name).filter(|text| !text.is_empty()).cloned();
        let release = text("STANDIN_RELEASE")
            .ok_or(SettingsError::Missing { name: "STANDIN_RELEASE" })?
            .parse()
            .map_err(SettingsError::Release)?;
        let number = |name, default| number(environment, name, default);
        let timing = Timing {
            start: Duration::from_secs_f64(number("STANDIN_START_SECONDS", 60.0)?),
            revision: Duration::from_secs_f64(number("STANDIN_REVISION_SECONDS", 5.0)?),
            stagger: Duration::from_secs_f64(number("STANDIN_STAGGER_SECONDS", 6000.0)?),
            stop: Duration::from_secs_f64(number("STANDIN_STOP_SECONDS", 16.0)?),
            backfill_rate: number("STANDIN_BACKFILL_RATE", 14.5)?,
            offline_rate: number("STANDIN_OFFLINE_RATE", 30.0)?,
        };
        Ok(Self {
            release,
            timing,
            witness: text("STANDIN_WITNESS").unwrap_or_else(|| "/witness".to_owned()),
            node: text("LAB_NODE")
                .or_else(|| text("HOSTNAME"))
                .unwrap_or_else(|| "unnamed".to_owned()),
            container_id: text("STANDIN_CONTAINER_ID"),
            override_config: text("QUAY_OVERRIDE_CONFIG"),
            ports: json(environment, "STANDIN_PORTS")?,
            binds: json(environment, "STANDIN_BINDS")?.unwrap_or_default(),
            root: text("STANDIN_ROOT"),
            is_mirror: false,
        })
    }
}

pub(crate) fn number(
    environment: &BTreeMap<String, String>,
    name: &'static str,
    default: f64,
) -> Result<f64, SettingsError> {
    let Some(value) = environment.get(name) else { return Ok(default) };
    value
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0 && *number < 1e9)
        .ok_or_else(|| SettingsError::Number { name, value: value.clone() })
}

pub(crate) fn json<T: for<'a> Deserialize<'a>>(
    environment: &BTreeMap<String, String>,
    name: &'static str,
) -> Result<Option<Vec<T>>, SettingsError> {
    environment
        .get(name)
        .map(|text| serde_json::from_str(text))
        .transpose()
        .map_err(|source| SettingsError::Json { name, source })
}

/// Where a port of the container is to be listened on: as published under the stand-in engine,
/// everywhere in a real container.
pub(crate) fn published(ports: Option<&[Port]>, inside: u16) -> Vec<SocketAddr> {
    let Some(ports) = ports else { return vec![SocketAddr::from(([0, 0, 0, 0], inside))] };
    let published = ports.iter().filter(|port| port.container_port == inside);
    published
        .filter_map(|port| {
            let address = match port.host_address.as_str() {
                "" => "0.0.0.0",
                address => address,
            };
            Some(SocketAddr::new(address.parse().ok()?, port.host_port))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn what_the_engine_hands_over_is_understood() {
        let settings = Settings::from_environment(&environment(&[
            ("STANDIN_RELEASE", "3.0.5"),
            ("STANDIN_START_SECONDS", "0.5"),
            ("STANDIN_BINDS", r#"[{"source":"/a","target":"/conf/stack","read_only":true}]"#),
            (
                "STANDIN_PORTS",
                r#"[{"container_port":8080,"host_address":"127.0.1.1","host_port":20080}]"#,
            ),
        ]))
        .unwrap();
        assert_eq!(settings.timing.start, Duration::from_millis(500));
        assert_eq!(settings.timing.revision, Duration::from_secs(5));
        assert_eq!(settings.binds[0].target, "/conf/stack");
        assert_eq!(settings.ports.unwrap()[0].host_port, 20080);
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (pairs, expected) in [
            (vec![], "`STANDIN_RELEASE` is not set"),
            (vec![("STANDIN_RELEASE", "4")], "a release that the stand-in does not know"),
            (
                vec![("STANDIN_RELEASE", "2.9.5"), ("STANDIN_STOP_SECONDS", "-1")],
                "`STANDIN_STOP_SECONDS` is `-1`",
            ),
        ] {
            let error = Settings::from_environment(&environment(&pairs)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
