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
    out,
};
use crate::{
    config::{self, Resolved, Route},
    model::OperatingPoints,
    pipeline::{
        Engine, Progress,
        job::{self, Job, Summary, Target},
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
    let route = resolved.route();
    if let Some(why) = route.refuses_trial().filter(|_| args.is_trial()) {
        return Err(Failure::new(Exit::Usage, anyhow::anyhow!("{why}"))
            .hint("to see what weir finds in a few records, give them to `weir redact`"));
    }
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
                Some(engine) => engine.models().fits(set),
                None => points.knows(set.balance.operating_point.as_deref()),
            })
        }
    };
    let unfit: reload::Unfit = Arc::new(unfit);
    tenants.unfit = Some(unfit.clone());
    let (reload, tenants) = tenants.build()?;
    let drain = CancellationToken::new();
    let health = Health::new();
    let stop = CancellationToken::new();
    #[cfg(feature = "server")]
    if let Some(listen) = resolved.listen {
        listens(listen, health.clone(), stop.clone()).await?;
    }
    metric::build_info(options.pack.name());
    // What can't be opened is told before the model is loaded.
    let opened = Opened::new(route, args.dry_run, resolved).await?;
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
    let outcome = match opened {
        Opened::Objects(objects, target) => {
            health.set(Part::Source, true);
            let poll = match route {
                Route::ObjectsToObjects(source, _) | Route::ObjectsToStdout(source, _) => {
                    source.poll
                }
                _ => None,
            };
            let target = match target {
                ObjectTarget::Nothing => Target::Nothing,
                ObjectTarget::Printer(printer) => Target::Printer(printer),
                ObjectTarget::Files(sink) => {
                    let location = location(sink)?;
                    apart(&objects, sink, &location)?;
                    Target::Objects(Ledger::new(
                        location,
                        formats(sink),
                        sink.lease,
                        configuration(resolved, &job),
                    ))
                }
            };
            health.set(Part::Sink, true);
            // A look at everything with nothing written has no second round.
            match poll.filter(|_| !args.dry_run) {
                Some(poll) => job.worker(&objects, &target, poll).await,
                None => job.objects(&objects, &target).await,
            }
        }
        Opened::Stdin(source, printer) => {
            health.set(Part::Source, true);
            health.set(Part::Sink, true);
            let reader = stdin(source, &resolved.limits)?;
            job.stream(reader, printer).await
        }
        #[cfg(feature = "kafka")]
        Opened::Topics(topics) => Ok(topics.run(resolved, &job, health).await?),
    };
    if let Some(shown) = shown {
        shown.abort();
        let _ = shown.await;
    }
    stop.cancel();
    let summary = outcome.map_err(stopped)?;
    if let Some(failure) = nothing_to_read(resolved, &summary) {
        return Err(failure);
    }
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

/// Opens `/metrics`, `/livez` and `/readyz`.
#[cfg(feature = "server")]
async fn listens(
    listen: config::Listen,
    health: Health,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let metrics = metric::install().map_err(|error| Failure::new(Exit::Bug, error))?;
    let server = telemetry::Options {
        listen,
        health,
        metrics,
    };
    let server = server.build().await;
    let server = server.map_err(|error| Failure::new(Exit::Unavailable, error))?;
    tokio::spawn(server.run(stop));
    Ok(())
}

/// A job over objects that found none is most likely a typo in its URL or patterns. A worker that polls
/// waits for what comes.
fn nothing_to_read(resolved: &Resolved, summary: &Summary) -> Option<Failure> {
    let config::Source::ObjectStore(source) = &resolved.source else {
        return None;
    };
    if source.poll.is_some() || summary.drained || summary.listed > 0 {
        return None;
    }
    let mut why = Vec::new();
    if summary.left_out > 0 {
        why.push(format!(
            "source.include and exclude leave out {}",
            summary.left_out
        ));
    }
    if summary.unknown > 0 {
        why.push(format!(
            "{} have an extension that weir does not read",
            summary.unknown
        ));
    }
    if why.is_empty() {
        why.push("the place is empty".to_owned());
    }
    let error = anyhow::anyhow!("nothing to read at {}: {}", source.url, why.join("; "));
    let hint = "check source.url, include and exclude; source.format reads files of any extension";
    Some(Failure::new(Exit::NoInput, error).hint(hint))
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
        options: source.options.clone(),
        include: source.include.clone(),
        exclude: source.exclude.clone(),
        format: source.format.map(|format| match format {
            config::source::Format::Text => Format::Text,
            config::source::Format::Auto => Format::Auto,
            config::source::Format::Log => Format::Lines,
            config::source::Format::Jsonl => Format::JsonLines,
            config::source::Format::Json => Format::Json,
            config::source::Format::Parquet => Format::Parquet,
            config::source::Format::Arrow => Format::Arrow,
        }),
        encoding: source.encoding,
        multiline: source.multiline.clone(),
        tenant,
        id: Some(pointer(&source.id)),
        ids: ids(&source.ids),
        follow_links: source.follow_links,
        columns,
        max_record_bytes: limits.max_record_bytes,
    }
}

/// A route whose two ends can be opened. Nothing was read, written or made yet.
enum Opened<'c> {
    Objects(Objects, ObjectTarget<'c>),
    /// Without a printer for a dry run.
    Stdin(&'c config::StdinSource, Option<Printer>),
    #[cfg(feature = "kafka")]
    Topics(super::kafka::Topics<'c>),
}

/// Where the records of objects go.
enum ObjectTarget<'c> {
    Files(&'c config::ObjectSink),
    Printer(Printer),
    Nothing,
}

impl<'c> Opened<'c> {
    async fn new(route: Route<'c>, dry_run: bool, resolved: &Resolved) -> Result<Self, Failure> {
        let objects =
            |source| Objects::open(object_source(source, &resolved.limits)).map_err(unavailable);
        Ok(match route {
            Route::ObjectsToObjects(source, _) if dry_run => {
                Self::Objects(objects(source)?, ObjectTarget::Nothing)
            }
            Route::ObjectsToStdout(source, _) if dry_run => {
                Self::Objects(objects(source)?, ObjectTarget::Nothing)
            }
            Route::ObjectsToObjects(source, sink) => {
                let objects = objects(source)?;
                if let Some(location) = planned(sink)? {
                    apart(&objects, sink, &location)?;
                }
                Self::Objects(objects, ObjectTarget::Files(sink))
            }
            Route::ObjectsToStdout(source, sink) => {
                Self::Objects(objects(source)?, ObjectTarget::Printer(printer(sink)))
            }
            Route::StdinToStdout(source, sink) => {
                Self::Stdin(source, (!dry_run).then(|| printer(sink)))
            }
            #[cfg(feature = "kafka")]
            Route::TopicsToTopics(source, sink) => {
                Self::Topics(super::kafka::Topics::to_topics(source, sink).await?)
            }
            #[cfg(feature = "kafka")]
            Route::TopicsToObjects(source, sink) => {
                Self::Topics(super::kafka::Topics::to_objects(source, sink).await?)
            }
            #[cfg(not(feature = "kafka"))]
            Route::TopicsToTopics(..) | Route::TopicsToObjects(..) => {
                unreachable!("refused when the configuration was resolved: no feature `kafka`")
            }
        })
    }
}

/// What a job writes must not be what it reads. The configuration was looked at by its URLs alone; here links
/// are followed, and patterns count.
fn apart(objects: &Objects, sink: &config::ObjectSink, location: &Location) -> Result<(), Failure> {
    for kind in ["entities", "redactions", "dead_letters"] {
        let inside = objects
            .location()
            .relative_of(location)
            .map(|below| format!("{below}/{kind}/x.jsonl"));
        if inside.is_some_and(|path| objects.chooses(path.trim_start_matches('/'))) {
            return Err(failed(sink::Error::Loop {
                sink: sink.url.to_string(),
            }));
        }
    }
    Ok(())
}

fn formats(sink: &config::ObjectSink) -> Formats {
    use config::sink::{DeadLetterFormat, EntityFormat, RedactionFormat};
    // All of them, so that a key that is not read does not compile.
    let config::sink::Formats {
        redactions,
        entities,
        dead_letters: DeadLetterFormat::Jsonl,
    } = sink.formats;
    Formats {
        redactions: match redactions {
            RedactionFormat::Auto => Redactions::Auto,
            RedactionFormat::Jsonl => Redactions::JsonLines,
            RedactionFormat::Parquet => Redactions::Parquet,
            RedactionFormat::Text => Redactions::Text,
        },
        entities_as_parquet: entities == EntityFormat::Parquet,
        compression: compression(sink),
    }
}

/// The sink if it is there; `None` is a folder that will be made.
pub(super) fn planned(sink: &config::ObjectSink) -> Result<Option<Location>, Failure> {
    Location::planned(sink.url.as_str(), &sink.options)
        .map_err(|error| failed(sink::Error::from(error)))
}

pub(super) fn location(sink: &config::ObjectSink) -> Result<Location, Failure> {
    Location::create(sink.url.as_str(), &sink.options)
        .map_err(|error| failed(sink::Error::from(error)))
}

pub(super) fn compression(sink: &config::ObjectSink) -> Option<Compression> {
    match sink.compression {
        config::sink::Compression::None => None,
        config::sink::Compression::Gzip => Some(Compression::Gzip),
        config::sink::Compression::Zstd => Some(Compression::Zstd),
    }
}

/// Digest of what decides about the output.
pub(super) fn configuration(resolved: &Resolved, job: &Job) -> String {
    // Everything but the object that decides about its outputs: another policy, pack or version of
    // weir makes other outputs under other names.
    let mut digest = blake3::Hasher::new();
    let tenants = job.tenants.current();
    let policies = tenants.iter().map(|policy| &*policy.digest);
    for part in [
        resolved.digest.as_str(),
        job.engine.models().digest(),
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
        encoding: source.encoding,
        multiline: source.multiline.clone(),
        max_record_bytes: limits.max_record_bytes,
        ..source::Options::default()
    };
    let format = match source.format {
        Some(config::source::LineFormat::Auto) | None => Format::Auto,
        Some(config::source::LineFormat::Log) => Format::Lines,
        Some(config::source::LineFormat::Jsonl) => Format::JsonLines,
        Some(config::source::LineFormat::Json) => Format::Json,
    };
    Reader::over(tokio::io::stdin(), format, &options).map_err(unavailable)
}

/// A sink that can't be written.
pub(super) fn failed(error: sink::Error) -> Failure {
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
        let now = progress.snapshot(&engine.counts(), start.elapsed());
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
