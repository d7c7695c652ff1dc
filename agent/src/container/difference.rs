//! Takes out of a container's settings what its image, its engine and this
//! agent put there.

use std::collections::BTreeMap;

use quaymaster_proto::ContainerId;

use super::spec::{ContainerSpec, ImageDefaults, ProcessSpec};
use crate::secret::Secret;

/// Beginning of the labels that an agent gives.
pub(super) const OWN_LABELS: &str = "io.quaymaster.";

/// What an engine's command line says when nobody said anything.
const USUAL_STOP_SIGNAL: &str = "SIGTERM";

/// The owner's part of what an engine shows of container `id` of an image.
pub(crate) fn owners_part(
    shown: ContainerSpec,
    image: &ImageDefaults,
    id: &ContainerId,
) -> ContainerSpec {
    let ImageDefaults { environment, labels, process, volumes: _, exposed } = image;
    let mut spec = shown;
    spec.environment = without_images(spec.environment, environment);
    spec.labels.retain(|key, value| labels.get(key) != Some(value) && !key.starts_with(OWN_LABELS));
    spec.process = process_difference(spec.process, process);
    // Both are the engine's unless somebody chose them.
    spec.hostname = spec.hostname.filter(|name| !name.is_empty() && name != id.short());
    spec.domainname = spec.domainname.filter(|name| !name.is_empty());
    for endpoint in spec.network.endpoints.values_mut() {
        endpoint.aliases.retain(|alias| alias != id.short());
        endpoint.aliases.sort();
    }
    let published = &spec.network.ports;
    spec.network.exposed.retain(|port| !exposed.contains(port) && !published.contains_key(port));
    // The command line gives them to the engine in any order.
    spec.storage.binds.sort();
    spec
}

fn without_images(
    shown: BTreeMap<String, Option<Secret>>,
    image: &[String],
) -> BTreeMap<String, Option<Secret>> {
    let image: BTreeMap<&str, Option<&str>> = image.iter().map(|entry| split(entry)).collect();
    let is_images = |name: &String, value: &Option<Secret>| {
        image.get(name.as_str()) == Some(&value.as_ref().map(Secret::expose))
    };
    shown.into_iter().filter(|(name, value)| !is_images(name, value)).collect()
}

/// `NAME=value` or `NAME`.
fn split(entry: &str) -> (&str, Option<&str>) {
    match entry.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (entry, None),
    }
}

fn process_difference(shown: ProcessSpec, image: &ProcessSpec) -> ProcessSpec {
    let ProcessSpec {
        entrypoint,
        command,
        user,
        working_dir,
        stop_signal,
        stop_timeout,
        healthcheck,
        tty,
        open_stdin,
        stdin_once,
    } = shown;
    // Nothing is switched off where the image has none.
    let is_idle =
        |own: &Vec<String>| image.entrypoint.is_none() && *own == ProcessSpec::no_entrypoint();
    let entrypoint =
        entrypoint.filter(|own| Some(own) != image.entrypoint.as_ref() && !is_idle(own));
    // With an entrypoint of its own a container gets no command from its image.
    let is_images = |own: &Vec<String>| {
        entrypoint.is_none() && own.as_slice() == image.command.as_deref().unwrap_or_default()
    };
    ProcessSpec {
        command: command.filter(|own| !own.is_empty() && !is_images(own)),
        entrypoint,
        user: of_its_own(user, image.user.as_deref(), ""),
        working_dir: of_its_own(working_dir, image.working_dir.as_deref(), "/"),
        stop_signal: of_its_own(stop_signal, image.stop_signal.as_deref(), USUAL_STOP_SIGNAL),
        stop_timeout,
        healthcheck: healthcheck.filter(|own| Some(own) != image.healthcheck.as_ref()),
        tty,
        open_stdin,
        stdin_once,
    }
}

/// A word that neither the image nor, where the image has none, the engine
/// would have chosen.
fn of_its_own(shown: Option<String>, image: Option<&str>, usual: &str) -> Option<String> {
    let image = image.filter(|word| !word.is_empty()).unwrap_or(usual);
    shown.filter(|word| !word.is_empty() && word != image)
}
