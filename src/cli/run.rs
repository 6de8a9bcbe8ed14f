//! `weir run`: a job, from its configuration to its exit code.

use std::{
    io::IsTerminal,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{
    args, check, engine,
    exit::{Exit, Failure},
    kafka, out,
};
use crate::{
    config::{self, Resolved, Sink, Source},
    model::OperatingPoints,
    pipeline::{
        Engine, Progress,
        job::{self, Job, Summary, Target},
        rolling, stream,
    },
    record::{IdKey, IdRules, IdTreatment},
    sink::{self, Formats, Ledger, Printer, Redactions},
    source::{self, Columns, Compression, Format, Location, Objects, Reader},
    telemetry::{self, Health, health::Part, metric},
    tenant::{Tenants, reload},
};

/// Time between progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Runs the job.
pub fn execute(args: &args::Run, global: &args::Global) -> Result<Exit, Failure> {
    let resolved = args.configuration.resolve()?;
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let style = telemetry::log::Style::of(resolved.telemetry.log_format, colour);
    let lines = telemetry::log::init(
        style,
        global.log_level.unwrap_or(resolved.telemetry.log_level),
    );
    let runtime = engine::runtime()?;
    let exit = runtime.block_on(run(args, &resolved));
    lines.flush();
    // A reader of standard input may stay in its read for ever.
    runtime.shutdown_background();
    exit
}

async fn run(args: &args::Run, resolved: &Resolved) -> Result<Exit, Failure> {
    let options = engine::configured(resolved)?;
    let mut tenants = reload::Options::new(
        resolved.tenants.dir.clone(),
        resolved.tenants.default.clone(),
    );
    // Told before a record is read: afterwards each of such a tenant's would become a dead letter. The engine tells
    // all of it, but a large one takes half a minute to start.
    let fits = Arc::new(OnceLock::<Engine>::new());
    let unfit = {
        let (engine, dir) = (fits.clone(), tenants.dir.clone());
        let points = OperatingPoints::new(&options.pack)?;
        move |tenants: &Tenants| {
            check::unfit(tenants, &dir, |set| match engine.get() {
                Some(engine) => engine.fits(set),
                None => points.knows(set.balance.operating_point.as_deref()),
            })
        }
    };
    let unfit: reload::Unfit = Arc::new(unfit);
    tenants.unfit = Some(unfit.clone());
    let (reload, tenants) = tenants.build()?;
    let drain = CancellationToken::new();
    let health = Health::new();
    let metrics = resolved.listen.map(|_| metric::install()).transpose();
    let metrics = metrics.map_err(|error| Failure::new(Exit::Bug, error))?;
    let stop = CancellationToken::new();
    if let (Some(listen), Some(metrics)) = (resolved.listen, metrics) {
        let server = telemetry::Options {
            listen,
            health: health.clone(),
            metrics,
        };
        let server = server
            .build()
            .await
            .map_err(|error| Failure::new(Exit::Unavailable, error))?;
        tokio::spawn(server.run(stop.clone()));
    }
    metric::build_info(options.pack.name());
    let current = tenants.current();
    let engine = tokio::task::spawn_blocking(move || {
        let (engine, running) = engine::start(options)?;
        fits.get_or_init(|| engine.clone());
        unfit(&current).into_result()?;
        Ok::<_, Failure>((engine, running))
    });
    let (engine, _running) = engine
        .await
        .map_err(|error| Failure::new(Exit::Bug, error))??;
    health.set(Part::Pack, true);
    health.set(Part::Tenants, true);
    tokio::spawn(reload.run(drain.clone()));
    let progress = Arc::new(Progress::default());
    let job = Job {
        engine: engine.clone(),
        tenants,
        limits: job::Limits {
            documents: args.limit,
            dead_letters: resolved.limits.max_dead_letters,
            in_flight_bytes: resolved.limits.max_in_flight_bytes,
        },
        drain: drain.clone(),
        progress: progress.clone(),
    };
    signals(
        drain.clone(),
        health.clone(),
        Duration::from_secs(resolved.pipeline.drain_timeout_secs),
    );
    let shown = (!args.quiet).then(|| tokio::spawn(show(progress, engine)));
    let start = Instant::now();
    let outcome = match &resolved.source {
        Source::Kafka(source) => {
            let worker = stream::Worker {
                engine: job.engine.clone(),
                tenants: job.tenants.clone(),
                progress: job.progress.clone(),
                health: health.clone(),
                drain: drain.clone(),
            };
            if args.dry_run || args.limit.is_some() {
                let error =
                    anyhow::anyhow!("--dry-run and --limit are for objects, not for topics");
                return Err(Failure::new(Exit::Usage, error).hint(
                    "to look at what weir finds in a few records, give them to `weir redact`",
                ));
            }
            let numbers = 0..resolved.pipeline.slots;
            let slots = match &resolved.sink {
                Sink::Kafka(sink) => {
                    let codecs = kafka::Codecs::open(source, sink).await;
                    let codecs = codecs.map_err(kafka::no_registry)?;
                    let slot = |number| kafka::slot(source, sink, &codecs, resolved, number);
                    numbers.map(slot).collect()
                }
                Sink::ObjectStore(sink) => {
                    let codec = kafka::source_codec(source).map_err(kafka::no_registry)?;
                    let files = rolled(sink, &source.group_id, resolved, &job).await?;
                    let slot = |number| {
                        let files = files.clone();
                        kafka::rolling_slot(source, &codec, &sink.roll, files, resolved, number)
                    };
                    numbers.map(slot).collect()
                }
                Sink::Stdout(_) => {
                    let error = anyhow::anyhow!("this sink is not for a source of type \"kafka\"");
                    return Err(Failure::new(Exit::Config, error));
                }
            };
            stream::run(worker, slots).await.map_err(kafka::stopped)?;
            Ok(Summary {
                drained: drain.is_cancelled(),
                ..Summary::of(&job.progress)
            })
        }
        Source::ObjectStore(source) => {
            let objects =
                Objects::open(object_source(source, &resolved.limits)).map_err(unavailable)?;
            health.set(Part::Source, true);
            let target = if args.dry_run {
                Target::Nothing
            } else {
                target(resolved, &job, &objects)?
            };
            health.set(Part::Sink, true);
            // A look at everything with nothing written has no second round.
            match source.poll.filter(|_| !args.dry_run) {
                Some(poll) => job.worker(&objects, &target, poll).await,
                None => job.objects(&objects, &target).await,
            }
        }
        Source::Stdin(source) => {
            health.set(Part::Source, true);
            let Sink::Stdout(sink) = &resolved.sink else {
                let error =
                    anyhow::anyhow!("a source of type \"stdin\" needs a sink of type \"stdout\"");
                return Err(Failure::new(Exit::Config, error).hint(
                    "files give each object a name: read them with type = \"object_store\"",
                ));
            };
            health.set(Part::Sink, true);
            let reader = stdin(source, &resolved.limits)?;
            job.stream(reader, printer(sink)).await
        }
    };
    if let Some(shown) = shown {
        shown.abort();
        let _ = shown.await;
    }
    stop.cancel();
    let summary = outcome.map_err(stopped)?;
    if !args.quiet {
        out::message(&told(&summary, start.elapsed(), args.dry_run));
    }
    let dead: u64 = summary.dead_letters.values().sum();
    let too_many = resolved
        .limits
        .max_dead_letters
        .is_some_and(|most| dead > most);
    Ok(if too_many {
        Exit::DeadLetters
    } else {
        Exit::Done
    })
}

/// A key of a document as a JSON Pointer.
pub(super) fn pointer(key: &str) -> String {
    match key.starts_with('/') {
        true => key.to_owned(),
        false => format!("/{key}"),
    }
}

/// What a configuration says about ids.
pub fn ids(ids: &config::Ids) -> IdRules {
    IdRules {
        treatment: match (ids.hash, ids.keep) {
            (true, _) => IdTreatment::Hash,
            (false, true) => IdTreatment::Keep,
            (false, false) => IdTreatment::Redact,
        },
        key: match &ids.key {
            Some(secret) => IdKey::new(secret.expose().as_bytes()),
            None => IdKey::of_this_process(),
        },
        pointer: None,
    }
}

/// What a configuration says about the objects to read.
pub fn object_source(
    source: &config::ObjectSource,
    limits: &config::limits::Section,
) -> source::Options {
    let tenant = match &source.tenant {
        config::TenantFrom::Record => source::TenantFrom::Record,
        config::TenantFrom::Value(value) => source::TenantFrom::Value(value.clone()),
        config::TenantFrom::Field(key) => source::TenantFrom::Field(pointer(key)),
        config::TenantFrom::Column(column) => source::TenantFrom::Column(column.clone()),
        config::TenantFrom::Path(pattern) => {
            source::TenantFrom::Path(pattern.as_regex().to_owned())
        }
        // Refused for objects when the configuration was resolved.
        config::TenantFrom::Key(_) | config::TenantFrom::Header(_) => source::TenantFrom::Beside,
    };
    let columns = source
        .columns
        .as_ref()
        .map_or_else(Columns::default, |columns| Columns {
            text: columns.text.clone(),
            id: columns.id.clone(),
            tenant: None,
        });
    source::Options {
        url: source.url.to_string(),
        options: source
            .options
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        include: source.include.clone(),
        exclude: source.exclude.clone(),
        format: source.format.map(|format| match format {
            config::source::Format::Text => Format::Text,
            config::source::Format::Log => Format::Lines,
            config::source::Format::Jsonl => Format::JsonLines,
            config::source::Format::Parquet => Format::Parquet,
            config::source::Format::Arrow => Format::Arrow,
        }),
        tenant,
        id: Some(pointer(&source.id)),
        ids: ids(&source.ids),
        follow_links: source.follow_links,
        columns,
        max_record_bytes: limits.max_record_bytes,
    }
}

/// Where the records go.
fn target(resolved: &Resolved, job: &Job, objects: &Objects) -> Result<Target, Failure> {
    let sink = match &resolved.sink {
        Sink::Stdout(sink) => return Ok(Target::Printer(printer(sink))),
        Sink::ObjectStore(sink) => sink,
        Sink::Kafka(_) => {
            let error =
                anyhow::anyhow!("a sink of type \"kafka\" needs a source of type \"kafka\"");
            return Err(Failure::new(Exit::Config, error));
        }
    };
    let location = location(sink)?;
    for kind in ["entities", "redactions", "dead_letters"] {
        let inside = objects
            .location()
            .relative_of(&location)
            .map(|below| format!("{below}/{kind}/x.jsonl"));
        if inside.is_some_and(|path| objects.chooses(path.trim_start_matches('/'))) {
            return Err(failed(sink::Error::Loop {
                sink: sink.url.to_string(),
            }));
        }
    }
    use config::sink::{EntityFormat, RedactionFormat};
    let formats = Formats {
        redactions: match sink.formats.redactions {
            RedactionFormat::Auto => Redactions::Auto,
            RedactionFormat::Jsonl => Redactions::JsonLines,
            RedactionFormat::Parquet => Redactions::Parquet,
            RedactionFormat::Text => Redactions::Text,
        },
        entities_as_parquet: sink.formats.entities == EntityFormat::Parquet,
        compression: compression(sink),
    };
    let digest = configuration(resolved, job);
    Ok(Target::Objects(Ledger::new(
        location, formats, sink.lease, digest,
    )))
}

/// Where the files of a topic's records go.
async fn rolled(
    sink: &config::ObjectSink,
    group: &str,
    resolved: &Resolved,
    job: &Job,
) -> Result<rolling::Options, Failure> {
    let location = location(sink)?;
    // A store that is never there is told at once; one that goes away later is waited for.
    location
        .connect()
        .await
        .map_err(|error| failed(sink::Error::from(error)))?;
    Ok(rolling::Options {
        chains: sink::chain::Options {
            location,
            group: group.to_owned(),
            configuration: configuration(resolved, job),
            pack: job.engine.pack().digest().to_owned(),
        },
        compression: compression(sink),
    })
}

fn location(sink: &config::ObjectSink) -> Result<Location, Failure> {
    let options = sink
        .options
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Location::create(sink.url.as_str(), &options).map_err(|error| failed(sink::Error::from(error)))
}

fn compression(sink: &config::ObjectSink) -> Option<Compression> {
    match sink.compression {
        config::sink::Compression::None => None,
        config::sink::Compression::Gzip => Some(Compression::Gzip),
        config::sink::Compression::Zstd => Some(Compression::Zstd),
    }
}

/// Digest of what decides about the output.
fn configuration(resolved: &Resolved, job: &Job) -> String {
    // Everything but the object that decides about its outputs: another policy, pack or version of
    // weir makes other outputs under other names.
    let mut digest = blake3::Hasher::new();
    let tenants = job.tenants.current();
    let policies = tenants.iter().map(|policy| &*policy.digest);
    for part in [
        resolved.digest.as_str(),
        job.engine.pack().digest(),
        crate::VERSION,
    ]
    .into_iter()
    .chain(policies)
    {
        digest
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    digest.finalize().to_hex()[..32].to_owned()
}

fn printer(sink: &config::StdoutSink) -> Printer {
    Printer {
        entities: sink.records == config::sink::Printed::Entities,
    }
}

fn stdin(
    source: &config::StdinSource,
    limits: &config::limits::Section,
) -> Result<Reader, Failure> {
    let options = source::Options {
        tenant: match &source.tenant {
            config::TenantFrom::Value(value) => source::TenantFrom::Value(value.clone()),
            config::TenantFrom::Field(key) => source::TenantFrom::Field(pointer(key)),
            _ => source::TenantFrom::Record,
        },
        id: Some(pointer(&source.id)),
        ids: ids(&source.ids),
        max_record_bytes: limits.max_record_bytes,
        ..source::Options::default()
    };
    let format = match source.format {
        Some(config::source::LineFormat::Log) => Format::Lines,
        Some(config::source::LineFormat::Jsonl) => Format::JsonLines,
        None => {
            use std::io::BufRead as _;
            let first = std::io::stdin().lock().fill_buf()?.first().copied();
            if first == Some(b'{') {
                Format::JsonLines
            } else {
                Format::Lines
            }
        }
    };
    // What the look at the first byte has buffered is read first.
    let buffered = {
        use std::io::BufRead as _;
        let mut input = std::io::stdin().lock();
        let buffered = if source.format.is_none() {
            input.fill_buf()?.to_vec()
        } else {
            Vec::new()
        };
        input.consume(buffered.len());
        buffered
    };
    let rest = tokio::io::AsyncReadExt::chain(std::io::Cursor::new(buffered), tokio::io::stdin());
    Reader::over(rest, format, &options).map_err(unavailable)
}

/// A sink that can't be written.
fn failed(error: sink::Error) -> Failure {
    let exit = match &error {
        sink::Error::Loop { .. } => Exit::Config,
        sink::Error::Store { .. } if error.io_kind().is_none() => Exit::Unavailable,
        sink::Error::Write { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Done
        }
        _ => Exit::Io,
    };
    if exit == Exit::Done {
        return Failure::told(exit);
    }
    let hint = error.hint();
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

pub(super) fn stopped(error: job::Error) -> Failure {
    match error {
        job::Error::Source(error) => unavailable(error),
        job::Error::Sink(error) => failed(error),
        job::Error::Engine => Failure::new(Exit::Bug, error),
    }
}

pub(super) fn unavailable(error: source::Error) -> Failure {
    let hint = error.hint();
    let failure = Failure::new(Exit::Unavailable, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The first signal drains; the second one, or the deadline, ends the process. What is not
/// committed then is done again by the next run.
fn signals(drain: CancellationToken, health: Health, deadline: Duration) {
    tokio::spawn(async move {
        signal().await;
        health.drain();
        drain.cancel();
        out::message(&format!(
            "draining for at most {deadline:?}; a second signal ends at once"
        ));
        tokio::select! {
            () = signal() => {}
            () = tokio::time::sleep(deadline) => {}
        }
        out::message("not drained: what is not committed will be done by the next run");
        std::process::exit(Exit::Terminated as i32);
    });
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A bar on a terminal, a log line now and then elsewhere.
async fn show(progress: Arc<Progress>, engine: crate::pipeline::Engine) {
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{msg}").expect("a constant template"));
    let start = Instant::now();
    let mut every = tokio::time::interval(if terminal {
        Duration::from_millis(200)
    } else {
        LINE_EVERY
    });
    every.tick().await;
    let _clear = Clear(bar.clone());
    loop {
        every.tick().await;
        let now = progress.snapshot(engine.counts(), start.elapsed());
        if terminal {
            bar.set_message(now.line());
        } else {
            tracing::info!(
                objects = now.objects_done,
                objects_total = now.objects_total,
                documents = now.documents,
                entities = now.entities,
                dead_letters = now.dead_letters,
                lag = now.lag,
                tokens_per_second = now.tokens_per_second as u64,
                "progress"
            );
        }
    }
}

/// Takes the bar away, also when the task is aborted.
struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn told(summary: &Summary, time: Duration, dry_run: bool) -> String {
    let mut text = format!(
        "{} in {}: {} documents, {} entities",
        if summary.drained { "drained" } else { "done" },
        in_words(time),
        thousands(summary.documents),
        thousands(summary.entities)
    );
    if summary.skipped > 0 {
        text += &format!(", {} objects done before", summary.skipped);
    }
    if summary.busy > 0 {
        text += &format!(", {} objects with other workers", summary.busy);
    }
    if summary.unlisted > 0 {
        text += &format!(", {} files left out", summary.unlisted);
    }
    if summary.unknown > 0 {
        text += &format!(", {} objects of unknown formats left out", summary.unknown);
    }
    let dead: u64 = summary.dead_letters.values().sum();
    if dead > 0 {
        let codes: Vec<String> = summary
            .dead_letters
            .iter()
            .map(|(code, count)| format!("{count} {code}"))
            .collect();
        text += &format!(", {dead} dead letters ({})", codes.join(", "));
    }
    if dry_run {
        text += "; nothing was written";
    }
    text
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
