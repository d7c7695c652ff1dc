//! Checks that push.

use std::collections::BTreeSet;

use super::blobs::short;
use super::{Found, Visit, one, unless};
use crate::registry::Trouble;
use crate::verify::image::{Image, PLATFORMS, list, schema2};
use crate::verify::{Fault, schema1};

impl Visit<'_> {
    /// In background mode nothing but schema 1 may come in (quay-facts 8.5): a client that is not
    /// told so would believe that it pushed what it did not.
    pub(super) async fn new_formats_refused(&mut self) -> Found {
        let image = schema2(&self.tag, PLATFORMS[0]);
        let list = list(&[(PLATFORMS[0], image.clone())]);
        let repository = self.errand.repository;
        self.push_blobs(&image.blobs).await?;
        let mut faults = Vec::new();
        for (what, document) in [("a schema 2 image", &image.manifest), ("a manifest list", &list)]
        {
            let tag = format!("{}-refused", self.tag);
            let content = document.content();
            let put = self.client.put_manifest(&self.access, repository, &tag, content);
            match put.await {
                Ok(put) if put.status == 415 => {}
                Ok(put) => {
                    self.pushed.push(document.digest.clone());
                    faults.push(Fault::NotRefused { what, status: put.status });
                }
                Err(trouble) => faults.push(trouble.into()),
            }
        }
        unless(faults, "schema 2 and a manifest list get 415")
    }

    pub(super) async fn schema1(&mut self) -> Found {
        let tag = format!("{}-schema1", self.tag);
        let image = schema1::image(&self.tag, self.errand.repository, &tag, self.errand.key);
        let image = image.map_err(|problem| {
            let (what, problem) = ("a schema 1 image".to_owned(), problem.to_string());
            one(Trouble::Garbled { what, problem })
        })?;
        self.one_image("the schema 1 image", &tag, &image).await
    }

    pub(super) async fn schema2(&mut self) -> Found {
        let tag = format!("{}-schema2", self.tag);
        let image = schema2(&self.tag, PLATFORMS[0]);
        self.one_image("the schema 2 image", &tag, &image).await
    }

    async fn one_image(&mut self, what: &str, tag: &str, image: &Image) -> Found {
        let mut storages = BTreeSet::new();
        self.push_blobs(&image.blobs).await?;
        let (pulled, mut faults) = self.push_and_pull(what, tag, &image.manifest).await?;
        faults.extend(self.pull_blobs(what, &pulled, &image.blobs, &mut storages).await?);
        let digest = short(&image.manifest.digest);
        unless(faults, format!("pushed and pulled, {digest}{}", from(&storages)))
    }

    pub(super) async fn list(&mut self) -> Found {
        let images = PLATFORMS.map(|platform| (platform, schema2(&self.tag, platform)));
        let mut storages = BTreeSet::new();
        let mut faults = Vec::new();
        for (platform, image) in &images {
            self.push_blobs(&image.blobs).await?;
            let what = format!("the image of {platform}");
            let digest = &image.manifest.digest;
            let (pulled, found) = self.push_and_pull(&what, digest, &image.manifest).await?;
            faults.extend(found);
            faults.extend(self.pull_blobs(&what, &pulled, &image.blobs, &mut storages).await?);
        }
        let list = list(&images);
        let tag = format!("{}-list", self.tag);
        let (_, found) = self.push_and_pull("the manifest list", &tag, &list).await?;
        faults.extend(found);
        let digest = short(&list.digest);
        unless(faults, format!("5 platforms pushed and pulled, {digest}{}", from(&storages)))
    }
}

/// Where the blobs came from, if not from Quay itself.
fn from(storages: &BTreeSet<String>) -> String {
    if storages.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = storages.iter().map(String::as_str).collect();
    format!("; blobs came from {}", names.join(", "))
}
