//! Mounts: binds, named volumes, and the anonymous volumes that an image asks
//! for. Only their description; nothing is mounted, the program is told where
//! to look.

use super::container::is_valid_name;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Where a container finds something of the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Mount {
    pub(crate) source: MountSource,
    pub(crate) target: String,
    /// The options as they were typed: `ro`, `rw`, `Z`.
    pub(crate) mode: String,
    pub(crate) read_only: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MountSource {
    Bind(PathBuf),
    Volume { name: String, is_anonymous: bool },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MountAsTyped {
    r#type: String,
    #[serde(default)]
    source: String,
    target: String,
    #[serde(default)]
    read_only: bool,
}

impl Mount {
    /// The directory of this machine that stands at the target.
    pub(crate) fn host_path(&self, volumes: &Path) -> PathBuf {
        match &self.source {
            MountSource::Bind(path) => path.clone(),
            MountSource::Volume { name, is_anonymous: _ } => volumes.join(name).join("_data"),
        }
    }
}

/// Reads `HostConfig.Binds` and `HostConfig.Mounts`, then adds an anonymous
/// volume for each of the image's paths that nothing else covers. The text of
/// an entry that cannot be read is the error.
pub(crate) fn mounts(
    host: &Map<String, Value>,
    volumes: impl IntoIterator<Item = String>,
    mut fresh_name: impl FnMut() -> String,
) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    for bind in read_list::<String>(host, "Binds")? {
        mounts.push(parse_bind(&bind).ok_or(bind)?);
    }
    for typed in read_list::<MountAsTyped>(host, "Mounts")? {
        let MountAsTyped { r#type, source, target, read_only } = typed;
        let source = match r#type.as_str() {
            "bind" => MountSource::Bind(source.into()),
            "volume" if source.is_empty() => {
                MountSource::Volume { name: fresh_name(), is_anonymous: true }
            }
            "volume" if is_valid_name(&source) => {
                MountSource::Volume { name: source, is_anonymous: false }
            }
            _ => return Err(r#type),
        };
        mounts.push(Mount { source, target, mode: String::new(), read_only });
    }
    for target in volumes {
        if mounts.iter().all(|mount| mount.target != target) {
            let source = MountSource::Volume { name: fresh_name(), is_anonymous: true };
            mounts.push(Mount { source, target, mode: String::new(), read_only: false });
        }
    }
    Ok(mounts)
}

fn read_list<T: for<'a> Deserialize<'a>>(
    host: &Map<String, Value>,
    key: &str,
) -> Result<Vec<T>, String> {
    let given = host.get(key).cloned().unwrap_or(Value::Null);
    let list: Option<Vec<T>> = serde_json::from_value(given).map_err(|_| key.to_owned())?;
    Ok(list.unwrap_or_default())
}

fn parse_bind(bind: &str) -> Option<Mount> {
    let mut parts = bind.splitn(3, ':');
    let (source, target) = (parts.next()?, parts.next()?);
    let mode = parts.next().unwrap_or_default();
    let is_named = !source.starts_with('/');
    if !target.starts_with('/') || (is_named && !is_valid_name(source)) {
        return None;
    }
    let source = if is_named {
        MountSource::Volume { name: source.to_owned(), is_anonymous: false }
    } else {
        MountSource::Bind(source.into())
    };
    let read_only = mode.split(',').any(|option| option == "ro");
    Some(Mount { source, target: target.to_owned(), mode: mode.to_owned(), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn targets(host: Value, volumes: &[&str]) -> Result<Vec<String>, String> {
        let volumes = volumes.iter().map(|path| (*path).to_owned());
        let found = mounts(host.as_object().unwrap(), volumes, || "fresh".to_owned())?;
        Ok(found
            .into_iter()
            .map(|Mount { source, target, mode: _, read_only }| match source {
                MountSource::Bind(path) => format!("{} {target} {read_only}", path.display()),
                MountSource::Volume { name, is_anonymous } => {
                    format!("{name} {target} {is_anonymous}")
                }
            })
            .collect())
    }

    #[test]
    fn binds_come_first_and_cover_the_image_s_volumes() {
        let host = json!({
            "Binds": ["/srv/conf:/conf/stack:ro,Z", "named:/cache"],
            "Mounts": [{ "Type": "bind", "Source": "/srv/data", "Target": "/datastorage" }],
        });
        insta::assert_debug_snapshot!(targets(host, &["/datastorage", "/tmp"]), @r#"
        Ok(
            [
                "/srv/conf /conf/stack true",
                "named /cache false",
                "/srv/data /datastorage false",
                "fresh /tmp true",
            ],
        )
        "#);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(targets(json!({ "Binds": ["x:/y"] }), &[]), Err("x:/y".to_owned()));
        assert_eq!(targets(json!({ "Binds": ["../up:/y"] }), &[]), Err("../up:/y".to_owned()));
        assert_eq!(targets(json!({ "Binds": ["/x"] }), &[]), Err("/x".to_owned()));
    }
}
