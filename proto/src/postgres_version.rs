//! Versions of PostgreSQL, as servers and programs say them. Pure.

use std::fmt;

/// Such as 15.6, or 9.6 before 10.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresVersion {
    /// What must not be higher on the server's side: 15 of 15.6, 9.6 of 9.6.24.
    pub major: (u32, u32),
    text: String,
}

impl PostgresVersion {
    /// The first number in what a program or a server says: "pg_dump
    /// (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)", "9.6.24", "17beta1".
    pub fn read(said: &str) -> Option<Self> {
        let text =
            said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut numbers = text.split('.').map(leading_number);
        let first = numbers.next()??;
        let second = numbers.next().flatten().unwrap_or(0);
        // Until 9.6 a major version had two numbers.
        let major = if first >= 10 { (first, 0) } else { (first, second) };
        Some(Self { major, text: text.to_owned() })
    }
}

impl PostgresVersion {
    /// As packages are called: `15`, or `9.6` before 10.
    pub fn major_in_words(&self) -> String {
        match self.major {
            (first @ 10.., _) => first.to_string(),
            (first, second) => format!("{first}.{second}"),
        }
    }
}

fn leading_number(part: &str) -> Option<u32> {
    let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
    part[..end].parse().ok()
}

impl fmt::Display for PostgresVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

/// The place of what fits a server best: its own major version, or else the
/// next newer one. An older program refuses a newer server, or dumps it wrongly.
pub fn fitting(server: &PostgresVersion, programs: &[PostgresVersion]) -> Option<usize> {
    let fits = programs.iter().enumerate().filter(|(_, found)| found.major >= server.major);
    fits.min_by_key(|(_, found)| found.major).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_never_older_than_the_server() {
        let of = |said: &str| PostgresVersion::read(said).unwrap();
        let programs = [
            of("pg_dump (PostgreSQL) 9.5.25"),
            of("pg_dump (PostgreSQL) 17beta1"),
            of("pg_dump (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)"),
        ];
        assert_eq!(programs[2].to_string(), "15.6");
        let chosen =
            |server: &str| fitting(&of(server), &programs).map(|place| programs[place].to_string());
        assert_eq!(chosen("15.14 (Debian)").as_deref(), Some("15.6"));
        assert_eq!(chosen("9.4.1").as_deref(), Some("9.5.25"));
        assert_eq!(chosen("9.6.1").as_deref(), Some("15.6"));
        assert_eq!(chosen("16.1").as_deref(), Some("17beta1"));
        assert_eq!(chosen("18.0"), None);
        assert_eq!(PostgresVersion::read("no number"), None);
    }
}
