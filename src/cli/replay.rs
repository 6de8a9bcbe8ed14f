//! `weir replay`: sends dead letters of a stream back after their cause was fixed.

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble,
    config::Route,
    pipeline::replay::{self, Summary},
};

/// Sends dead letters back.
pub fn execute(args: &args::Replay) -> Result<Exit, Failure> {
    let resolved = args.configuration.resolve()?;
    let Route::TopicsToTopics(source, sink) = resolved.route() else {
        let error = anyhow::anyhow!("`weir replay` needs a source and a sink of type \"kafka\"");
        return Err(Failure::new(Exit::Config, error).hint(
            "to process an object again, remove its outputs and its record in _weir/commits",
        ));
    };
    let codes = args.code.iter().copied().collect();
    let from = args.from.clone();
    let options = assemble::replay::options(source, sink, from, codes, args.dry_run)?;
    let summary = replay::run(options)?;
    out::data(&told(&summary, args.dry_run))?;
    Ok(Exit::Done)
}

fn told(summary: &Summary, dry_run: bool) -> String {
    let count: u64 = summary.sent.values().sum();
    let mut text = match dry_run {
        true => format!("{count} to send"),
        false => format!("{count} sent back"),
    };
    if count > 0 {
        let codes = summary.sent.iter();
        let codes: Vec<String> = codes
            .map(|(code, count)| format!("{count} {code}"))
            .collect();
        text += &format!(" ({})", codes.join(", "));
    }
    if summary.expired > 0 {
        text += &format!(", {} expired: no longer in their topics", summary.expired);
    }
    if summary.foreign > 0 {
        text += &format!(
            ", {} skipped: not dead letters of a topic record",
            summary.foreign
        );
    }
    text
}
