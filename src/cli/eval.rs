//! `weir eval`: spans against gold spans.
//!
//! In:  evaluation files (design 7): `{"text", "entities": [{"start", "end", "label"}], "types", …}`
//!      per line, code points, ends exclusive, plain or gzip.
//! Out: precision, recall and F1 by label, typed and untyped; the share of entity characters that
//!      were found, and the share of other characters that were found; for one threshold or for many.
//! Holds: without options it measures the results of a tenant that names the labels and sets nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Read, Write as _},
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::engine,
    decode::{Recognizer, Span, patterns::Patterns},
    pipeline::{Engine, Processor},
    record::{Body, Document, PlainText, Position, Text},
    redact::Operator,
    tenant::{Balance, Label, LabelSet, Policy, THRESHOLD, Tenants, label_digest},
    text::{ByteSpan, CodePointCursor},
};

/// Examples that are scanned at a time.
const AT_ONCE: usize = 64;

/// Thresholds of a curve.
const CURVE: [f32; 20] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.95,
];

/// Evaluates on the files that were asked for.
pub fn execute(args: &args::Eval) -> Result<Exit, Failure> {
    let tenant = args.tenant.as_deref().map(Policy::load).transpose()?;
    let mut corpora = Vec::new();
    for file in &args.files {
        let examples = read(file, args.limit.unwrap_or(usize::MAX))
            .map_err(|error| Failure::new(Exit::Io, error))?;
        corpora.push((file.display().to_string(), examples));
    }
    let models = engine::several(&args.model)?;
    let (engine, _running) = Engine::with(models.clone())?;
    let runtime = engine::runtime()?;
    let io = |error: std::io::Error| Failure::new(Exit::Io, error);
    let mut found_file = match &args.found {
        Some(path) => Some(BufWriter::new(File::create(path).map_err(io)?)),
        None => None,
    };
    let thresholds = match (args.curve, args.threshold) {
        (true, _) => CURVE.to_vec(),
        (false, threshold) => vec![threshold.unwrap_or(THRESHOLD)],
    };
    // One report for each threshold.
    let mut reports: Vec<(String, Vec<Report>)> = Vec::new();
    let mut totals = vec![Report::default(); thresholds.len()];
    for (file, examples) in corpora {
        let mut own = vec![Report::default(); thresholds.len()];
        for chunk in examples.chunks(AT_ONCE) {
            // All thresholds of a chunk one after another: its windows are computed once.
            for (at, threshold) in thresholds.iter().enumerate() {
                let scans = chunk.iter().map(|example| async {
                    let mut policy = match &tenant {
                        Some(policy) => policy.clone(),
                        None => policy(&example.types, *threshold, !args.no_patterns),
                    };
                    engine::ask_each(&mut policy, &models);
                    found(&engine, policy, &example.text).await
                });
                let all = runtime.block_on(futures::future::join_all(scans));
                for (example, found) in chunk.iter().zip(all) {
                    let found = found?;
                    own[at].add(example, &found);
                    totals[at].add(example, &found);
                    if let Some(out) = &mut found_file {
                        let number = own[at].examples - 1;
                        let line = found_line(&file, number, example, &found);
                        writeln!(out, "{line}").map_err(io)?;
                    }
                }
            }
        }
        reports.push((file, own));
    }
    if let Some(mut out) = found_file {
        out.flush().map_err(io)?;
    }
    if reports.len() > 1 {
        reports.push(("all".to_owned(), totals.clone()));
    }
    print(args, &thresholds, &reports)?;
    let enough = args
        .min_f1
        .is_none_or(|least| totals[0].typed.f1() >= f64::from(least));
    Ok(if enough { Exit::Done } else { Exit::No })
}

/// Prints a report, or the curve of its thresholds, for each file.
fn print(
    args: &args::Eval,
    thresholds: &[f32],
    reports: &[(String, Vec<Report>)],
) -> Result<(), Failure> {
    let curves = reports.iter().map(|(file, own)| {
        let points = thresholds.iter().copied().zip(own);
        (file.as_str(), points.collect::<Vec<_>>())
    });
    if args.json {
        let files: BTreeMap<&str, _> = curves
            .map(|(file, points)| match args.curve {
                true => (
                    file,
                    serde_json::json!({"curve": points.iter().map(Point::of).collect::<Vec<_>>()}),
                ),
                false => (file, points[0].1.json()),
            })
            .collect();
        out::data(&serde_json::to_string_pretty(&files).expect("counts are JSON"))?;
    } else {
        let tables = curves.map(|(file, points)| match args.curve {
            true => curve_table(file, &points),
            false => points[0].1.table(file),
        });
        out::data(&tables.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(())
}

/// What one threshold gives.
#[derive(Debug, Serialize)]
struct Point {
    threshold: f32,
    precision: f64,
    recall: f64,
    f1: f64,
    f1_untyped: f64,
    character_recall: f64,
    over_redaction: f64,
}

impl Point {
    fn of((threshold, report): &(f32, &Report)) -> Self {
        Self {
            threshold: *threshold,
            precision: report.typed.precision(),
            recall: report.typed.recall(),
            f1: report.typed.f1(),
            f1_untyped: report.untyped.f1(),
            character_recall: report.characters.recall(),
            over_redaction: report.characters.over_redaction(),
        }
    }
}

fn curve_table(file: &str, points: &[(f32, &Report)]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header([
        file,
        "precision",
        "recall",
        "F1",
        "F1 untyped",
        "character recall",
        "over-redaction",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    for point in points.iter().map(Point::of) {
        let figures = [
            point.precision,
            point.recall,
            point.f1,
            point.f1_untyped,
            point.character_recall,
            point.over_redaction,
        ];
        let figures = figures.map(|figure| format!("{figure:.3}"));
        let default = if point.threshold == THRESHOLD {
            " (default)"
        } else {
            ""
        };
        table.add_row(
            [format!("  {:.2}{default}", point.threshold)]
                .into_iter()
                .chain(figures),
        );
    }
    format!("{table}\n")
}

/// What was found in an example, in code points.
fn found_line(file: &str, number: u64, example: &Example, found: &[Span]) -> serde_json::Value {
    let mut cursor = CodePointCursor::new(&example.text, 0);
    let found: Vec<_> = found
        .iter()
        .map(|span| {
            serde_json::json!({
                "start": cursor.at(span.bytes.start),
                "end": cursor.at(span.bytes.end),
                "label": &*span.label,
                "score": span.score,
                "label_score": span.label_score,
                "recognizer": span.recognizer.to_string(),
            })
        })
        .collect();
    serde_json::json!({"file": file, "example": number, "found": found})
}

/// The policy of a corpus: its own labels.
fn policy(types: &[String], threshold: f32, patterns: bool) -> Policy {
    let labels: Vec<Label> = types
        .iter()
        .map(|name| Label {
            name: name.as_str().into(),
            wording: name.as_str().into(),
            threshold,
            models: Arc::default(),
        })
        .collect();
    let builtin = types
        .iter()
        .filter_map(|name| Some((Patterns::for_label(name)?.to_owned(), name.as_str().into())));
    let options = crate::decode::patterns::Options {
        builtin: if patterns {
            builtin.collect()
        } else {
            Vec::new()
        },
        ..Default::default()
    };
    let set = LabelSet {
        digest: label_digest(&labels, &Balance::default()),
        labels: labels.into(),
        balance: Balance::default(),
    };
    let patterns = Patterns::build(options).expect("the names come from the patterns themselves");
    Policy::bare("eval", set, patterns, Operator::Keep)
}

/// What a job finds in a text.
async fn found(engine: &Engine, policy: Policy, text: &Text) -> Result<Vec<Span>, Failure> {
    let processor = Processor::new(engine, Arc::new(Tenants::only(Arc::new(policy))));
    let document = Document {
        id: "example".into(),
        tenant: None,
        position: Position::Stdin { line: 0 },
        body: Body::Text(text.clone()),
    };
    let done = processor.process(document, PlainText::Text).await;
    let done = done.map_err(|letter| Failure::new(Exit::Io, anyhow::anyhow!(letter.reason)))?;
    let spans = done.entities.entities.into_iter().map(|entity| Span {
        bytes: ByteSpan::new(entity.start_byte as usize, entity.end_byte as usize),
        label: entity.label.into(),
        score: entity.score,
        label_score: entity.label_score.unwrap_or(entity.score),
        recognizer: match entity.recognizer.strip_prefix("pattern:") {
            Some(pattern) => Recognizer::Pattern(pattern.into()),
            None if entity.recognizer == Recognizer::Deny.to_string() => Recognizer::Deny,
            None => Recognizer::Model,
        },
    });
    Ok(spans.collect())
}

/// A line of an evaluation file.
#[derive(Debug, Deserialize)]
pub struct Example {
    /// The text.
    #[serde(deserialize_with = "text")]
    pub text: Text,
    /// Gold entities.
    pub entities: Vec<Gold>,
    /// Every label annotated in the corpus: the label set that is asked for.
    #[serde(default)]
    pub types: Vec<String>,
    /// Corpus.
    #[serde(default)]
    pub source: String,
}

/// A gold entity, in code points, end exclusive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs)]
pub struct Gold {
    pub start: usize,
    pub end: usize,
    pub label: String,
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
    String::deserialize(deserializer).map(Text::from)
}

/// Why an evaluation file can't be read. Names places, never values (I7).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be opened or read.
    #[error("{file} can't be read ({problem})")]
    Read {
        /// Path.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A line is no example.
    #[error(
        "{file}:{line} is not an evaluation record (column {column}): it needs `text` and `entities` with `start`, `end` and `label`"
    )]
    Line {
        /// Path.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column at which reading failed.
        column: usize,
    },
    /// An entity lies outside its text.
    #[error("{file}:{line} has an entity at {start}..{end} in a text of {length} code points")]
    Outside {
        /// Path.
        file: String,
        /// Line, from 1.
        line: usize,
        /// First code point of the entity.
        start: usize,
        /// Code point after its last.
        end: usize,
        /// Length of the text.
        length: usize,
    },
}

/// Reads the examples of a file; stops after `limit`.
pub fn read(path: &Path, limit: usize) -> Result<Vec<Example>, Error> {
    let file = path.display().to_string();
    let read = |error: std::io::Error| Error::Read {
        file: file.clone(),
        problem: error.kind().to_string(),
    };
    let raw = File::open(path).map_err(read)?;
    let gzip = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(raw))
    } else {
        Box::new(raw)
    };
    let mut examples = Vec::new();
    for (number, line) in BufReader::new(reader).lines().enumerate() {
        let line = line.map_err(read)?;
        if line.trim().is_empty() {
            continue;
        }
        if examples.len() == limit {
            break;
        }
        let example: Example = serde_json::from_str(&line).map_err(|error| Error::Line {
            file: file.clone(),
            line: number + 1,
            column: error.column(),
        })?;
        let length = example.text.chars().count();
        if let Some(Gold { start, end, .. }) = example
            .entities
            .iter()
            .find(|gold| gold.start >= gold.end || gold.end > length)
        {
            return Err(Error::Outside {
                file,
                line: number + 1,
                start: *start,
                end: *end,
                length,
            });
        }
        examples.push(example);
    }
    Ok(examples)
}

/// True and false positives and false negatives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Found and right.
    pub right: u64,
    /// Found and not in the gold.
    pub spurious: u64,
    /// In the gold and not found.
    pub missed: u64,
}

impl Counts {
    /// Share of what was found that is right; 1 where nothing was found.
    pub fn precision(self) -> f64 {
        share(self.right, self.right + self.spurious)
    }

    /// Share of the gold that was found; 1 where there is none.
    pub fn recall(self) -> f64 {
        share(self.right, self.right + self.missed)
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(self) -> f64 {
        share(2 * self.right, 2 * self.right + self.spurious + self.missed)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// Scores of a set of examples.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Examples scored.
    pub examples: u64,
    /// Spans with start, end and label right.
    pub typed: Counts,
    /// Spans with start and end right.
    pub untyped: Counts,
    /// `typed` by label.
    pub labels: BTreeMap<String, Counts>,
    /// Characters of gold entities, and how many of them a found span of any label covers.
    pub characters: Characters,
}

/// Characters, white space not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Characters {
    /// Of gold entities.
    pub gold: u64,
    /// Of gold entities, covered by a found span.
    pub covered: u64,
    /// Covered by a found span, of no gold entity.
    pub over: u64,
    /// Of no gold entity.
    pub other: u64,
}

impl Characters {
    /// Share of entity characters that were found.
    pub fn recall(self) -> f64 {
        share(self.covered, self.gold)
    }

    /// Share of the other characters that were taken for entities.
    pub fn over_redaction(self) -> f64 {
        if self.other == 0 {
            0.0
        } else {
            self.over as f64 / self.other as f64
        }
    }
}

impl Report {
    fn json(&self) -> serde_json::Value {
        let scores = |counts: &Counts| serde_json::json!({"precision": counts.precision(), "recall": counts.recall(), "f1": counts.f1(), "counts": counts});
        serde_json::json!({
            "examples": self.examples,
            "typed": scores(&self.typed),
            "untyped": scores(&self.untyped),
            "labels": self.labels.iter().map(|(label, counts)| (label.clone(), scores(counts))).collect::<BTreeMap<_, _>>(),
            "character_recall": self.characters.recall(),
            "over_redaction": self.characters.over_redaction(),
            "characters": self.characters,
        })
    }

    fn table(&self, file: &str) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        table.set_header([file, "precision", "recall", "F1", "gold", "found"]);
        for column in 1..6 {
            let column = table.column_mut(column).expect("six columns");
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
        let mut row = |name: &str, counts: &Counts| {
            let score = |score: f64| format!("{score:.3}");
            table.add_row([
                name.to_owned(),
                score(counts.precision()),
                score(counts.recall()),
                score(counts.f1()),
                (counts.right + counts.missed).to_string(),
                (counts.right + counts.spurious).to_string(),
            ]);
        };
        for (label, counts) in &self.labels {
            row(&format!("  {label}"), counts);
        }
        row("typed", &self.typed);
        row("untyped", &self.untyped);
        format!(
            "{table}\ncharacter recall {:.3}, over-redaction {:.3}, {} examples\n",
            self.characters.recall(),
            self.characters.over_redaction(),
            self.examples
        )
    }

    /// Adds an example and what was found in it.
    pub fn add(&mut self, example: &Example, found: &[Span]) {
        self.examples += 1;
        let mut cursor = CodePointCursor::new(&example.text, 0);
        let found: BTreeSet<(usize, usize, &str)> = found
            .iter()
            .map(|span| {
                (
                    cursor.at(span.bytes.start),
                    cursor.at(span.bytes.end),
                    &*span.label,
                )
            })
            .collect();
        let gold: BTreeSet<(usize, usize, &str)> = example
            .entities
            .iter()
            .map(|gold| (gold.start, gold.end, &*gold.label))
            .collect();
        for span in found.union(&gold) {
            let counts = self.labels.entry(span.2.to_owned()).or_default();
            for counts in [counts, &mut self.typed] {
                match (found.contains(span), gold.contains(span)) {
                    (true, true) => counts.right += 1,
                    (true, false) => counts.spurious += 1,
                    (false, _) => counts.missed += 1,
                }
            }
        }
        let places = |spans: &BTreeSet<(usize, usize, &str)>| -> BTreeSet<(usize, usize)> {
            spans.iter().map(|(start, end, _)| (*start, *end)).collect()
        };
        let (found, gold) = (places(&found), places(&gold));
        self.untyped.right += found.intersection(&gold).count() as u64;
        self.untyped.spurious += found.difference(&gold).count() as u64;
        self.untyped.missed += gold.difference(&found).count() as u64;
        let covered = |places: &BTreeSet<(usize, usize)>, length: usize| {
            let mut covered = vec![false; length];
            places
                .iter()
                .for_each(|(start, end)| covered[*start..*end].fill(true));
            covered
        };
        let length = example.text.chars().count();
        let (found, gold) = (covered(&found, length), covered(&gold, length));
        for (at, character) in example.text.chars().enumerate() {
            if character.is_whitespace() {
                continue;
            }
            let counts = &mut self.characters;
            match (gold[at], found[at]) {
                (true, true) => {
                    (counts.gold, counts.covered) = (counts.gold + 1, counts.covered + 1)
                }
                (true, false) => counts.gold += 1,
                (false, true) => (counts.other, counts.over) = (counts.other + 1, counts.over + 1),
                (false, false) => counts.other += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode::Recognizer, text::ByteSpan};

    fn span(start: usize, end: usize, label: &str) -> Span {
        Span {
            bytes: ByteSpan::new(start, end),
            label: label.into(),
            score: 1.0,
            label_score: 1.0,
            recognizer: Recognizer::Model,
        }
    }

    fn gold(start: usize, end: usize, label: &str) -> Gold {
        Gold {
            start,
            end,
            label: label.to_owned(),
        }
    }

    #[test]
    fn offsets_are_code_points_and_a_span_is_right_as_a_whole_or_not_at_all() {
        let example = Example {
            text: "é Ana met Bo in Rom".into(),
            entities: vec![
                gold(2, 5, "person"),
                gold(10, 12, "person"),
                gold(16, 19, "city"),
            ],
            types: Vec::new(),
            source: String::new(),
        };
        // Bytes are one further than code points after the é.
        let found = [
            span(3, 6, "person"),
            span(11, 13, "city"),
            span(14, 16, "city"),
        ];
        let mut report = Report::default();
        report.add(&example, &found);
        assert_eq!(
            report.typed,
            Counts {
                right: 1,
                spurious: 2,
                missed: 2
            }
        );
        assert_eq!(
            report.untyped,
            Counts {
                right: 2,
                spurious: 1,
                missed: 1
            }
        );
        assert_eq!(
            report.labels["person"],
            Counts {
                right: 1,
                spurious: 0,
                missed: 1
            }
        );
        assert_eq!(
            report.labels["city"],
            Counts {
                right: 0,
                spurious: 2,
                missed: 1
            }
        );
        assert_eq!(
            report.characters,
            Characters {
                gold: 8,
                covered: 5,
                over: 2,
                other: 6
            }
        );
        assert_eq!(report.typed.precision(), 1.0 / 3.0);
    }

    #[test]
    fn a_broken_line_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.jsonl");
        std::fs::write(&path, "{\"text\": \"a\", \"entities\": []}\n{\"text\": \"CANARY\", \"entities\": \"CANARY\"}\n").unwrap();
        let error = read(&path, usize::MAX).unwrap_err().to_string();
        assert!(
            error.contains("e.jsonl:2") && !error.contains("CANARY"),
            "{error}"
        );
        std::fs::write(
            &path,
            "{\"text\": \"ab\", \"entities\": [{\"start\": 1, \"end\": 9, \"label\": \"x\"}]}",
        )
        .unwrap();
        assert!(matches!(
            read(&path, usize::MAX),
            Err(Error::Outside { length: 2, .. })
        ));
    }
}
