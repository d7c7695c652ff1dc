//! Asking the cluster what a command needs to know.

use futures::future::join_all;
use quaymaster_proto::NodeName;

use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::nodes::{CallError, Looks, asking};
use crate::plan::Window;
use crate::plan::situation::{Answers, Unanswered, image_question, preview_question};
use crate::survey::{ClusterFacts, Survey};

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
            if let Ok(resolved) = answer {
                survey.facts.digests.insert(name, resolved.digest);
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
    pub(super) async fn answers<N: Looks>(&self, nodes: &N, window: &Window) -> Answers {
        let preview = preview_question(&self.catalogue, window);
        let image = image_question(&self.catalogue, &self.cluster, window);
        let names: Vec<&NodeName> = self.cluster.names().collect();
        let previews = join_all(names.iter().map(async |node| {
            let answer = nodes.preview(node, &preview).await;
            ((*node).clone(), answer.map_err(|error| unanswered(&error)))
        }));
        let images = join_all(names.iter().filter_map(|node| {
            let image = image.as_ref()?;
            Some(async move {
                let answer = nodes.resolve_image(node, image).await;
                ((*node).clone(), answer.map_err(|error| unanswered(&error)))
            })
        }));
        let (previews, images) = futures::future::join(previews, images).await;
        Answers { previews: previews.into_iter().collect(), images: images.into_iter().collect() }
    }
}

fn unanswered(error: &CallError) -> Unanswered {
    Unanswered { problem: error.reason(), remedy: error.remedy().to_owned() }
}
