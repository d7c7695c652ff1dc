//! Makes a plan of a situation. Whether the situation allows a window is
//! preflight's to say; whether the plan is sound is `check`'s.

use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::{Component, NodeName, StepNumber};

use super::situation::Situation;
use super::{
    Gate, Inverse, PLAN_VERSION, Plan, PlannedBackfill, PlannedConfig, PlannedContainer,
    PlannedDatabase, PlannedImage, PlannedNode, PlannedTimings, Stage, Step, Verb, What, Width,
};
use crate::forecast::{forecast, stop_grace};
use crate::preflight::Findings;
use crate::survey::NodeSurvey;

/// Why no plan can be made. A situation that preflight allows never ends here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// The catalogue knows no such way.
    #[error("the catalogue knows no way from {from} to {to}")]
    NoWay {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// A node did not answer, or has not what a plan names.
    #[error("{node}: {what} is not known")]
    Unknown {
        /// The node.
        node: NodeName,
        /// What is missing.
        what: &'static str,
    },
    /// The nodes do not share one database.
    #[error("the nodes do not share one database")]
    NoDatabase,
    /// There is no one image.
    #[error("the image is not known")]
    NoImage,
}

/// Makes a plan. `findings` are those of preflight on the same situation.
pub fn build(situation: &Situation<'_>, findings: &Findings) -> Result<Plan, BuildError> {
    let Situation { cluster, catalogue, facts, window, answers: _ } = *situation;
    let entry = situation.entry();
    let target = catalogue.generation(&window.to);
    let (Some(_), Some(target)) = (entry, target) else {
        let (from, to) = (window.from.to_string(), window.to.to_string());
        return Err(BuildError::NoWay { from, to });
    };
    let image = image(situation)?;
    let nodes: Vec<PlannedNode> =
        cluster.names().map(|name| node(situation, name)).collect::<Result<_, _>>()?;
    let look = facts.one_database().ok_or(BuildError::NoDatabase)?;
    Ok(Plan {
        version: PLAN_VERSION,
        cluster: cluster.name.clone(),
        window: window.clone(),
        database: PlannedDatabase {
            identity: look.identity.clone(),
            shown_as: look.shown_as.clone(),
            kind: look.kind.clone(),
            revision: look.revision.clone(),
            accepted: situation.accepted().to_vec(),
            target: target.target.clone(),
        },
        steps: steps(situation, &image),
        image,
        port_moves: situation.preview_question().port_moves,
        nodes,
        first: cluster.first.clone(),
        timings: timings(situation),
        forecast: forecast(situation),
        warnings: findings.warnings().map(ToString::to_string).collect(),
        surveyed_at: facts.taken_at,
        is_lab: facts.is_lab(),
    })
}

fn image(situation: &Situation<'_>) -> Result<PlannedImage, BuildError> {
    if let Some(question) = situation.image_question() {
        let resolved = situation.answers.images.get(&situation.cluster.first);
        let resolved = resolved.and_then(|answer| answer.as_ref().ok());
        let digest = resolved.ok_or(BuildError::NoImage)?.digest.clone();
        return Ok(PlannedImage::Pull {
            repository: question.repository,
            tag: question.tag,
            digest,
        });
    }
    let running = situation.facts.nodes.values().find_map(NodeSurvey::quay_container);
    let image = running.ok_or(BuildError::NoImage)?.state.image.clone();
    Ok(PlannedImage::Present { image })
}

fn node(situation: &Situation<'_>, name: &NodeName) -> Result<PlannedNode, BuildError> {
    let unknown = |what| BuildError::Unknown { node: name.clone(), what };
    let survey = situation.facts.nodes.get(name).ok_or_else(|| unknown("the node"))?;
    let container = survey.quay_container().ok_or_else(|| unknown("its Quay container"))?;
    let preview = situation.answers.previews.get(name).and_then(|answer| answer.as_ref().ok());
    let preview = preview.ok_or_else(|| unknown("what the change makes of it"))?;
    let ConfigFacts::Readable(config) = &survey.facts.config else {
        return Err(unknown("its config.yaml"));
    };
    Ok(PlannedNode {
        name: name.clone(),
        address: survey.address.to_string(),
        engine: survey.facts.engine.id.clone(),
        quay: PlannedContainer {
            component: Component::Quay,
            container: container.state.id.clone(),
            name: container.state.name.clone(),
            spec: container.spec.clone(),
            image: container.state.image.clone(),
            mode: situation.window.from.mode,
            restart_policy: container.state.restart_policy,
            findings: notable(preview),
        },
        config: change(&config.path, preview).ok_or_else(|| unknown("its config.yaml's change"))?,
    })
}

/// What is simply carried over needs no word.
fn notable(preview: &Preview) -> Vec<SpecFinding> {
    let findings = preview.spec.iter();
    findings.filter(|finding| finding.verdict != SpecVerdict::Carried).cloned().collect()
}

fn change(path: &str, preview: &Preview) -> Option<PlannedConfig> {
    match &preview.config {
        ConfigChange::Edit { from, to, line, inserted } => Some(PlannedConfig {
            path: path.to_owned(),
            from: from.clone(),
            to: to.clone(),
            line: *line,
            inserted: *inserted,
        }),
        ConfigChange::Refused { .. } => None,
    }
}

fn timings(situation: &Situation<'_>) -> PlannedTimings {
    let timings = &situation.cluster.timings;
    let grace = stop_grace(situation).as_secs();
    PlannedTimings {
        stop_grace_seconds: u32::try_from(grace).unwrap_or(u32::MAX),
        first_node_limit: timings.first_node_limit,
        healthy_for: timings.healthy_for,
        backfill: PlannedBackfill {
            threshold: timings.backfill.threshold,
            samples: timings.backfill.samples,
            poll: timings.backfill.poll,
        },
        expected_sessions: situation.cluster.expected_sessions.clone(),
    }
}

/// The steps in their order. Everything that can be done while the registry
/// serves is done before the approval; the last look for the dark comes right
/// before the migrating start.
fn steps(situation: &Situation<'_>, image: &PlannedImage) -> Vec<Step> {
    let found = situation.catalogue.generation(&situation.window.from);
    let mut steps = Steps::new(situation);
    if found.is_some_and(|found| found.backfill.is_some()) {
        steps.gate(Gate::Backfill, Width::All);
    }
    if matches!(image, PlannedImage::Pull { .. }) {
        steps.act(Verb::Pull, Width::All, Inverse::Harmless);
    }
    steps.act(Verb::StageContainer, Width::All, Inverse::RemoveStaged);
    steps.act(Verb::StageConfig, Width::All, Inverse::RemoveFile);
    steps.gate(Gate::Approval, Width::All);
    steps.gate(Gate::Unchanged, Width::All);

    steps.stage = Stage::Dark;
    steps.act(Verb::Stop, Width::All, Inverse::Recreate);
    steps.gate(Gate::Dark, Width::All);
    steps.act(Verb::PutConfig, Width::All, Inverse::RestoreConfig);
    steps.gate(Gate::Dark, Width::All);

    steps.stage = Stage::Beyond;
    steps.act(Verb::StartMigrating, Width::First, Inverse::None);
    steps.gate(Gate::FirstNode, Width::First);
    if !steps.rest.is_empty() {
        steps.act(Verb::Start, Width::Rest, Inverse::None);
        steps.gate(Gate::Healthy, Width::Rest);
    }
    steps.act(Verb::Promote, Width::All, Inverse::None);
    steps.done
}

struct Steps {
    all: Vec<NodeName>,
    first: Vec<NodeName>,
    rest: Vec<NodeName>,
    stage: Stage,
    number: StepNumber,
    done: Vec<Step>,
}

impl Steps {
    fn new(situation: &Situation<'_>) -> Self {
        let all: Vec<NodeName> = situation.cluster.names().cloned().collect();
        let first = situation.cluster.first.clone();
        Self {
            rest: all.iter().filter(|name| **name != first).cloned().collect(),
            first: vec![first],
            all,
            stage: Stage::Serving,
            number: StepNumber::FIRST,
            done: Vec::new(),
        }
    }

    fn act(&mut self, verb: Verb, width: Width, inverse: Inverse) {
        self.add(What::Act(verb), width, inverse);
    }

    fn gate(&mut self, gate: Gate, width: Width) {
        self.add(What::Gate(gate), width, Inverse::Nothing);
    }

    fn add(&mut self, what: What, width: Width, inverse: Inverse) {
        let nodes = match width {
            Width::All => self.all.clone(),
            Width::First => self.first.clone(),
            Width::Rest => self.rest.clone(),
        };
        let (number, stage) = (self.number, self.stage);
        self.done.push(Step { number, stage, what, nodes, width, inverse });
        self.number = number.next();
    }
}
