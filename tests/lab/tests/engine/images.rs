//! Pulls from the stand-in registry, and how they fail.

use crate::bench::{Bench, POLITE, refused, shell};
use bollard::{
    auth::DockerCredentials,
    errors::Error,
    models::CreateImageInfo,
    query_parameters::{CreateImageOptionsBuilder, ListImagesOptions},
};
use futures::TryStreamExt;
use quaymaster_lab::engine::{RegistryCredentials, RegistryEntry, RegistryFault, RegistryFile};

const REPOSITORY: &str = "127.0.0.1:5000/quayio/coreos/quay";

fn digest() -> String {
    format!("sha256:{:0<64}", "d19e57")
}

fn entry(fault: Option<RegistryFault>) -> RegistryEntry {
    RegistryEntry {
        repository: REPOSITORY.to_owned(),
        tag: "v2.9.5".to_owned(),
        digest: digest(),
        image: shell("295"),
        credentials: None,
        fault,
    }
}

async fn bench_with(entry: RegistryEntry) -> Bench {
    let bench = Bench::stand_in().await;
    bench.own().publish(&RegistryFile(vec![entry]));
    bench
}

async fn pull(
    bench: &Bench,
    repository: &str,
    tag: &str,
    credentials: Option<DockerCredentials>,
) -> Result<Vec<CreateImageInfo>, Error> {
    let options = CreateImageOptionsBuilder::default().from_image(repository).tag(tag).build();
    bench.docker.create_image(Some(options), None, credentials).try_collect().await
}

fn last_words(told: &[CreateImageInfo]) -> &str {
    told.last().unwrap().status.as_deref().unwrap()
}

#[tokio::test]
async fn a_pull_tells_its_progress_and_its_image_runs() {
    let bench = bench_with(entry(None)).await;
    let told = pull(&bench, REPOSITORY, "v2.9.5", None).await.unwrap();
    let progress = told.iter().filter_map(|line| line.progress_detail.as_ref());
    let bytes: Vec<i64> = progress.filter_map(|detail| detail.current).collect();
    assert!(bytes.is_sorted() && bytes.len() > 3, "{bytes:?}");
    assert_eq!(bytes.last(), Some(&1_000_000));
    assert!(last_words(&told).contains("Downloaded newer image"));

    let image = bench.docker.inspect_image(&format!("{REPOSITORY}:v2.9.5")).await.unwrap();
    assert_eq!(image.id, Some(shell("295").id));
    assert_eq!(image.repo_digests, Some(vec![format!("{REPOSITORY}@{}", digest())]));
    let mut body = bench.body(POLITE);
    body.image = Some(shell("295").id);
    let id = bench.run_as("a", body).await;
    assert_eq!(bench.inspect(&id).await.image, Some(shell("295").id));

    let again = pull(&bench, REPOSITORY, "v2.9.5", None).await.unwrap();
    assert!(last_words(&again).contains("Image is up to date"));
    bench.finish().await;
}

#[tokio::test]
async fn a_pull_by_digest_gives_no_tag() {
    let bench = bench_with(entry(None)).await;
    pull(&bench, REPOSITORY, &digest(), None).await.unwrap();
    let pinned = format!("{REPOSITORY}@{}", digest());
    let image = bench.docker.inspect_image(&pinned).await.unwrap();
    assert_eq!((image.id, image.repo_tags), (Some(shell("295").id), Some(Vec::new())));
    assert_eq!(bench.docker.list_images(None::<ListImagesOptions>).await.unwrap().len(), 2);
    let missing = bench.docker.inspect_image(&format!("{REPOSITORY}:v2.9.5")).await;
    assert_eq!(refused(missing).0, 404);
    bench.finish().await;
}

#[tokio::test]
async fn a_full_disk_is_told_inside_the_answer() {
    let bench = bench_with(entry(Some(RegistryFault::DiskFull))).await;
    match pull(&bench, REPOSITORY, "v2.9.5", None).await {
        Err(Error::DockerStreamError { error }) => assert!(error.contains("no space left")),
        other => panic!("no failure inside the answer: {other:?}"),
    }
    let missing = bench.docker.inspect_image(&format!("{REPOSITORY}:v2.9.5")).await;
    assert_eq!(refused(missing).0, 404);
    bench.finish().await;
}

#[tokio::test]
async fn what_the_registry_does_not_give_is_refused_at_once() {
    for (fault, tag, repository, wanted) in [
        (None, "v3.0.5", REPOSITORY, (404, "manifest unknown")),
        (None, "v2.9.5", "127.0.0.1:6000/quay", (500, "connection refused")),
        (Some(RegistryFault::Missing), "v2.9.5", REPOSITORY, (404, "manifest unknown")),
        (Some(RegistryFault::Denied), "v2.9.5", REPOSITORY, (404, "pull access denied")),
    ] {
        let bench = bench_with(entry(fault)).await;
        let (status, words) = refused(pull(&bench, repository, tag, None).await);
        assert_eq!(status, wanted.0);
        assert!(words.contains(wanted.1), "{words}");
        bench.finish().await;
    }
}

#[tokio::test]
async fn credentials_are_asked_for_and_compared() {
    let mut guarded = entry(None);
    guarded.credentials =
        Some(RegistryCredentials { username: "quay".to_owned(), password: "s3cret".to_owned() });
    let bench = bench_with(guarded).await;
    let shown = |password: &str| {
        Some(DockerCredentials {
            username: Some("quay".to_owned()),
            password: Some(password.to_owned()),
            ..Default::default()
        })
    };
    let (status, words) = refused(pull(&bench, REPOSITORY, "v2.9.5", shown("wrong")).await);
    assert_eq!((status, words.as_str()), (500, "unauthorized: authentication required"));
    let (status, words) = refused(pull(&bench, REPOSITORY, "v2.9.5", None).await);
    assert!(status == 500 && words.contains("no basic auth credentials"), "{words}");
    pull(&bench, REPOSITORY, "v2.9.5", shown("s3cret")).await.unwrap();

    let name = format!("{REPOSITORY}:v2.9.5");
    let found = bench.docker.inspect_registry_image(&name, shown("s3cret")).await.unwrap();
    assert_eq!(found.descriptor.digest, Some(digest()));
    let unknown = bench.docker.inspect_registry_image(&name, shown("wrong")).await;
    assert_eq!(refused(unknown).0, 401);
    bench.finish().await;
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_ends() {
    let bench = bench_with(entry(Some(RegistryFault::Slow))).await;
    let options = CreateImageOptionsBuilder::default().from_image(REPOSITORY).tag("v2.9.5").build();
    let mut told = Box::pin(bench.docker.create_image(Some(options), None, None));
    assert!(told.try_next().await.unwrap().is_some());
    drop(told);
    let missing = bench.docker.inspect_image(&format!("{REPOSITORY}:v2.9.5")).await;
    assert_eq!(refused(missing).0, 404);
    bench.finish().await;
}
