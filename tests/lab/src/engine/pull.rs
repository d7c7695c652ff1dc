#![expect(clippy::disallowed_methods, reason = "an effect room: it stores images and takes time")]
//! Pulls: an image comes from the registry's file into the engine's store,
//! with the lines of progress that Docker shows.

use super::{
    fleet::Engine,
    image::StoredImage,
    reference::ImageReference,
    refusal::Refusal,
    registry::{RegistryCredentials, RegistryEntry, RegistryFault},
    store::read_registry,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};

/// The steps in which an image comes; a slow one takes the delay for each.
const STEPS: u64 = 40;
const SLOW_STEP: Duration = Duration::from_millis(250);

impl Engine {
    /// Finds an image in the registry, which is all that can go wrong before
    /// the first line.
    pub(crate) fn find_in_registry(
        &self,
        reference: &ImageReference,
        shown: Option<&RegistryCredentials>,
    ) -> Result<RegistryEntry, Refusal> {
        let registry = read_registry(self.options.registry.as_deref())?;
        registry.find(reference, shown).cloned().map_err(Refusal::Registry)
    }

    /// Pulls, and tells how it goes; ends early if nobody listens any more.
    pub(crate) fn pull(
        self: Arc<Self>,
        reference: ImageReference,
        entry: RegistryEntry,
    ) -> mpsc::Receiver<Value> {
        let (tell, told) = mpsc::channel(16);
        tokio::spawn(async move {
            // An error here only says that the listener has gone.
            let _ = self.pull_telling(&reference, entry, &tell).await;
        });
        told
    }

    async fn pull_telling(
        &self,
        reference: &ImageReference,
        entry: RegistryEntry,
        tell: &mpsc::Sender<Value>,
    ) -> Result<(), mpsc::error::SendError<Value>> {
        let (label, layer) = (label(reference), short(&entry.image.id));
        let path = entry.repository.split_once('/').map_or("", |(_, path)| path);
        tell.send(json!({ "status": format!("Pulling from {path}"), "id": label })).await?;
        let is_here = self.store.images().is_ok_and(|images| {
            let mut same = images.iter().filter(|stored| stored.image.id == entry.image.id);
            same.any(|stored| stored.answers_to(reference))
        });
        if !is_here {
            tell.send(progress(layer, "Pulling fs layer", None)).await?;
            for step in 1..=STEPS {
                if entry.fault == Some(RegistryFault::Slow) {
                    sleep(SLOW_STEP).await;
                }
                if entry.fault == Some(RegistryFault::DiskFull) && step * 2 > STEPS {
                    let text =
                        format!("write /var/lib/docker/tmp/{layer}: no space left on device");
                    return tell.send(failure(&text)).await;
                }
                let total = entry.image.size_bytes;
                let current = total / STEPS * step + total % STEPS * step / STEPS;
                tell.send(progress(layer, "Downloading", Some((current, total)))).await?;
            }
            tell.send(progress(layer, "Pull complete", None)).await?;
        }
        tell.send(json!({ "status": format!("Digest: {}", entry.digest) })).await?;
        if let Err(refusal) = self.keep(reference, entry) {
            return tell.send(failure(&refusal.to_string())).await;
        }
        let end = if is_here { "Image is up to date" } else { "Downloaded newer image" };
        tell.send(json!({ "status": format!("Status: {end} for {reference}") })).await
    }

    /// Stores a pulled image; a pulled tag leaves the image that had it.
    fn keep(&self, reference: &ImageReference, entry: RegistryEntry) -> Result<(), Refusal> {
        let tag = match reference {
            ImageReference::Tag { .. } => Some(reference.to_string()),
            ImageReference::Digest { .. } | ImageReference::Id(_) => None,
        };
        let mut stored = StoredImage {
            tags: tag.iter().cloned().collect(),
            digests: [format!("{}@{}", entry.repository, entry.digest)].into(),
            created: Timestamp::now(),
            image: entry.image,
        };
        for mut other in self.store.images()? {
            if other.image.id == stored.image.id {
                stored.tags.append(&mut other.tags);
                stored.digests.append(&mut other.digests);
                stored.created = other.created;
            } else if tag.as_ref().is_some_and(|tag| other.tags.remove(tag)) {
                self.store.save_image(&other)?;
            }
        }
        Ok(self.store.save_image(&stored)?)
    }
}

/// What the first line calls the image.
fn label(reference: &ImageReference) -> String {
    match reference {
        ImageReference::Tag { repository: _, tag } => tag.clone(),
        ImageReference::Digest { .. } | ImageReference::Id(_) => reference.to_string(),
    }
}

fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

fn progress(layer: &str, status: &str, bytes: Option<(u64, u64)>) -> Value {
    let detail = match bytes {
        Some((current, total)) => json!({ "current": current, "total": total }),
        None => json!({}),
    };
    json!({ "status": status, "progressDetail": detail, "id": layer })
}

/// An error inside an answer that began as a success.
fn failure(text: &str) -> Value {
    json!({ "errorDetail": { "message": text }, "error": text })
}
