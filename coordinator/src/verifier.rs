//! A verification, done: one place after the other's checks, as a registry's client. An effect room
//! through `registry` alone; what is checked and what it means is `verify`'s.
//!
//! `round` asks every place, `run` is what a run sees of it, `ready` what can be known before.

mod blobs;
mod clean;
#[cfg(any(test, feature = "simulation"))]
pub mod fake;
mod look;
mod means;
mod old;
mod open;
mod push;
mod ready;
mod round;
mod run;

use quaymaster_proto::Mode;
use tokio::sync::mpsc::UnboundedSender;

use crate::registry::{Access, Challenge, Client, Login};
use crate::verify::check::blocked;
use crate::verify::schema1::Key;
use crate::verify::{Check, Checked, Fault, Known, Outcome, Place, Sample, TAG_PREFIX, checks};

pub use means::{Means, MeansError};
pub use old::take_sample;
pub use open::{Opened, at_node, at_public};
pub use ready::ready;
pub use round::{NotAsked, NotSampled, Round, Wanted};
pub use run::{Asked, Verifier, Verifies};

/// Where it is told which check is made just now, at which place.
pub type Tell = UnboundedSender<(String, Check)>;

/// What is to be verified at every place.
#[derive(Debug)]
pub struct Errand<'a> {
    /// The mode in which the registry is to be; `None` = nobody could say.
    pub mode: Option<Mode>,
    /// As whom.
    pub login: Option<&'a Login>,
    /// Where it pushes.
    pub repository: &'a str,
    /// What was there before.
    pub sample: Option<&'a Sample>,
    /// Of this verification alone.
    pub nonce: &'a str,
    /// What signs its schema 1 images.
    pub key: &'a Key,
    /// Who wants to know what is checked just now.
    pub tell: Option<&'a Tell>,
}

/// What came of one check: its evidence, or each fault.
type Found = Result<String, Vec<Fault>>;

/// One place, while it is being verified.
struct Visit<'a> {
    client: &'a Client,
    errand: &'a Errand<'a>,
    /// Host and port of the public name, where this is the place.
    public: Option<&'a str>,
    /// What every tag of this place begins with.
    tag: String,
    challenge: Option<Challenge>,
    access: Access,
    /// Of the manifests that have a tag now.
    pushed: Vec<String>,
}

/// Verifies one place. `number` tells it from the other places of the same verification.
pub async fn verify(
    client: &Client,
    name: &str,
    number: usize,
    public: Option<&str>,
    errand: &Errand<'_>,
) -> Place {
    let known = Known {
        mode: errand.mode,
        has_login: errand.login.is_some(),
        has_sample: errand.sample.is_some(),
        is_public: public.is_some(),
    };
    let tag = format!("{TAG_PREFIX}{}-{number}", errand.nonce);
    let (challenge, access, pushed) = (None, Access::open(), Vec::new());
    let mut visit = Visit { client, errand, public, tag, challenge, access, pushed };
    let mut checked = Vec::new();
    let mut failed = Vec::new();
    for planned in checks(known) {
        let check = planned.check;
        let outcome = match planned.left_out.or_else(|| blocked(check, &failed)) {
            Some(why) => Outcome::Unverified { why },
            None => {
                if let Some(tell) = errand.tell {
                    // Nobody may want to know any more.
                    let _ = tell.send((name.to_owned(), check));
                }
                Outcome::of(visit.make(check).await)
            }
        };
        if matches!(outcome, Outcome::Failed { .. }) {
            failed.push(check);
        }
        checked.push(Checked { check, outcome });
    }
    Place { name: name.to_owned(), at: client.base(), checked, retried: client.retried() }
}

impl Visit<'_> {
    async fn make(&mut self, check: Check) -> Found {
        match check {
            Check::Api => self.api().await,
            Check::Health => self.health().await,
            Check::Mode => self.mode().await,
            Check::Token => self.token().await,
            Check::Repository => self.repository().await,
            Check::NewFormatsRefused => self.new_formats_refused().await,
            Check::Schema1 => self.schema1().await,
            Check::Schema2 => self.schema2().await,
            Check::List => self.list().await,
            Check::OldImages => self.old_images().await,
            Check::TagLists => self.tag_lists().await,
            Check::CleanUp => self.clean_up().await,
        }
    }
}

fn one(fault: impl Into<Fault>) -> Vec<Fault> {
    vec![fault.into()]
}

/// The evidence, if there is no fault.
fn unless(faults: Vec<Fault>, evidence: impl Into<String>) -> Found {
    if faults.is_empty() { Ok(evidence.into()) } else { Err(faults) }
}
