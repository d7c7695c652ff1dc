//! Why a config.yaml is not edited, by name.

use quaymaster_proto::Mode;

use crate::quay::yaml::value::ValueError;

/// Why a file is left alone. Lines are 1-based. No variant holds a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditRefusal {
    /// Not a mode that Quay can be set to.
    #[error("`{mode}` is no mode to set: only background and complete are")]
    NoSuchMode {
        /// What was asked for.
        mode: Mode,
    },
    /// Not UTF-8.
    #[error("the file is not UTF-8 from byte {offset} on: save it as UTF-8")]
    NotUtf8 {
        /// The first byte that is not.
        offset: usize,
    },
    /// A character that ends a line for YAML 1.1 and not for YAML 1.2.
    #[error(
        "line {line} holds a character (U+0085, U+2028 or U+2029) that Quay's parser takes for a \
         line end: remove it"
    )]
    ForeignLineBreak {
        /// Where.
        line: u32,
    },
    /// A character that Quay's parser takes nowhere.
    #[error("line {line} holds a control character, which Quay's parser refuses: remove it")]
    ControlCharacter {
        /// Where.
        line: u32,
    },
    /// A tab between words.
    #[error("line {line} holds a tab outside of quotes, which Quay's parser refuses: use spaces")]
    Tab {
        /// Where.
        line: u32,
    },
    /// A tag that YAML 1.1 does not define.
    #[error("the value in line {line} has a tag that Quay's parser does not know: remove it")]
    ForeignTag {
        /// Where.
        line: u32,
    },
    /// Does not parse.
    #[error("the file is not YAML at line {line}: correct it, Quay could not read it either")]
    NotYaml {
        /// Where.
        line: usize,
    },
    /// Its values cannot be told.
    #[error("the file cannot be read as values: correct it")]
    Unreadable {
        /// Why.
        source: ValueError,
    },
    /// More than one document.
    #[error("the file holds more than one YAML document: keep the one that Quay is to read")]
    SeveralDocuments,
    /// Nothing but comments.
    #[error("the file holds no settings: it is not the config.yaml of a Quay that is set up")]
    Empty,
    /// A list or a word at the top.
    #[error("the file's top level is not a mapping of keys to values")]
    NotAMapping,
    /// The top level is in braces.
    #[error("the file's top level is written in braces: write one key a line")]
    FlowRoot,
    /// The key is there twice.
    #[error("the key `{key}` stands in line {first} and in line {second}: keep one")]
    DuplicateKey {
        /// The key.
        key: String,
        /// One of them.
        first: u32,
        /// The other.
        second: u32,
    },
    /// The key comes from a merge or an alias only.
    #[error("the key `{key}` comes from a `<<` merge or an alias: write it at the top level")]
    OnlyInMerge {
        /// The key.
        key: String,
    },
    /// The value is a list or a mapping.
    #[error("the key in line {line} has a list or a mapping where one word should be: correct it")]
    ValueNotScalar {
        /// Of the key.
        line: u32,
    },
    /// The value is an alias.
    #[error("the key in line {line} has an alias (`*..`) for its value: write the word itself")]
    ValueIsAlias {
        /// Of the key.
        line: u32,
    },
    /// The value has more than one line.
    #[error("the value of the key in line {line} goes over several lines: write it in one")]
    ValueSpansLines {
        /// Of the key.
        line: u32,
    },
    /// The value's tag makes something else of the word.
    #[error(
        "the value of the key in line {line} has a tag or an anchor that gives it another meaning: remove it"
    )]
    ValueTagged {
        /// Of the key.
        line: u32,
    },
    /// The edit would change another value too.
    #[error(
        "setting `{key}` would change how another value of the file reads: end the file with a \
         line break, or set the key by hand"
    )]
    OthersWouldChange {
        /// The key.
        key: String,
    },
}
