//! One backup, one look at it, and one restore: what the node brings to whoever dumps.

use quaymaster_proto::backup::{BackUp, CheckBackup, Restore};
use quaymaster_proto::job::{JobReport, JobState};
use quaymaster_proto::{Act, How, Reason, Refusal};
use tokio::sync::watch;

use crate::backup::{BackedUp, BackupConfig, BackupError, Subject};
use crate::engine::Engine;
use crate::node::{Node, QuayView};
use crate::quay::database;

/// Makes a backup, and tells how far it has come.
pub(super) async fn back_up<E: Engine>(
    node: &Node<E>,
    act: &Act,
    order: &BackUp,
    report: &watch::Sender<JobReport>,
) -> (JobState, How) {
    let made = with_subject(node, act, report, async |subject| {
        node.surroundings.dump.back_up(subject, order).await
    });
    match made.await {
        Ok(BackedUp { backup, was_there }) => {
            let how = if was_there { How::Already } else { How::Changed };
            (JobState::BackedUp(Box::new(backup)), how)
        }
        Err(problem) => (JobState::Failed { problem }, How::Changed),
    }
}

/// Reads the backup of the run back.
pub(super) async fn check<E: Engine>(
    node: &Node<E>,
    act: &Act,
    order: &CheckBackup,
    report: &watch::Sender<JobReport>,
) -> (JobState, How) {
    let checked = with_subject(node, act, report, async |subject| {
        node.surroundings.dump.check(subject, order).await
    });
    let state = match checked.await {
        Ok(backup) => JobState::BackedUp(Box::new(backup)),
        Err(problem) => JobState::Failed { problem },
    };
    (state, How::Already)
}

/// Restores the backup of the run.
pub(super) async fn restore<E: Engine>(
    node: &Node<E>,
    act: &Act,
    order: &Restore,
    is_restored: bool,
    report: &watch::Sender<JobReport>,
) -> (JobState, How) {
    let made = with_subject(node, act, report, async |subject| {
        let subject = Subject { is_restored, ..subject };
        node.surroundings.dump.restore(subject, order).await
    });
    let state = match made.await {
        Ok(rows) => JobState::Restored { rows },
        Err(problem) => JobState::Failed { problem },
    };
    (state, How::Changed)
}

async fn with_subject<E: Engine, T>(
    node: &Node<E>,
    act: &Act,
    report: &watch::Sender<JobReport>,
    work: impl AsyncFnOnce(Subject<'_>) -> Result<T, BackupError>,
) -> Result<T, String> {
    let config = node.backup_config().map_err(|refusal| refusal.to_string())?;
    let view = node.quay_view(None).await.map_err(|refusal| refusal.to_string())?;
    let QuayView { settings, mounts, .. } = &view;
    let application = database::application(&node.config.cluster, &node.config.node);
    let progress = |bytes: u64, note: &str| {
        report.send_modify(|report| {
            report.done_bytes = bytes;
            note.clone_into(&mut report.note);
        });
    };
    let subject = Subject {
        config,
        cluster: &node.config.cluster,
        node: &node.config.node,
        run: act.run,
        settings,
        mounts,
        application: &application,
        is_restored: false,
        progress: &progress,
    };
    let done = work(subject).await.map_err(|error| error.in_words());
    report.send_modify(|report| report.note.clear());
    done
}

impl<E: Engine> Node<E> {
    /// Where backups go, or the refusal of an agent that makes none.
    pub(crate) fn backup_config(&self) -> Result<&BackupConfig, Refusal> {
        self.config.backup.as_ref().ok_or_else(|| {
            Refusal::new(
                Reason::Config,
                format!("agent.yaml of node `{}` has no `backup`", self.config.node),
            )
            .with_remedy("name a directory under backup.directory, or let another node back up")
        })
    }

    /// Refuses while a Quay of this node lives: it would write meanwhile.
    pub(crate) async fn refuse_living_quays(&self) -> Result<(), Refusal> {
        let living = self.living_quays().await?;
        let Some(quay) = living.first() else { return Ok(()) };
        Err(Refusal::new(
            Reason::Drifted,
            format!(
                "container `{}` of this node lives, and writes into the database",
                quay.state.name
            ),
        )
        .with_remedy("stop every Quay of the cluster first"))
    }
}
