//! A container as the engine keeps it on disk, and how a request and an image
//! become one. Values only.

use super::{
    image::ImageConfig,
    mount::Mount,
    policy::{Ending, RestartPolicy},
    port::PublishedPort,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The body of a create request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CreateBody {
    pub(crate) host_config: Option<Map<String, Value>>,
    pub(crate) networking_config: Option<NetworkingConfig>,
    #[serde(flatten)]
    pub(crate) config: Config,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkingConfig {
    pub(crate) endpoints_config: Option<BTreeMap<String, Map<String, Value>>>,
}

/// A container's configuration; what the engine does not use is kept as given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Config {
    pub(crate) hostname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) env: Option<Vec<String>>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) image: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) exposed_ports: Option<BTreeMap<String, Value>>,
    pub(crate) volumes: Option<BTreeMap<String, Value>>,
    pub(crate) working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_timeout: Option<i64>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl Config {
    /// Adds what comes from the image, as Docker does: the request wins, and
    /// an entrypoint of its own drops the image's command.
    #[must_use]
    pub(crate) fn merged_with(self, image: &ImageConfig, short_id: &str) -> Self {
        let Self { hostname, user, env, cmd, entrypoint, labels, .. } = self.clone();
        let has_entrypoint = entrypoint.as_ref().is_some_and(|words| !words.is_empty());
        let cmd = if has_entrypoint || cmd.as_ref().is_some_and(|words| !words.is_empty()) {
            cmd
        } else {
            some_words(&image.cmd)
        };
        let mut all_labels = image.labels.clone();
        all_labels.extend(labels.unwrap_or_default());
        Self {
            hostname: non_empty(hostname).or_else(|| Some(short_id.to_owned())),
            user: non_empty(user).or_else(|| Some(image.user.clone())),
            env: Some(merged_env(env.unwrap_or_default(), &image.env)),
            cmd,
            entrypoint: entrypoint.or_else(|| some_words(&image.entrypoint)),
            image: self.image,
            labels: Some(all_labels),
            exposed_ports: merged_set(self.exposed_ports, &image.exposed_ports),
            volumes: merged_set(self.volumes, &image.volumes),
            working_dir: non_empty(self.working_dir).or_else(|| Some(image.working_dir.clone())),
            stop_signal: self.stop_signal,
            stop_timeout: self.stop_timeout,
            other: self.other,
        }
    }

    /// The words that are run: the entrypoint, then the command.
    pub(crate) fn words(&self) -> Vec<String> {
        let parts = [&self.entrypoint, &self.cmd];
        parts.into_iter().flatten().flatten().cloned().collect()
    }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn some_words(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}

/// The request's variables, then those of the image that it does not set.
fn merged_env(mut env: Vec<String>, image: &[String]) -> Vec<String> {
    let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let given: BTreeSet<String> = env.iter().map(|line| name(line)).collect();
    env.extend(image.iter().filter(|line| !given.contains(&name(line))).cloned());
    env
}

fn merged_set(
    given: Option<BTreeMap<String, Value>>,
    image: &BTreeSet<String>,
) -> Option<BTreeMap<String, Value>> {
    let mut all = given.unwrap_or_default();
    for name in image {
        all.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
    }
    (!all.is_empty()).then_some(all)
}

/// Where a container is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    Created,
    Running {
        pid: i32,
    },
    /// Ended, and waiting to be started by its policy.
    Restarting,
    Exited,
}

impl Phase {
    /// Docker's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }

    /// Docker counts a container between two restarts as running.
    pub(crate) fn is_up(self) -> bool {
        match self {
            Self::Running { .. } | Self::Restarting => true,
            Self::Created | Self::Exited => false,
        }
    }

    pub(crate) fn pid(self) -> Option<i32> {
        match self {
            Self::Running { pid } => Some(pid),
            Self::Created | Self::Restarting | Self::Exited => None,
        }
    }
}

/// One container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Container {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// Without Docker's leading slash.
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) image_id: String,
    /// The program of this machine that stands for the first of the words.
    pub(crate) program: PathBuf,
    /// The name under which the image knows that program.
    pub(crate) program_name: Option<String>,
    pub(crate) config: Config,
    /// As given.
    pub(crate) host_config: Map<String, Value>,
    /// By network, as given.
    pub(crate) endpoints: BTreeMap<String, Map<String, Value>>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) ports: Vec<PublishedPort>,
    pub(crate) policy: RestartPolicy,
    pub(crate) phase: Phase,
    pub(crate) exit_code: i64,
    pub(crate) error: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) manually_stopped: bool,
    pub(crate) restart_count: u32,
}

impl Container {
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.config.labels.clone().unwrap_or_default()
    }

    pub(crate) fn ending(&self) -> Ending {
        Ending {
            exit_code: self.exit_code,
            manually_stopped: self.manually_stopped,
            restart_count: self.restart_count,
        }
    }
}

/// The networks that a container joins: those it names, else its mode's.
pub(crate) fn endpoints(
    host_config: &Map<String, Value>,
    networking: Option<NetworkingConfig>,
) -> BTreeMap<String, Map<String, Value>> {
    let given = networking.and_then(|config| config.endpoints_config).unwrap_or_default();
    if !given.is_empty() {
        return given;
    }
    let mode = host_config.get("NetworkMode").and_then(Value::as_str).unwrap_or_default();
    let network = if matches!(mode, "" | "default") { "bridge" } else { mode };
    [(network.to_owned(), Map::new())].into()
}

/// Whether Docker takes the text for the name of a container or a volume.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn image() -> ImageConfig {
        ImageConfig {
            env: vec!["A=1".to_owned(), "B=2".to_owned()],
            exposed_ports: ["8080/tcp".to_owned()].into(),
            volumes: ["/datastorage".to_owned()].into(),
            labels: [("x".to_owned(), "y".to_owned())].into(),
            entrypoint: vec!["/init".to_owned()],
            cmd: vec!["serve".to_owned()],
            user: "1001".to_owned(),
            working_dir: String::new(),
        }
    }

    fn merged(given: Value) -> Config {
        let CreateBody { config, .. } = serde_json::from_value(given).unwrap();
        config.merged_with(&image(), "0123456789ab")
    }

    #[test]
    fn the_image_fills_in_what_the_request_leaves_out() {
        let given = json!({
            "Image": "quay:1", "Env": ["B=3", "C=4"], "Labels": { "k": "v" }, "Tty": false,
            "HostConfig": { "Privileged": true },
        });
        insta::assert_json_snapshot!(merged(given), @r#"
        {
          "Hostname": "0123456789ab",
          "User": "1001",
          "Env": [
            "B=3",
            "C=4",
            "A=1"
          ],
          "Cmd": [
            "serve"
          ],
          "Entrypoint": [
            "/init"
          ],
          "Image": "quay:1",
          "Labels": {
            "k": "v",
            "x": "y"
          },
          "ExposedPorts": {
            "8080/tcp": {}
          },
          "Volumes": {
            "/datastorage": {}
          },
          "WorkingDir": "",
          "Tty": false
        }
        "#);
    }

    #[test]
    fn an_entrypoint_of_its_own_drops_the_image_s_command() {
        assert_eq!(merged(json!({ "Entrypoint": ["/other"] })).words(), ["/other"]);
        assert_eq!(merged(json!({ "Cmd": ["once"] })).words(), ["/init", "once"]);
        assert_eq!(merged(json!({})).words(), ["/init", "serve"]);
    }

    #[test]
    fn names_are_docker_s() {
        for name in ["quay", "quay.quaymaster-01ABCDEF-next", "a_1"] {
            assert!(is_valid_name(name), "{name}");
        }
        for name in ["", "a", "-quay", "a/b", "a b"] {
            assert!(!is_valid_name(name), "{name}");
        }
    }
}
