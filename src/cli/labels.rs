//! `weir labels`: a label set, its nearest neighbours, and labels that are too similar; for a fixed head
//! the categories that labels stand for.

use std::sync::Arc;

use serde::Serialize;

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::{engine, tenants},
    decode::patterns::Patterns,
    model::{Fit, PackRef, family::Explained},
    pipeline::Models,
    tenant::{Balance, DEFAULT_MODEL, Label, LabelSet, THRESHOLD},
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
    set: LabelSet,
}

/// Shows the labels of the tenants that were asked for.
pub fn execute(args: &args::Labels) -> Result<Exit, Failure> {
    let mut sets: Vec<Asked> = Vec::new();
    let models = if args.label.is_empty() {
        let resolved = args.configuration.resolve()?;
        let tenants = tenants::load(&resolved.tenants)?;
        let wanted = |name: &str| args.tenant.as_ref().is_none_or(|tenant| tenant == name);
        for policy in tenants.iter().filter(|policy| wanted(&policy.tenant)) {
            sets.push(Asked {
                tenant: Some(policy.tenant.to_string()),
                set: policy.labels.clone(),
            });
        }
        if let (Some(name), true) = (&args.tenant, sets.is_empty()) {
            return Err(Failure::new(
                Exit::Usage,
                anyhow::anyhow!("tenant `{name}` does not exist"),
            ));
        }
        match &args.model {
            None => engine::models(&resolved)?,
            Some(folder) => {
                sets.iter_mut().for_each(Asked::of_one_model);
                one(folder)?
            }
        }
    } else {
        sets.push(Asked {
            tenant: None,
            set: named(&args.label),
        });
        let pack = args
            .model
            .clone()
            .map_or_else(|| args::pack(args::PACK), Ok);
        one(&pack.map_err(|problem| Failure::new(Exit::Usage, anyhow::anyhow!(problem)))?)?
    };
    let (mut rows, mut heads) = (Vec::new(), Vec::<Categories>::new());
    for asked in &sets {
        for reading in models.explain(&asked.set)? {
            match reading.explained {
                Explained::Open(alike) => {
                    rows.extend(asked.rows(&reading.labels, alike.as_deref(), args.neighbours));
                }
                Explained::Closed { categories, fits } => {
                    let labels = asked.mapped(&reading.labels, &categories, fits);
                    match heads.iter_mut().find(|head| head.pack == reading.pack) {
                        Some(head) => head.labels.extend(labels),
                        None => heads.push(Categories {
                            pack: reading.pack.to_owned(),
                            categories,
                            labels,
                        }),
                    }
                }
            }
        }
    }
    if args.json {
        return match (rows.as_slice(), heads.as_slice()) {
            (rows, []) => json(&rows),
            ([], [head]) => json(head),
            (rows, heads) => json(&serde_json::json!({"labels": rows, "categories": heads})),
        };
    }
    if !rows.is_empty() || heads.is_empty() {
        print(&rows)?;
    }
    heads.iter().try_for_each(print_categories)?;
    Ok(Exit::Done)
}

/// One pack, without a configuration.
fn one(pack: &PackRef) -> Result<Models, Failure> {
    let options = engine::defaults(pack)?;
    Ok(Models::open([(DEFAULT_MODEL.into(), options)])?)
}

/// A set of labels by their names.
fn named(labels: &[String]) -> LabelSet {
    let labels = labels.iter().map(|name| Label {
        name: name.as_str().into(),
        wording: name.as_str().into(),
        threshold: THRESHOLD,
        models: Arc::default(),
    });
    LabelSet {
        labels: labels.collect(),
        balance: Balance::default(),
        digest: "".into(),
    }
}

impl Asked {
    /// Asks the only model, whatever the labels name.
    fn of_one_model(&mut self) {
        let labels = self.set.labels.iter();
        let labels = labels.map(|label| Label {
            models: Arc::default(),
            ..label.clone()
        });
        self.set.labels = labels.collect();
        self.set.balance = Balance::default();
    }

    /// Labels with those that are most alike.
    fn rows(&self, labels: &[usize], alike: Option<&[Vec<f32>]>, most: usize) -> Vec<Row> {
        let of = |at: usize| &self.set.labels[labels[at]];
        let neighbours = |at: usize| {
            let alike = alike.iter().flat_map(|rows| rows[at].iter().enumerate());
            let mut neighbours: Vec<Neighbour> = alike
                .filter(|(other, _)| *other != at)
                .map(|(other, similarity)| Neighbour {
                    label: of(other).name.to_string(),
                    similarity: *similarity,
                })
                .collect();
            neighbours.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            neighbours.truncate(most);
            neighbours
        };
        let rows = (0..labels.len()).map(|at| Row {
            tenant: self.tenant.clone(),
            label: of(at).name.to_string(),
            wording: of(at).wording.to_string(),
            threshold: of(at).threshold,
            pattern: Patterns::for_label(&of(at).name),
            neighbours: neighbours(at),
        });
        rows.collect()
    }

    /// Labels with their categories.
    fn mapped(&self, labels: &[usize], categories: &[String], fits: Vec<Fit>) -> Vec<Mapped> {
        let name = |category: usize| categories[category].clone();
        let mut mapped = Vec::with_capacity(fits.len());
        for (at, fit) in labels.iter().zip(fits) {
            let label = &self.set.labels[*at];
            let (by, nearest) = match fit {
                Fit::Name(_) => (By::Name, None),
                Fit::Table(_) => (By::Table, None),
                Fit::Alike(category, likeness) => (By::Likeness, Some((category, likeness))),
                Fit::None(nearest) => (By::Nothing, nearest),
            };
            mapped.push(Mapped {
                tenant: self.tenant.clone(),
                label: label.name.to_string(),
                wording: label.wording.to_string(),
                threshold: label.threshold,
                pattern: Patterns::for_label(&label.name),
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

fn print_categories(shown: &Categories) -> Result<(), Failure> {
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
    Ok(())
}

fn with_wording(label: &str, wording: &str) -> String {
    match label == wording {
        true => label.to_owned(),
        false => format!("{label} ({wording})"),
    }
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
    Ok(())
}
