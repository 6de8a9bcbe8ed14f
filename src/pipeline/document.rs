//! One document: its fields through [`Scan`], its spans through the tenant's operators, and the
//! records that come out.
//!
//! Fields never influence one another. If any part fails, the whole document fails (I6).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};

use super::{
    Engine, Error as EngineError, Scan,
    names::{Keys, in_name, shown_id},
};
use crate::{
    VERSION,
    decode::{Recognizer, Span, conflict},
    record::{
        Body, Change, Code, DeadLetter, Digests, Document, Done, Entities, Entity, IdTreatment,
        PlainText, Position, Redacted, Redaction, Stage, Text,
        audit::Finding,
        json::{Edit, Json, Leaf, Literal, NotJson, Scalar, Selector, quoted},
    },
    redact::{self, Applied},
    telemetry::metric,
    tenant::{NOT_TEXT, Policy, Rule, WHOLE_LABEL},
    text::{ByteSpan, CodePointCursor},
};

/// Why a document did not go downstream. Holds counts and codes, no text (I7).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The record is not what its source says it is.
    #[error("{reason}")]
    Record {
        /// Code of the dead letter.
        code: Code,
        /// Made of places and counts.
        reason: String,
    },
    /// The model failed.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// An operator failed.
    #[error("{0}")]
    Redact(Arc<redact::Error>),
}

/// Fields of one document that are scanned at a time.
const FIELDS_AT_ONCE: usize = 64;

/// Processes a document as `policy` says.
pub async fn process(
    engine: &Engine,
    policy: &Policy,
    document: &Document,
    plain_text: PlainText,
) -> Result<Done, Error> {
    let Document {
        id, position, body, ..
    } = document;
    let mut found = Found::default();
    let shown = shown_id(policy, id)?;
    let redacted = match body {
        Body::Text(text) => {
            let field = scan(engine, policy, "text", text, Treatment::Scan, Vec::new()).await?;
            text_record(engine, policy, &shown, plain_text, field, &mut found)
        }
        Body::JsonLine(text) => {
            match json_line(engine, policy, position, text, &mut found).await? {
                Some(line) if plain_text == PlainText::Record => {
                    let json = Json::parse(line).map_err(not_json)?;
                    let members = members(engine, policy, &found);
                    Redacted::Record(json.rewrite(&[], &members).into_bytes())
                }
                Some(line) => Redacted::Text(line),
                None => {
                    let field =
                        scan(engine, policy, "text", text, Treatment::Scan, Vec::new()).await?;
                    text_record(engine, policy, &shown, plain_text, field, &mut found)
                }
            }
        }
        Body::Json(text) => {
            let members = plain_text != PlainText::Apart;
            Redacted::Record(json(engine, policy, document, text, members, &mut found).await?)
        }
        Body::Row(cells) => {
            let rule = policy.rule(position);
            let mut scans: Vec<BoxFuture<'_, Result<Option<Field>, Error>>> = Vec::new();
            for (column, text) in cells {
                let treatment = match rule.map_or(Some(false), |rule| rule.column(column)) {
                    None => Treatment::Pass,
                    Some(false) => Treatment::Scan,
                    Some(true) => Treatment::Whole,
                };
                scans.push(match text {
                    None => Box::pin(std::future::ready(Ok(None))),
                    Some(text) => Box::pin(async move {
                        let named = policy.patterns.find_named(column, text);
                        scan(engine, policy, column, text, treatment, named)
                            .await
                            .map(Some)
                    }),
                });
            }
            let fields: Vec<Option<Field>> = stream::iter(scans)
                .buffered(FIELDS_AT_ONCE)
                .try_collect()
                .await?;
            Redacted::Row(
                fields
                    .into_iter()
                    .map(|field| field.map(|field| found.add(field)))
                    .collect(),
            )
        }
    };
    let entities = Entities {
        document_id: shown,
        tenant: policy.tenant.to_string(),
        source: position.clone(),
        entities: found.entities,
        digests: digests(engine, policy),
        tokens: found.tokens,
        windows: found.windows,
    };
    Ok(Done {
        entities,
        redacted,
        changes: found.changes,
        operators: found.operators,
    })
}

/// A redacted text in the shape in which it goes out.
fn text_record(
    engine: &Engine,
    policy: &Policy,
    id: &str,
    plain_text: PlainText,
    field: Field,
    found: &mut Found,
) -> Redacted {
    let redacted = found.add(field);
    if plain_text != PlainText::Record {
        return Redacted::Text(redacted);
    }
    let record = Redaction {
        id: id.to_owned(),
        tenant: policy.tenant.to_string(),
        text: redacted,
        redactions: std::mem::take(&mut found.changes),
        digests: digests(engine, policy),
    };
    let json = serde_json::to_vec(&record).expect("strings and numbers are JSON");
    found.changes = record.redactions;
    Redacted::Record(json)
}

fn not_json(problem: NotJson) -> Error {
    Error::not_json(problem)
}

/// What was found with what was done there, for the audit. Both are in order of field and offset.
pub(super) fn findings(done: &Done, policy: &Policy) -> Vec<Finding> {
    let mut changes = done.changes.iter().peekable();
    let mut findings = Vec::with_capacity(done.entities.entities.len());
    for entity in &done.entities.entities {
        let of_entity = |change: &&Change| {
            change.field == entity.field
                && (change.source_start, change.source_end) == (entity.start, entity.end)
        };
        let change = changes.next_if(of_entity);
        let label = policy.labels.labels.iter();
        let label = label.clone().find(|label| *label.name == *entity.label);
        findings.push(Finding {
            field: entity.field.clone(),
            start: entity.start,
            end: entity.end,
            label: entity.label.clone(),
            score: entity.score,
            label_score: entity.label_score,
            threshold: label
                .filter(|_| entity.recognizer == "model")
                .map(|label| label.threshold),
            recognizer: entity.recognizer.clone(),
            // An entity without a change was left as it is.
            operator: change.map_or_else(|| "keep".to_owned(), |change| change.operator.clone()),
            key_id: change.and_then(|change| change.key_id.clone()),
        });
    }
    findings
}

/// Takes a JSON document through its selected strings; everything else stays as received.
async fn json(
    engine: &Engine,
    policy: &Policy,
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
    let Selectors { read, whole, named } = &Selectors::of(rule, &NOT_TEXT, pointer, kept);
    let document = Json::parse(text.clone()).map_err(Error::not_json)?;
    // The record's own id is replaced wherever it stands.
    let mut edits = Vec::new();
    if let (Some(id), Some(pointer)) = (hashed, pointer)
        && let Scalar::Text(value) = document.scalar(pointer)
    {
        for raw in document.at(pointer) {
            let replacement = quoted(&id.key.hash(&value)).into();
            edits.push(Edit { raw, replacement });
        }
    }
    let replaced = |leaf: &Leaf| hashed.is_some() && Some(leaf.pointer.as_str()) == pointer;
    let mut leaves = document.strings(read).map_err(Error::not_json)?;
    leaves.retain(|leaf| !replaced(leaf));
    let keys = Keys::of(policy, &document, read, &leaves)?;
    edits.extend(keys.edits());
    let names = &FieldNames::of(&document, &leaves).map_err(Error::not_json)?;
    let mut scans: Vec<BoxFuture<'_, Result<(Literal, Field), Error>>> = Vec::new();
    for leaf in &leaves {
        let literal = document.literal(leaf);
        let as_a_whole = whole
            .as_ref()
            .is_some_and(|whole| whole.matches(&leaf.pointer));
        let treatment = if as_a_whole {
            Treatment::Whole
        } else if named
            .as_ref()
            .is_some_and(|named| named.matches(&leaf.pointer))
        {
            Treatment::Name
        } else {
            Treatment::Scan
        };
        let path = keys.shown(&leaf.pointer);
        scans.push(Box::pin(async move {
            let named = policy
                .patterns
                .find_named(&names.name(&leaf.pointer), &literal.text);
            let field = scan(engine, policy, &path, &literal.text, treatment, named).await?;
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

/// What the fields of a document are called.
///
/// A field is called as its key says, or, in a list of pairs such as `{"name": "DB_PASSWORD", "value": "…"}`
/// (environments of containers, headers in HAR files, tags), as the pair says.
struct FieldNames {
    /// By the pointer of a pair.
    pairs: HashMap<String, Text>,
}

impl FieldNames {
    const NAMES: [&str; 6] = ["name", "key", "k", "field", "header", "variable"];
    const VALUES: [&str; 4] = ["value", "val", "v", "values"];

    /// Longest name of a pair that is kept: what is longer names nothing.
    const MOST_BYTES: usize = 128;

    fn of(document: &Json, leaves: &[Leaf]) -> Result<Self, NotJson> {
        let mut pairs = HashMap::new();
        let is_value = |leaf: &Leaf| Self::pair(&leaf.pointer, &Self::VALUES).is_some();
        if leaves.iter().any(is_value) {
            for leaf in document.strings(&Selector::default())? {
                let pair = Self::pair(&leaf.pointer, &Self::NAMES);
                if let Some(pair) = pair.filter(|_| leaf.raw.len() <= Self::MOST_BYTES) {
                    pairs.insert(pair.to_owned(), document.literal(&leaf).text);
                }
            }
        }
        Ok(Self { pairs })
    }

    /// The pointer of the object whose key, one of `keys`, ends `pointer`.
    fn pair<'a>(pointer: &'a str, keys: &[&str]) -> Option<&'a str> {
        let (pair, key) = pointer.rsplit_once('/')?;
        let known = keys.iter().any(|known| known.eq_ignore_ascii_case(key));
        known.then_some(pair)
    }

    /// As a pair says.
    fn of_pair(&self, pointer: &str) -> Option<&str> {
        let pair = Self::pair(pointer, &Self::VALUES)?;
        self.pairs.get(pair).map(Text::as_str)
    }

    /// As a pair says, or the key of the value or of the array that holds it: the last part of the
    /// pointer that is no index.
    fn name(&self, pointer: &str) -> String {
        if let Some(name) = self.of_pair(pointer) {
            return name.to_owned();
        }
        let name = pointer
            .rsplit('/')
            .find(|part| !part.bytes().all(|byte| byte.is_ascii_digit()))
            .unwrap_or_default();
        name.replace("~1", "/").replace("~0", "~")
    }
}

/// What is written beside the keys of a JSON document.
fn members(engine: &Engine, policy: &Policy, found: &Found) -> [(&'static str, String); 5] {
    let digests = digests(engine, policy);
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
async fn json_line(
    engine: &Engine,
    policy: &Policy,
    position: &Position,
    text: &Text,
    found: &mut Found,
) -> Result<Option<String>, Error> {
    let document = Json::parse(text.clone()).map_err(not_json)?;
    let rule = policy.rule(position);
    let Selectors { read, whole, .. } = &Selectors::of(rule, &[], None, false);
    let of_line = of_line(policy, text).await?;
    let all = document.scalars(&Selector::default()).map_err(not_json)?;
    let leaves = document.scalars(read).map_err(not_json)?;
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
        let spans = of_line
            .iter()
            .filter(|span| span.bytes.start < leaf.raw.end && leaf.raw.start < span.bytes.end)
            .filter_map(|span| {
                let bytes = value.characters(&(span.bytes.start..span.bytes.end))?;
                Some(Span {
                    bytes,
                    ..span.clone()
                })
            });
        let mut spans: Vec<Span> = spans.collect();
        // The line as text tells what a key says of its value, and not what a pair says.
        if let Some(name) = names.of_pair(&leaf.pointer) {
            spans.extend(policy.patterns.find_named(name, value.text()));
        }
        let as_a_whole = whole
            .as_ref()
            .is_some_and(|whole| whole.matches(&leaf.pointer));
        let treatment = match &value {
            _ if as_a_whole => Treatment::Whole,
            // A number by itself is a card or a time; the line around it tells.
            Value::Number(..) if spans.is_empty() => continue,
            _ => Treatment::Scan,
        };
        scans.push(Box::pin(async move {
            let field = scan(
                engine,
                policy,
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
    /// Searched in place: about half a millisecond.
    const IN_PLACE_BYTES: usize = 1024;
    let patterns = policy.patterns.clone();
    let search = |text: &str| conflict::resolve(text, patterns.find(text), &patterns.allowed(text));
    if text.len() <= IN_PLACE_BYTES {
        return Ok(search(text));
    }
    let text = text.clone();
    let patterns = policy.patterns.clone();
    tokio::task::spawn_blocking(move || {
        conflict::resolve(&text, patterns.find(&text), &patterns.allowed(&text))
    })
    .await
    .map_err(|_| Error::Engine(EngineError::Panicked))
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

/// What is done with a field.
#[derive(Debug, Clone, Copy)]
enum Treatment {
    Pass,
    Scan,
    /// Redacted as a whole, whatever it holds.
    Whole,
    /// A name of the record: patterns and lists look at it, and no model, which reads prose.
    Name,
}

/// Strings of JSON documents that a rule reads.
struct Selectors {
    read: Selector,
    /// Those of `read` that are redacted as a whole.
    whole: Option<Selector>,
    /// Those of `read` that are names of the record.
    named: Option<Selector>,
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
        }
    }
}

/// A field that is done.
struct Field {
    redacted: String,
    applied: Vec<Applied>,
    entities: Vec<Entity>,
    changes: Vec<Change>,
    tokens: u64,
    windows: u64,
}

/// What is found in a document, field by field.
#[derive(Default)]
struct Found {
    entities: Vec<Entity>,
    changes: Vec<Change>,
    tokens: u64,
    windows: u64,
    operators: BTreeMap<String, u64>,
}

impl Found {
    fn add(&mut self, field: Field) -> String {
        self.entities.extend(field.entities);
        for change in &field.changes {
            *self.operators.entry(change.operator.clone()).or_default() += 1;
        }
        self.changes.extend(field.changes);
        self.tokens += field.tokens;
        self.windows += field.windows;
        field.redacted
    }
}

/// Finds and redacts in one field. `found`: what is known of it already.
async fn scan(
    engine: &Engine,
    policy: &Policy,
    path: &str,
    text: &str,
    treatment: Treatment,
    found: Vec<Span>,
) -> Result<Field, Error> {
    let mut pieces = Pieces::new(policy, path);
    let mut redacted = String::with_capacity(text.len());
    let (mut tokens, mut windows) = (0, 0);
    match treatment {
        Treatment::Pass => redacted.push_str(text),
        Treatment::Whole if !text.is_empty() => {
            let bytes = ByteSpan::new(0, text.len());
            let recognizer = Recognizer::Pattern("whole".into());
            let span = Span {
                bytes,
                label: WHOLE_LABEL.into(),
                score: 1.0,
                label_score: 1.0,
                recognizer,
            };
            pieces.redact(text, &[span], &mut redacted)?;
        }
        Treatment::Whole => {}
        Treatment::Name => pieces.redact(text, &in_name(policy, text), &mut redacted)?,
        Treatment::Scan => {
            let mut scan = Scan::start(engine, policy).await?;
            scan.add_found(found);
            let first = scan.push(text).await?;
            let last = scan.finish().await?;
            for piece in first.into_iter().chain(last) {
                pieces.redact(&piece.text, &piece.spans, &mut redacted)?;
            }
            (tokens, windows) = scan.counts();
        }
    }
    let Pieces {
        entities,
        changes,
        applied,
        ..
    } = pieces;
    Ok(Field {
        redacted,
        applied,
        entities,
        changes,
        tokens,
        windows,
    })
}

/// Pieces of one field on their way through the operators; keeps count of where they stand.
pub(crate) struct Pieces<'a> {
    policy: &'a Policy,
    path: &'a str,
    source: Place,
    output: Place,
    /// Entities of the pieces so far; taken out by callers that do not keep them.
    pub(crate) entities: Vec<Entity>,
    /// Changes of the pieces so far.
    pub(crate) changes: Vec<Change>,
    applied: Vec<Applied>,
}

/// A place in a field.
#[derive(Clone, Copy, Default)]
struct Place {
    byte: usize,
    code_point: usize,
}

impl Place {
    fn after(self, text: &str) -> Self {
        Self {
            byte: self.byte + text.len(),
            code_point: self.code_point + text.chars().count(),
        }
    }
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(policy: &'a Policy, path: &'a str) -> Self {
        let start = Place::default();
        Self {
            policy,
            path,
            source: start,
            output: start,
            entities: Vec::new(),
            changes: Vec::new(),
            applied: Vec::new(),
        }
    }

    /// Drops the list of what was done to the pieces so far: a text of any length keeps none.
    pub(crate) fn forget(&mut self) {
        self.applied.clear();
    }

    /// Appends the redacted piece to `out`.
    pub(crate) fn redact(
        &mut self,
        text: &str,
        spans: &[Span],
        out: &mut String,
    ) -> Result<(), Error> {
        let start = out.len();
        let began = Instant::now();
        let applied = self
            .policy
            .redactor
            .apply(text, spans, out)
            .map_err(|error| Error::Redact(Arc::new(error)))?;
        metric::stage(Stage::Redact, began);
        let mut code_points = CodePointCursor::new(text, self.source.code_point);
        for span in spans {
            let value = self
                .policy
                .emit_text
                .then(|| text[span.bytes.start..span.bytes.end].to_owned());
            self.entities.push(Entity {
                label: span.label.to_string(),
                field: self.path.to_owned(),
                start: code_points.at(span.bytes.start) as u64,
                end: code_points.at(span.bytes.end) as u64,
                start_byte: (self.source.byte + span.bytes.start) as u64,
                end_byte: (self.source.byte + span.bytes.end) as u64,
                score: span.score,
                label_score: Some(span.label_score),
                recognizer: span.recognizer.to_string(),
                text: value,
            });
        }
        for applied in applied {
            self.changes.push(Change {
                label: applied.label.to_string(),
                field: self.path.to_owned(),
                operator: applied.operator.to_owned(),
                start: (self.output.code_point + applied.output.start) as u64,
                end: (self.output.code_point + applied.output.end) as u64,
                source_start: (self.source.code_point + applied.source.start) as u64,
                source_end: (self.source.code_point + applied.source.end) as u64,
                key_id: applied.key_id.as_ref().map(ToString::to_string),
            });
            self.applied.push(Applied {
                source_bytes: moved(applied.source_bytes, self.source.byte),
                output_bytes: moved(applied.output_bytes, self.output.byte),
                ..applied
            });
        }
        self.source = self.source.after(text);
        self.output = self.output.after(&out[start..]);
        Ok(())
    }
}

fn moved(span: ByteSpan, base: usize) -> ByteSpan {
    ByteSpan::new(span.start + base, span.end + base)
}

/// What made the records of a policy.
pub(super) fn digests(engine: &Engine, policy: &Policy) -> Digests {
    Digests {
        pack: engine.models().digest_for(&policy.labels).to_string(),
        label_set: policy.labels.digest.to_string(),
        policy: policy.digest.to_string(),
        weir_version: VERSION.to_owned(),
    }
}

impl Error {
    pub(super) fn not_json(problem: NotJson) -> Self {
        Self::Record {
            code: Code::NotJson,
            reason: problem.to_string(),
        }
    }

    /// Stage at which it happened.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Record { .. } => Stage::Source,
            Self::Engine(_) => Stage::Model,
            Self::Redact(_) => Stage::Redact,
        }
    }

    /// Code of the dead letter.
    pub fn code(&self) -> Code {
        match self {
            Self::Record { code, .. } => *code,
            Self::Engine(EngineError::Panicked) => Code::Panicked,
            Self::Engine(_) => Code::ModelFailed,
            Self::Redact(_) => Code::RedactFailed,
        }
    }

    /// The dead letter of a document that failed this way.
    pub fn dead_letter(
        &self,
        source: Position,
        tenant: Option<String>,
        document_id: Option<String>,
    ) -> DeadLetter {
        DeadLetter {
            source,
            tenant,
            document_id,
            stage: self.stage(),
            code: self.code(),
            reason: self.to_string(),
            attempts: 1,
        }
    }
}
