//! One place where a registry is asked, and how.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::redirect::Policy;

/// Where a registry is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Door {
    /// `http` or `https`.
    pub scheme: String,
    /// Host, and port where it is not the scheme's own: what the request calls it, and what its
    /// certificate has to be for.
    pub authority: String,
    /// Where that is, whatever the name means elsewhere: a node itself and not the load balancer.
    pub at: Option<SocketAddr>,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The authority's certificate is none.
    #[error("the certificates of verify.ca cannot be used")]
    Ca(#[source] reqwest::Error),
    /// The client cannot be made.
    #[error("no HTTPS client can be made")]
    Client(#[source] reqwest::Error),
}

/// A node or a load balancer answers or refuses at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Of a single read: Quay was seen to take up to 4 s for a first push (quay-facts 10.4), and a
/// storage needs its time.
const READ_LIMIT: Duration = Duration::from_secs(30);

impl Door {
    /// `scheme://host:port`
    pub fn base(&self) -> String {
        let Self { scheme, authority, at: _ } = self;
        format!("{scheme}://{authority}")
    }

    /// Follows no redirect and uses no proxy. `ca` is PEM; without it the machine's own
    /// authorities count.
    pub(super) fn client(&self, ca: Option<&[u8]>) -> Result<reqwest::Client, DoorError> {
        let mut client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            .user_agent(concat!("quaymaster/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca).map_err(DoorError::Ca)?;
            client = client.tls_certs_only(certificates);
        }
        if let Some(at) = self.at {
            client = client.resolve(super::location::host(&self.authority), at);
        }
        client.build().map_err(DoorError::Client)
    }
}
