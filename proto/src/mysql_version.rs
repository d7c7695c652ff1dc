//! Versions of MySQL and MariaDB, as servers and programs say them. Pure.

use std::fmt;

/// Which of the two it is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MysqlKind {
    /// MySQL, and what is built from it, such as Percona's.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// Such as MySQL 8.0.36 or MariaDB 10.11.6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MysqlVersion {
    /// Whose.
    pub kind: MysqlKind,
    /// What must not be higher on the server's side: 8.0 of 8.0.36.
    pub series: (u32, u32),
    text: String,
}

/// Why no program serves a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// There is none.
    None,
    /// Those that are there are the other kind's.
    OtherKind,
    /// Those of its kind are older.
    Older,
}

impl MysqlKind {
    /// The program that dumps it, as its documentation calls it.
    pub fn program(self) -> &'static str {
        match self {
            Self::Mysql => "mysqldump",
            Self::Mariadb => "mariadb-dump",
        }
    }
}

impl MysqlVersion {
    /// The version in what a program or a server says: `mysqldump  Ver 8.0.36
    /// for Linux`, `mysqldump  Ver 10.13 Distrib 5.7.44, for Linux`,
    /// `mariadb-dump from 11.4.2-MariaDB, client 10.19`,
    /// `10.11.6-MariaDB-0+deb12u1`, `5.7.44-log`, `MariaDB 10.11.6`.
    pub fn read(said: &str) -> Option<Self> {
        let words: Vec<&str> = said.split_whitespace().collect();
        let after = |name: &str| {
            let place = words.iter().position(|word| *word == name)?;
            words.get(place + 1).copied()
        };
        let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        // `Ver` alone is the program's own version where a distribution is named too.
        let named = ["Distrib", "from", "Ver"].into_iter().find_map(after);
        let word = named.or_else(|| words.iter().copied().find(is_number))?;
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let text = word[..end].trim_end_matches('.');
        let mut numbers = text.split('.').map(str::parse);
        let series = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let is_mariadb = said.to_ascii_lowercase().contains("mariadb");
        let kind = if is_mariadb { MysqlKind::Mariadb } else { MysqlKind::Mysql };
        Some(Self { kind, series, text: text.to_owned() })
    }

    /// `MySQL 8.0`, as packages and manuals are called.
    pub fn series_in_words(&self) -> String {
        let (first, second) = self.series;
        format!("{} {first}.{second}", self.kind)
    }
}

impl fmt::Display for MysqlKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
        })
    }
}

/// What `read` reads again.
impl fmt::Display for MysqlVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.text)
    }
}

/// The place of what fits a server best: of its own kind, of its own series or
/// else the next newer one. An older program may not know what a newer server
/// holds, and the two kinds ask their servers for what the other has not.
pub fn fitting(server: &MysqlVersion, programs: &[MysqlVersion]) -> Result<usize, Misfit> {
    if programs.is_empty() {
        return Err(Misfit::None);
    }
    let of_its_kind: Vec<(usize, &MysqlVersion)> =
        programs.iter().enumerate().filter(|(_, found)| found.kind == server.kind).collect();
    if of_its_kind.is_empty() {
        return Err(Misfit::OtherKind);
    }
    let fits = of_its_kind.into_iter().filter(|(_, found)| found.series >= server.series);
    fits.min_by_key(|(_, found)| found.series).map(|(place, _)| place).ok_or(Misfit::Older)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> MysqlVersion {
        MysqlVersion::read(said).unwrap()
    }

    #[test]
    fn a_version_is_found_in_whatever_words() {
        let cases = [
            ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community)", "MySQL 8.0.36"),
            ("mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", "MySQL 5.7.44"),
            ("mysqldump  Ver 10.19 Distrib 10.11.6-MariaDB, for linux", "MariaDB 10.11.6"),
            ("mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux", "MariaDB 11.4.2"),
            ("10.11.6-MariaDB-0+deb12u1", "MariaDB 10.11.6"),
            ("5.7.44-48-log", "MySQL 5.7.44"),
            ("8.4.0", "MySQL 8.4.0"),
        ];
        for (said, shown) in cases {
            assert_eq!(of(said).to_string(), shown, "{said}");
            assert_eq!(of(shown), of(said), "{said}");
        }
        assert_eq!(MysqlVersion::read("no number"), None);
        assert_eq!(of("8.0.36").series_in_words(), "MySQL 8.0");
    }

    #[test]
    fn a_program_is_of_the_servers_kind_and_never_older() {
        let programs = ["MySQL 8.4.1", "MariaDB 10.11.6", "MySQL 8.0.36", "MySQL 5.7.44"].map(of);
        let chosen = |server: &str| fitting(&of(server), &programs);
        assert_eq!(chosen("5.6.51"), Ok(3));
        assert_eq!(chosen("5.7.30"), Ok(3));
        assert_eq!(chosen("8.0.40"), Ok(2));
        assert_eq!(chosen("9.1.0"), Err(Misfit::Older));
        assert_eq!(chosen("10.3.39-MariaDB"), Ok(1));
        assert_eq!(chosen("11.4.2-MariaDB"), Err(Misfit::Older));
        assert_eq!(fitting(&of("5.7.30"), &programs[1..2]), Err(Misfit::OtherKind));
        assert_eq!(fitting(&of("5.7.30"), &[]), Err(Misfit::None));
    }
}
