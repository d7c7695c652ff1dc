//! A registry that a test has under control: whatever its client finds is what the test says.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Asked, Verifies};
use crate::survey::ClusterFacts;
use crate::verify::account::PlaceAccount;
use crate::verify::{Account, Check, Sample, Sampling};

/// All is well where nothing else is said.
#[derive(Debug, Default)]
pub struct FakeRegistry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    found: VecDeque<Account>,
    unread: Option<String>,
    sampled: usize,
    verified: Vec<Seen>,
}

/// What was to be verified.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// Where.
    pub nodes: Vec<String>,
    /// In which mode.
    pub mode: quaymaster_proto::Mode,
    /// Against what.
    pub sampling: Sampling,
}

impl FakeRegistry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next verification finds this.
    pub fn finds(&self, account: Account) {
        self.state().found.push_back(account);
    }

    /// No sample can be taken; `None` = one can.
    pub fn cannot_be_read(&self, why: Option<&str>) {
        self.state().unread = why.map(str::to_owned);
    }

    /// How often a sample was taken.
    pub fn sampled(&self) -> usize {
        self.state().sampled
    }

    /// Each verification so far.
    pub fn verified(&self) -> Vec<Seen> {
        self.state().verified.clone()
    }
}

/// A sample that tells itself from others by its moment.
pub fn sample(taken_at: Timestamp) -> Sample {
    Sample::new(taken_at)
}

/// Everything passed there.
pub fn good(name: &str) -> PlaceAccount {
    let (left, failed) = (Vec::new(), Vec::new());
    let passed = vec![Check::Api, Check::Schema2, Check::List];
    PlaceAccount { name: name.to_owned(), passed, left, failed, retried: 0 }
}

impl Verifies for FakeRegistry {
    fn sample(&self, _: ClusterFacts, now: Timestamp) -> BoxFuture<'_, Result<Sampling, String>> {
        let mut state = self.state();
        let result = match state.unread.clone() {
            Some(why) => Err(why),
            None => {
                state.sampled += 1;
                Ok(Sampling::Taken(sample(now)))
            }
        };
        async { result }.boxed()
    }

    fn verify(&self, asked: Asked) -> BoxFuture<'_, Account> {
        let Asked { nodes, facts: _, mode, sampling, tell } = asked;
        let mut state = self.state();
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let all_good = || Account { places: nodes.iter().map(|name| good(name)).collect() };
        let account = state.found.pop_front().unwrap_or_else(all_good);
        for name in &nodes {
            let _ = tell.send((name.clone(), Check::List));
        }
        state.verified.push(Seen { nodes, mode, sampling });
        async { account }.boxed()
    }
}
