//! What is behind an image's name: in its registry, or on a node alone.

use serde::{Deserialize, Serialize};

use crate::id::{ImageDigest, ImageId};
use crate::invalid::{InvalidField, parsed};
use crate::wire;

/// What a node has to say of `repository:tag`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResolvedImage {
    /// The registry has it.
    InRegistry {
        /// Of the manifest.
        digest: ImageDigest,
        /// The image's id where the node has it already.
        present: Option<ImageId>,
    },
    /// No registry answers, and the node has an image of that name: loaded
    /// from a file, or pulled earlier.
    OnNode {
        /// Its id: all that pins it.
        image: ImageId,
        /// Why the registry is not to be asked, in its node's words.
        silence: String,
    },
}

impl TryFrom<wire::ResolveImageReply> for ResolvedImage {
    type Error = InvalidField;

    fn try_from(message: wire::ResolveImageReply) -> Result<Self, InvalidField> {
        let wire::ResolveImageReply { digest, image_id, registry_silence: silence } = message;
        if digest.is_empty() && !silence.is_empty() {
            return Ok(Self::OnNode { image: parsed("image_id", &image_id)?, silence });
        }
        let present = match image_id.as_str() {
            "" => None,
            text => Some(parsed("image_id", text)?),
        };
        Ok(Self::InRegistry { digest: parsed("digest", &digest)?, present })
    }
}

impl From<ResolvedImage> for wire::ResolveImageReply {
    fn from(resolved: ResolvedImage) -> Self {
        match resolved {
            ResolvedImage::InRegistry { digest, present } => Self {
                digest: digest.into(),
                image_id: present.map(Into::into).unwrap_or_default(),
                registry_silence: String::new(),
            },
            ResolvedImage::OnNode { image, silence } => {
                Self { digest: String::new(), image_id: image.into(), registry_silence: silence }
            }
        }
    }
}
