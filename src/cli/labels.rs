//! `weir labels`: a label set, its nearest neighbours, and labels too alike to be told apart.

use serde::Serialize;

use super::{
    args, engine,
    exit::{Exit, Failure},
    out,
};
use crate::{decode::patterns::Patterns, model::Encoder, tenant::Tenants};

/// Similarity from which on spans of two labels may swap.
pub const CLASH: f32 = 0.95;

/// One label and those like it.
#[derive(Debug, Serialize)]
struct Row {
    tenant: Option<String>,
    label: String,
    wording: String,
    threshold: f32,
    pattern: Option<&'static str>,
    neighbours: Vec<Neighbour>,
}

#[derive(Debug, Clone, Serialize)]
struct Neighbour {
    label: String,
    similarity: f32,
}

struct Asked {
    tenant: Option<String>,
    /// Name, wording, threshold.
    labels: Vec<(String, String, f32)>,
}

/// Shows the labels of the tenants that were asked for.
pub fn execute(args: &args::Labels) -> Result<Exit, Failure> {
    let mut sets: Vec<Asked> = Vec::new();
    let mut folder = args.model.clone();
    let mut options = None;
    if args.label.is_empty() {
        let resolved = args.configuration.resolve()?;
        let tenants = Tenants::load(&resolved.tenants.dir, resolved.tenants.default.as_deref())?;
        for policy in tenants.iter().filter(|policy| {
            args.tenant
                .as_ref()
                .is_none_or(|name| **name == *policy.tenant)
        }) {
            let labels = policy.labels.labels.iter();
            let labels = labels.map(|label| {
                (
                    label.name.to_string(),
                    label.wording.to_string(),
                    label.threshold,
                )
            });
            sets.push(Asked {
                tenant: Some(policy.tenant.to_string()),
                labels: labels.collect(),
            });
        }
        if let (Some(name), true) = (&args.tenant, sets.is_empty()) {
            return Err(Failure::new(
                Exit::Usage,
                anyhow::anyhow!("no tenant is named `{name}`"),
            ));
        }
        if folder.is_none() {
            options = Some(engine::configured(&resolved)?);
        }
    } else {
        let labels = args
            .label
            .iter()
            .map(|label| (label.clone(), label.clone(), 0.5))
            .collect();
        sets.push(Asked {
            tenant: None,
            labels,
        });
        folder = folder.or_else(|| Some("models/weir-mini".into()));
    }
    let options = match (folder, options) {
        (Some(folder), _) => engine::defaults(&folder)?,
        (None, Some(options)) => options,
        (None, None) => {
            return Err(Failure::new(
                Exit::Usage,
                anyhow::anyhow!("no pack was named"),
            ));
        }
    };
    let encoder = Encoder::new(&options.pack, options.runtime.clone(), options.label_cache)?;
    let mut rows = Vec::new();
    for Asked { tenant, labels } in sets {
        let wordings: Vec<&str> = labels
            .iter()
            .map(|(_, wording, _)| wording.as_str())
            .collect();
        let vectors = encoder.encode(&wordings)?;
        for (at, (label, wording, threshold)) in labels.iter().enumerate() {
            let mut neighbours: Vec<Neighbour> = (0..labels.len())
                .filter(|other| *other != at)
                .map(|other| Neighbour {
                    label: labels[other].0.clone(),
                    similarity: vectors.alike(at, other),
                })
                .collect();
            neighbours.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            neighbours.truncate(args.neighbours);
            rows.push(Row {
                tenant: tenant.clone(),
                label: label.clone(),
                wording: wording.clone(),
                threshold: *threshold,
                pattern: Patterns::for_label(label),
                neighbours,
            });
        }
    }
    if args.json {
        out::data(&serde_json::to_string_pretty(&rows).expect("labels are JSON"))?;
        return Ok(Exit::Done);
    }
    print(&rows)?;
    Ok(Exit::Done)
}

fn print(rows: &[Row]) -> Result<(), Failure> {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["tenant", "label", "threshold", "pattern", "nearest"]);
    let mut clashes = Vec::new();
    for row in rows {
        let nearest: Vec<String> = row
            .neighbours
            .iter()
            .map(|near| format!("{} {:.2}", near.label, near.similarity))
            .collect();
        table.add_row([
            row.tenant.clone().unwrap_or_default(),
            if row.wording == row.label {
                row.label.clone()
            } else {
                format!("{} ({})", row.label, row.wording)
            },
            format!("{}", row.threshold),
            row.pattern.unwrap_or("").to_owned(),
            nearest.join(", "),
        ]);
        // Each pair once.
        for near in row
            .neighbours
            .iter()
            .filter(|near| near.similarity >= CLASH && near.label > row.label)
        {
            clashes.push(format!(
                "\"{}\" and \"{}\" are {:.2} alike: spans may swap",
                row.label, near.label, near.similarity
            ));
        }
    }
    let mut text = table.to_string();
    let warn = out::WARN;
    for clash in clashes {
        text += &format!("\n{warn}warn{warn:#}  {clash}");
    }
    out::data(&text)
}
