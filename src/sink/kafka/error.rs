//! Why a set of deliveries was not committed.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::record_size::TooLarge;
use crate::{
    kafka::{Refusal, Resource, brokers},
    record::avro,
};

/// Why a set of deliveries was not committed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is not librdkafka's, or its value is wrong.
    #[error("can't create the producer: check the options")]
    Options(#[source] KafkaError),
    /// Another producer has taken the transactional id over, or the broker ended a transaction that
    /// was open for too long, and the id with it: this worker has to stop.
    #[error(
        "fenced: this worker was silent for longer than sink.transaction.timeout_ms (start it \
         again), or another one has the same transactional id (give each worker a \
         sink.transactional_id_prefix or a source.group_instance_id of its own)"
    )]
    Fenced,
    /// The broker refuses for good.
    #[error("{0}")]
    Refused(Refusal),
    /// A topic to write is not there, and the brokers make none; nothing of the set is visible, and it
    /// can be tried again.
    #[error("the topic `{topic}` does not exist: create it, or let the brokers create topics")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// Records will never be taken; nothing of the set is visible. They have to go to the dead
    /// letters.
    #[error("{}", .records.first().map_or_else(String::new, ToString::to_string))]
    TooLarge {
        /// All of the set that are known.
        records: Vec<TooLarge>,
    },
    /// Batches are larger than a topic takes; nothing of the set is visible, and a new producer sends smaller
    /// ones.
    #[error(
        "batches of {bytes} bytes exceed the limit of a topic: a new producer sends smaller ones"
    )]
    Batches {
        /// The producer's bound.
        bytes: usize,
    },
    /// The id of a schema can't be had; nothing of the set was sent.
    #[error(transparent)]
    Registry(#[from] avro::Error),
    /// Nothing was begun: no broker answered in time.
    #[error(
        "the brokers did not answer ({code:?}): check that they run, and their addresses, TLS and \
         login"
    )]
    NoAnswer {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
    /// Nothing of the set is visible (at least once: perhaps some), and it can be tried again.
    #[error("the records were not committed ({code:?})")]
    Aborted {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
    /// Whether the set is committed is not known: the producer is of no further use, and the group's
    /// committed offsets tell.
    #[error("it is unknown whether the records were committed ({code:?})")]
    Unknown {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
}

/// What an error means. `ending`: the transaction may have been committed.
pub(super) fn outcome(error: &KafkaError, ending: bool) -> Error {
    let code = error.rdkafka_error_code();
    if let Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch) = code {
        return Error::Fenced;
    }
    if let Some(code) = brokers::refused(error) {
        let of = Resource::Cluster;
        return Error::Refused(Refusal { code, of });
    }
    // After a fatal error the producer takes nothing any more.
    let fatal = matches!(error, KafkaError::Transaction(error) if error.is_fatal());
    match ending || fatal {
        true => Error::Unknown { code },
        false => Error::Aborted { code },
    }
}

/// Whether a record or its batch is too large.
pub(super) fn is_of_size(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::MessageBatchTooLarge
        )
    )
}
