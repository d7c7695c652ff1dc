//! Which containers are this agent's business: decided here, and nowhere else.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::try_join_all;
use quaymaster_proto::{Component, ContainerId, Reason, Refusal};

use super::Node;
use crate::config_file;
use crate::engine::{Container, Engine, Listed};
use crate::worker::names::{self, Owner};

impl<E: Engine> Node<E> {
    /// Whose this node's containers of a component are.
    pub(crate) fn owner(&self, component: Component) -> Owner<'_> {
        Owner { cluster: &self.config.cluster, node: &self.config.node, component }
    }

    /// Whether a container is this component's: by its name, by our labels or
    /// names, or because it mounts the same config.
    pub(crate) fn belongs<'a>(
        &self,
        component: Component,
        name: &str,
        labels: &BTreeMap<String, String>,
        mut sources: impl Iterator<Item = &'a str>,
    ) -> bool {
        let Some(settings) = self.config.components.get(&component) else { return false };
        if settings.container == name || self.owner(component).is_on(labels) {
            return true;
        }
        // Labelled for another cluster, node or component, or another's name.
        if labels.contains_key(names::CLUSTER)
            || self.config.components.values().any(|other| {
                other.container == name
                    || other.container != settings.container
                        && names::is_given(&other.container, name)
            })
        {
            return false;
        }
        names::is_given(&settings.container, name)
            || component == Component::Quay && sources.any(|source| self.holds_config(source))
    }

    /// Whether a path of the host is config.yaml or its directory.
    pub(crate) fn holds_config(&self, source: &str) -> bool {
        let file = &self.config.quay_config;
        let real = file.canonicalize();
        let is = |path: &Path| {
            is_place(source, path) || path.parent().is_some_and(|up| is_place(source, up))
        };
        is(file) || real.is_ok_and(|real| is(&real))
    }

    /// Every container of a component, running or not.
    pub(crate) async fn containers_of(&self, component: Component) -> Result<Vec<Listed>, Refusal> {
        let mut all = self.engine.containers().await?;
        all.retain(|listed| {
            let sources = listed.sources.iter().map(String::as_str);
            self.belongs(component, &listed.name, &listed.labels, sources)
        });
        Ok(all)
    }

    /// The container with this id, which must be the component's.
    pub(crate) async fn ours(
        &self,
        component: Component,
        id: &ContainerId,
    ) -> Result<Container, Refusal> {
        self.component(component)?;
        let found = self.engine.container(id.as_str()).await?;
        let found = found.ok_or_else(|| gone(id))?;
        let sources = found.mounts.iter().map(|mount| mount.source.as_str());
        if self.belongs(component, &found.state.name, &found.labels, sources) {
            return Ok(found);
        }
        Err(Refusal::new(
            Reason::NotOurs,
            format!(
                "container {} (`{}`) is no {component} of node `{}`",
                id.short(),
                found.state.name,
                self.config.node
            ),
        )
        .with_remedy("plan again; an agent acts only on what its agent.yaml names"))
    }

    /// The same container, looked at once more.
    pub(crate) async fn again(&self, id: &ContainerId) -> Result<Container, Refusal> {
        self.engine.container(id.as_str()).await?.ok_or_else(|| gone(id))
    }

    /// Every container of this node that is a Quay, and lives or may come back
    /// by itself. A mirror is a Quay that migrates too (quay-facts 2.1).
    pub(crate) async fn living_quays(&self) -> Result<Vec<Container>, Refusal> {
        let living = self.living_quays_by_component().await?;
        Ok(living.into_iter().map(|(_, quay)| quay).collect())
    }

    /// The same, each with what it is.
    pub(crate) async fn living_quays_by_component(
        &self,
    ) -> Result<Vec<(Component, Container)>, Refusal> {
        let mut living = Vec::new();
        for component in [Component::Quay, Component::Mirror] {
            if !self.config.components.contains_key(&component) {
                continue;
            }
            let all = self.containers_of(component).await?;
            let looks = all.iter().map(|listed| self.engine.container(listed.id.as_str()));
            let seen = try_join_all(looks).await?.into_iter().flatten();
            let seen = seen.filter(|container| container.state.status.is_alive());
            living.extend(seen.map(|container| (component, container)));
        }
        Ok(living)
    }

    /// Refuses a config.yaml that is mounted as a file: a container would never
    /// see the renamed one, and this host could not rename at all.
    pub(crate) async fn refuse_mounted_file(&self) -> Result<(), Refusal> {
        let file = &self.config.quay_config;
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        if config_file::is_mount_point(&real) {
            return Err(Refusal::new(
                Reason::Config,
                format!(
                    "something is mounted right at `{}`: it cannot be replaced",
                    real.display()
                ),
            )
            .with_remedy(
                "mount its directory instead; in the unit of the agent, `ReadWritePaths=` names the \
                 directory",
            ));
        }
        let is_file = |source: &String| is_place(source, file) || is_place(source, &real);
        for listed in self.containers_of(Component::Quay).await? {
            if listed.sources.iter().any(is_file) {
                return Err(Refusal::new(
                    Reason::Config,
                    format!(
                        "container `{}` mounts `{}` itself, not its directory: it would not see a \
                         new file",
                        listed.name,
                        file.display()
                    ),
                )
                .with_remedy(
                    "create the container anew with the directory mounted at /conf/stack",
                ));
            }
        }
        Ok(())
    }
}

/// Whether a mount's source is this path, however it is written: an engine
/// keeps the source as its owner wrote it, through any symlink.
fn is_place(source: &str, path: &Path) -> bool {
    let source = Path::new(source);
    source == path || source.canonicalize().is_ok_and(|real| real == path)
}

fn gone(id: &ContainerId) -> Refusal {
    Refusal::new(Reason::Drifted, format!("container {} is not on this node's engine", id.short()))
        .with_remedy("plan again")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests lay files out on a disk of their own")]
mod tests {
    use super::*;
    use crate::engine::fake::{image_id, spec};
    use crate::looks::rig::node;

    #[tokio::test]
    async fn a_quay_that_mounts_the_config_through_a_symlink_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        std::fs::write(directory.path().join("config.yaml"), "A: 1\n").unwrap();
        let links = tempfile::tempdir().unwrap();
        let link = links.path().join("quay-config");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        let source = link.display().to_string();
        let id = node.engine.run(5, "other", spec(image_id(1), &[(&source, "/conf/stack")]));
        let found = node.containers_of(Component::Quay).await.unwrap();
        assert_eq!(found.iter().map(|listed| &listed.id).collect::<Vec<_>>(), [&id]);
        node.refuse_mounted_file().await.unwrap();
        let source = link.join("config.yaml").display().to_string();
        node.engine.run(6, "another", spec(image_id(1), &[(&source, "/conf/stack/config.yaml")]));
        node.refuse_mounted_file().await.unwrap_err();
    }

    #[tokio::test]
    async fn a_config_at_which_something_is_mounted_cannot_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        // Of what is mounted on any host, the one that is always there.
        std::os::unix::fs::symlink("/proc", directory.path().join("config.yaml")).unwrap();
        let refusal = node.refuse_mounted_file().await.unwrap_err();
        assert!(refusal.message.contains("mounted right at `/proc`"), "{refusal}");
    }
}
