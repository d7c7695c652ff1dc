//! Asking the cluster what a command needs to know.

use futures::future::join_all;
use quaymaster_proto::{Component, NodeName};

use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::nodes::{CallError, Looks, PreviewQuestion, ResolvedImage, asking};
use crate::plan::Window;
use crate::plan::situation::{Answers, Unanswered, fate, image_question, preview_question};
use crate::survey::{ClusterFacts, NodeSurvey, Survey};

impl Context {
    /// Asks every node of the cluster file. Images without a tag are looked up
    /// in the registry, as far as it answers.
    pub(super) async fn survey<N: Looks>(&self, nodes: &N, counts: asking::Counts) -> Survey {
        let addresses = self.addresses();
        let request = asking::Request {
            cluster: &self.cluster.name,
            nodes: &addresses,
            key: &self.key,
            counts,
        };
        let mut survey = asking::survey(nodes, &request, || self.clock.now()).await;
        let questions = self.reader().digest_questions(&survey.facts);
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
        survey
    }

    /// The same, where every node has to answer.
    pub(super) async fn facts<N: Looks>(
        &self,
        nodes: &N,
        counts: asking::Counts,
    ) -> Result<ClusterFacts, CommandError> {
        let survey = self.survey(nodes, counts).await;
        survey.complete().map_err(|silent| CommandError::Silent { silent })
    }

    /// Asks every node what the window would make of it.
    pub(super) async fn answers<N: Looks>(
        &self,
        nodes: &N,
        facts: &ClusterFacts,
        window: &Window,
    ) -> Answers {
        let questions = self.questions(facts, window);
        let previews = join_all(questions.iter().map(async |(node, question)| {
            let answer = nodes.preview(node, question).await;
            ((node.clone(), question.component), answer.map_err(|error| unanswered(&error)))
        }));
        let images = join_all(questions.iter().filter_map(|(node, question)| {
            let component = question.component;
            if component == Component::Mirror {
                return None; // its image is Quay's
            }
            let image = image_question(&self.catalogue, &self.cluster, window, component)?;
            Some(async move {
                let answer = nodes.resolve_image(node, &image).await;
                ((node.clone(), component), answer.map_err(|error| unanswered(&error)))
            })
        }));
        let (previews, images) = futures::future::join(previews, images).await;
        Answers { previews: previews.into_iter().collect(), images: images.into_iter().collect() }
    }

    /// One for each container that gets a successor.
    fn questions(&self, facts: &ClusterFacts, window: &Window) -> Vec<(NodeName, PreviewQuestion)> {
        let ask =
            |component, container| preview_question(&self.catalogue, window, component, container);
        let mut questions = Vec::new();
        for name in self.cluster.names() {
            questions.push((name.clone(), ask(Component::Quay, None)));
            let companions = facts.nodes.get(name).into_iter().flat_map(NodeSurvey::companions);
            let starting = companions.filter(|companion| {
                fate(&self.catalogue, &self.cluster, window, companion).starts()
            });
            questions.extend(starting.map(|companion| {
                let id = companion.container.state.id.clone();
                (name.clone(), ask(companion.component, Some(id)))
            }));
        }
        questions
    }
}

fn unanswered(error: &CallError) -> Unanswered {
    Unanswered { problem: error.reason(), remedy: error.remedy().to_owned() }
}
