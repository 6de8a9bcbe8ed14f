//! `weir audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Configuration, log};
use crate::audit::Fault;

/// `weir audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum Audit {
    /// Report what was done: documents, findings, dead letters and policies by tenant, no values
    #[command(after_help = REPORT)]
    Report(Report),
    /// Check an audit feed or a sink of files: nothing changed, nothing missing, each record answered for once
    #[command(after_help = VERIFY)]
    Verify(Verify),
    /// Make a key pair for a worker, a notary or a witness
    #[command(after_help = log::KEYGEN)]
    Keygen(log::Keygen),
    /// Keep a log of the audit feed, and sign it at every interval
    #[command(after_help = log::NOTARY)]
    Notary(log::Notary),
    /// Prove from an archive that one record of the source was audited
    #[command(after_help = log::PROVE)]
    Prove(log::Prove),
}

/// A feed or a sink of files, and how it is checked.
#[derive(Debug, Clone, Args)]
pub struct Feed {
    /// Files of audit records, one JSON object in each line, in the order of the topic; folders of the topic's
    /// partitions, as they stand in a broker's data folder; - is standard input
    /// [default: sink.topics.audit of the configuration]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Folder or prefix of a sink of files: check its commit records and what they list, and no feed
    /// [default: sink.url of a configuration whose sink is of type "object_store"]
    #[arg(long, value_name = "URL", conflicts_with_all = ["files", "trust"])]
    pub objects: Option<String>,
    /// TOML file of options for the store of the files, such as aws_region
    #[arg(long, value_name = "FILE", requires = "objects")]
    pub objects_options: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// TOML file of trusted keys: seals of workers must be of its `workers`
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Copy of a broker's data folder: its segments say why offsets of the source are missing, without a broker
    #[arg(long, value_name = "FOLDER", requires = "files")]
    pub segments: Option<PathBuf>,
    /// Accept faults of this kind, whose cause you know; repeat it for more
    #[arg(long, value_name = "KIND", value_parser = Fault::ACCEPTABLE)]
    pub accept: Vec<String>,
}

/// `weir audit verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// What is read, and how it is checked.
    #[command(flatten)]
    pub feed: Feed,
    /// Proof of `weir audit prove`: check this proof, and no feed
    #[arg(
        long,
        value_name = "FILE",
        requires = "trust",
        conflicts_with_all = ["files", "objects"]
    )]
    pub proof: Option<PathBuf>,
    /// An archive, and how it is checked.
    #[command(flatten)]
    pub archive: Archive,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// An archive that is checked.
#[derive(Debug, Clone, Args)]
pub struct Archive {
    /// Folder or prefix of a notary's archive: check all of it, and ask no broker
    #[arg(
        long,
        value_name = "URL",
        requires = "trust",
        conflicts_with_all = ["files", "proof"]
    )]
    pub archive: Option<String>,
    /// TOML file of options for the archive's store, such as aws_region
    #[arg(long, value_name = "FILE", requires = "archive")]
    pub archive_options: Option<PathBuf>,
    /// Folder or prefix in which an anchor of the notary keeps heads: all of them must be of this archive; repeat it for more
    #[arg(long, value_name = "URL", requires = "archive")]
    pub anchor: Vec<String>,
    /// TOML file of options for the anchors' stores
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub anchor_options: Option<PathBuf>,
    /// File with the last head that you checked: the archive must have grown from it. weir writes the new head into it
    /// once all of the archive holds
    #[arg(long, value_name = "FILE", requires = "archive")]
    pub state: Option<PathBuf>,
}

/// `weir audit report`.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// What is read, and how it is checked.
    #[command(flatten)]
    pub feed: Feed,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub format: Form,
}

/// Form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Form {
    Text,
    Json,
    Csv,
    Html,
    /// An event of OpenLineage: topics, and for each field whether its values are masked
    Openlineage,
}

const REPORT: &str = "Examples:
  weir audit report --config stream.toml
  weir audit report --config stream.toml --format html > report.html
  weir audit report audit.jsonl --format csv
  weir audit report --config stream.toml --format openlineage | \
      curl --json @- https://lineage.example/api/v1/lineage

The report ends with the result of `weir audit verify` for the same records. Exit code 0 if it was made, whatever the
result is.";

const VERIFY: &str = "Examples:
  weir audit verify --config stream.toml
  weir audit verify --config stream.toml --accept expired --json
  weir audit verify audit.jsonl
  weir audit verify copy/weir.audit-* --segments copy
  weir audit verify --config lake.toml
  weir audit verify --objects s3://lake/clean/tickets
  weir audit verify --proof proof.json --trust trust.toml
  weir audit verify --archive s3://audit/documents --trust trust.toml --state last-head.note
  weir audit verify --archive copy/ --anchor copy-of-anchor/ --trust trust.toml

Without files, weir reads the audit topic, and asks the brokers what the group has committed and why offsets are
missing. With files it asks nobody: then it cannot know whether the end of the feed is missing. With --segments it reads why
offsets are missing from the files of the source's partitions, copied from a broker that is stopped or running.

With --archive weir needs no broker, and no configuration. It compares every object of the archive with the head that the
notary signed. UNANCHORED says that all of it holds, but only the notary vouches for it: name witnesses and a `quorum` in
the trust file, or a copy of the heads with --anchor.

If the sink is an object store, or with --objects, weir reads all commit records of the sink and every file that they list.

Exit code 0 if the result is PROVEN, 1 if it is UNANCHORED, INCOMPLETE, BROKEN or NOT PROVABLE.";
