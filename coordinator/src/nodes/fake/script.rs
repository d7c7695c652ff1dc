//! What befalls the fake fleet: refusals, silence, losses, and what people do
//! behind the run's back.

use quaymaster_proto::database::Session;
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{ContainerStatus, NodeName, Reason, Refusal, RunId};

use super::FakeFleet;
use super::kept::Kept;
use crate::survey::fixture;

impl FakeFleet {
    pub(crate) fn refuse(&self, node: &str, verb: &'static str, reason: Reason) {
        let refusal = Refusal::new(reason, format!("{verb} is refused")).with_remedy("mend it");
        self.world().refusals.insert((node.parse().unwrap(), verb), refusal);
    }

    pub(crate) fn forgive(&self) {
        let mut world = self.world();
        world.refusals.clear();
        world.silent.clear();
        world.lost.clear();
        world.sessions.clear();
    }

    /// The next fresh container of the node ends at once.
    pub(crate) fn fresh_one_dies(&self, node: &str) {
        self.world().dying.insert(node.parse().unwrap());
    }

    pub(crate) fn silence(&self, node: &str) {
        self.world().silent.insert(node.parse().unwrap());
    }

    /// Orders of this kind do not reach the node.
    pub(crate) fn lose(&self, node: &str, verb: &'static str) {
        self.world().lost.insert((node.parse().unwrap(), verb));
    }

    /// The next claim does reach the node, and its answer is lost.
    pub(crate) fn mute_claim(&self, node: &str) {
        self.world().unheard_claims.insert(node.parse().unwrap());
    }

    pub(crate) fn connect(&self, session: Session) {
        self.world().sessions.push(session);
    }

    /// What was staged on a node has ended by itself.
    pub(crate) fn end_staged(&self, node: &str) {
        let mut world = self.world();
        let node = world.node(&node.parse().unwrap());
        let ids: Vec<_> = node.staged.values().map(|staged| staged.id.clone()).collect();
        for id in ids {
            node.find(&id).unwrap().state.status = ContainerStatus::Exited;
        }
    }

    /// Somebody else has migrated it.
    pub(crate) fn move_database(&self, revision: &str) {
        self.world().database.revision = revision.to_owned();
    }

    pub(crate) fn first_exits_with(&self, code: i64) {
        self.world().first_exits_with = Some(code);
    }

    /// What the migrating container's log says.
    pub(crate) fn first_says(&self, lines: &[&'static str]) {
        self.world().log = lines.to_vec();
    }

    /// Whatever made the first container end is mended.
    pub(crate) fn mend_first(&self) {
        let mut world = self.world();
        world.first_exits_with = None;
        world.migration_began = None;
    }

    /// Every node runs what it was made with, with its file, its floor and no
    /// lease, and nothing is left of what was staged.
    pub(crate) fn assert_as_found(&self) {
        let mut world = self.world();
        for node in world.nodes.values_mut() {
            node.assert_as_found();
        }
    }

    /// The agent's disk is lost.
    pub(crate) fn lose_ledger(&self, node: &str) {
        self.world().node(&node.parse().unwrap()).kept = Kept::default();
    }

    /// Another run has been over a node since.
    pub(crate) fn driven_by_another(&self, node: &str) {
        let run = RunId::new(ulid::Ulid::from_parts(1_700_000_001_000, 7));
        self.world().node(&node.parse().unwrap()).kept.drive_by(run);
    }

    /// What `/upgradeprogress/` says, one after the other; the last one stays.
    pub(crate) fn backfill(&self, samples: &[f64]) {
        self.world().backfill = samples.iter().copied().collect();
    }

    /// Somebody replaces a node's Quay container.
    pub(crate) fn replace_container(&self, node: &str) {
        let mut world = self.world();
        let node = world.nodes.get_mut(&node.parse::<NodeName>().unwrap()).unwrap();
        node.running().state.id = fixture::hex('9', 9).parse().unwrap();
    }

    /// Somebody edits a node's config.yaml.
    pub(crate) fn edit_config(&self, node: &str) {
        let mut world = self.world();
        let node = world.node(&node.parse().unwrap());
        let ConfigFacts::Readable(config) = &mut node.facts.config else { return };
        config.sha256 = fixture::hex('e', 7).parse().unwrap();
    }

    /// Somebody starts a node's old Quay container by hand, or stops it again.
    pub(crate) fn set_old_container(&self, node: &str, status: ContainerStatus) {
        let mut world = self.world();
        world.node(&node.parse().unwrap()).running().state.status = status;
    }

    /// Somebody starts a node's old Quay container by hand, and its agent stops
    /// it at once.
    pub(crate) fn run_old_container(&self, node: &str) {
        let now = self.now();
        let mut world = self.world();
        world.node(&node.parse().unwrap()).running().state.started_at = Some(now);
    }
}
