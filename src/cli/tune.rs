//! `weir model tune`: how a pack runs fastest on this machine.
//!
//! Its graphs are compared first, a session of one thread for each core; then, with the fastest, sessions of more
//! threads and other sizes of batches. Each way takes seconds, so that a user can run it on every machine.

use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    args, bench,
    exit::{Exit, Failure},
    numbers, out,
};
use crate::{
    assemble::engine,
    measure,
    model::{
        self, Backbone, Conditions, Copied, Encoder, Kind, Layout, Machine, Measured, Options,
        Pack, Row, Tuned, gliner,
    },
};

/// Tokens of a batch while graphs are compared.
const BATCH: usize = 2048;

/// Other sizes that the fastest graph is tried with.
const BATCHES: [usize; 3] = [1024, 4096, 8192];

/// Batches of a session before the clock starts, and at least as many behind it.
const LEAST: usize = 2;

/// A way to run the pack.
struct Way<'a> {
    pack: &'a Pack,
    /// As the manifest calls the graph; the pack may run from a copy of it.
    graph: &'a str,
    sessions: usize,
    threads: usize,
}

/// The fastest graph so far.
struct Best<'a> {
    pack: Pack,
    graph: &'a str,
    copy: Option<Copied>,
    speed: f64,
}

/// What all ways are measured on.
struct Sample {
    of: Sampled,
    time: Duration,
}

enum Sampled {
    Windows {
        windows: Vec<crate::text::Window>,
        conditions: Option<Conditions>,
    },
    /// Of a family that cuts them in its own way.
    Texts {
        texts: Vec<String>,
        options: Options,
    },
}

/// Measures, writes `tuned.toml` and tells what it found.
pub fn execute(args: &args::Tune) -> Result<Exit, Failure> {
    if !(args.seconds.is_finite() && args.seconds > 0.0) {
        return Err(Failure::new(
            Exit::Usage,
            anyhow::anyhow!("--seconds must be above 0"),
        ));
    }
    let pack = engine::pack(&args.pack.model, &[])?;
    bench::runs_here(&pack)?;
    let machine = Machine::here(None)?;
    let cores = args.threads.map_or(machine.cores, usize::from).max(1);
    let sample = sample(&pack, args)?;
    let mut measured: Vec<Measured> = Vec::new();
    let best = best_graph(&pack, args, cores, &sample, &mut measured)?;
    let mut ways = vec![(cores, 1, &BATCHES[..])];
    if cores > 1 {
        ways.push((1, cores, &[BATCH][..]));
    }
    for (sessions, threads, batches) in ways {
        let way = Way {
            pack: &best.pack,
            graph: best.graph,
            sessions,
            threads,
        };
        for found in way.measure(&sample, batches)? {
            progress(args, &found);
            measured.push(found);
        }
    }
    measured.sort_by(|one, other| other.tokens_per_second.total_cmp(&one.tokens_per_second));
    let chosen = measured[0].clone();
    let tuned = Tuned {
        pack: pack.digest().to_owned(),
        graph: chosen.graph,
        sessions: chosen.sessions,
        threads: chosen.threads,
        max_tokens: chosen.max_tokens,
        tokens_per_second: chosen.tokens_per_second,
        copy: best.copy,
        machine,
        measured,
    };
    let path = tuned.write(&pack)?;
    if args.pack.json {
        out::data(&serde_json::to_string_pretty(&tuned).expect("numbers are JSON"))?;
        return Ok(Exit::Done);
    }
    let ok = out::OK;
    out::data(&format!(
        "{ok}ok{ok:#}    {}: {}\n      weir uses it from now on; remove the file to undo the tuning",
        path.display(),
        way_in_words(&tuned.measured[0])
    ))?;
    Ok(Exit::Done)
}

fn progress(args: &args::Tune, found: &Measured) {
    if !args.pack.json {
        // Lost where standard output is closed, as the last line will tell.
        let _ = out::data(&format!("      {}", way_in_words(found)));
    }
}

fn way_in_words(way: &Measured) -> String {
    format!(
        "{:>6} tokens/s  {}, {} × {} {}, {} tokens per batch",
        numbers::thousands(way.tokens_per_second as u64),
        way.graph,
        way.sessions,
        way.threads,
        if way.threads == 1 {
            "thread"
        } else {
            "threads"
        },
        numbers::thousands(way.max_tokens as u64),
    )
}

/// The fastest graph of a pack, with one thread for each session. Copies of slower ones are removed.
fn best_graph<'a>(
    pack: &'a Pack,
    args: &args::Tune,
    cores: usize,
    sample: &Sample,
    measured: &mut Vec<Measured>,
) -> Result<Best<'a>, Failure> {
    let mut best: Option<Best> = None;
    for graph in pack.graphs() {
        // ONNX Runtime 1.31 crashes on copies of some graphs that it has optimised itself.
        let copied = !args.no_copy && graph.optimised;
        let graph = graph.file.as_str();
        let copy = copied.then(|| copy(pack, graph)).transpose()?;
        let file = copy.as_ref().map(|copy| copy.file.as_str());
        let own = in_front(pack, graph, file)?;
        let way = Way {
            pack: &own,
            graph,
            sessions: cores,
            threads: 1,
        };
        let found = way.measure(sample, &[BATCH])?.remove(0);
        progress(args, &found);
        let speed = found.tokens_per_second;
        measured.push(found);
        let lost = match &best {
            Some(best) if best.speed >= speed => copy,
            _ => {
                let pack = own;
                let own = Best {
                    pack,
                    graph,
                    copy,
                    speed,
                };
                best.replace(own).and_then(|lost| lost.copy)
            }
        };
        if let Some(copy) = lost {
            remove(pack, &copy);
        }
    }
    Ok(best.expect("a pack has a graph"))
}

fn in_front(pack: &Pack, graph: &str, copy: Option<&str>) -> Result<Pack, Failure> {
    let own = pack.clone().with_graph(graph, copy);
    own.ok_or_else(|| {
        let (name, path) = (pack.name(), pack.folder().join("pack.toml"));
        let error =
            anyhow::anyhow!("pack {name}: windows of {graph} are too small: the two halos leave no token between them");
        Failure::new(Exit::Config, error)
            .hint(format!("raise its max_window_tokens in {}", path.display()))
    })
}

fn copy(pack: &Pack, graph: &str) -> Result<Copied, Failure> {
    let own = in_front(pack, graph, None)?;
    let stem = graph.trim_end_matches(".onnx").replace('/', "-");
    let file = format!("tuned-{stem}.onnx");
    let copied = Copied { file, bytes: 0 };
    remove(pack, &copied); // of a run that was stopped
    match Backbone::copy(&own, None, &copied.file) {
        Ok(bytes) => Ok(Copied { bytes, ..copied }),
        Err(error) => {
            remove(pack, &copied);
            Err(Failure::from(error).hint(format!(
                "the copy with packed weights needs about twice the graph's size in {}; --no-copy makes no copy",
                pack.folder().display()
            )))
        }
    }
}

fn remove(pack: &Pack, copy: &Copied) {
    for file in [copy.file.clone(), format!("{}.data", copy.file)] {
        // Most often there is none.
        let _ = fs::remove_file(pack.path(&file));
    }
}

impl Way<'_> {
    /// Speed with each size of batches.
    fn measure(&self, sample: &Sample, batches: &[usize]) -> Result<Vec<Measured>, Failure> {
        let (windows, conditions) = match &sample.of {
            Sampled::Windows {
                windows,
                conditions,
            } => (windows, conditions),
            Sampled::Texts { texts, options } => {
                return self.measure_texts(texts, options, batches, sample.time);
            }
        };
        let mut sessions = Backbone::load(self.pack, None, self.sessions, self.threads)?;
        let mut measured = Vec::new();
        for &max_tokens in batches {
            let rows = windows.iter().map(|window| Row {
                ids: &window.ids,
                conditions: conditions.as_ref(),
            });
            let padded = self.pack.manifest().backbone.layout == Layout::Padded;
            let special = sessions[0].padded_tokens(0);
            let sorted = measure::batches(rows.collect(), max_tokens, special, padded);
            // They come sorted by length; every eighth in turn, a part of them tells of all.
            let batches: Vec<_> = (0..8)
                .flat_map(|first| sorted.iter().skip(first).step_by(8).cloned())
                .collect();
            measured.push(Measured {
                graph: self.graph.to_owned(),
                sessions: self.sessions,
                threads: self.threads,
                max_tokens,
                tokens_per_second: speed(&mut sessions, &batches, sample.time)?,
            });
        }
        Ok(measured)
    }
}

impl Way<'_> {
    fn measure_texts(
        &self,
        texts: &[String],
        options: &Options,
        batches: &[usize],
        time: Duration,
    ) -> Result<Vec<Measured>, Failure> {
        let options = Options {
            pack: self.pack.clone(),
            sessions: self.sessions,
            session_threads: self.threads,
            ..options.clone()
        };
        let mut alone = gliner::Bare::load(options, &bench::ask(), texts)?;
        let mut measured = Vec::new();
        for &max_tokens in batches {
            alone.run(max_tokens)?; // weights come from the disk with it
            let (mut tokens, mut spent) = (0, Duration::ZERO);
            while spent < time {
                let (own, took) = alone.run(max_tokens)?;
                (tokens, spent) = (tokens + own, spent + took);
            }
            measured.push(Measured {
                graph: self.graph.to_owned(),
                sessions: self.sessions,
                threads: self.threads,
                max_tokens,
                tokens_per_second: (tokens as f64 / spent.as_secs_f64()).round(),
            });
        }
        Ok(measured)
    }
}

/// Tokens/s of sessions that take batches side by side, for about `time` and [`LEAST`] batches of each. As many before
/// that are not counted: weights come from the disk with them.
fn speed(
    sessions: &mut [Backbone],
    batches: &[Vec<Row>],
    time: Duration,
) -> Result<f64, model::Error> {
    let next = AtomicUsize::new(0);
    let batch = || &batches[next.fetch_add(1, Ordering::Relaxed) % batches.len()];
    let warm = |session: &mut Backbone| (0..LEAST).try_for_each(|_| session.run(batch()).map(drop));
    measure::side_by_side(sessions, warm)?;
    let began = Instant::now();
    // Each by its own clock: one that waits for the other's last batch is not slow.
    let speeds = Mutex::new(Vec::new());
    let until = |session: &mut Backbone| {
        let (mut count, mut tokens) = (0, 0);
        while count < LEAST || began.elapsed() < time {
            let rows = batch();
            session.run(rows)?;
            count += 1;
            tokens += rows.iter().map(|row| row.ids.len()).sum::<usize>();
        }
        let speed = tokens as f64 / began.elapsed().as_secs_f64();
        let mut speeds = speeds.lock().unwrap_or_else(PoisonError::into_inner);
        speeds.push(speed);
        Ok(())
    };
    measure::side_by_side(sessions, until)?;
    let speeds = speeds.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(speeds.iter().sum::<f64>().round())
}

fn sample(pack: &Pack, args: &args::Tune) -> Result<Sample, Failure> {
    let mut texts = Vec::new();
    for file in &args.texts {
        texts.extend(bench::read(file)?);
    }
    if args.texts.is_empty() {
        texts = mixture();
    }
    texts.truncate(2000);
    let time = Duration::from_secs_f64(args.seconds);
    if pack.manifest().family == Kind::Gliner {
        let options = engine::defaults(&args.pack.model)?;
        return Ok(Sample {
            of: Sampled::Texts { texts, options },
            time,
        });
    }
    let windows: Vec<_> = measure::windows(pack, &texts)?
        .into_iter()
        .flatten()
        .collect();
    if windows.is_empty() {
        return Err(
            Failure::new(Exit::Usage, anyhow::anyhow!("the files contain no text"))
                .hint("name files of lines or JSON lines"),
        );
    }
    let conditions = match pack.manifest().injection {
        None => None,
        Some(_) => {
            Encoder::new(pack, None, None)?
                .encode_for_injection(&bench::ASKED)?
                .1
        }
    };
    Ok(Sample {
        of: Sampled::Windows {
            windows,
            conditions,
        },
        time,
    })
}

/// Texts of 12 to 3,072 words: half as many of twice the length each time, so that no length counts for more.
fn mixture() -> Vec<String> {
    const WORDS: &str = "2031-05-03T10:22:41Z INFO request id=7f3a91 user=jdoe_42 from 192.0.2.17 took 31 ms. \
        Please call Orla Finch on +00 555 0142 77, or write to orla@finch.example before the third of May; the \
        invoice 4411-B is still open, and nobody at the harbour office has answered since the spring. It rained. ";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut texts = Vec::new();
    for octave in 0..=8 {
        let (length, count) = (12 << octave, 256 >> octave);
        for number in 0..count {
            let start = number * 7;
            let own = (0..length).map(|at| words[(start + at) % words.len()]);
            // No two are alike.
            texts.push(format!("{number} {}", own.collect::<Vec<_>>().join(" ")));
        }
    }
    texts
}
