//! Documents at a rate that can be changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

/// One record in so many is none that weir can read.
const POISON: u64 = 100;

/// Keys among which the records are dealt out.
const KEYS: u64 = 40;

pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    per_second: AtomicU64,
    sent: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Nothing is sent until there is a rate.
    pub fn start(address: &str, topic: &'static str) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("enable.idempotence", "true")
            // With more, librdkafka writes some records twice when a broker comes back (librdkafka issue 4953).
            .set("max.in.flight.requests.per.connection", "1")
            // For ever: the broker comes back.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "10")
            .set("log_level", "0")
            .create()
            .unwrap();
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            of_thread.send_all(&producer, topic);
            producer.flush(Duration::from_secs(120)).unwrap();
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    pub fn set(&self, per_second: u64) {
        self.shared.per_second.store(per_second, Ordering::Relaxed);
    }

    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends it; waits until the broker has all records.
    pub fn stop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn send_all(&self, producer: &BaseProducer, topic: &str) {
        let (mut due, mut last) = (0.0, Instant::now());
        while !self.over.load(Ordering::Relaxed) {
            producer.poll(Duration::from_millis(10));
            let now = Instant::now();
            let per_second = self.per_second.load(Ordering::Relaxed) as f64;
            due += per_second * (now - last).as_secs_f64();
            last = now;
            while due >= 1.0 {
                match send(producer, topic, self.sent.load(Ordering::Relaxed)) {
                    Ok(()) => drop(self.sent.fetch_add(1, Ordering::Relaxed)),
                    // While the broker is away: what is due is sent later.
                    Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => break,
                    Err(error) => panic!("{error}"),
                }
                due -= 1.0;
            }
        }
    }
}

fn send(producer: &BaseProducer, topic: &str, number: u64) -> Result<(), KafkaError> {
    let key = format!("key-{}", number % KEYS);
    let value = match number % POISON {
        7 => format!("no JSON {number}"),
        _ => format!(
            "{{\"id\":\"d{number}\",\"n\":{number},\"text\":\"ask u{number}@mail.example, or call the desk of the \
             second floor before the end of the week about order {number}\"}}"
        ),
    };
    let record = BaseRecord::to(topic).key(&key).payload(&value);
    producer.send(record).map_err(|(error, _)| error)
}
