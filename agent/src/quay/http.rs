//! How this node's Quay is asked over HTTP.
//!
//! The address is the node's own, so its certificate is taken as it is: what
//! matters is that this Quay answers. No redirect is followed, for Quay's lose
//! the port (quay-observed 1), and no proxy is used.

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;

/// The limit of one health question: Quay itself takes up to 2 s for each
/// worker and 3 s for the database (quay-facts 10.4).
pub(crate) const HEALTH_LIMIT: Duration = Duration::from_secs(15);

/// The limit of a question about the mode: asked beside other things.
pub(crate) const MODE_LIMIT: Duration = Duration::from_secs(3);

/// The limit of a question about the backfill: two full-table counts.
pub(crate) const BACKFILL_LIMIT: Duration = Duration::from_secs(60);

/// The node itself answers or refuses at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// No answer that is used here is longer, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// A push that any Quay refuses, and the mode shows in how (quay-facts 8.5).
const MANIFEST_PROBE: &str = "/v2/quaymaster/probe/manifests/probe";
const MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Where a Quay listens: scheme, host and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target(String);

impl Target {
    /// `base` is `http(s)://host:port`, without a slash at its end.
    pub(crate) fn new(base: impl Into<String>) -> Self {
        Self(base.into())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// What a Quay answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Something.
    Got {
        /// HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
        /// Where a redirect leads; empty = no redirect.
        location: String,
    },
    /// Nothing.
    Nothing {
        /// Why, for people.
        problem: String,
    },
}

impl Answer {
    /// The status; `None` = no answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Got { status, .. } => Some(*status),
            Self::Nothing { .. } => None,
        }
    }

    /// Whether the answer sends the caller from plain HTTP to HTTPS.
    pub(crate) fn leads_to_https(&self) -> bool {
        match self {
            Self::Got { status, location, .. } => {
                (300..400).contains(status) && location.starts_with("https://")
            }
            Self::Nothing { .. } => false,
        }
    }
}

/// The client, with connections that stay open between two questions.
#[derive(Clone, Debug)]
pub(crate) struct QuayClient(reqwest::Client);

impl QuayClient {
    /// Needs rustls's provider to be installed.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .tls_danger_accept_invalid_certs(true)
            .connect_timeout(CONNECT_LIMIT)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("quaymaster-agent/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    /// GETs a path that begins with a slash.
    pub(crate) async fn get(&self, target: &Target, path: &str, limit: Duration) -> Answer {
        answer(self.0.get(format!("{target}{path}")).timeout(limit)).await
    }

    /// PUTs a manifest list without logging in: refused by every Quay, with a
    /// status that tells the mode (quay-facts 8.5).
    pub(crate) async fn put_manifest_list(&self, target: &Target) -> Answer {
        let request = self.0.put(format!("{target}{MANIFEST_PROBE}"));
        let request = request
            .header(CONTENT_TYPE, MANIFEST_LIST)
            .header(ACCEPT, MANIFEST_LIST)
            .body("{}")
            .timeout(MODE_LIMIT);
        answer(request).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Answer::Nothing { problem: innermost(&error) },
    };
    let status = response.status().as_u16();
    let location = response.headers().get("location");
    let location = location.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => {
                body.extend_from_slice(&chunk);
            }
            Ok(_) => break,
            Err(error) => return Answer::Nothing { problem: innermost(&error) },
        }
    }
    Answer::Got { status, body: String::from_utf8_lossy(&body).into_owned(), location }
}

/// The cause that says the most: reqwest's own sentence repeats the address.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
