//! `weir audit notary`: a notary until a signal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    super::{
        args::{Global, log as args},
        exit::{Exit, Failure},
        out, run,
    },
    stores::{options, parts},
};
use crate::{
    assemble::{self, engine},
    audit::{
        anchor::{Anchor, Folder},
        archive::Archive,
        kafka_feed::KafkaFeed,
        key_file,
        notary::{Error, Notary, Options},
        witness::Witness,
    },
    config::Config,
    store::{self, Location},
    telemetry::log,
};

/// Runs a notary.
pub fn execute(args: &args::Notary, global: &Global) -> Result<Exit, Failure> {
    let file = &args.configuration.config;
    let written = Config::load(file, std::env::vars_os(), &args.configuration.set)?;
    let feed = written.audit_feed(file)?;
    let key = key_file::read(&args.key)?;
    let archive_options = options(args.archive_options.as_deref())?;
    let location = Location::create(&args.archive, &archive_options)?;
    let (store, root) = parts(&location);
    let archive = Archive::new(store, root, &args.origin)?;
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let (style, level) = assemble::telemetry::logs(&written.config.telemetry, colour);
    let lines = log::init(style, global.log_level.unwrap_or(level));
    let feed =
        KafkaFeed::new(&feed.feed, &feed.topic, &feed.source, &feed.topics).map_err(Error::from)?;
    out::message(&format!(
        "notary of {} with the key {}",
        args.origin,
        key.verifying_key()
    ));
    let options = Options {
        archive,
        key,
        anchors: anchors(args)?,
        interval: Duration::from_secs(args.interval),
    };
    let runtime = engine::runtime()?;
    let ended = runtime.block_on(async {
        location.connect().await?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        tokio::spawn(async move {
            run::signal().await;
            asked.store(true, Ordering::Relaxed);
            out::message("stopping after this roll");
        });
        Notary::new(options, feed).run(&stop).await?;
        Ok::<_, Failure>(Exit::Done)
    });
    lines.flush();
    ended
}

fn anchors(args: &args::Notary) -> Result<Vec<Box<dyn Anchor>>, Failure> {
    let mut anchors: Vec<Box<dyn Anchor>> = Vec::new();
    let options = options(args.anchor_options.as_deref())?;
    for url in &args.anchor {
        anchors.push(match args.anchor_lock_days {
            Some(days) => locked(url, &options, days)?,
            None => {
                let location = Location::create(url, &options)?;
                let (store, prefix) = parts(&location);
                Box::new(Folder::new(store, prefix, url))
            }
        });
    }
    for (url, key) in &args.witness {
        let witness = Witness::new(url, key.clone());
        let witness = witness.map_err(|error| Failure::new(Exit::Usage, error))?;
        anchors.push(Box::new(witness));
    }
    Ok(anchors)
}

#[cfg(feature = "clouds")]
fn locked(url: &str, options: &store::Options, days: u32) -> Result<Box<dyn Anchor>, Failure> {
    let (bucket, prefix) = store::bucket(url, options)?;
    let bucket = crate::audit::locked::LockedBucket::new(bucket, prefix, url, days);
    Ok(Box::new(
        bucket.map_err(|error| Failure::new(Exit::Unavailable, error))?,
    ))
}

#[cfg(not(feature = "clouds"))]
fn locked(_: &str, _: &store::Options, _: u32) -> Result<Box<dyn Anchor>, Failure> {
    Err(super::super::needs("clouds"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Archive(error) => error.into(),
            error @ Error::Feed(_) => Self::new(Exit::Unavailable, error),
            error @ Error::Anchor(_) => Self::new(Exit::No, error),
            error => Self::new(Exit::Config, error),
        }
    }
}
