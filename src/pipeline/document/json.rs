//! JSON documents, and lines of a log that are JSON objects, through their strings.

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};

use super::{
    About, Error, FIELDS_AT_ONCE,
    field::{Field, Found, Treatment, scan},
    field_names::FieldNames,
    not_json, short_digests,
};
use crate::{
    decode::{Span, conflict},
    model::family::on_text,
    pipeline::{Engine, names::Keys},
    record::{
        Document, IdRules, IdTreatment, Position, Text,
        json::{Edit, Json, Leaf, Literal, Scalar, Selector, quoted},
    },
    tenant::{NOT_TEXT, Policy, Reuse, Rule},
    text::ByteSpan,
};

/// Takes a JSON document through its selected strings; everything else stays as received.
pub(super) async fn json(
    engine: &Engine,
    policy: &Policy,
    about: &About<'_>,
    document: &Document,
    text: &Text,
    members: bool,
    found: &mut Found,
) -> Result<Vec<u8>, Error> {
    let id = document.id.rules();
    let pointer = id.and_then(|id| id.pointer.as_deref());
    let hashed = id.filter(|id| id.treatment == IdTreatment::Hash);
    let kept = id.is_some_and(|id| id.treatment == IdTreatment::Keep);
    let rule = policy.rule(&document.position);
    let selectors = Selectors::of(rule, &NOT_TEXT, pointer, kept);
    let read = &selectors.read;
    let document = Json::parse(text.clone()).map_err(Error::not_json)?;
    let mut edits = hashed_id(&document, hashed, pointer);
    let replaced = |leaf: &Leaf| hashed.is_some() && Some(leaf.pointer.as_str()) == pointer;
    let mut leaves = document.strings(read).map_err(Error::not_json)?;
    leaves.retain(|leaf| !replaced(leaf));
    let keys = Keys::of(policy, about, &document, read, &leaves)?;
    edits.extend(keys.edits());
    let names = &FieldNames::of(&document, &leaves).map_err(Error::not_json)?;
    let mut scans: Vec<BoxFuture<'_, Result<(Literal, Field), Error>>> = Vec::new();
    for leaf in &leaves {
        let literal = document.literal(leaf);
        let treatment = selectors.treatment(&leaf.pointer);
        let path = keys.shown(&leaf.pointer);
        scans.push(Box::pin(async move {
            let named = policy
                .patterns
                .find_named(&names.name(&leaf.pointer), &literal.text);
            let field = scan(
                engine,
                policy,
                about,
                &path,
                &literal.text,
                treatment,
                named,
            )
            .await?;
            Ok((literal, field))
        }));
    }
    let fields: Vec<(Literal, Field)> = stream::iter(scans)
        .buffered(FIELDS_AT_ONCE)
        .try_collect()
        .await?;
    for (literal, field) in fields {
        for applied in field
            .applied
            .iter()
            .filter(|applied| applied.operator != "keep")
        {
            let replacement = &field.redacted[applied.output_bytes.start..applied.output_bytes.end];
            edits.push(literal.replace(applied.source_bytes, replacement));
        }
        found.add(field);
    }
    edits.sort_by_key(|edit| edit.raw.start);
    if !members {
        return Ok(document.rewrite(&edits, &[]).into_bytes());
    }
    let members = self::members(engine, policy, found);
    Ok(document.rewrite(&edits, &members).into_bytes())
}

/// The record's own id, if it is hashed, is replaced wherever it stands.
fn hashed_id(document: &Json, hashed: Option<&IdRules>, pointer: Option<&str>) -> Vec<Edit> {
    let (Some(id), Some(pointer)) = (hashed, pointer) else {
        return Vec::new();
    };
    let Scalar::Text(value) = document.scalar(pointer) else {
        return Vec::new();
    };
    let edit = |raw| Edit {
        raw,
        replacement: quoted(&id.key.hash(&value)).into(),
    };
    document.at(pointer).into_iter().map(edit).collect()
}

/// What is written beside the keys of a JSON document.
pub(super) fn members(
    engine: &Engine,
    policy: &Policy,
    found: &Found,
) -> [(&'static str, String); 5] {
    let digests = short_digests(engine, policy);
    [
        (
            "redactions",
            serde_json::to_string(&found.changes).expect("strings and numbers are JSON"),
        ),
        ("pack", quoted(&digests.pack)),
        ("label_set", quoted(&digests.label_set)),
        ("policy", quoted(&digests.policy)),
        ("weir_version", quoted(&digests.weir_version)),
    ]
}

/// Takes a line of a log that is a JSON object through its strings, and through what patterns find in
/// the line as text: a key tells what its value is, and a number may be a card. `None` if something
/// was found in a key: the line is to be read as text.
pub(super) async fn json_line(
    engine: &Engine,
    policy: &Policy,
    about: &About<'_>,
    position: &Position,
    text: &Text,
    found: &mut Found,
) -> Result<Option<String>, Error> {
    let document = Json::parse(text.clone()).map_err(not_json)?;
    let rule = policy.rule(position);
    let selectors = Selectors::of(rule, &[], None, false);
    let of_line = of_line(policy, text).await?;
    let all = document.scalars(&Selector::default()).map_err(not_json)?;
    let leaves = document.scalars(&selectors.read).map_err(not_json)?;
    if of_line
        .iter()
        .any(|span| is_of_a_key(span.bytes, text, &all))
    {
        return Ok(None);
    }
    let names = FieldNames::of(&document, &leaves).map_err(not_json)?;
    let mut scans: Vec<BoxFuture<'_, Result<(Value, Field), Error>>> = Vec::new();
    for leaf in &leaves {
        let value = if text[leaf.raw.clone()].starts_with('"') {
            Value::String(document.literal(leaf))
        } else {
            Value::Number(leaf.raw.clone(), text[leaf.raw.clone()].into())
        };
        let mut spans = value.spans(leaf, &of_line);
        // The line as text tells what a key says of its value, and not what a pair says.
        if let Some(name) = names.of_pair(&leaf.pointer) {
            spans.extend(policy.patterns.find_named(name, value.text()));
        }
        let treatment = match (&value, selectors.treatment(&leaf.pointer)) {
            (_, Treatment::Whole) => Treatment::Whole,
            // A number by itself is a card or a time; the line around it tells.
            (Value::Number(..), _) if spans.is_empty() => continue,
            _ => Treatment::Scan(selectors.reuse),
        };
        scans.push(Box::pin(async move {
            let field = scan(
                engine,
                policy,
                about,
                &leaf.pointer,
                value.text(),
                treatment,
                spans,
            )
            .await?;
            Ok((value, field))
        }));
    }
    let fields: Vec<(Value, Field)> = stream::iter(scans)
        .buffered(FIELDS_AT_ONCE)
        .try_collect()
        .await?;
    let mut edits = Vec::new();
    for (value, field) in fields {
        value.edit(&field, &mut edits);
        found.add(field);
    }
    Ok(Some(document.rewrite(&edits, &[])))
}

/// A string or a number of a JSON line.
enum Value {
    String(Literal),
    Number(std::ops::Range<usize>, Text),
}

impl Value {
    fn text(&self) -> &Text {
        match self {
            Self::String(literal) => &literal.text,
            Self::Number(_, text) => text,
        }
    }

    /// Characters of the value that bytes of the line are of.
    fn characters(&self, raw: &std::ops::Range<usize>) -> Option<ByteSpan> {
        match self {
            Self::String(literal) => literal.characters(raw),
            Self::Number(own, _) => {
                let (start, end) = (raw.start.max(own.start), raw.end.min(own.end));
                (start < end).then(|| ByteSpan::new(start - own.start, end - own.start))
            }
        }
    }

    /// Spans of the line within the value, as spans of its characters.
    fn spans(&self, leaf: &Leaf, of_line: &[Span]) -> Vec<Span> {
        let within = of_line
            .iter()
            .filter(|span| span.bytes.start < leaf.raw.end && leaf.raw.start < span.bytes.end);
        let moved = within.filter_map(|span| {
            let bytes = self.characters(&(span.bytes.start..span.bytes.end))?;
            Some(Span {
                bytes,
                ..span.clone()
            })
        });
        moved.collect()
    }

    fn edit(&self, field: &Field, edits: &mut Vec<Edit>) {
        let mut applied = field.applied.iter().filter(|one| one.operator != "keep");
        match self {
            Self::String(literal) => edits.extend(applied.map(|applied| {
                let output = applied.output_bytes;
                literal.replace(
                    applied.source_bytes,
                    &field.redacted[output.start..output.end],
                )
            })),
            // What is not a number any more is a string.
            Self::Number(raw, _) => edits.extend(applied.next().map(|_| Edit {
                raw: raw.clone(),
                replacement: Text::from(quoted(&field.redacted)),
            })),
        }
    }
}

/// What patterns and lists find in a line as a whole.
async fn of_line(policy: &Policy, text: &Text) -> Result<Vec<Span>, Error> {
    let (text, patterns) = (text.clone(), policy.patterns.clone());
    let search = on_text(text.len(), move || {
        conflict::resolve(&text, patterns.find(&text), &patterns.allowed(&text))
    });
    search.await.map_err(Error::Engine)
}

/// Whether a span of a JSON line holds letters or digits of a key.
fn is_of_a_key(span: ByteSpan, line: &str, values: &[Leaf]) -> bool {
    let mut at = span.start;
    let is_word = |from: usize, to: usize| line[from..to].contains(char::is_alphanumeric);
    for value in values {
        if value.raw.end <= at {
            continue;
        }
        if value.raw.start >= span.end {
            break;
        }
        if at < value.raw.start && is_word(at, value.raw.start) {
            return true;
        }
        at = value.raw.end;
    }
    at < span.end && is_word(at, span.end)
}

/// Strings of JSON documents that a rule reads.
struct Selectors {
    read: Selector,
    /// Those of `read` that are redacted as a whole.
    whole: Option<Selector>,
    /// Those of `read` that are names of the record.
    named: Option<Selector>,
    /// Of what is read.
    reuse: Reuse,
}

impl Selectors {
    /// `not_text`: names of the record where no rule chooses them. `id`: where the record's own id stands, if it has one; `kept` if it is no value.
    fn of(rule: Option<&Rule>, not_text: &[&'static str], id: Option<&str>, kept: bool) -> Self {
        let selector = |include: &[&str], exclude: &[&str]| {
            Selector::new(include, exclude).expect("tenant files with bad patterns are refused")
        };
        // A pattern of pointers in which nothing stands for anything else.
        let id = id.filter(|id| !id.contains('*'));
        let pointers = |pointers: fn(&Rule) -> Vec<&str>| rule.map(pointers).unwrap_or_default();
        let mut include = pointers(|rule| rule.include_pointers().collect());
        let mut exclude = pointers(|rule| rule.exclude_pointers().collect());
        let whole = pointers(|rule| rule.whole_pointers().collect());
        let chosen = |pointer: &str| {
            let is = |list: &[&str]| !list.is_empty() && selector(list, &[]).matches(pointer);
            is(&include) || is(&exclude) || is(&whole)
        };
        let names = not_text
            .iter()
            .copied()
            .filter(|name| include.is_empty() || Some(*name) == id);
        let names = names.chain(id.filter(|id| !not_text.contains(id)));
        let names: Vec<&str> = names.filter(|name| !chosen(name)).collect();
        let (kept, named): (Vec<&str>, Vec<&str>) = names
            .into_iter()
            .partition(|name| kept && Some(*name) == id);
        if !include.is_empty() {
            include.extend(&whole);
            include.extend(&named);
        }
        exclude.extend(kept);
        Self {
            read: selector(&include, &exclude),
            whole: (!whole.is_empty()).then(|| selector(&whole, &[])),
            named: (!named.is_empty()).then(|| selector(&named, &[])),
            reuse: Reuse::of(rule),
        }
    }

    /// What is done with the string at `pointer`, which is one of `read`.
    fn treatment(&self, pointer: &str) -> Treatment {
        let is = |chosen: &Option<Selector>| {
            let chosen = chosen.as_ref();
            chosen.is_some_and(|chosen| chosen.matches(pointer))
        };
        match pointer {
            _ if is(&self.whole) => Treatment::Whole,
            _ if is(&self.named) => Treatment::Name,
            _ => Treatment::Scan(self.reuse),
        }
    }
}
