//! Makes a plan of a situation. Whether the situation allows a window is
//! preflight's to say; whether the plan is sound is `check`'s.

use std::collections::BTreeMap;

use quaymaster_proto::node::{ConfigFacts, ContainerFacts, ReadableConfig};
use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::{Component, Mode, NodeName};

use super::situation::{ImageSource, Situation};
use super::steps::{Ingredients, Ways, steps};
use super::{
    CompanionNext, CompanionPlan, PLAN_VERSION, Plan, PlannedBackfill, PlannedBackup,
    PlannedCompanion, PlannedConfig, PlannedContainer, PlannedDatabase, PlannedImage, PlannedNode,
    PlannedStorage, PlannedTimings, PlannedWarning,
};
use crate::cluster::StorageBackup;
use crate::forecast::{forecast, stop_grace};
use crate::nodes::{ImageQuestion, ResolvedImage};
use crate::preflight::{Finding, Findings};

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
    let Situation { cluster, catalogue, facts, window, .. } = *situation;
    let target = catalogue.generation(&window.to);
    let found = catalogue.generation(&window.from);
    let (Some(_), Some(target)) = (situation.entry(), target) else {
        let (from, to) = (window.from.to_string(), window.to.to_string());
        return Err(BuildError::NoWay { from, to });
    };
    let image = image(situation, Component::Quay)?;
    let nodes: Vec<PlannedNode> =
        cluster.names().map(|name| node(situation, name)).collect::<Result<_, _>>()?;
    let companions = companions(situation, &nodes)?;
    let look = facts.one_database().ok_or(BuildError::NoDatabase)?;
    let backup = backup(situation)?;
    let Ways { there, back, rollback } = steps(&Ingredients {
        nodes: &nodes,
        first: &cluster.first,
        backup: backup.node(),
        image: &image,
        companions: &companions,
        has_backfill: found.is_some_and(|found| found.backfill.is_some()),
    });
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
            resumable: target.resumable.clone(),
        },
        backup,
        steps: there,
        back,
        rollback,
        image,
        port_moves: situation.port_moves(Component::Quay),
        companions,
        nodes,
        first: cluster.first.clone(),
        timings: timings(situation),
        forecast: forecast(situation),
        warnings: findings.warnings().map(warning).collect(),
        waivers: Vec::new(),
        surveyed_at: facts.taken_at,
        is_lab: facts.is_lab(),
    })
}

fn warning(finding: &Finding) -> PlannedWarning {
    PlannedWarning { code: finding.code(), words: finding.to_string(), remedy: finding.remedy() }
}

fn backup(situation: &Situation<'_>) -> Result<PlannedBackup, BuildError> {
    if let Some(because) = situation.waived_backup {
        let newest = situation.newest_backup();
        return Ok(PlannedBackup::Waived { because: because.to_owned(), newest });
    }
    let node = situation.cluster.backup.clone();
    let survey = situation.facts.nodes.get(&node);
    let directory = survey.and_then(|survey| survey.facts.backup.as_ref());
    let directory = directory
        .map(|backup| backup.directory.clone())
        .ok_or_else(|| BuildError::Unknown { node: node.clone(), what: "where backups go" })?;
    Ok(PlannedBackup::Taken { node, directory, storage: storage(situation) })
}

/// What cannot be copied is preflight's to say.
fn storage(situation: &Situation<'_>) -> PlannedStorage {
    match situation.cluster.storage {
        None => PlannedStorage::Left,
        Some(StorageBackup::Hook) => PlannedStorage::Hooked,
        Some(StorageBackup::Copy) => {
            let from = situation.local_storage().map(|(directory, _)| directory.to_owned());
            PlannedStorage::Copied { from: from.collect() }
        }
    }
}

fn image(situation: &Situation<'_>, component: Component) -> Result<PlannedImage, BuildError> {
    match situation.image_source(component).ok_or(BuildError::NoImage)? {
        ImageSource::Registry(ImageQuestion { component: _, repository, tag }) => {
            if let Some(image) = situation.loaded(component) {
                let reference = format!("{repository}:{tag}");
                return Ok(PlannedImage::Loaded { reference, image: image.clone() });
            }
            let mut answers = situation.images(component);
            match answers.find_map(|(_, answer)| answer.as_ref().ok()) {
                Some(ResolvedImage::InRegistry { digest, present: _ }) => {
                    Ok(PlannedImage::Pull { repository, tag, digest: digest.clone() })
                }
                Some(ResolvedImage::OnNode { .. }) | None => Err(BuildError::NoImage),
            }
        }
        ImageSource::Running(image) => Ok(PlannedImage::Present { image }),
    }
}

fn companions(
    situation: &Situation<'_>,
    nodes: &[PlannedNode],
) -> Result<BTreeMap<Component, CompanionPlan>, BuildError> {
    let mut plans = BTreeMap::new();
    let all = nodes.iter().flat_map(|node| &node.companions);
    for PlannedCompanion { container, fate } in all {
        let component = container.component;
        let grace = stop_grace(situation, component).as_secs();
        let plan = plans.entry(component).or_insert_with(|| CompanionPlan {
            stop_grace_seconds: u32::try_from(grace).unwrap_or(u32::MAX),
            next: None,
        });
        if fate.starts() && plan.next.is_none() {
            plan.next = Some(CompanionNext {
                image: image(situation, component)?,
                port_moves: situation.port_moves(component),
                mount_copies: situation.mount_copies(component),
            });
        }
    }
    Ok(plans)
}

fn node(situation: &Situation<'_>, name: &NodeName) -> Result<PlannedNode, BuildError> {
    let unknown = |what| BuildError::Unknown { node: name.clone(), what };
    let survey = situation.facts.nodes.get(name).ok_or_else(|| unknown("the node"))?;
    let container = survey.quay_container().ok_or_else(|| unknown("its Quay container"))?;
    let preview = situation.preview(name, Component::Quay);
    let preview = preview.ok_or_else(|| unknown("what the change makes of it"))?;
    let ConfigFacts::Readable(config) = &survey.facts.config else {
        return Err(unknown("its config.yaml"));
    };
    let companions = survey.companions().map(|companion| {
        let fate = situation.fate(&companion);
        let findings = match situation.preview(name, companion.component) {
            Some(preview) => notable(preview),
            None if fate.starts() => {
                return Err(unknown("what the change makes of its other containers"));
            }
            None => Vec::new(),
        };
        let mode = match companion.component {
            Component::Mirror => situation.window.from.mode,
            Component::Quay | Component::Clair | Component::Builder => Mode::Absent,
        };
        let container = planned(companion.component, companion.container, mode, findings);
        Ok(PlannedCompanion { container, fate })
    });
    Ok(PlannedNode {
        name: name.clone(),
        address: survey.address.to_string(),
        engine: survey.facts.engine.id.clone(),
        quay: planned(Component::Quay, container, situation.window.from.mode, notable(preview)),
        companions: companions.collect::<Result<_, _>>()?,
        config: change(config, preview, writer(situation, name, config))
            .ok_or_else(|| unknown("its config.yaml's change"))?,
        floor: survey.facts.floor.clone(),
    })
}

fn planned(
    component: Component,
    container: &ContainerFacts,
    mode: Mode,
    findings: Vec<SpecFinding>,
) -> PlannedContainer {
    PlannedContainer {
        component,
        container: container.state.id.clone(),
        name: container.state.name.clone(),
        spec: container.spec.clone(),
        image: container.state.image.clone(),
        mode,
        restart_policy: container.wanted_restart_policy(),
        findings,
    }
}

/// Of the nodes that share a file the one that migrates edits it, or else the
/// first that is listed.
fn writer(situation: &Situation<'_>, name: &NodeName, config: &ReadableConfig) -> NodeName {
    let shares = |other: &&NodeName| {
        let survey = situation.facts.nodes.get(*other);
        survey.is_some_and(|survey| match &survey.facts.config {
            ConfigFacts::Readable(other) => other.file_identity == config.file_identity,
            ConfigFacts::Unusable { .. } => false,
        })
    };
    let cluster = situation.cluster;
    let in_order = std::iter::once(&cluster.first).chain(cluster.names());
    in_order.into_iter().find(shares).unwrap_or(name).clone()
}

/// What is simply carried over needs no word.
fn notable(preview: &Preview) -> Vec<SpecFinding> {
    let findings = preview.spec.iter();
    findings.filter(|finding| finding.verdict != SpecVerdict::Carried).cloned().collect()
}

fn change(config: &ReadableConfig, preview: &Preview, writer: NodeName) -> Option<PlannedConfig> {
    match preview.config.as_ref()? {
        ConfigChange::Edit { from, to, line, inserted } => Some(PlannedConfig {
            path: config.path.clone(),
            from: from.clone(),
            to: to.clone(),
            line: *line,
            inserted: *inserted,
            writer,
        }),
        ConfigChange::Refused { .. } => None,
    }
}

fn timings(situation: &Situation<'_>) -> PlannedTimings {
    let timings = &situation.cluster.timings;
    let grace = stop_grace(situation, Component::Quay).as_secs();
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
