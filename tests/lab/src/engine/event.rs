//! The engine's events: what happened to which container, told to everyone who
//! listens, the last ones kept for those who ask later.

use super::{container::Container, filter::Filters};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast;

/// As many past events as Docker keeps.
const KEPT: usize = 256;
/// A listener that falls this far behind misses events.
const IN_FLIGHT: usize = 4096;
/// The filters that an event stream understands.
pub(crate) const FILTERS: &[&str] = &["type", "event", "container", "image", "label"];

/// Something that happened to a container.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) action: &'static str,
    pub(crate) at: Timestamp,
    container: String,
    name: String,
    image: String,
    labels: BTreeMap<String, String>,
    /// `exitCode`, `signal` or `oldName`.
    detail: Option<(&'static str, String)>,
}

impl Event {
    pub(crate) fn new(action: &'static str, container: &Container, at: Timestamp) -> Self {
        Self {
            action,
            at,
            container: container.id.clone(),
            name: container.name.clone(),
            image: container.config.image.clone().unwrap_or_default(),
            labels: container.labels(),
            detail: None,
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.detail = Some((key, value.to_string()));
        self
    }

    pub(crate) fn passes(&self, filters: &Filters) -> bool {
        filters.allows("type", |kind| kind == "container")
            && filters.allows("event", |action| action == self.action)
            && filters
                .allows("container", |wanted| *wanted == self.name || *wanted == self.container)
            && filters.allows("image", |image| *image == self.image)
            && filters.allows_labels(&self.labels)
    }

    /// The event as one line of the stream.
    pub(crate) fn to_json(&self) -> Value {
        let mut attributes = self.labels.clone();
        attributes.insert("name".to_owned(), self.name.clone());
        attributes.insert("image".to_owned(), self.image.clone());
        if let Some((key, value)) = &self.detail {
            attributes.insert((*key).to_owned(), value.clone());
        }
        json!({
            "status": self.action,
            "id": self.container,
            "from": self.image,
            "Type": "container",
            "Action": self.action,
            "Actor": { "ID": self.container, "Attributes": attributes },
            "scope": "local",
            "time": self.at.as_second(),
            // An i64 of nanoseconds lasts until the year 2262.
            "timeNano": i64::try_from(self.at.as_nanosecond()).unwrap_or(i64::MAX),
        })
    }
}

/// Those who tell and those who listen.
#[derive(Debug)]
pub(crate) struct EventBus {
    past: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
}

impl EventBus {
    pub(crate) fn new() -> Self {
        Self { past: Mutex::default(), live: broadcast::Sender::new(IN_FLIGHT) }
    }

    pub(crate) fn tell(&self, event: Event) {
        let event = Arc::new(event);
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(Arc::clone(&event));
        // Nobody may be listening, which is no failure.
        let _ = self.live.send(event);
    }

    /// The past since a moment, and what is to come, with nothing lost or told
    /// twice between the two. Without a moment there is no past.
    pub(crate) fn listen(
        &self,
        since: Option<Timestamp>,
    ) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let replayed = match since {
            Some(since) => past.iter().filter(|event| event.at >= since).cloned().collect(),
            None => Vec::new(),
        };
        (replayed, self.live.subscribe())
    }
}

/// Reads `since` and `until`: seconds with an optional fraction, or RFC 3339.
pub(crate) fn parse_moment(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    match seconds.parse::<i64>() {
        Ok(seconds) => {
            let digits = format!("{fraction:0<9}");
            let nanoseconds = digits.get(..9)?.parse().ok()?;
            Timestamp::new(seconds, nanoseconds).ok()
        }
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_moment;

    #[test]
    fn a_moment_is_seconds_or_a_date() {
        let same = "2026-11-22T15:51:02.5Z".parse().ok();
        assert_eq!(parse_moment("1795362662.500000000"), same);
        assert_eq!(parse_moment("1795362662.5"), same);
        assert_eq!(parse_moment("2026-11-22T15:51:02.5Z"), same);
        assert_eq!(parse_moment("soon"), None);
    }
}
