//! The flags of `weir reveal`.

use std::path::PathBuf;

use clap::Args;

/// `weir reveal`.
#[derive(Debug, Clone, Args)]
pub struct Reveal {
    /// Token; without it weir reads standard input and replaces every token in it
    #[arg(value_name = "TOKEN")]
    pub token: Option<String>,
    /// Tenant file whose keys read the tokens
    #[arg(long, short, value_name = "FILE", env = "WEIR_TENANT")]
    pub tenant: PathBuf,
    /// Why the values are needed
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Ticket that asks for them
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// Who reads them [default: the login of the environment]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// File to which weir appends an event for each value, before it prints any
    #[arg(long, value_name = "PATH", required_unless_present = "config")]
    pub audit: Option<PathBuf>,
    /// Configuration whose topic sink.topics.reveals gets the events instead of a file
    #[arg(long, value_name = "FILE", conflicts_with = "audit")]
    pub config: Option<PathBuf>,
    /// Identities of age, for sealed values
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// The input is one value of this label, whose digits were encrypted (format = "digits")
    #[arg(long, short, value_name = "LABEL", conflicts_with_all = ["identity", "json"])]
    pub label: Option<String>,
    /// Id of the key that encrypted the digits [default: the primary key, or the only one]
    #[arg(long, value_name = "ID", requires = "label")]
    pub key: Option<String>,
    /// Escape values as JSON strings are, for tokens inside JSON documents
    #[arg(long)]
    pub json: bool,
}

pub(super) const HELP: &str = "Examples:
  weir reveal --tenant tenants/acme.toml --audit reveals.jsonl --reason 'complaint' 'weir:1:k1:person:…:'
  weir reveal --tenant tenants/acme.toml --audit reveals.jsonl --reason 'court order' --ticket LEGAL-7 < note.txt
  weir reveal --tenant tenants/acme.toml --audit reveals.jsonl --reason 'call back' --label phone '+49 151 23456789'
  weir reveal --tenant tenants/acme.toml --config stream.toml --reason 'court order' < note.txt

Exit code 0 if every token was read, 1 if one was not, 66 if the input holds none. Without an event on disk, or one that
all replicas in sync of the topic have acknowledged, weir prints no value.";
