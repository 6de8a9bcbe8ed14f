//! Dead letters of a stream, to be sent back.

use std::collections::BTreeSet;

use super::{Error, registries::Codecs, topics};
use crate::{
    config::{KafkaSink, KafkaSource},
    pipeline::replay::Options,
    record::Code,
};

/// What is sent back: dead letters of `from`, or of the sink's own topic, with one of these codes, or all.
pub fn options(
    source: &KafkaSource,
    sink: &KafkaSink,
    from: Option<String>,
    codes: BTreeSet<Code>,
    dry_run: bool,
) -> Result<Options, Error> {
    let codecs = Codecs::new(source, sink)?;
    let mut producer = topics::writer(source, sink, codecs.sink, 0);
    // Its own id: the worker may run meanwhile. And always in a transaction, whatever the worker does.
    producer.transactional_id = Some(format!(
        "{}-{}-replay",
        sink.transactional_id_prefix, source.group_id
    ));
    Ok(Options {
        source: source.brokers.clone(),
        group_id: source.group_id.clone(),
        from: from.unwrap_or_else(|| sink.topics.dead_letters.clone()),
        sink: producer,
        codes,
        dry_run,
        max_records: usize::try_from(sink.transaction.max_documents).unwrap_or(usize::MAX),
    })
}
