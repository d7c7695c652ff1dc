use super::*;

fn up(release: Release, mode: &str) -> Situation {
    Situation {
        release,
        phase: Phase::Up,
        is_background: mode == "background",
        shows_progress: mode == "background",
        database: true,
        storage: true,
        jwtproxy: true,
        tags: Some((1894, 953)),
        scheme: "http".into(),
        hostname: "localhost:8080".into(),
    }
}

fn get() -> Asked {
    Asked { method: "GET".into(), host: "localhost:8080".into(), ..Asked::default() }
}

fn ask(path: &str, now: &Situation) -> Answer {
    answer(Route::of(path), &get(), now)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

#[test]
fn healthy_bodies_are_those_recorded() {
    let now = up(Release::V3_0_5, "background");
    assert_eq!(
        ask("/health/instance", &now).body,
        "{\"data\":{\"services\":{\"auth\":true,\"database\":true,\"disk_space\":true,\
         \"jwtproxy\":true,\"registry_gunicorn\":true,\"service_key\":true,\
         \"verbs_gunicorn\":true,\"web_gunicorn\":true}},\"status_code\":200}\n"
    );
    assert_eq!(
        ask("/status", &now).body,
        "{\"data\":{\"services\":{\"auth\":true,\"database\":true,\"redis\":true,\
         \"storage\":true}},\"status_code\":200}\n"
    );
    assert_eq!(ask("/health/warning", &now).status, 200);
}

#[test]
fn the_progress_is_a_fraction_without_a_clamp() {
    let mut now = up(Release::V3_0_5, "background");
    let progress = ask("/upgradeprogress/", &now);
    assert_eq!(
        progress.body,
        "{\"progress\":0.503167898627244,\"tags_remaining\":941,\"total_tags\":1894}\n"
    );
    assert_eq!(header(&progress, "Content-Type"), Some("application/json"));
    now.tags = Some((1894, 1904));
    assert_eq!(
        ask("/upgradeprogress/", &now).body,
        "{\"progress\":1.0052798310454065,\"tags_remaining\":-10,\"total_tags\":1894}\n"
    );
    now.tags = Some((0, 0));
    assert_eq!(
        ask("/upgradeprogress/", &now).body,
        "{\"progress\":1.0,\"tags_remaining\":0,\"total_tags\":0}\n"
    );
    now.tags = None;
    assert_eq!(ask("/upgradeprogress/", &now).status, 500);
}

#[test]
fn the_progress_is_hidden_in_complete_mode_and_before_3_0() {
    let complete = ask("/upgradeprogress/", &up(Release::V3_0_5, "complete"));
    assert_eq!((complete.status, complete.body.as_str()), (404, "{\"error\": \"Not Found\"}"));
    assert_eq!(header(&complete, "Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(ask("/upgradeprogress/", &up(Release::V2_9_5, "")).status, 404);
}

#[test]
fn the_redirect_loses_the_port() {
    let answer = ask("/upgradeprogress", &up(Release::V3_0_5, "complete"));
    assert_eq!(answer.status, 308);
    assert_eq!(header(&answer, "Location"), Some("http://localhost/upgradeprogress/"));
}

#[test]
fn an_unauthenticated_list_tells_the_mode() {
    let put = Asked {
        method: "PUT".into(),
        content_type: "application/vnd.docker.distribution.manifest.list.v2+json".into(),
        ..get()
    };
    let status = |release, mode| {
        answer(Route::of("/v2/a/b/manifests/probe"), &put, &up(release, mode)).status
    };
    assert_eq!(status(Release::V3_0_5, "background"), 415);
    assert_eq!(status(Release::V3_0_5, "complete"), 401);
    assert_eq!(status(Release::V2_9_5, ""), 401);
}

#[test]
fn the_registry_challenges_with_its_hostname() {
    let answer = ask("/v2/", &up(Release::V3_0_5, "complete"));
    assert_eq!((answer.status, answer.body.as_str()), (401, "true"));
    assert_eq!(
        header(&answer, "WWW-Authenticate"),
        Some("Bearer realm=\"http://localhost:8080/v2/auth\",service=\"localhost:8080\"")
    );
    assert_eq!(ask("/v2/auth", &up(Release::V3_0_5, "complete")).status, 401);
}

#[test]
fn a_start_is_502_then_503_then_200() {
    let mut now = up(Release::V3_0_5, "complete");
    let mut status = |phase| {
        now.phase = phase;
        (ask("/health/instance", &now).status, ask("/v1/_ping", &now).status)
    };
    assert_eq!(status(Phase::Loading), (502, 200));
    assert_eq!(status(Phase::WebUp), (503, 200));
    assert_eq!(status(Phase::VerbsUp), (503, 200));
    assert_eq!(status(Phase::Up), (200, 200));
}

#[test]
fn without_the_database_health_is_503_and_pings_are_200() {
    let now = Situation { database: false, ..up(Release::V3_0_5, "complete") };
    assert_eq!(ask("/health/instance", &now).status, 503);
    assert_eq!(ask("/health/endtoend", &now).status, 503);
    assert_eq!(ask("/health/warning", &now).status, 200);
    assert_eq!(ask("/v1/_internal_ping", &now).status, 200);
    assert_eq!(ask("/v2/", &now).status, 401);
}
