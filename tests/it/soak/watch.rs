//! A worker, watched with `weir status --watch` and in /proc, once in a second.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Child,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::support::{
    job::{command, piped},
    probe::page,
};

pub struct Watch {
    status: Child,
    seen: Arc<Mutex<Seen>>,
}

/// Readings since a phase began, and the last one of all.
#[derive(Default)]
struct Seen {
    last: Value,
    of_phase: Vec<Sample>,
}

struct Sample {
    reading: Value,
    memory: u64,
    threads: u64,
    files: u64,
    series: u64,
}

/// What a phase showed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Resident memory, the median; and the most.
    pub memory: u64,
    pub peak: u64,
    /// At the end.
    pub series: u64,
    pub threads: u64,
    pub files: u64,
    /// The most.
    pub lag: u64,
    pub lag_seconds: Option<f64>,
    /// Medians of the intervals in which documents came.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub delivered: u64,
    pub not_ready: f64,
}

impl Watch {
    /// Watches the worker of a process whose page is on `port`.
    pub fn start(port: u16, worker: u32) -> Self {
        let at = format!("127.0.0.1:{port}");
        let mut status = piped(&mut command(&["status", &at, "--watch", "--json"]));
        let out = BufReader::new(status.stdout.take().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let of_thread = seen.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let reading: Value = serde_json::from_str(&line).unwrap();
                let Some(sample) = Sample::take(reading, port, worker) else {
                    continue;
                };
                let mut seen = of_thread.lock().unwrap();
                seen.last = sample.reading.clone();
                seen.of_phase.push(sample);
            }
        });
        Self { status, seen }
    }

    pub fn begin(&self) {
        self.seen.lock().unwrap().of_phase.clear();
    }

    pub fn end(&self) -> Figures {
        let mut seen = self.seen.lock().unwrap();
        Figures::of(&std::mem::take(&mut seen.of_phase))
    }

    /// The last reading; null before the first.
    pub fn last(&self) -> Value {
        self.seen.lock().unwrap().last.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.status.kill();
        let _ = self.status.wait();
    }
}

impl Sample {
    /// `None` once the worker is gone.
    fn take(reading: Value, port: u16, worker: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{worker}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let (_, metrics) = page(port, "/metrics")?;
        let is_series = |line: &&str| line.starts_with("weir_") || line.starts_with("process_");
        Some(Self {
            memory: number("VmRSS:")? * 1024,
            threads: number("Threads:")?,
            files: fs::read_dir(format!("/proc/{worker}/fd")).ok()?.count() as u64,
            series: metrics.lines().filter(is_series).count() as u64,
            reading,
        })
    }
}

impl Figures {
    fn of(samples: &[Sample]) -> Self {
        let Some(last) = samples.last() else {
            return Self::default();
        };
        let of = |pointer: &'static str| {
            let values = samples
                .iter()
                .map(move |sample| sample.reading.pointer(pointer));
            values.filter_map(|value| value.and_then(Value::as_f64))
        };
        let of_intervals = |pointer: &str| {
            let with = samples.iter().map(|sample| &sample.reading);
            let with = with.filter(|reading| reading["end_to_end"]["of"] == "interval");
            let values = with.filter_map(|reading| reading.pointer(pointer)?.as_f64());
            median(values.collect())
        };
        let delivered = samples.iter().map(|sample| {
            let reading = &sample.reading;
            let rate = reading["per_second"]["documents"].as_f64().unwrap_or(0.0);
            rate * reading["interval_seconds"].as_f64().unwrap_or(0.0)
        });
        let silent = samples
            .iter()
            .filter(|sample| sample.reading["ready"] != true);
        let silent = silent.filter_map(|sample| sample.reading["interval_seconds"].as_f64());
        let memory = samples.iter().map(|sample| sample.memory as f64).collect();
        Self {
            memory: median(memory).unwrap_or(0.0) as u64,
            peak: samples
                .iter()
                .map(|sample| sample.memory)
                .max()
                .unwrap_or(0),
            series: last.series,
            threads: last.threads,
            files: last.files,
            lag: of("/lag/records").fold(0.0, f64::max) as u64,
            lag_seconds: of("/lag/seconds").reduce(f64::max),
            p50: of_intervals("/end_to_end/p50/seconds"),
            p99: of_intervals("/end_to_end/p99/seconds"),
            delivered: delivered.sum::<f64>().round() as u64,
            not_ready: silent.sum(),
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
