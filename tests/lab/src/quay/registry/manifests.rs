//! Manifests and tags.
#![expect(clippy::disallowed_methods, reason = "an effect room: a tag has its moment")]

use serde_json::json;

use super::manifest::{self, LIST, SCHEMA_1, SCHEMA_2, SIGNED};
use super::path::is_digest;
use super::store::Kept;
use super::{Answered, Asked, Broken, Model, Registry, Reply, Subject, Wanted, tables, token};
use crate::quay::answers::{self, Answer, HTML, Situation};

/// Tags on a page, whatever is asked for.
const PAGE: usize = 100;

impl Registry<'_> {
    /// Whatever carries a token.
    pub(in crate::quay) async fn answer(&self, wanted: &Wanted<'_>, now: &Situation) -> Answered {
        let path = wanted.parts.uri.path();
        let asked = Asked::of(path);
        let repository = asked.as_ref().map(Asked::repository).unwrap_or_default();
        let Some(allowed) = token::allows(wanted.header("authorization"), &repository) else {
            return Ok(answers::unauthorized(now).into());
        };
        let Some(asked) = asked else {
            return Ok(match path {
                "/v2/" => Answer::new(200, HTML, "true").into(),
                _ => answers::unauthorized(now).into(),
            });
        };
        let reads = matches!(wanted.method(), "GET" | "HEAD");
        let needed = if reads { "pull" } else { "push" };
        if !allowed.iter().any(|action| action == needed) {
            return Ok(answers::unauthorized(now).into());
        }
        if !reads && self.is_read_only {
            let detail = json!({ "is_readonly": true });
            return Ok(
                answers::error(405, "DENIED", "System is currently read-only.", &detail).into()
            );
        }
        let Some(id) = self.repository(&asked.namespace, &asked.name).await? else {
            return Ok(answers::error(
                404,
                "NAME_UNKNOWN",
                "repository name not known to registry",
                &json!({}),
            )
            .into());
        };
        match &asked.subject {
            Subject::Tags => self.tags(wanted, id, &repository).await,
            Subject::Blob(digest) => self.blob(wanted, digest),
            Subject::Uploads => self.begin_upload(&repository),
            Subject::Upload(upload) => self.upload(wanted, &repository, upload),
            Subject::Manifest(reference) => match wanted.method() {
                "GET" | "HEAD" => self.pull(wanted, id, &repository, reference).await,
                "PUT" => self.push(wanted, id, &repository, reference).await,
                "DELETE" if is_digest(reference) => self.delete(id, reference).await,
                _ => Ok(answers::not_allowed().into()),
            },
        }
    }

    async fn tags(&self, wanted: &Wanted<'_>, id: i64, repository: &str) -> Answered {
        let mut tags: Vec<String> = Vec::new();
        for tag in self.database.column(&tables::tags(self.model, id)).await? {
            tags.retain(|known| *known != tag);
            tags.push(tag);
        }
        let number = |name| wanted.query(name).and_then(|text| text.parse::<usize>().ok());
        let from = number("next_page").unwrap_or_default();
        let size = number("n").unwrap_or(PAGE).clamp(1, PAGE);
        let page: Vec<&String> = tags.iter().skip(from).take(size).collect();
        let answer = Answer::json(200, &json!({ "name": repository, "tags": page }))
            .with("X-Frame-Options", "DENY");
        let next = from + size;
        if next >= tags.len() {
            return Ok(answer.into());
        }
        let url = format!("{}/v2/{repository}/tags/list?n={size}&next_page={next}", self.base);
        Ok(answer.with("Link", &format!("<{url}>; rel=\"next\"")).into())
    }

    async fn pull(
        &self,
        wanted: &Wanted<'_>,
        id: i64,
        repository: &str,
        reference: &str,
    ) -> Answered {
        let unknown = || answers::error(404, "MANIFEST_UNKNOWN", "manifest unknown", &json!({}));
        let digest = match is_digest(reference) {
            true => {
                let known =
                    self.database.integer(&tables::knows(self.model, id, reference)).await?;
                (known > 0).then(|| reference.to_owned())
            }
            false => self.database.column(&tables::meaning(self.model, id, reference)).await?.pop(),
        };
        let Some(digest) = digest else { return Ok(unknown().into()) };
        let Some(mut kept) = self.store.manifest(&digest)? else { return Ok(unknown().into()) };
        let accept = wanted.header("accept");
        if kept.media_type == LIST && !accept.contains(LIST) {
            let child = manifest::for_amd64(&kept).map(|digest| self.store.manifest(&digest));
            let Some(child) = child.transpose()?.flatten() else { return Ok(unknown().into()) };
            kept = child;
        }
        if kept.media_type == SCHEMA_2 && !accept.contains(SCHEMA_2) {
            let Some(converted) = manifest::to_schema_1(&kept, repository, reference) else {
                return Ok(unknown().into());
            };
            kept = converted;
        }
        let digest = manifest::digest(&kept.media_type, &kept.bytes);
        let answer = Answer::new(200, &kept.media_type, "")
            .with("Docker-Content-Digest", &digest)
            .with("X-Frame-Options", "DENY");
        Ok(Reply::from(answer).with_body(kept.bytes))
    }

    async fn push(
        &self,
        wanted: &Wanted<'_>,
        id: i64,
        repository: &str,
        reference: &str,
    ) -> Answered {
        let media_type = wanted.header("content-type");
        let is_schema_1 = matches!(media_type, SCHEMA_1 | SIGNED);
        if !is_schema_1 && !self.model.takes_schema2() {
            return Ok(answers::unsupported().into());
        }
        let needs = match manifest::needs(media_type, wanted.body) {
            Ok(needs) => needs,
            Err(why) => return Ok(invalid(&why).into()),
        };
        let digest = manifest::digest(media_type, wanted.body);
        let missing = needs.blobs.iter().find(|blob| !self.store.has_blob(blob));
        if let Some(missing) = missing {
            return Ok(invalid(&format!("Unknown blob {missing}")).into());
        }
        for child in &needs.manifests {
            if self.database.integer(&tables::knows(self.model, id, child)).await? == 0 {
                return Ok(invalid(&format!("Unknown manifest {child}")).into());
            }
        }
        if is_digest(reference) && reference != digest {
            return Ok(invalid("manifest digest mismatch").into());
        }
        let kept = Kept { media_type: media_type.to_owned(), bytes: wanted.body.to_vec() };
        self.store.keep_manifest(&digest, &kept)?;
        self.name(id, reference, &digest).await?;
        let host = wanted.header("host");
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let location = format!("http://{host}/v2/{repository}/manifests/{digest}");
        let answer = Answer::new(202, HTML, "OK")
            .with("Docker-Content-Digest", &digest)
            .with("Location", &location);
        Ok(answer.into())
    }

    /// Writes what a tag means from now on.
    async fn name(&self, id: i64, reference: &str, digest: &str) -> Result<(), Broken> {
        let now = jiff::Timestamp::now().as_second();
        if is_digest(reference) {
            if self.model == Model::New {
                let hidden = tables::add_new_tag(id, "$temp", digest, now, true);
                self.database.execute(hidden).await?;
            }
            return Ok(());
        }
        let ended = tables::end_tag(self.model, id, reference, now);
        let added = tables::add_tag(self.model, id, reference, digest, now);
        for statement in ended.into_iter().chain(added) {
            self.database.execute(statement).await?;
        }
        Ok(())
    }

    async fn delete(&self, id: i64, digest: &str) -> Answered {
        if self.database.integer(&tables::knows(self.model, id, digest)).await? == 0 {
            return Ok(
                answers::error(404, "MANIFEST_UNKNOWN", "manifest unknown", &json!({})).into()
            );
        }
        let now = jiff::Timestamp::now().as_second();
        for statement in tables::end_digest(self.model, id, digest, now) {
            self.database.execute(statement).await?;
        }
        Ok(Answer::new(202, HTML, "").with("X-Frame-Options", "DENY").into())
    }
}

fn invalid(why: &str) -> Answer {
    answers::error(400, "MANIFEST_INVALID", "manifest invalid", &json!({ "message": why }))
}
