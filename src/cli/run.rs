//! `weir run`: arguments, progress, signals and the exit code of a job.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{
    args,
    exit::{Exit, Failure},
    out, progress, summary,
};
use crate::{
    assemble::{self, Trial, Worker, engine, telemetry::Telemetry},
    config::Resolved,
    telemetry::{Health, log},
};

/// Runs the job.
pub fn execute(args: &args::Run, global: &args::Global) -> Result<Exit, Failure> {
    let resolved = args.configuration.resolve()?;
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let (style, level) = assemble::telemetry::logs(&resolved.telemetry, colour);
    let lines = log::init(style, global.log_level.unwrap_or(level));
    let telemetry = Telemetry::start(&resolved)?;
    let runtime = engine::runtime()?;
    let exit = runtime.block_on(run(args, &resolved, &telemetry));
    lines.flush();
    telemetry.finish();
    // What it had to say about the collector.
    lines.flush();
    // A reader of standard input may stay in its read for ever.
    runtime.shutdown_background();
    exit
}

async fn run(
    args: &args::Run,
    resolved: &Resolved,
    telemetry: &Telemetry,
) -> Result<Exit, Failure> {
    if let Some(why) = resolved.route().refuses_trial().filter(|_| args.is_trial()) {
        return Err(Failure::new(Exit::Usage, anyhow::anyhow!("{why}"))
            .hint("to see what weir finds in a few records, give them to `weir redact`"));
    }
    let trial = Trial {
        dry_run: args.dry_run,
        limit: args.limit,
    };
    let (health, drain) = (Health::new(), CancellationToken::new());
    let worker = Worker::open(resolved, trial, telemetry, health.clone(), drain.clone()).await?;
    signals(drain, health, assemble::drain_timeout(resolved));
    let shown = progress::show(worker.progress(), worker.engine());
    let shown = (!args.quiet).then(|| tokio::spawn(shown));
    let start = Instant::now();
    let outcome = worker.run().await;
    if let Some(shown) = shown {
        shown.abort();
        let _ = shown.await;
    }
    let done = outcome?;
    if let Some(failure) = summary::nothing_to_read(resolved, &done) {
        return Err(failure);
    }
    if !args.quiet {
        out::message(&summary::line(&done, start.elapsed(), args.dry_run));
    }
    let dead: u64 = done.dead_letters.values().sum();
    let most = resolved.limits.max_dead_letters;
    Ok(match most.is_some_and(|most| dead > most) {
        true => Exit::DeadLetters,
        false => Exit::Done,
    })
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
        out::message("drain deadline exceeded: the next run processes what is not committed");
        std::process::exit(Exit::Terminated as i32);
    });
}

pub(super) async fn signal() {
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
