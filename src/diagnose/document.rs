//! A TOML document in which every key and value knows where it was written.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Kind, Place, Problems};

/// A value and where it was written. `Debug` prints its kind: it may be a secret.
#[derive(Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where the value stands.
    pub at: Place,
}

/// A TOML value.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(toml::value::Datetime),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Place,
    /// Its value.
    pub node: Node,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind(), self.at)
    }
}

/// Turns byte offsets of one text into places.
struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
    first_line: usize,
}

impl<'a> Lines<'a> {
    fn new(file: &str, text: &'a str, first_line: usize) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            file: file.into(),
            text,
            starts,
            first_line,
        }
    }

    fn place(&self, byte: usize) -> Place {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte) - 1;
        let before = self
            .text
            .get(self.starts[line]..byte)
            .expect("the parser's spans lie on character borders");
        Place::File {
            file: self.file.clone(),
            line: line + self.first_line,
            column: before.chars().count() + 1,
        }
    }
}

/// Parses `text`; `file` is the name that errors print and `first_line` the line on which the
/// text begins in it (1, or more for a fence inside a Markdown page).
pub fn parse(file: &str, text: &str, first_line: usize) -> Result<Node, Problems> {
    let lines = Lines::new(file, text, first_line);
    match DeTable::parse(text) {
        Ok(table) => {
            let at = lines.place(0);
            Ok(Node {
                value: table_value(table.get_ref(), &lines),
                at,
            })
        }
        Err(error) => {
            let at = lines.place(error.span().map_or(0, |span| span.start));
            // The parser's descriptions are fixed sentences; its `Display` prints the source
            // line, which may hold a secret.
            Err(Problems::one(
                Kind::Syntax(error.message().to_owned()),
                at,
                "write `key = value`, strings in double quotes",
            ))
        }
    }
}

/// Parses one value of a flag or an environment variable.
pub fn parse_value(text: &str, at: &Place) -> Option<Node> {
    let source = format!("v = {text}");
    let table = DeTable::parse(&source).ok()?;
    let lines = Lines::new("", &source, 1);
    let [entry] = &table_entries(table.get_ref(), &lines)[..] else {
        return None;
    };
    let mut node = entry.node.clone();
    node.place_all(at);
    Some(node)
}

fn table_value(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    Value::Table(table_entries(table, lines))
}

fn table_entries(table: &DeTable<'_>, lines: &Lines<'_>) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let start = key.span().start;
            let entry = Entry {
                key: key.get_ref().to_string(),
                at: lines.place(start),
                node: node(value, lines),
            };
            (start, entry)
        })
        .collect();
    // The parser sorts by name; problems are reported in the order of the file.
    entries.sort_by_key(|(start, _)| *start);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let at = lines.place(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(s) => Value::String(s.to_string()),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Value::Integer(i),
            // Too large for 64 bits: as a number it will be out of range with a clear message.
            Err(_) => Value::Float(f64::INFINITY),
        },
        DeValue::Float(x) => Value::Float(x.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Value::Boolean(*b),
        DeValue::Datetime(d) => Value::Datetime(*d),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(table) => table_value(table, lines),
    };
    Node { value, at }
}

impl Node {
    /// An empty table.
    pub fn empty(at: Place) -> Self {
        Self {
            value: Value::Table(Vec::new()),
            at,
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The entries, if it is a table.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The entry of a key, if this is a table that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// Where the key at a dotted path stands; a part of it if the rest is not written, so that
    /// every problem has a place. A number is an item of a list.
    pub fn place(&self, path: &str) -> Place {
        let mut node = self;
        let mut at = &self.at;
        for part in path.split('.') {
            match &node.value {
                Value::Table(_) => match node.entry(part) {
                    Some(entry) => {
                        at = &entry.at;
                        node = &entry.node;
                    }
                    None => break,
                },
                Value::Array(items) => {
                    match part.parse::<usize>().ok().and_then(|i| items.get(i)) {
                        Some(item) => {
                            at = &item.at;
                            node = item;
                        }
                        None => break,
                    }
                }
                _ => break,
            }
        }
        at.clone()
    }

    /// The node at a dotted path of keys.
    pub fn at_path(&self, path: &str) -> Option<&Node> {
        path.split('.')
            .try_fold(self, |node, key| node.entry(key).map(|entry| &entry.node))
    }

    /// Puts `value` at a path, making tables on the way. `false` if a part of the path is not a
    /// table.
    pub fn set(&mut self, path: &[String], value: Node, at: &Place) -> bool {
        let Value::Table(entries) = &mut self.value else {
            return false;
        };
        let [key, rest @ ..] = path else {
            return false;
        };
        let index = match entries.iter().position(|entry| entry.key == *key) {
            Some(index) => index,
            None => {
                entries.push(Entry {
                    key: key.clone(),
                    at: at.clone(),
                    node: Node::empty(at.clone()),
                });
                entries.len() - 1
            }
        };
        let entry = &mut entries[index];
        if rest.is_empty() {
            entry.at = at.clone();
            entry.node = value;
            return true;
        }
        entry.node.set(rest, value, at)
    }

    fn place_all(&mut self, at: &Place) {
        self.at = at.clone();
        match &mut self.value {
            Value::Array(items) => items.iter_mut().for_each(|item| item.place_all(at)),
            Value::Table(entries) => {
                for entry in entries {
                    entry.at = at.clone();
                    entry.node.place_all(at);
                }
            }
            _ => {}
        }
    }

    /// As a plain TOML value.
    pub fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::String(s) => toml::Value::String(s.clone()),
            Value::Integer(i) => toml::Value::Integer(*i),
            Value::Float(x) => toml::Value::Float(*x),
            Value::Boolean(b) => toml::Value::Boolean(*b),
            Value::Datetime(d) => toml::Value::Datetime(*d),
            Value::Array(items) => toml::Value::Array(items.iter().map(Node::to_toml).collect()),
            Value::Table(entries) => toml::Value::Table(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.node.to_toml()))
                    .collect(),
            ),
        }
    }

    /// Reads a checked document into its type. The check found nothing, so a failure here means
    /// that schema and type disagree; the reader's message is dropped, as it may print a value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        T::deserialize(self.to_toml()).map_err(|_| {
            Problems::one(
                Kind::Invalid("the file holds a value that weir can't read".to_owned()),
                self.at.clone(),
                "compare it with `weir schema`, and please report this",
            )
        })
    }
}
