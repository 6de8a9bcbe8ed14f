//! Which fields of a record a policy reads.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::Policy;
use crate::record::Position;

/// Fields read in the records that match; the first rule that matches wins. Fields are JSON
/// Pointers (they begin with `/`) for JSON documents and names for columns of tables; a text has
/// one field and no choice.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Objects that the rule is for.
    pub objects: Objects,
    /// Fields that are read; none of a document's kind means all (fail closed: I6).
    pub include: Arc<[String]>,
    /// Fields that pass through unread.
    pub exclude: Arc<[String]>,
    /// Fields that are redacted as a whole.
    pub whole: Arc<[String]>,
}

/// Objects that a rule is for.
#[derive(Debug, Clone)]
pub enum Objects {
    /// Every record.
    All,
    /// Objects whose path matches a pattern.
    Glob(GlobMatcher),
    /// Objects whose path matches a regular expression.
    Regex(regex::Regex),
}

/// Label of fields that are redacted as a whole.
pub const WHOLE_LABEL: &str = "whole";

/// Strings of a JSON document that are not read unless a rule includes them: the record's own
/// keys (design 7).
pub const NOT_TEXT: [&str; 2] = ["/id", "/tenant"];

impl Objects {
    /// A pattern, or a regular expression if it begins with `^`.
    pub fn new(written: &str) -> Result<Self, String> {
        if written.starts_with('^') {
            return match regex::Regex::new(written) {
                Ok(regex) => Ok(Self::Regex(regex)),
                Err(_) => Err("it is not a regular expression".to_owned()),
            };
        }
        match GlobBuilder::new(written).literal_separator(true).build() {
            Ok(glob) => Ok(Self::Glob(glob.compile_matcher())),
            Err(error) => Err(error.kind().to_string()),
        }
    }

    /// Whether a record at this position is one of them.
    pub fn matches(&self, position: &Position) -> bool {
        let object = match position {
            Position::Object { object, .. } => object.as_str(),
            Position::Kafka { topic, .. } => topic,
            Position::Stdin { .. } => "stdin",
        };
        match self {
            Self::All => true,
            Self::Glob(glob) => glob.is_match(object),
            Self::Regex(regex) => regex.is_match(object),
        }
    }
}

impl Rule {
    /// Whether a column is read, and whether as a whole.
    pub fn column(&self, name: &str) -> Option<bool> {
        if columns(&self.exclude).any(|column| column == name) {
            return None;
        }
        if columns(&self.whole).any(|column| column == name) {
            return Some(true);
        }
        let all = columns(&self.include).next().is_none();
        (all || columns(&self.include).any(|column| column == name)).then_some(false)
    }

    /// JSON Pointers among the fields that are read.
    pub fn include_pointers(&self) -> impl Iterator<Item = &str> {
        pointers(&self.include)
    }

    /// JSON Pointers among the fields that pass through.
    pub fn exclude_pointers(&self) -> impl Iterator<Item = &str> {
        pointers(&self.exclude)
    }

    /// JSON Pointers among the fields that are redacted as a whole.
    pub fn whole_pointers(&self) -> impl Iterator<Item = &str> {
        pointers(&self.whole)
    }
}

fn columns(fields: &[String]) -> impl Iterator<Item = &str> {
    fields
        .iter()
        .map(String::as_str)
        .filter(|field| !field.starts_with('/'))
}

fn pointers(fields: &[String]) -> impl Iterator<Item = &str> {
    fields
        .iter()
        .map(String::as_str)
        .filter(|field| field.starts_with('/'))
}

impl Policy {
    /// The rule for a record, if one matches.
    pub fn rule(&self, position: &Position) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.objects.matches(position))
    }
}
