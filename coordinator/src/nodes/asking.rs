//! Asking every node at once, and keeping what each one said.

use std::collections::BTreeMap;

use futures::future::{OptionFuture, join, join_all, join3};
use jiff::Timestamp;
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::{ClusterName, Component, NodeName};

use crate::catalogue::Catalogue;
use crate::cluster::{Cluster, NodeAddress};
use crate::nodes::{CallError, DatabaseQuestion, Looks, PreviewQuestion, ResolvedImage, SurveyKey};
use crate::plan::Window;
use crate::plan::situation::{Answers, Unanswered, fate, image_question, preview_question};
use crate::survey::{ClusterFacts, DatabaseAnswer, NodeSurvey, Reader, Silence, Survey};

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
        let counted = counted.and_then(Result::ok);
        let size_bytes = counted.as_ref().and_then(|look| look.size_bytes);
        let counts = counted.and_then(|look| look.counts);
        let database = match database {
            Ok(look) => DatabaseAnswer::Looked(DatabaseLook { counts, size_bytes, ..look }),
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

/// Looks images without a tag up in the registry, as far as it answers.
pub async fn look_up_images<N: Looks>(nodes: &N, reader: Reader<'_>, survey: &mut Survey) {
    let questions = reader.digest_questions(&survey.facts);
    let answers = join_all(questions.into_iter().map(async |asked| {
        let answer = nodes.resolve_image(&asked.node, &asked.question).await;
        (asked.name, answer)
    }))
    .await;
    for (name, answer) in answers {
        // An image that stays unknown is a finding of preflight.
        if let Ok(ResolvedImage::InRegistry { digest, present: _ }) = answer {
            survey.facts.digests.insert(name, digest);
        }
    }
}

/// Which window of which cluster is asked about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What releases there are.
    pub catalogue: &'a Catalogue,
    /// What is wanted.
    pub window: &'a Window,
}

/// Asks every node what the window would make of it.
pub async fn answers<N: Looks>(nodes: &N, about: &About<'_>, facts: &ClusterFacts) -> Answers {
    let questions = questions(about, facts);
    let About { cluster, catalogue, window } = *about;
    let images = join_all(questions.iter().filter_map(|(node, question)| {
        let component = question.component;
        if component == Component::Mirror {
            return None; // its image is Quay's
        }
        let image = image_question(catalogue, cluster, window, component)?;
        Some(async move {
            let answer = nodes.resolve_image(node, &image).await;
            ((node.clone(), component), answer.map_err(|error| unanswered(&error)))
        })
    }));
    let (previews, images) = join(previewed(nodes, &questions), images).await;
    Answers { images: images.into_iter().collect(), ..previews }
}

/// The same without its images: those of a plan that was made are settled.
pub async fn previews<N: Looks>(nodes: &N, about: &About<'_>, facts: &ClusterFacts) -> Answers {
    previewed(nodes, &questions(about, facts)).await
}

async fn previewed<N: Looks>(nodes: &N, questions: &[(NodeName, PreviewQuestion)]) -> Answers {
    let previews = join_all(questions.iter().map(async |(node, question)| {
        let answer = nodes.preview(node, question).await;
        ((node.clone(), question.component), answer.map_err(|error| unanswered(&error)))
    }));
    let previews = previews.await.into_iter().collect();
    Answers { previews, images: BTreeMap::new(), registry: None }
}

/// One for each container that gets a successor.
fn questions(about: &About<'_>, facts: &ClusterFacts) -> Vec<(NodeName, PreviewQuestion)> {
    let About { cluster, catalogue, window } = *about;
    let ask = |component, container| preview_question(catalogue, window, component, container);
    let mut questions = Vec::new();
    for name in cluster.names() {
        questions.push((name.clone(), ask(Component::Quay, None)));
        let companions = facts.nodes.get(name).into_iter().flat_map(NodeSurvey::companions);
        let starting =
            companions.filter(|companion| fate(catalogue, cluster, window, companion).starts());
        questions.extend(starting.map(|companion| {
            let id = companion.container.state.id.clone();
            (name.clone(), ask(companion.component, Some(id)))
        }));
    }
    questions
}

fn unanswered(error: &CallError) -> Unanswered {
    Unanswered { problem: error.reason(), remedy: error.remedy().to_owned() }
}
