//! `weir labels`: a label set, its nearest neighbours, and labels that are too similar; for a fixed head
//! the categories that labels stand for.

use serde::Serialize;

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::{engine, tenants},
    decode::patterns::Patterns,
    model::{
        self, Fit,
        family::{Ask, Explained, Label},
    },
    tenant::THRESHOLD,
};

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

/// A label and its categories of a fixed head.
#[derive(Debug, Serialize)]
struct Mapped {
    tenant: Option<String>,
    label: String,
    wording: String,
    threshold: f32,
    pattern: Option<&'static str>,
    /// None: the label is never found.
    categories: Vec<String>,
    by: By,
    /// The category with the nearest vector, where vectors were compared.
    nearest: Option<Neighbour>,
}

/// What decided about a label's categories.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Name,
    Table,
    Likeness,
    Nothing,
}

/// What is shown for a fixed head.
#[derive(Debug, Serialize)]
struct Categories {
    pack: String,
    categories: Vec<String>,
    labels: Vec<Mapped>,
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
        let tenants = tenants::load(&resolved.tenants)?;
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
                anyhow::anyhow!("tenant `{name}` does not exist"),
            ));
        }
        if folder.is_none() {
            options = Some(engine::configured(&resolved)?);
        }
    } else {
        let labels = args
            .label
            .iter()
            .map(|label| (label.clone(), label.clone(), THRESHOLD))
            .collect();
        sets.push(Asked {
            tenant: None,
            labels,
        });
        folder = folder.or_else(|| args::pack(args::PACK).ok());
    }
    let options = match (folder, options) {
        (Some(folder), _) => engine::defaults(&folder)?,
        (None, Some(options)) => options,
        (None, None) => {
            return Err(Failure::new(
                Exit::Usage,
                anyhow::anyhow!("the name of a pack is missing"),
            ));
        }
    };
    let pack = options.pack.name().to_owned();
    let family = model::open(options)?;
    let (mut rows, mut mapped, mut known) = (Vec::new(), Vec::new(), None);
    for set in sets {
        match family.explain(&set.ask())? {
            Explained::Open(alike) => rows.extend(set.rows(alike.as_deref(), args.neighbours)),
            Explained::Closed { categories, fits } => {
                mapped.extend(set.mapped(&categories, fits));
                known = Some(categories);
            }
        }
    }
    let Some(categories) = known else {
        return match args.json {
            true => json(&rows),
            false => print(&rows),
        };
    };
    let shown = Categories {
        pack,
        categories,
        labels: mapped,
    };
    match args.json {
        true => json(&shown),
        false => print_categories(&shown),
    }
}

impl Asked {
    fn ask(&self) -> Ask {
        let labels = self.labels.iter().map(|(_, wording, threshold)| Label {
            wording: wording.as_str().into(),
            threshold: *threshold,
        });
        Ask {
            labels: labels.collect(),
            operating_point: None,
            recall_bias: 0.0,
        }
    }

    /// Labels with those that are most alike.
    fn rows(self, alike: Option<&[Vec<f32>]>, most: usize) -> Vec<Row> {
        let names: Vec<&String> = self.labels.iter().map(|(name, ..)| name).collect();
        let neighbours = |at: usize| {
            let alike = alike.iter().flat_map(|rows| rows[at].iter().enumerate());
            let mut neighbours: Vec<Neighbour> = alike
                .filter(|(other, _)| *other != at)
                .map(|(other, similarity)| Neighbour {
                    label: names[other].clone(),
                    similarity: *similarity,
                })
                .collect();
            neighbours.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            neighbours.truncate(most);
            neighbours
        };
        let rows = self.labels.iter().enumerate();
        let rows = rows.map(|(at, (label, wording, threshold))| Row {
            tenant: self.tenant.clone(),
            label: label.clone(),
            wording: wording.clone(),
            threshold: *threshold,
            pattern: Patterns::for_label(label),
            neighbours: neighbours(at),
        });
        rows.collect()
    }

    /// Labels with their categories.
    fn mapped(self, categories: &[String], fits: Vec<Fit>) -> Vec<Mapped> {
        let name = |category: usize| categories[category].clone();
        let mut mapped = Vec::with_capacity(fits.len());
        for ((label, wording, threshold), fit) in self.labels.into_iter().zip(fits) {
            let (by, nearest) = match fit {
                Fit::Name(_) => (By::Name, None),
                Fit::Table(_) => (By::Table, None),
                Fit::Alike(category, likeness) => (By::Likeness, Some((category, likeness))),
                Fit::None(nearest) => (By::Nothing, nearest),
            };
            mapped.push(Mapped {
                tenant: self.tenant.clone(),
                pattern: Patterns::for_label(&label),
                label,
                wording,
                threshold,
                categories: fit.categories().iter().copied().map(name).collect(),
                by,
                nearest: nearest.map(|(category, similarity)| Neighbour {
                    label: name(category),
                    similarity,
                }),
            });
        }
        mapped
    }
}

fn json(shown: &impl Serialize) -> Result<Exit, Failure> {
    out::data(&serde_json::to_string_pretty(shown).expect("labels are JSON"))?;
    Ok(Exit::Done)
}

fn print_categories(shown: &Categories) -> Result<Exit, Failure> {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["tenant", "label", "threshold", "pattern", "category", "by"]);
    let mut warnings = Vec::new();
    for (at, row) in shown.labels.iter().enumerate() {
        let nearest = row.nearest.as_ref();
        let nearest = nearest.map(|near| format!("{} {:.2}", near.label, near.similarity));
        table.add_row([
            row.tenant.clone().unwrap_or_default(),
            with_wording(&row.label, &row.wording),
            format!("{}", row.threshold),
            row.pattern.unwrap_or("").to_owned(),
            row.categories.join(", "),
            match (row.by, nearest) {
                (By::Name, _) => "name".to_owned(),
                (By::Table, _) => "[model.categories]".to_owned(),
                (By::Likeness, near) => format!("likeness: {}", near.unwrap_or_default()),
                (By::Nothing, Some(near)) => format!("nothing; nearest: {near}"),
                (By::Nothing, None) => "nothing".to_owned(),
            },
        ]);
        if row.categories.is_empty() {
            warnings.push(format!(
                "no category matches \"{}\": rename it to one, or map it in [model.categories]",
                row.label
            ));
        }
        for other in shown.labels[..at]
            .iter()
            .filter(|other| other.tenant == row.tenant)
        {
            let both = |category: &&String| other.categories.contains(category);
            for category in row.categories.iter().filter(both) {
                warnings.push(format!(
                    "\"{}\" and \"{}\" both stand for {category}: its spans go to \"{}\"",
                    other.label, row.label, other.label
                ));
            }
        }
    }
    let mut text = format!(
        "{table}\n{} has the categories {}",
        shown.pack,
        shown.categories.join(", ")
    );
    let warn = out::WARN;
    for warning in warnings {
        text += &format!("\n{warn}warn{warn:#}  {warning}");
    }
    out::data(&text)?;
    Ok(Exit::Done)
}

fn with_wording(label: &str, wording: &str) -> String {
    match label == wording {
        true => label.to_owned(),
        false => format!("{label} ({wording})"),
    }
}

fn print(rows: &[Row]) -> Result<Exit, Failure> {
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
            with_wording(&row.label, &row.wording),
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
                "\"{}\" and \"{}\" have similarity {:.2}: the model may confuse them",
                row.label, near.label, near.similarity
            ));
        }
    }
    let mut text = table.to_string();
    let warn = out::WARN;
    for clash in clashes {
        text += &format!("\n{warn}warn{warn:#}  {clash}");
    }
    out::data(&text)?;
    Ok(Exit::Done)
}
