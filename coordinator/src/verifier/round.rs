//! One round of the registry: every node at its own published port, then the public name.

use futures::future::join_all;
use jiff::Timestamp;
use quaymaster_proto::{Mode, NodeName};

use super::{Errand, Means, Tell, at_node, at_public, take_sample, verify};
use crate::cluster::VerifySettings;
use crate::registry::{DoorError, Patience, Trouble};
use crate::survey::ClusterFacts;
use crate::verify::places::Reach;
use crate::verify::schema1::{Key, NoKey, nonce};
use crate::verify::{Place, Sample, WhyNot};

/// Whom to ask, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// What cluster.yaml says.
    pub settings: &'a VerifySettings,
    /// Read from there.
    pub means: &'a Means,
    /// What the agents say: where each node's Quay listens.
    pub facts: &'a ClusterFacts,
    /// How often what fails in passing is asked again.
    pub patience: Patience,
}

/// What is asked in it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The mode in which the registry is to be; `None` = nobody could say.
    pub mode: Option<Mode>,
    /// What was there before.
    pub sample: Option<&'a Sample>,
    /// Who wants to know what is checked just now.
    pub tell: Option<&'a Tell>,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    /// No client can be made.
    #[error("cannot ask the registry")]
    Door(#[source] DoorError),
    /// No key can be made.
    #[error("cannot make the images of a verification")]
    Key(#[source] NoKey),
}

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub enum NotSampled {
    /// No client can be made.
    #[error("cannot ask the registry")]
    Door(#[source] DoorError),
    /// No node can be asked.
    #[error("no node's Quay can be asked for a sample: no agent answers, or no port is published")]
    Nowhere,
    /// The registry did not say.
    #[error("cannot take a sample")]
    Trouble(#[source] Trouble),
}

impl Round<'_> {
    /// Verifies every place, all at once.
    pub async fn verify(
        &self,
        nodes: &[NodeName],
        wanted: Wanted<'_>,
    ) -> Result<Vec<Place>, NotAsked> {
        let Self { settings, means, facts: _, patience } = *self;
        let Wanted { mode, sample, tell } = wanted;
        let key = Key::make().map_err(NotAsked::Key)?;
        let nonce = nonce().map_err(NotAsked::Key)?;
        let errand = Errand {
            mode,
            login: means.login.as_ref(),
            repository: &settings.repository,
            sample,
            nonce: &nonce,
            key: &key,
            tell,
        };
        let (errand, last) = (&errand, nodes.len());
        let at_nodes = nodes.iter().enumerate().map(async |(number, name)| {
            let reach = match self.reach(name) {
                Ok(reach) => reach,
                Err(why) => return Ok(Place::unasked(name.to_string(), why)),
            };
            let opened = at_node(&reach, means.ca(), patience).await.map_err(NotAsked::Door)?;
            Ok(verify(&opened.client, name.as_str(), number, None, errand).await)
        });
        let mut places: Vec<Place> =
            join_all(at_nodes).await.into_iter().collect::<Result<_, _>>()?;
        if let Some(public) = &settings.public {
            let opened = at_public(public, means.ca(), patience).map_err(NotAsked::Door)?;
            let (name, authority) = (public.to_string(), Some(public.authority()));
            places.push(verify(&opened.client, &name, last, authority, errand).await);
        }
        Ok(places)
    }

    /// What the named repositories hold now, asked of the first node that can be.
    pub async fn sample(&self, nodes: &[NodeName], now: Timestamp) -> Result<Sample, NotSampled> {
        let Self { settings, means, facts: _, patience } = *self;
        let reach = nodes.iter().find_map(|name| self.reach(name).ok());
        let reach = reach.ok_or(NotSampled::Nowhere)?;
        let opened = at_node(&reach, means.ca(), patience).await.map_err(NotSampled::Door)?;
        let sample = take_sample(&opened.client, means.login.as_ref(), &settings.samples, now);
        sample.await.map_err(NotSampled::Trouble)
    }

    /// Where the node's Quay is asked from here.
    pub fn reach(&self, name: &NodeName) -> Result<Reach, WhyNot> {
        let node = self.facts.nodes.get(name).ok_or(WhyNot::Silent)?;
        let ports = node.quay_container().map(|container| container.ports.as_slice());
        let public = self.settings.public.as_ref();
        Reach::of(&node.address, ports.unwrap_or_default(), public).ok_or(WhyNot::NoPort)
    }
}

impl NotSampled {
    /// What to do; may be empty.
    pub fn remedy(&self) -> String {
        match self {
            Self::Door(_) => "give a PEM file with the authority's certificate".to_owned(),
            Self::Nowhere => String::new(),
            Self::Trouble(trouble) => trouble.remedy(),
        }
    }
}
