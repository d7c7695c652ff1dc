//! `check`: whether this node could be served, finding by finding: everything
//! that `run` and its acts will need, asked now and by this very process. It
//! leaves nothing behind; what can be written is found out by writing.

mod certificate;
mod engine;
mod files;
mod port;

use std::fmt;
use std::path::Path;

use crate::app;

/// What a finding means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// It would do.
    Good,
    /// It would do, but not for ever, or not for everybody.
    Note,
    /// It would not do.
    Bad,
}

/// What was looked at and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Finding {
    verdict: Verdict,
    about: &'static str,
    text: String,
    /// What to do; empty where nothing is to be done.
    remedy: String,
}

impl Finding {
    fn good(about: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, about, text: text.into(), remedy: String::new() }
    }

    fn note(about: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, about, text: text.into(), remedy: remedy.into() }
    }

    fn is_bad(&self) -> bool {
        self.verdict == Verdict::Bad
    }

    fn bad(about: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, about, text: text.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, about, text, remedy } = self;
        let mark = match verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "BAD",
        };
        let text = text.replace('\n', "\n                   ");
        write!(formatter, "{mark:<5} {about:<12} {text}")?;
        if !remedy.is_empty() {
            write!(formatter, "\n                   -> {remedy}")?;
        }
        Ok(())
    }
}

/// All findings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Whether the agent could do all of its work here.
    pub(crate) fn are_good(&self) -> bool {
        self.count(Verdict::Bad) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(formatter, "{finding}")?;
        }
        let [good, notes, bad] =
            [Verdict::Good, Verdict::Note, Verdict::Bad].map(|v| self.count(v));
        let so = if self.are_good() { "can be served" } else { "cannot be served yet" };
        writeln!(formatter, "{good} good, {notes} to note, {bad} bad: this node {so}")
    }
}

/// Everything that `run` would need, in its order.
pub(crate) async fn check(path: &Path) -> Findings {
    let config = match app::read_config(path) {
        Ok(config) => config,
        Err(error) => {
            let remedy = "correct it; every key is in the example that comes with the agent";
            return Findings(vec![Finding::bad(
                "agent.yaml",
                quaymaster_proto::in_a_line(&error),
                remedy,
            )]);
        }
    };
    let mut findings = vec![Finding::good(
        "agent.yaml",
        format!("node `{}` of cluster `{}`", config.node, config.cluster),
    )];
    findings.extend(whose_rights());
    findings.extend(certificate::check(&config));
    findings.extend(files::check(&config));
    findings.extend(engine::check(&config).await);
    findings.push(port::check(&config).await);
    Findings(findings)
}

/// What root may do says nothing of what the service may do.
fn whose_rights() -> Option<Finding> {
    rustix::process::geteuid().is_root().then(|| {
        Finding::note(
            "user",
            "this check runs as root; the service runs as another user and may do less",
            "run it with the service's rights: `systemd-run` with User= and the rest of the unit, \
             as the install guide shows",
        )
    })
}
