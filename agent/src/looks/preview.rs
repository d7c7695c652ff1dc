//! What a change would make of this node: the next config.yaml, and what
//! becomes of each part of the running container's spec.

use quaymaster_proto::preview::{ConfigChange, Preview};
use quaymaster_proto::{Component, FileDigest, Mode, PortMove, Reason, Refusal};

use crate::config_file::{self, ConfigFile};
use crate::container::{Demands, carry_over};
use crate::engine::Engine;
use crate::node::Node;
use crate::quay::config_edit::{self, EditKind};

impl<E: Engine> Node<E> {
    pub(crate) async fn preview(
        &self,
        component: Component,
        mode: Mode,
        port_moves: &[PortMove],
    ) -> Result<Preview, Refusal> {
        let well_known = &self.component(component)?.container;
        let found = self.engine.full_container(well_known).await?.ok_or_else(|| {
            Refusal::new(
                Reason::Drifted,
                format!("node `{}` has no container `{well_known}`", self.config.node),
            )
            .with_remedy("see agent.yaml's `container` and the engine's list")
        })?;
        // The image is the act's to name; here it changes nothing.
        let demands = Demands {
            image: found.spec.image.clone(),
            port_moves: port_moves.to_vec(),
            labels: Default::default(),
        };
        let next = carry_over(&found.spec, &demands);
        let config = match self.refuse_mounted_file().await {
            Ok(()) => self.config_change(mode)?,
            Err(Refusal { reason: Reason::Config, message, remedy }) => {
                ConfigChange::Refused { reason: format!("{message}: {remedy}") }
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(Preview { config, spec: next.findings().iter().cloned().map(Into::into).collect() })
    }

    fn config_change(&self, mode: Mode) -> Result<ConfigChange, Refusal> {
        let ConfigFile { bytes, digest: from, .. } = self.read_config()?;
        let edit = match config_edit::set_mode(&bytes, mode) {
            Ok(edit) => edit,
            Err(refusal) => return Ok(ConfigChange::Refused { reason: crate::chain(&refusal) }),
        };
        let to: FileDigest = config_file::digest(&edit.bytes);
        let inserted = match edit.how {
            EditKind::Inserted => true,
            EditKind::Unchanged | EditKind::Replaced { .. } => false,
        };
        Ok(ConfigChange::Edit { from, to, line: edit.line, inserted })
    }
}
