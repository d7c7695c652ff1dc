//! What an agent is asked, as its ledger has it. Pure.

use quaymaster_proto::act::Order;
use quaymaster_proto::backup::{BackUp, CheckBackup, Restore};
use quaymaster_proto::job::PullImage;
use serde::{Deserialize, Serialize};

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "what")]
pub(crate) enum Work {
    /// An act.
    Act(Order),
    /// A pull.
    Pull(PullImage),
    /// A backup of the database.
    BackUp(BackUp),
    /// A look at its backup.
    CheckBackup(CheckBackup),
    /// Its restore.
    Restore(Restore),
}

impl Work {
    /// The verb, for logs and refusals.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Act(order) => order.verb(),
            Self::Pull(_) => "pull-image",
            Self::BackUp(_) => "back-up",
            Self::CheckBackup(_) => "check-backup",
            Self::Restore(_) => "restore",
        }
    }

    /// Whether it is that order once more. A backup that was ordered before
    /// something else ran is the same step, made anew.
    pub(super) fn repeats(&self, known: &Self) -> bool {
        match (self, known) {
            (Self::BackUp(now), Self::BackUp(before)) => {
                *now == BackUp { ran: now.ran.clone(), ..before.clone() }
            }
            (now, before) => now == before,
        }
    }

    /// Whether it is an order of the way back, or of both ways.
    pub(super) fn leads_back(&self) -> bool {
        match self {
            Self::Act(
                Order::RestoreConfig(_)
                | Order::RemoveStaged(_)
                | Order::RemoveStagedConfig(_)
                | Order::LowerFloor(_)
                | Order::Recreate(_)
                | Order::TakeDown(_)
                | Order::EnsureRunning(_)
                | Order::Promote(_),
            )
            | Self::CheckBackup(_)
            | Self::Restore(_) => true,
            Self::Act(
                Order::StageContainer(_)
                | Order::StageConfig(_)
                | Order::EnsureStopped(_)
                | Order::PutConfig(_)
                | Order::StartMigrating(_)
                | Order::SetFloor(_),
            )
            | Self::Pull(_)
            | Self::BackUp(_) => false,
        }
    }
}
