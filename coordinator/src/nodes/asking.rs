//! Asking every node at once, and keeping what each one said.

use std::collections::BTreeMap;

use futures::future::{OptionFuture, join_all, join3};
use jiff::Timestamp;
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::{ClusterName, NodeName};

use crate::cluster::NodeAddress;
use crate::nodes::{CallError, DatabaseQuestion, Looks, SurveyKey};
use crate::survey::{ClusterFacts, DatabaseAnswer, NodeSurvey, Silence, Survey};

/// What a survey asks.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Of which cluster.
    pub cluster: &'a ClusterName,
    /// Whom, and where.
    pub nodes: &'a [(NodeName, NodeAddress)],
    /// So that settings can be compared.
    pub key: &'a SurveyKey,
    /// Whether tags are counted.
    pub counts: Counts,
}

/// Whether a survey counts tags: costly on a large registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    /// One node's agent counts.
    Once,
    /// Nobody does.
    Leave,
}

/// Asks all nodes at once.
pub async fn survey<N: Looks>(
    nodes: &N,
    request: &Request<'_>,
    now: impl Fn() -> Timestamp,
) -> Survey {
    let taken_at = now();
    let Request { cluster, nodes: listed, key, counts } = *request;
    let answers = join_all(listed.iter().enumerate().map(async |(index, (node, address))| {
        let counts = index == 0 && counts == Counts::Once;
        let plain = DatabaseQuestion::default();
        let (facts, database, counted) = join3(
            nodes.describe(node, key),
            nodes.look_at_database(node, plain),
            // Beside the plain look: a count that fails or takes too long must
            // not cost the identity and the revision.
            OptionFuture::from(
                counts.then(|| nodes.look_at_database(node, DatabaseQuestion { counts, ..plain })),
            ),
        )
        .await;
        let counts = counted.and_then(Result::ok).and_then(|look| look.counts);
        let database = match database {
            Ok(look) => DatabaseAnswer::Looked(DatabaseLook { counts, ..look }),
            Err(error) => DatabaseAnswer::Problem(error.reason()),
        };
        let address = address.clone();
        let answer = facts.map(|facts| NodeSurvey {
            address: address.clone(),
            answered_at: now(),
            facts,
            database,
        });
        (node.clone(), answer.map_err(|error| silence(address, &error)))
    }))
    .await;
    let mut silent = BTreeMap::new();
    let mut said = BTreeMap::new();
    for (node, answer) in answers {
        match answer {
            Ok(survey) => {
                said.insert(node, survey);
            }
            Err(silence) => {
                silent.insert(node, silence);
            }
        }
    }
    let (cluster, digests) = (cluster.clone(), BTreeMap::new());
    Survey { facts: ClusterFacts { cluster, taken_at, nodes: said, digests }, silent }
}

fn silence(address: NodeAddress, error: &CallError) -> Silence {
    Silence { address, problem: error.reason(), remedy: error.remedy().to_owned() }
}
