//! A verification against the stand-in in each release and mode, against Debian's docker-registry,
//! and against registries that lie.

mod debian;
mod front;
mod liars;

use std::collections::BTreeSet;

use quaymaster::registry::{Client, Door, Login, Patience, login};
use quaymaster::verifier::{Errand, take_sample, verify};
use quaymaster::verify::schema1::Key;
use quaymaster::verify::{Check, Outcome, Place, Sample};
use quaymaster_lab::quay::add_robot;
use quaymaster_proto::Mode;

use crate::lab::{BACKGROUND, COMPLETE, Container, Lab, SET_UP, exit_code};

const ROBOT: &str = "quaymaster+verify";
const PASSWORD: &str = "sesame123";
const REPOSITORY: &str = "quaymaster/verify";
/// No registry on loopback needs longer.
const QUICK: Patience = Patience { tries: 4, pause: std::time::Duration::from_millis(20) };

fn robot(user: &str, password: &str) -> Login {
    let json = format!(r#"{{"auths":{{"quay":{{"username":"{user}","password":"{password}"}}}}}}"#);
    login(&json, &[]).unwrap()
}

fn client(port: u16) -> Client {
    // Installs the TLS provider that reqwest wants even for plain HTTP.
    let _ = Container::client();
    let door = Door { scheme: "http".to_owned(), authority: format!("127.0.0.1:{port}"), at: None };
    Client::new(door, None, QUICK).unwrap()
}

async fn verified(port: u16, mode: Mode, user: &str, sample: Option<&Sample>) -> Place {
    verified_as(port, mode, user, sample, None).await
}

/// `public` = host and port of the name that users know, where this is that.
async fn verified_as(
    port: u16,
    mode: Mode,
    user: &str,
    sample: Option<&Sample>,
    public: Option<&str>,
) -> Place {
    let (login, key) = (robot(user, PASSWORD), Key::make().unwrap());
    let errand = Errand {
        mode: Some(mode),
        login: Some(&login),
        repository: REPOSITORY,
        sample,
        nonce: &format!("{port:012x}"),
        key: &key,
        tell: None,
    };
    verify(&client(port), "quay-1", 0, public, &errand).await
}

fn passed(place: &Place) -> BTreeSet<Check> {
    let passed =
        place.checked.iter().filter(|checked| matches!(checked.outcome, Outcome::Passed { .. }));
    passed.map(|checked| checked.check).collect()
}

/// Every fault, as it is told.
fn faults(place: &Place) -> Vec<String> {
    let faults = place.checked.iter().flat_map(|checked| match &checked.outcome {
        Outcome::Failed { faults } => faults.clone(),
        Outcome::Passed { .. } | Outcome::Unverified { .. } => Vec::new(),
    });
    faults.map(|fault| fault.to_string()).collect()
}

async fn lab() -> Lab {
    let lab = Lab::new(0).await;
    add_robot(&lab.uri(), ROBOT, PASSWORD, "push,pull").await.unwrap();
    lab
}

/// The whole way: what 2.9.5 holds is pulled from every later mode, and each mode takes and refuses
/// what it should.
#[tokio::test]
async fn every_release_and_mode_does_what_it_should_and_keeps_what_was_there() {
    use Check::{
        Api, CleanUp, Health, List, NewFormatsRefused, OldImages, Repository, Schema1, Schema2,
        TagLists, Token,
    };
    let lab = lab().await;
    let old = Lab::container("old", "2.9.5");
    let mut quay = lab.start(&old, SET_UP);
    lab.until_healthy(&old).await;
    keep_one(old.port()).await;
    let login = robot(ROBOT, PASSWORD);
    let repositories = ["quaymaster/kept".to_owned()];
    let now = "2026-11-22T02:10:00Z".parse().unwrap();
    let sample = take_sample(&client(old.port()), Some(&login), &repositories, now).await.unwrap();
    assert_eq!(sample.counts(), (1, 1));
    let place = verified(old.port(), Mode::Absent, ROBOT, Some(&sample)).await;
    assert_eq!(faults(&place), [""; 0]);
    let always = [Api, Health, Token, Repository, OldImages, TagLists, CleanUp];
    let and = |more: &[Check]| always.iter().chain(more).copied().collect::<BTreeSet<_>>();
    assert_eq!(passed(&place), and(&[Schema1]));
    quay.kill().await.unwrap();
    exit_code(&mut quay).await;

    let first = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&first, BACKGROUND);
    lab.until_healthy(&first).await;
    let place = verified(first.port(), Mode::Background, ROBOT, Some(&sample)).await;
    assert_eq!(faults(&place), [""; 0]);
    assert_eq!(passed(&place), and(&[Check::Mode, NewFormatsRefused, Schema1]));
    // Each push in this mode is in both models at once.
    first.until_progress_is_full().await;
    assert_eq!(lab.state().await.unmapped_tags, 0);
    quay.kill().await.unwrap();
    exit_code(&mut quay).await;

    let second = Lab::container("second", "3.0.5");
    let _quay = lab.start(&second, COMPLETE);
    lab.until_healthy(&second).await;
    let place = verified(second.port(), Mode::Complete, ROBOT, Some(&sample)).await;
    assert_eq!(faults(&place), [""; 0]);
    assert_eq!(passed(&place), and(&[Check::Mode, Schema2, List]));
    // Complete mode writes new rows alone.
    let place = verified(second.port(), Mode::Background, ROBOT, None).await;
    let told = faults(&place).join("\n");
    assert!(told.contains("answered with 401: that is mode complete, not background"), "{told}");
    assert!(told.contains("a schema 2 image was taken (202)"), "{told}");
}

/// A tag that the backfill passed over: health is green, and the image is lost.
#[tokio::test]
async fn a_tag_that_was_not_mapped_is_missed() {
    let lab = lab().await;
    let old = Lab::container("old", "2.9.5");
    let mut quay = lab.start(&old, SET_UP);
    lab.until_healthy(&old).await;
    keep_one(old.port()).await;
    let (login, now) = (robot(ROBOT, PASSWORD), "2026-11-22T02:10:00Z".parse().unwrap());
    let repositories = ["quaymaster/kept".to_owned()];
    let sample = take_sample(&client(old.port()), Some(&login), &repositories, now).await.unwrap();
    quay.kill().await.unwrap();
    exit_code(&mut quay).await;
    let new = Lab::container("new", "3.0.5");
    let _quay = lab.start(&new, COMPLETE);
    lab.until_healthy(&new).await;
    lab.execute("DELETE FROM tagtorepositorytag").await;
    let place = verified(new.port(), Mode::Complete, ROBOT, Some(&sample)).await;
    assert_eq!(
        faults(&place),
        [
            "quaymaster/kept:v1 was there before, and is not any more: it is lost to this registry \
             unless its tag is mapped",
            "the tags of quaymaster/kept lack 1 tag that were there: v1",
        ]
    );
}

#[tokio::test]
async fn a_robot_without_rights_and_a_wrong_password_are_told_apart() {
    let lab = lab().await;
    add_robot(&lab.uri(), "quaymaster+reader", PASSWORD, "pull").await.unwrap();
    let quay = Lab::container("quay", "3.0.5");
    let _quay = lab.start(&quay, COMPLETE);
    lab.until_healthy(&quay).await;
    let place = verified(quay.port(), Mode::Complete, "quaymaster+reader", None).await;
    assert_eq!(
        faults(&place),
        ["the token for quaymaster/verify allows pull, and push and pull were asked for"]
    );
    let place = verified(quay.port(), Mode::Complete, "quaymaster+nobody", None).await;
    let told = faults(&place);
    assert_eq!(told, ["the login of quaymaster+nobody is refused: Invalid Username or Password"]);
    assert!(!format!("{place:?}").contains(PASSWORD));
}

/// Behind the public name any node may answer, so its health says nothing; its clients have to be
/// sent to that name for their tokens.
#[tokio::test]
async fn the_public_name_has_to_be_the_registrys_own() {
    let lab = lab().await;
    let quay = Lab::container("quay", "3.0.5");
    let _quay = lab.start(&quay, &format!("{COMPLETE}SERVER_HOSTNAME: registry.example.com\n"));
    lab.until_healthy(&quay).await;
    let by = async |name| verified_as(quay.port(), Mode::Complete, ROBOT, None, Some(name)).await;
    let place = by("registry.example.com").await;
    assert_eq!(faults(&place), [""; 0]);
    assert!(place.checked.iter().all(|checked| checked.check != Check::Health));
    assert_eq!(
        faults(&by("quay.example.com").await),
        ["its clients are sent to registry.example.com for their tokens, and not to \
             quay.example.com"]
    );
}

#[tokio::test]
async fn a_repository_of_somebody_else_is_left_alone() {
    let lab = lab().await;
    let quay = Lab::container("quay", "2.9.5");
    let _quay = lab.start(&quay, SET_UP);
    lab.until_healthy(&quay).await;
    push_one(quay.port(), REPOSITORY, "theirs").await;
    let place = verified(quay.port(), Mode::Absent, ROBOT, None).await;
    assert_eq!(
        faults(&place),
        ["quaymaster/verify holds 1 tag that no verification pushed: theirs"]
    );
    assert!(!passed(&place).contains(&Check::Schema1));
}

async fn keep_one(port: u16) {
    push_one(port, "quaymaster/kept", "v1").await;
}

/// A schema 1 image, as a user would have pushed it.
async fn push_one(port: u16, repository: &str, tag: &str) {
    let client = client(port);
    let challenge = client.challenge().await.unwrap().unwrap();
    let login = robot(ROBOT, PASSWORD);
    let access = client.token(&challenge, Some(&login), repository, "push,pull").await.unwrap();
    let key = Key::make().unwrap();
    let image = quaymaster::verify::schema1::image("kept", repository, tag, &key).unwrap();
    for blob in &image.blobs {
        client.push_blob(&access, repository, &blob.digest, &blob.bytes).await.unwrap();
    }
    let manifest = &image.manifest;
    let put = client.put_manifest(&access, repository, tag, manifest.content()).await.unwrap();
    assert_eq!((put.status, put.digest.as_str()), (202, manifest.digest.as_str()));
}
