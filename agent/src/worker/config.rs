//! The acts on config.yaml: new bytes into a sibling while the registry serves,
//! one rename in the dark; and on the way back, the kept bytes in its place and
//! the sibling gone.

use quaymaster_proto::act::{PutConfig, RemoveStagedConfig, RestoreConfig, StageConfig};
use quaymaster_proto::{ActOutcome, FileDigest, How, Reason, Refusal};

use super::Turn;
use crate::config_file::{self, ConfigFile, ConfigFileError};
use crate::engine::Engine;
use crate::guards::Guard;
use crate::quay::config_edit;

pub(super) async fn stage<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &StageConfig,
) -> Result<ActOutcome, Refusal> {
    let StageConfig { from, to, mode } = order;
    let (node, run) = (turn.node, turn.act.run);
    node.refuse_mounted_file().await?;
    let file = node.read_config()?;
    if file.digest == *to {
        return Ok(outcome(How::Already, to));
    }
    expect(&file, from)?;
    let edit = config_edit::set_mode(&file.bytes, *mode).map_err(|refusal| {
        Refusal::new(
            Reason::Config,
            format!("cannot set mode {mode} in `{}`: {refusal}", file.path.display()),
        )
    })?;
    let edited = config_file::digest(&edit.bytes);
    if edited != *to {
        return Err(Refusal::new(
            Reason::Config,
            format!(
                "setting mode {mode} in `{}` gives {}, not {} as the plan expects",
                file.path.display(),
                edited.short(),
                to.short()
            ),
        )
        .with_remedy("plan again; the agent may be of another version than the plan"));
    }
    if file.staged(run).map_err(refused)?.as_ref() == Some(to)
        && file.is_dressed(run).map_err(refused)?
    {
        return Ok(outcome(How::Already, to));
    }
    turn.intend()?;
    turn.changes()?;
    file.keep().map_err(refused)?;
    file.stage(run, &edit.bytes).map_err(refused)?;
    Ok(outcome(How::Changed, to))
}

pub(super) async fn put<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &PutConfig,
) -> Result<ActOutcome, Refusal> {
    let PutConfig { from, to } = order;
    let (node, run) = (turn.node, turn.act.run);
    let file = node.read_config()?;
    if file.digest == *to {
        // A crash may have come between the rename and its way to the disk.
        file.settle().map_err(refused)?;
        // Somebody put it there by hand, a copy: the same bytes need not lie beside it.
        if file.staged(run).map_err(refused)?.as_ref() == Some(to) {
            turn.intend()?;
            turn.changes()?;
            file.unstage(run).map_err(refused)?;
        }
        return Ok(outcome(How::Already, to));
    }
    expect(&file, from)?;
    if node.guards.has(Guard::SiblingUntilDark) {
        refuse_alive(turn).await?;
    }
    let staged = file.staged(run).map_err(refused)?;
    if staged.as_ref() != Some(to) {
        let found = staged.as_ref().map_or("nothing", FileDigest::short);
        let sibling = file.sibling(run);
        return Err(Refusal::new(
            Reason::Config,
            format!("`{}` holds {found}, not {}", sibling.display(), to.short()),
        )
        .with_remedy("stage the config again in this run"));
    }
    turn.intend()?;
    turn.changes()?;
    file.put(run).map_err(refused)?;
    seen_in_place(turn, to)
}

/// Every Quay of this node is down: none reads one file and runs with another.
async fn refuse_alive<E: Engine>(turn: &Turn<'_, E>) -> Result<(), Refusal> {
    let alive = turn.node.living_quays().await?;
    let Some(alive) = alive.first().map(|quay| &quay.state) else { return Ok(()) };
    Err(Refusal::new(
        Reason::Drifted,
        format!(
            "cannot put config.yaml in place: `{}` ({}) is {}",
            alive.name,
            alive.id.short(),
            alive.status
        ),
    )
    .with_remedy("stop it first"))
}

fn seen_in_place<E: Engine>(turn: &Turn<'_, E>, to: &FileDigest) -> Result<ActOutcome, Refusal> {
    let seen = turn.node.read_config()?;
    if seen.digest == *to {
        return Ok(outcome(How::Changed, to));
    }
    Err(Refusal::new(
        Reason::Config,
        format!("`{}` is {} after the rename", seen.path.display(), seen.digest.short()),
    )
    .with_remedy("see who else writes to it"))
}

pub(super) async fn restore<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &RestoreConfig,
) -> Result<ActOutcome, Refusal> {
    let RestoreConfig { from, to } = order;
    let file = turn.node.read_config()?;
    if file.digest == *to {
        file.settle().map_err(refused)?;
        return Ok(outcome(How::Already, to));
    }
    expect(&file, from)?;
    refuse_alive(turn).await?;
    turn.intend()?;
    turn.changes()?;
    file.restore(to).map_err(refused)?;
    seen_in_place(turn, to)
}

pub(super) fn remove_staged<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &RemoveStagedConfig,
) -> Result<ActOutcome, Refusal> {
    let RemoveStagedConfig { staged } = order;
    let run = turn.act.run;
    let file = turn.node.read_config()?;
    let Some(found) = file.staged(run).map_err(refused)? else {
        return Ok(outcome(How::Already, &file.digest));
    };
    if found != *staged {
        let sibling = file.sibling(run);
        return Err(Refusal::new(
            Reason::Config,
            format!(
                "`{}` holds {}, not {} as the run staged it",
                sibling.display(),
                found.short(),
                staged.short()
            ),
        )
        .with_remedy("see who wrote it, and remove it by hand"));
    }
    turn.intend()?;
    turn.changes()?;
    file.unstage(run).map_err(refused)?;
    Ok(outcome(How::Changed, &file.digest))
}

fn expect(file: &ConfigFile, from: &FileDigest) -> Result<(), Refusal> {
    if file.digest == *from {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::Drifted,
        format!(
            "`{}` is {}, not {} as the plan saw it",
            file.path.display(),
            file.digest.short(),
            from.short()
        ),
    )
    .with_remedy("see who changed it, then plan again"))
}

fn outcome(how: How, digest: &FileDigest) -> ActOutcome {
    ActOutcome { how, container: None, config: Some(digest.clone()), engine_time: None }
}

/// A file operation's failure as a refusal.
pub(crate) fn refused(error: ConfigFileError) -> Refusal {
    Refusal::new(Reason::Config, error.in_one_line())
        .with_remedy("see the file's owner and rights, the disk's space, and the agent's user")
}
