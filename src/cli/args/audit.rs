//! `weir audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Configuration, log};
use crate::audit::Fault;

/// `weir audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum Audit {
    /// Check an audit feed: nothing changed, nothing missing, each offset answered for once
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

/// `weir audit verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Files of audit records, one JSON object in each line, in the order of the topic; - is standard input
    /// [default: sink.topics.audit of the configuration]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Accept faults of this kind, which you have looked at; repeat it for more
    #[arg(long, value_name = "KIND", value_parser = Fault::ACCEPTABLE)]
    pub accept: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

const VERIFY: &str = "Examples:
  weir audit verify --config stream.toml
  weir audit verify --config stream.toml --accept expired --json
  weir audit verify audit.jsonl

Without files, weir reads the audit topic, and asks the brokers what the group has committed and why offsets are
missing. With files it asks nobody: then it cannot know whether the end of the feed is missing.

Exit code 0 if the feed is PROVEN, 1 if it is INCOMPLETE, BROKEN or NOT PROVABLE.";
