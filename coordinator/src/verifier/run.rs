//! What a run asks of the registry that it upgrades, as one of its clients: a port, and the one
//! behind it that really asks.

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use quaymaster_proto::{Mode, NodeName, in_a_line};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{Means, Round, Tell, Wanted};
use crate::cluster::VerifySettings;
use crate::registry::Patience;
use crate::survey::ClusterFacts;
use crate::verify::{Account, Sampling, WhyNot};

/// The registry, for a run.
pub trait Verifies: fmt::Debug + Send + Sync {
    /// What it holds now, to be compared later; or why that cannot be read, in words.
    fn sample(
        &self,
        facts: ClusterFacts,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Sampling, String>>;

    /// Whether it does what it has to, at every node and by its public name.
    fn verify(&self, asked: Asked) -> BoxFuture<'_, Account>;
}

/// What has to be so.
#[derive(Debug)]
pub struct Asked {
    /// Where.
    pub nodes: Vec<NodeName>,
    /// Where each node's Quay listens.
    pub facts: ClusterFacts,
    /// The mode in which the registry is to be.
    pub mode: Mode,
    /// What was there before.
    pub sampling: Sampling,
    /// Who wants to know what is checked just now.
    pub tell: Tell,
}

/// A load balancer takes some seconds to see that its nodes are back.
const PATIENCE: Patience = Patience { tries: 6, pause: Duration::from_millis(500) };

/// The real one. It reads the robot's login when it needs it, and keeps nothing.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// What cluster.yaml says.
    pub settings: VerifySettings,
}

impl Verifies for Verifier {
    fn sample(
        &self,
        facts: ClusterFacts,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Sampling, String>> {
        let settings = self.settings.clone();
        let sampled = apart(move || async move { sampled(&settings, &facts, now).await });
        async { sampled.await.unwrap_or_else(Err) }.boxed()
    }

    fn verify(&self, asked: Asked) -> BoxFuture<'_, Account> {
        let settings = self.settings.clone();
        let verified = apart(move || async move { verified(&settings, &asked).await });
        async { verified.await.unwrap_or_else(|problem| not_begun(problem, String::new())) }.boxed()
    }
}

/// On a thread of its own: what asks borrows more than may be sent from one thread to another.
/// When nobody waits any more it still takes away what it pushed.
fn apart<T, F>(work: impl FnOnce() -> F + Send + 'static) -> impl Future<Output = Result<T, String>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (done, answer) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let result = runtime.map(|runtime| runtime.block_on(work()));
        let _ = done.send(result.map_err(|error| in_a_line(&error)));
    });
    async { answer.await.unwrap_or_else(|_| Err("it ended without a word".to_owned())) }
}

async fn sampled(
    settings: &VerifySettings,
    facts: &ClusterFacts,
    now: Timestamp,
) -> Result<Sampling, String> {
    if settings.samples.is_empty() {
        return Ok(Sampling::Nothing(WhyNot::NothingToSample));
    }
    let means = Means::read(settings).map_err(|error| in_a_line(&error))?;
    let round = Round { settings, means: &means, facts, patience: Patience::default() };
    let nodes: Vec<NodeName> = facts.nodes.keys().cloned().collect();
    let sample = round.sample(&nodes, now).await.map_err(|error| in_a_line(&error))?;
    Ok(if sample.repositories.is_empty() {
        Sampling::Nothing(WhyNot::NotForAnybody)
    } else {
        Sampling::Taken(sample.bounded())
    })
}

async fn verified(settings: &VerifySettings, asked: &Asked) -> Account {
    let Asked { nodes, facts, mode, sampling, tell } = asked;
    let means = match Means::read(settings) {
        Ok(means) => means,
        Err(error) => return not_begun(in_a_line(&error), error.remedy()),
    };
    let round = Round { settings, means: &means, facts, patience: PATIENCE };
    let wanted = Wanted { mode: Some(*mode), sample: sampling.sample(), tell: Some(tell) };
    match round.verify(nodes, wanted).await {
        Ok(places) => match sampling {
            Sampling::Taken(_) => Account::of(&places),
            Sampling::Nothing(why) => Account::of(&places).without_sample(why),
        },
        Err(error) => not_begun(in_a_line(&error), "see verify in cluster.yaml".to_owned()),
    }
}

fn not_begun(problem: String, remedy: String) -> Account {
    Account::not_begun("cluster.yaml", problem, remedy)
}
