//! What a change would make of this node: the next config.yaml, and what
//! becomes of each part of the running container's spec.

use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::{
    Component, ContainerId, FileDigest, Mode, MountCopy, PortMove, Reason, Refusal,
};

use crate::config_file::{self, ConfigFile};
use crate::container::{Demands, carry_over};
use crate::engine::{Engine, FullContainer};
use crate::node::Node;
use crate::quay::config_edit::{self, EditKind};

/// A change that is thought of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// Of which component.
    pub(crate) component: Component,
    /// Whose spec is carried over; `None` = the container with the well-known
    /// name.
    pub(crate) container: Option<ContainerId>,
    /// What config.yaml would get.
    pub(crate) mode: Mode,
    /// What the release demands of its ports.
    pub(crate) port_moves: Vec<PortMove>,
    /// What the release demands of its mounts.
    pub(crate) mount_copies: Vec<MountCopy>,
}

impl<E: Engine> Node<E> {
    pub(crate) async fn preview(&self, change: &Change) -> Result<Preview, Refusal> {
        let Change { component, container, mode, port_moves, mount_copies } = change;
        let found = self.model(*component, container.as_ref()).await?;
        // The image is the act's to name; here it changes nothing.
        let demands = Demands {
            image: found.spec.image.clone(),
            port_moves: port_moves.clone(),
            mount_copies: mount_copies.clone(),
            labels: Default::default(),
        };
        let next = carry_over(&found.spec, &demands);
        let mut spec: Vec<SpecFinding> = next.findings().iter().cloned().map(Into::into).collect();
        spec.extend(self.reads_other_config(*component, &found));
        let (config, footing) = match component {
            Component::Quay => {
                (Some(self.previewed_config(*mode).await?), self.footing(&found).await)
            }
            Component::Mirror | Component::Clair | Component::Builder => (None, None),
        };
        Ok(Preview { config, spec, footing })
    }

    async fn model(
        &self,
        component: Component,
        id: Option<&ContainerId>,
    ) -> Result<FullContainer, Refusal> {
        let well_known = &self.component(component)?.container;
        let which = match id {
            Some(id) => {
                self.ours(component, id).await?;
                id.as_str()
            }
            None => well_known,
        };
        self.engine.full_container(which).await?.ok_or_else(|| {
            Refusal::new(
                Reason::Drifted,
                format!("node `{}` has no container `{which}`", self.config.node),
            )
            .with_remedy("see agent.yaml's `container` and the engine's list")
        })
    }

    /// A mirror that reads another config.yaml than the node's Quay would keep
    /// its old mode when that one is changed.
    fn reads_other_config(
        &self,
        component: Component,
        found: &FullContainer,
    ) -> Option<SpecFinding> {
        let mut sources = found.container.mounts.iter().map(|mount| mount.source.as_str());
        let is_other =
            component == Component::Mirror && !sources.any(|source| self.holds_config(source));
        is_other.then(|| SpecFinding {
            verdict: SpecVerdict::Refused,
            subject: "config".to_owned(),
            reason: format!(
                "does not mount {}, which the node's Quay reads: create the container anew with it",
                self.config.quay_config.display()
            ),
        })
    }

    async fn previewed_config(&self, mode: Mode) -> Result<ConfigChange, Refusal> {
        match self.refuse_mounted_file().await {
            Ok(()) => self.config_change(mode),
            Err(Refusal { reason: Reason::Config, message, remedy }) => {
                Ok(ConfigChange::Refused { reason: format!("{message}: {remedy}") })
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn config_change(&self, mode: Mode) -> Result<ConfigChange, Refusal> {
        let ConfigFile { bytes, digest: from, .. } = self.read_config()?;
        let edit = match config_edit::set_mode(&bytes, mode) {
            Ok(edit) => edit,
            Err(refusal) => {
                return Ok(ConfigChange::Refused { reason: quaymaster_proto::in_a_line(&refusal) });
            }
        };
        let to: FileDigest = config_file::digest(&edit.bytes);
        let inserted = match edit.how {
            EditKind::Inserted => true,
            EditKind::Unchanged | EditKind::Replaced { .. } => false,
        };
        Ok(ConfigChange::Edit { from, to, line: edit.line, inserted })
    }
}
