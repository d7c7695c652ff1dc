//! Quadlets: files that systemd makes services of, which run a container by
//! Podman. Pure.

use std::path::Path;

use super::unit::{self, Part};
use super::{Deed, Origin, Starter};

/// The service that systemd makes of a file.
pub(super) fn unit_name(path: &Path) -> String {
    format!("{}.service", stem(path))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a `.container` file, with its drop-ins, starts.
pub(super) fn container(path: &Path, parts: &[Part]) -> Starter {
    let origin = Origin::Quadlet { path: path.to_owned() };
    let deed = match unit::all_settings(parts) {
        Err(why) => Deed::Unclear { why, text: unit::whole(parts) },
        Ok(settings) => {
            let named = settings
                .iter()
                .filter(|setting| setting.section == "Container" && setting.key == "ContainerName")
                .map(|setting| unit::specified(&setting.value, &unit_name(path)))
                .next_back()
                .filter(|name| !name.is_empty());
            let name = named.unwrap_or_else(|| format!("systemd-{}", stem(path)));
            Deed::Starts { how: "podman run --name".to_owned(), container: name }
        }
    };
    Starter { origin, deed }
}

/// A `.kube` file with the file that it leads to: its pods are not looked into.
pub(super) fn kube(path: &Path, text: &str) -> Starter {
    let why = "its pods are not looked into".to_owned();
    Starter {
        origin: Origin::Quadlet { path: path.to_owned() },
        deed: Deed::Unclear { why, text: text.to_owned() },
    }
}

/// The Kubernetes file that a `.kube` file names.
pub(super) fn yaml(text: &str) -> Option<String> {
    let settings = unit::settings(text).ok()?;
    let mut named = settings.into_iter().filter(|setting| setting.key == "Yaml");
    named.next_back().map(|setting| setting.value)
}
