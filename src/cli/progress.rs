//! What a job has done so far.

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::{Engine, Progress};

/// Time between progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// A bar on a terminal, a log line now and then elsewhere.
pub(super) async fn show(progress: Arc<Progress>, engine: Engine) {
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
