//! `weir audit`: what a feed proves and says; and in its folder keys, the notary, proofs.

mod archive;
mod feed;
mod files;
pub mod keygen;
#[cfg(feature = "kafka")]
pub mod notary;
mod proof;
pub mod prove;
mod stores;

use super::{
    args,
    args::Form,
    exit::{Exit, Failure},
    out,
};
use crate::audit::{Activity, Report, Verdict, page};

/// `weir audit verify`: checks a feed.
pub fn verify(args: &args::Verify) -> Result<Exit, Failure> {
    if let (Some(proof), Some(trust)) = (&args.proof, &args.feed.trust) {
        return proof::verify(proof, trust);
    }
    let report = match (&args.archive.archive, &args.feed.trust) {
        (Some(url), Some(trust)) => archive::verify(url, &args.archive, trust, &args.feed.accept)?,
        _ => feed::read(&args.feed, false)?.0,
    };
    let verdict = report.verdict();
    match args.json {
        true => out::data(&json(&report, verdict, None))?,
        false => out::data(&report.to_string())?,
    }
    Ok(match verdict {
        Verdict::Proven => Exit::Done,
        _ => Exit::No,
    })
}

/// `weir audit report`: says what was done.
pub fn report(args: &args::Report) -> Result<Exit, Failure> {
    let (report, activity) = feed::read(&args.feed, true)?;
    let text = match args.format {
        Form::Text => page::text(&report, &activity),
        Form::Json => json(&report, report.verdict(), Some(&activity)),
        Form::Csv => page::csv(&report, &activity)?,
        Form::Html => page::html(&report, &activity),
        Form::Openlineage => openlineage(&args.feed, &report, &activity)?,
    };
    out::data(text.trim_end())?;
    Ok(Exit::Done)
}

/// An event of OpenLineage, whose names are those of the configuration.
#[cfg(feature = "kafka")]
fn openlineage(args: &args::Feed, report: &Report, activity: &Activity) -> Result<String, Failure> {
    use crate::audit::lineage;

    let names = feed::configured(args)?.lineage();
    let now = jiff::Timestamp::now().to_string();
    let event = lineage::event(report, activity, &names, &now);
    Ok(serde_json::to_string(&event).expect("it was made as JSON"))
}

#[cfg(not(feature = "kafka"))]
fn openlineage(_: &args::Feed, _: &Report, _: &Activity) -> Result<String, Failure> {
    Err(super::needs("kafka"))
}

fn json(report: &Report, verdict: Verdict, activity: Option<&Activity>) -> String {
    let mut json = serde_json::to_value(report).expect("counts and names are JSON");
    json["result"] = serde_json::to_value(verdict).expect("a name is JSON");
    if let Some(activity) = activity {
        json["activity"] = serde_json::to_value(activity).expect("counts and names are JSON");
    }
    serde_json::to_string_pretty(&json).expect("it was made as JSON")
}
