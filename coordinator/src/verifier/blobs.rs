//! Blobs, sent and read back.

use std::collections::BTreeSet;

use super::{Visit, one};
use crate::registry::Manifest;
use crate::verify::Fault;
use crate::verify::image::{Blob, Document};
use crate::verify::manifests::{differences, parts};

impl Visit<'_> {
    pub(super) async fn push_blobs(&self, blobs: &[Blob]) -> Result<(), Vec<Fault>> {
        let repository = self.errand.repository;
        for Blob { digest, bytes } in blobs {
            let pushed = self.client.push_blob(&self.access, repository, digest, bytes);
            pushed.await.map_err(one)?;
        }
        Ok(())
    }

    /// Reads back what a manifest names, and compares it with what was sent. The names of the
    /// storages that Quay left it to come into `storages`.
    pub(super) async fn pull_blobs(
        &self,
        what: &str,
        manifest: &Manifest,
        sent: &[Blob],
        storages: &mut BTreeSet<String>,
    ) -> Result<Vec<Fault>, Vec<Fault>> {
        let Some(parts) = parts(&manifest.bytes) else {
            return Err(one(Fault::Unreadable { what: what.to_owned() }));
        };
        let mut faults = Vec::new();
        for part in parts {
            let repository = self.errand.repository;
            let found = self.client.blob(&self.access, repository, &part.digest);
            let found = found.await.map_err(one)?;
            storages.extend(found.storage);
            let what = format!("blob {} of {what}", short(&part.digest));
            let of_bytes = crate::verify::digest(&found.bytes);
            let sent = sent.iter().find(|blob| blob.digest == part.digest);
            let expected = sent.map_or(part.size, |blob| Some(blob.bytes.len() as u64));
            let length = found.bytes.len() as u64;
            match expected {
                Some(expected) if expected != length => {
                    faults.push(Fault::OtherLength { what, expected, found: length });
                }
                Some(_) | None if of_bytes != part.digest => {
                    let expected = part.digest;
                    faults.push(Fault::OtherBytes { what, expected, found: of_bytes });
                }
                Some(_) | None => {}
            }
        }
        Ok(faults)
    }

    /// Pushes a manifest, and wants it back under the same digest and of the same type, by its tag
    /// and by its digest. Returns it as it came.
    pub(super) async fn push_and_pull(
        &mut self,
        what: &str,
        reference: &str,
        document: &Document,
    ) -> Result<(Manifest, Vec<Fault>), Vec<Fault>> {
        let repository = self.errand.repository;
        let digest = &document.digest;
        let content = document.content();
        let put = self.client.put_manifest(&self.access, repository, reference, content);
        let put = put.await.map_err(one)?;
        if put.status == 415 {
            return Err(one(Fault::Refused { what: what.to_owned() }));
        }
        if reference != digest {
            self.pushed.push(digest.clone());
        }
        let mut faults = Vec::new();
        if put.digest != *digest {
            let (what, pushed) = (what.to_owned(), digest.clone());
            faults.push(Fault::OtherDigest { what, pushed, found: put.digest });
        }
        let mut pulled = None;
        for by in [reference, digest.as_str()] {
            let accepted = &crate::registry::media_type::ALL;
            let found = self.client.manifest(&self.access, repository, by, accepted);
            let found = found.await.map_err(one)?;
            let by = if by == digest { "by its digest" } else { "by its tag" };
            faults.extend(differences(&format!("{what} {by}"), document, &found));
            pulled = Some(found);
            if reference == digest {
                break;
            }
        }
        let pulled = pulled.ok_or_else(Vec::new)?;
        Ok((pulled, faults))
    }
}

/// Enough of a digest to find it.
pub(super) fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}
