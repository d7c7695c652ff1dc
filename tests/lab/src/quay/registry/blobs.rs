//! Blobs and their uploads.
#![expect(clippy::disallowed_methods, reason = "an effect room: an upload is named by its moment")]

use serde_json::json;

use super::path::is_digest;
use super::{Answered, Registry, Reply, Wanted};
use crate::quay::answers::{self, Answer, HTML};

impl Registry<'_> {
    pub(super) fn blob(&self, wanted: &Wanted<'_>, digest: &str) -> Answered {
        let Some(bytes) = self.store.blob(digest)? else {
            return Ok(
                answers::error(404, "BLOB_UNKNOWN", "blob unknown to registry", &json!({})).into()
            );
        };
        // The two routes do not say the same (quay-observed).
        let answer = match wanted.method() {
            "HEAD" => Answer::new(200, "application/octet-stream", "")
                .with("Docker-Content-Digest", digest)
                .with("Cache-Control", "max-age=31436000"),
            _ => Answer::new(200, HTML, "").with("Cache-Control", "max-age=31536000"),
        };
        Ok(Reply::from(answer.with("X-Frame-Options", "DENY")).with_body(bytes))
    }

    pub(super) fn begin_upload(&self, repository: &str) -> Answered {
        let id = ulid_like();
        self.store.write_upload(&id, &[])?;
        let answer = Answer::new(202, HTML, "")
            .with("Docker-Upload-UUID", &id)
            .with("Range", "bytes=0--1")
            .with("Location", &self.upload_url(repository, &id));
        Ok(answer.into())
    }

    pub(super) fn upload(&self, wanted: &Wanted<'_>, repository: &str, id: &str) -> Answered {
        let Some(mut bytes) = self.store.upload(id)? else {
            return Ok(invalid_upload("there is no such upload").into());
        };
        bytes.extend_from_slice(wanted.body);
        match wanted.method() {
            "PATCH" => {
                self.store.write_upload(id, &bytes)?;
                let answer = Answer::new(204, HTML, "")
                    .with("Docker-Upload-UUID", id)
                    .with("Range", &format!("0-{}", bytes.len().saturating_sub(1)))
                    .with("Location", &self.upload_url(repository, id))
                    .with("X-Frame-Options", "DENY");
                Ok(answer.into())
            }
            "PUT" => {
                let digest = wanted.query("digest").filter(|digest| is_digest(digest));
                let digest = digest.unwrap_or_default();
                if !self.store.finish_upload(id, &bytes, &digest)? {
                    return Ok(invalid_upload("the digest is another one").into());
                }
                let location = format!("{}/v2/{repository}/blobs/{digest}", self.base);
                let answer = Answer::new(201, HTML, "")
                    .with("Docker-Content-Digest", &digest)
                    .with("Location", &location)
                    .with("X-Frame-Options", "DENY");
                Ok(answer.into())
            }
            _ => Ok(answers::not_allowed().into()),
        }
    }

    /// By the registry's own name, whoever was asked (quay-observed).
    fn upload_url(&self, repository: &str, id: &str) -> String {
        format!("{}/v2/{repository}/blobs/uploads/{id}", self.base)
    }
}

fn invalid_upload(why: &str) -> Answer {
    let detail = json!({ "message": why });
    answers::error(400, "BLOB_UPLOAD_INVALID", "blob upload invalid", &detail)
}

/// Of the moment and the process: no two of a lab are the same.
fn ulid_like() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let moment = jiff::Timestamp::now().as_microsecond();
    format!("{moment:016x}-{:x}-{count:x}", std::process::id())
}
