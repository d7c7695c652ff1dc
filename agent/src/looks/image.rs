//! The digest behind a tag, asked of the registry through this node's engine;
//! where no registry answers, the image that the node has under that name.

use std::time::Duration;

use quaymaster_proto::image::ResolvedImage;
use quaymaster_proto::{Component, ImageDigest, Reason, Refusal};
use tokio::time::timeout;

use crate::engine::{Engine, EngineError, EngineErrorKind};
use crate::jobs::credentials::{self, Login};
use crate::jobs::failure::denied;
use crate::jobs::verdict::{Verdict, verdict};
use crate::node::Node;

/// How long a registry may take over one question. Behind a firewall that
/// drops everything an engine waits much longer than whoever asked the agent.
const REGISTRY_LIMIT: Duration = Duration::from_secs(12);

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
        let error = match self.ask_registry(&reference, login.as_ref()).await {
            Ok(digest) => {
                let image = self.engine.image(&format!("{repository}@{digest}")).await?;
                let present = image.map(|image| image.id);
                return Ok(ResolvedImage::InRegistry { digest, present });
            }
            Err(error) => error,
        };
        let silence = error.in_one_line();
        let remedy = match verdict(error.status(), &silence) {
            Verdict::Denied => denied(repository, login.as_ref()),
            Verdict::Missing => "see the repository's name and the tag".to_owned(),
            Verdict::OtherBytes => {
                format!("see who changed `{repository}`: the registry contradicts itself")
            }
            Verdict::DiskFull => "make room on the disk with the engine's data".to_owned(),
            Verdict::Unanswered => {
                // A registry that answers decides, also with a no; only where
                // none does is an image taken that someone put on the node.
                if let Some(image) = self.engine.image(&reference).await? {
                    return Ok(ResolvedImage::OnNode { image: image.id, silence });
                }
                format!(
                    "see whether this node reaches registry `{}`; where none can be reached, \
                     load the image on every node: docker load",
                    credentials::registry(repository)
                )
            }
        };
        Err(Refusal::new(Reason::Image, silence).with_remedy(remedy))
    }

    /// The digest that a registry has behind a name.
    pub(crate) async fn ask_registry(
        &self,
        reference: &str,
        login: Option<&Login>,
    ) -> Result<ImageDigest, EngineError> {
        let answer = self.engine.registry_digest(reference, login);
        timeout(REGISTRY_LIMIT, answer).await.unwrap_or_else(|elapsed| {
            Err(EngineError {
                tried: format!(
                    "ask the registry for `{reference}` within {} s",
                    REGISTRY_LIMIT.as_secs()
                ),
                kind: EngineErrorKind::Late,
                source: Box::new(elapsed),
            })
        })
    }
}

/// As registries define it.
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test writes agent.yaml's files")]

    use std::os::unix::fs::PermissionsExt as _;

    use quaymaster_proto::ImageId;

    use super::*;
    use crate::engine::fake::{FakeEngine, Fault, image_id};
    use crate::looks::rig::node;

    const NAME: &str = "quay.io/redhat/quay:v3.0.5";

    async fn resolve(node: &Node<FakeEngine>) -> Result<ResolvedImage, Refusal> {
        node.resolve_image(Component::Quay, "quay.io/redhat/quay", "v3.0.5").await
    }

    fn load(node: &Node<FakeEngine>) -> ImageId {
        node.engine.state().images.insert(NAME.to_owned(), image_id(305));
        image_id(305)
    }

    #[tokio::test]
    async fn a_registry_that_answers_decides() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        load(&node);
        let missing = resolve(&node).await.unwrap_err();
        assert_eq!(missing.remedy, "see the repository's name and the tag");
        node.engine.state().faults.push(Fault::PullDenied);
        let denied = resolve(&node).await.unwrap_err();
        assert!(denied.remedy.contains("wants a login"), "{}", denied.remedy);

        node.engine.state().faults.clear();
        let digest: ImageDigest = format!("sha256:{}", "d".repeat(64)).parse().unwrap();
        node.engine.state().tagged.insert(NAME.to_owned(), digest.clone());
        let found = resolve(&node).await.unwrap();
        assert_eq!(found, ResolvedImage::InRegistry { digest, present: None });
    }

    #[tokio::test]
    async fn without_a_registry_an_image_that_the_node_has_is_known_by_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        node.engine.state().faults.push(Fault::RegistrySilent);
        let refused = resolve(&node).await.unwrap_err();
        assert!(refused.remedy.contains("docker load"), "{}", refused.remedy);
        let loaded = load(&node);
        match resolve(&node).await.unwrap() {
            ResolvedImage::OnNode { image, silence } => {
                assert_eq!(image, loaded);
                assert!(silence.contains("ask the registry"), "{silence}");
            }
            other @ ResolvedImage::InRegistry { .. } => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_never_answers_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        node.engine.state().faults.push(Fault::RegistryHangs);
        let refused = resolve(&node).await.unwrap_err();
        assert!(refused.message.contains("within 12 s"), "{}", refused.message);
    }

    #[tokio::test]
    async fn logins_that_are_open_to_others_are_refused_before_anything_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let mut node = std::sync::Arc::into_inner(node(&directory)).unwrap();
        let path = directory.path().join("auth.json");
        std::fs::write(&path, "{}").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        node.config.registries.credentials = Some(path);
        load(&node);
        let refused = resolve(&node).await.unwrap_err();
        assert!(refused.message.contains("everybody on this machine"), "{}", refused.message);
    }
}
