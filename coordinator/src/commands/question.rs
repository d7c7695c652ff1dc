//! What a person has to agree to, by a flag or by typing it.

use std::io::BufRead as _;

use jiff::Timestamp;
use quaymaster_proto::backup::Backup;

use crate::args::DriveArgs;
use crate::commands::context::{Context, whoami};
use crate::commands::{CommandError, HealError, talk};
use crate::heal::Healing;
use crate::plan::{CheckedPlan, Gate, What};
use crate::render;
use crate::run::{Event, RunState};

/// What can be undone, agreed to before it begins.
pub(super) async fn beginning(plan: &CheckedPlan, args: &DriveArgs) -> Result<(), CommandError> {
    if !asks_to_begin(plan, args, talk::is_someone_there())? {
        return Ok(());
    }
    talk::say(&format!(
        "This waits for the backfill and then prepares {} nodes, all of which can be undone.\n\
         The point of no return is asked for when it comes. Type `yes` to begin:",
        plan.plan().nodes.len()
    ));
    if line().await.as_deref() == Some("yes") {
        Ok(())
    } else {
        Err(CommandError::Declined { what: "beginning was not agreed to" })
    }
}

/// A node's fresh container, agreed to before it is made.
pub(super) async fn healing(healing: &Healing, yes: bool) -> Result<(), CommandError> {
    if yes {
        return Ok(());
    }
    if !talk::is_someone_there() {
        return Err(HealError::NeedsYes { node: healing.node.clone() }.into());
    }
    talk::say(&(render::healing(healing) + "Type `yes` to begin:"));
    if line().await.as_deref() == Some("yes") {
        Ok(())
    } else {
        Err(CommandError::Declined { what: "healing was not agreed to" })
    }
}

fn asks_to_begin(
    plan: &CheckedPlan,
    args: &DriveArgs,
    is_someone_there: bool,
) -> Result<bool, CommandError> {
    match (args.yes || args.accept_irreversible.is_some(), is_someone_there) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err(CommandError::NeedsYes { plan: plan.digest().short().to_owned() }),
    }
}

/// The approval that the command line itself carries.
pub(super) fn accepted(
    plan: &CheckedPlan,
    args: &DriveArgs,
    at: Timestamp,
) -> Result<Option<Event>, CommandError> {
    let Some(accepted) = &args.accept_irreversible else { return Ok(None) };
    let digest = plan.digest();
    if accepted != digest.as_str() && accepted != digest.short() {
        let (accepted, plan) = (accepted.clone(), digest.short().to_owned());
        return Err(CommandError::OtherPlanAccepted { accepted, plan });
    }
    Ok(Some(approved(at, Some("--accept-irreversible".to_owned()))))
}

/// The approval that a run cannot begin without.
pub(super) async fn needed(context: &Context, plan: &CheckedPlan) -> Result<Event, CommandError> {
    if !talk::is_someone_there() {
        return Err(CommandError::NeedsApproval { plan: plan.digest().short().to_owned() });
    }
    let declined = CommandError::Declined { what: "the point of no return was not agreed to" };
    typed(context, plan).await.ok_or(declined)
}

/// The approval of whoever types the cluster's name; `None` is a no.
pub(super) async fn typed(context: &Context, plan: &CheckedPlan) -> Option<Event> {
    let name = &plan.plan().cluster;
    talk::say(&format!(
        "Plan {} takes the registry down and crosses a point of no return: from there only a \
         restore of the database leads back.\nType the cluster's name ({name}) to agree:",
        plan.digest().short()
    ));
    let has_agreed = line().await.as_deref() == Some(name.as_str());
    has_agreed.then(|| approved(context.clock.now(), None))
}

/// A rollback, agreed to before anything is done: by the backup's digest, or by
/// typing the cluster's name below what is lost.
pub(super) async fn rollback(
    plan: &CheckedPlan,
    warning: &str,
    backup: &Backup,
    accepted: Option<&str>,
) -> Result<(), CommandError> {
    let digest = &backup.manifest;
    match accepted {
        Some(accepted) if accepted == digest.as_str() || accepted == digest.short() => {
            talk::say(warning);
            return Ok(());
        }
        Some(accepted) => {
            let (accepted, backup) = (accepted.to_owned(), digest.short().to_owned());
            return Err(CommandError::OtherBackupAccepted { accepted, backup });
        }
        None => {}
    }
    talk::say(warning);
    if !talk::is_someone_there() {
        return Err(CommandError::NeedsDataLoss { backup: digest.short().to_owned() });
    }
    let name = &plan.plan().cluster;
    talk::say(&format!("Type the cluster's name ({name}) to agree:"));
    if line().await.as_deref() == Some(name.as_str()) {
        Ok(())
    } else {
        Err(CommandError::Declined { what: "the rollback was not agreed to" })
    }
}

/// Whether nobody has agreed yet.
pub(super) fn is_open(state: &RunState) -> bool {
    state.approval(Gate::Approval).is_none()
}

/// Whether a person is asked only later, when the backfill gate has opened.
pub(super) fn is_asked_later(plan: &CheckedPlan, state: &RunState) -> bool {
    let step = plan.plan().first_step(What::Gate(Gate::Backfill));
    step.is_some_and(|step| {
        !matches!(state.gates.get(&step.number), Some(crate::run::GateState::Passed { .. }))
    })
}

fn approved(at: Timestamp, because: Option<String>) -> Event {
    Event::Approved { gate: Gate::Approval, by: whoami(), because, at }
}

/// A line that a person types; `None` at the end of the input.
async fn line() -> Option<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let count = std::io::stdin().lock().read_line(&mut line).ok()?;
        (count > 0).then(|| line.trim().to_owned())
    });
    read.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::Mode;

    use super::*;
    use crate::survey::fixture;

    #[test]
    fn nothing_begins_without_a_flag_where_nobody_can_be_asked() {
        let cluster = fixture::cluster(3);
        let window = fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete));
        let facts = fixture::on_background(&cluster);
        let plan = fixture::plan(&cluster, &facts, &window).check().unwrap();
        let none = DriveArgs::default();
        let yes = DriveArgs { yes: true, ..DriveArgs::default() };
        let digest = Some(plan.digest().short().to_owned());
        let accepted = DriveArgs { accept_irreversible: digest, ..DriveArgs::default() };

        let refused = asks_to_begin(&plan, &none, false).unwrap_err();
        assert_eq!(refused.exit(), crate::exit::Exit::Usage);
        assert!(asks_to_begin(&plan, &none, true).unwrap());
        assert!(!asks_to_begin(&plan, &yes, false).unwrap());
        assert!(!asks_to_begin(&plan, &accepted, false).unwrap());
    }
}
