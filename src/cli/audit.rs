//! `weir audit`: what a feed proves and says; and in its folder keys, the notary, proofs.

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
    let (report, _) = feed::read(&args.feed, false)?;
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
    };
    out::data(text.trim_end())?;
    Ok(Exit::Done)
}

fn json(report: &Report, verdict: Verdict, activity: Option<&Activity>) -> String {
    let mut json = serde_json::to_value(report).expect("counts and names are JSON");
    json["result"] = serde_json::to_value(verdict).expect("a name is JSON");
    if let Some(activity) = activity {
        json["activity"] = serde_json::to_value(activity).expect("counts and names are JSON");
    }
    serde_json::to_string_pretty(&json).expect("it was made as JSON")
}
