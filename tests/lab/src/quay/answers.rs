//! What Quay answers to which request in which situation: status, headers and body as recorded
//! from the real one (quay-observed 1, 2 and 5, quay-facts 8.5). Pure.

use serde_json::{Map, Value, json};

use super::release::Release;

/// How far a start has come, as an HTTP client sees it once the listeners are open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// nginx is there and nothing behind it.
    Loading,
    WebUp,
    VerbsUp,
    Up,
    Stopping,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Front,
    HealthInstance,
    HealthEndToEnd,
    HealthWarning,
    WebPing,
    RegistryPing,
    VerbsPing,
    ScannerPing,
    NginxPing,
    Progress,
    ProgressWithoutSlash,
    Registry,
    RegistryWithoutSlash,
    RegistryToken,
    Manifest,
    RegistryOther,
    Unknown,
}

/// What a request says that matters to an answer.
#[derive(Clone, Default, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// The Host header.
    pub(super) host: String,
    pub(super) is_forwarded_https: bool,
    pub(super) content_type: String,
    pub(super) accept: Option<String>,
    pub(super) has_credentials: bool,
    pub(super) has_scope: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Situation {
    pub(super) release: Release,
    pub(super) phase: Phase,
    pub(super) is_background: bool,
    pub(super) shows_progress: bool,
    pub(super) database: bool,
    pub(super) storage: bool,
    pub(super) jwtproxy: bool,
    /// Visible tags and mapping rows; `None` if the database did not say.
    pub(super) tags: Option<(i64, i64)>,
    /// `scheme://SERVER_HOSTNAME` in its two parts.
    pub(super) scheme: String,
    pub(super) hostname: String,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// What nginx and the error pages say of themselves.
pub(super) const BARE_HTML: &str = "text/html";
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
     <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
pub(super) const SERVER_ERROR: &str = "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n\
     \x20 <body>\n    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n";
pub(super) const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

impl Route {
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/" => Self::Front,
            "/health" | "/health/instance" => Self::HealthInstance,
            "/status" | "/health/endtoend" => Self::HealthEndToEnd,
            "/health/warning" => Self::HealthWarning,
            "/_internal_ping" => Self::WebPing,
            "/v1/_internal_ping" => Self::RegistryPing,
            "/c1/_internal_ping" => Self::VerbsPing,
            "/secscan/_internal_ping" => Self::ScannerPing,
            "/v1/_ping" => Self::NginxPing,
            "/upgradeprogress/" => Self::Progress,
            "/upgradeprogress" => Self::ProgressWithoutSlash,
            "/v2/" => Self::Registry,
            "/v2" => Self::RegistryWithoutSlash,
            "/v2/auth" => Self::RegistryToken,
            path if path.starts_with("/v2/") && path.contains("/manifests/") => Self::Manifest,
            path if path.starts_with("/v2/") => Self::RegistryOther,
            _ => Self::Unknown,
        }
    }

    /// Whether the answer hangs on the database.
    pub(super) const fn asks_database(self) -> bool {
        matches!(
            self,
            Self::HealthInstance | Self::HealthEndToEnd | Self::Progress | Self::RegistryToken
        )
    }

    pub(super) const fn is_registry(self) -> bool {
        matches!(
            self,
            Self::RegistryPing
                | Self::Registry
                | Self::RegistryWithoutSlash
                | Self::RegistryToken
                | Self::Manifest
                | Self::RegistryOther
        )
    }
}

/// The answer to `asked` at `route`.
pub(super) fn answer(route: Route, asked: &Asked, now: &Situation) -> Answer {
    if route == Route::NginxPing {
        // nginx's own answer, with the type of the file twice over.
        return Answer::new(200, "application/octet-stream", "true")
            .with("Content-Type", "text/plain")
            .with("X-Docker-Registry-Version", "0.6.0")
            .with("X-Docker-Registry-Standalone", "0");
    }
    let is_behind = match now.phase {
        Phase::Loading | Phase::Stopping => true,
        Phase::WebUp => route.is_registry() || route == Route::VerbsPing,
        Phase::VerbsUp => route.is_registry(),
        Phase::Up => false,
    };
    if is_behind {
        return Answer::new(502, BARE_HTML, BAD_GATEWAY);
    }
    let reads = matches!(asked.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    match route {
        Route::Manifest => manifest(asked, now),
        _ if !reads => not_allowed(),
        Route::Front => front(now.release),
        Route::HealthInstance => health(instance_services(now)),
        Route::HealthEndToEnd => health(vec![
            ("auth", true),
            ("database", now.database),
            ("redis", true),
            ("storage", now.storage),
        ]),
        Route::HealthWarning => health(vec![("disk_space_warning", true)]),
        Route::WebPing
        | Route::RegistryPing
        | Route::VerbsPing
        | Route::ScannerPing
        | Route::NginxPing => Answer::new(200, HTML, "true").with("X-Frame-Options", "DENY"),
        Route::Progress => progress(now),
        Route::ProgressWithoutSlash => redirect(asked, "/upgradeprogress/"),
        Route::Registry => challenge(Answer::new(401, HTML, "true"), now),
        Route::RegistryWithoutSlash => redirect(asked, "/v2/"),
        Route::RegistryToken => token(asked, now),
        Route::RegistryOther => unauthorized(now),
        Route::Unknown => not_found(now.release),
    }
}

fn instance_services(now: &Situation) -> Vec<(&'static str, bool)> {
    let mut services = vec![
        ("auth", true),
        ("database", now.database),
        ("jwtproxy", now.jwtproxy),
        ("registry_gunicorn", now.phase >= Phase::Up),
        ("service_key", true),
        ("verbs_gunicorn", now.phase >= Phase::VerbsUp),
        ("web_gunicorn", true),
    ];
    match now.release {
        // Nobody observed a 2.9; it is taken to lack this one (quay-facts 6).
        Release::V2_9_5 => {}
        Release::V3_0_5 => services.push(("disk_space", true)),
    }
    services
}

fn health(services: Vec<(&'static str, bool)>) -> Answer {
    let is_well = services.iter().all(|(_, is_up)| *is_up);
    let status = if is_well { 200 } else { 503 };
    let services: Map<String, Value> =
        services.into_iter().map(|(name, is_up)| (name.to_owned(), is_up.into())).collect();
    let body = json!({ "data": { "services": services }, "status_code": status });
    let answer =
        Answer::json(status, &body).with("Cache-Control", "no-cache, no-store, must-revalidate");
    if is_well { answer.with("X-Frame-Options", "DENY") } else { answer }
}

fn progress(now: &Situation) -> Answer {
    match (now.shows_progress, now.tags) {
        (false, _) => not_found(now.release),
        (true, None) => Answer::new(500, BARE_HTML, SERVER_ERROR),
        (true, Some((total, upgraded))) => {
            // No clamp: more mapping rows than visible tags is more than 1, and a negative rest.
            #[expect(clippy::cast_precision_loss, reason = "as Python divides")]
            let progress = if total == 0 { 1.0 } else { upgraded as f64 / total as f64 };
            let remaining = if total == 0 { 0 } else { total - upgraded };
            let body = json!({
                "progress": progress, "tags_remaining": remaining, "total_tags": total
            });
            fresh(Answer::json(200, &body))
        }
    }
}

/// What Flask says beside a good answer that nobody may keep.
pub(super) fn fresh(answer: Answer) -> Answer {
    answer
        .with("Cache-Control", "no-cache, no-store, must-revalidate")
        .with("X-Frame-Options", "DENY")
}

/// Without credentials. The mode is looked at before the token, so that an unauthenticated PUT
/// tells the mode of the running process.
fn manifest(asked: &Asked, now: &Situation) -> Answer {
    let is_schema_1 = SCHEMA_1.iter().any(|kind| asked.content_type.starts_with(kind));
    let takes_schema_1 = asked.accept.as_deref().is_none_or(|accept| {
        accept.contains("*/*") || SCHEMA_1.iter().any(|kind| accept.contains(kind))
    });
    let is_put = asked.method == "PUT";
    if is_put && now.is_background && !(is_schema_1 && takes_schema_1) {
        return unsupported();
    }
    unauthorized(now)
}

pub(super) fn unsupported() -> Answer {
    let detail = json!({ "message": "manifest schema version not supported" });
    error(415, "MANIFEST_INVALID", "manifest invalid", &detail)
}

fn token(asked: &Asked, now: &Situation) -> Answer {
    if asked.has_credentials {
        return wrong_login(now);
    }
    match (asked.has_scope, now.database) {
        (false, _) => unauthorized(now),
        (true, true) => fresh(Answer::json(200, &json!({ "token": "stand-in" }))),
        (true, false) => Answer::new(500, BARE_HTML, SERVER_ERROR),
    }
}

/// Whoever named an account is mistaken.
pub(super) fn wrong_login(now: &Situation) -> Answer {
    let refused = error(401, "UNAUTHORIZED", "Invalid Username or Password", &json!({}));
    challenge(refused, now)
}

pub(super) fn unauthorized(now: &Situation) -> Answer {
    let message = "access to the requested resource is not authorized";
    challenge(error(401, "UNAUTHORIZED", message, &json!({})), now)
}

pub(super) fn challenge(answer: Answer, now: &Situation) -> Answer {
    let Situation { scheme, hostname, .. } = now;
    answer.with("Docker-Distribution-API-Version", "registry/2.0").with(
        "WWW-Authenticate",
        &format!("Bearer realm=\"{scheme}://{hostname}/v2/auth\",service=\"{hostname}\""),
    )
}

pub(super) fn error(status: u16, code: &str, message: &str, detail: &Value) -> Answer {
    let body = json!({ "errors": [{ "code": code, "detail": detail, "message": message }] });
    Answer::json(status, &body)
}

/// nginx passes the host on without its port, and so the redirect loses it (quay-observed 1).
fn redirect(asked: &Asked, path: &str) -> Answer {
    let scheme = if asked.is_forwarded_https { "https" } else { "http" };
    let host = asked.host.rsplit_once(':').map_or(asked.host.as_str(), |(host, _)| host);
    let location = format!("{scheme}://{host}{path}");
    let body = format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n\
         <title>Redirecting...</title>\n<h1>Redirecting...</h1>\n\
         <p>You should be redirected automatically to target URL: \
         <a href=\"{location}\">{location}</a>.  If not click the link."
    );
    Answer::new(308, HTML, &body).with("Location", &location).with("X-Frame-Options", "DENY")
}

fn not_found(release: Release) -> Answer {
    match release {
        Release::V2_9_5 => Answer::new(404, HTML, &page(release)),
        Release::V3_0_5 => Answer::new(404, HTML, "{\"error\": \"Not Found\"}")
            .with("Access-Control-Allow-Origin", "*")
            .with("Access-Control-Allow-Methods", "HEAD, GET, OPTIONS")
            .with("Access-Control-Allow-Headers", "Authorization")
            .with("Access-Control-Allow-Headers", "Content-Type")
            .with("Access-Control-Max-Age", "21600"),
    }
}

pub(super) fn not_allowed() -> Answer {
    Answer::new(405, BARE_HTML, "<title>405 Method Not Allowed</title>\n")
}

fn front(release: Release) -> Answer {
    Answer::new(200, HTML, &page(release))
}

/// The one place without a login that shows the release (quay-facts 1.4).
fn page(release: Release) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><title>Quay</title></head>\n\
         <body><ul><li>Quay v{release}</li></ul></body></html>\n"
    )
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: body.to_owned() }
    }

    /// Compact, sorted, and with a line end, as Flask writes it.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, JSON, &format!("{body}\n"))
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

#[cfg(test)]
mod tests;
