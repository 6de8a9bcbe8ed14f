//! Log lines on standard error: text for people, JSON for machines; repeats are counted.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Map, Value as Json};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use super::trace;
use crate::config::telemetry::{LogFormat, LogLevel};

/// A line that repeats is printed once in this time, with a count.
pub const REPEAT: Duration = Duration::from_secs(10);

/// Lines that are remembered to find repeats; with more different ones than this in ten seconds,
/// the rest is printed as it comes.
const REMEMBERED: usize = 1024;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Style {
    Text { colour: bool },
    Json,
}

impl Style {
    /// What a format means on standard error; `colour` is asked only for text.
    pub fn of(format: LogFormat, colour: bool) -> Self {
        match format {
            LogFormat::Text => Self::Text { colour },
            LogFormat::Json => Self::Json,
            LogFormat::Auto if std::io::stderr().is_terminal() => Self::Text { colour },
            LogFormat::Auto => Self::Json,
        }
    }
}

/// Starts logging to standard error, once in a process; later calls change nothing. Keep the
/// handle and [`Lines::flush`] it at the end, so that the last counts are printed.
pub fn init(style: Style, level: LogLevel) -> Lines {
    let lines = Lines::new(style, Box::new(std::io::stderr()));
    let _ = tracing_subscriber::registry()
        // A filter of all layers, not of this one: with per-layer filters (tracing-subscriber 0.3.23) events
        // of a thread were lost now and then while another thread met a line for the first time.
        .with(targets(level))
        .with(lines.clone())
        .try_init();
    lines
}

/// weir at its level, everything else only when it fails: libraries log what they handle.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("weir", level)
        // Prints URLs and headers, credentials among them, at its lower levels.
        .with_target("hyper", LevelFilter::ERROR)
        // weir tells what a collector does not take (`telemetry/otlp/flow.rs`). A line from inside of a processor that
        // a line is being given to would wait for itself.
        .with_target("opentelemetry", LevelFilter::OFF)
}

/// A layer that writes lines.
#[derive(Clone)]
pub struct Lines {
    style: Style,
    state: Arc<Mutex<State>>,
}

struct State {
    out: Box<dyn Write + Send>,
    seen: HashMap<Line, Seen>,
}

struct Seen {
    printed: Instant,
    repeats: u64,
}

/// A line without its time: what must be equal to be a repeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    level: Level,
    target: &'static str,
    message: String,
    fields: Vec<(&'static str, Scalar)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scalar {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(u64),
    Bool(bool),
}

impl Lines {
    /// Lines in a style to a writer.
    pub fn new(style: Style, out: Box<dyn Write + Send>) -> Self {
        Self {
            style,
            state: Arc::new(Mutex::new(State {
                out,
                seen: HashMap::new(),
            })),
        }
    }

    /// Prints the counts of lines that repeated and were held back.
    pub fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (line, seen) in std::mem::take(&mut state.seen) {
            if seen.repeats > 0 {
                self.print(&mut state, &line, seen.repeats);
            }
        }
        let _ = state.out.flush();
    }

    fn line(&self, line: Line, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle_expired(&mut state, now);
        if let Some(seen) = state.seen.get_mut(&line) {
            seen.repeats += 1;
            return;
        }
        self.print(&mut state, &line, 0);
        if state.seen.len() < REMEMBERED {
            let seen = Seen {
                printed: now,
                repeats: 0,
            };
            state.seen.insert(line, seen);
        }
    }

    /// Forgets lines whose time is over, printing the counts of those that repeated.
    fn settle_expired(&self, state: &mut State, now: Instant) {
        let expired: Vec<Line> = state
            .seen
            .iter()
            .filter(|(_, seen)| now.saturating_duration_since(seen.printed) >= REPEAT)
            .map(|(line, _)| line.clone())
            .collect();
        for line in expired {
            match state.seen.remove(&line) {
                Some(Seen { repeats: 0, .. }) | None => {}
                Some(Seen { repeats, .. }) => self.print(state, &line, repeats),
            }
        }
    }

    fn print(&self, state: &mut State, line: &Line, repeats: u64) {
        let mut text = match self.style {
            Style::Json => line.json(repeats),
            Style::Text { colour } => line.text(repeats, colour),
        };
        text.push('\n');
        // Standard error is the last place to complain to.
        let _ = state.out.write_all(text.as_bytes());
        #[cfg(feature = "otlp")]
        line.send(repeats);
    }
}

impl Line {
    fn json(&self, repeats: u64) -> String {
        let mut object = Map::new();
        object.insert(
            "timestamp".to_owned(),
            jiff::Timestamp::now().to_string().into(),
        );
        object.insert(
            "level".to_owned(),
            self.level.to_string().to_lowercase().into(),
        );
        object.insert("target".to_owned(), self.target.into());
        object.insert("message".to_owned(), self.message.as_str().into());
        for (name, value) in &self.fields {
            object.insert((*name).to_owned(), value.json());
        }
        if repeats > 0 {
            object.insert("repeated".to_owned(), repeats.into());
        } else if let Some((trace, span)) = trace::current_ids() {
            object.insert("trace_id".to_owned(), trace.into());
            object.insert("span_id".to_owned(), span.into());
        }
        Json::Object(object).to_string()
    }

    /// To the collector, if lines go there.
    #[cfg(feature = "otlp")]
    fn send(&self, repeats: u64) {
        use opentelemetry::logs::AnyValue;
        let fields = self.fields.iter().map(|(name, value)| {
            let value = match value {
                Scalar::Text(text) => AnyValue::from(text.clone()),
                Scalar::Signed(i) => AnyValue::Int(*i),
                Scalar::Unsigned(u) => AnyValue::Int(i64::try_from(*u).unwrap_or(i64::MAX)),
                Scalar::Float(bits) => AnyValue::Double(f64::from_bits(*bits)),
                Scalar::Bool(b) => AnyValue::Boolean(*b),
            };
            (*name, value)
        });
        let repeated = i64::try_from(repeats).unwrap_or(i64::MAX);
        let repeated = (repeats > 0).then_some(("repeated", AnyValue::Int(repeated)));
        let attributes = fields.chain(repeated);
        super::otlp::logs::emit(self.level, self.target, &self.message, attributes);
    }

    fn text(&self, repeats: u64, colour: bool) -> String {
        let style = match (colour, self.level) {
            (false, _) => anstyle::Style::new(),
            (_, Level::ERROR) => anstyle::AnsiColor::Red.on_default().bold(),
            (_, Level::WARN) => anstyle::AnsiColor::Yellow.on_default(),
            _ => anstyle::Style::new().dimmed(),
        };
        let level = self.level.to_string().to_lowercase();
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let mut text = format!(
            "{time} {style}{level:5}{style:#} {}",
            escaped(&self.message)
        );
        for (name, value) in &self.fields {
            let _ = match value {
                Scalar::Text(value) => write!(text, " {name}={}", escaped(value)),
                value => write!(text, " {name}={}", value.json()),
            };
        }
        if repeats > 0 {
            let _ = write!(text, " repeated={repeats}");
        }
        text
    }
}

/// Control characters can't move the cursor or begin a line of their own.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        })
        .collect()
}

impl Scalar {
    fn json(&self) -> Json {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Signed(i) => (*i).into(),
            Self::Unsigned(u) => (*u).into(),
            Self::Float(bits) => f64::from_bits(*bits).into(),
            Self::Bool(b) => (*b).into(),
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, Scalar)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.fields.push((name, Scalar::Text(text))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            name => self.fields.push((name, Scalar::Text(value.to_owned()))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Scalar::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Scalar::Unsigned(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields
            .push((field.name(), Scalar::Float(value.to_bits())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Scalar::Bool(value)));
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            message: fields.message,
            fields: fields.fields,
        };
        self.line(line, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Buffer {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    fn lines(style: Style) -> (Lines, Buffer) {
        let buffer = Buffer::default();
        (Lines::new(style, Box::new(buffer.clone())), buffer)
    }

    #[test]
    fn json_lines_have_the_documented_names_in_order() {
        let (lines, buffer) = lines(Style::Json);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(tenant = "acme", documents = 7_u64, code = %"too_large", "dead letter");
        });
        let lines = buffer.lines();
        let line: Json = serde_json::from_str(&lines[0]).unwrap();
        let names: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "timestamp",
                "level",
                "target",
                "message",
                "tenant",
                "documents",
                "code"
            ]
        );
        assert_eq!(line["level"], "warn");
        assert_eq!(line["message"], "dead letter");
        assert_eq!(line["documents"], 7);
        assert_eq!(line["code"], "too_large");
    }

    fn line(message: &str) -> Line {
        Line {
            level: Level::WARN,
            target: "weir",
            message: message.to_owned(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn a_line_that_repeats_is_printed_once_in_ten_seconds_with_its_count() {
        let (lines, buffer) = lines(Style::Text { colour: false });
        let start = Instant::now();
        for i in 0..50 {
            lines.line(line("no answer"), start + Duration::from_millis(i * 100));
        }
        assert_eq!(buffer.lines().len(), 1);
        lines.line(line("another"), start + Duration::from_secs(11));
        let printed = buffer.lines();
        assert_eq!(printed.len(), 3, "{printed:?}");
        assert!(
            printed[1].ends_with("warn  no answer repeated=49"),
            "{}",
            printed[1]
        );
        assert!(printed[2].ends_with("another"));
        lines.line(line("another"), start + Duration::from_secs(12));
        lines.flush();
        assert!(buffer.lines()[3].ends_with("another repeated=1"));
    }

    #[test]
    fn a_line_break_in_a_field_makes_no_second_line() {
        let (lines, buffer) = lines(Style::Text { colour: false });
        lines.line(line("a\nb\u{1b}[2J"), Instant::now());
        assert_eq!(buffer.lines().len(), 1);
        assert!(buffer.lines()[0].ends_with("a\\nb\\u{1b}[2J"));
    }
}
