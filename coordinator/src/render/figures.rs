//! Times, spans and counts as people say them.

use std::time::Duration;

use jiff::Timestamp;

use crate::plan::ForecastPart;

/// `0.02 s`, `10.4 s`, `6 min 52 s`, `3 h 5 min`, `41 d`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 99.95 {
        return trimmed(&format!("{seconds:.1}")) + " s";
    }
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() >= 500_000_000);
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match (minutes, hours, days) {
        (minutes, 0, _) if whole.is_multiple_of(60) => format!("{minutes} min"),
        (minutes, 0, _) => format!("{minutes} min {} s", whole % 60),
        (minutes, hours, 0) if minutes.is_multiple_of(60) => format!("{hours} h"),
        (minutes, hours, 0) => format!("{hours} h {} min", minutes % 60),
        (_, hours, days) if days < 4 && !hours.is_multiple_of(24) => {
            format!("{days} d {} h", hours % 24)
        }
        (_, _, days) => format!("{days} d"),
    }
}

/// The same in a few columns, for what took so long: `0.02 s`, `10.4 s`,
/// `1:12`, `2:03:00`.
pub(super) fn took(took: Duration) -> String {
    if took.as_secs_f64() < 59.95 { duration(took) } else { clock(took) }
}

/// What still goes on: `0:07`, `1:12`, `2:03:00`, `2 d 3 h`.
pub(super) fn clock(elapsed: Duration) -> String {
    let whole = elapsed.as_secs();
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..24 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => duration(elapsed),
    }
}

/// The same to one unit, for guesses: `10 s`, `7 min`, `3 h`, `4 d`.
pub(super) fn about(duration: Duration) -> String {
    let rounded = |unit: u64| (duration.as_secs() + unit / 2) / unit;
    match duration.as_secs() {
        0..100 => format!("{} s", rounded(1)),
        100..5_400 => format!("{} min", rounded(60)),
        5_400..172_800 => format!("{} h", rounded(3_600)),
        _ => format!("{} d", rounded(86_400)),
    }
}

/// `10 s`, or `30 s to 12 min`.
pub(super) fn range(part: &ForecastPart) -> String {
    let (best, worst) = (about(part.at_best), about(part.at_worst));
    if best == worst { best } else { format!("{best} to {worst}") }
}

/// `4`, `1,904`, `30.1 M`.
pub fn count(number: i64) -> String {
    let size = number.unsigned_abs();
    let sign = if number < 0 { "-" } else { "" };
    let shown = match size {
        0..1_000 => size.to_string(),
        1_000..100_000 => format!("{},{:03}", size / 1_000, size % 1_000),
        100_000..1_000_000 => format!("{} k", size / 1_000),
        1_000_000..1_000_000_000 => trimmed(&format!("{:.1}", size as f64 / 1e6)) + " M",
        _ => trimmed(&format!("{:.1}", size as f64 / 1e9)) + " G",
    };
    format!("{sign}{shown}")
}

/// `6.4 GB`, as disks are sold.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// `99.40 %`; never rounded up, so that 99.999 % is not told as done.
pub fn fraction(fraction: f64) -> String {
    format!("{:.2} %", (fraction * 10_000.0).floor() / 100.0)
}

/// `2026-11-22 02:10:00 UTC`.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `02:10:00`.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// `3 nodes`, `1 node`.
pub(super) fn number(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn trimmed(number: &str) -> String {
    number.strip_suffix(".0").unwrap_or(number).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_to_the_unit_that_matters() {
        let told = [0.021, 0.999, 10.38, 60.0, 412.0, 3_600.0, 11_100.0, 176_400.0, 3_542_400.0]
            .map(|seconds| duration(Duration::from_secs_f64(seconds)));
        let expected = [
            "0.02 s",
            "1 s",
            "10.4 s",
            "60 s",
            "6 min 52 s",
            "1 h",
            "3 h 5 min",
            "2 d 1 h",
            "41 d",
        ];
        assert_eq!(told, expected);
        let taken = [0.021, 10.38, 59.97, 72.4, 7_380.0].map(Duration::from_secs_f64).map(took);
        assert_eq!(taken, ["0.02 s", "10.4 s", "0:59", "1:12", "2:03:00"]);
        let going_on = [0.9, 161.0, 3_723.0, 183_600.0].map(Duration::from_secs_f64).map(clock);
        assert_eq!(going_on, ["0:00", "2:41", "1:02:03", "2 d 3 h"]);
        let guessed = [9.6, 412.0, 11_100.0, 345_600.0]
            .map(|seconds| about(Duration::from_secs_f64(seconds)));
        assert_eq!(guessed, ["9 s", "7 min", "3 h", "4 d"]);
    }

    #[test]
    fn counts_are_told_short_and_nothing_is_rounded_up_to_done() {
        let told = [-10, 0, 999, 1_904, 180_600, 30_100_000, 2_000_000_000].map(count);
        assert_eq!(told, ["-10", "0", "999", "1,904", "180 k", "30.1 M", "2 G"]);
        assert_eq!(fraction(0.999_999), "99.99 %");
        assert_eq!(fraction(1.0), "100.00 %");
    }
}
