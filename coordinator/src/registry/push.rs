//! The client: what changes the registry.

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};

use super::client::{Access, Client};
use super::location::Location;
use super::{Trouble, media_type};

/// A manifest to be pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content<'a> {
    /// What it is.
    pub media_type: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
}

/// What a PUT of a manifest was answered with, whatever it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Put {
    /// HTTP status.
    pub status: u16,
    /// `Docker-Content-Digest`; empty = not said.
    pub digest: String,
}

impl Client {
    /// Uploads a blob, unless it is there. A failure in passing begins the upload anew.
    pub async fn push_blob(
        &self,
        access: &Access,
        repository: &str,
        digest: &str,
        bytes: &[u8],
    ) -> Result<(), Trouble> {
        let blob = format!("/v2/{repository}/blobs/{digest}");
        self.patiently(async || {
            let there = self.send(self.with(access, Method::HEAD, &blob)).await?;
            match there.expect(&format!("HEAD {blob}"), &[200, 404])?.status {
                200 => Ok(()),
                _ => self.upload(access, repository, digest, bytes).await,
            }
        })
        .await
    }

    /// POST, PATCH, PUT: with 204 for the PATCH up to 3.2, and 202 since (quay-facts 8.3).
    async fn upload(
        &self,
        access: &Access,
        repository: &str,
        digest: &str,
        bytes: &[u8],
    ) -> Result<(), Trouble> {
        let start = format!("/v2/{repository}/blobs/uploads/");
        let what = format!("POST {start}");
        let begun = self.with(access, Method::POST, &start).header(CONTENT_LENGTH, 0);
        let begun = self.send(begun).await?.expect(&what, &[202])?;
        let to = self.upload_at(begun.location(&self.names(access)), &what)?;

        let what = format!("PATCH {}", without_query(&to));
        let sent = self.with(access, Method::PATCH, &to);
        let sent = sent.header(CONTENT_TYPE, "application/octet-stream").body(bytes.to_owned());
        let sent = self.send(sent).await?.expect(&what, &[202, 204])?;
        let to = self.upload_at(sent.location(&self.names(access)), &what)?;

        let what = format!("PUT {}", without_query(&to));
        let joint = if to.contains('?') { '&' } else { '?' };
        let ended = self.with(access, Method::PUT, &format!("{to}{joint}digest={digest}"));
        self.send(ended.header(CONTENT_LENGTH, 0)).await?.expect(&what, &[201]).map(|_| ())
    }

    fn upload_at(&self, location: Option<Location>, what: &str) -> Result<String, Trouble> {
        match location {
            Some(Location::Here(path)) => Ok(path),
            Some(Location::Elsewhere(to)) => {
                let to = super::location::shown(&to);
                Err(Trouble::Elsewhere { what: what.to_owned(), status: 202, to })
            }
            None => Err(Trouble::Garbled {
                what: what.to_owned(),
                problem: "it names no place for the upload (Location)".to_owned(),
            }),
        }
    }

    /// Puts a manifest under a tag or its digest: 202 up to 3.2, 201 since (quay-facts 8.3). A
    /// refusal of the format is an answer here, and no trouble.
    pub async fn put_manifest(
        &self,
        access: &Access,
        repository: &str,
        reference: &str,
        content: Content<'_>,
    ) -> Result<Put, Trouble> {
        let Content { media_type, bytes } = content;
        let path = format!("/v2/{repository}/manifests/{reference}");
        let what = format!("PUT {path}");
        let reply = self.patiently(async || {
            let request = self.with(access, Method::PUT, &path);
            let request = request
                .header(CONTENT_TYPE, media_type)
                .header(ACCEPT, media_type::ALL.join(", "))
                .body(bytes.to_owned());
            self.send(request).await?.expect(&what, &[201, 202, 415])
        });
        let reply = reply.await?;
        let digest = reply.named("docker-content-digest").unwrap_or_default().to_owned();
        Ok(Put { status: reply.status, digest })
    }

    /// Takes away every tag of a manifest: 202, or 404 where there is none.
    pub async fn delete_manifest(
        &self,
        access: &Access,
        repository: &str,
        digest: &str,
    ) -> Result<(), Trouble> {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let what = format!("DELETE {path}");
        self.patiently(async || {
            let request = self.with(access, Method::DELETE, &path);
            self.send(request).await?.expect(&what, &[200, 202, 404]).map(|_| ())
        })
        .await
    }
}

/// What a registry keeps in an upload's address is its own affair.
fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
