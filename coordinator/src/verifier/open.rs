//! Which door of a place is the right one.

use std::net::SocketAddr;

use crate::cluster::PublicName;
use crate::registry::{Client, Door, DoorError, Patience, Trouble};
use crate::verify::places::Reach;

/// A place that can be asked.
#[derive(Debug)]
pub struct Opened {
    /// At its right door.
    pub client: Client,
}

/// The node itself, whatever its name means elsewhere: by plain HTTP, or by HTTPS where that only
/// redirects.
pub async fn at_node(
    reach: &Reach,
    ca: Option<&[u8]>,
    patience: Patience,
) -> Result<Opened, DoorError> {
    if let Some((host, port)) = &reach.plain {
        let authority = format!("{host}:{port}");
        let door = Door { scheme: "http".to_owned(), authority, at: None };
        let client = Client::new(door, ca, patience)?;
        let leads_away = match (&reach.secure, client.challenge().await) {
            (Some(_), Err(Trouble::Elsewhere { to, .. })) => to.starts_with("https://"),
            _ => false,
        };
        if !leads_away {
            return Ok(Opened { client });
        }
    }
    let (host, port) = reach.secure.clone().unwrap_or_default();
    let (name, at) = match (&reach.name, resolved(&host, port).await) {
        (Some(name), Some(at)) => (name.clone(), Some(at)),
        _ => (host, None),
    };
    let door = Door { scheme: "https".to_owned(), authority: format!("{name}:{port}"), at };
    Ok(Opened { client: Client::new(door, ca, patience)? })
}

/// The name that users know.
pub fn at_public(
    public: &PublicName,
    ca: Option<&[u8]>,
    patience: Patience,
) -> Result<Opened, DoorError> {
    let scheme = public.scheme().to_owned();
    let door = Door { scheme, authority: public.authority().to_owned(), at: None };
    Ok(Opened { client: Client::new(door, ca, patience)? })
}

async fn resolved(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host.trim_matches(['[', ']']);
    tokio::net::lookup_host((host, port)).await.ok()?.next()
}
