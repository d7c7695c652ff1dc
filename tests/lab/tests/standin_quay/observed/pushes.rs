//! Pushes and pulls of somebody who is logged in, as they were recorded. The bytes of the recorded
//! blobs are lost, their digests and lengths are not: such files lie in the storage from the start.

use std::collections::BTreeMap;

use quaymaster::registry::{Client, Content, Door, Patience, login, media_type};
use quaymaster_lab::quay::add_robot;

use super::{Answer, Recorded, compared, recorded};
use crate::lab::{Container, Lab};

const SETTINGS: &str = "SETUP_COMPLETE: true\nSERVER_HOSTNAME: localhost:8080\n";
const OWNER: &str = "devtable+robot";
/// The layer and the configuration of the amd64 image, and those of the arm image.
const LAYER: &str = "ca05b06f3c5fb2c27a97ad75a78f05294ba81c4ced4223ecf6df3f186f8113ff";
const CONFIG: &str = "16cf902dc7988feef1f74f2f999d504a28533d3d624ac25f1f8d9b4535163fa3";
const ARM_LAYER: &str = "5b65694658f2379b2bb91fd491ba797111b2426fc6165a6d8a56cfbd840404eb";
const ARM_CONFIG: &str = "45f12be386d35c49dea81c2ddf030c78a222e1ea0c8d86b08c45be276b3c9165";
const BACKGROUND_LAYER: &str = "87a960e284ef9abe3e503d7e5f331200f2bde766c3f6e1f7342b224fabc17199";

/// A stand-in that the recorded requests can be made to.
struct Registry {
    container: Container,
    client: reqwest::Client,
    token: String,
}

impl Registry {
    async fn of(lab: &Lab, container: Container, repository: &str) -> Self {
        let base = container.base();
        let url = format!(
            "{base}/v2/auth?service=localhost:8080&scope=repository:{repository}:push,pull"
        );
        let client = Container::client();
        let asked = client.get(url).basic_auth(OWNER, Some("sesame"));
        let answer: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
        let token = answer["token"].as_str().unwrap().to_owned();
        let blobs = lab.path("shared/storage/registry/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        for (digest, length) in [
            (LAYER, 139),
            (ARM_LAYER, 139),
            (CONFIG, 262),
            (ARM_CONFIG, 262),
            (BACKGROUND_LAYER, 143),
        ] {
            std::fs::write(blobs.join(digest), vec![b'x'; length]).unwrap();
        }
        Self { container, client, token }
    }

    async fn ask(&self, recorded: &Recorded, path: &str, body: Vec<u8>) -> Answer {
        let asked = &recorded.request;
        let url = format!("{}{path}", self.container.base());
        let mut request = self.client.request(asked.method.parse().unwrap(), url);
        request = request.header("host", "localhost:8080").bearer_auth(&self.token);
        for (name, value) in &asked.headers {
            if name != "Authorization" {
                request = request.header(name, value);
            }
        }
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned();
        Answer { status, headers: Some(compared(headers)), body }
    }

    /// Asks what each record asked, with a body where it pushed one, and wants the same answer.
    async fn answers_as(&self, names: &[(&str, &str)]) {
        let mut differences = String::new();
        for (name, body) in names {
            let recorded = recorded(name);
            let answer =
                self.ask(&recorded, &recorded.request.path, body.as_bytes().to_vec()).await;
            let expected = expected(recorded);
            if answer != expected {
                differences += &format!("{name}\n  recorded {expected:?}\n  stand-in {answer:?}\n");
            }
        }
        assert!(differences.is_empty(), "\n{differences}");
    }

    /// The same of an answer whose bytes cannot be the same: status and headers, but for `without`.
    async fn answers_but_for(&self, name: &str, body: &str, without: &[&str]) {
        let recorded = recorded(name);
        let answer = self.ask(&recorded, &recorded.request.path, body.as_bytes().to_vec()).await;
        let but = |answer: Answer| {
            let headers = answer.headers.unwrap().into_iter();
            let headers: Vec<_> =
                headers.filter(|(name, _)| !without.contains(&name.as_str())).collect();
            (answer.status, headers)
        };
        assert_eq!(but(answer), but(expected(recorded)), "{name}");
    }

    /// An upload from its begin to its end. Its id and its digest differ.
    async fn uploads_as(&self, blob: &str, mode: &str, length: usize) {
        let bytes = vec![b'y'; length];
        let digest = quaymaster::verify::digest(&bytes);
        let mut path = String::new();
        for part in ["start", "patch", "put"] {
            let recorded = recorded(&format!("push-{blob}-{part}--{mode}"));
            let (path_now, body) = match part {
                "start" => (recorded.request.path.clone(), Vec::new()),
                "patch" => (path.clone(), bytes.clone()),
                _ => (format!("{path}?digest={digest}"), Vec::new()),
            };
            let answer = self.ask(&recorded, &path_now, body).await;
            let location =
                answer.headers.as_ref().unwrap().iter().find(|(name, _)| name == "location");
            path = location.unwrap().1.trim_start_matches("http://localhost:8080").to_owned();
            let what = format!("{blob} {part} {mode}");
            assert_eq!(steady(answer), steady(expected(recorded)), "{what}");
        }
    }
}

fn expected(recorded: Recorded) -> Answer {
    let body = match recorded.body_raw.or(recorded.body_text) {
        Some(body) => body,
        None => format!("{}\n", recorded.json.unwrap()),
    };
    Answer { status: recorded.status, headers: recorded.headers.map(compared), body }
}

/// Without what every upload has of its own.
fn steady(answer: Answer) -> (u16, BTreeMap<String, String>, String) {
    let own = |(name, value): (String, String)| {
        let value = match name.as_str() {
            "docker-upload-uuid" | "docker-content-digest" => "its own".to_owned(),
            "location" => value.rsplit_once('/').unwrap().0.to_owned(),
            _ => value,
        };
        (name, value)
    };
    (answer.status, answer.headers.unwrap().into_iter().map(own).collect(), answer.body)
}

async fn lab() -> Lab {
    let lab = Lab::new(0).await;
    add_robot(&lab.uri(), OWNER, "sesame", "push,pull").await.unwrap();
    lab
}

#[tokio::test]
async fn in_complete_mode_it_takes_and_gives_as_recorded() {
    let lab = lab().await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: complete\n"));
    lab.until_healthy(&container).await;
    let registry = Registry::of(&lab, container, "devtable/app-complete").await;
    for (blob, length) in [("blob1", 139), ("blob2", 139), ("blobcfg", 262), ("blobcfg2", 262)] {
        registry.uploads_as(blob, "complete", length).await;
    }
    let amd64 = recorded("push-schema2-get-accept-s2--complete").body_raw.unwrap();
    let arm = amd64.replace(LAYER, ARM_LAYER).replace(CONFIG, ARM_CONFIG);
    let list = recorded("push-list-get-accept-list--complete").body_raw.unwrap();
    registry
        .answers_as(&[
            ("push-schema2-put--complete", &amd64),
            ("push-schema2-put-by-digest--complete", &arm),
            ("push-schema2-arm-put-by-tag--complete", &arm),
            ("push-list-put--complete", &list),
            ("push-oci-put--complete", "{}"),
            ("push-schema2-get-accept-s2--complete", ""),
            ("push-schema2-head--complete", ""),
            ("push-list-get-accept-list--complete", ""),
            ("push-list-get-accept-s2--complete", ""),
            ("push-missing-manifest--complete", ""),
            ("push-blob-head--complete", ""),
            ("push-tags-list--complete", ""),
        ])
        .await;
    registry.answers_but_for("push-blob-get--complete", "", &[]).await;
    // Quay repeats its whole schema.
    registry.answers_but_for("push-garbage-put--complete", "{}", &[]).await;
    // Converted on the way: what it is shows, the bytes are each one's own.
    let own = ["docker-content-digest"];
    registry.answers_but_for("push-schema2-get-noaccept--complete", "", &own).await;
}

#[tokio::test]
async fn in_background_mode_it_takes_and_refuses_as_recorded() {
    let lab = lab().await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: background\n"));
    lab.until_healthy(&container).await;
    let registry = Registry::of(&lab, container, "devtable/app-background").await;
    for (blob, length) in [("blob1", 143), ("blob2", 143), ("blobcfg", 262), ("blobcfg2", 262)] {
        registry.uploads_as(blob, "background", length).await;
    }
    registry
        .answers_as(&[
            ("push-schema2-put--background", "{}"),
            ("push-schema2-put-by-digest--background", "{}"),
            ("push-schema2-arm-put-by-tag--background", "{}"),
            ("push-list-put--background", "{}"),
            ("push-oci-put--background", "{}"),
            ("push-garbage-put--background", "{}"),
            ("push-schema2-get-accept-s2--background", ""),
            ("push-schema2-get-noaccept--background", ""),
            ("push-schema2-head--background", ""),
            ("push-list-get-accept-list--background", ""),
            ("push-list-get-accept-s2--background", ""),
            ("push-missing-manifest--background", ""),
            ("push-blob-head--background", ""),
            ("push-tags-list--background", ""),
        ])
        .await;
    registry.answers_but_for("push-blob-get--background", "", &[]).await;
}

/// In complete mode over a backfill that had not ended: what is mapped is there, and what is not is
/// lost, without a word anywhere else.
#[tokio::test]
async fn after_a_flip_too_early_it_gives_and_misses_as_recorded() {
    let lab = lab().await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: background\n"));
    lab.until_healthy(&container).await;
    let registry = Registry::of(&lab, container, "devtable/s1").await;
    let t1 = recorded("pull-migrated-t1--complete-after-flip").body_raw.unwrap();
    let door = Door {
        scheme: "http".to_owned(),
        authority: registry.container.base().trim_start_matches("http://").to_owned(),
        at: None,
    };
    let client = Client::new(door, None, Patience::default()).unwrap();
    let json = format!(r#"{{"auths":{{"q":{{"username":"{OWNER}","password":"sesame"}}}}}}"#);
    let challenge = client.challenge().await.unwrap().unwrap();
    let robot = login(&json, &[]).unwrap();
    let access = client.token(&challenge, Some(&robot), "devtable/s1", "push,pull").await.unwrap();
    let content = Content { media_type: media_type::SIGNED_SCHEMA_1, bytes: t1.as_bytes() };
    for tag in ["t1", "unmigrated5"] {
        let put = client.put_manifest(&access, "devtable/s1", tag, content);
        assert_eq!(put.await.unwrap().status, 202, "{tag}");
    }
    quay.kill().await.unwrap();
    let container = Lab::container("second", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: complete\n"));
    lab.until_healthy(&container).await;
    lab.execute(
        "DELETE FROM tagtorepositorytag WHERE repository_tag_id IN \
         (SELECT id FROM repositorytag WHERE name = 'unmigrated5')",
    )
    .await;
    let registry = Registry::of(&lab, container, "devtable/s1").await;
    registry
        .answers_as(&[
            ("pull-migrated-t1--complete-after-flip", ""),
            ("pull-unmigrated5--complete-after-flip", ""),
        ])
        .await;
}
