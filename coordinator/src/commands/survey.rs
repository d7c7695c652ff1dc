//! Asking the cluster what a command needs to know.

use futures::future::join;
use quaymaster_proto::NodeName;

use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::commands::unfinished::replay;
use crate::measured::Measured;
use crate::nodes::{Looks, asking};
use crate::plan::Window;
use crate::plan::situation::{Answers, RegistryAnswer, Situation};
use crate::preflight::{self, Findings};
use crate::report::report;
use crate::survey::{ClusterFacts, Survey};
use crate::verifier;

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
        asking::look_up_images(nodes, self.reader(), &mut survey).await;
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
        let about = asking::About { cluster: &self.cluster, catalogue: &self.catalogue, window };
        let (answers, registry) =
            join(asking::answers(nodes, &about, facts), self.registry(facts)).await;
        Answers { registry: Some(registry), ..answers }
    }

    /// The same without its images.
    pub(super) async fn previews<N: Looks>(
        &self,
        nodes: &N,
        facts: &ClusterFacts,
        window: &Window,
    ) -> Answers {
        let about = asking::About { cluster: &self.cluster, catalogue: &self.catalogue, window };
        let (answers, registry) =
            join(asking::previews(nodes, &about, facts), self.registry(facts)).await;
        Answers { registry: Some(registry), ..answers }
    }

    /// What the window's verification will find, as far as it can be known.
    async fn registry(&self, facts: &ClusterFacts) -> RegistryAnswer {
        let nodes: Vec<NodeName> = self.cluster.names().cloned().collect();
        verifier::ready(&self.cluster.verify, facts, &nodes).await
    }

    /// Everything a window is judged by; with a backup.
    pub(super) fn situation<'a>(
        &'a self,
        facts: &'a ClusterFacts,
        window: &'a Window,
        answers: &'a Answers,
        measured: &'a Measured,
    ) -> Situation<'a> {
        let (cluster, catalogue, waived_backup) = (&self.cluster, &self.catalogue, None);
        Situation { cluster, catalogue, facts, window, answers, waived_backup, measured }
    }

    /// What speaks against a window.
    pub(super) fn findings(&self, situation: &Situation<'_>) -> Findings {
        preflight::of_cluster(self.reader(), situation.facts).and(preflight::of_window(situation))
    }

    /// What earlier windows took, as far as this machine's journal knows. One
    /// that cannot be read says so where more than a forecast needs it.
    pub(super) async fn measured(&self) -> Measured {
        let mut measured = Measured::default();
        let Ok(Some(history)) = self.history().await else { return measured };
        for run in history.runs() {
            let Ok(Some(state)) = replay(&history, run) else { continue };
            if state.finished_at.is_none() || state.went_back() {
                continue;
            }
            if let Ok(plan) = self.plan_of(run, &state.plan) {
                measured.add(plan.plan(), &report(plan.plan(), &state));
            }
        }
        measured
    }
}
