//! One run of one Quay, as the facts say: it reads the mode, refuses or
//! migrates without lock and transaction, listens, and becomes well, unless its
//! container has run before.
#![expect(clippy::disallowed_methods, reason = "it waits in tokio's time")]

use std::time::Duration;

use quaymaster_proto::ContainerId;
use tokio::time::sleep;

use crate::database::{BACKGROUND, CHAIN, COMPLETE, Client, OLD, TAGS, place};
use crate::witness::Witness;
use crate::world::{Cause, Phase, Release, World, release_of};

/// Until it reads its config and asks the database.
const BOOT: Duration = Duration::from_millis(300);
/// Of one revision.
const REVISION: Duration = Duration::from_millis(400);
/// Between two parts of the tags.
const TICK: Duration = Duration::from_millis(100);
/// Tags of a part.
const PART: i64 = 30;
/// From the first answer until it is well.
const WARMING: Duration = Duration::from_millis(700);
/// What a shell makes of `exit -1`.
const REFUSED: i64 = 255;

/// Lives until it ends.
pub(crate) async fn live(world: World, node: usize, id: ContainerId, number: u64) {
    let quay = Quay { world, node, id, number };
    let code = quay.run().await;
    let Quay { world, node, id, .. } = quay;
    world.revive(node, &id);
    world.end(node, &id, code, Cause::Foreign);
}

struct Quay {
    world: World,
    node: usize,
    id: ContainerId,
    number: u64,
}

impl Quay {
    /// The exit code.
    async fn run(&self) -> i64 {
        self.say("Starting.".to_owned());
        sleep(BOOT).await;
        let Some((release, mode, runs)) = self.what_it_is() else { return REFUSED };
        let target = match (release, mode.as_deref()) {
            (Release::Old, _) => OLD,
            (Release::New, Some("background")) => BACKGROUND,
            (Release::New, Some("complete")) => COMPLETE,
            (Release::New, _) => return REFUSED,
        };
        if self.world.state().database.is_down {
            return REFUSED;
        }
        self.connect();
        let found = self.world.state().database.revision;
        if place(found) > place(target) {
            return REFUSED;
        }
        if found != target && self.migrate(target).await.is_err() {
            return 1;
        }
        self.has_come_to(Phase::Listening);
        sleep(WARMING).await;
        if runs > 1 {
            // Trips over what its first run left in its /tmp.
            std::future::pending::<()>().await;
        }
        self.has_come_to(Phase::Well);
        self.serve(release, mode.as_deref()).await
    }

    fn say(&self, line: String) {
        if let Some(stored) = self.world.state().stored(self.node, &self.id) {
            stored.log.push(line);
        }
    }

    fn what_it_is(&self) -> Option<(Release, Option<String>, u32)> {
        let mut state = self.world.state();
        let stored = state.stored(self.node, &self.id)?;
        let (release, runs) = (release_of(&stored.state.image), stored.runs);
        Some((release, stored.process.as_ref()?.mode.clone(), runs))
    }

    fn connect(&self) {
        let since = self.world.millis();
        let mut state = self.world.state();
        let address = state.hosts[self.node].address.clone();
        let client = Client { application: String::new(), address, of: Some(self.number), since };
        state.database.connect(client);
        let begun = state.process(self.node, &self.id, self.number).map(|process| process.since);
        state.witness.see_writer(self.number, begun.unwrap_or(since));
    }

    async fn migrate(&self, target: &'static str) -> Result<(), ()> {
        {
            let millis = self.world.millis();
            let mut state = self.world.state();
            if let Some(process) = state.process(self.node, &self.id, self.number) {
                process.migrates = true;
            }
            Witness::see_migration(&mut state, millis, self.node, &self.id);
        }
        self.world.note(format!("quay-{}: migrates to {target}", self.node + 1));
        loop {
            let found = self.world.state().database.revision;
            if found == target {
                break;
            }
            let next = CHAIN[place(found) + 1];
            self.say(format!("Running upgrade {found} -> {next}, a change"));
            if next == COMPLETE {
                self.map_tags().await;
            } else {
                self.change_tables(next).await?;
            }
            let mut state = self.world.state();
            let database = &mut state.database;
            // alembic insists on having changed exactly one row.
            if database.revision != found || database.is_down {
                return Err(());
            }
            (database.before, database.revision) = (found, next);
        }
        if let Some(process) = self.world.state().process(self.node, &self.id, self.number) {
            process.migrates = false;
        }
        self.world.note(format!("quay-{}: has migrated to {target}", self.node + 1));
        Ok(())
    }

    async fn change_tables(&self, to: &'static str) -> Result<(), ()> {
        {
            let millis = self.world.millis();
            let mut state = self.world.state();
            if state.database.is_ruined() || state.database.is_down {
                return Err(());
            }
            if let Some(other) = state.database.midst.filter(|other| *other != self.number) {
                let words = format!("two migrations at once on the way to {to}");
                state.database.damage.push(words);
                let both = [self.number, other].map(|number| state.cause_of(number));
                Witness::see_damage(&mut state, millis, both);
                return Err(());
            }
            state.database.midst = Some(self.number);
        }
        sleep(REVISION).await;
        let mut state = self.world.state();
        if state.database.midst == Some(self.number) {
            state.database.midst = None;
            return Ok(());
        }
        Err(())
    }

    async fn map_tags(&self) {
        while self.world.state().database.mapped < TAGS {
            sleep(TICK).await;
            let mut state = self.world.state();
            state.database.mapped = (state.database.mapped + PART).min(TAGS);
        }
        sleep(TICK).await;
    }

    fn has_come_to(&self, phase: Phase) {
        let millis = self.world.millis();
        let mut state = self.world.state();
        if let Some(process) = state.process(self.node, &self.id, self.number) {
            process.phase = phase;
            process.well_since = (phase == Phase::Well).then_some(millis);
        }
        if let Some(stored) = state.stored(self.node, &self.id) {
            stored.changed.send_modify(|changes| *changes += 1);
        }
    }

    /// In background mode it works on the tags meanwhile.
    async fn serve(&self, release: Release, mode: Option<&str>) -> i64 {
        loop {
            sleep(Duration::from_secs(1)).await;
            let mut state = self.world.state();
            if release == Release::New
                && mode == Some("background")
                && state.database.revision == BACKGROUND
            {
                state.database.mapped = (state.database.mapped + 2).min(TAGS);
            }
        }
    }
}
