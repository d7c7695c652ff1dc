//! A container's log as the engine keeps it, with every secret of config.yaml
//! and of the container's environment masked.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use quaymaster_proto::{Component, ContainerId, Reason, Refusal};

use crate::engine::{Engine, LoggedLine};
use crate::node::Node;
use crate::quay::log::Mask;

impl<E: Engine> Node<E> {
    /// Follows a container's log from its beginning; ends with the container.
    pub(crate) async fn follow_log(
        &self,
        component: Component,
        id: Option<&ContainerId>,
    ) -> Result<BoxStream<'static, Result<LoggedLine, Refusal>>, Refusal> {
        let container = self.meant(component, id).await?.ok_or_else(|| {
            Refusal::new(Reason::Drifted, format!("node `{}` has no {component}", self.config.node))
        })?;
        let id = &container.state.id;
        let mask = Mask::new(self.quay_view(Some(id)).await?.secrets());
        let lines = self.engine.log(id);
        Ok(lines
            .map(move |line| {
                let LoggedLine { at, stderr, text } = line?;
                Ok(LoggedLine { at, stderr, text: mask.apply(&text) })
            })
            .boxed())
    }
}
