//! What Python's YAML 1.1 makes of a word without quotes.
//!
//! Quay reads its config.yaml with PyYAML: there `yes` is true, `0123` is 83,
//! `1:30` is 90 and `1e3` is a text. Two nodes' files say the same only if
//! they say the same to that reader.

/// The meaning of a word.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Meaning {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number, in decimal digits without leading zeros.
    Integer(String),
    /// A number with a fraction, or one that is none.
    Float(f64),
    /// A date, with or without a time.
    Timestamp,
    /// Just the word.
    Text,
}

/// Reads one word.
pub(crate) fn meaning(word: &str) -> Meaning {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Meaning::Boolean(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Meaning::Boolean(false)
        }
        _ => number(word)
            .unwrap_or_else(|| if is_timestamp(word) { Meaning::Timestamp } else { Meaning::Text }),
    }
}

fn number(word: &str) -> Option<Meaning> {
    let (is_negative, unsigned) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    if let Some(digits) = integer(unsigned) {
        let sign = if is_negative && digits != "0" { "-" } else { "" };
        return Some(Meaning::Integer(format!("{sign}{digits}")));
    }
    // These two have no sign in YAML 1.1.
    if let ".nan" | ".NaN" | ".NAN" = word {
        return Some(Meaning::Float(f64::NAN));
    }
    if word.starts_with('.')
        && let Some(value) = fraction_only(word)
    {
        return Some(Meaning::Float(value));
    }
    let value = float(unsigned)?;
    Some(Meaning::Float(if is_negative { -value } else { value }))
}

/// A whole number without its sign, in decimal.
fn integer(word: &str) -> Option<String> {
    if let Some(bits) = word.strip_prefix("0b") {
        return radix(bits, 2);
    }
    if let Some(digits) = word.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(rest) = word.strip_prefix('0') {
        let is_zero = rest.bytes().all(|byte| byte == b'_');
        return if is_zero { Some("0".to_owned()) } else { radix(rest, 8) };
    }
    if let Some((head, parts)) = sexagesimal(word) {
        let value =
            parts.iter().try_fold(plain_digits(head)?.parse::<u128>().ok()?, |sum, part| {
                sum.checked_mul(60)?.checked_add(part.parse::<u128>().ok()?)
            });
        return value.map(|value| value.to_string());
    }
    // Any length: a key of 96 digits is a number too (quay-facts 4.1).
    plain_digits(word)
}

/// Digits of another base. Too long a number stays as it is written: it still
/// equals only itself.
fn radix(digits: &str, base: u32) -> Option<String> {
    let plain: String = digits.chars().filter(|character| *character != '_').collect();
    let is_valid = !digits.is_empty()
        && digits.chars().all(|character| character == '_' || character.is_digit(base));
    if !is_valid || plain.is_empty() {
        return None;
    }
    Some(match u128::from_str_radix(&plain, base) {
        Ok(value) => value.to_string(),
        Err(_) => format!("base {base} {}", plain.trim_start_matches('0').to_lowercase()),
    })
}

/// `[1-9][0-9_]*` without its underscores.
fn plain_digits(word: &str) -> Option<String> {
    let is_valid = matches!(word.bytes().next(), Some(b'1'..=b'9'))
        && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    is_valid.then(|| word.replace('_', ""))
}

/// `190:20:30` as its head and its parts below 60.
fn sexagesimal(word: &str) -> Option<(&str, Vec<&str>)> {
    let (head, rest) = word.split_once(':')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let is_part = |part: &&str| match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [tens, ones] => matches!(tens, b'0'..=b'5') && ones.is_ascii_digit(),
        _ => false,
    };
    parts.iter().all(is_part).then_some((head, parts))
}

/// A number with a point, without its sign.
fn float(word: &str) -> Option<f64> {
    if let ".inf" | ".Inf" | ".INF" = word {
        return Some(f64::INFINITY);
    }
    let (whole, rest) = word.split_once('.')?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if let Some((head, parts)) = sexagesimal(whole) {
        if !starts_with_digit(head) || !is_digits(head) || !is_digits(rest) {
            return None;
        }
        let whole =
            parts.iter().try_fold(decimal(head)?, |sum, part| Some(sum * 60.0 + decimal(part)?))?;
        return Some(whole + decimal(&format!("0.{rest}"))?);
    }
    let (fraction, exponent) = split_exponent(rest)?;
    if !starts_with_digit(whole) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    decimal(&format!("{whole}.{fraction}{exponent}"))
}

/// `.5` or `.5e+3`.
fn fraction_only(word: &str) -> Option<f64> {
    let (fraction, exponent) = split_exponent(word.strip_prefix('.')?)?;
    let is_valid = starts_with_digit(fraction)
        && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if is_valid { decimal(&format!("0.{fraction}{exponent}")) } else { None }
}

/// Splits off an exponent, which needs its sign in YAML 1.1.
fn split_exponent(text: &str) -> Option<(&str, &str)> {
    let Some(at) = text.find(['e', 'E']) else {
        return Some((text, ""));
    };
    let (fraction, exponent) = text.split_at(at);
    let digits = exponent[1..].strip_prefix(['+', '-'])?;
    let is_valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_valid.then_some((fraction, exponent))
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

fn decimal(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok()
}

/// `2020-01-01`, or with a time.
fn is_timestamp(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits_from =
        |at: usize| bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
    if digits_from(0) != 4 || bytes.get(4) != Some(&b'-') {
        return false;
    }
    let month = digits_from(5);
    let day_at = 5 + month + 1;
    let day = digits_from(day_at);
    if !(1..=2).contains(&month) || bytes.get(day_at - 1) != Some(&b'-') || !(1..=2).contains(&day)
    {
        return false;
    }
    match word.get(day_at + day..) {
        None => false,
        Some("") => month == 2 && day == 2,
        Some(time) => is_time(time),
    }
}

/// `T12:30:45.5Z`, ` 1:02:03 +01:00` and their like.
fn is_time(text: &str) -> bool {
    let time = match text.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None => {
            let rest = text.trim_start_matches([' ', '\t']);
            if rest.len() == text.len() {
                return false;
            }
            rest
        }
    };
    let end = time
        .find(|character: char| !(character.is_ascii_digit() || ":.".contains(character)))
        .unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let parts: Vec<usize> = clock.split(':').map(str::len).collect();
    matches!(parts[..], [1 | 2, 2, 2])
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && is_zone(zone.trim_start_matches([' ', '\t']))
}

fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else {
        return matches!(zone, "" | "Z");
    };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(hours.len(), 1 | 2) && minutes.len() == 2 && is_digits(hours) && is_digits(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs as PyYAML 6.0.3's safe loader reads them.
    #[test]
    fn words_mean_what_python_makes_of_them() {
        let integer = |digits: &str| Meaning::Integer(digits.to_owned());
        let cases = [
            ("yes", Meaning::Boolean(true)),
            ("Off", Meaning::Boolean(false)),
            ("y", Meaning::Text),
            ("tRUE", Meaning::Text),
            ("~", Meaning::Null),
            ("NULL", Meaning::Null),
            ("none", Meaning::Text),
            ("0", integer("0")),
            ("-0", integer("0")),
            ("12", integer("12")),
            ("+12", integer("12")),
            ("-1_000", integer("-1000")),
            ("0_", integer("0")),
            ("0123", integer("83")),
            ("0128", Meaning::Text),
            ("0o17", Meaning::Text),
            ("0x1F", integer("31")),
            ("0b101", integer("5")),
            ("1:30", integer("90")),
            ("190:20:30", integer("685230")),
            ("1:75", Meaning::Text),
            ("1e3", Meaning::Text),
            ("1.5", Meaning::Float(1.5)),
            ("1.", Meaning::Float(1.0)),
            (".5", Meaning::Float(0.5)),
            ("-.5", Meaning::Text),
            ("1.5e3", Meaning::Text),
            ("1.5e+3", Meaning::Float(1500.0)),
            ("1:30.5", Meaning::Float(90.5)),
            ("._5", Meaning::Text),
            ("1._5", Meaning::Float(1.5)),
            ("-.inf", Meaning::Float(f64::NEG_INFINITY)),
            ("2020-01-01", Meaning::Timestamp),
            ("2020-1-1", Meaning::Text),
            ("2020-1-1 1:02:03", Meaning::Timestamp),
            ("2001-12-14T21:59:43.10-05:00", Meaning::Timestamp),
            ("v3.0.5", Meaning::Text),
            ("10.0.0.1", Meaning::Text),
            ("complete", Meaning::Text),
        ];
        for (word, expected) in cases {
            assert_eq!(meaning(word), expected, "{word}");
        }
    }

    #[test]
    fn a_long_key_of_digits_keeps_every_digit() {
        let digits = "9".repeat(96);
        assert_eq!(meaning(&digits), Meaning::Integer(digits.clone()));
    }
}
