//! How a line of the log is written: for people, or for systemd's journal,
//! which has a clock of its own and reads the level from a `<N>` before the
//! line (sd-daemon(3), `SyslogLevelPrefix=`).
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks where stderr leads")]

use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The two ways.
#[derive(Debug)]
pub(crate) enum Lines {
    /// With time and level in words.
    Plain(Format<Full, SystemTime>),
    /// With the level as the journal reads it.
    Journal(Format<Full, ()>),
}

impl Lines {
    /// The way of this process's stderr.
    pub(crate) fn of_stderr() -> Self {
        if leads_to_journal() { Self::journal() } else { Self::plain() }
    }

    fn plain() -> Self {
        Self::Plain(tracing_subscriber::fmt::format())
    }

    fn journal() -> Self {
        Self::Journal(tracing_subscriber::fmt::format().without_time().with_level(false))
    }
}

/// What goes before a line on stderr that is no event of the log.
pub(crate) fn prefix(level: Level) -> String {
    if leads_to_journal() { format!("<{}>", priority(level)) } else { String::new() }
}

fn leads_to_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").ok();
    is_journal(named.as_deref(), stderr.map(|metadata| (metadata.dev(), metadata.ino())))
}

/// Whether stderr (its device and inode) is the stream that systemd names:
/// the variable stays where a process is started with another stderr.
fn is_journal(named: Option<&str>, stderr: Option<(u64, u64)>) -> bool {
    let named = named.and_then(|text| {
        let (device, inode) = text.split_once(':')?;
        Some((device.parse().ok()?, inode.parse().ok()?))
    });
    named.is_some() && named == stderr
}

/// syslog's number of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self {
            Self::Plain(format) => format.format_event(context, writer, event),
            Self::Journal(format) => {
                write!(writer, "<{}>", priority(*event.metadata().level()))?;
                format.format_event(context, writer, event)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_gets_levels_as_numbers_and_no_time() {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Lines::journal());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!("No act is accepted.");
            tracing::warn!(peer = "10.0.0.9", "Refused a connection.");
            tracing::info!("Serving.");
            tracing::debug!("Called.");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn only_the_stream_that_systemd_names_is_the_journal() {
        assert!(is_journal(Some("9:41234"), Some((9, 41234))));
        assert!(!is_journal(Some("9:41234"), Some((9, 5))), "redirected");
        assert!(!is_journal(None, Some((9, 41234))));
        assert!(!is_journal(None, None));
        assert!(!is_journal(Some("9"), None));
    }
}
