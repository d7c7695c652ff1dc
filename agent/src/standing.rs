//! What the agent is at, for whoever asks `systemctl status`: the act at work,
//! the last one, pulls, and what stands against acts. A board that whoever
//! works writes on; nothing is decided by it.

use std::collections::BTreeMap;

use quaymaster_proto::act::Order;
use quaymaster_proto::job::PullImage;
use quaymaster_proto::{Act, RunId, StepNumber};
use tokio::sync::watch;

use crate::ledger::{Event, Work};

/// One step, as people name it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Step {
    what: String,
    run: RunId,
    number: StepNumber,
}

impl Step {
    fn new(act: &Act, order: &Order) -> Self {
        Self { what: in_words(order), run: act.run, number: act.step }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, run, number } = self;
        write!(formatter, "{what}, step {number} of run {run}")
    }
}

/// How far a pull has come, in bytes; of 0 in all the engine has not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pulled {
    done: u64,
    total: u64,
}

/// Everything that the line can say of the agent's work.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Standing {
    at_work: Option<Step>,
    last: Option<(Step, &'static str)>,
    /// By digest.
    pulls: BTreeMap<String, Pulled>,
    /// Certificates that could not be read anew.
    not_reloaded: Option<String>,
}

impl Standing {
    /// The line; `who` is the node and its cluster, `ledger` what is wrong with
    /// the ledger.
    pub(crate) fn line(&self, who: &str, ledger: Option<&str>) -> String {
        let Self { at_work, last, pulls, not_reloaded } = self;
        let mut parts = vec![match ledger {
            None => format!("serving {who}"),
            Some(problem) => format!("refusing acts for {who}: {problem}"),
        }];
        parts.extend(not_reloaded.as_ref().map(|why| format!("certificates not reloaded: {why}")));
        parts.extend(at_work.as_ref().map(|step| format!("at work: {step}")));
        parts.extend(pulling(pulls.values()));
        parts.extend(last.as_ref().map(|(step, end)| format!("last act: {step}, {end}")));
        // One line, whatever an error's text holds.
        parts.join("; ").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn pulling<'a>(pulls: impl Iterator<Item = &'a Pulled>) -> Option<String> {
    let sum = pulls.copied().reduce(|sum, next| Pulled {
        done: sum.done.saturating_add(next.done),
        total: sum.total.saturating_add(next.total),
    });
    let Pulled { done, total } = sum?;
    Some(match done.saturating_mul(100).checked_div(total) {
        Some(percent) => format!("pulling {} %", percent.min(100)),
        None => "pulling".to_owned(),
    })
}

/// What an order is to whoever reads it. No wildcard: a new order needs words.
fn in_words(order: &Order) -> String {
    match order {
        Order::StageContainer(order) => format!("stage {}", order.component),
        Order::StageConfig(_) => "stage config.yaml".to_owned(),
        Order::EnsureStopped(order) => format!("stop {}", order.component),
        Order::PutConfig(_) => "put config.yaml in place".to_owned(),
        Order::StartMigrating(_) => "start quay, which migrates".to_owned(),
        Order::EnsureRunning(order) => format!("start {}", order.component),
        Order::Promote(order) => format!("promote {}", order.component),
        Order::SetFloor(_) => "set the floor".to_owned(),
        Order::LowerFloor(_) => "lower the floor".to_owned(),
        Order::RestoreConfig(_) => "put the kept config.yaml back".to_owned(),
        Order::RemoveStagedConfig(_) => "remove the staged config.yaml".to_owned(),
        Order::RemoveStaged(order) => format!("remove the staged {}", order.component),
        Order::Recreate(order) => format!("create {} anew", order.component),
        Order::TakeDown(order) => format!("take the new {} down", order.component),
    }
}

/// Where the work writes and the host reads.
#[derive(Debug)]
pub(crate) struct Board(watch::Sender<Standing>);

impl Default for Board {
    fn default() -> Self {
        Self(watch::Sender::new(Standing::default()))
    }
}

impl Board {
    /// What stands there, and every change of it.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Standing> {
        self.0.subscribe()
    }

    /// An order is let in, or not: its end comes by `ends`.
    pub(crate) fn begins(&self, act: &Act, work: &Work) {
        if let Work::Act(order) = work {
            self.0.send_modify(|standing| standing.at_work = Some(Step::new(act, order)));
        }
    }

    /// What became of an order.
    pub(crate) fn ends(&self, act: &Act, work: &Work, event: &Event) {
        let end = match event {
            Event::Intended => return,
            Event::Settled(_) => "done",
            Event::Refused(_) => "refused",
            Event::JobEnded(_) => "ended",
        };
        if let Work::Act(order) = work {
            self.0.send_modify(|standing| {
                standing.at_work = None;
                standing.last = Some((Step::new(act, order), end));
            });
        }
    }

    /// A pull, shown until the value is dropped: also where it is cancelled.
    pub(crate) fn pulling(&self, order: &PullImage) -> Pulling<'_> {
        let pulling = Pulling { board: self, digest: order.digest.to_string() };
        pulling.has_come_to(0, 0);
        pulling
    }

    /// Whether the certificates could be read anew, or why not.
    pub(crate) fn reloaded(&self, problem: Option<String>) {
        self.0.send_modify(|standing| standing.not_reloaded = problem);
    }
}

/// A pull on the board.
#[derive(Debug)]
pub(crate) struct Pulling<'a> {
    board: &'a Board,
    digest: String,
}

impl Pulling<'_> {
    /// How far it has come, in bytes.
    pub(crate) fn has_come_to(&self, done: u64, total: u64) {
        self.board.0.send_modify(|standing| {
            standing.pulls.insert(self.digest.clone(), Pulled { done, total });
        });
    }
}

impl Drop for Pulling<'_> {
    fn drop(&mut self) {
        self.board.0.send_modify(|standing| {
            standing.pulls.remove(&self.digest);
        });
    }
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::act::{EnsureStopped, PutConfig};
    use quaymaster_proto::{ActOutcome, Component, Epoch, Generation, How, Mode, Reason, Refusal};

    use super::*;

    fn act(step: u32) -> Act {
        Act {
            cluster: "prod".parse().unwrap(),
            run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            epoch: Epoch::new(1).unwrap(),
            step: StepNumber::new(step).unwrap(),
            plan: "a".repeat(64).parse().unwrap(),
        }
    }

    fn stop() -> Work {
        Work::Act(Order::EnsureStopped(EnsureStopped {
            component: Component::Quay,
            container: "b".repeat(64).parse().unwrap(),
            generation: Generation {
                image: format!("sha256:{}", "c".repeat(64)).parse().unwrap(),
                mode: Mode::Absent,
            },
            grace_seconds: 30,
            restart_policy: quaymaster_proto::RestartPolicy::No,
        }))
    }

    fn put() -> Work {
        let digest = |letter: &str| letter.repeat(64).parse().unwrap();
        Work::Act(Order::PutConfig(PutConfig { from: digest("d"), to: digest("e") }))
    }

    fn pull(letter: &str) -> PullImage {
        PullImage {
            component: Component::Quay,
            repository: "quay.io/redhat/quay".to_owned(),
            digest: format!("sha256:{}", letter.repeat(64)).parse().unwrap(),
            tag: None,
        }
    }

    fn line(board: &Board) -> String {
        board.subscribe().borrow().line("quay-1 of prod", None)
    }

    #[test]
    fn the_line_says_what_is_at_work_and_how_the_last_act_ended() {
        let board = Board::default();
        let mut lines = vec![line(&board)];
        board.begins(&act(9), &stop());
        board.ends(&act(9), &stop(), &Event::Intended);
        lines.push(line(&board));
        let settled =
            ActOutcome { how: How::Changed, container: None, config: None, engine_time: None };
        board.ends(&act(9), &stop(), &Event::Settled(settled));
        lines.push(line(&board));
        board.begins(&act(10), &put());
        lines.push(line(&board));
        let refusal = Refusal::new(Reason::Drifted, "somebody changed it");
        board.ends(&act(10), &put(), &Event::Refused(refusal));
        lines.push(line(&board));
        board.reloaded(Some("cannot read key `agent.key`:\n no items".to_owned()));
        lines.push(line(&board));
        let standing = Standing::default();
        lines.push(standing.line("quay-1 of prod", Some("ledger `l` is damaged at line 3")));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn pulls_are_added_up_until_they_end() {
        let board = Board::default();
        let one = board.pulling(&pull("1"));
        assert_eq!(line(&board), "serving quay-1 of prod; pulling");
        one.has_come_to(30, 100);
        let other = board.pulling(&pull("2"));
        other.has_come_to(38, 100);
        assert_eq!(line(&board), "serving quay-1 of prod; pulling 34 %");
        drop(one);
        assert_eq!(line(&board), "serving quay-1 of prod; pulling 38 %");
        drop(other);
        assert_eq!(line(&board), "serving quay-1 of prod");
    }
}
