//! A sink of files: its commit records, and what they list.

use super::{
    super::args,
    super::exit::{Exit, Failure},
    stores,
};
use crate::{
    assemble::engine,
    audit::{
        Activity, Report,
        files::{Error, Files, Gathered},
    },
    config::AuditFiles,
    store::{Location, Options},
};

/// What the files at a place prove, and, where `counts` says so, what was done.
pub(super) fn at(
    url: &str,
    args: &args::Feed,
    counts: bool,
) -> Result<(Report, Activity), Failure> {
    let options = stores::options(args.objects_options.as_deref())?;
    let mut gathered = gathered(url, &options, counts)?;
    let activity = gathered.take_activity();
    Ok((gathered.close(), activity))
}

/// The same of a configuration's sink, compared with its topics if it reads any.
pub(super) fn of(named: &AuditFiles, counts: bool) -> Result<(Report, Activity), Failure> {
    let mut gathered = gathered(named.url.as_str(), &named.options, counts)?;
    let activity = gathered.take_activity();
    #[cfg(feature = "kafka")]
    if let Some((brokers, group, topics)) = &named.topics {
        use crate::audit::live::{Live, Options};
        let mut source = Live::new(&Options {
            source: brokers.clone(),
            group_id: group.clone(),
            topics: topics.clone(),
            // There is no feed.
            feed: brokers.clone(),
            audit: String::new(),
        })?;
        return Ok((gathered.close_with(group, &mut source)?, activity));
    }
    Ok((gathered.close(), activity))
}

fn gathered(url: &str, options: &Options, counts: bool) -> Result<Gathered, Failure> {
    let location = Location::open(url, options)?;
    let files = Files::new(location, counts);
    Ok(engine::runtime()?.block_on(files.read())?)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Unavailable, error)
    }
}
