//! What goes in: numbered records with keys, some of them poison.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};

/// Keys among which the records are dealt out.
const KEYS: u64 = 40;

/// Largest record that the workers take; larger ones are poison.
pub const MAX_RECORD_BYTES: usize = 1024;

/// Longer than any fault lasts, with the start of a broker.
const STUCK: Duration = Duration::from_secs(60);

/// A producer on a thread of its own.
pub struct Load {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Acknowledged>,
}

/// Where each record stands, by the broker's word.
pub type Acknowledged = BTreeMap<u64, (i32, i64)>;

#[derive(Default)]
struct Context(Mutex<Acknowledged>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        // A record that was given up would only be missing in the input: no loss of weir's. One without an offset is
        // one that librdkafka only takes for written.
        if let Ok(message) = result
            && message.offset() >= 0
        {
            let place = (message.partition(), message.offset());
            self.0.lock().unwrap().insert(number as u64, place);
        }
    }
}

impl Load {
    /// Writes about `per_second` records a second until it is told to stop.
    pub fn start(address: &str, topic: &'static str, seed: u64, per_second: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (told, address) = (over.clone(), address.to_owned());
        let thread = std::thread::spawn(move || {
            let mut random = StdRng::seed_from_u64(seed);
            let mut producer = producer(&address);
            let mut acknowledged = Acknowledged::new();
            let (mut taken, mut since) = (0, Instant::now());
            for number in 0.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                send(&producer, topic, number, &mut random);
                producer.poll(Duration::from_micros(1_000_000 / per_second));
                let now = producer.context().0.lock().unwrap().len();
                if now > taken {
                    (taken, since) = (now, Instant::now());
                } else if since.elapsed() > STUCK {
                    acknowledged.append(&mut give_up(&producer));
                    producer = self::producer(&address);
                    (taken, since) = (0, Instant::now());
                }
            }
            if producer.flush(STUCK).is_err() {
                acknowledged.append(&mut give_up(&producer));
            }
            acknowledged.append(&mut producer.context().0.lock().unwrap());
            acknowledged
        });
        Self { over, thread }
    }

    /// Ends it; waits until the broker has all records.
    pub fn stop(self) -> Acknowledged {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn producer(address: &str) -> BaseProducer<Context> {
    ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // With more, librdkafka writes some records twice when a leader changes (librdkafka issue 4953).
        .set("max.in.flight.requests.per.connection", "1")
        // For ever: the broker comes back.
        .set("message.timeout.ms", "0")
        .set("log_level", "0")
        .create_with_context(Context::default())
        .unwrap()
}

/// What the broker has of a producer that sends no more: after some faults librdkafka's idempotent producer never
/// goes on. Whether the broker has the rest nobody knows; it is no part of what must be there.
fn give_up(producer: &BaseProducer<Context>) -> Acknowledged {
    eprintln!("chaos: the load's own producer is stuck; another one goes on");
    producer.purge(PurgeConfig::default().queue().inflight());
    producer.poll(Duration::from_secs(1));
    std::mem::take(&mut *producer.context().0.lock().unwrap())
}

fn send(producer: &BaseProducer<Context>, topic: &str, number: u64, random: &mut StdRng) {
    let key = format!("key-{}", random.random_range(0..KEYS));
    let poison = random.random_range(0..100);
    let value = match poison {
        0..2 => format!("no JSON {number}"),
        2..4 => format!("{{\"text\":\"{}\"}}", "long ".repeat(MAX_RECORD_BYTES)),
        4..6 => format!("{{\"tenant\":\"nobody\",\"id\":\"d{number}\",\"text\":\"x\"}}"),
        _ => format!(
            "{{\"id\":\"d{number}\",\"n\":{number},\"text\":\"ask u{number}@mail.example\"}}"
        ),
    };
    // So that the input topic itself tells what each record is.
    let kind = if poison < 6 { "poison" } else { "document" };
    let number_text = number.to_string();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "number",
            value: Some(&number_text),
        })
        .insert(Header {
            key: "kind",
            value: Some(kind),
        });
    let record = BaseRecord::with_opaque_to(topic, number as usize)
        .key(&key)
        .payload(&value)
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}
