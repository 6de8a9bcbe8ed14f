//! `weir bench`: what weir adds to the model it runs.
//!
//! All figures come from one run on the same texts, because machines are noisy: the bare model on
//! perfectly packed batches, weir's own stages, and the whole job from files to files.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    args,
    exit::{Exit, Failure},
    numbers, out,
};
use crate::{
    assemble::engine,
    measure::{Share, bare, share, windows},
    model::{
        self, Backbone, Classes, Conditions, Encoder, Kind, Layout, Pack,
        family::{Ask, Label},
        gliner,
    },
    pipeline::{
        Engine, Options, Progress,
        job::{Job, Limits, Target},
    },
    sink::{Formats, Ledger, Redactions},
    source::{self, Objects, TenantFrom},
    store::Location,
    tenant::{THRESHOLD, reload},
    text::Window,
};

/// Documents in one input file of the job.
const DOCUMENTS_A_FILE: usize = 2000;

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    texts: usize,
    windows: usize,
    sessions: usize,
    max_tokens: usize,
    /// Tokens/s of the bare model on perfectly packed batches.
    bare: f64,
    /// Tokens/s of the job from files to files.
    job: f64,
    /// `job / bare` of each round.
    ratios: Vec<f64>,
    /// Median of `ratios`.
    ratio: f64,
    /// Share of the job's model tokens that is padding.
    padding: f64,
    /// From nothing to the first document's result, with the pack loaded on the way, in seconds.
    first_result_secs: f64,
    /// Most memory of this process until the comparison's end, in bytes; files that are mapped count once for each
    /// session.
    peak_memory: Option<u64>,
    /// What of it was its own at the end, not mapped.
    own_memory: Option<u64>,
    /// Documents/s of the job with repeated texts and reuse, and with each text once.
    /// None where no text repeats.
    records: Option<Repeats>,
    /// Empty for a fixed head: no label set is scored there.
    shares: Vec<Share>,
}

#[derive(Debug, Serialize)]
struct Repeats {
    all: usize,
    unique: usize,
    all_a_second: f64,
    unique_a_second: f64,
    /// `all_a_second / unique_a_second`.
    ratio: f64,
}

/// What is measured, and with what.
struct Bench<'a> {
    args: &'a args::Bench,
    options: Options,
    /// None for a fixed head: it has no label encoder.
    encoder: Option<Encoder>,
    /// Labels that the job asks for.
    asked: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

/// Rounds of the bare model and the job, in turn.
struct Rounds {
    bares: Vec<f64>,
    jobs: Vec<f64>,
    padding: f64,
}

/// Measures, and prints a table or JSON.
pub fn execute(args: &args::Bench) -> Result<Exit, Failure> {
    let texts = texts(args)?;
    let unique: Vec<String> = {
        let mut seen = HashSet::new();
        texts
            .iter()
            .filter(|text| seen.insert(text.as_str()))
            .cloned()
            .collect()
    };
    let bench = Bench::new(args)?;
    let first_result_secs = bench.first_result(&unique[..1])?;
    let options = &bench.options;
    let mut documents = Vec::new();
    if options.pack.manifest().family != Kind::Gliner {
        documents = windows(&options.pack, &unique)?;
    }
    let mut alone = Alone::load(options, &documents, bench.encoder.as_ref(), &unique)?;
    let windows = alone.windows();
    let rounds = bench.rounds(&unique, &mut alone)?;
    drop(alone);
    let (peak_memory, own_memory) = (memory("VmHWM:"), memory("RssAnon:"));
    let ratios: Vec<f64> = rounds
        .jobs
        .iter()
        .zip(&rounds.bares)
        .map(|(job, bare)| job / bare)
        .collect();
    let records = match unique.len() < texts.len() {
        true => Some(bench.repeats(&texts, &unique)?),
        false => None,
    };
    let report = Report {
        texts: texts.len(),
        windows,
        sessions: options.sessions,
        max_tokens: options.batch.max_tokens,
        bare: median(&rounds.bares),
        job: median(&rounds.jobs),
        ratio: median(&ratios),
        ratios,
        padding: rounds.padding,
        first_result_secs,
        peak_memory,
        own_memory,
        records,
        shares: bench.shares(&documents)?,
    };
    if args.json {
        out::data(&serde_json::to_string_pretty(&report).expect("numbers are JSON"))?;
    } else {
        out::data(&table(&report))?;
    }
    Ok(Exit::Done)
}

/// Texts of the files that are named, or of the examples.
fn texts(args: &args::Bench) -> Result<Vec<String>, Failure> {
    let files = if args.files.is_empty() {
        in_the_box()?
    } else {
        args.files.clone()
    };
    let mut texts = Vec::new();
    for file in &files {
        texts.extend(read(file)?);
    }
    texts.truncate(args.limit.unwrap_or(usize::MAX));
    if texts.is_empty() {
        return Err(
            Failure::new(Exit::Usage, anyhow::anyhow!("the files contain no text"))
                .hint("name files of lines or JSON lines"),
        );
    }
    Ok(texts)
}

impl<'a> Bench<'a> {
    fn new(args: &'a args::Bench) -> Result<Self, Failure> {
        let mut options = engine::defaults(&args.model)?;
        runs_here(&options.pack)?;
        if let Some(max_tokens) = args.max_tokens {
            options.batch.max_tokens = max_tokens as usize;
        }
        if let Some(threads) = args.threads {
            options.sessions = usize::from(threads);
        }
        // A fixed head has no label encoder, and is asked for what it knows.
        let (encoder, asked) = match options.pack.manifest().head {
            Some(_) => (None, Classes::new(&options.pack)?.categories().to_vec()),
            None if options.pack.manifest().family == Kind::Gliner => {
                (None, ASKED.map(str::to_owned).to_vec())
            }
            None => {
                let (runtime, cache) = (options.runtime.clone(), options.label_cache.clone());
                let encoder = Encoder::new(&options.pack, runtime, cache)?;
                (Some(encoder), ASKED.map(str::to_owned).to_vec())
            }
        };
        Ok(Self {
            args,
            options,
            encoder,
            asked,
            runtime: engine::runtime()?,
        })
    }

    /// Seconds from nothing to the first result.
    fn first_result(&self, texts: &[String]) -> Result<f64, Failure> {
        let started = Instant::now();
        let (engine, _running) = Engine::start(self.options.clone())?;
        self.runtime.block_on(job(&engine, &self.asked, texts))?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn rounds(&self, unique: &[String], alone: &mut Alone) -> Result<Rounds, Failure> {
        let mut without_cache = self.options.clone();
        without_cache.batch.cache_bytes = 0;
        let (mut bares, mut jobs, mut padding) = (Vec::new(), Vec::new(), 0.0);
        let (engine, _running) = Engine::start(without_cache)?;
        for _ in 0..self.args.rounds {
            let (tokens, time) = alone.run(self.options.batch.max_tokens)?;
            bares.push(tokens as f64 / time.as_secs_f64());
            let job = job(&engine, &self.asked, unique);
            let measured = self.runtime.block_on(job)?;
            jobs.push(measured.tokens as f64 / measured.time.as_secs_f64());
            padding = measured.padding as f64 / (measured.padding + measured.tokens).max(1) as f64;
        }
        Ok(Rounds {
            bares,
            jobs,
            padding,
        })
    }

    /// What reuse gives where texts repeat.
    fn repeats(&self, texts: &[String], unique: &[String]) -> Result<Repeats, Failure> {
        // Each with an engine that has seen nothing.
        let fresh = |texts: &[String]| {
            let (engine, _running) = Engine::start(self.options.clone())?;
            let job = job(&engine, &self.asked, texts);
            let measured = self.runtime.block_on(job)?;
            Ok::<_, Failure>(texts.len() as f64 / measured.time.as_secs_f64())
        };
        let (all_a_second, unique_a_second) = (fresh(texts)?, fresh(unique)?);
        Ok(Repeats {
            all: texts.len(),
            unique: unique.len(),
            all_a_second,
            unique_a_second,
            ratio: all_a_second / unique_a_second,
        })
    }

    /// Shares of scoring and Viterbi.
    fn shares(&self, documents: &[Vec<Window>]) -> Result<Vec<Share>, Failure> {
        let mut shares = Vec::new();
        let options = &self.options;
        if let Some(encoder) = &self.encoder {
            let mut session =
                Backbone::load(&options.pack, options.runtime.clone(), 1, 1)?.remove(0);
            // A sample is enough for shares of time.
            let sample = &documents[..documents.len().min(400)];
            let o_bias = options.pack.manifest().calibration.o_bias;
            for labels in &self.args.labels {
                shares.push(share(&mut session, encoder, sample, *labels, o_bias)?);
            }
        }
        Ok(shares)
    }
}

/// A model that another program runs has no speed of its own here.
pub(super) fn runs_here(pack: &Pack) -> Result<(), Failure> {
    if pack.manifest().family != Kind::Prompted {
        return Ok(());
    }
    let name = pack.name();
    let error = anyhow::anyhow!("pack {name} runs at a server: weir cannot measure or tune it");
    Err(Failure::new(Exit::Usage, error).hint(
        "measure the server with its own tools; weir_model_requests_total and weir_model_tokens_total count what it does for weir",
    ))
}

/// What a model of any label is asked.
pub(super) fn ask() -> Ask {
    let label = |wording: &str| Label {
        wording: wording.into(),
        threshold: THRESHOLD,
    };
    Ask {
        labels: ASKED.map(label).to_vec(),
        ..Ask::default()
    }
}

/// The model alone.
enum Alone<'a> {
    Bioes {
        sessions: Vec<Backbone>,
        windows: Vec<&'a Window>,
        conditions: Option<Conditions>,
        padded: bool,
    },
    Gliner(gliner::Bare),
}

impl<'a> Alone<'a> {
    fn load(
        options: &Options,
        documents: &'a [Vec<Window>],
        encoder: Option<&Encoder>,
        texts: &[String],
    ) -> Result<Self, model::Error> {
        if options.pack.manifest().family == Kind::Gliner {
            return Ok(Self::Gliner(gliner::Bare::load(
                options.clone(),
                &ask(),
                texts,
            )?));
        }
        // Equal windows are computed once by the job, so they are in the bare run once.
        let mut seen = HashSet::new();
        let windows = documents
            .iter()
            .flatten()
            .filter(|window| seen.insert((window.ids.clone(), window.core.clone(), window.alone)));
        let windows = windows.collect();
        let conditions = match encoder {
            Some(encoder) => encoder.encode_for_injection(&ASKED)?.1,
            None => None,
        };
        let sessions = Backbone::load(
            &options.pack,
            options.runtime.clone(),
            options.sessions,
            options.session_threads,
        )?;
        Ok(Self::Bioes {
            sessions,
            windows,
            conditions,
            padded: options.pack.manifest().backbone.layout == Layout::Padded,
        })
    }

    fn windows(&self) -> usize {
        match self {
            Self::Bioes { windows, .. } => windows.len(),
            Self::Gliner(alone) => alone.windows(),
        }
    }

    /// Tokens and time, on perfectly packed batches.
    fn run(&mut self, max_tokens: usize) -> Result<(u64, Duration), model::Error> {
        match self {
            Self::Bioes {
                sessions,
                windows,
                conditions,
                padded,
            } => bare(sessions, windows, conditions.as_ref(), max_tokens, *padded),
            Self::Gliner(alone) => alone.run(max_tokens),
        }
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<28} {value}").expect("writing to a string")
    };
    row(
        "texts, windows",
        format!(
            "{}, {}",
            numbers::thousands(report.texts as u64),
            numbers::thousands(report.windows as u64)
        ),
    );
    row(
        "sessions × tokens per batch",
        format!("{} × {}", report.sessions, report.max_tokens),
    );
    row("bare model", format!("{:.0} tokens/s", report.bare));
    row(
        "weir, files to files",
        format!("{:.0} tokens/s", report.job),
    );
    let rounds: Vec<String> = report
        .ratios
        .iter()
        .map(|ratio| format!("{ratio:.3}"))
        .collect();
    row(
        "weir ÷ bare",
        format!("{:.3} (rounds: {})", report.ratio, rounds.join(", ")),
    );
    row("padding", format!("{:.1}%", report.padding * 100.0));
    row(
        "first result",
        format!(
            "{:.2} s, including loading the pack",
            report.first_result_secs
        ),
    );
    if let Some(bytes) = report.peak_memory {
        row("peak memory", format!("{} MiB", bytes >> 20));
    }
    if let Some(bytes) = report.own_memory {
        row("without files", format!("{} MiB", bytes >> 20));
    }
    if let Some(records) = &report.records {
        row(
            "repeated texts",
            format!(
                "{:.0} records/s with {} repeats, {:.0} without: {:.2} times",
                records.all_a_second,
                numbers::thousands((records.all - records.unique) as u64),
                records.unique_a_second,
                records.ratio
            ),
        );
    }
    for share in &report.shares {
        let (scoring, viterbi) = (share.scoring * 100.0, share.viterbi * 100.0);
        row(
            &format!("{} labels", share.labels),
            format!(
                "scoring {scoring:.2}% + Viterbi {viterbi:.2}% = {:.2}% of the backbone ({:.1} labels per token)",
                scoring + viterbi,
                share.labels_a_token
            ),
        );
    }
    text
}

/// The texts of the examples.
fn in_the_box() -> Result<Vec<PathBuf>, Failure> {
    let found = ["acme", "ops", "shop", "museum"]
        .into_iter()
        .flat_map(|tenant| {
            let folders = ["", "prose", "chat", "mail", "logs"]
                .map(|kind| Path::new("examples/in").join(tenant).join(kind));
            folders
                .into_iter()
                .filter_map(|folder| fs::read_dir(folder).ok())
                .flatten()
                .flatten()
                .map(|entry| entry.path())
        });
    let mut files: Vec<PathBuf> = found.filter(|path| path.is_file()).collect();
    files.sort();
    files.dedup();
    if files.is_empty() {
        let error = anyhow::anyhow!("the folder examples/in does not exist");
        return Err(Failure::new(Exit::Usage, error)
            .hint("run it in weir's repository, or name files to run on"));
    }
    Ok(files)
}

/// Texts of a file: its lines, or the strings of its JSON lines; `.txt` as a whole.
pub(super) fn read(file: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Io,
            anyhow::anyhow!("{} can't be read ({})", file.display(), error.kind()),
        )
    };
    let mut bytes = fs::read(file).map_err(failed)?;
    let mut name = file.to_string_lossy().into_owned();
    if let Some(unpacked) = name.strip_suffix(".gz").map(str::to_owned) {
        let mut raw = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut raw)
            .map_err(failed)?;
        (bytes, name) = (raw, unpacked);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if name.ends_with(".txt") {
        return Ok(vec![text]);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    if !name.ends_with(".jsonl") {
        return Ok(lines.map(str::to_owned).collect());
    }
    let mut texts = Vec::new();
    for line in lines {
        let Ok(document) = crate::record::Json::parse(line) else {
            continue;
        };
        let leaves = document.strings(&Default::default()).unwrap_or_default();
        texts.extend(
            leaves
                .iter()
                .map(|leaf| document.literal(leaf).text.into_string())
                .filter(|text| text.len() > 3),
        );
    }
    Ok(texts)
}

struct Measured {
    tokens: u64,
    padding: u64,
    time: Duration,
}

/// What the job asks an adaptive pack for beside its patterns.
pub(super) const ASKED: [&str; 4] = ["person", "organization", "city", "email"];

fn write_inputs(folder: &Path, texts: &[String]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for (number, texts) in texts.chunks(DOCUMENTS_A_FILE).enumerate() {
        let mut lines = String::new();
        for text in texts {
            writeln!(lines, "{}", serde_json::json!({"text": text})).expect("writing to a string");
        }
        fs::write(folder.join(format!("{number:04}.jsonl")), lines)?;
    }
    Ok(())
}

/// The tenant `bench`: the labels `asked`, and patterns.
fn write_tenant(folder: &Path, asked: &[String]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    // Strings of JSON are strings of TOML.
    let policy = format!("labels = {}\n", serde_json::json!(asked))
        + "\
        patterns = [\"url\", \"ip\", \"mac\", \"iban\", \"card\", \"ssn\", \"phone\", \"jwt\", \"cloud_key\", \"git_key\", \"private_key\", \"uuid\"]\n";
    fs::write(folder.join("bench.toml"), policy)
}

/// Runs `weir run`'s job for the labels `asked` over `texts` from files to files, patterns included. The clock starts when
/// the model is loaded.
async fn job(engine: &Engine, asked: &[String], texts: &[String]) -> Result<Measured, Failure> {
    let io = |error: std::io::Error| Failure::new(Exit::Io, error);
    let place = tempfile::tempdir().map_err(io)?;
    let (input, output, tenants) = (
        place.path().join("in"),
        place.path().join("out"),
        place.path().join("tenants"),
    );
    write_inputs(&input, texts).map_err(io)?;
    write_tenant(&tenants, asked).map_err(io)?;
    let (_reload, tenants) = reload::Options::new(tenants, None).build()?;
    let labels = tenants
        .current()
        .policy(Some("bench"))
        .expect("written above")
        .labels
        .clone();
    engine
        .labels(&labels)
        .await
        .map_err(|error| Failure::new(Exit::Bug, error))?;
    let source = source::Options {
        url: input.display().to_string(),
        tenant: TenantFrom::Value("bench".to_owned()),
        ..source::Options::default()
    };
    let objects = Objects::open(source)?;
    let location = Location::create(&output.display().to_string(), &Default::default());
    let location = location.map_err(source::Error::from)?;
    let formats = Formats {
        redactions: Redactions::Auto,
        entities_as_parquet: false,
        compression: None,
    };
    let ledger = Ledger::new(
        location,
        formats,
        Duration::from_secs(60),
        "bench".to_owned(),
    );
    let job = Job {
        engine: engine.clone(),
        tenants,
        limits: Limits {
            documents: None,
            dead_letters: Some(0),
            in_flight_bytes: 256 << 20,
        },
        drain: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
    };
    let real = || engine.counts().real.load(Ordering::Relaxed);
    let padding = || engine.counts().padding.load(Ordering::Relaxed);
    let (real_before, padding_before) = (real(), padding());
    let start = Instant::now();
    let summary = job.objects(&objects, &Target::Objects(ledger)).await?;
    let time = start.elapsed();
    let (delivered, all) = (summary.documents, texts.len());
    if delivered != all as u64 {
        let error = anyhow::anyhow!("{delivered} of {all} documents were delivered");
        return Err(Failure::new(Exit::Bug, error));
    }
    Ok(Measured {
        tokens: real() - real_before,
        padding: padding() - padding_before,
        time,
    })
}

/// A field of proc(5) in bytes; `None` elsewhere.
fn memory(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
