//! The floor: set before the first start is intended, taken back on the way
//! back; and what it lets start.

use std::path::Path;

use quaymaster_proto::floor::{LowerFloor, SetFloor};
use quaymaster_proto::{ActOutcome, Component, Floor, Generation, How, Reason, Refusal};

use super::Turn;
use crate::engine::Engine;
use crate::floor::{self, FloorError};
use crate::guards::Guard;

pub(super) fn set<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &SetFloor,
) -> Result<ActOutcome, Refusal> {
    let SetFloor { from, to } = order;
    change(turn, from.as_ref(), Some(to), floor::write)
}

pub(super) fn lower<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &LowerFloor,
) -> Result<ActOutcome, Refusal> {
    let LowerFloor { from, to } = order;
    change(turn, Some(from), to.as_ref(), floor::take_back)
}

fn change<E: Engine>(
    turn: &Turn<'_, E>,
    from: Option<&Floor>,
    to: Option<&Floor>,
    write: impl FnOnce(&Path, Option<&Floor>) -> Result<(), FloorError>,
) -> Result<ActOutcome, Refusal> {
    let state = &turn.node.config.state;
    let found = floor::read(state)?;
    if found.as_ref() == to {
        return Ok(outcome(How::Already));
    }
    if found.as_ref() != from {
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
    if floor::read(state)?.as_ref() != to {
        return Err(super::not_seen(Ok(()), "the floor is as it was".to_owned()));
    }
    turn.node.fence.look_again();
    Ok(outcome(How::Changed))
}

fn outcome(how: How) -> ActOutcome {
    ActOutcome { how, container: None, config: None, engine_time: None }
}

impl<E: Engine> Turn<'_, E> {
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
        let floor = floor::read(&self.node.config.state)?;
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
