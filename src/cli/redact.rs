//! `weir redact`: text, log lines or JSON lines through a pipe.
//!
//! Lines go in and come out in order, several on their way at a time; whoever writes slowly into
//! the pipe gets each line back at once. A line that can't be processed is not printed (I6): a
//! message names it, and the exit code is 74.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::Path,
    sync::Arc,
};

use anstyle::{AnsiColor, Color, Style};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{
    args::{self, RedactFormat},
    engine,
    exit::{Exit, Failure},
    out,
};
use crate::{
    config::limits,
    pipeline::{
        Engine, Scan,
        document::{self, PlainText},
    },
    record::{Body, Code, Document, DocumentId, Entity, Position, Text},
    sink::{Done, Redacted},
    tenant::Policy,
};

/// Lines on their way at a time.
const AT_ONCE: usize = 256;

/// Redacts the input.
pub fn execute(args: &args::Redact) -> Result<Exit, Failure> {
    let policy = policy(args)?;
    let input: Box<dyn Read + Send> = if args.input.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            out::message("reading from the terminal; end with Ctrl-D");
        }
        Box::new(io::stdin())
    } else {
        Box::new(File::open(&args.input).map_err(|error| {
            let name = args.input.display();
            Failure::new(
                Exit::Io,
                anyhow::anyhow!("{name} can't be read ({})", error.kind()),
            )
        })?)
    };
    let (engine, _running) = engine::start(engine::defaults(&args.model)?)?;
    let runtime = engine::runtime()?;
    let mut input = BufReader::with_capacity(1 << 16, input);
    let format = match args.format {
        RedactFormat::Auto if input.fill_buf()?.first() == Some(&b'{') => RedactFormat::Jsonl,
        RedactFormat::Auto => RedactFormat::Lines,
        format => format,
    };
    let painter = Painter::new(args.show);
    if format == RedactFormat::Text {
        return runtime.block_on(text(&engine, &policy, input, args.entities, painter));
    }
    runtime.block_on(lines(
        engine,
        Arc::new(policy),
        input,
        format,
        args.entities,
        painter,
    ))
}

/// The policy of a tenant file, or of the labels and patterns on the command line.
fn policy(args: &args::Redact) -> Result<Policy, Failure> {
    if let Some(file) = &args.tenant {
        return Ok(Policy::load(file)?);
    }
    if args.label.is_empty() && args.pattern.is_empty() {
        let error = anyhow::anyhow!("nothing to look for");
        return Err(Failure::new(Exit::Usage, error)
            .hint("name what to look for: --label person --label email, or --tenant FILE"));
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

/// What became of a line.
enum Line {
    Done { source: Text, done: Done },
    Failed { code: Code, reason: String },
}

async fn lines(
    engine: Engine,
    policy: Arc<Policy>,
    mut input: impl BufRead + Send + 'static,
    format: RedactFormat,
    entities: bool,
    painter: Painter,
) -> Result<Exit, Failure> {
    let limit = limits::Section::default().max_record_bytes;
    let (sender, receiver) = mpsc::channel::<io::Result<Vec<u8>>>(AT_ONCE);
    // Standard input blocks; a thread of its own may stay in a read when we are done.
    std::thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(limit + 1).read_until(b'\n', &mut line);
            let more = match read {
                Ok(0) => break,
                // The rest of a line that is too long is skipped, not kept.
                Ok(_) if line.len() as u64 > limit && line.last() != Some(&b'\n') => {
                    skip_line(&mut input)
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            let item = more.map(|()| line);
            let failed = item.is_err();
            if sender.blocking_send(item).is_err() || failed {
                break;
            }
        }
    });
    let received = stream::unfold(receiver, |mut lines| async move {
        Some((lines.recv().await?, lines))
    });
    let mut results = std::pin::pin!(
        received
            .enumerate()
            .map(|(number, line)| {
                let (engine, policy) = (engine.clone(), policy.clone());
                async move {
                    let line = line?;
                    // A panic costs its line, not the rest of the input.
                    let number = number as u64;
                    let work = tokio::spawn(async move {
                        one(&engine, &policy, number, line, limit, format).await
                    });
                    Ok::<_, io::Error>(work.await.unwrap_or_else(|_| Line::Failed {
                        code: Code::Panicked,
                        reason: "internal error".to_owned(),
                    }))
                }
            })
            .buffered(AT_ONCE)
    );
    let mut failed = 0;
    let mut number = 0;
    while let Some(line) = results.next().await {
        number += 1;
        match line? {
            Line::Done { source, done } => painter.print(&source, &done, entities)?,
            Line::Failed { code, reason } => {
                failed += 1;
                let error = out::ERROR;
                out::message(&format!(
                    "{error}error:{error:#} line {number} was not printed: {reason} ({code})"
                ));
            }
        }
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Io })
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let (used, done) = (
            end.map_or(buffer.len(), |at| at + 1),
            end.is_some() || buffer.is_empty(),
        );
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

async fn one(
    engine: &Engine,
    policy: &Policy,
    number: u64,
    mut line: Vec<u8>,
    limit: u64,
    format: RedactFormat,
) -> Line {
    if line.len() as u64 > limit {
        return Line::Failed {
            code: Code::TooLarge,
            reason: format!("it is longer than {limit} bytes"),
        };
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    let Ok(line) = String::from_utf8(line) else {
        return Line::Failed {
            code: Code::NotUtf8,
            reason: "it is not UTF-8".to_owned(),
        };
    };
    let json = format == RedactFormat::Jsonl;
    if json && line.trim().is_empty() {
        return Line::Done {
            source: Text::default(),
            done: empty(policy),
        };
    }
    let source = Text::from(line);
    let document = Document {
        id: DocumentId::place(&Position::Stdin { line: number }),
        tenant: None,
        position: Position::Stdin { line: number },
        body: if json {
            Body::Json(source.clone())
        } else {
            Body::Text(source.clone())
        },
    };
    match document::process(engine, policy, &document, PlainText::Text).await {
        Ok(done) => Line::Done { source, done },
        Err(error) => Line::Failed {
            code: error.code(),
            reason: error.to_string(),
        },
    }
}

/// A blank line between JSON documents stays one.
fn empty(policy: &Policy) -> Done {
    Done {
        entities: crate::record::Entities {
            document_id: String::new(),
            tenant: policy.tenant.to_string(),
            source: Position::Stdin { line: 0 },
            entities: Vec::new(),
            digests: crate::record::Digests {
                pack: String::new(),
                label_set: String::new(),
                policy: String::new(),
                weir_version: crate::VERSION.to_owned(),
            },
            tokens: 0,
            windows: 0,
        },
        redacted: Redacted::Text(String::new()),
        changes: Vec::new(),
        operators: Default::default(),
    }
}

/// The whole input as one text of any length.
async fn text(
    engine: &Engine,
    policy: &Policy,
    mut input: impl Read,
    entities: bool,
    painter: Painter,
) -> Result<Exit, Failure> {
    let failure =
        |error: &dyn std::fmt::Display| Failure::new(Exit::Io, anyhow::anyhow!("{error}"));
    let mut scan = Scan::start(engine, policy)
        .await
        .map_err(|error| failure(&error))?;
    let mut pieces = document::Pieces::new(policy, "text");
    let mut bytes = Vec::new();
    loop {
        let mut chunk = vec![0; 1 << 16];
        let read = input.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        let valid = match std::str::from_utf8(&bytes) {
            Ok(text) => text.len(),
            // Up to three bytes may be a character that goes on in the next chunk.
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            Err(_) => return Err(failure(&"the input is not UTF-8: nothing more was printed")),
        };
        let text = std::str::from_utf8(&bytes[..valid]).expect("checked above");
        let mut decided: Vec<_> = scan
            .push(text)
            .await
            .map_err(|error| failure(&error))?
            .into_iter()
            .collect();
        bytes.drain(..valid);
        if read == 0 {
            decided.extend(scan.finish().await.map_err(|error| failure(&error))?);
        }
        for piece in decided {
            let mut redacted = String::new();
            pieces
                .redact(&piece.text, &piece.spans, &mut redacted)
                .map_err(|error| failure(&error))?;
            painter.print_piece(
                &piece,
                &redacted,
                std::mem::take(&mut pieces.entities),
                entities,
            )?;
            pieces.changes.clear();
        }
        if read == 0 {
            return Ok(Exit::Done);
        }
    }
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

    fn print(&self, source: &Text, done: &Done, entities: bool) -> Result<(), Failure> {
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
            match &done.redacted {
                Redacted::Text(text) => writeln!(out, "{text}")?,
                Redacted::Record(record) => {
                    out.write_all(record)?;
                    writeln!(out)?;
                }
                Redacted::Row(_) => unreachable!("lines are no rows"),
            }
        }
        // A line is of use to whoever reads the pipe now, not when a buffer is full.
        out.flush()?;
        Ok(())
    }

    fn print_piece(
        &self,
        piece: &crate::pipeline::Piece,
        redacted: &str,
        found: Vec<Entity>,
        entities: bool,
    ) -> Result<(), Failure> {
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
