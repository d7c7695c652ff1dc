//! What mysqldump and mariadb-dump write, read to its very end: which tables it
//! makes, how many rows it puts into those that count, and whether it is whole.
//! Pure.

use std::collections::BTreeSet;

use super::super::key_tables::KEY_TABLES;
use super::super::manifest::Rows;
use super::lexer::{Lexer, Token};

/// The last line of a dump that came to its end.
const TRAILER: &[u8] = b"Dump completed";

/// What a dump holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Dumped {
    /// Every table that it makes.
    pub(super) tables: BTreeSet<String>,
    /// Of the tables that count.
    pub(super) rows: Rows,
    pub(super) revision: String,
}

/// Why a text is no whole dump.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// Its last line does not say that the dump came to its end.
    NoTrailer,
    /// Rows of this table are not as dumps write them.
    Rows {
        /// Which.
        table: String,
    },
}

/// A dump that is being read.
#[derive(Default, Debug)]
pub(super) struct Script {
    lexer: Lexer,
    reader: Reader,
}

impl Script {
    /// The next bytes of it.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let Self { lexer, reader } = self;
        lexer.read(bytes, &mut |token| reader.take(&token));
    }

    /// There are no more.
    pub(super) fn end(self) -> Result<Dumped, Broken> {
        let Self { lexer, mut reader } = self;
        let is_whole = lexer.end(&mut |token| reader.take(&token));
        if let Some(table) = reader.broken {
            return Err(Broken::Rows { table });
        }
        if !is_whole || !reader.is_complete {
            return Err(Broken::NoTrailer);
        }
        Ok(reader.dumped)
    }
}

/// Where in a statement.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum At {
    #[default]
    Begin,
    Create,
    CreateTable,
    Insert,
    Into,
    /// Behind the name of the table that rows come into.
    Table,
    /// Among the names of its columns.
    Columns,
    /// A row has to come.
    Row,
    /// In one, so many parentheses deep.
    InRow(u32),
    /// Behind one.
    RowEnd,
    /// In a statement that says nothing here.
    Other,
}

#[derive(Default, Debug)]
struct Reader {
    at: At,
    /// Rows come into it.
    table: String,
    /// It is one of those that count.
    counts: Option<&'static str>,
    dumped: Dumped,
    broken: Option<String>,
    is_complete: bool,
}

impl Reader {
    fn take(&mut self, token: &Token<'_>) {
        if let Token::Remark(said) = token {
            self.is_complete = said.starts_with(TRAILER);
            return;
        }
        self.is_complete = false;
        if *token == Token::End {
            if matches!(self.at, At::Table | At::Columns | At::Row | At::InRow(_)) {
                self.is_broken();
            }
            self.at = At::Begin;
            return;
        }
        self.at = match (self.at, token) {
            (At::Begin, Token::Word(word)) if is(word, "CREATE") => At::Create,
            (At::Begin, Token::Word(word)) if is(word, "INSERT") => At::Insert,
            (At::Create, Token::Word(word)) if is(word, "TABLE") => At::CreateTable,
            // IF NOT EXISTS
            (At::CreateTable, Token::Word(_)) => At::CreateTable,
            (At::CreateTable, Token::Name(name)) => self.makes(name),
            (At::Insert, Token::Word(word)) if is(word, "INTO") => At::Into,
            (At::Insert, Token::Word(_)) => At::Insert, // IGNORE
            (At::Into, Token::Name(name)) => self.fills(name),
            (At::Table, Token::Mark(b'(')) => At::Columns,
            (At::Columns, Token::Mark(b')')) => At::Table,
            (At::Columns, Token::Name(_) | Token::Mark(b',')) => At::Columns,
            (At::Table, Token::Word(word)) if is(word, "VALUES") => At::Row,
            (At::Row, Token::Mark(b'(')) => At::InRow(0),
            (At::RowEnd, Token::Mark(b',')) => At::Row,
            (At::InRow(deep), token) => self.in_a_row(deep, token),
            (At::Table | At::Columns | At::Row | At::RowEnd, _) => {
                self.is_broken();
                At::Other
            }
            (At::Begin | At::Create | At::CreateTable | At::Insert | At::Into | At::Other, _) => {
                At::Other
            }
        };
    }

    fn in_a_row(&mut self, deep: u32, token: &Token<'_>) -> At {
        match token {
            Token::Mark(b'(') => At::InRow(deep + 1),
            Token::Mark(b')') if deep == 0 => {
                if let Some(key) = self.counts {
                    *self.dumped.rows.entry(key.to_owned()).or_default() += 1;
                }
                At::RowEnd
            }
            Token::Mark(b')') => At::InRow(deep - 1),
            Token::Text(text) if self.counts == Some("alembic_version") => {
                self.dumped.revision = String::from_utf8_lossy(text).into_owned();
                At::InRow(deep)
            }
            Token::Word(_) | Token::Name(_) | Token::Text(_) | Token::Mark(_) => At::InRow(deep),
            // Neither comes here.
            Token::End | Token::Remark(_) => At::Other,
        }
    }

    fn makes(&mut self, name: &[u8]) -> At {
        let name = String::from_utf8_lossy(name).into_owned();
        if KEY_TABLES.contains(&name.as_str()) {
            self.dumped.rows.entry(name.clone()).or_default();
        }
        self.dumped.tables.insert(name);
        At::Other
    }

    fn fills(&mut self, name: &[u8]) -> At {
        self.table = String::from_utf8_lossy(name).into_owned();
        self.counts = KEY_TABLES.iter().copied().find(|key| *key == self.table);
        At::Table
    }

    fn is_broken(&mut self) {
        if self.broken.is_none() {
            self.broken = Some(self.table.clone());
        }
    }
}

fn is(word: &[u8], wanted: &str) -> bool {
    word.eq_ignore_ascii_case(wanted.as_bytes())
}

#[cfg(test)]
mod tests;
