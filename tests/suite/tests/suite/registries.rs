//! Registries that want a login, that mirror, that serve something else, that
//! break off: what an operator meets, and that the Quays go on serving.

mod front;
mod store;

use std::fs;

use insta::assert_snapshot;
use quaymaster_lab::engine::{Image, RegistryFile, StoredImage, load_image};
use quaymaster_suite::container::is_running;
use quaymaster_suite::{Shape, TestLab, redact};

use crate::refusals::{PLAN, refused};

/// A site that nothing comes into but files: what is loaded is known by its id.
#[tokio::test]
async fn an_image_that_was_loaded_needs_no_registry() {
    let lab = TestLab::up(Shape::of(2)).await;
    let path = lab.lab().layout().image_file();
    let RegistryFile(entries) = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let new = entries.into_iter().find(|entry| entry.tag == "v3.0.5").unwrap();
    let name = format!("{}:{}", new.repository, new.tag);
    fs::write(&path, "[]").unwrap();
    refused(&lab, "no-registry-and-no-image", "cluster.yaml", PLAN).await;

    load(&lab, "quay-1", &name, new.image.clone());
    let other = Image { id: format!("sha256:{}", "5".repeat(64)), ..new.image.clone() };
    load(&lab, "quay-2", &name, other.clone());
    refused(&lab, "loaded-images-that-differ", "cluster.yaml", PLAN).await;
    // The name goes to the one that was loaded last.
    load(&lab, "quay-2", "127.0.0.1:5000/other:1", other);
    load(&lab, "quay-2", &name, new.image.clone());

    let plan = lab.plan(Some("background")).await;
    redact::settings(&lab).bind(|| {
        assert_snapshot!("loaded-plan", redact::steady(&plan.outcome.page()));
    });
    let outcome = lab.apply(&plan).await.expect_code(0);
    assert!(!outcome.stderr.contains("  pull  "), "{}", outcome.stderr);
    // The second window needs no more than what runs.
    lab.apply(&lab.plan(None).await).await.expect_code(0);
    for node in lab.nodes() {
        let quay = lab.quay_of(&node).await;
        assert!(is_running(&quay), "{node}");
        assert_eq!(quay.image.as_deref(), Some(new.image.id.as_str()), "{node}");
    }
    lab.check().await.expect_clean();
}

/// What `docker load` leaves on a node.
fn load(lab: &TestLab, node: &str, name: &str, image: Image) {
    let stored = StoredImage {
        tags: [name.to_owned()].into(),
        digests: [].into(),
        created: "2019-05-01T00:00:00Z".parse().unwrap(),
        image,
    };
    load_image(&lab.lab().layout().engine_data(node), &stored).unwrap();
}

/// A real engine and real registries.
mod docker {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use insta::Settings;
    use quaymaster_lab::cluster::lab_file::EngineKind;
    use quaymaster_suite::upgrade::apply_arguments;
    use quaymaster_suite::{Shape, TestLab};

    use super::front::{Door, Front};
    use super::store::{PASSWORD, Store, USER, with_login};
    use crate::refusals::{PLAN, refused};

    const ONE: &str = "quay-1";
    const NEW: &str = "quayio/redhat/quay";
    const TAG: &str = "v3.0.5";
    /// Well into the large layer.
    const HALF_WAY: usize = 2_000_000;

    #[tokio::test]
    async fn a_pull_meets_all_that_can_be_wrong_with_a_registry() {
        // Declared first: what is pulled goes when the lab has gone.
        let mut pulled = Pulled(String::new());
        let mut shape = Shape::of(1);
        shape.engine = EngineKind::Docker;
        let mut lab = TestLab::up(shape).await;
        let registry = lab.lab().file().registry.clone();
        let store = Store::of(&lab.lab().layout().registry());
        let small = store.digest_of(NEW, TAG);
        let large = push_larger(&registry, &lab.dir().join("blob"));
        assert_eq!(store.digest_of(NEW, TAG), large);
        let login = lab.dir().join("registry-with-login");
        let (_registry, port) = with_login(&lab.lab().layout().registry(), &login).await;
        let front = Front::before(port).await;
        let mirror = format!("127.0.0.1:{}", front.port);
        pulled.0 = mirror.clone();
        let mut pages = Settings::clone_current();
        pages.add_filter(&mirror.replace('.', r"\."), "127.0.0.1:MIRROR");
        let _pages = pages.bind_to_scope();
        use_mirror(&mut lab, &registry, &mirror).await;

        logins(&lab, &mirror).await;
        loaded(&lab, &front, &registry, &mirror).await;
        let plan = lab.plan(Some("background")).await;
        let image = &plan.json["image"];
        assert!(image.to_string().contains(&large), "{image}");

        // The manifest first: an engine that has once read one does not ask for it again.
        // Each ends as it began, so that the same plan is tried again.
        let apply = apply_arguments(&plan);
        let bytes = alter(&store.blob(&large));
        refused(&lab, "manifest-of-other-bytes", "cluster.yaml", &apply).await;
        fs::write(store.blob(&large), bytes).unwrap();
        fs::write(store.tag(NEW, TAG), &small).unwrap();
        let revision = store.revision(NEW, &large);
        fs::remove_file(&revision).unwrap();
        let page = refused(&lab, "digest-that-is-gone", "cluster.yaml", &apply).await.page();
        assert!(page.contains(&large) && page.contains(&small), "{small}");
        fs::write(&revision, &large).unwrap();
        front.set(Door::Closed).await;
        refused(&lab, "registry-that-is-gone", "cluster.yaml", &apply).await;
        front.set(Door::Jams { after: HALF_WAY }).await;
        refused(&lab, "pull-that-stands-still", "cluster.yaml", &apply).await;
        front.set(Door::Open).await;
        let layer = store.blob(&store.last_layer(&large));
        let bytes = alter(&layer);
        refused(&lab, "layer-of-other-bytes", "cluster.yaml", &apply).await;
        fs::write(&layer, bytes).unwrap();

        // The tag means another image by now, and that image is not taken.
        front.set(Door::BreaksOffOnce { after: HALF_WAY }).await;
        let outcome = lab.quaymaster(&apply).await.expect_code(0);
        let said = &outcome.stderr;
        assert!(said.contains("broke off; the engine tries it again"), "{said}");
        let runs = lab.quay_of(ONE).await.image.unwrap();
        let image = lab.engine(ONE).inspect_image(&runs).await.unwrap();
        let pinned = format!("{mirror}/{NEW}@{large}");
        assert!(image.repo_digests.unwrap_or_default().contains(&pinned), "{pinned}");
        lab.check().await.expect_clean();
    }

    /// No login, a wrong one, and files that are not to be used.
    async fn logins(lab: &TestLab, mirror: &str) {
        let path = lab.lab().layout().node(ONE).join("auth.json");
        refused(lab, "logins-that-are-not-there", "cluster.yaml", PLAN).await;
        let wrong = entry(mirror, USER, "guessed");
        let other = entry("quay.io", USER, PASSWORD);
        let helped = r#"{ "auths": {}, "credsStore": "secretservice" }"#.to_owned();
        let right = entry(mirror, USER, PASSWORD);
        for (name, text, mode) in [
            ("login-of-another-registry", &other, 0o600),
            ("login-that-is-wrong", &wrong, 0o600),
            ("login-that-a-helper-keeps", &helped, 0o600),
            ("logins-open-to-all", &right, 0o644),
        ] {
            write_logins(&path, text, mode);
            let outcome = refused(lab, name, "cluster.yaml", PLAN).await;
            assert!(!outcome.page().contains(PASSWORD), "{name}");
        }
        write_logins(&path, &right, 0o600);
    }

    /// With the registry gone, an image that came out of a file will do.
    async fn loaded(lab: &TestLab, front: &Front, registry: &str, mirror: &str) {
        let (from, name) = (format!("{registry}/{NEW}:{TAG}"), format!("{mirror}/{NEW}:{TAG}"));
        let file = lab.dir().join("image.tar").display().to_string();
        docker(&["pull", "--quiet", &from]);
        docker(&["tag", &from, &name]);
        docker(&["save", "--output", &file, &name]);
        docker(&["rmi", &from, &name]);
        docker(&["load", "--quiet", "--input", &file]);
        front.set(Door::Closed).await;
        let plan = lab.plan(Some("background")).await;
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
        assert_eq!(plan.json["image"]["loaded"]["image"], id, "{}", plan.json["image"]);
        front.set(Door::Open).await;
        docker(&["rmi", &name]);
    }

    /// Changes one byte of a file, and returns what it held.
    fn alter(path: &Path) -> Vec<u8> {
        let bytes = fs::read(path).unwrap();
        let mut other = bytes.clone();
        let space = other.iter().rposition(|byte| *byte == b' ').unwrap();
        other[space] = b'\t';
        fs::write(path, other).unwrap();
        bytes
    }

    /// The new release comes from the mirror, the old one from where it came.
    async fn use_mirror(lab: &mut TestLab, registry: &str, mirror: &str) {
        let layout = lab.lab().layout().clone();
        edit(
            &layout.cluster_file(),
            &format!("{{ quay.io: \"{registry}/quayio\" }}"),
            &format!(
                "{{ quay.io/coreos: \"{registry}/quayio/coreos\", \
                 quay.io/redhat: \"{mirror}/quayio/redhat\" }}"
            ),
        );
        let agent = layout.agent_file(ONE);
        edit(&agent, "repositories: [", &format!("repositories: [{mirror}/{NEW}, "));
        // Low on purpose: nothing here takes longer.
        let registries = "registries: { credentials: auth.json, attempts: 2, stalled_after: 3s }";
        edit(&agent, "components:", &format!("{registries}\ncomponents:"));
        lab.restart_agent(ONE).await;
    }

    fn edit(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{from} in {}", path.display());
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn entry(registry: &str, user: &str, password: &str) -> String {
        serde_json::json!({
            "auths": { registry: { "username": user, "password": password } }
        })
        .to_string()
    }

    fn write_logins(path: &PathBuf, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Puts a layer of 6 MB on the new release, under the same tag, and takes
    /// it away from the engine again; returns the manifest's digest.
    fn push_larger(registry: &str, blob: &Path) -> String {
        let mut bytes = vec![0; 6_000_000];
        let mut chance = fs::File::open("/dev/urandom").unwrap();
        std::io::Read::read_exact(&mut chance, &mut bytes).unwrap();
        fs::write(blob, bytes).unwrap();
        let reference = format!("{registry}/{NEW}:{TAG}");
        docker(&["pull", "--quiet", &reference]);
        let container = docker(&["create", &reference]);
        docker(&["cp", &blob.display().to_string(), &format!("{container}:/blob")]);
        docker(&["commit", &container, &reference]);
        docker(&["rm", "--volumes", &container]);
        let pushed = docker(&["push", &reference]);
        let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:"));
        let digest = digest.expect("a push ends with the digest").to_owned();
        docker(&["rmi", &reference]);
        digest
    }

    fn docker(arguments: &[&str]) -> String {
        let output = Command::new("docker").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The images that came from a registry, which go with the value.
    struct Pulled(String);

    impl Drop for Pulled {
        fn drop(&mut self) {
            if self.0.is_empty() {
                return;
            }
            let reference = format!("reference={}/*/*/*", self.0);
            for image in docker(&["images", "--quiet", "--filter", &reference]).split_whitespace() {
                docker(&["rmi", "--force", image]);
            }
        }
    }
}
