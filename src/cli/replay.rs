//! `weir replay`: sends dead letters of a stream back after their cause was fixed.

use super::{
    args,
    exit::{Exit, Failure},
    kafka, out,
};
use crate::{
    config::{Sink, Source},
    pipeline::replay::{self, Error, Options, Summary},
};

/// Sends dead letters back.
pub fn execute(args: &args::Replay) -> Result<Exit, Failure> {
    let resolved = args.configuration.resolve()?;
    let (Source::Kafka(source), Sink::Kafka(sink)) = (&resolved.source, &resolved.sink) else {
        let error = anyhow::anyhow!("`weir replay` needs a source and a sink of type \"kafka\"");
        return Err(Failure::new(Exit::Config, error).hint(
            "to process an object again, remove its outputs and its record in _weir/commits",
        ));
    };
    let codecs = kafka::Codecs::of(source, sink).map_err(kafka::no_registry)?;
    let mut producer = kafka::writer(source, sink, &codecs, 0);
    // Its own id: the worker may run meanwhile. And always in a transaction, whatever the worker does.
    producer.transactional_id = Some(format!(
        "{}-{}-replay",
        sink.transactional_id_prefix, source.group_id
    ));
    let options = Options {
        source: source.brokers.clone(),
        group_id: source.group_id.clone(),
        from: args
            .from
            .clone()
            .unwrap_or_else(|| sink.topics.dead_letters.clone()),
        sink: producer,
        codes: args.code.iter().copied().collect(),
        dry_run: args.dry_run,
        max_records: usize::try_from(sink.transaction.max_documents).unwrap_or(usize::MAX),
    };
    let summary = replay::run(options).map_err(failed)?;
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

fn failed(error: Error) -> Failure {
    let exit = match &error {
        Error::Sink(crate::sink::kafka::Error::Options(_)) => Exit::Config,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error)
}
