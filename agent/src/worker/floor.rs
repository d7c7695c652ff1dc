//! The floor: set before the first start is intended, taken back on the way
//! back; and what it lets start.

use std::path::Path;

use quaymaster_proto::act::ExpectedDatabase;
use quaymaster_proto::floor::{LowerFloor, SetFloor};
use quaymaster_proto::{ActOutcome, Component, Floor, Generation, How, Reason, Refusal};

use super::{Turn, start};
use crate::engine::Engine;
use crate::floor::{self, FloorError, OnDisk};
use crate::guards::Guard;
use crate::quay::database::Asked;

pub(super) fn set<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &SetFloor,
) -> Result<ActOutcome, Refusal> {
    let SetFloor { from, to } = order;
    change(turn, &Change { from: from.as_ref(), to: Some(to), lowers: false }, floor::write)
}

pub(super) async fn lower<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &LowerFloor,
) -> Result<ActOutcome, Refusal> {
    let LowerFloor { from, to, database } = order;
    if let Some(expected) = database {
        turn.prove_restored(expected).await?;
    }
    let change = Change { from: Some(from), to: to.as_ref(), lowers: true };
    self::change(turn, &change, floor::take_back)
}

struct Change<'a> {
    from: Option<&'a Floor>,
    to: Option<&'a Floor>,
    lowers: bool,
}

fn change<E: Engine>(
    turn: &Turn<'_, E>,
    change: &Change<'_>,
    write: impl FnOnce(&Path, Option<&Floor>) -> Result<(), FloorError>,
) -> Result<ActOutcome, Refusal> {
    let Change { from, to, lowers } = *change;
    let state = &turn.node.config.state;
    let (found, is_absent) = match floor::look(state)? {
        OnDisk::Holds(floor) => (floor, false),
        // Lost, where the ledger knows of one: the change goes on from there.
        OnDisk::Absent => (turn.node.ledger().floor(), true),
    };
    let is_lost = is_absent && found.is_some();
    if found.as_ref() == to && !is_lost {
        return Ok(outcome(How::Already));
    }
    // Where nobody knows of a floor, a lower one only raises it.
    let is_as_seen = found.as_ref() == from || is_absent && found.is_none() && lowers;
    if found.as_ref() != to && !is_as_seen {
        return Err(Refusal::new(
            Reason::Drifted,
            format!(
                "the floor of this node is {}, not {} as the plan saw it",
                floor::in_words(found.as_ref()),
                floor::in_words(from)
            ),
        )
        .with_remedy("see which run set it, then plan again"));
    }
    turn.intend()?;
    turn.changes()?;
    write(state, to)?;
    if floor::look(state)? != OnDisk::Holds(to.cloned()) {
        return Err(super::not_seen(Ok(()), "the floor is as it was".to_owned()));
    }
    turn.node.fence.look_again();
    Ok(outcome(How::Changed))
}

fn outcome(how: How) -> ActOutcome {
    ActOutcome { how, container: None, config: None, engine_time: None }
}

impl<E: Engine> Turn<'_, E> {
    /// Behind a restore nobody's word counts that the database is again what the
    /// run found: this agent reads it itself.
    async fn prove_restored(&self, expected: &ExpectedDatabase) -> Result<(), Refusal> {
        let view = self.node.quay_view(None).await?;
        let asked = Asked { sessions: false, counts: false };
        let look = self.node.look_at_database(&view, asked).await?;
        start::prove_revision(expected, &look)
    }

    /// Refuses what the floor forbids, whoever asks. That the container is of
    /// this generation, and that it would run in its mode, every start proves.
    pub(super) fn refuse_below_floor(
        &self,
        component: Component,
        generation: &Generation,
    ) -> Result<(), Refusal> {
        if !component.migrates() || !self.node.guards.has(Guard::Floor) {
            return Ok(());
        }
        let floor = self.node.floor()?;
        let Some(floor) = floor.filter(|floor| floor.forbids(&generation.image, generation.mode))
        else {
            return Ok(());
        };
        Err(Refusal::new(
            Reason::Floor,
            format!(
                "a {component} of {generation} is below the floor of this node: {}",
                floor::in_words(Some(&floor))
            ),
        )
        .with_remedy(
            "it would meet a database that is not its own any more; only the way back of the run \
             that set the floor lowers it",
        ))
    }
}
