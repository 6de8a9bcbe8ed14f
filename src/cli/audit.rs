//! `weir audit verify`: what an audit feed proves; and in its folder keys, the notary, proofs.

pub mod keygen;
#[cfg(feature = "kafka")]
pub mod notary;
pub mod prove;
mod stores;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context as _;

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::audit::{Feed, Report, Verdict};

/// Checks a feed.
pub fn verify(args: &args::Verify) -> Result<Exit, Failure> {
    let mut report = match args.files.is_empty() {
        true => live(args)?,
        false => of_files(args)?,
    };
    report.accept(&args.accept);
    let verdict = report.verdict();
    if args.json {
        let mut json = serde_json::to_value(&report).expect("counts and names are JSON");
        json["result"] = serde_json::to_value(verdict).expect("a name is JSON");
        out::data(&serde_json::to_string_pretty(&json).expect("it was made as JSON"))?;
    } else {
        out::data(&report.to_string())?;
    }
    Ok(match verdict {
        Verdict::Proven => Exit::Done,
        _ => Exit::No,
    })
}

fn of_files(args: &args::Verify) -> Result<Report, Failure> {
    let mut feed = Feed::default();
    for path in &args.files {
        read(path, &mut feed)
            .with_context(|| format!("can't read {}", path.display()))
            .map_err(|error| Failure::new(Exit::NoInput, error))?;
    }
    Ok(feed.close())
}

/// Longest record of a file: a line without an end is no feed.
const MOST_BYTES: u64 = 64 << 20;

fn read(path: &Path, feed: &mut Feed) -> std::io::Result<()> {
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

#[cfg(feature = "kafka")]
fn live(args: &args::Verify) -> Result<Report, Failure> {
    use crate::{
        assemble,
        audit::{Source as _, live::Live},
        config::Route,
    };

    let resolved = args.configuration.resolve()?;
    let options = match resolved.route() {
        Route::TopicsToTopics(source, sink) => assemble::audit::options(source, sink),
        _ => None,
    };
    let Some(options) = options else {
        let error = anyhow::anyhow!("there is no audit topic: sink.topics.audit is not set");
        return Err(Failure::new(Exit::Config, error)
            .hint("add it to a stream from topics to topics, or name files of audit records"));
    };
    let mut feed = Feed::default();
    let mut source = Live::new(&options)?;
    // A worker may go on meanwhile: what is committed now has to be in the feed that is read then.
    feed.expect(source.committed()?);
    options.read(&mut feed)?;
    Ok(feed.close_with(&mut source)?)
}

#[cfg(not(feature = "kafka"))]
fn live(_: &args::Verify) -> Result<Report, Failure> {
    Err(super::needs("kafka"))
}
