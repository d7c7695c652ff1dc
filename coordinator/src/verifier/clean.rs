//! What was pushed goes again.

use super::{Found, Visit, one};
use crate::verify::Fault;

impl Visit<'_> {
    /// By digest, which takes the tags. What has no tag Quay collects by itself: the images of a
    /// list were pushed under hidden tags that end within the hour (quay-facts 8.3).
    pub(super) async fn clean_up(&mut self) -> Found {
        let repository = self.errand.repository;
        let pushed = std::mem::take(&mut self.pushed);
        for digest in &pushed {
            let deleted = self.client.delete_manifest(&self.access, repository, digest);
            deleted.await.map_err(one)?;
        }
        let left = self.client.tags(&self.access, repository).await.map_err(one)?;
        let left = left.unwrap_or_default();
        let tags: Vec<String> =
            left.into_iter().filter(|tag| tag.starts_with(&format!("{}-", self.tag))).collect();
        if !tags.is_empty() {
            return Err(one(Fault::LeftBehind { tags }));
        }
        match pushed.len() {
            0 => Ok("nothing was pushed".to_owned()),
            1 => Ok("1 image taken away again".to_owned()),
            many => Ok(format!("{many} images taken away again")),
        }
    }
}
