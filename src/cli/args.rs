//! The command line: every subcommand with its flags and examples.

mod audit;
mod forget;
pub mod log;
mod packs;
mod replay;
mod reveal;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::audit::{Archive, Audit, Feed, Form, Report, Verify};
pub use self::forget::Forget;
pub use self::packs::{Sign, VerifyPack};
pub use self::replay::Replay;
pub use self::reveal::Reveal;
use super::exit;
use crate::{
    config::{Config, Resolved, telemetry::LogLevel},
    diagnose::Problems,
    model::PackRef,
};

/// Finds the entities that each tenant asked for in streams of documents, and redacts them.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP)
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every subcommand.
    #[command(flatten)]
    pub global: Global,
}

const EXAMPLES: &str = "Examples:
  weir init --preset logs            write a configuration and a tenant to start from
  weir check --config weir.toml      validate everything, write nothing
  weir run --config weir.toml        run the job
  echo 'Mail ana@ruiz.example' | weir redact -l email --show";

/// Flags of every subcommand.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// When to use colours; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        env = "WEIR_COLOR"
    )]
    pub color: Color,
    /// Lowest level that weir logs; takes precedence over telemetry.log_level
    #[arg(long, global = true, value_name = "LEVEL", env = "WEIR_LOG_LEVEL")]
    pub log_level: Option<LogLevel>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job: read documents, write entities and redactions
    #[command(after_help = RUN)]
    Run(Run),
    /// Redact text, JSON lines or log lines in a pipe
    #[command(after_help = REDACT)]
    Redact(Redact),
    /// Read encrypted values back, after an event of it is on disk
    #[command(after_help = reveal::HELP)]
    Reveal(Reveal),
    /// Destroy the keys of a data subject, after an event of it is on disk
    #[command(after_help = forget::HELP)]
    Forget(Forget),
    /// Show how a running worker is: rate, lag, latency, queue, dead letters
    #[command(after_help = STATUS)]
    Status(Status),
    /// Validate configuration and tenants; open nothing for writing
    #[command(after_help = CHECK)]
    Check(Check),
    /// Write a commented configuration and tenant to start from
    #[command(after_help = INIT)]
    Init(Init),
    /// Run the examples inside tenant files
    #[command(after_help = TEST)]
    Test(Test),
    /// Show a tenant's labels, their nearest neighbours and clashes
    #[command(after_help = LABELS)]
    Labels(Labels),
    /// Measure precision, recall and F1 on evaluation files
    #[command(after_help = EVAL)]
    Eval(Eval),
    /// Measure speed on this machine
    #[command(after_help = BENCH)]
    Bench(Bench),
    /// Describe a model pack, verify it, or tune it for this machine
    #[command(subcommand)]
    Model(Model),
    /// Send dead letters of a stream back to their topics
    #[command(after_help = replay::REPLAY)]
    Replay(Replay),
    /// Check an audit feed, report on it, sign it, prove its records
    #[command(subcommand)]
    Audit(Audit),
    /// Print the JSON Schema of a file or record
    #[command(after_help = SCHEMA)]
    Schema(Schema),
    /// Print the completion script of a shell
    #[command(after_help = COMPLETIONS)]
    Completions(Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Man(Man),
}

/// The configuration and what overrides it.
#[derive(Debug, Clone, Args)]
pub struct Configuration {
    /// Configuration file
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "WEIR_CONFIG",
        default_value = "weir.toml"
    )]
    pub config: PathBuf,
    /// Override a key: section.key=value
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Configuration {
    /// The configuration, ready to be used.
    pub fn resolve(&self) -> Result<Resolved, Problems> {
        Config::load(&self.config, std::env::vars_os(), &self.set)?.resolve(&self.config)
    }
}

/// `weir run`.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Process the input, but write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Stop after this many documents
    #[arg(long, value_name = "DOCUMENTS")]
    pub limit: Option<u64>,
    /// Print no progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl Run {
    /// Whether only a part is gone through, or nothing is written.
    pub fn is_trial(&self) -> bool {
        self.dry_run || self.limit.is_some()
    }
}

const RUN: &str = "Examples:
  weir run --config weir.toml
  weir run --config weir.toml --dry-run --limit 1000
  WEIR_SOURCE__URL=s3://lake/raw weir run --set batch.max_tokens=2048

If a job was stopped or killed, run it again: it continues with what is not done.";

/// `weir status`.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// The worker: host and port of its telemetry.listen, or a URL [default: telemetry.listen of the configuration]
    #[arg(value_name = "URL")]
    pub worker: Option<String>,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Show it again at every interval, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
    /// Seconds between two samples, of which the rates are
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    pub interval: f64,
    /// Print JSON; with --watch one object per line
    #[arg(long)]
    pub json: bool,
}

const STATUS: &str = "Examples:
  weir status                          of the worker of weir.toml on this machine
  weir status weir-0.weir:9464 --watch
  weir status --json | jq .lag.records

Exit code 0 if the worker is ready, 1 if it is not ready or stuck, 69 if it does not answer.";

fn interval(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 3600".to_owned()),
    }
}

/// `weir redact`.
#[derive(Debug, Clone, Args)]
pub struct Redact {
    /// Input; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub input: PathBuf,
    /// What to look for, in plain words; repeat it for more
    #[arg(long, short, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Use the labels and operators of a tenant file
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "WEIR_TENANT",
        conflicts_with = "label"
    )]
    pub tenant: Option<PathBuf>,
    /// Built-in patterns, in addition to those that the labels switch on
    #[arg(long, short, value_name = "PATTERN", conflicts_with = "tenant")]
    pub pattern: Vec<String>,
    /// Lowest probability of a span
    #[arg(long, value_name = "0..1", conflicts_with = "tenant", value_parser = probability)]
    pub threshold: Option<f32>,
    /// Model pack: its name, or the path of its folder. Repeat it to ask several packs: what any of them finds counts
    #[arg(
        long,
        short,
        value_name = "PACK",
        env = "WEIR_PACK",
        default_value = PACK,
        value_parser = pack
    )]
    pub model: Vec<PackRef>,
    /// Format of the input
    #[arg(long, short, value_name = "FORMAT", default_value = "auto")]
    pub format: RedactFormat,
    /// Encoding of the input, such as windows-1252, shift_jis or utf-16le. Without it, weir
    /// recognises UTF-8, UTF-16 and UTF-32 by the first bytes. The output is UTF-8
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<crate::source::Encoding>,
    /// Regular expression of a line that begins a text of several lines, such as '^[0-9]{4}-'
    #[arg(long, value_name = "REGEX")]
    pub multiline_start_pattern: Option<regex::bytes::Regex>,
    /// Regular expression that decides, together with the mode, where such a text ends [default:
    /// the start pattern]
    #[arg(long, value_name = "REGEX", requires = "multiline_start_pattern")]
    pub multiline_condition_pattern: Option<regex::bytes::Regex>,
    /// What a line that matches the condition pattern means
    #[arg(
        long,
        value_name = "MODE",
        default_value = "halt_before",
        requires = "multiline_start_pattern"
    )]
    pub multiline_mode: MultilineMode,
    /// Show the input with the entities highlighted, then the result
    #[arg(long)]
    pub show: bool,
    /// Print entity records instead of the redacted text
    #[arg(long, conflicts_with = "show")]
    pub entities: bool,
}

/// Format of what `weir redact` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RedactFormat {
    /// By the extension: .txt is text, .jsonl and .ndjson are jsonl, .json is json. In any other
    /// file and on standard input, each line is JSON if it is a JSON object, otherwise text
    Auto,
    /// The whole input is one text
    Text,
    /// Each line is a text
    Lines,
    /// Each line is a JSON object; weir adds `redactions` to it
    Jsonl,
    /// JSON objects in a row, or in an array; weir adds `redactions` to each
    Json,
}

/// What a line that matches the condition pattern means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum MultilineMode {
    /// The text continues while lines match
    ContinueThrough,
    /// The text continues while lines match, and includes one line more
    ContinuePast,
    /// The text ends before the first line that matches
    HaltBefore,
    /// The text ends with the first line that matches
    HaltWith,
}

fn encoding(label: &str) -> Result<crate::source::Encoding, String> {
    crate::source::Encoding::of_label(label).ok_or_else(|| {
        "not an encoding that weir reads; use a name of https://encoding.spec.whatwg.org".to_owned()
    })
}

const REDACT: &str = "Examples:
  echo 'Mail Ana Ruiz, ana@ruiz.example' | weir redact -l person -l email --show
  tail -f app.log | weir redact -l person -l 'phone number'
  weir redact --tenant tenants/acme.toml chat.jsonl > chat.redacted.jsonl
  weir redact -p email --encoding windows-1252 old.log > old.redacted.log";

/// `weir check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Configuration file; without it weir.toml, if it exists
    #[arg(long, short, value_name = "FILE", env = "WEIR_CONFIG")]
    pub config: Option<PathBuf>,
    /// More files to check: tenant files, configurations, and TOML fences in Markdown pages
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Override a key: section.key=value
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also open stores and brokers: list the source, check that the sink can be reached; write
    /// nothing but one object to each store of subject keys, which weir deletes at once
    #[arg(long)]
    pub connect: bool,
    /// Print every key with its value and origin
    #[arg(long)]
    pub explain: bool,
    /// Also check whether `weir run --dry-run` would start
    #[arg(long)]
    pub dry_run: bool,
    /// Also check whether `weir run --limit` would start
    #[arg(long, value_name = "DOCUMENTS")]
    pub limit: Option<u64>,
}

const CHECK: &str = "Examples:
  weir check --config weir.toml
  weir check --config weir.toml --connect --explain
  weir check tenants/acme.toml docs/*.md

Exit code 0 if weir finds no error, 1 if it does. weir lists the checks that it skipped.";

/// `weir init`.
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// Where to write weir.toml and tenants/
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Kind of documents
    #[arg(long, value_name = "PRESET", default_value = "logs")]
    pub preset: Preset,
}

/// Kind of documents
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Log files, one document per line
    Logs,
    /// Parquet tables in an object store
    Lake,
    /// JSON lines with nested fields
    Json,
    /// JSON lines; the identifiers of HIPAA's Safe Harbor (docs/preset-hipaa.md)
    HipaaSafeHarbor,
    /// JSON lines; pseudonyms by a key (docs/preset-gdpr.md)
    GdprPseudonymisation,
    /// JSON lines; card numbers and codes (docs/preset-pci.md)
    PciDss,
}

const INIT: &str = "Examples:
  weir init
  weir init --preset lake jobs/tickets

weir never overwrites an existing file.";

/// `weir test`.
#[derive(Debug, Clone, Args)]
pub struct Test {
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Only this tenant; repeat it for more
    #[arg(long, short, value_name = "NAME")]
    pub tenant: Vec<String>,
}

const TEST: &str = "Examples:
  weir test --config weir.toml
  weir test --config weir.toml --tenant acme

Exit code 0 if every example gives the expected result, 1 if not.";

/// `weir labels`.
#[derive(Debug, Clone, Args)]
pub struct Labels {
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Only this tenant
    #[arg(long, short, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Labels to compare instead of a tenant's
    #[arg(long, short, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Model pack: its name, or the path of its folder; takes precedence over model.pack
    #[arg(long, short, value_name = "PACK", env = "WEIR_PACK", value_parser = pack)]
    pub model: Option<PackRef>,
    /// Neighbours shown for each label
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub neighbours: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const LABELS: &str = "Examples:
  weir labels --config weir.toml --tenant acme
  weir labels -l person -l customer -l 'bank account' --model weir-mini";

/// `weir eval`.
#[derive(Debug, Clone, Args)]
pub struct Eval {
    /// Evaluation files: JSON lines with text, entities and types
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Model pack: its name, or the path of its folder. Repeat it to ask several packs: what any of them finds counts
    #[arg(
        long,
        short,
        value_name = "PACK",
        env = "WEIR_PACK",
        default_value = PACK,
        value_parser = pack
    )]
    pub model: Vec<PackRef>,
    /// Use a tenant's labels, patterns and thresholds instead of the corpus' own labels
    #[arg(long, short, value_name = "FILE", env = "WEIR_TENANT")]
    pub tenant: Option<PathBuf>,
    /// Threshold of all labels; without it, the default of tenants' labels
    #[arg(long, value_name = "0..1", value_parser = probability)]
    pub threshold: Option<f32>,
    /// Measure at thresholds from 0 to 1: characters found against over-redaction
    #[arg(long, conflicts_with_all = ["threshold", "tenant", "min_f1", "found"])]
    pub curve: bool,
    /// Write the entities to a file: one line for each example, without its text
    #[arg(long, value_name = "FILE")]
    pub found: Option<PathBuf>,
    /// Use the model alone, without pattern recognisers
    #[arg(long)]
    pub no_patterns: bool,
    /// Maximum number of examples from each file
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// Exit with 1 if typed F1 is below this
    #[arg(long, value_name = "0..1", value_parser = probability)]
    pub min_f1: Option<f32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const EVAL: &str = "Examples:
  weir eval data/test.jsonl
  weir eval data/*.jsonl --limit 500 --json
  weir eval data/test.jsonl --curve           what each threshold finds and over-redacts
  weir eval data/test.jsonl --min-f1 0.6      in a test: exit code 1 below 0.6";

/// `weir bench`.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// Texts to run on: files of lines or JSON lines; without it, the texts in the box
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Model pack: its name, or the path of its folder
    #[arg(
        long,
        short,
        value_name = "PACK",
        env = "WEIR_PACK",
        default_value = PACK,
        value_parser = pack
    )]
    pub model: PackRef,
    /// Label counts to measure; a fixed head uses its own categories instead
    #[arg(
        long,
        value_name = "COUNTS",
        value_delimiter = ',',
        default_value = "4,64,1000"
    )]
    pub labels: Vec<usize>,
    /// Tokens per batch, including padding; without it, the value that `weir model tune` found, or
    /// 1,024
    #[arg(long, value_name = "TOKENS")]
    pub max_tokens: Option<u32>,
    /// Rounds of bare model and job; weir reports the median
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Threads; without it, one for each core
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<u16>,
    /// Maximum number of documents
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const BENCH: &str = "Examples:
  weir bench
  weir bench data/logs/*.log --limit 20000 --json";

/// `weir model`.
#[derive(Debug, Clone, Subcommand)]
pub enum Model {
    /// Show what a pack is: family, sizes, digest, calibration
    #[command(after_help = "Examples:\n  weir model inspect weir-mini")]
    Inspect(Pack),
    /// Compare every file of a pack with its sha256, and the pack with its signature
    #[command(after_help = packs::VERIFY)]
    Verify(VerifyPack),
    /// Sign a pack, so that workers can refuse packs of others
    #[command(after_help = packs::SIGN)]
    Sign(Sign),
    /// Find out how a pack runs fastest on this machine, and store the result in the pack's folder
    #[command(after_help = TUNE)]
    Tune(Tune),
}

/// `weir model tune`.
#[derive(Debug, Clone, Args)]
pub struct Tune {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pack: Pack,
    /// Texts to measure on, such as lines of your logs; without it, a mixture of short and long
    /// texts
    #[arg(long, value_name = "FILE")]
    pub texts: Vec<PathBuf>,
    /// Seconds for each way to run it, without loading
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0)]
    pub seconds: f64,
    /// Threads; without it, one for each core
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<u16>,
    /// Keep no copy with packed weights: saves the space, but each session packs its own
    #[arg(long)]
    pub no_copy: bool,
}

const TUNE: &str = "Examples:
  weir model tune weir-mini
  weir model tune models/large --texts data/logs/today.log

Writes graph, sessions, threads and tokens per batch to tuned.toml in the pack's folder. On this machine,
`weir run` and the other commands use what the configuration does not set. Remove the file to undo it.";

/// A model pack.
#[derive(Debug, Clone, Args)]
pub struct Pack {
    /// Model pack: its name, or the path of its folder
    #[arg(
        value_name = "PACK",
        env = "WEIR_PACK",
        default_value = PACK,
        value_parser = pack
    )]
    pub model: PackRef,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `weir schema`.
#[derive(Debug, Clone, Args)]
pub struct Schema {
    /// Which one
    #[arg(value_name = "WHICH")]
    pub which: SchemaOf,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The configuration
    Config,
    /// A tenant file
    Tenant,
    /// An entities record
    Entities,
    /// A redaction record
    Redaction,
    /// A dead-letter record
    DeadLetter,
    /// An audit record
    Audit,
    /// An event of `weir reveal`
    Reveal,
    /// An event of `weir forget`
    Forget,
    /// An entities record, as Avro
    #[cfg(feature = "kafka")]
    EntitiesAvro,
    /// A redaction record, as Avro
    #[cfg(feature = "kafka")]
    RedactionAvro,
    /// A dead-letter record, as Avro
    #[cfg(feature = "kafka")]
    DeadLetterAvro,
    /// An audit record, as Avro
    #[cfg(feature = "kafka")]
    AuditAvro,
    /// The configuration reference, as Markdown
    #[value(hide = true)]
    Docs,
    /// The reference of metrics, as Markdown
    #[value(hide = true)]
    Metrics,
}

const SCHEMA: &str = "Examples:
  weir schema config > weir.schema.json      then start weir.toml with `#:schema ./weir.schema.json`
  weir schema tenant > tenant.schema.json";

/// `weir completions`.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// Shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

const COMPLETIONS: &str = "Examples:
  weir completions bash > ~/.local/share/bash-completion/completions/weir
  weir completions zsh > ~/.zfunc/_weir";

/// `weir man`.
#[derive(Debug, Clone, Args)]
pub struct Man {
    /// Folder that gets one page per command
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// The pack in the box.
pub const PACK: &str = "weir-mini";

/// A name of the command line is looked for in the working directory first.
pub fn pack(named: &str) -> Result<PackRef, String> {
    match named {
        "" => Err("the name of a pack, or the path of its folder".to_owned()),
        named => Ok(PackRef::new(named, std::path::Path::new(""))),
    }
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}
