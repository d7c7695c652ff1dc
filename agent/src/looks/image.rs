//! The digest behind a tag, asked of the registry through this node's engine.

use quaymaster_proto::{Component, ImageDigest, ImageId, Reason, Refusal};

use crate::engine::{Engine, EngineErrorKind};
use crate::node::Node;

/// What a registry has behind a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ResolvedImage {
    /// Of the manifest.
    pub(crate) digest: ImageDigest,
    /// Where the node has that image already.
    pub(crate) image: Option<ImageId>,
}

impl<E: Engine> Node<E> {
    pub(crate) async fn resolve_image(
        &self,
        component: Component,
        repository: &str,
        tag: &str,
    ) -> Result<ResolvedImage, Refusal> {
        self.allow_repository(component, repository)?;
        if !is_tag(tag) {
            return Err(Refusal::new(Reason::Invalid, format!("`{tag}` is no image tag")));
        }
        let login = self.login(repository)?;
        let reference = format!("{repository}:{tag}");
        let digest = self.engine.registry_digest(&reference, login.as_ref()).await;
        let digest = digest.map_err(|error| {
            let remedy = match error.kind {
                EngineErrorKind::Status(401 | 403) => {
                    "see registries.credentials in agent.yaml: the registry wants another login"
                }
                EngineErrorKind::Status(404) => "see the repository's name and the tag",
                EngineErrorKind::Status(_)
                | EngineErrorKind::Unreachable
                | EngineErrorKind::Midway
                | EngineErrorKind::Senseless
                | EngineErrorKind::MadeOtherwise => "see whether this node reaches the registry",
            };
            Refusal::new(Reason::Image, error.in_one_line()).with_remedy(remedy)
        })?;
        let image = self.engine.image(&format!("{repository}@{digest}")).await?;
        Ok(ResolvedImage { digest, image: image.map(|image| image.id) })
    }
}

/// As registries define it.
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}
