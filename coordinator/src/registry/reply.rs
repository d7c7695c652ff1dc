//! What came back over HTTP, and why nothing did.

use std::error::Error;
use std::io;

use reqwest::header::{HeaderMap, HeaderName, LOCATION};
use rustls::CertificateError;
use serde::Deserialize;

use super::location::{self, Location};
use super::{CertificateTrouble, Trouble};

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The registry's own words for a refusal (quay-facts 8.4).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErrorBody {
    /// Such as `MANIFEST_INVALID`.
    pub code: String,
    /// For people.
    pub message: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

impl ErrorBody {
    pub(super) fn of(body: &[u8]) -> Self {
        let read: Option<Errors> = serde_json::from_slice(body).ok();
        let Some(first) = read.and_then(|read| read.errors.into_iter().next()) else {
            return Self::default();
        };
        let OneError { code, message, detail } = first;
        let detail = detail.get("message").and_then(|detail| detail.as_str()).map(str::to_owned);
        // Quay repeats its whole schema there.
        let words = detail.unwrap_or(message);
        let message = words.lines().next().unwrap_or_default().chars().take(200).collect();
        Self { code, message }
    }
}

impl Reply {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn named(&self, name: &'static str) -> Option<&str> {
        self.header(HeaderName::from_static(name))
    }

    /// Without parameters such as a charset.
    pub(super) fn content_type(&self) -> &str {
        let value = self.header(reqwest::header::CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    pub(super) fn location(&self, names: &[&str]) -> Option<Location> {
        self.header(LOCATION).map(|value| location::read(value, names))
    }

    /// One of these statuses, or the trouble that it is not.
    pub(super) fn expect(self, what: &str, statuses: &[u16]) -> Result<Self, Trouble> {
        if statuses.contains(&self.status) { Ok(self) } else { Err(self.unexpected(what)) }
    }

    pub(super) fn unexpected(&self, what: &str) -> Trouble {
        let (what, status) = (what.to_owned(), self.status);
        if let (300..=399, Some(to)) = (status, self.header(LOCATION)) {
            return Trouble::Elsewhere { what, status, to: location::shown(to) };
        }
        let ErrorBody { code, message } = ErrorBody::of(&self.body);
        Trouble::Answer { what, status, code, said: message }
    }
}

/// Why nothing came back. `name` is what the certificate should have been for.
pub(super) fn no_answer(at: &str, name: &str, error: &reqwest::Error) -> Trouble {
    let at = at.to_owned();
    if let Some(problem) = certificate(error, name) {
        return Trouble::Certificate { at, problem };
    }
    if error.is_timeout() {
        return Trouble::Unreachable { at, problem: "no answer in time".to_owned() };
    }
    // reqwest's own sentence repeats the address.
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    Trouble::Unreachable { at, problem: innermost.to_string() }
}

fn certificate(error: &reqwest::Error, name: &str) -> Option<CertificateTrouble> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return of_tls(tls, name);
        }
        // An io::Error passes over what it holds.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

fn of_tls(error: &rustls::Error, name: &str) -> Option<CertificateTrouble> {
    let rustls::Error::InvalidCertificate(problem) = error else { return None };
    if matches!(
        problem,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ) {
        return Some(CertificateTrouble::OtherName { name: name.to_owned() });
    }
    // A bad signature is that of another authority of the same name.
    if matches!(problem, CertificateError::UnknownIssuer | CertificateError::BadSignature) {
        return Some(CertificateTrouble::UnknownIssuer);
    }
    if matches!(
        problem,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    ) {
        return Some(CertificateTrouble::NotValidNow);
    }
    let words = problem.to_string();
    // A certificate that signed itself: webpki will not have an authority's as a server's.
    if words.contains("CaUsedAsEndEntity") {
        return Some(CertificateTrouble::UnknownIssuer);
    }
    Some(CertificateTrouble::Other(words))
}
