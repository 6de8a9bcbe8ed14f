//! A reading as people read it: a page, or one line for a log.

use std::{collections::BTreeMap, time::Duration};

use super::{
    quantile::Quantile,
    reading::{EndToEnd, Fill, Lag, Of, Reading},
};
use crate::cli::{numbers, out};

/// Width of the names.
const NAMES: usize = 14;

/// A row for each thing that the worker has.
pub(super) fn page(read: &Reading) -> String {
    let rows: [(&str, Option<String>); 15] = [
        ("worker", Some(worker(read))),
        ("state", Some(state(read))),
        ("rate", Some(rate(read))),
        ("documents", Some(total(read))),
        ("lag", read.lag.as_ref().map(lag)),
        ("end to end", read.end_to_end.as_ref().map(end_to_end)),
        ("queue", read.queue.as_ref().map(fill)),
        ("last commit", read.last_commit_seconds_ago.map(ago)),
        ("stalled", read.stalled_seconds.map(stalled)),
        ("dead letters", Some(dead_letters(read))),
        ("transactions", counts(&read.transactions)),
        ("reloads", counts(&read.reloads)),
        ("model tokens", counts(&read.model_tokens)),
        ("memory", read.memory.as_ref().map(fill)),
        ("not exported", counts(&read.telemetry_dropped)),
    ];
    let rows = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let rows = rows.map(|(name, value)| {
        let dim = out::DIM;
        format!("{dim}{name:NAMES$}{dim:#}{value}")
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// What matters most, in one line; `at` is the time of day.
pub(super) fn line(read: &Reading, at: &str) -> String {
    let mut parts = vec![
        format!("{at} {}", state(read)),
        format!("{}/s", amount(read.per_second.documents, "document")),
    ];
    if let Some(found) = &read.lag {
        let seconds = found.seconds.map(|age| format!(" ({})", time(age)));
        parts.push(format!(
            "lag {}{}",
            numbers::thousands(found.records),
            seconds.unwrap_or_default()
        ));
    }
    if let Some(found) = &read.end_to_end {
        parts.push(format!(
            "p50 {}, p99 {}",
            quantile(&found.p50),
            quantile(&found.p99)
        ));
    }
    if let Some(share) = read.queue.as_ref().and_then(share) {
        parts.push(format!("queue {share}%"));
    }
    if let Some(seconds) = read.last_commit_seconds_ago {
        parts.push(format!("commit {}", ago(seconds)));
    }
    if let Some(seconds) = read
        .stalled_seconds
        .filter(|seconds| *seconds >= STALLED_SECONDS)
    {
        parts.push(format!("stalled for {}", time(seconds)));
    }
    let dead: u64 = read.dead_letters.values().sum();
    parts.push(format!("{} dead letters", numbers::thousands(dead)));
    parts.join(", ")
}

/// Whether it is ready, and what is missing.
pub(super) fn state(read: &Reading) -> String {
    let (ok, error) = (out::OK, out::ERROR);
    let ready = match read.ready {
        true => format!("{ok}ready{ok:#}"),
        false => format!("{error}not ready{error:#} ({})", read.not_ready.join(", ")),
    };
    match read.live {
        true => ready,
        false => format!("{ready}, {error}stuck{error:#} ({})", read.stuck.join(", ")),
    }
}

fn worker(read: &Reading) -> String {
    let mut text = read.worker.clone();
    if let Some(version) = &read.version {
        text += &format!(", weir {version}");
    }
    if let Some(pack) = &read.pack {
        text += &format!(", pack {pack}");
    }
    text
}

fn rate(read: &Reading) -> String {
    let rates = &read.per_second;
    let mut text = format!(
        "{}/s, {}/s, {}/s",
        amount(rates.documents, "document"),
        numbers::bytes(rates.bytes),
        amount(rates.entities, "entity"),
    );
    if rates.tokens > 0.0 {
        text += &format!(", {}/s", amount(rates.tokens, "token"));
    }
    text
}

fn total(read: &Reading) -> String {
    let total = &read.total;
    format!(
        "{} since the start, {}, {} entities",
        numbers::thousands(total.documents),
        numbers::bytes(total.bytes as f64),
        numbers::thousands(total.entities)
    )
}

fn lag(lag: &Lag) -> String {
    let records = numbers::thousands(lag.records);
    let seconds = lag.seconds.map(|age| format!(", {}", time(age)));
    let mut text = format!("{records} records{}", seconds.unwrap_or_default());
    let behind = |lag: &&super::reading::PartitionLag| lag.records > 0;
    if let Some(worst) = lag.partitions.iter().find(behind)
        && lag.partitions.len() > 1
    {
        text += &format!(
            " ({} partitions; most behind: {}/{} with {} records)",
            lag.partitions.len(),
            worst.topic,
            worst.partition,
            numbers::thousands(worst.records)
        );
    }
    text
}

fn end_to_end(found: &EndToEnd) -> String {
    let of = match found.of {
        Of::Interval => "in the interval",
        Of::Start => "since the start",
    };
    format!(
        "p50 {}, p99 {} (of {} documents {of})",
        quantile(&found.p50),
        quantile(&found.p99),
        numbers::thousands(found.documents)
    )
}

fn quantile(found: &Quantile) -> String {
    match found.beyond {
        true => format!("over {}", time(found.seconds)),
        false => time(found.seconds),
    }
}

fn fill(fill: &Fill) -> String {
    let bytes = numbers::bytes(fill.bytes as f64);
    match (fill.limit_bytes, share(fill)) {
        (Some(limit), Some(share)) => {
            format!("{bytes} of {} ({share}%)", numbers::bytes(limit as f64))
        }
        _ => bytes,
    }
}

fn share(fill: &Fill) -> Option<u64> {
    let limit = fill.limit_bytes?;
    Some((fill.bytes as f64 / limit as f64 * 100.0).round() as u64)
}

fn ago(seconds: f64) -> String {
    format!("{} ago", time(seconds))
}

/// Work waits for a moment in every worker: before its first commit, while a broker comes back.
const STALLED_SECONDS: f64 = 10.0;

fn stalled(seconds: f64) -> String {
    let error = out::ERROR;
    match seconds {
        ..=0.0 => "no".to_owned(),
        ..STALLED_SECONDS => format!("work waits for {}", time(seconds)),
        _ => format!(
            "{error}for {}{error:#}: work waits and nothing is committed",
            time(seconds)
        ),
    }
}

fn dead_letters(read: &Reading) -> String {
    let total: u64 = read.dead_letters.values().sum();
    match counts(&read.dead_letters) {
        Some(codes) if total > 0 => format!("{} ({codes})", numbers::thousands(total)),
        _ => "0".to_owned(),
    }
}

/// `77 committed, 2 aborted`: the most first.
fn counts(counts: &BTreeMap<String, u64>) -> Option<String> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1));
    let words = counts
        .into_iter()
        .map(|(what, count)| format!("{} {what}", numbers::thousands(*count)));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// `0.3 documents`, `12 documents`, `1,234 documents`.
fn amount(number: f64, what: &str) -> String {
    let many = match what.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{what}s"),
    };
    match number {
        0.0 => format!("0 {many}"),
        ..10.0 => format!("{number:.1} {many}"),
        _ => format!("{} {many}", numbers::thousands(number.round() as u64)),
    }
}

/// `0.4 ms`, `12 ms`, `1.5s`, `2m03s`.
fn time(seconds: f64) -> String {
    let milliseconds = seconds.max(0.0) * 1000.0;
    match milliseconds {
        0.0 => "0 ms".to_owned(),
        ..9.95 => format!("{milliseconds:.1} ms"),
        ..999.5 => format!("{milliseconds:.0} ms"),
        _ => numbers::time(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::reading::tests::{BEFORE, BEGUN, NOW, between};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_worker_on_topics_has_every_row() {
        insta::assert_snapshot!(plain(&page(&between(BEFORE, NOW, &[], &[]))), @r"
        worker        127.0.0.1:9464, weir 0.1.0, pack weir-mini
        state         ready
        rate          51 documents/s, 100 KiB/s, 30 entities/s, 1,000 tokens/s
        documents     1,102 since the start, 1.1 MiB, 560 entities
        lag           310 records, 2.2s (2 partitions; most behind: documents/1 with 300 records)
        end to end    p50 100 ms, p99 982 ms (of 100 documents in the interval)
        queue         12 MiB of 64 MiB (19%)
        last commit   500 ms ago
        stalled       no
        dead letters  4 (3 not_json, 1 too_large)
        transactions  77 committed, 2 aborted
        reloads       4 reloaded, 1 kept
        model tokens  12,345 prompt, 2,345 completion
        memory        338 MiB of 512 MiB (66%)
        ");
    }

    #[test]
    fn a_worker_that_begins_has_few_rows_and_says_what_is_missing() {
        let read = between("", BEGUN, &["pack", "tenants"], &["source"]);
        insta::assert_snapshot!(plain(&page(&read)), @r"
        worker        127.0.0.1:9464, weir 0.1.0, pack weir-mini
        state         not ready (pack, tenants), stuck (source)
        rate          0 documents/s, 0 B/s, 0 entities/s
        documents     0 since the start, 0 B, 0 entities
        dead letters  0
        ");
    }

    #[test]
    fn a_line_has_what_matters_most() {
        let read = between(BEFORE, NOW, &[], &[]);
        insta::assert_snapshot!(
            plain(&line(&read, "12:00:01")),
            @"12:00:01 ready, 51 documents/s, lag 310 (2.2s), p50 100 ms, p99 982 ms, queue 19%, commit 500 ms ago, 4 dead letters"
        );
    }

    #[test]
    fn a_worker_that_waits_for_a_moment_is_not_called_stalled() {
        let shown = [0.0, 1.2, 75.0].map(|seconds| plain(&stalled(seconds)));
        assert_eq!(
            shown,
            [
                "no",
                "work waits for 1.2s",
                "for 1m15s: work waits and nothing is committed"
            ]
        );
    }

    #[test]
    fn times_are_short() {
        let shown = [0.0, 0.0004, 0.012, 0.9996, 1.0, 75.0].map(time);
        assert_eq!(shown, ["0 ms", "0.4 ms", "12 ms", "1.0s", "1.0s", "1m15s"]);
        assert!(time(f64::MAX).ends_with('m'));
    }
}
