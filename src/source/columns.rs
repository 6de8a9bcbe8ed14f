//! Which columns of a table the names in the configuration mean.
//!
//! In:  a table's schema; `columns.text`, `columns.id`, `columns.tenant`.
//! Out: [`TextColumn`]s: each leads to texts of one type.
//! Holds: a name chooses every column of that name; a name that chooses no text is an error.
//! Does not know: rows.

use arrow_array::{Array, ArrayRef, StringArray, cast::AsArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Schema};

use crate::record::{
    schema_name::shown,
    text_column::{Step, TextColumn, is_text},
};

/// Levels of structs and lists that are looked into.
const MAX_DEPTH: usize = 64;

/// Text columns of a table, in the order of the configuration, none of them twice.
pub(super) fn texts(schema: &Schema, configured: &[String]) -> Result<Vec<TextColumn>, String> {
    let mut columns: Vec<TextColumn> = Vec::new();
    for name in configured {
        for column in chosen(schema, name)? {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    // Columns of one name: what is found in the second is not to be taken for the first's.
    for index in 1..columns.len() {
        let same = |column: &TextColumn| column.name == columns[index].name;
        let before = columns[..index].iter().filter(|c| same(c)).count();
        if before > 0 {
            let name = columns[index].name.last_mut().expect("a name has a part");
            name.push_str(&format!("#{}", before + 1));
        }
    }
    Ok(columns)
}

/// Column that holds an id or a tenant: the first of its name. Inside a struct if need be, never
/// inside a list.
pub(super) fn name(schema: &Schema, name: &str) -> Result<Found, String> {
    if let Some(index) = schema
        .fields()
        .iter()
        .position(|field| field.name() == name)
    {
        let kind = schema.field(index).data_type();
        return match is_name(kind) {
            true => Ok(Found::Column(TextColumn::plain(index, name))),
            false => Err(format!(
                "column `{name}` is of type {}; an id or a tenant is text, a number or a UUID",
                kind_of(kind)
            )),
        };
    }
    if let Some(path) = parsed(name)
        && path.iter().all(|segment| segment.lists == 0)
        && path.len() > 1
    {
        let found = schema.fields().iter().enumerate();
        let found = found.filter(|(_, field)| *field.name() == path[0].name);
        for (index, field) in found {
            let mut walk = Walk::from(index, field, is_name);
            walk.follow(field.data_type(), &path[0], &path[1..], 0);
            let plain = |column: &TextColumn| !column.steps.contains(&Step::Items);
            if let Some(column) = walk.columns.into_iter().find(plain) {
                return Ok(Found::Column(column));
            }
        }
    }
    Ok(Found::Nothing)
}

/// What a name leads to.
pub(super) enum Found {
    Column(TextColumn),
    Nothing,
}

/// The reason of a column that is not there. Names the columns that are, as far as they look like
/// names.
pub(super) fn missing(schema: &Schema, name: &str) -> String {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let alike = |other: &&&str| other.to_lowercase() == name.to_lowercase();
    if let Some(near) = names.iter().find(alike) {
        return format!(
            "column `{name}` is not in the table, but `{near}` is: names are case-sensitive"
        );
    }
    if names.is_empty() {
        return format!("column `{name}` is not in the table, which has no columns");
    }
    const MOST: usize = 20;
    let known: Vec<&str> = names
        .iter()
        .filter_map(|name| shown(name))
        .take(MOST)
        .collect();
    let others = names.len() - known.len();
    let has = match (known.len(), others) {
        (0, others) => format!("{others} columns with other names"),
        (_, 0) => known.join(", "),
        (_, others) => format!("{}, and {others} more", known.join(", ")),
    };
    format!("column `{name}` is not in the table (has: {has})")
}

/// Whether a column can hold ids or tenants.
fn is_name(kind: &DataType) -> bool {
    match kind {
        DataType::Null | DataType::RunEndEncoded(..) => false,
        DataType::FixedSizeBinary(_)
        | DataType::Boolean
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..) => true,
        kind => is_text(kind) || kind.is_integer() || kind.is_decimal(),
    }
}

/// Ids or tenants as strings; nulls stay. Sixteen bytes are a UUID; other bytes that are not text are
/// hexadecimal digits.
pub(super) fn names(column: &ArrayRef) -> Option<ArrayRef> {
    let kind = match column.data_type() {
        DataType::Dictionary(_, values) => &**values,
        kind => kind,
    };
    let bytes = match kind {
        DataType::FixedSizeBinary(_) => column.clone(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            cast(column, &DataType::LargeBinary).ok()?
        }
        _ => return cast(column, &DataType::LargeUtf8).ok(),
    };
    let text = |index: usize| {
        if bytes.is_null(index) {
            return None;
        }
        let fixed = bytes.as_fixed_size_binary_opt();
        let value = match fixed {
            Some(fixed) => fixed.value(index),
            None => bytes.as_binary::<i64>().value(index),
        };
        match std::str::from_utf8(value) {
            Ok(text) if fixed.is_none() => Some(text.to_owned()),
            _ if value.len() == 16 => {
                let digits = hex::encode(value);
                let parts = [
                    &digits[..8],
                    &digits[8..12],
                    &digits[12..16],
                    &digits[16..20],
                ];
                Some(format!("{}-{}", parts.join("-"), &digits[20..]))
            }
            _ => Some(hex::encode(value)),
        }
    };
    let texts: StringArray = (0..bytes.len()).map(text).collect();
    cast(&texts, &DataType::LargeUtf8).ok()
}

/// Columns that one name chooses: a column's exact name first, then a path into columns.
fn chosen(schema: &Schema, name: &str) -> Result<Vec<TextColumn>, String> {
    let fields = || schema.fields().iter().enumerate();
    let exact: Vec<(usize, &FieldRef)> = fields().filter(|(_, f)| f.name() == name).collect();
    let mut columns = Vec::new();
    if !exact.is_empty() {
        for (index, field) in exact {
            let mut walk = Walk::from(index, field, is_text);
            walk.leaves(field.data_type(), 0);
            if walk.columns.is_empty() {
                return Err(no_text(name, field.data_type()));
            }
            columns.append(&mut walk.columns);
        }
        return Ok(columns);
    }
    let Some(path) = parsed(name) else {
        return Err(missing(schema, name));
    };
    let roots: Vec<_> = fields()
        .filter(|(_, f)| *f.name() == path[0].name)
        .collect();
    if roots.is_empty() {
        return Err(missing(schema, name));
    }
    for (index, field) in roots {
        let mut walk = Walk::from(index, field, is_text);
        walk.follow(field.data_type(), &path[0], &path[1..], 0);
        match walk.end {
            _ if !walk.columns.is_empty() => columns.append(&mut walk.columns),
            Some(kind) => return Err(no_text(name, &kind)),
            None => {
                let kind = kind_of(field.data_type());
                let reason = format!(
                    "column `{name}` is not in the table: `{}` is of type {kind} and has no such part",
                    path[0].name
                );
                return Err(reason);
            }
        }
    }
    Ok(columns)
}

fn no_text(name: &str, kind: &DataType) -> String {
    let kind = kind_of(kind);
    match kind {
        "struct" | "list" | "map" => format!("column `{name}` is a {kind} without text"),
        kind => format!("column `{name}` is of type {kind}, not text"),
    }
}

/// `items[].note`: a name, and the lists behind it.
#[derive(Debug, PartialEq)]
struct Segment {
    name: String,
    lists: usize,
}

/// A path as configured: names with dots between them, `[]` behind a list, a name with other
/// characters in backticks (a backtick in it is doubled).
fn parsed(path: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = path;
    loop {
        let mut name = String::new();
        if let Some(quoted) = rest.strip_prefix('`') {
            let mut at = 0;
            loop {
                let end = at + quoted[at..].find('`')?;
                name.push_str(&quoted[at..end]);
                if quoted[end + 1..].starts_with('`') {
                    name.push('`');
                    at = end + 2;
                    continue;
                }
                rest = &quoted[end + 1..];
                break;
            }
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            name.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        if name.is_empty() {
            return None;
        }
        let mut lists = 0;
        while let Some(after) = rest.strip_prefix("[]") {
            lists += 1;
            rest = after;
        }
        segments.push(Segment { name, lists });
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Some(segments),
            None => return None,
        }
    }
}

/// A way from a column to its texts.
struct Walk {
    column: usize,
    steps: Vec<Step>,
    name: Vec<String>,
    fits: fn(&DataType) -> bool,
    columns: Vec<TextColumn>,
    /// Type of what the path leads to, if it leads anywhere.
    end: Option<DataType>,
}

impl Walk {
    fn from(column: usize, field: &Field, fits: fn(&DataType) -> bool) -> Self {
        Self {
            column,
            steps: Vec::new(),
            name: vec![field.name().clone()],
            fits,
            columns: Vec::new(),
            end: None,
        }
    }

    /// Every text below a type.
    fn leaves(&mut self, kind: &DataType, depth: usize) {
        if (self.fits)(kind) {
            self.columns.push(TextColumn {
                column: self.column,
                steps: self.steps.clone(),
                name: self.name.clone(),
            });
            return;
        }
        if depth == MAX_DEPTH {
            return;
        }
        if let DataType::Struct(fields) = kind {
            for (index, field) in fields.iter().enumerate() {
                self.field(index, field.name(), |walk| {
                    walk.leaves(field.data_type(), depth + 1)
                });
            }
        } else if let DataType::Map(entries, _) = kind {
            self.items(|walk| {
                for (index, name, kind) in parts(entries) {
                    walk.field(index, name, |walk| walk.leaves(kind, depth + 1));
                }
            });
        } else if let Some(items) = items(kind) {
            self.items(|walk| walk.leaves(items.data_type(), depth + 1));
        }
    }

    /// Follows the rest of a path.
    fn follow(&mut self, kind: &DataType, at: &Segment, rest: &[Segment], depth: usize) {
        let mut kind = kind;
        // The map whose entries the path stands at.
        let mut map = None;
        let (steps, names) = (self.steps.len(), self.name.len());
        for _ in 0..at.lists {
            let Some(items) = items(kind) else {
                return;
            };
            map = matches!(kind, DataType::Map(..)).then_some(items);
            self.steps.push(Step::Items);
            self.name.push(String::new());
            kind = items.data_type();
        }
        if let Some((next, rest)) = rest.split_first() {
            // `items.note` means each item's, as in SQL over nested columns.
            while let Some(items) = items(kind) {
                map = matches!(kind, DataType::Map(..)).then_some(items);
                self.steps.push(Step::Items);
                self.name.push(String::new());
                kind = items.data_type();
            }
            if let Some(entries) = map {
                for (index, name, kind) in parts(entries) {
                    if name == next.name {
                        self.field(index, name, |walk| walk.follow(kind, next, rest, depth + 1));
                    }
                }
            } else if let DataType::Struct(fields) = kind {
                for (index, field) in fields.iter().enumerate() {
                    if *field.name() == next.name {
                        self.field(index, field.name(), |walk| {
                            walk.follow(field.data_type(), next, rest, depth + 1);
                        });
                    }
                }
            }
        } else if let Some(entries) = map {
            self.end = Some(kind.clone());
            for (index, name, kind) in parts(entries) {
                self.field(index, name, |walk| walk.leaves(kind, depth));
            }
        } else {
            self.end = Some(kind.clone());
            self.leaves(kind, depth);
        }
        self.steps.truncate(steps);
        self.name.truncate(names);
    }

    fn field(&mut self, index: usize, name: &str, then: impl FnOnce(&mut Self)) {
        self.steps.push(Step::Field(index));
        let part = self.name.last_mut().expect("a name has a part");
        let length = part.len();
        part.push('.');
        match name.contains(['.', '[', '`']) {
            true => part.push_str(&format!("`{}`", name.replace('`', "``"))),
            false => part.push_str(name),
        }
        then(self);
        let part = self.name.last_mut().expect("a name has a part");
        part.truncate(length);
        self.steps.pop();
    }

    fn items(&mut self, then: impl FnOnce(&mut Self)) {
        self.steps.push(Step::Items);
        self.name.push(String::new());
        then(self);
        self.name.pop();
        self.steps.pop();
    }
}

/// Key and value of a map's entries: some writers call them otherwise.
fn parts(entries: &FieldRef) -> impl Iterator<Item = (usize, &'static str, &DataType)> {
    let fields = match entries.data_type() {
        DataType::Struct(fields) => fields.iter(),
        _ => [].iter(),
    };
    let named = fields.zip(["key", "value"]).enumerate();
    named.map(|(index, (field, name))| (index, name, field.data_type()))
}

fn items(kind: &DataType) -> Option<&FieldRef> {
    match kind {
        DataType::List(items)
        | DataType::LargeList(items)
        | DataType::ListView(items)
        | DataType::LargeListView(items)
        | DataType::FixedSizeList(items, _)
        | DataType::Map(items, _) => Some(items),
        _ => None,
    }
}

/// A type in a word: a nested type's own name would hold names of the table.
fn kind_of(kind: &DataType) -> &'static str {
    match kind {
        DataType::Null => "null",
        DataType::Boolean => "boolean",
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "float",
        DataType::Timestamp(..) => "timestamp",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Duration(_) => "duration",
        DataType::Interval(_) => "interval",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary",
        DataType::FixedSizeBinary(_) => "fixed-size binary",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Struct(_) => "struct",
        DataType::Union(..) => "union",
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::RunEndEncoded(_, values) => kind_of(values.data_type()),
        DataType::Map(..) => "map",
        kind if items(kind).is_some() => "list",
        kind if kind.is_decimal() => "decimal",
        _ => "integer",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn text(name: &str) -> Field {
        Field::new(name, DataType::Utf8, true)
    }

    fn list(name: &str, item: Field) -> Field {
        Field::new(name, DataType::List(Arc::new(item.with_name("item"))), true)
    }

    fn record(name: &str, fields: Vec<Field>) -> Field {
        Field::new(name, DataType::Struct(fields.into()), true)
    }

    fn schema() -> Schema {
        let entry = record("entries", vec![text("keys"), text("values")]);
        Schema::new(vec![
            text("text"),
            text("service.name"),
            text("a`b"),
            record(
                "service",
                vec![text("name"), Field::new("n", DataType::Int32, true)],
            ),
            list(
                "items",
                record("item", vec![text("note"), text("dotted.note")]),
            ),
            list("lines", list("item", text("item"))),
            Field::new("attrs", DataType::Map(Arc::new(entry), false), true),
            text("text"),
            Field::new("n", DataType::Int64, true),
            list("numbers", Field::new("item", DataType::Int64, true)),
            text("Body"),
            text("ana@mail.example"),
        ])
    }

    fn of(names: &[&str]) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let columns = texts(&schema(), &names)?;
        Ok(columns.iter().map(TextColumn::name).collect())
    }

    #[test]
    fn a_name_chooses_columns_of_that_name_exactly_and_else_a_part_of_a_column() {
        let is = |configured: &str, expected: &[&str]| {
            assert_eq!(of(&[configured]).unwrap(), expected, "{configured}");
        };
        is("text", &["text", "text#2"]);
        is("service.name", &["service.name"]);
        is("`service`.name", &["service.name"]);
        is("`service.name`", &["service.name"]);
        is("service", &["service.name"]);
        is("a`b", &["a`b"]);
        is("`a``b`", &["a`b"]);
        is("items[].note", &["items[].note"]);
        is("items.note", &["items[].note"]);
        is("items[].`dotted.note`", &["items[].`dotted.note`"]);
        is("items", &["items[].note", "items[].`dotted.note`"]);
        is("items[]", &["items[].note", "items[].`dotted.note`"]);
        is("lines", &["lines[][]"]);
        is("lines[][]", &["lines[][]"]);
        is("attrs", &["attrs[].key", "attrs[].value"]);
        is("attrs.value", &["attrs[].value"]);
        assert_eq!(of(&["items", "items.note"]).unwrap().len(), 2);
        let exact = texts(&schema(), &["service.name".to_owned()]).unwrap();
        assert_eq!((exact[0].column, exact[0].steps.len()), (1, 0));
        let path = texts(&schema(), &["`service`.name".to_owned()]).unwrap();
        assert_eq!((path[0].column, path[0].steps.len()), (3, 1));
    }

    #[test]
    fn what_is_no_text_is_named_with_its_type_and_no_value() {
        let is = |configured: &str, expected: &str| {
            let error = of(&[configured]).unwrap_err();
            assert!(error.contains(expected), "{configured}: {error}");
            assert!(!error.contains("ana@"), "{error}");
        };
        is("n", "column `n` is of type integer, not text");
        is("numbers", "column `numbers` is a list without text");
        is(
            "service.n",
            "column `service.n` is of type integer, not text",
        );
        is(
            "service.other",
            "`service` is of type struct and has no such part",
        );
        is("n[]", "`n` is of type integer and has no such part");
        is("body", "but `Body` is: names are case-sensitive");
        is("mail", "and 2 more)");
        is("items[", "column `items[` is not in the table");
        is("items[0].note", "is not in the table");
        is("", "column `` is not in the table");
    }
}
