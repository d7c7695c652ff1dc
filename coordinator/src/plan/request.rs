//! Which window a request means, derived from what the cluster runs: there is
//! no memory of an earlier one.

use quaymaster_proto::Mode;
use serde::Serialize;

use super::{ReleaseInMode, Window};
use crate::catalogue::{Catalogue, Release};

/// What an operator asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The release to arrive at.
    pub to: String,
    /// The mode that the first window brings, where it was said: `background`
    /// for two windows, `complete` for one.
    pub first_mode: Option<Mode>,
}

/// What follows from a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// This window.
    Window(Window),
    /// Nothing: the cluster is there.
    Nothing {
        /// What it runs.
        at: ReleaseInMode,
    },
}

/// Why a request means no window.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum RequestRefusal {
    /// The release is not in the catalogue.
    #[error("release {to} is not known; known are {}", .known.join(", "))]
    UnknownRelease {
        /// What was asked for.
        to: String,
        /// Every release that is known.
        known: Vec<String>,
    },
    /// There are two ways, and none was chosen.
    #[error("from {from} to {to} there are {} ways, and none was chosen", .ways.len())]
    NeedsMode {
        /// What runs.
        from: ReleaseInMode,
        /// What was asked for.
        to: String,
        /// The mode that the first window of each would bring.
        ways: Vec<Mode>,
    },
    /// There is no way.
    #[error("there is no way from {from} to {to}{}", with_mode(.mode))]
    NoWay {
        /// What runs.
        from: ReleaseInMode,
        /// What was asked for.
        to: String,
        /// The mode that was chosen.
        mode: Option<Mode>,
    },
}

fn with_mode(mode: &Option<Mode>) -> String {
    mode.map(|mode| format!(" that begins in mode {mode}")).unwrap_or_default()
}

impl RequestRefusal {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> String {
        match self {
            Self::UnknownRelease { known, .. } => match known.last() {
                Some(last) => format!("quaymaster plan --to {last}"),
                None => String::new(),
            },
            Self::NeedsMode { .. } => "--mode background: two short outages with the backfill \
                between them; --mode synchronous: one outage, as long as the backfill takes"
                .to_owned(),
            Self::NoWay { .. } => {
                "releases only go up, and each step has its own ways: see quaymaster status"
                    .to_owned()
            }
        }
    }
}

/// Derives the window. `from` is what every node runs.
pub fn wanted(
    catalogue: &Catalogue,
    from: &ReleaseInMode,
    request: &Request,
) -> Result<Wanted, RequestRefusal> {
    let Request { to, first_mode } = request;
    let release = catalogue.release(to).ok_or_else(|| RequestRefusal::UnknownRelease {
        to: to.clone(),
        known: catalogue.releases().iter().map(|release| release.name.clone()).collect(),
    })?;
    if from.release != *to {
        return first_window(catalogue, from, release, *first_mode).map(Wanted::Window);
    }
    if release.last_mode() == Some(from.mode) {
        return Ok(Wanted::Nothing { at: from.clone() });
    }
    // Half-way: only one way leads on, whatever mode was said.
    let next = ways(catalogue, from, release).into_iter().next();
    let mode = next.ok_or_else(|| RequestRefusal::NoWay {
        from: from.clone(),
        to: to.clone(),
        mode: None,
    })?;
    let (number, of) = (place(release, mode) + 1, modes(release));
    Ok(Wanted::Window(Window { number, of, from: from.clone(), to: in_mode(release, mode) }))
}

fn first_window(
    catalogue: &Catalogue,
    from: &ReleaseInMode,
    release: &Release,
    first_mode: Option<Mode>,
) -> Result<Window, RequestRefusal> {
    let ways = ways(catalogue, from, release);
    let no_way =
        || RequestRefusal::NoWay { from: from.clone(), to: release.name.clone(), mode: first_mode };
    let mode = match (first_mode, ways.as_slice()) {
        (Some(mode), ways) if ways.contains(&mode) => mode,
        (Some(_), _) | (None, []) => return Err(no_way()),
        (None, [only]) => *only,
        (None, _) => {
            return Err(RequestRefusal::NeedsMode {
                from: from.clone(),
                to: release.name.clone(),
                ways,
            });
        }
    };
    let of = modes(release) - place(release, mode);
    Ok(Window { number: 1, of, from: from.clone(), to: in_mode(release, mode) })
}

/// The modes of a release that may be entered from there.
fn ways(catalogue: &Catalogue, from: &ReleaseInMode, release: &Release) -> Vec<Mode> {
    let modes = release.modes.iter().map(|known| known.mode);
    modes.filter(|mode| catalogue.entry(from, &in_mode(release, *mode)).is_some()).collect()
}

fn in_mode(release: &Release, mode: Mode) -> ReleaseInMode {
    ReleaseInMode { release: release.name.clone(), mode }
}

/// 0 for the first mode of the release.
fn place(release: &Release, mode: Mode) -> u32 {
    let place = release.modes.iter().position(|known| known.mode == mode).unwrap_or_default();
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn modes(release: &Release) -> u32 {
    u32::try_from(release.modes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(release: &str, mode: Mode) -> ReleaseInMode {
        ReleaseInMode { release: release.to_owned(), mode }
    }

    fn ask(from: &ReleaseInMode, to: &str, mode: Option<Mode>) -> Result<Wanted, RequestRefusal> {
        let request = Request { to: to.to_owned(), first_mode: mode };
        wanted(&Catalogue::built_in(), from, &request)
    }

    #[test]
    fn the_window_follows_from_what_runs() {
        let old = at("2.9.5", Mode::Absent);
        let background = at("3.0.5", Mode::Background);
        let complete = at("3.0.5", Mode::Complete);
        let window = |number, of, from: &ReleaseInMode, to: &ReleaseInMode| {
            Ok(Wanted::Window(Window { number, of, from: from.clone(), to: to.clone() }))
        };
        let two = ask(&old, "3.0.5", Some(Mode::Background));
        assert_eq!(two, window(1, 2, &old, &background));
        assert_eq!(ask(&old, "3.0.5", Some(Mode::Complete)), window(1, 1, &old, &complete));
        for said in [None, Some(Mode::Background), Some(Mode::Complete)] {
            assert_eq!(ask(&background, "3.0.5", said), window(2, 2, &background, &complete));
            let nothing = Ok(Wanted::Nothing { at: complete.clone() });
            assert_eq!(ask(&complete, "3.0.5", said), nothing);
        }
    }

    #[test]
    fn a_request_without_a_way_is_refused_by_name() {
        let old = at("2.9.5", Mode::Absent);
        let refusals = [
            ask(&old, "3.0.5", None),
            ask(&old, "3.4.7", None),
            ask(&at("3.0.5", Mode::Complete), "2.9.5", None),
            ask(&old, "3.0.5", Some(Mode::Absent)),
        ]
        .map(|answer| answer.unwrap_err())
        .map(|refusal| format!("{refusal}\n  {}", refusal.remedy()));
        insta::assert_snapshot!(refusals.join("\n"));
    }
}
