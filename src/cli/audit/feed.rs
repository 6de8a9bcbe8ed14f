//! Reads a feed, from files or from its topic, and checks it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context as _;

use super::files;
#[cfg(feature = "kafka")]
use crate::config::AuditFeed;
use crate::{
    audit::{Activity, Feed, Report, link::Sealers, trust::Trust},
    cli::{
        args,
        exit::{Exit, Failure},
    },
    config::{Config, Written},
};

/// What a feed proves, and, where `counts` says so, what was done.
pub(super) fn read(args: &args::Feed, counts: bool) -> Result<(Report, Activity), Failure> {
    let (mut report, activity) = found(args, counts)?;
    report.accept(&args.accept);
    Ok((report, activity))
}

fn found(args: &args::Feed, counts: bool) -> Result<(Report, Activity), Failure> {
    if let Some(url) = &args.objects {
        return files::at(url, args, counts);
    }
    let mut feed = opened(args)?;
    if counts {
        feed.count();
    }
    if !args.files.is_empty() {
        return of_files(args, feed);
    }
    let file = &args.configuration.config;
    // Places, topics and logins: who checks needs none of the worker's keys.
    let written = Config::load(file, std::env::vars_os(), &args.configuration.set)?;
    match written.audit_files(file)? {
        Some(_) if args.trust.is_some() => {
            let error =
                anyhow::anyhow!("--trust is for feeds: commit records of files have no seals");
            Err(Failure::new(Exit::Usage, error))
        }
        Some(named) => files::of(&named, counts),
        None => live(&written, file, feed),
    }
}

/// A feed, whose seals are checked with the keys of a file.
fn opened(args: &args::Feed) -> Result<Feed, Failure> {
    let Some(path) = &args.trust else {
        return Ok(Feed::default());
    };
    let trust = trust(path)?;
    if trust.workers().is_empty() {
        let error = anyhow::anyhow!("{} names no workers", path.display());
        return Err(Failure::new(Exit::Config, error).hint(
            "add the public keys of the workers as `workers`, or leave out --trust: then no seal is checked",
        ));
    }
    // Only the rolls of an archive say when a seal was made.
    let (revoked, trusted) = trust
        .workers()
        .iter()
        .cloned()
        .partition(|key| trust.revoked(key).is_some());
    Ok(Feed::sealed(Sealers { trusted, revoked }))
}

/// A file of trusted keys.
pub(super) fn trust(path: &Path) -> Result<Trust, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read {}", path.display()))
        .map_err(|error| Failure::new(Exit::NoInput, error))?;
    Trust::parse(&text)
        .with_context(|| format!("{} is not a file of trusted keys", path.display()))
        .map_err(|error| Failure::new(Exit::Config, error))
}

fn of_files(args: &args::Feed, mut feed: Feed) -> Result<(Report, Activity), Failure> {
    for path in &args.files {
        if path.is_dir() {
            values(path, &mut feed)?;
            continue;
        }
        lines(path, &mut feed)
            .with_context(|| format!("can't read {}", path.display()))
            .map_err(|error| Failure::new(Exit::NoInput, error))?;
    }
    let activity = feed.take_activity();
    let report = match &args.segments {
        Some(folder) => explained(folder, feed)?,
        None => feed.close(),
    };
    Ok((report, activity))
}

/// The records of a partition's folder.
#[cfg(feature = "kafka")]
fn values(folder: &Path, feed: &mut Feed) -> Result<(), Failure> {
    use crate::audit::{live, segment};

    let each = |value: &[u8]| live::read_value(feed, value);
    segment::committed_values(folder, each).map_err(|error| Failure::new(Exit::NoInput, error))
}

/// A feed whose gaps the segments of its source explain.
#[cfg(feature = "kafka")]
fn explained(folder: &Path, feed: Feed) -> Result<Report, Failure> {
    let mut source = crate::audit::segment::Segments::new(folder);
    feed.close_with(&mut source)
        .map_err(|error| Failure::new(Exit::NoInput, error))
}

#[cfg(not(feature = "kafka"))]
fn values(_: &Path, _: &mut Feed) -> Result<(), Failure> {
    Err(crate::cli::needs("kafka"))
}

#[cfg(not(feature = "kafka"))]
fn explained(_: &Path, _: Feed) -> Result<Report, Failure> {
    Err(crate::cli::needs("kafka"))
}

/// Longest record of a file: a line without an end is no feed.
const MOST_BYTES: u64 = 64 << 20;

fn lines(path: &Path, feed: &mut Feed) -> std::io::Result<()> {
    let mut lines: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path)?)),
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut lines).take(MOST_BYTES);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let end = line.trim_ascii_end().len();
        if end > 0 {
            feed.read_bytes(&line[..end]);
        }
    }
}

/// The feed of the configuration: topics and logins. Who checks a feed needs none of the worker's keys.
#[cfg(feature = "kafka")]
pub(super) fn configured(args: &args::Feed) -> Result<AuditFeed, Failure> {
    let file = &args.configuration.config;
    let written = Config::load(file, std::env::vars_os(), &args.configuration.set)?;
    Ok(written.audit_feed(file)?)
}

#[cfg(feature = "kafka")]
fn live(written: &Written, file: &Path, mut feed: Feed) -> Result<(Report, Activity), Failure> {
    use crate::audit::{
        Source as _,
        live::{Live, Options},
    };

    let named = written.audit_feed(file)?;
    let options = Options {
        source: named.source,
        group_id: named.group_id,
        topics: named.topics,
        feed: named.feed,
        audit: named.topic,
    };
    let mut source = Live::new(&options)?;
    // A worker may go on meanwhile: what is committed now has to be in the feed that is read then.
    feed.expect(source.committed()?);
    options.read(&mut feed)?;
    let activity = feed.take_activity();
    Ok((feed.close_with(&mut source)?, activity))
}

#[cfg(not(feature = "kafka"))]
fn live(_: &Written, _: &Path, _: Feed) -> Result<(Report, Activity), Failure> {
    Err(crate::cli::needs("kafka"))
}
