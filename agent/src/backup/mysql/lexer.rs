//! The SQL of a dump, taken apart into words, names, texts and marks. Pure.
//!
//! It knows what mysqldump and mariadb-dump write and their clients understand:
//! texts with escapes, quoted names, comments, statements in comments that only
//! newer servers carry out, other delimiters around triggers. Bytes come in
//! pieces of any size.

/// More of a word, a name or a text is not kept: nothing that is looked for is
/// longer.
const KEPT: usize = 256;

/// A comment that no server carries out: MariaDB's programs begin with one.
const NO_SERVER: &[u8] = b"999999";

/// A piece of SQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    /// A word or a number, unquoted.
    Word(&'a [u8]),
    /// A name in backticks.
    Name(&'a [u8]),
    /// A text in quotes, its escapes as they are.
    Text(&'a [u8]),
    /// Any other character.
    Mark(u8),
    /// The statement ends.
    End,
    /// A comment of one line, with what it says.
    Remark(&'a [u8]),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Between,
    Word,
    Name,
    /// Behind a backtick in a name: its end, or the first of two.
    NameEnd,
    Text {
        quote: u8,
        escaped: bool,
    },
    /// Behind `-`.
    Dash,
    /// Behind `--`.
    Dashes,
    Remark,
    /// Behind `/`.
    Slash,
    /// Behind `/*`.
    CommentBegin,
    /// Behind `/*M`.
    CommentM,
    Comment,
    /// In a comment, behind `*`.
    CommentStar,
    /// Behind `/*!`: the version from which on servers carry it out.
    Version,
    /// Behind `*`.
    Star,
    /// Behind the word DELIMITER, up to the end of the line.
    Delimiter,
}

/// How far a text was read.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    kept: Vec<u8>,
    delimiter: Vec<u8>,
    /// Bytes of the delimiter that were seen just now.
    matched: usize,
    /// Nothing of a statement was seen since the last one's end.
    begins: bool,
}

impl Default for Lexer {
    fn default() -> Self {
        let (kept, delimiter) = (Vec::with_capacity(KEPT), b";".to_vec());
        Self { state: State::Between, kept, delimiter, matched: 0, begins: true }
    }
}

impl Lexer {
    /// Reads on; whoever asks is told every piece as soon as it is whole.
    pub(super) fn read(&mut self, mut bytes: &[u8], tell: &mut impl FnMut(Token<'_>)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let State::Text { quote, escaped: false } = self.state {
                // Most bytes of a dump are in texts.
                let plain = bytes.iter().position(|byte| *byte == quote || *byte == b'\\');
                let plain = plain.unwrap_or(bytes.len());
                if plain > 0 {
                    self.keep(&bytes[..plain]);
                    bytes = &bytes[plain..];
                    continue;
                }
            }
            if self.step(byte, tell) {
                bytes = rest;
            }
        }
    }

    /// At the end: what is left of the last line, and whether a statement, a
    /// text or a comment is open.
    pub(super) fn end(mut self, tell: &mut impl FnMut(Token<'_>)) -> bool {
        if self.state == State::Remark {
            self.finish(tell);
        }
        self.state == State::Between && self.begins && self.matched == 0
    }

    /// Whether the byte was used up; one that only ends something is seen again.
    fn step(&mut self, byte: u8, tell: &mut impl FnMut(Token<'_>)) -> bool {
        match self.state {
            State::Between => return self.between(byte, tell),
            State::Word if is_word(byte) => self.keep(&[byte]),
            State::Word => {
                let is_delimiter = self.begins && self.kept.eq_ignore_ascii_case(b"delimiter");
                if is_delimiter {
                    self.kept.clear();
                    self.state = State::Delimiter;
                } else {
                    self.finish(tell);
                }
                return false;
            }
            State::Name if byte == b'`' => self.state = State::NameEnd,
            State::Name => self.keep(&[byte]),
            State::NameEnd if byte == b'`' => {
                self.keep(b"`");
                self.state = State::Name;
            }
            State::NameEnd => {
                self.finish(tell);
                return false;
            }
            State::Text { quote, escaped } => {
                if !escaped && byte == quote {
                    self.finish(tell);
                } else {
                    self.keep(&[byte]);
                    self.state = State::Text { quote, escaped: !escaped && byte == b'\\' };
                }
            }
            State::Delimiter if byte == b'\n' => {
                self.delimiter = self.kept.trim_ascii().to_vec();
                self.state = State::Between;
            }
            State::Delimiter => self.keep(&[byte]),
            State::Dash | State::Dashes | State::Slash | State::Star => {
                return self.behind_a_mark(byte, tell);
            }
            State::Remark
            | State::CommentBegin
            | State::CommentM
            | State::Comment
            | State::CommentStar
            | State::Version => return self.in_a_comment(byte, tell),
        }
        true
    }

    fn between(&mut self, byte: u8, tell: &mut impl FnMut(Token<'_>)) -> bool {
        if self.delimiter.get(self.matched) == Some(&byte) {
            self.matched += 1;
            if self.matched == self.delimiter.len() {
                self.matched = 0;
                self.begins = true;
                tell(Token::End);
            }
            return true;
        }
        self.matched = 0;
        self.kept.clear();
        match byte {
            b'`' => self.state = State::Name,
            b'\'' | b'"' => self.state = State::Text { quote: byte, escaped: false },
            b'-' => self.state = State::Dash,
            b'/' => self.state = State::Slash,
            b'*' => self.state = State::Star,
            b'#' => self.state = State::Remark,
            _ if byte.is_ascii_whitespace() => {}
            _ if is_word(byte) => {
                self.state = State::Word;
                self.keep(&[byte]);
            }
            _ => self.mark(byte, tell),
        }
        true
    }

    /// What may begin or end a comment, and mostly does not.
    fn behind_a_mark(&mut self, byte: u8, tell: &mut impl FnMut(Token<'_>)) -> bool {
        let (was, next) = match (self.state, byte) {
            (State::Dash, b'-') => (b'-', Some(State::Dashes)),
            (State::Dashes, _) if byte.is_ascii_whitespace() => (b'-', Some(State::Remark)),
            (State::Slash, b'*') => (b'/', Some(State::CommentBegin)),
            // The end of what only some servers carry out.
            (State::Star, b'/') => (b'*', Some(State::Between)),
            (State::Slash, _) => (b'/', None),
            (State::Star, _) => (b'*', None),
            (_, _) => (b'-', None),
        };
        match next {
            // An empty line of a remark ends at once.
            Some(State::Remark) => {
                self.state = State::Remark;
                byte != b'\n'
            }
            Some(next) => {
                self.state = next;
                true
            }
            None => {
                self.state = State::Between;
                self.mark(was, tell);
                false
            }
        }
    }

    fn in_a_comment(&mut self, byte: u8, tell: &mut impl FnMut(Token<'_>)) -> bool {
        self.state = match (self.state, byte) {
            (State::Remark, b'\n') => {
                self.finish(tell);
                return true;
            }
            (State::Remark, _) => {
                self.keep(&[byte]);
                State::Remark
            }
            (State::CommentBegin | State::CommentM, b'!') => {
                self.kept.clear();
                State::Version
            }
            (State::CommentBegin, b'M') => State::CommentM,
            (State::Version, _) if byte.is_ascii_digit() => {
                self.keep(&[byte]);
                State::Version
            }
            (State::Version, _) => {
                self.state =
                    if self.kept.starts_with(NO_SERVER) { State::Comment } else { State::Between };
                return false;
            }
            (State::CommentStar, b'/') => State::Between,
            (_, b'*') => State::CommentStar,
            (_, _) => State::Comment,
        };
        true
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn mark(&mut self, byte: u8, tell: &mut impl FnMut(Token<'_>)) {
        self.begins = false;
        tell(Token::Mark(byte));
    }

    /// Something is whole.
    fn finish(&mut self, tell: &mut impl FnMut(Token<'_>)) {
        let state = std::mem::replace(&mut self.state, State::Between);
        match state {
            State::Remark => tell(Token::Remark(self.kept.trim_ascii())),
            State::Name | State::NameEnd => tell(Token::Name(&self.kept)),
            State::Text { .. } => tell(Token::Text(&self.kept)),
            State::Word
            | State::Between
            | State::Dash
            | State::Dashes
            | State::Slash
            | State::CommentBegin
            | State::CommentM
            | State::Comment
            | State::CommentStar
            | State::Version
            | State::Star
            | State::Delimiter => tell(Token::Word(&self.kept)),
        }
        if state != State::Remark {
            self.begins = false;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@' | b'.' | b'\\' | 0x80..)
}
