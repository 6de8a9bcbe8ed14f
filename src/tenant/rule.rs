//! Which fields of a record a policy reads.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::{Policy, Reuse};
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
    /// Which texts share what the model found.
    pub reuse: Reuse,
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

impl Reuse {
    /// What the rule for a record says, if one matches.
    pub fn of(rule: Option<&Rule>) -> Self {
        rule.map(|rule| rule.reuse).unwrap_or_default()
    }
}

impl Rule {
    /// Whether a column is read, and whether as a whole. A rule for `items`, `items[]` or
    /// `items[].note` is for `items[0].note` too.
    pub fn column(&self, name: &str) -> Option<bool> {
        let plain = without_numbers(name);
        // A column may have a dot in its name: what only might be a part is not left unread.
        if columns(&self.exclude).any(|column| column == name || holds(column, &plain, false)) {
            return None;
        }
        let is = |column: &str| column == name || holds(column, &plain, true);
        if columns(&self.whole).any(is) {
            return Some(true);
        }
        let all = columns(&self.include).next().is_none();
        (all || columns(&self.include).any(is)).then_some(false)
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

/// Whether a name is that of a column, of another column of its name, or of its items; with `fields`
/// also of a struct's field.
fn holds(column: &str, name: &str, fields: bool) -> bool {
    let Some(rest) = name.strip_prefix(column) else {
        return false;
    };
    let is_number = |rest: &str| rest.bytes().all(|b| b.is_ascii_digit());
    rest.is_empty()
        || rest.starts_with("[]")
        || rest.strip_prefix('#').is_some_and(is_number)
        || (fields && rest.starts_with('.'))
}

/// `items[0].note` as `items[].note`.
fn without_numbers(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut parts = name.split('[');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push('[');
        match part.split_once(']') {
            Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                plain.push(']');
                plain.push_str(rest);
            }
            _ => plain.push_str(part),
        }
    }
    plain
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

    /// Which texts of a record share what the model found.
    pub fn reuse(&self, position: &Position) -> Reuse {
        Reuse::of(self.rule(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(include: &[&str], exclude: &[&str], whole: &[&str]) -> Rule {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Rule {
            objects: Objects::All,
            include: list(include),
            exclude: list(exclude),
            whole: list(whole),
            reuse: Reuse::Equal,
        }
    }

    #[test]
    fn a_rule_for_a_column_is_for_its_parts_and_an_exclusion_only_for_what_is_sure() {
        let included = rule(&["items", "customer"], &[], &[]);
        for name in ["items[0].note", "items", "customer.name", "items#2"] {
            assert_eq!(included.column(name), Some(false), "{name}");
        }
        assert_eq!(included.column("other"), None);
        let whole = rule(&[], &[], &["items[].note"]);
        assert_eq!(whole.column("items[12].note"), Some(true));
        assert_eq!(whole.column("items[12].other"), Some(false));
        let excluded = rule(&[], &["service", "items", "a.b"], &[]);
        assert_eq!(excluded.column("service"), None);
        assert_eq!(excluded.column("items[3].note"), None);
        assert_eq!(excluded.column("a.b"), None);
        assert_eq!(excluded.column("service.name"), Some(false), "fail closed");
        assert_eq!(excluded.column("service_name"), Some(false));
    }
}
