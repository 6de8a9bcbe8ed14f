//! What a job did.

use std::time::Duration;

use super::{
    exit::{Exit, Failure},
    numbers,
};
use crate::{
    config::{self, Resolved},
    pipeline::job::Summary,
};

/// The last line of a job.
pub(super) fn line(summary: &Summary, time: Duration, dry_run: bool) -> String {
    let mut text = format!(
        "{} in {}: {} documents, {} entities",
        if summary.drained { "drained" } else { "done" },
        numbers::time(time),
        numbers::thousands(summary.documents),
        numbers::thousands(summary.entities)
    );
    if summary.skipped > 0 {
        text += &format!(", {} objects done before", summary.skipped);
    }
    if summary.busy > 0 {
        text += &format!(", {} objects with other workers", summary.busy);
    }
    if summary.unlisted > 0 {
        text += &format!(", {} files left out", summary.unlisted);
    }
    if summary.unknown > 0 {
        text += &format!(", {} objects of unknown formats left out", summary.unknown);
    }
    let dead: u64 = summary.dead_letters.values().sum();
    if dead > 0 {
        let codes: Vec<String> = summary
            .dead_letters
            .iter()
            .map(|(code, count)| format!("{count} {code}"))
            .collect();
        text += &format!(", {dead} dead letters ({})", codes.join(", "));
    }
    if dry_run {
        text += "; nothing was written";
    }
    text
}

/// A job over objects that found none is most likely a typo in its URL or patterns. A worker that polls
/// waits for what comes.
pub(super) fn nothing_to_read(resolved: &Resolved, summary: &Summary) -> Option<Failure> {
    let config::Source::ObjectStore(source) = &resolved.source else {
        return None;
    };
    if source.poll.is_some() || summary.drained || summary.listed > 0 {
        return None;
    }
    let mut why = Vec::new();
    if summary.left_out > 0 {
        why.push(format!(
            "source.include and exclude leave out {}",
            summary.left_out
        ));
    }
    if summary.unknown > 0 {
        why.push(format!(
            "{} have an extension that weir does not read",
            summary.unknown
        ));
    }
    if why.is_empty() {
        why.push("the place is empty".to_owned());
    }
    let error = anyhow::anyhow!("nothing to read at {}: {}", source.url, why.join("; "));
    let hint = "check source.url, include and exclude; source.format reads files of any extension";
    Some(Failure::new(Exit::NoInput, error).hint(hint))
}
