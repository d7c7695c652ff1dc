//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use quaymaster_proto::{Mode, NodeName, RunId};

use crate::preflight::Code;
use crate::{cluster, exit};

/// Upgrades a whole Quay cluster: one command plans it, one runs it.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "quaymaster",
    version,
    about,
    after_help = exit::list(),
    disable_help_subcommand = true,
    propagate_version = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The cluster file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "QUAYMASTER_CLUSTER",
        default_value = cluster::DEFAULT_PATH
    )]
    pub cluster: PathBuf,
    /// What standard output carries
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Colour on a terminal
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// What standard output carries.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// For people.
    Text,
    /// For programs; versioned.
    Json,
}

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// What every node runs, and how it is
    Status(StatusArgs),
    /// What speaks against a window, all at once
    Preflight(PreflightArgs),
    /// Plan the next window, and change nothing
    Plan(PlanArgs),
    /// Run a plan
    Apply(ApplyArgs),
    /// Go on with the run that was left unfinished
    Resume(ResumeArgs),
    /// Go back to what the window found, while that can be
    Abort(AbortArgs),
    /// Past the point of no return: go back by the window's backup, and lose what
    /// was written since
    Rollback(RollbackArgs),
    /// Agree to a gate of the run that waits for it
    Approve(ApproveArgs),
    /// Give a node a fresh container of what the registry runs, where its Quay
    /// is gone, dead or spoiled
    Heal(HealArgs),
    /// Push and pull as a client, at every node and by the public name
    Verify(VerifyArgs),
    /// Why it waits, what ends that, what can still be undone; or what a finding
    /// of preflight means
    Explain(ExplainArgs),
}

/// Of `status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Stay, and show what changes. Without a terminal: once at first, and
    /// again whenever something changed
    #[arg(long)]
    pub watch: bool,
    /// Between two looks at a node
    #[arg(long, value_name = "DURATION", default_value = "2s", requires = "watch")]
    #[arg(value_parser = interval)]
    pub interval: Duration,
}

/// What is asked more often would weigh on a cluster.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|problem| problem.to_string())?;
    if interval < SHORTEST_INTERVAL {
        return Err("500ms or more".to_owned());
    }
    Ok(interval)
}

/// Of `plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The release to arrive at, such as 3.0.5
    #[arg(long, value_name = "RELEASE")]
    pub to: String,
    /// background: two short outages with the backfill between them.
    /// synchronous: one outage, as long as the backfill takes.
    /// Not needed where the cluster is already half-way
    #[arg(long, value_enum)]
    pub mode: Option<Way>,
    /// Take no backup in the window, and why: in the plan, its digest, the
    /// journal and the report
    #[arg(long, value_name = "WORDS", value_parser = words)]
    pub waive_backup: Option<String>,
    /// Let findings of this kind not count; goes into the plan, the journal and
    /// the report
    #[arg(long, value_name = "CODE", requires = "because")]
    pub waive: Vec<Code>,
    /// Why, in words: one sentence for all that is waived, or one for each
    #[arg(long, value_name = "WORDS", requires = "waive")]
    pub because: Vec<String>,
}

/// Something that a person said.
fn words(text: &str) -> Result<String, String> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { Err("say why, in words".to_owned()) } else { Ok(words) }
}

/// Of `preflight`.
#[derive(Args, Clone, Debug)]
pub struct PreflightArgs {
    /// The release to arrive at; without it only what needs no window is
    /// checked
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// As for plan
    #[arg(long, value_enum, requires = "to")]
    pub mode: Option<Way>,
}

/// Of `explain`.
#[derive(Args, Clone, Debug, Default)]
pub struct ExplainArgs {
    /// What a finding is called, such as clock-skew
    #[arg(value_name = "CODE")]
    pub code: Option<Code>,
    /// Every code, in one line each
    #[arg(long, conflicts_with = "code")]
    pub codes: bool,
}

/// The two documented ways (quay-facts 2.4).
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Two windows with a backfill between them.
    Background,
    /// One window.
    Synchronous,
}

/// Of `apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// The plan: its file, or the first 12 digits of its digest
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// How to drive it.
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Of `resume`.
#[derive(Args, Clone, Debug, Default)]
pub struct ResumeArgs {
    /// Rebuild the run from what the nodes keep: on a machine that never saw it,
    /// or whose journal is lost or an earlier copy
    #[arg(long)]
    pub from_nodes: bool,
    /// Try this node's part once more, with a fresh container
    #[arg(long, value_name = "NODE", conflicts_with_all = ["from_nodes", "hand_over"])]
    pub retry: Option<NodeName>,
    /// Give the first node's part to this one: where the first is dead and the
    /// migration is over
    #[arg(long, value_name = "NODE", conflicts_with = "from_nodes")]
    pub hand_over: Option<NodeName>,
    /// End without this node, which is gone for good: nothing is asked of it any
    /// more. Not before the first node's gate
    #[arg(long, value_name = "NODE", requires = "because")]
    #[arg(conflicts_with_all = ["from_nodes", "retry", "hand_over"])]
    pub without: Option<NodeName>,
    /// How the Quay of that node is kept from the database, in words
    #[arg(long, value_name = "WORDS", requires = "without")]
    pub because: Option<String>,
    /// How to drive it.
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Of `abort`.
#[derive(Args, Clone, Debug, Default)]
pub struct AbortArgs {
    /// Why, in words
    #[arg(long, value_name = "WORDS")]
    pub because: Option<String>,
    /// How to drive it.
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Of `apply`, `resume` and `abort`.
#[derive(Args, Clone, Debug, Default)]
pub struct DriveArgs {
    /// Agree to cross the point of no return of the plan with this digest
    #[arg(long, value_name = "DIGEST")]
    pub accept_irreversible: Option<String>,
    /// Stay while only the backfill or an approval is left
    #[arg(long)]
    pub wait: bool,
    /// Agree to everything that can be undone
    #[arg(long)]
    pub yes: bool,
    /// Take the lease from whoever holds it; whose it is, is said before
    #[arg(long)]
    pub take_over: bool,
}

/// Of `rollback`.
#[derive(Args, Clone, Debug)]
pub struct RollbackArgs {
    /// Which run; without it the last one
    #[arg(value_name = "RUN")]
    pub run: Option<RunId>,
    /// Why, in words
    #[arg(long, value_name = "WORDS")]
    pub because: String,
    /// Agree to lose all that was written since the backup with this digest
    #[arg(long, value_name = "DIGEST")]
    pub accept_data_loss: Option<String>,
    /// Leave out a node that is not to be had; HOW says in words how its Quay is
    /// kept from the database
    #[arg(long, value_name = "NODE=HOW", value_parser = left_out)]
    pub without: Vec<LeftOut>,
    /// Take the lease from whoever holds it; whose it is, is said before
    #[arg(long)]
    pub take_over: bool,
}

/// A node that is given up, and what a person says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Which.
    pub node: NodeName,
    /// How its Quay is kept from the database.
    pub how: String,
}

fn left_out(text: &str) -> Result<LeftOut, String> {
    let (node, how) =
        text.split_once('=').ok_or("say how its Quay is kept from the database: NODE=HOW")?;
    let node = node.parse().map_err(|problem| format!("{problem}"))?;
    Ok(LeftOut { node, how: how.trim().to_owned() })
}

/// Of `heal`.
#[derive(Args, Clone, Debug)]
pub struct HealArgs {
    /// Which node
    #[arg(value_name = "NODE")]
    pub node: NodeName,
    /// Take over a healing of this node that did not come to its end
    #[arg(long)]
    pub take_over: bool,
    /// Agree to it
    #[arg(long)]
    pub yes: bool,
}

/// Of `verify`.
#[derive(Args, Clone, Debug, Default)]
pub struct VerifyArgs {
    /// Verify nothing; write down what the repositories of verify.samples hold
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    pub sample: Option<PathBuf>,
    /// Compare with what such a sample says was there before
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
}

/// Of `approve`.
#[derive(Args, Clone, Debug)]
pub struct ApproveArgs {
    /// dark: cross the point of no return.
    /// backfill: go on although not enough tags are mapped.
    /// verify: end the window although its verification found faults
    #[arg(value_enum)]
    pub gate: ApprovedGate,
    /// Why, in words; needed to waive the backfill or what a verification found
    #[arg(
        long,
        value_name = "WORDS",
        required_if_eq_any([("gate", "backfill"), ("gate", "verify")])
    )]
    pub because: Option<String>,
}

/// Gates that a person may open.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApprovedGate {
    /// The outage and the point of no return in it.
    Dark,
    /// The backfill, by waiving it.
    Backfill,
    /// The verification, by waiving what it found.
    Verify,
}

impl Way {
    /// The mode that the first window of this way brings.
    pub fn first_mode(self) -> Mode {
        match self {
            Self::Background => Mode::Background,
            Self::Synchronous => Mode::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_waiver_needs_words() {
        assert!(Cli::try_parse_from(["quaymaster", "approve", "backfill"]).is_err());
        let words = ["quaymaster", "approve", "backfill", "--because", "the rest is expired"];
        assert!(Cli::try_parse_from(words).is_ok());
        assert!(Cli::try_parse_from(["quaymaster", "approve", "dark"]).is_ok());
    }

    #[test]
    fn a_finding_is_waived_by_its_code_and_in_words() {
        let plan = |words: &[&str]| {
            let line = ["quaymaster", "plan", "--to", "3.0.5"].iter().chain(words);
            Cli::try_parse_from(line).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(plan(&["--waive", "clock-skew", "--because", "ntp returns at noon"]), Ok(()));
        assert!(plan(&["--waive", "clock-skew"]).is_err());
        assert!(plan(&["--because", "why not"]).is_err());
        let said = plan(&["--waive", "clock", "--because", "x"]).unwrap_err();
        assert!(said.contains("there is no such code, but clock-skew"), "{said}");
    }

    #[test]
    fn a_watch_looks_every_two_seconds_and_never_hurries() {
        let interval = |words: &[&str]| {
            let line = ["quaymaster", "status"].iter().chain(words);
            match Cli::try_parse_from(line).ok()?.command {
                Command::Status(args) => Some(args.interval),
                Command::Preflight(_)
                | Command::Plan(_)
                | Command::Apply(_)
                | Command::Resume(_)
                | Command::Abort(_)
                | Command::Rollback(_)
                | Command::Approve(_)
                | Command::Heal(_)
                | Command::Verify(_)
                | Command::Explain(_) => None,
            }
        };
        assert_eq!(interval(&["--watch"]), Some(Duration::from_secs(2)));
        assert_eq!(interval(&["--watch", "--interval", "1m"]), Some(Duration::from_secs(60)));
        assert_eq!(interval(&["--watch", "--interval", "10ms"]), None);
        assert_eq!(interval(&["--interval", "1m"]), None);
    }

    #[test]
    fn options_of_every_command_may_follow_it() {
        let line = ["quaymaster", "status", "--cluster", "lab/cluster.yaml", "--output", "json"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.global.cluster, PathBuf::from("lab/cluster.yaml"));
        assert_eq!(cli.global.output, Output::Json);
    }
}
