//! Tenants reloaded while the worker runs: when a file changes, on SIGHUP, and on request. A bad
//! file keeps the old set.

use std::{path::PathBuf, sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Tenants,
    events::{Event, TenantsKept, TenantsReloaded, TenantsUnchanged, WatchFailed},
};
use crate::diagnose::Problems;

/// What is wrong with tenants whose files are right, such as a label that the pack can't find.
pub type Unfit = Arc<dyn Fn(&Tenants) -> Problems + Send + Sync>;

/// How tenants are reloaded.
#[derive(Clone)]
pub struct Options {
    /// Folder of the files.
    pub dir: PathBuf,
    /// Tenant of documents that name none.
    pub default: Option<String>,
    /// How long the folder must be quiet before it is read: editors and Kubernetes write in
    /// several steps.
    pub quiet: Duration,
    /// How often the files are compared without a notice: network file systems send none, and
    /// lists and keys may lie outside of the folder.
    pub poll: Duration,
    /// Tenants with such problems are not taken.
    pub unfit: Option<Unfit>,
}

impl Options {
    /// The usual times.
    pub fn new(dir: PathBuf, default: Option<String>) -> Self {
        Self {
            dir,
            default,
            quiet: Duration::from_millis(200),
            poll: Duration::from_secs(60),
            unfit: None,
        }
    }

    fn load(&self) -> Result<Tenants, Problems> {
        let tenants = Tenants::load(&self.dir, self.default.as_deref())?;
        if let Some(unfit) = &self.unfit {
            unfit(&tenants).into_result()?;
        }
        Ok(tenants)
    }

    /// Loads the tenants; from here on a bad file can't stop the worker.
    pub fn build(self) -> Result<(Service, Handle), Problems> {
        // One request under way is enough: it reads what is there then.
        let (commands_tx, commands) = mpsc::channel(16);
        // Watched before they are read: a change in between would wait for the next poll.
        let watcher = watch_folder(&self, commands_tx.clone());
        let tenants = self.load()?;
        let (current_tx, current) = watch::channel(Arc::new(tenants));
        let handle = Handle {
            current,
            commands: commands_tx,
        };
        let service = Service {
            options: self,
            current_tx,
            commands,
            _watcher: watcher,
        };
        Ok((service, handle))
    }
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The new set is in use.
    Reloaded,
    /// Nothing had changed.
    Unchanged,
    /// A file is bad: the old set stays in use.
    Kept,
}

impl Outcome {
    /// As in the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reloaded => "reloaded",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
        }
    }
}

enum Command {
    Changed,
    Reload { reply: oneshot::Sender<Outcome> },
}

/// The tenants in use: cheap to clone.
#[derive(Clone)]
pub struct Handle {
    current: watch::Receiver<Arc<Tenants>>,
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// The set in use now. A document keeps the set with which it was begun.
    pub fn current(&self) -> Arc<Tenants> {
        self.current.borrow().clone()
    }

    /// Reads the files now; `None` if the service has ended.
    pub async fn reload(&self) -> Option<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Reload { reply }).await.ok()?;
        answer.await.ok()
    }
}

/// Owns the set in use.
pub struct Service {
    options: Options,
    current_tx: watch::Sender<Arc<Tenants>>,
    commands: mpsc::Receiver<Command>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Service {
    /// Reloads until `drain` is cancelled.
    pub async fn run(self, drain: CancellationToken) {
        let Self {
            options,
            current_tx,
            mut commands,
            _watcher,
        } = self;
        let mut hangup = Hangup::new();
        let mut poll = tokio::time::interval(options.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        poll.tick().await; // the first tick is at once: the files were just read
        loop {
            let mut replies = Vec::new();
            tokio::select! {
                () = drain.cancelled() => return,
                () = hangup.received() => {}
                _ = poll.tick() => {}
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Reload { reply }) => replies.push(reply),
                    Some(Command::Changed) => {
                        let quiet = until_quiet(&mut commands, options.quiet, &mut replies);
                        tokio::select! {
                            () = drain.cancelled() => return,
                            () = quiet => {}
                        }
                    }
                },
            }
            let own = options.clone();
            let Ok(loaded) = tokio::task::spawn_blocking(move || own.load()).await else {
                continue; // the runtime is going down, or the load panicked: the old set stays
            };
            let outcome = settle(loaded, &current_tx);
            for reply in replies {
                let _ = reply.send(outcome); // a caller that left needs no answer
            }
        }
    }
}

/// The one decision: a good set that differs replaces the old one, everything else keeps it.
fn settle(loaded: Result<Tenants, Problems>, current: &watch::Sender<Arc<Tenants>>) -> Outcome {
    match loaded {
        Ok(tenants)
            if tenants.fingerprint == current.borrow().fingerprint
                && tenants.same_policies(&current.borrow()) =>
        {
            TenantsUnchanged.emit();
            Outcome::Unchanged
        }
        Ok(tenants) => {
            TenantsReloaded {
                tenants: tenants.iter().count(),
            }
            .emit();
            current.send_replace(Arc::new(tenants));
            Outcome::Reloaded
        }
        Err(problems) => {
            TenantsKept {
                problems: &problems,
            }
            .emit();
            Outcome::Kept
        }
    }
}

async fn until_quiet(
    commands: &mut mpsc::Receiver<Command>,
    quiet: Duration,
    replies: &mut Vec<oneshot::Sender<Outcome>>,
) {
    while let Ok(Some(command)) = tokio::time::timeout(quiet, commands.recv()).await {
        if let Command::Reload { reply } = command {
            replies.push(reply);
        }
    }
}

/// Watches the folder. A ConfigMap is a folder of links into `..data`, itself a link that is
/// swapped: the swap is a change in the folder that is watched. If watching fails, the poll stays.
fn watch_folder(
    options: &Options,
    commands: mpsc::Sender<Command>,
) -> Option<notify::RecommendedWatcher> {
    let notice = move |event: Result<notify::Event, notify::Error>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel already holds a notice.
            let _ = commands.try_send(Command::Changed);
        }
    };
    let watched = notify::recommended_watcher(notice).and_then(|mut watcher| {
        watcher.watch(&options.dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watched {
        Ok(watcher) => Some(watcher),
        Err(_) => {
            WatchFailed { poll: options.poll }.emit();
            None
        }
    }
}

/// SIGHUP, where there is one.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn received(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
