//! Records that count as written once every replica in sync has them.

use std::{
    error::Error as StdError,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, Message as _,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};

use super::{
    Brokers,
    brokers::{log, token},
};

/// Longest wait for the acknowledgement of all records.
const WAIT: Duration = Duration::from_secs(15);

/// Why records are not written, or nobody knows whether they are.
#[derive(Debug, thiserror::Error)]
#[error(
    "topic {topic} has acknowledged {done} of {all} records ({code:?}): check brokers, topic and the right to write it"
)]
pub struct NotAppended {
    topic: String,
    done: usize,
    all: usize,
    code: Option<RDKafkaErrorCode>,
}

/// Counts acknowledgements.
struct Counted {
    token_file: Option<PathBuf>,
    done: AtomicUsize,
    refused: Mutex<Option<RDKafkaErrorCode>>,
}

impl ClientContext for Counted {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        token(self.token_file.as_deref())
    }
}

impl ProducerContext for Counted {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) if message.offset() >= 0 => drop(self.done.fetch_add(1, Ordering::Relaxed)),
            Ok(_) => {}
            Err((error, _)) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                *refused = error.rdkafka_error_code();
            }
        }
    }
}

impl Brokers {
    /// Appends records to a topic in their order, and comes back once all of them are acknowledged. Blocks.
    pub(crate) fn append(&self, topic: &str, values: &[Vec<u8>]) -> Result<(), NotAppended> {
        let failed = |done, code| NotAppended {
            topic: topic.to_owned(),
            done,
            all: values.len(),
            code,
        };
        let unsent = |error: KafkaError| failed(0, error.rdkafka_error_code());
        let mut config = self.config();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", WAIT.as_millis().to_string());
        let context = Counted {
            token_file: self.token_file.clone(),
            done: AtomicUsize::new(0),
            refused: Mutex::default(),
        };
        let producer: BaseProducer<Counted> =
            config.create_with_context(context).map_err(unsent)?;
        for value in values {
            // A full queue of the client is emptied by the brokers.
            while let Err((error, _)) =
                producer.send(BaseRecord::<(), [u8]>::to(topic).payload(value))
            {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(unsent(error));
                }
                producer.poll(Duration::from_millis(100));
            }
        }
        let flushed = producer.flush(2 * WAIT);
        let counted = producer.client().context();
        let done = counted.done.load(Ordering::Relaxed);
        let refused = *counted
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match flushed {
            Ok(()) if done == values.len() => Ok(()),
            Ok(()) => Err(failed(done, refused)),
            Err(error) => Err(failed(done, refused.or(error.rdkafka_error_code()))),
        }
    }
}
