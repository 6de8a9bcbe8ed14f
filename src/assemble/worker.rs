//! A worker, from its configuration to its end.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Error, engine, objects,
    opened::{Opened, Target},
    stdio,
    telemetry::Telemetry,
    tenants,
};
#[cfg(feature = "kafka")]
use crate::pipeline::slot;
use crate::{
    config::{Resolved, limits, pipeline},
    pipeline::{
        Engine, Progress, Running,
        job::{self, Job, Limits, Summary},
    },
    telemetry::{Health, health::Part, metric},
};

/// What is asked of one run beside its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trial {
    /// Nothing is written.
    pub dry_run: bool,
    /// Most documents; `None` for all.
    pub limit: Option<u64>,
}

/// Everything that a configuration names, open.
pub struct Worker<'c> {
    opened: Opened<'c>,
    job: Job,
    health: Health,
    limits: &'c limits::Section,
    #[cfg_attr(not(feature = "kafka"), allow(dead_code))] // of slots
    pipeline: &'c pipeline::Section,
    /// Of the configuration.
    digest: &'c str,
    _running: Running,
    /// Ends the server of metrics and health.
    _stop: DropGuard,
}

impl<'c> Worker<'c> {
    /// Opens source and sink, then loads the model: what can't be opened is an error within a second. `drain`
    /// ends the worker after what is under way.
    pub async fn open(
        resolved: &'c Resolved,
        trial: Trial,
        telemetry: &Telemetry,
        health: Health,
        drain: CancellationToken,
    ) -> Result<Self, Error> {
        let Resolved {
            source: _,            // opened.rs, by the route
            sink: _,              // opened.rs, by the route
            model: _,             // engine.rs
            models: _,            // engine.rs
            batch: _,             // engine.rs
            batch_size_is_set: _, // engine.rs
            telemetry: _,         // telemetry.rs: it begins before a worker is opened
            tenants,
            limits,
            pipeline,
            listen,
            collector: _, // telemetry.rs
            digest,
        } = resolved;
        let models = engine::models(resolved)?;
        let misfits = tenants::misfits(tenants, &models);
        let (reload, tenants) = tenants::reloaded(tenants, misfits)?;
        let stop = CancellationToken::new();
        #[cfg(feature = "server")]
        if let Some((listen, metrics)) = listen.zip(telemetry.metrics.clone()) {
            super::telemetry::serve(listen, health.clone(), metrics, stop.clone()).await?;
        }
        #[cfg(not(feature = "server"))]
        let _ = telemetry;
        #[cfg(not(feature = "server"))]
        debug_assert!(
            listen.is_none(),
            "refused when the configuration was resolved"
        );
        metric::build_info(models.pack());
        let opened = Opened::new(resolved.route(), limits, trial.dry_run).await?;
        let loaded = tokio::task::spawn_blocking(move || Engine::with(models));
        let (engine, running) = loaded.await??;
        health.set(Part::Pack, true);
        health.set(Part::Tenants, true);
        tokio::spawn(reload.run(drain.clone()));
        Ok(Self {
            opened,
            job: Job {
                engine,
                tenants,
                limits: bounds(limits, trial),
                drain,
                progress: Arc::new(Progress::default()),
            },
            health,
            limits,
            pipeline,
            digest,
            _running: running,
            _stop: stop.drop_guard(),
        })
    }

    /// Counts of what is done.
    pub fn progress(&self) -> Arc<Progress> {
        self.job.progress.clone()
    }

    /// The model's threads.
    pub fn engine(&self) -> Engine {
        self.job.engine.clone()
    }

    /// Runs until the input ends or the worker is drained.
    pub async fn run(&self) -> Result<Summary, Error> {
        match &self.opened {
            Opened::Objects {
                objects,
                target,
                poll,
            } => {
                self.health.set(Part::Source, true);
                let target = match target {
                    Target::Nothing => job::Target::Nothing,
                    Target::Printer(printer) => job::Target::Printer(*printer),
                    Target::Files(sink) => {
                        job::Target::Objects(objects::ledger(objects, sink, self.configuration())?)
                    }
                };
                self.health.set(Part::Sink, true);
                Ok(match poll {
                    Some(poll) => self.job.worker(objects, &target, *poll).await?,
                    None => self.job.objects(objects, &target).await?,
                })
            }
            Opened::Stdin(source, printer) => {
                self.health.set(Part::Source, true);
                self.health.set(Part::Sink, true);
                let reader = stdio::reader(source, self.limits)?;
                Ok(self.job.stream(reader, *printer).await?)
            }
            #[cfg(feature = "kafka")]
            Opened::Topics(topics) => {
                let pack = self.job.engine.models().digest();
                let slots =
                    topics.slots(self.limits, self.pipeline, &self.configuration(), pack)?;
                let worker = slot::Worker {
                    engine: self.job.engine.clone(),
                    tenants: self.job.tenants.clone(),
                    progress: self.job.progress.clone(),
                    health: self.health.clone(),
                    drain: self.job.drain.clone(),
                };
                slot::run(worker, slots).await?;
                Ok(Summary {
                    drained: self.job.drain.is_cancelled(),
                    ..Summary::of(&self.job.progress)
                })
            }
        }
    }

    /// Digest of everything but the object that decides about its outputs: another policy, pack or version of
    /// weir makes other outputs under other names.
    fn configuration(&self) -> String {
        let mut digest = blake3::Hasher::new();
        let tenants = self.job.tenants.current();
        let policies = tenants.iter().map(|policy| &*policy.digest);
        for part in [
            self.digest,
            self.job.engine.models().digest(),
            crate::VERSION,
        ]
        .into_iter()
        .chain(policies)
        {
            crate::digest::part(&mut digest, part);
        }
        digest.finalize().to_hex()[..32].to_owned()
    }
}

/// How long what is under way may take after a signal.
pub fn drain_timeout(resolved: &Resolved) -> Duration {
    let pipeline::Section {
        drain_timeout_secs,
        stall_secs: _, // topics.rs
        delivery: _,   // resolved as `KafkaSink::delivery`: topics.rs
        slots: _,      // topics.rs
    } = &resolved.pipeline;
    Duration::from_secs(*drain_timeout_secs)
}

fn bounds(limits: &limits::Section, trial: Trial) -> Limits {
    let limits::Section {
        max_dead_letters,
        max_record_bytes: _, // objects.rs, stdio.rs, topics.rs
        max_in_flight_bytes,
    } = limits;
    let Trial {
        dry_run: _, // opened.rs
        limit,
    } = trial;
    Limits {
        documents: limit,
        dead_letters: *max_dead_letters,
        in_flight_bytes: *max_in_flight_bytes,
    }
}
