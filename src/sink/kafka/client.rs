//! Callbacks of a producer's client: answers for records, errors, and requests for tokens.

use std::{
    collections::BTreeSet,
    error::Error as StdError,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rdkafka::{
    ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Message as _},
    producer::ProducerContext,
};

use super::{
    error::is_of_size,
    record_size::{self, Sized},
};
use crate::kafka::brokers;

#[derive(Default)]
pub(super) struct Context {
    pub(super) token_file: Option<PathBuf>,
    /// Records that the broker has not answered for.
    pub(super) waiting: AtomicUsize,
    pub(super) failed: Mutex<Option<Failed>>,
    /// Topics that librdkafka was not allowed to add to a transaction. It names them in its log only.
    pub(super) refused: Mutex<BTreeSet<String>>,
    /// Records of batches that were too large.
    pub(super) too_large: Mutex<Vec<Refused>>,
    /// Whether the client gave up a record: nobody knows whether a broker has it. Never false again.
    pub(super) gave_up: AtomicBool,
}

/// A record that was not taken.
#[derive(Clone)]
pub(super) struct Failed {
    /// Which of the set.
    pub(super) index: usize,
    pub(super) topic: String,
    pub(super) error: KafkaError,
}

/// A record of a batch that a broker refused for its size.
pub(super) struct Refused {
    pub(super) index: usize,
    pub(super) topic: String,
    pub(super) partition: i32,
    /// As the client counts.
    pub(super) bytes: usize,
}

impl Context {
    pub(super) fn take_failure(&self) -> Option<Failed> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take()
    }

    pub(super) fn fail(&self, index: usize, topic: &str, error: &KafkaError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| Failed {
            index,
            topic: topic.to_owned(),
            error: error.clone(),
        });
    }

    pub(super) fn refused(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_failed(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some()
    }

    pub(super) fn take_too_large(&self) -> Vec<Refused> {
        let mut refused = self
            .too_large
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *refused)
    }

    /// Takes note of a record whose batch was refused for its size.
    fn refuse(&self, index: usize, message: &BorrowedMessage<'_>) {
        let headers = message
            .headers()
            .map_or(0, |own| record_size::of_headers(&own.detach()));
        let record = Sized {
            topic: message.topic(),
            key: message.key_len(),
            value: message.payload().unwrap_or_default(),
            headers,
        };
        let refused = Refused {
            index,
            topic: message.topic().to_owned(),
            partition: message.partition(),
            bytes: record.plain(),
        };
        let mut all = self
            .too_large
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(refused);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "ADDPARTS"
            && message.contains("authorization failed")
            && let Some(topic) = message.split('"').nth(1)
        {
            self.refused().insert(topic.to_owned());
        }
        brokers::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, _: &str) {
        brokers::goes_on(&error);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        brokers::token(self.token_file.as_deref())
    }
}

impl ProducerContext for Context {
    /// Which of the set.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        // A record without an offset is one that no broker has answered for. librdkafka takes it for written because a
        // later one of its partition was (`rd_kafka_dr_implicit_ack`), or because the broker says that it has the batch
        // already. Neither says that all copies have it. So it counts as failed, and its set is sent again.
        if let Ok(message) = result
            && message.offset() < 0
        {
            let error = KafkaError::MessageProduction(RDKafkaErrorCode::Inconsistent);
            self.fail(index, message.topic(), &error);
            self.gave_up.store(true, Ordering::Release);
        }
        if let Err((error, message)) = result {
            self.gave_up.store(true, Ordering::Release);
            if is_of_size(error) {
                self.refuse(index, message);
            }
            // Records that are purged when a transaction is aborted are no cause of it.
            let purged = matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
            );
            if !purged {
                self.fail(index, message.topic(), error);
            }
        }
    }
}
