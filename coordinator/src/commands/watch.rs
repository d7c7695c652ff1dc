//! `status --watch`: the status screen that stays. Every node is asked by
//! itself, again and again: one that does not answer holds up no other.
#![expect(clippy::disallowed_methods, reason = "an effect room: it lets time go by")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use quaymaster_proto::health::{BackfillSample, HealthReport};
use quaymaster_proto::{Component, Mode, NodeName};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::args::Output;
use crate::cluster::NodeAddress;
use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::commands::signals::{Said, Signals};
use crate::commands::status::{JournalSeen, journal};
use crate::commands::talk::{self, Stream};
use crate::commands::terminal::{self, Terminal};
use crate::exit::Exit;
use crate::nodes::grpc::Fleet;
use crate::nodes::{HealthQuestion, Looks as _, ResolvedImage, asking};
use crate::plan::{CheckedPlan, Gate, What};
use crate::preflight::common_generation;
use crate::render::{self, RunSeen, Size, StatusView, Style, Watched};
use crate::run::{Next, next};
use crate::survey::{ClusterFacts, Survey};
use crate::watch::{Sight, Watch};

/// How often the screen is drawn afresh.
const REDRAW: Duration = Duration::from_millis(200);
/// A count that takes this long weighs on the database: it is then asked for
/// so rarely that it takes at most a fiftieth of the database's time.
const HEAVY: Duration = Duration::from_secs(1);
const SHARE: u32 = 49;
/// The width where no terminal says one.
const COLUMNS: usize = 80;

pub(super) async fn run(context: &Context, every: Duration) -> Result<Exit, CommandError> {
    let fleet = context.fleet()?;
    let mut signals = Signals::listen()?;
    let mut seen = Seen::new(context, every);
    let mut looks = Looks { context, fleet: &fleet, every, calls: FuturesUnordered::new() };
    for (node, address) in context.addresses() {
        looks.node(node, address, BTreeSet::new(), Duration::ZERO);
    }
    looks.journal(None, Duration::ZERO);
    let mut terminal = match context.output {
        Output::Text => Terminal::begin(Stream::Out),
        Output::Json => None,
    };
    let mut tick = interval(if terminal.is_some() { REDRAW } else { every });
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            Some(look) = looks.calls.next() => seen.take(look, &mut looks),
            said = signals.next() => match (said, terminal.take()) {
                (Said::End, drawn) => {
                    terminal = drawn;
                    break;
                }
                (Said::Stand, Some(drawn)) => terminal = drawn.suspended(),
                (Said::Stand, None) => terminal::stop(),
            },
            _ = tick.tick() => {
                seen.sample_if_due(&mut looks);
                match &terminal {
                    Some(terminal) if is_quit(&terminal.typed()) => break,
                    Some(terminal) => {
                        let size = terminal.size();
                        terminal.draw(&seen.lines(size, terminal.style()), size);
                    }
                    None if seen.tell_if_new().is_err() => return Ok(Exit::Done),
                    None => {}
                }
            }
        }
    }
    if let Some(terminal) = terminal {
        let (size, style) = (Size { rows: None, ..terminal.size() }, terminal.style());
        drop(terminal);
        talk::print(&(seen.lines(size, style).join("\n") + "\n"));
    }
    Ok(Exit::Done)
}

fn is_quit(typed: &[u8]) -> bool {
    typed.iter().any(|key| matches!(key, b'q' | b'Q'))
}

/// What came back of a question.
enum Look {
    Node {
        node: NodeName,
        address: NodeAddress,
        survey: Box<Survey>,
        health: Option<Box<HealthReport>>,
        /// Names that the registry was asked for.
        named: BTreeSet<String>,
    },
    Journal(Result<Box<JournalSeen>, String>),
    Backfill {
        sample: Option<BackfillSample>,
        took: Duration,
    },
}

/// Questions on their way.
struct Looks<'a> {
    context: &'a Context,
    fleet: &'a Fleet,
    every: Duration,
    calls: FuturesUnordered<LocalBoxFuture<'a, Look>>,
}

impl Looks<'_> {
    /// A description and a database look, no counts; and Quay's health.
    fn node(
        &mut self,
        node: NodeName,
        address: NodeAddress,
        mut named: BTreeSet<String>,
        pause: Duration,
    ) {
        let (context, fleet) = (self.context, self.fleet);
        self.calls.push(Box::pin(async move {
            sleep(pause).await;
            let listed = [(node.clone(), address.clone())];
            let request = asking::Request {
                cluster: &context.cluster.name,
                nodes: &listed,
                key: &context.key,
                counts: asking::Counts::Leave,
            };
            let question = HealthQuestion { component: Component::Quay, container: None };
            let survey = asking::survey(fleet, &request, || context.clock.now());
            let (mut survey, health) =
                futures::future::join(survey, fleet.health(&node, &question)).await;
            // Once: what a name stands for does not change while it is watched.
            for asked in context.reader().digest_questions(&survey.facts) {
                if named.insert(asked.name.clone())
                    && let Ok(ResolvedImage::InRegistry { digest, present: _ }) =
                        fleet.resolve_image(&asked.node, &asked.question).await
                {
                    survey.facts.digests.insert(asked.name, digest);
                }
            }
            let survey = Box::new(survey);
            Look::Node { node, address, survey, health: health.ok().map(Box::new), named }
        }));
    }

    /// Reads without the lock: a run that is driven is not disturbed.
    fn journal(&mut self, known: Option<CheckedPlan>, pause: Duration) {
        let context = self.context;
        self.calls.push(Box::pin(async move {
            sleep(pause).await;
            let seen = journal(context, known).await.map(Box::new);
            Look::Journal(seen.map_err(|error| quaymaster_proto::in_a_line(&error)))
        }));
    }

    fn backfill(&mut self, node: NodeName) {
        let fleet = self.fleet;
        self.calls.push(Box::pin(async move {
            let begun = Instant::now();
            let sample = fleet.sample_backfill(&node).await.ok();
            Look::Backfill { sample, took: begun.elapsed() }
        }));
    }
}

/// Everything that is known.
struct Seen<'a> {
    context: &'a Context,
    every: Duration,
    program: String,
    survey: Survey,
    health: BTreeMap<NodeName, HealthReport>,
    journal: JournalSeen,
    unread: Option<String>,
    has_journal: bool,
    watch: Watch,
    backfill: Option<BackfillSample>,
    /// When it may be counted again; `None` = a count is on its way.
    next_sample: Option<Instant>,
    turn: usize,
    /// What was told last, where there is no terminal.
    told: String,
}

impl<'a> Seen<'a> {
    fn new(context: &'a Context, every: Duration) -> Self {
        let now = context.clock.now();
        let facts = ClusterFacts {
            cluster: context.cluster.name.clone(),
            taken_at: now,
            nodes: BTreeMap::new(),
            digests: BTreeMap::new(),
        };
        Self {
            context,
            every,
            program: context.program(),
            survey: Survey { facts, silent: BTreeMap::new() },
            health: BTreeMap::new(),
            journal: JournalSeen::default(),
            unread: None,
            has_journal: false,
            watch: Watch::new(now),
            backfill: None,
            next_sample: Some(Instant::now()),
            turn: 0,
            told: String::new(),
        }
    }

    /// Takes in what came back, and asks again after a while.
    fn take(&mut self, look: Look, looks: &mut Looks<'_>) {
        match look {
            Look::Node { node, address, survey, health, named } => {
                self.node(&node, *survey, health.map(|report| *report));
                looks.node(node, address, named, looks.every);
            }
            Look::Journal(read) => {
                self.has_journal = true;
                (self.journal, self.unread) = match read {
                    Ok(seen) => (*seen, None),
                    Err(problem) => (JournalSeen::default(), Some(problem)),
                };
                let known = self.journal.latest.as_ref().map(|(plan, _)| plan.clone());
                looks.journal(known, looks.every);
            }
            Look::Backfill { sample, took } => {
                let poll = self.context.cluster.timings.backfill.poll;
                let pause = if took > HEAVY { poll.max(took * SHARE) } else { poll };
                self.next_sample = Some(Instant::now() + pause);
                self.backfill = sample;
            }
        }
    }

    fn node(&mut self, node: &NodeName, survey: Survey, health: Option<HealthReport>) {
        let Survey { mut facts, mut silent } = survey;
        let now = self.context.clock.now();
        self.survey.facts.taken_at = now;
        self.survey.facts.digests.append(&mut facts.digests);
        self.health.remove(node);
        let sight = match facts.nodes.remove(node) {
            Some(found) => {
                let reader = self.context.reader();
                let generation = reader.generation(&self.survey.facts, &found).ok();
                let verdict = health.as_ref().map(|report| report.verdict);
                let sight = Sight::of(&found, generation, verdict);
                self.survey.silent.remove(node);
                self.survey.facts.nodes.insert(node.clone(), found);
                self.health.extend(health.map(|report| (node.clone(), report)));
                Some(sight)
            }
            None => {
                self.survey.facts.nodes.remove(node);
                self.survey.silent.extend(silent.remove(node).map(|why| (node.clone(), why)));
                None
            }
        };
        self.watch.see(node, sight, now);
    }

    /// Counts, where Quay counts: rarely, and one node at a time, in turn. A
    /// run that waits for the backfill counts by itself.
    fn sample_if_due(&mut self, looks: &mut Looks<'_>) {
        let generation = common_generation(self.context.reader(), &self.survey.facts);
        if generation.is_none_or(|generation| generation.mode != Mode::Background) {
            self.backfill = None;
            return;
        }
        let is_due = self.next_sample.is_some_and(|next| next <= Instant::now());
        if !is_due || !self.has_journal || self.is_counted_by_a_run() {
            return;
        }
        let mut nodes = self.survey.facts.nodes.keys().cycle().skip(self.turn);
        if let Some(node) = nodes.next() {
            looks.backfill(node.clone());
            (self.next_sample, self.turn) =
                (None, (self.turn + 1) % self.context.cluster.nodes.len());
        }
    }

    fn is_counted_by_a_run(&self) -> bool {
        let Some((plan, state)) = &self.journal.latest else { return false };
        match next(plan.plan(), state) {
            Next::Look { step, .. } => step.what == What::Gate(Gate::Backfill),
            Next::Ask { .. } | Next::Failed { .. } | Next::Closed { .. } | Next::Done => false,
        }
    }

    fn with_view<T>(&self, now: jiff::Timestamp, show: impl FnOnce(&Watched<'_>) -> T) -> T {
        let status = StatusView {
            cluster: &self.context.cluster,
            survey: &self.survey,
            reader: self.context.reader(),
            health: &self.health,
            backfill: self.backfill.as_ref(),
            run: self.journal.latest.as_ref().map(|(plan, state)| RunSeen { plan, state }),
            unread: self.unread.as_deref(),
            known: &self.journal.known,
            watch: Some(&self.watch),
            now,
            program: &self.program,
        };
        let oldest = self.survey.facts.nodes.values().map(|node| node.answered_at).min();
        let age = oldest.map(|oldest| crate::report::between(oldest, now));
        let ends = "q or Ctrl-C ends it";
        show(&Watched { status: &status, interval: self.every, age, ends })
    }

    fn lines(&self, size: Size, style: Style) -> Vec<String> {
        self.with_view(self.context.clock.now(), |view| render::watched(view, size, style))
    }

    /// Where there is no terminal: the whole of it, when something changed. An
    /// error = nobody reads any more.
    fn tell_if_new(&mut self) -> std::io::Result<()> {
        let all = self.context.cluster.names().all(|node| self.watch.knows(node));
        if !all || !self.has_journal {
            return Ok(());
        }
        // As it would be told if no time went by.
        let size = Size { columns: COLUMNS, rows: None };
        let plain = self.with_view(self.watch.since, |view| {
            render::watched(&Watched { age: None, ..*view }, size, Style::PLAIN).join("\n")
        });
        if plain == self.told {
            return Ok(());
        }
        let is_first = std::mem::replace(&mut self.told, plain).is_empty();
        let now = self.context.clock.now();
        let text = match self.context.output {
            Output::Json => self.with_view(now, render::watched_json).to_string(),
            Output::Text => {
                let gap = if is_first { "" } else { "\n" };
                let lines = self.with_view(now, |view| {
                    render::watched(&Watched { ends: "", ..*view }, size, talk::style())
                });
                format!("{gap}{}", lines.join("\n"))
            }
        };
        talk::try_print(&(text + "\n"))
    }
}
