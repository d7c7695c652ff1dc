//! The catalogue as it is typed.

use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::{Component, Mode};
use serde::Deserialize;

use super::validate::{CatalogueError, Flaw};
use super::{
    Backfill, Entry, OfflineRate, Ports, Release, ReleasedImage, ReleasedMode, Spread, Stopping,
};
use crate::duration_text;
use crate::plan::ReleaseInMode;

/// The only version of the file there is.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    releases: Vec<ReleaseText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseText {
    release: String,
    images: BTreeMap<Component, ImageText>,
    ports: PortsText,
    stop: BTreeMap<Component, StoppingText>,
    start: SpreadText,
    offline: Option<OfflineText>,
    #[serde(default)]
    chain: Vec<String>,
    modes: Vec<ModeText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageText {
    repository: String,
    tag: String,
    #[serde(default)]
    paths: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortsText {
    http: u16,
    https: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoppingText {
    #[serde(with = "duration_text")]
    grace: Duration,
    burns_grace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpreadText {
    #[serde(with = "duration_text")]
    at_best: Duration,
    #[serde(with = "duration_text")]
    likely: Duration,
    #[serde(with = "duration_text")]
    at_worst: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfflineText {
    at_best: f64,
    at_worst: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeText {
    mode: Mode,
    target: String,
    revisions: Vec<String>,
    #[serde(default)]
    resumable: Vec<String>,
    backfill: Option<BackfillText>,
    #[serde(default)]
    entries: Vec<EntryText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackfillText {
    tags_per_second: f64,
    #[serde(with = "duration_text")]
    first_run_within: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryText {
    from: ReleaseInMode,
    schema: SpreadText,
    moves_tags: bool,
}

pub(super) fn read(text: &str) -> Result<Vec<Release>, CatalogueError> {
    let File { version, releases } =
        serde_yaml::from_str(text).map_err(|source| CatalogueError::Yaml { source })?;
    if version != VERSION {
        return Err(CatalogueError::Flaws(vec![Flaw::Version { found: version }]));
    }
    Ok(releases.into_iter().map(release).collect())
}

fn release(text: ReleaseText) -> Release {
    let ReleaseText { release, images, ports, stop, start, offline, chain, modes } = text;
    let PortsText { http, https } = ports;
    let image = |(component, ImageText { repository, tag, paths })| {
        (component, ReleasedImage { repository, tag, paths })
    };
    let stopping = |(component, StoppingText { grace, burns_grace })| {
        (component, Stopping { grace, burns_grace })
    };
    Release {
        name: release,
        images: images.into_iter().map(image).collect(),
        ports: Ports { http, https },
        stop: stop.into_iter().map(stopping).collect(),
        start: spread(start),
        offline: offline.map(|OfflineText { at_best, at_worst }| OfflineRate { at_best, at_worst }),
        chain,
        modes: modes.into_iter().map(mode).collect(),
    }
}

fn mode(text: ModeText) -> ReleasedMode {
    let ModeText { mode, target, revisions, resumable, backfill, entries } = text;
    let backfill = backfill.map(|BackfillText { tags_per_second, first_run_within }| Backfill {
        tags_per_second,
        first_run_within,
    });
    let entry =
        |EntryText { from, schema, moves_tags }| Entry { from, schema: spread(schema), moves_tags };
    ReleasedMode {
        mode,
        target,
        revisions,
        resumable,
        backfill,
        entries: entries.into_iter().map(entry).collect(),
    }
}

fn spread(text: SpreadText) -> Spread {
    let SpreadText { at_best, likely, at_worst } = text;
    Spread { at_best, likely, at_worst }
}
