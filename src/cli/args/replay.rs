//! `weir replay`.

use clap::Args;

use super::Configuration;
use crate::record::Code;

/// `weir replay`.
#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// The configuration.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Topic of the dead letters [default: sink.topics.dead_letters]
    #[arg(long, value_name = "TOPIC")]
    pub from: Option<String>,
    /// Send only dead letters with this code; repeat it for more
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub code: Vec<Code>,
    /// Count the dead letters, but send nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) const REPLAY: &str = "Examples:
  weir replay --config stream.toml --dry-run
  weir replay --config stream.toml --code unknown_tenant

weir reads each record again from its place and writes it behind the others of its partition. The
groups GROUP.replay.CODE remember what was sent: a second replay sends nothing twice.";

fn code(text: &str) -> Result<Code, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        "not a code of a dead letter, such as unknown_tenant or model_failed".to_owned()
    })
}
