//! The HTTP side: takes a request apart, asks the database what the answer needs, and sends what
//! `answers` says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::net::TcpListener;

use super::answers::{self, Answer, Asked, BARE_HTML, Phase, Route, SERVER_ERROR, Situation};
use super::config::QuayConfig;
use super::database::Database;
use super::log;
use super::registry::{Broken, Login, Model, Registry, Reply, Store, Wanted};
use super::release::Release;
use super::schema;

#[derive(Debug)]
pub(super) struct Serving {
    pub(super) release: Release,
    pub(super) config: QuayConfig,
    pub(super) database: Database,
    pub(super) phase: SharedPhase,
    pub(super) jwtproxy: bool,
    pub(super) storage: bool,
    pub(super) store: Store,
}

/// What a push may bring, in bytes.
const LONGEST: usize = 8 * 1024 * 1024;

/// Read by every request, moved on by the start.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedPhase(Arc<AtomicU8>);

/// Opens every address; the first that cannot be opened ends the start.
pub(super) async fn listen(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(TcpListener::bind(address).await?);
    }
    Ok(listeners)
}

/// Serves until the process ends.
pub(super) fn serve(listeners: Vec<TcpListener>, serving: Serving) {
    let serving = Arc::new(serving);
    for listener in listeners {
        let routes = Router::new().fallback(handle).with_state(Arc::clone(&serving));
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
}

async fn handle(State(serving): State<Arc<Serving>>, request: Request) -> Response<Body> {
    let route = Route::of(request.uri().path());
    let asked = asked(&request);
    let situation = serving.situation(route).await;
    let plain = answers::answer(route, &asked, &situation);
    // Before the login is looked at: whether the registry is there, and the mode.
    let is_settled = situation.phase != Phase::Up || plain.status == 415;
    match is_settled || !asked.has_credentials || !route.is_registry() {
        true => response(plain.into()),
        false => response(serving.known(request, &situation).await),
    }
}

fn asked(request: &Request) -> Asked {
    let text = |name: HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let forwarded = text(HeaderName::from_static("x-forwarded-proto"));
    Asked {
        method: request.method().to_string(),
        host: text(HOST).unwrap_or_else(|| "localhost".to_owned()),
        is_forwarded_https: forwarded.as_deref() == Some("https"),
        content_type: text(CONTENT_TYPE).unwrap_or_default(),
        accept: text(ACCEPT),
        has_credentials: text(AUTHORIZATION).is_some(),
        has_scope: request.uri().query().is_some_and(|query| query.contains("scope=")),
    }
}

impl Serving {
    async fn situation(&self, route: Route) -> Situation {
        let is_background =
            self.config.mode.as_deref() == Some("background") && self.release == Release::V3_0_5;
        let shows_progress = is_background && !self.config.feature_billing;
        let database = route.asks_database() && self.database.answers().await.is_ok();
        let tags = match (route, database && shows_progress) {
            (Route::Progress, true) => self.tags().await,
            _ => None,
        };
        Situation {
            release: self.release,
            phase: self.phase.get(),
            is_background,
            shows_progress,
            database,
            storage: self.storage,
            jwtproxy: self.jwtproxy,
            tags,
            scheme: self.config.preferred_scheme.clone(),
            hostname: self.config.server_hostname.clone(),
        }
    }

    /// The answer to somebody who shows a login or a token.
    async fn known(&self, request: Request, situation: &Situation) -> Reply {
        let broken = || Answer::new(500, BARE_HTML, SERVER_ERROR).into();
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, LONGEST).await else { return broken() };
        let wanted = Wanted { parts: &parts, body: &body };
        let Situation { scheme, hostname, .. } = situation;
        let registry = Registry {
            database: &self.database,
            store: &self.store,
            model: Model::of(self.release, &self.config),
            is_read_only: self.config.is_read_only,
            base: format!("{scheme}://{hostname}"),
            service: hostname,
        };
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let login = Login::of(header.unwrap_or_default());
        let answered = match (parts.uri.path(), login) {
            ("/v2/auth", Some(login)) => registry.token(&wanted, &login, situation).await,
            ("/v2/auth", None) => Ok(answers::wrong_login(situation).into()),
            _ => registry.answer(&wanted, situation).await,
        };
        answered.unwrap_or_else(|Broken(why)| {
            log::error(&format!("registry: {why}"));
            broken()
        })
    }

    /// Two counts without a transaction, as Quay does.
    async fn tags(&self) -> Option<(i64, i64)> {
        let total = self.database.integer(schema::VISIBLE_TAGS).await.ok()?;
        let mapped = self.database.integer(schema::MAPPED_TAGS).await.ok()?;
        Some((total, mapped))
    }
}

impl SharedPhase {
    pub(super) fn set(&self, phase: Phase) {
        let number = PHASES.iter().position(|known| *known == phase).unwrap_or(0);
        self.0.store(u8::try_from(number).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Phase {
        let number = usize::from(self.0.load(Ordering::Relaxed));
        PHASES.get(number).copied().unwrap_or(Phase::Loading)
    }
}

const PHASES: [Phase; 5] =
    [Phase::Loading, Phase::WebUp, Phase::VerbsUp, Phase::Up, Phase::Stopping];

fn response(reply: Reply) -> Response<Body> {
    let Reply { answer: Answer { status, headers, body: _ }, bytes } = reply;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        // Only a Host header that cannot be repeated fails here; such a one gets no Location.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}
