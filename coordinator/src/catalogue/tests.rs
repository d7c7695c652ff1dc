use quaymaster_proto::{Component, Mode, PortMove};

use super::*;

fn generation(release: &str, mode: Mode) -> ReleaseInMode {
    ReleaseInMode { release: release.to_owned(), mode }
}

#[test]
fn the_built_in_catalogue_knows_both_ways_from_2_9_5_to_3_0_5() {
    let catalogue = Catalogue::built_in();
    let old = generation("2.9.5", Mode::Absent);
    let background = generation("3.0.5", Mode::Background);
    let complete = generation("3.0.5", Mode::Complete);

    assert!(!catalogue.entry(&old, &background).unwrap().moves_tags);
    assert!(catalogue.entry(&old, &complete).unwrap().moves_tags);
    assert!(catalogue.entry(&background, &complete).is_some());
    assert!(catalogue.entry(&complete, &background).is_none());

    assert_eq!(catalogue.accepted(&old), ["5b7503aada1b", "1783530bee68"]);
    assert_eq!(catalogue.generation(&background).unwrap().target, "481623ba00ba");
    assert_eq!(catalogue.generation(&complete).unwrap().target, "b918abdbee43");
    assert_eq!(
        catalogue.port_moves(&old, &background),
        [PortMove { from: 80, to: 8080 }, PortMove { from: 443, to: 8443 }]
    );
    assert_eq!(catalogue.port_moves(&background, &complete), []);
}

#[test]
fn the_built_in_catalogue_knows_the_documented_images() {
    let catalogue = Catalogue::built_in();
    let release = catalogue.release("3.0.5").unwrap();
    let image = |component| release.image(component).unwrap().to_string();
    // 3.15.6 of the documented procedure.
    assert_eq!(image(Component::Quay), "quay.io/redhat/quay:v3.0.5");
    assert_eq!(image(Component::Clair), "quay.io/redhat/clair-jwt:v3.0.5");
    assert_eq!(image(Component::Builder), "quay.io/redhat/quay-builder:v3.0.5");
}

#[test]
fn the_way_of_a_migration_is_counted_where_it_is_known() {
    let catalogue = Catalogue::built_in();
    let way = ["5b7503aada1b", "481623ba00ba"];
    assert_eq!(catalogue.revisions("3.0.5", way, "5b7503aada1b"), Some((0, 18)));
    assert_eq!(catalogue.revisions("3.0.5", way, "c00a1f15968b"), Some((13, 18)));
    assert_eq!(catalogue.revisions("3.0.5", way, "481623ba00ba"), Some((18, 18)));
    assert_eq!(catalogue.revisions("3.0.5", way, "b918abdbee43"), None);
    assert_eq!(catalogue.revisions("3.0.5", way, "0123456789ab"), None);
    assert_eq!(catalogue.revisions("2.9.5", way, "5b7503aada1b"), None);
}

#[test]
fn a_release_is_known_by_repository_and_tag_together() {
    let catalogue = Catalogue::built_in();
    let found = |text: &str| {
        let image = text.parse().unwrap();
        catalogue.release_of(Component::Quay, &image).map(|release| release.name.as_str())
    };
    assert_eq!(found("quay.io/coreos/quay:v2.9.5"), Some("2.9.5"));
    assert_eq!(found("quay.io/redhat/quay:v3.0.5"), Some("3.0.5"));
    assert_eq!(found("quay.io/redhat/quay:v2.9.5"), None);
    assert_eq!(found("quay.io/redhat/quay:v3.0.4"), None);
    assert_eq!(found(&format!("quay.io/redhat/quay@sha256:{}", "a".repeat(64))), None);
}

#[test]
fn a_new_release_is_an_entry_and_a_wrong_one_is_refused() {
    let more = format!(
        "{RELEASES}
  - release: 3.1.3
    images: {{ quay: {{ repository: quay.io/redhat/quay, tag: v3.1.3 }} }}
    ports: {{ http: 8080, https: 8443 }}
    stop: {{ quay: {{ grace: 10s, burns_grace: true }} }}
    start: {{ at_best: 40s, likely: 1m, at_worst: 3m }}
    modes:
      - mode: complete
        target: 5248ddf35167
        revisions: [5248ddf35167]
        entries:
          - from: {{ release: 3.0.5, mode: complete }}
            schema: {{ at_best: 5s, likely: 30s, at_worst: 2m }}
            moves_tags: false
"
    );
    let catalogue = Catalogue::parse(&more).unwrap();
    let from = generation("3.0.5", Mode::Complete);
    assert!(catalogue.entry(&from, &generation("3.1.3", Mode::Complete)).is_some());

    let wrong = more
        .replace("v3.1.3", "v3.0.5")
        .replace(
            "from: { release: 3.0.5, mode: complete }",
            "from: { release: 3.0.9, mode: complete }",
        )
        .replace("revisions: [5248ddf35167]", "revisions: [5248]")
        .replace("at_best: 5s", "at_best: 5m");
    insta::assert_snapshot!(Catalogue::parse(&wrong).unwrap_err().to_string());
}
