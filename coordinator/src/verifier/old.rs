//! What was there before, and whether it still is.

use jiff::Timestamp;

use super::blobs::short;
use super::{Found, Visit, one, unless};
use crate::registry::{Access, Challenge, Client, Login, Trouble, media_type};
use crate::verify::manifests::{honest, parts};
use crate::verify::sample::{Sampled, SampledImage, chosen, compare};
use crate::verify::{Fault, Sample};

/// What these repositories hold now. A tag that cannot be pulled now is only listed. Without a login
/// it holds those that anybody may read.
pub async fn take_sample(
    client: &Client,
    login: Option<&Login>,
    repositories: &[String],
    now: Timestamp,
) -> Result<Sample, Trouble> {
    let challenge = client.challenge().await?;
    let mut sample = Sample::new(now);
    for repository in repositories {
        let found = match access(client, challenge.as_ref(), login, repository).await {
            Ok(access) => of_repository(client, &access, repository).await,
            Err(trouble) => Err(trouble),
        };
        match found {
            Ok(found) => {
                sample.repositories.insert(repository.clone(), found);
            }
            // Not for anybody.
            Err(trouble) if login.is_none() && matches!(trouble.status(), Some(401 | 403)) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(sample)
}

async fn access(
    client: &Client,
    challenge: Option<&Challenge>,
    login: Option<&Login>,
    repository: &str,
) -> Result<Access, Trouble> {
    match challenge {
        Some(challenge) => client.token(challenge, login, repository, "pull").await,
        None => Ok(Access::open()),
    }
}

async fn of_repository(
    client: &Client,
    access: &Access,
    repository: &str,
) -> Result<Sampled, Trouble> {
    let Some(tags) = client.tags(access, repository).await? else {
        return Err(Trouble::NoRepository { repository: repository.to_owned() });
    };
    let mut found = Sampled::default();
    for tag in chosen(&tags) {
        match client.manifest(access, repository, tag, &media_type::ALL).await {
            Ok(manifest) => {
                let image =
                    SampledImage { digest: manifest.digest, media_type: manifest.content_type };
                found.images.insert(tag.clone(), image);
            }
            Err(Trouble::Answer { status: 404, .. }) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    found.tags = tags.into_iter().collect();
    Ok(found)
}

impl Visit<'_> {
    pub(super) async fn old_images(&mut self) -> Found {
        let mut faults = Vec::new();
        let mut images = 0;
        for (repository, sampled) in self.sampled() {
            let access = self.access_to(repository, "pull").await?;
            for (tag, image) in &sampled.images {
                images += 1;
                faults.extend(self.old_image(&access, repository, tag, image).await?);
            }
        }
        unless(faults, format!("{images} pulled by tag and by digest"))
    }

    fn sampled(&self) -> impl Iterator<Item = (&String, &Sampled)> + use<'_> {
        self.errand.sample.iter().flat_map(|sample| &sample.repositories)
    }

    async fn old_image(
        &self,
        access: &Access,
        repository: &str,
        tag: &str,
        image: &SampledImage,
    ) -> Result<Vec<Fault>, Vec<Fault>> {
        let mut faults = Vec::new();
        for by in [tag, image.digest.as_str()] {
            let what = format!("{repository} {}", short(by));
            let found = self.client.manifest(access, repository, by, &media_type::ALL).await;
            let found = match found {
                Ok(found) => found,
                Err(Trouble::Answer { status: 404, .. }) => {
                    let (repository, tag) = (repository.to_owned(), tag.to_owned());
                    faults.push(Fault::Gone { repository, tag });
                    break;
                }
                Err(trouble) => return Err(one(trouble)),
            };
            if found.digest != image.digest {
                faults.push(Fault::Moved {
                    repository: repository.to_owned(),
                    tag: tag.to_owned(),
                    before: image.digest.clone(),
                    now: found.digest,
                });
                break;
            }
            faults.extend(honest(&what, &found));
            if found.content_type != image.media_type {
                let (expected, found) = (image.media_type.clone(), found.content_type.clone());
                faults.push(Fault::OtherType { what, expected, found });
            } else if by == tag {
                faults.extend(self.blobs_are_there(access, repository, &what, &found.bytes).await?);
            }
        }
        Ok(faults)
    }

    /// By their lengths: layers of users may be large.
    async fn blobs_are_there(
        &self,
        access: &Access,
        repository: &str,
        what: &str,
        manifest: &[u8],
    ) -> Result<Vec<Fault>, Vec<Fault>> {
        let Some(parts) = parts(manifest) else {
            return Ok(one(Fault::Unreadable { what: what.to_owned() }));
        };
        let mut faults = Vec::new();
        for part in parts {
            let length = self.client.blob_length(access, repository, &part.digest).await;
            match length {
                Ok(Some(found)) if part.size.is_some_and(|expected| expected != found) => {
                    let what = format!("blob {} of {what}", short(&part.digest));
                    let expected = part.size.unwrap_or_default();
                    faults.push(Fault::OtherLength { what, expected, found });
                }
                Ok(_) => {}
                Err(trouble) => faults.push(trouble.into()),
            }
        }
        Ok(faults)
    }

    pub(super) async fn tag_lists(&mut self) -> Found {
        let mut faults = Vec::new();
        let mut tags = 0;
        for (repository, sampled) in self.sampled() {
            let access = self.access_to(repository, "pull").await?;
            let now = self.client.tags(&access, repository).await.map_err(one)?;
            faults.extend(compare(repository, &sampled.tags, &now.unwrap_or_default()));
            tags += sampled.tags.len();
        }
        let lists = self.sampled().count();
        unless(faults, format!("{lists} lists hold all of their {tags} tags"))
    }
}
