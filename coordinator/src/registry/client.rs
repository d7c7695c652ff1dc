//! The client: looking. What changes the registry is in `push`.

use std::fmt;

use reqwest::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;

use super::location::Location;
use super::patience::{Retries, patiently};
use super::reply::{Reply, no_answer};
use super::{Challenge, Door, DoorError, ErrorBody, Login, Patience, Trouble, media_type};

/// A registry as one door shows it.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    pub(super) door: Door,
    pub(super) patience: Patience,
    pub(super) retries: Retries,
}

/// What a request carries.
#[derive(Clone, Default)]
pub struct Access {
    /// `None` = the registry wants none.
    token: Option<String>,
    /// What the registry calls itself.
    service: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Access").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Access {
    /// Without a token.
    pub fn open() -> Self {
        Self::default()
    }

    /// What the token allows on a repository; `None` = it does not say.
    pub fn granted(&self, repository: &str) -> Option<std::collections::BTreeSet<String>> {
        super::granted(self.token.as_deref()?, repository)
    }
}

/// A manifest as it came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// As the answer calls them.
    pub content_type: String,
    /// `Docker-Content-Digest`; empty = not said.
    pub digest: String,
}

/// A blob as it came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blob {
    /// Its bytes, as many as were sent.
    pub bytes: Vec<u8>,
    /// The storage that they came from, where Quay left it to one.
    pub storage: Option<String>,
}

/// What nothing that is read here exceeds, in bytes: Quay takes manifests of up to 4 MiB.
const LONGEST: usize = 8 * 1024 * 1024;
/// Tags are asked for in pages.
const MOST_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Client {
    /// `ca` is PEM: who stands behind the door's certificate. Needs rustls's provider to be
    /// installed.
    pub fn new(door: Door, ca: Option<&[u8]>, patience: Patience) -> Result<Self, DoorError> {
        let http = door.client(ca)?;
        Ok(Self { http, door, patience, retries: Retries::default() })
    }

    /// `scheme://host:port`
    pub fn base(&self) -> String {
        self.door.base()
    }

    /// What had to be asked again since this was last asked, in words.
    pub fn retried(&self) -> Vec<String> {
        self.retries.taken()
    }

    /// GET of a path without a login: its status and body.
    pub async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), Trouble> {
        let reply = self.send(self.request(Method::GET, path)).await?;
        match reply.status {
            300..=399 => Err(reply.unexpected(&format!("GET {path}"))),
            status => Ok((status, reply.body)),
        }
    }

    /// `/v2/`: `None` = it is open to all.
    pub async fn challenge(&self) -> Result<Option<Challenge>, Trouble> {
        let what = "GET /v2/";
        let reply = self.patiently(async || self.ask(Method::GET, "/v2/", what, &[200, 401]).await);
        let reply = reply.await?;
        if reply.status == 200 {
            return Ok(None);
        }
        let header = reply.header(WWW_AUTHENTICATE).unwrap_or_default();
        let challenge = Challenge::parse(header).ok_or_else(|| Trouble::Garbled {
            what: what.to_owned(),
            problem: "it offers no login by a token (WWW-Authenticate: Bearer)".to_owned(),
        })?;
        Ok(Some(challenge))
    }

    /// A token for `actions` on a repository, from this door's own `/v2/auth`.
    pub async fn token(
        &self,
        challenge: &Challenge,
        login: Option<&Login>,
        repository: &str,
        actions: &str,
    ) -> Result<Access, Trouble> {
        let Challenge { realm, service } = challenge;
        let path = match super::location::read(realm, &[]) {
            Location::Elsewhere(realm) => Url::parse(&realm).map(|url| url.path().to_owned()),
            Location::Here(path) => Ok(path),
        };
        let path = path.unwrap_or_else(|_| "/v2/auth".to_owned());
        let scope = format!("repository:{repository}:{actions}");
        let query = format!("service={}&scope={}", in_query(service), in_query(&scope));
        let what = format!("GET {path} for {actions} on {repository}");
        let reply = self.patiently(async || {
            let mut request = self.request(Method::GET, &format!("{path}?{query}"));
            if let Some(Login { user, password }) = login {
                request = request.basic_auth(user, Some(password));
            }
            let reply = self.send(request).await?;
            match (reply.status, login) {
                (401 | 403, Some(login)) => Err(refused_login(login, &reply)),
                _ => reply.expect(&what, &[200]),
            }
        });
        let reply = reply.await?;
        let Token { token } = read(&reply.body, &what)?;
        Ok(Access { token: Some(token), service: service.clone() })
    }

    /// What a PUT of a manifest list without a login is answered with. It changes nothing: every
    /// Quay refuses it, with a status that tells the mode (quay-facts 8.5).
    pub async fn mode_probe(&self) -> Result<u16, Trouble> {
        let path = "/v2/quaymaster/probe/manifests/probe";
        let reply = self.patiently(async || {
            let request = self.request(Method::PUT, path);
            let request = request.header(CONTENT_TYPE, media_type::LIST);
            self.send(request.header(ACCEPT, media_type::LIST).body("{}")).await
        });
        Ok(reply.await?.status)
    }

    /// Every tag of a repository; `None` = there is no such repository.
    pub async fn tags(
        &self,
        access: &Access,
        repository: &str,
    ) -> Result<Option<Vec<String>>, Trouble> {
        let mut path = format!("/v2/{repository}/tags/list?n=100");
        let mut tags = Vec::new();
        for _ in 0..MOST_PAGES {
            let what = format!("GET {path}");
            let reply = self.patiently(async || {
                let request = self.with(access, Method::GET, &path);
                self.send(request).await?.expect(&what, &[200, 404])
            });
            let reply = reply.await?;
            if reply.status == 404 {
                return Ok(None);
            }
            tags.extend(read::<Tags>(&reply.body, &what)?.tags.unwrap_or_default());
            match next_page(&reply, &self.names(access)) {
                Some(Location::Here(next)) => path = next,
                Some(Location::Elsewhere(to)) => {
                    let to = super::location::shown(&to);
                    return Err(Trouble::Elsewhere { what, status: 200, to });
                }
                None => return Ok(Some(tags)),
            }
        }
        Err(Trouble::Garbled { what: path, problem: "its pages have no end".to_owned() })
    }

    /// A manifest by tag or digest, of any kind that is `accepted`.
    pub async fn manifest(
        &self,
        access: &Access,
        repository: &str,
        reference: &str,
        accepted: &[&str],
    ) -> Result<Manifest, Trouble> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let what = format!("GET {path}");
        let reply = self.patiently(async || {
            let request = self.with(access, Method::GET, &path);
            self.send(request.header(ACCEPT, accepted.join(", "))).await?.expect(&what, &[200])
        });
        let reply = reply.await?;
        let digest = reply.named("docker-content-digest").unwrap_or_default().to_owned();
        let content_type = reply.content_type().to_owned();
        Ok(Manifest { bytes: reply.body, content_type, digest })
    }

    /// A blob. Quay may send its client to the storage for it; the token does not go there.
    pub async fn blob(
        &self,
        access: &Access,
        repository: &str,
        digest: &str,
    ) -> Result<Blob, Trouble> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let what = format!("GET {path}");
        self.patiently(async || {
            let reply = self.send(self.with(access, Method::GET, &path)).await?;
            let leads = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
            match reply.location(&self.names(access)).filter(|_| leads) {
                None => {
                    let reply = reply.expect(&what, &[200])?;
                    Ok(Blob { bytes: reply.body, storage: None })
                }
                Some(Location::Here(path)) => {
                    let request = self.with(access, Method::GET, &path);
                    let reply = self.send(request).await?.expect(&what, &[200])?;
                    Ok(Blob { bytes: reply.body, storage: None })
                }
                Some(Location::Elsewhere(to)) => {
                    let storage =
                        Url::parse(&to).ok().and_then(|url| url.host_str().map(str::to_owned));
                    let storage = storage.unwrap_or_default();
                    // Its query may be a signature, which opens the blob.
                    let what = format!("GET {path} at the storage {storage}");
                    let reply = self.send_to(&storage, self.http.get(to)).await?;
                    let reply = reply.expect(&what, &[200])?;
                    Ok(Blob { bytes: reply.body, storage: Some(storage) })
                }
            }
        })
        .await
    }

    /// How long a blob is by its own registry, in bytes; `None` = it is not said.
    pub async fn blob_length(
        &self,
        access: &Access,
        repository: &str,
        digest: &str,
    ) -> Result<Option<u64>, Trouble> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let what = format!("HEAD {path}");
        let reply = self.patiently(async || {
            let request = self.with(access, Method::HEAD, &path);
            self.send(request).await?.expect(&what, &[200])
        });
        Ok(reply.await?.named("content-length").and_then(|length| length.parse().ok()))
    }

    /// What the registry goes by.
    pub(super) fn names<'a>(&'a self, access: &'a Access) -> Vec<&'a str> {
        [self.door.authority.as_str(), access.service.as_str()]
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.door.base()))
    }

    pub(super) fn with(&self, access: &Access, method: Method, path: &str) -> RequestBuilder {
        let request = self.request(method, path);
        match &access.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        what: &str,
        statuses: &[u16],
    ) -> Result<Reply, Trouble> {
        self.send(self.request(method, path)).await?.expect(what, statuses)
    }

    pub(super) async fn patiently<T>(
        &self,
        ask: impl AsyncFn() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        patiently(self.patience, &self.retries, ask).await
    }

    /// Whatever the answer is. A 5xx is none.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Reply, Trouble> {
        self.send_to(&self.door.authority, request).await
    }

    async fn send_to(&self, name: &str, request: RequestBuilder) -> Result<Reply, Trouble> {
        let (client, request) = request.build_split();
        let request =
            request.map_err(|error| no_answer(&self.door.base(), name, &error.without_url()))?;
        let what = format!("{} {}", request.method(), request.url().path());
        let at = match name == self.door.authority {
            true => self.door.base(),
            false => format!("the storage {name}"),
        };
        let lost = |error: reqwest::Error| no_answer(&at, name, &error.without_url());
        let mut response = client.execute(request).await.map_err(lost)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > LONGEST {
                let problem = format!("it is longer than {} MiB", LONGEST / 1024 / 1024);
                return Err(Trouble::Garbled { what, problem });
            }
            body.extend_from_slice(&chunk);
        }
        let reply = Reply { status, headers, body };
        if status >= 500 { Err(reply.unexpected(&what)) } else { Ok(reply) }
    }
}

fn refused_login(login: &Login, reply: &Reply) -> Trouble {
    let said = ErrorBody::of(&reply.body).message;
    let said = if said.is_empty() { format!("HTTP {}", reply.status) } else { said };
    Trouble::Login { user: login.user.clone(), said }
}

pub(super) fn read<T: for<'a> Deserialize<'a>>(body: &[u8], what: &str) -> Result<T, Trouble> {
    serde_json::from_slice(body).map_err(|error| Trouble::Garbled {
        what: what.to_owned(),
        problem: format!("it is not the JSON that it should be, at line {}", error.line()),
    })
}

/// `Link: </v2/…>; rel="next"`
fn next_page(reply: &Reply, names: &[&str]) -> Option<Location> {
    let link = reply.named("link")?;
    let (target, rest) = link.split_once('>')?;
    let target = target.trim().strip_prefix('<')?;
    rest.contains("next").then(|| super::location::read(target, names))
}

/// Everything but letters, digits and what stands in names.
fn in_query(text: &str) -> String {
    let each = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' | b'/' | b',' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(each).collect()
}
