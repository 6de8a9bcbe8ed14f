//! `weir redact`: text, log lines or JSON through a pipe.
//!
//! Lines go in and come out in order, several under way at a time; a program that writes slowly into
//! the pipe gets each line back at once. A line that can't be processed is not printed (I6): a
//! message names it, and the exit code is 74.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anstyle::{AnsiColor, Color, Style};
use futures::{StreamExt, stream};
use tokio::{io::AsyncRead, sync::mpsc};

use super::{
    args::{self, MultilineMode, RedactFormat},
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::engine,
    config::limits,
    pipeline::{
        Engine, LongText, Processor,
        long_text::{self, Part},
    },
    record::{Body, Code, DeadLetter, Document, Done, Entity, PlainText, Position, Text},
    source::{self, Around, Mode, Multiline, Reader, Report, Stream, TenantFrom, Unit},
    store::{Compression, Format},
    tenant::{Policy, Tenants},
};

/// Lines on their way at a time.
const AT_ONCE: usize = 256;

/// A text of several lines ends when none has come for so long.
const LINE_TIMEOUT: Duration = Duration::from_secs(1);

/// Redacts the input.
pub fn execute(args: &args::Redact) -> Result<Exit, Failure> {
    let mut policy = policy(args)?;
    let is_standard = args.input.as_os_str() == "-";
    let input = if is_standard {
        if io::stdin().is_terminal() {
            out::message("reading from the terminal; end with Ctrl-D");
        }
        None
    } else {
        Some(File::open(&args.input).map_err(|error| {
            let name = args.input.display();
            Failure::new(
                Exit::Io,
                anyhow::anyhow!("can't read {name} ({})", error.kind()),
            )
        })?)
    };
    let models = engine::several(&args.model)?;
    engine::ask_each(&mut policy, &models);
    // Before the input: else each line says it again.
    models.fits(&policy.labels)?;
    let (engine, _running) = Engine::with(models)?;
    let runtime = engine::runtime()?;
    let exit = runtime.block_on(async {
        let input: Box<dyn AsyncRead + Send + Unpin> = match input {
            Some(file) => Box::new(tokio::fs::File::from_std(file)),
            None => Box::new(tokio::io::stdin()),
        };
        let reader = Reader::over(input, format(args), &options(args))?;
        redact(engine, Arc::new(policy), reader, args).await
    });
    // A reader of standard input may stay in its read for ever.
    runtime.shutdown_background();
    exit
}

/// Format of the input: as asked, or by its name.
fn format(args: &args::Redact) -> Format {
    match args.format {
        RedactFormat::Text => Format::Text,
        RedactFormat::Lines => Format::Lines,
        RedactFormat::Jsonl => Format::JsonLines,
        RedactFormat::Json => Format::Json,
        RedactFormat::Auto => match Format::of(&args.input.to_string_lossy()) {
            Ok((format @ (Format::Text | Format::JsonLines | Format::Json), ..)) => format,
            _ => Format::Auto,
        },
    }
}

fn options(args: &args::Redact) -> source::Options {
    let multiline = args
        .multiline_start_pattern
        .clone()
        .map(|start_pattern| Multiline {
            condition_pattern: args
                .multiline_condition_pattern
                .clone()
                .unwrap_or_else(|| start_pattern.clone()),
            start_pattern,
            mode: match args.multiline_mode {
                MultilineMode::ContinueThrough => Mode::ContinueThrough,
                MultilineMode::ContinuePast => Mode::ContinuePast,
                MultilineMode::HaltBefore => Mode::HaltBefore,
                MultilineMode::HaltWith => Mode::HaltWith,
            },
            timeout: LINE_TIMEOUT,
        });
    source::Options {
        encoding: args.encoding,
        multiline,
        // The policy is given: what a record says of its tenant has no say.
        tenant: TenantFrom::Beside,
        max_record_bytes: limits::Section::default().max_record_bytes,
        ..source::Options::default()
    }
}

/// The policy of a tenant file, or of the labels and patterns on the command line.
fn policy(args: &args::Redact) -> Result<Policy, Failure> {
    if let Some(file) = &args.tenant {
        return Ok(Policy::load(file)?);
    }
    if args.label.is_empty() && args.pattern.is_empty() {
        let error = anyhow::anyhow!("no labels or patterns are given");
        return Err(Failure::new(Exit::Usage, error)
            .hint("add some: --label person --label email, or --tenant FILE"));
    }
    // Written as a tenant file, so that flags mean what the same words mean there.
    let mut file = toml::Table::new();
    let label = |name: &String| {
        let mut label = toml::Table::from_iter([("name".to_owned(), name.as_str().into())]);
        if let Some(threshold) = args.threshold {
            label.insert("threshold".to_owned(), f64::from(threshold).into());
        }
        toml::Value::Table(label)
    };
    file.insert(
        "labels".to_owned(),
        toml::Value::Array(args.label.iter().map(label).collect()),
    );
    file.insert("patterns".to_owned(), args.pattern.clone().into());
    Ok(Policy::parse(
        "command-line",
        Path::new("--label"),
        &file.to_string(),
    )?)
}

/// What became of a document.
enum Outcome {
    Done { source: Text, done: Box<Done> },
    Failed { code: Code, reason: String },
}

/// What is read, in order.
struct Item {
    unit: Result<Document, DeadLetter>,
    around: Around,
    /// The letter is of all of the input.
    is_whole: bool,
}

/// The server of a model may be away: no line after the one that failed would be searched.
fn still_runs(engine: &Engine, code: Code) -> Result<(), Failure> {
    match engine.why_stopped() {
        Some(why) if code == Code::ModelFailed => Err(why.into()),
        _ => Ok(()),
    }
}

/// How a message names what was read.
fn named(position: &Position, is_whole: bool, unit: &str) -> String {
    match position {
        Position::Stdin { line } if !is_whole => format!("{unit} {}", line + 1),
        _ => "the input".to_owned(),
    }
}

/// Reports what failed.
fn not_printed(what: &str, reason: &str, code: Code) {
    let error = out::ERROR;
    out::message(&format!(
        "{error}error:{error:#} {what} was not printed: {reason} ({code})"
    ));
}

/// Reads to the end, or until nobody takes what is read.
async fn read_all(
    mut reader: Reader,
    items: mpsc::Sender<Item>,
    streams: mpsc::Sender<Stream>,
) -> Result<Report, source::Error> {
    while let Some(unit) = reader.next().await? {
        let unit = match unit {
            Unit::Document(document) => Ok(document),
            Unit::Rejected(letter) => Err(letter),
            Unit::Stream(stream) => {
                // The input is one text: there is no other unit.
                let _ = streams.send(stream).await;
                break;
            }
            Unit::Table(_) => unreachable!("weir redact cannot read a table from a stream"),
        };
        let item = Item {
            unit,
            around: reader.take_around(),
            is_whole: !reader.is_opened(),
        };
        if items.send(item).await.is_err() {
            break;
        }
    }
    Ok(reader.report().clone())
}

async fn redact(
    engine: Engine,
    policy: Arc<Policy>,
    reader: Reader,
    args: &args::Redact,
) -> Result<Exit, Failure> {
    let painter = Painter::new(args.show);
    let processor = Processor::new(&engine, Arc::new(Tenants::only(policy.clone())));
    let unit = match format(args) {
        Format::Json => "JSON value",
        _ => "line",
    };
    let (sender, receiver) = mpsc::channel(AT_ONCE);
    let (stream_sender, mut streams) = mpsc::channel::<Stream>(1);
    // Ahead of what is processed: an input that is slow must not hold back what is done.
    // On a thread of its own: a read of standard input cannot be stopped.
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        runtime.block_on(read_all(reader, sender, stream_sender))
    });
    let received = stream::unfold(receiver, |mut items| async move {
        Some((items.recv().await?, items))
    });
    let mut results = std::pin::pin!(
        received
            .map(|item| {
                let processor = processor.clone();
                async move {
                    let (position, outcome) = match item.unit {
                        Ok(document) => {
                            let position = document.position.clone();
                            (position, one(&processor, document).await)
                        }
                        Err(letter) => (letter.source.clone(), letter.into()),
                    };
                    (position, item.around, item.is_whole, outcome)
                }
            })
            .buffered(AT_ONCE)
    );
    let mut failed = 0;
    while let Some((position, around, is_whole, outcome)) = results.next().await {
        match outcome {
            Outcome::Done { source, done } => {
                painter.print(&source, &done, &around, args.entities)?
            }
            Outcome::Failed { code, reason } => {
                still_runs(&engine, code)?;
                failed += 1;
                // What is left of an array is one.
                if !args.entities && around.in_array() {
                    painter.print_raw(&format!("{}null{}", around.before, around.after))?;
                }
                not_printed(&named(&position, is_whole, unit), &reason, code);
            }
        }
    }
    if let Some(stream) = streams.recv().await {
        text(&engine, &policy, stream, args.entities, painter).await?;
    }
    let report = match reading.await {
        Ok(report) => report?,
        Err(error) => return Err(Failure::new(Exit::Bug, error)),
    };
    say_how(&report, args);
    Ok(if failed == 0 { Exit::Done } else { Exit::Io })
}

/// Says what the name of the input does not.
fn say_how(report: &Report, args: &args::Redact) {
    if let Some(encoding) = report.encoding {
        out::message(&format!("read as {encoding}; the output is UTF-8"));
    }
    if let Some(compression) = report.compression
        && Compression::of(&args.input.to_string_lossy()).is_none()
    {
        out::message(&format!(
            "the input is compressed with {compression}; it was decompressed"
        ));
    }
    if report.json_lines > 0 {
        let (json, text) = (report.json_lines, report.text_lines);
        out::message(&format!(
            "read {json} lines as JSON, {text} as text (--format lines reads all as text)"
        ));
    }
}

async fn one(processor: &Processor, mut document: Document) -> Outcome {
    // There is one policy, whatever a document names.
    document.tenant = None;
    let working = match processor.start(document, PlainText::Text) {
        Ok(working) => working,
        Err(letter) => return letter.into(),
    };
    let document = working.document().clone();
    match working.done().await {
        Ok((done, ..)) => {
            // The work has ended, so nobody else has it.
            let source = match Arc::unwrap_or_clone(document).body {
                Body::Text(text) | Body::Json(text) | Body::JsonLine(text) => text,
                Body::Row(_) => Text::default(),
            };
            Outcome::Done { source, done }
        }
        Err(letter) => letter.into(),
    }
}

impl From<DeadLetter> for Outcome {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { code, reason, .. } = letter;
        Self::Failed { code, reason }
    }
}

/// The whole input as one text of any length.
async fn text(
    engine: &Engine,
    policy: &Policy,
    input: Stream,
    entities: bool,
    painter: Painter,
) -> Result<(), Failure> {
    let failure = |error: long_text::Error| match error {
        long_text::Error::Source(error) => error.into(),
        long_text::Error::Document(error) => {
            let said = format!("{error} ({}): weir stopped printing here", error.code());
            Failure::new(Exit::Io, anyhow::anyhow!(said))
        }
    };
    let mut text = LongText::start(engine, policy, input)
        .await
        .map_err(failure)?;
    while let Some(parts) = text.next().await.map_err(failure)? {
        for part in parts {
            painter.print_part(part, entities)?;
        }
    }
    Ok(())
}

/// Prints what comes out: redacted, or with what was found highlighted.
struct Painter {
    show: bool,
    /// Colours or brackets.
    colours: bool,
}

/// One colour for each label, by its name.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Red,
];

impl Painter {
    fn new(show: bool) -> Self {
        let colours = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self { show, colours }
    }

    fn print(
        &self,
        source: &Text,
        done: &Done,
        around: &Around,
        entities: bool,
    ) -> Result<(), Failure> {
        // Not through anstream: it drops control characters, which are the document's own.
        let mut out = io::stdout().lock();
        if entities {
            let record = serde_json::to_string(&done.entities).expect("entities are JSON");
            writeln!(out, "{record}")?;
        } else {
            if self.show {
                let shown = self.highlighted(source, &done.entities.entities);
                writeln!(anstream::stdout(), "{shown}")?;
            }
            out.write_all(around.before.as_bytes())?;
            out.write_all(&done.redacted.bytes())?;
            out.write_all(around.after.as_bytes())?;
        }
        // The reader of the pipe needs each line now, not when a buffer is full.
        out.flush()?;
        Ok(())
    }

    fn print_raw(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    fn print_part(&self, part: Part, entities: bool) -> Result<(), Failure> {
        let Part {
            piece,
            redacted,
            entities: found,
            changes: _,
        } = part;
        // As in `print`.
        let mut out = io::stdout().lock();
        if entities {
            for entity in found {
                writeln!(
                    out,
                    "{}",
                    serde_json::to_string(&entity).expect("an entity is JSON")
                )?;
            }
        } else if self.show {
            let marks = piece.spans.iter().map(|span| Mark {
                start: span.bytes.start,
                end: span.bytes.end,
                label: &span.label,
                score: span.score,
                recognizer: span.recognizer.to_string(),
            });
            write!(anstream::stdout(), "{}", self.marked(&piece.text, marks))?;
        } else {
            out.write_all(redacted.as_bytes())?;
        }
        out.flush()?;
        Ok(())
    }

    /// A line with its entities marked. In JSON the marks stand at the values of the string that
    /// they were found in.
    fn highlighted(&self, source: &Text, entities: &[Entity]) -> String {
        let Some(first) = entities.first() else {
            return source.to_string();
        };
        if first.field == "text" && !source.trim_start().starts_with('{') {
            return self.marked(source, entities.iter().map(Mark::of));
        }
        let mut text = source.to_string();
        let Ok(json) = crate::record::Json::parse(source.clone()) else {
            return text;
        };
        let Ok(leaves) = json.strings(&Default::default()) else {
            return text;
        };
        // From the back, so that the places in front stay where they are.
        for leaf in leaves.iter().rev() {
            let marks: Vec<Mark> = entities
                .iter()
                .filter(|entity| entity.field == leaf.pointer)
                .map(Mark::of)
                .collect();
            if marks.is_empty() {
                continue;
            }
            let value = self.marked(&json.literal(leaf).text, marks.into_iter());
            text.replace_range(leaf.raw.clone(), &format!("\"{value}\""));
        }
        text
    }

    fn marked<'a>(&self, text: &str, marks: impl Iterator<Item = Mark<'a>>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for mark in marks {
            out.push_str(&text[done..mark.start]);
            let value = &text[mark.start..mark.end];
            // `.97` for the model, `pattern` or the list that found it for the others.
            let by = match mark.recognizer.strip_prefix("pattern:") {
                None => format!("{:.2}", mark.score)
                    .trim_start_matches('0')
                    .to_owned(),
                Some("deny") => "deny list".to_owned(),
                Some(_) => "pattern".to_owned(),
            };
            if self.colours {
                let style = style_of(mark.label);
                let dim = style.dimmed();
                out += &format!("{style}{value}{style:#}{dim}|{} {by}{dim:#}", mark.label);
            } else {
                out += &format!("[{value}|{} {by}]", mark.label);
            }
            done = mark.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

struct Mark<'a> {
    start: usize,
    end: usize,
    label: &'a str,
    score: f32,
    recognizer: String,
}

impl<'a> Mark<'a> {
    fn of(entity: &'a Entity) -> Self {
        Self {
            start: entity.start_byte as usize,
            end: entity.end_byte as usize,
            label: &entity.label,
            score: entity.score,
            recognizer: entity.recognizer.clone(),
        }
    }
}

fn style_of(label: &str) -> Style {
    let at = blake3::hash(label.as_bytes()).as_bytes()[0] as usize % COLOURS.len();
    Style::new().fg_color(Some(Color::Ansi(COLOURS[at]))).bold()
}
