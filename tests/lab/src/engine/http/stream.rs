#![expect(clippy::disallowed_methods, reason = "an effect room: a stream ends by the clock")]
//! Answers that come bit by bit: events, logs, and waiting for an end. All of
//! them end when the engine goes down.

use super::{Shared, is_true};
use crate::engine::{
    container::Phase,
    event::{self, Event, parse_moment},
    filter::Filters,
    fleet::{Engine, Fleet},
    log::{LogReader, LogSelection},
    refusal::Refusal,
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, future, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{sync::broadcast, time::sleep};

#[derive(Deserialize)]
pub(super) struct EventsQuery {
    since: Option<String>,
    until: Option<String>,
    filters: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct LogsQuery {
    follow: Option<String>,
    stdout: Option<String>,
    stderr: Option<String>,
    timestamps: Option<String>,
    since: Option<String>,
    until: Option<String>,
    tail: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WaitQuery {
    condition: Option<String>,
}

/// An answer of one JSON value a line.
pub(super) fn json_lines(values: impl Stream<Item = Value> + Send + 'static) -> Response {
    let lines = values.map(|value| Ok::<_, Infallible>(Bytes::from(format!("{value}\n"))));
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

/// Done when the engine goes down.
fn closed(engine: &Engine) -> impl Future<Output = ()> + Send + 'static {
    let mut closing = engine.closing.subscribe();
    async move {
        let _ = closing.wait_for(|closing| *closing).await;
    }
}

/// Reads a moment of a query; an empty one and zero are none.
fn moment(text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    match text.filter(|text| !matches!(*text, "" | "0")) {
        Some(text) => {
            parse_moment(text).map(Some).ok_or_else(|| Refusal::InvalidArgument(text.to_owned()))
        }
        None => Ok(None),
    }
}

pub(super) async fn events(
    State(engine): Shared,
    Query(EventsQuery { since, until, filters }): Query<EventsQuery>,
) -> Result<Response, Refusal> {
    let filters = Filters::parse(filters.as_deref(), event::FILTERS)?;
    let until = moment(until.as_deref())?;
    let (past, live) = engine.events.listen(moment(since.as_deref())?);
    let over = match until {
        Some(until) => {
            let left = until.duration_since(Timestamp::now());
            let left = if left.is_negative() { Duration::ZERO } else { left.unsigned_abs() };
            future::Either::Left(sleep(left))
        }
        None => future::Either::Right(future::pending()),
    };
    let over = future::select(Box::pin(over), Box::pin(closed(&engine)));
    // What is past is told in any case, also when the end is past as well.
    let told = stream::iter(past).chain(to_come(live).take_until(over));
    let wanted = told
        .filter(move |event| future::ready(event.passes(&filters)))
        .filter(move |event| future::ready(until.is_none_or(|until| event.at <= until)));
    Ok(json_lines(wanted.map(|event| event.to_json())))
}

fn to_come(live: broadcast::Receiver<Arc<Event>>) -> impl Stream<Item = Arc<Event>> {
    stream::unfold(live, async |mut live| {
        loop {
            match live.recv().await {
                Ok(event) => return Some((event, live)),
                // A listener this slow has missed some; it hears the rest.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

/// The container's log; followed only while the run that it finds goes on, as
/// Docker does.
pub(super) async fn logs(
    State(engine): Shared,
    Path(key): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refusal> {
    let LogsQuery { follow, stdout, stderr, timestamps, since, until, tail } = query;
    let selection = LogSelection {
        stdout: is_true(stdout.as_deref()),
        stderr: is_true(stderr.as_deref()),
        timestamps: is_true(timestamps.as_deref()),
        since: moment(since.as_deref())?,
        until: moment(until.as_deref())?,
        // Anything but a number is all.
        tail: tail.and_then(|tail| tail.parse().ok()),
    };
    let (id, run) = {
        let fleet = engine.fleet();
        let entry = fleet.find(&key)?;
        (entry.container.id.clone(), entry.container.phase.pid().map(|_| entry.endings))
    };
    if !selection.stdout && !selection.stderr {
        return Err(Refusal::NoStream);
    }
    let run = run.filter(|_| is_true(follow.as_deref()));
    let reader = LogReader::new(engine.store.log_path(&id), selection);
    let over = closed(&engine);
    let frames = stream::unfold(Some(Following { engine, id, run, reader }), Following::next);
    let frames = frames.take_until(over).map(|frames| Ok::<_, Infallible>(Bytes::from(frames)));
    let kind = "application/vnd.docker.raw-stream";
    Ok(([(CONTENT_TYPE, kind)], Body::from_stream(frames)).into_response())
}

/// A log stream under way.
struct Following {
    engine: Arc<Engine>,
    id: String,
    /// The run that is followed, by the endings before it.
    run: Option<u64>,
    reader: LogReader,
}

impl Following {
    async fn next(following: Option<Self>) -> Option<(Vec<u8>, Option<Self>)> {
        let mut following = following?;
        let mut grown = following.engine.logged.subscribe();
        let mut changed = following.engine.changed.subscribe();
        loop {
            // Asked before reading: what an ended run printed is all there.
            let goes_on = following.goes_on();
            let frames = following.reader.read().ok()?;
            if !goes_on {
                return Some((frames, None));
            }
            if !frames.is_empty() {
                return Some((frames, Some(following)));
            }
            tokio::select! {
                _ = grown.changed() => {}
                _ = changed.changed() => {}
            }
        }
    }

    fn goes_on(&self) -> bool {
        let fleet = self.engine.fleet();
        fleet.find(&self.id).is_ok_and(|entry| Some(entry.endings) == self.run)
    }
}

/// Answers when the container has ended. The head of the answer goes out at
/// once, as Docker's does.
pub(super) async fn wait(
    State(engine): Shared,
    Path(key): Path<String>,
    Query(WaitQuery { condition }): Query<WaitQuery>,
) -> Result<Response, Refusal> {
    let condition = match condition.as_deref() {
        None | Some("" | "not-running") => Condition::NotRunning,
        Some("next-exit") => Condition::NextExit,
        Some("removed") => Condition::Removed,
        Some(other) => return Err(Refusal::InvalidArgument(other.to_owned())),
    };
    let (id, endings, exit_code) = {
        let fleet = engine.fleet();
        let entry = fleet.find(&key)?;
        (entry.container.id.clone(), entry.endings, entry.container.exit_code)
    };
    let over = closed(&engine);
    let answer = async move {
        let mut exit_code = exit_code;
        engine.until(|fleet| condition.is_met(fleet, &id, endings, &mut exit_code)).await;
        json!({ "Error": null, "StatusCode": exit_code })
    };
    Ok(json_lines(stream::once(answer).boxed().take_until(over)))
}

#[derive(Clone, Copy)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

impl Condition {
    /// Whether the waiting is over; the last exit code seen is kept, for a
    /// removed container has none.
    fn is_met(self, fleet: &Fleet, id: &str, endings: u64, exit_code: &mut i64) -> Option<()> {
        let Ok(entry) = fleet.find(id) else {
            return Some(());
        };
        *exit_code = entry.container.exit_code;
        let has_ended = entry.endings > endings;
        let is_met = match self {
            Self::NotRunning => {
                has_ended || matches!(entry.container.phase, Phase::Created | Phase::Exited)
            }
            Self::NextExit => has_ended,
            Self::Removed => false,
        };
        is_met.then_some(())
    }
}
