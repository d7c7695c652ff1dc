//! What must never be, whoever asked for it. What somebody else did in the very
//! moment before is theirs; what the product does on top of it is its own.

use std::collections::{BTreeMap, BTreeSet};

use quaymaster_proto::backup::BACKUP_APPLICATION;
use quaymaster_proto::{ContainerId, Floor, Mode};

use crate::database::{BACKGROUND, COMPLETE, TAGS};
use crate::world::{Cause, Phase, Process, Release, State, mode_in, release_of};

mod crossing;

use crossing::{Intent, Writer};

/// What nobody could have seen in time, in milliseconds: a start by somebody
/// else, between an agent's look and what it does next.
const INSTANT: u64 = 600;

/// Within so many milliseconds an agent stops what a floor forbids.
const SIGHT: u64 = 2_000;

/// So long the first one has to be well before another one starts, by a clock
/// that is never wrong: cluster.yaml's `healthy_for`.
const SOAK: u64 = 500;

/// So many tags have to be in the new tables before a window to complete mode
/// goes dark: cluster.yaml's threshold.
const THRESHOLD: i64 = TAGS * 9 / 10;

/// Who sees it all.
#[derive(Clone, Debug)]
pub struct Witness {
    /// In words.
    pub violations: Vec<String>,
    /// What config.yaml may hold.
    pub texts: Vec<String>,
    /// What it holds on each node.
    configs: Vec<String>,
    /// Where the window found the database.
    found: &'static str,
    /// Where the window leads.
    pub target: &'static str,
    /// Processes that migrated, with whether the product started them.
    pub migrations: Vec<(u64, Cause)>,
    /// So often a person ordered the migrating start once more.
    pub retries: usize,
    /// A person ordered a rollback, which ends a migration.
    pub destroys_migration: bool,
    /// The database lost its last revision then.
    lost_at: Option<u64>,
    /// That it lost one ruined it.
    is_damage_lost: bool,
    /// The first of the new ones was well for long enough.
    was_well: bool,
    /// Asked by an agent to stop.
    stopped: BTreeSet<ContainerId>,
    /// Containers that a run is about to start to migrate.
    intents: BTreeMap<ContainerId, Intent>,
    /// Since when the first of them runs.
    crossed_at: Option<u64>,
    /// Every Quay that ever was on the database.
    writers: Vec<Writer>,
}

impl Witness {
    pub(crate) fn new(nodes: usize, text: &str, found: &'static str) -> Self {
        Self {
            violations: Vec::new(),
            texts: vec![text.to_owned()],
            configs: vec![text.to_owned(); nodes],
            found,
            target: COMPLETE,
            migrations: Vec::new(),
            retries: 0,
            destroys_migration: false,
            lost_at: None,
            is_damage_lost: false,
            was_well: false,
            stopped: BTreeSet::new(),
            intents: BTreeMap::new(),
            crossed_at: None,
            writers: Vec::new(),
        }
    }

    /// A window begins, towards this text of config.yaml.
    pub fn expect(&mut self, text: String) {
        self.target = match mode_in(&text) {
            Some("background") => BACKGROUND,
            _ => COMPLETE,
        };
        self.texts.push(text);
    }

    /// One more.
    pub fn blame(&mut self, millis: u64, number: u32, words: &str) {
        let line = format!("invariant {number} at {millis}: {words}");
        self.violations.push(line);
    }

    pub(crate) fn excuse_failover(&mut self, millis: u64, loses: bool) {
        if loses {
            self.lost_at = Some(millis);
        }
    }

    /// The database is what the window found: whatever migrated it is over.
    pub(crate) fn see_restore(&mut self) {
        self.migrations.clear();
        (self.retries, self.was_well) = (0, false);
    }

    /// Whether any agent was ever asked to stop a Quay.
    pub fn has_stopped(&self) -> bool {
        !self.stopped.is_empty()
    }

    /// Whether the database ever lost a revision.
    pub fn has_lost_revision(&self) -> bool {
        self.lost_at.is_some()
    }

    /// Whether that alone ruined the database: several Quays were on their way,
    /// and found it again.
    pub fn is_damage_lost(&self) -> bool {
        self.is_damage_lost
    }

    /// Whether nobody who started something then could know what was lost.
    fn has_just_lost(&self, started: u64) -> bool {
        self.lost_at.is_some_and(|at| started.saturating_sub(at) < INSTANT)
    }

    /// Whether the window leads from background mode to complete mode.
    fn is_second_window(&self) -> bool {
        self.texts.first().is_some_and(|text| mode_in(text) == Some("background"))
            && self.target == COMPLETE
    }

    /// Config files as they are now.
    pub(crate) fn see_configs(state: &mut State, millis: u64, texts: &[String]) {
        for (node, text) in texts.iter().enumerate() {
            if state.witness.configs[node] == *text {
                continue;
            }
            state.witness.configs[node].clone_from(text);
            if !state.witness.texts.contains(text) {
                let words = format!("quay-{}: config.yaml is neither old nor new", node + 1);
                state.witness.blame(millis, 5, &words);
            }
            if mode_in(text) == Some("complete") && is_early(state) {
                let words = format!("quay-{}: complete mode before the backfill's end", node + 1);
                state.witness.blame(millis, 3, &words);
            }
            // On the way back a node that comes late gets what the others run with.
            let alive = state.quays().find(|(_, _, process)| {
                let is_other = process.mode.as_deref() != mode_in(text);
                is_other
                    && (process.cause != Cause::Foreign
                        || millis.saturating_sub(process.since) > INSTANT)
            });
            if let Some((other, stored, _)) = alive {
                let name = stored.state.name.clone();
                let words = format!(
                    "quay-{}: config.yaml changed while {name} of quay-{} runs",
                    node + 1,
                    other + 1
                );
                state.witness.blame(millis, 3, &words);
            }
        }
    }

    /// A Quay starts.
    pub(crate) fn see_start(state: &mut State, millis: u64, node: usize, id: &ContainerId) {
        let Some(described) = described(state, node, id) else { return };
        let (release, mode, cause, runs, number, name) = described.clone();
        if cause == Cause::Foreign {
            return;
        }
        let was_stopped = state.witness.stopped.contains(id);
        // A revision that the database lost is found again by whatever starts.
        // What the engine starts by itself finds it again whenever that is.
        let is_lost = state.witness.has_just_lost(millis)
            || cause == Cause::Policy && state.witness.has_lost_revision();
        let node_name = format!("quay-{}", node + 1);
        let mut found = Self::meetings(state, millis, &described, is_lost);
        found.extend(Self::see_crossing(state, millis, id, cause));
        let is_new = release == Release::New && target_of(mode.as_deref()) == state.witness.target;
        if cause == Cause::Agent && runs > 1 {
            found.push((2, format!("{node_name}: {name} is started again")));
        }
        if is_new && cause == Cause::Agent && mode.as_deref() == Some("complete") && is_early(state)
        {
            found.push((3, format!("{node_name}: {name} starts before the backfill's end")));
        }
        if is_new && cause == Cause::Agent {
            let is_second = state.quays().any(|(_, stored, process)| {
                process.number != number
                    && process.cause != Cause::Foreign
                    && release_of(&stored.state.image) == Release::New
                    && process.mode == mode
            });
            // One that is well on what was restored is a first one too.
            let is_well = state.quays().any(|(_, _, process)| {
                process.number != number
                    && process.mode == mode
                    && has_soaked(state, process, millis)
            });
            state.witness.was_well |= is_well;
            if is_second && !state.witness.was_well {
                let words =
                    format!("{node_name}: {name} starts and no first one was well for long");
                found.push((1, words));
            }
            let modes: Vec<_> = state.witness.configs.iter().map(|text| mode_in(text)).collect();
            if modes.iter().any(|other| *other != mode.as_deref()) {
                let words = format!("{node_name}: {name} starts while nodes carry several modes");
                found.push((3, words));
            }
        }
        if cause == Cause::Policy && was_stopped {
            found.push((4, format!("{node_name}: {name}, which its agent stopped, comes back")));
        }
        if !is_new && !state.witness.migrations.is_empty() {
            found.push((4, format!("{node_name}: {name}, of what was left, starts ({cause:?})")));
        }
        for (invariant, words) in found {
            state.witness.blame(millis, invariant, &words);
        }
    }

    /// A Quay ends.
    pub(crate) fn see_end(state: &mut State, millis: u64, process: &Process) {
        let is_wanted = target_of(process.mode.as_deref()) == state.witness.target;
        state.witness.was_well |= is_wanted && has_soaked(state, process, millis);
        state.witness.see_writer_end(process.number, millis);
    }

    /// An agent has another floor.
    pub(crate) fn see_floor(state: &mut State, millis: u64, node: usize, floor: Option<&Floor>) {
        let before = state.hosts[node].floor.take();
        let since = before.as_ref().filter(|(_, before)| Some(before) == floor);
        let since = since.map_or(millis, |(since, _)| *since);
        state.hosts[node].floor = floor.map(|floor| (since, floor.clone()));
        state.hosts[node].forgotten = None;
        // The proof: nothing new ever started, or nothing was changed by what did.
        let is_changed =
            state.database.is_ruined() || state.database.revision != state.witness.found;
        let has_migrated = state.witness.migrations.iter().any(|(_, by)| *by == Cause::Agent);
        if before.is_some() && floor.is_none() && has_migrated && is_changed {
            let words = format!("quay-{}: its floor is lowered behind a migration", node + 1);
            state.witness.blame(millis, 4, &words);
        }
    }

    /// What a floor forbids does not live for long where an agent can see it.
    pub(crate) fn see_floors(state: &mut State, millis: u64) {
        let lasts = |since: u64| millis.saturating_sub(since) > SIGHT;
        let mut found = Vec::new();
        for (node, stored, process) in state.quays() {
            let host = &state.hosts[node];
            let sees = host.is_up && host.agent_since.is_some_and(lasts);
            let mode = match process.mode.as_deref() {
                Some("background") => Mode::Background,
                Some(_) => Mode::Complete,
                None => Mode::Absent,
            };
            let is_below = host.floor.as_ref().is_some_and(|(since, floor)| {
                // The mode that it runs in shows when it is well, and whoever
                // looked before has not seen it.
                let looked = host.agent_since.max(Some(*since));
                let is_seen = release_of(&stored.state.image) == Release::Old
                    || process.well_since.is_some_and(|well| Some(well) < looked);
                // An agent that has lost it starts nothing, and stops nothing.
                let is_known = host.forgotten.is_none();
                lasts(*since) && is_seen && is_known && floor.forbids(&stored.state.image, mode)
            });
            if is_below && sees && lasts(process.since) {
                found.push(format!("{}: {} lives below its floor", host.name, stored.state.name));
            }
        }
        for words in found {
            state.witness.blame(millis, 4, &words);
        }
    }

    /// Whom a Quay that starts meets.
    fn meetings(
        state: &State,
        millis: u64,
        started: &Described,
        is_lost: bool,
    ) -> Vec<(u32, String)> {
        let (release, mode, cause, _, number, name) = started;
        let mut found: Vec<(u32, String)> = Vec::new();
        for (other, stored, process) in state.quays() {
            let is_same = process.number == *number;
            let just_now =
                process.cause == Cause::Foreign && millis - process.since < INSTANT && millis > 0;
            if is_same || just_now {
                continue;
            }
            let generation = (release_of(&stored.state.image), process.mode.clone());
            if generation != (*release, mode.clone()) {
                let words = format!(
                    "{name} starts ({cause:?}) while {} of quay-{} runs another generation",
                    stored.state.name,
                    other + 1
                );
                found.push((1, words));
            } else if *release == Release::New
                && !is_lost
                && state.database.revision != target_of(mode.as_deref())
            {
                let words = format!(
                    "{name} starts ({cause:?}) beside quay-{} before the database is there",
                    other + 1
                );
                found.push((1, words));
            }
        }
        found
    }

    /// A Quay begins to change the database.
    pub(crate) fn see_migration(state: &mut State, millis: u64, node: usize, id: &ContainerId) {
        let Some((_, _, cause, _, number, name)) = described(state, node, id) else { return };
        state.witness.migrations.push((number, cause));
        let words = format!("quay-{}: {name} migrates ({cause:?})", node + 1);
        let since = state.stored(node, id).and_then(|stored| Some(stored.process.as_ref()?.since));
        if cause == Cause::Agent
            && let Some(flaw) = Self::unbacked(state, id, number)
        {
            state.witness.blame(millis, 7, &format!("{words}, {flaw}"));
        }
        let is_lost = since.is_some_and(|since| state.witness.has_just_lost(since))
            || cause == Cause::Policy && state.witness.has_lost_revision();
        if cause != Cause::Foreign && !is_lost {
            let earlier = state.witness.migrations.len() - 1;
            if earlier > state.witness.retries {
                state.witness.blame(millis, 2, &format!("{words}, and another one did before"));
            }
            // No person may order it there either (quay-facts 10.2).
            let is_half_there = state.database.midst.is_some() || state.database.is_ruined();
            let is_ours = state.witness.migrations.iter().all(|(_, by)| *by != Cause::Foreign);
            if is_half_there && is_ours {
                state.witness.blame(millis, 2, &format!("{words}, where half of it is there"));
            }
            let other = state.quays().find(|(_, _, other)| {
                other.migrates && other.number != number && other.cause != Cause::Foreign
            });
            if other.is_some() {
                state.witness.blame(millis, 2, &format!("{words}, while another one does"));
            }
            let foreign = state.database.clients.values().find(|client| {
                // A dump is the product's own: there is no excuse for it.
                let is_dump = client.application == BACKUP_APPLICATION;
                let is_old = millis.saturating_sub(client.since) > INSTANT;
                client.of != Some(number) && (is_dump || is_old)
            });
            if let Some(client) = foreign {
                let who = format!("{}@{}", client.application, client.address);
                state.witness.blame(millis, 11, &format!("{words} while {who} is there"));
            }
        }
    }

    /// An agent has its engine stop a Quay.
    pub(crate) fn see_stop(state: &mut State, millis: u64, node: usize, id: &ContainerId) {
        let revision = state.database.revision;
        let Some(stored) = state.stored(node, id) else { return };
        let name = stored.state.name.clone();
        let is_new = release_of(&stored.state.image) == Release::New;
        let is_about_to = |process: &Process| {
            is_new
                && process.phase == Phase::Starting
                && target_of(process.mode.as_deref()) != revision
        };
        let migrates = stored.process.as_ref().is_some_and(|it| it.migrates || is_about_to(it));
        state.witness.stopped.insert(id.clone());
        if migrates && !state.witness.destroys_migration {
            let words = format!("quay-{}: {name} is stopped before it has migrated", node + 1);
            state.witness.blame(millis, 2, &words);
        }
    }

    /// The database is ruined, by two that migrate at once, or by a migration
    /// and whoever ended it. Where somebody else took part it is theirs.
    pub(crate) fn see_damage(state: &mut State, millis: u64, took_part: [Cause; 2]) {
        // Whoever migrates what the database has just lost began before it did.
        if state.witness.has_just_lost(millis) {
            state.witness.is_damage_lost = true;
        } else if took_part == [Cause::Agent; 2] {
            let words = state.database.damage.last().cloned().unwrap_or_default();
            state.witness.blame(millis, 2, &words);
        }
    }
}

type Described = (Release, Option<String>, Cause, u32, u64, String);

fn described(state: &mut State, node: usize, id: &ContainerId) -> Option<Described> {
    let stored = state.stored(node, id)?;
    let process = stored.process.as_ref()?;
    Some((
        release_of(&stored.state.image),
        process.mode.clone(),
        process.cause,
        stored.runs,
        process.number,
        stored.state.name.clone(),
    ))
}

/// Whether a Quay has been well for long enough to let another one start.
fn has_soaked(state: &State, process: &Process, millis: u64) -> bool {
    state.database.revision == state.witness.target
        && process.well_since.is_some_and(|since| millis.saturating_sub(since) >= SOAK)
}

/// Whether the second window's time has not come.
fn is_early(state: &State) -> bool {
    let database = &state.database;
    state.witness.is_second_window()
        && database.revision == BACKGROUND
        && database.mapped < THRESHOLD
}

fn target_of(mode: Option<&str>) -> &'static str {
    match mode {
        Some("background") => BACKGROUND,
        _ => COMPLETE,
    }
}
