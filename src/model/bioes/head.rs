//! The fixed head: a model with classes of its own, onto which the tenants' labels are mapped.
//!
//! In:  the names of the classes in the order of the logits; label wordings.
//! Out: [`Head`]: the categories as lanes of a [`LabelMatrix`], and which of them a label set asks for.
//! Holds: all categories compete at every token, also those that nobody asked for: what the model takes for
//!        an e-mail address does not become a person because e-mail addresses were not asked for.

use std::collections::BTreeMap;

use super::{Encoder, LabelMatrix, LabelVectors};
use crate::model::{Error, Pack, family::Fit};

/// Categories of a pack with a fixed head.
#[derive(Debug)]
pub struct Head {
    pack: String,
    categories: Vec<String>,
    /// What labels are compared with: each category's name or description.
    wordings: Vec<String>,
    matrix: LabelMatrix,
}

/// The labels of a set that ask for a category; the first one names its spans.
pub type Assigned = Vec<Vec<usize>>;

/// Likeness of a label and a category below which they are not taken for one. By weir-mini 0.4 "birthday" and
/// `private_date` are 0.83 alike, "IBAN" and `account_number` 0.84, and "song" and `private_phone` 0.77.
const LEAST_ALIKE: f32 = 0.8;

impl Head {
    /// Reads what the manifest names.
    pub fn new(pack: &Pack) -> Result<Self, Error> {
        let Some(head) = &pack.manifest().head else {
            return Err(Error::Manifest {
                path: pack.folder().display().to_string(),
                problem: "section [head] is missing".to_owned(),
            });
        };
        let (categories, vectors) = lanes(&head.classes).map_err(|problem| Error::Manifest {
            path: pack.folder().display().to_string(),
            problem,
        })?;
        let wording = |name: &String| {
            let described = head.descriptions.get(name).cloned();
            described.unwrap_or_else(|| normal(name))
        };
        Ok(Self {
            pack: pack.name().to_owned(),
            wordings: categories.iter().map(wording).collect(),
            categories,
            matrix: LabelMatrix::whole(&vectors),
        })
    }

    /// The classes as a matrix for scoring logits: one lane a category.
    pub fn matrix(&self) -> &LabelMatrix {
        &self.matrix
    }

    /// Names of the categories, in the order of the lanes.
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// For each category the labels that ask for it. `table` maps labels onto categories; a label that is not
    /// in it has to be called as a category is, whatever the case, with `_`, `-` or spaces, and with or
    /// without `private` before it. What is called otherwise gets the nearest category by the label vectors of
    /// `encoder`, if there is one and they are near enough.
    ///
    /// # Errors
    ///
    /// A label without a category would never be found: it is an error that tells the categories there are.
    pub fn assign<'a>(
        &self,
        labels: impl IntoIterator<Item = &'a str>,
        table: &BTreeMap<String, Vec<String>>,
        encoder: Option<&Encoder>,
    ) -> Result<Assigned, Error> {
        let mut assigned: Assigned = vec![Vec::new(); self.categories.len()];
        for (number, label) in labels.into_iter().enumerate() {
            let fit = self.fit(label, table, encoder)?;
            if matches!(fit, Fit::None(_)) {
                return Err(Error::NoCategory {
                    pack: self.pack.clone(),
                    label: label.to_owned(),
                    categories: self.categories.join(", "),
                });
            }
            for category in fit.categories() {
                assigned[*category].push(number);
            }
        }
        Ok(assigned)
    }

    /// The categories that one label asks for, as [`Head::assign`] takes them.
    pub fn fit(
        &self,
        label: &str,
        table: &BTreeMap<String, Vec<String>>,
        encoder: Option<&Encoder>,
    ) -> Result<Fit, Error> {
        if let Some(names) = table.get(label) {
            let listed: Option<Vec<usize>> = names.iter().map(|name| self.named(name)).collect();
            return Ok(listed.map_or(Fit::None(None), Fit::Table));
        }
        if let Some(category) = self.named(label) {
            return Ok(Fit::Name(category));
        }
        let Some(encoder) = encoder else {
            return Ok(Fit::None(None));
        };
        Ok(match self.nearest(label, encoder)? {
            Some((category, likeness)) if likeness >= LEAST_ALIKE => Fit::Alike(category, likeness),
            nearest => Fit::None(nearest),
        })
    }

    fn nearest(&self, label: &str, encoder: &Encoder) -> Result<Option<(usize, f32)>, Error> {
        let own = self.wordings.iter().map(String::as_str);
        let vectors = encoder.encode(&own.chain([label]).collect::<Vec<_>>())?;
        let likeness = |category: usize| vectors.alike(category, self.wordings.len());
        let alike = (0..self.wordings.len()).map(|category| (category, likeness(category)));
        Ok(alike.max_by(|a, b| a.1.total_cmp(&b.1)))
    }

    fn named(&self, name: &str) -> Option<usize> {
        let wanted = normal(name);
        let own = |category: &String| normal(category);
        self.categories
            .iter()
            .position(|category| own(category) == wanted)
            .or_else(|| {
                let private = |category: &String| {
                    own(category).strip_prefix("private ") == Some(wanted.as_str())
                };
                self.categories.iter().position(private)
            })
    }
}

fn normal(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|letter: char| letter.is_whitespace() || letter == '_' || letter == '-')
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").to_lowercase()
}

/// Categories, and vectors that pick their logits. Where a model has no E and no S (BIO), I and B stand for them:
/// the same paths win.
fn lanes(classes: &[String]) -> Result<(Vec<String>, LabelVectors), String> {
    let place = |name: &str| classes.iter().position(|class| class == name);
    let unit = |at: usize| {
        let mut vector = vec![0.0; classes.len()];
        vector[at] = 1.0;
        vector
    };
    let outside = place("O").ok_or("head.classes has no class O")?;
    let mut categories: Vec<String> = Vec::new();
    for class in classes.iter().filter(|class| *class != "O") {
        let known = |(part, _): &(&str, &str)| ["B", "I", "E", "S"].contains(part);
        let Some((_, category)) = class.split_once('-').filter(known) else {
            return Err(format!(
                "head.classes: `{class}` is none of O, B-…, I-…, E-…, S-…"
            ));
        };
        if !categories.iter().any(|known| known == category) {
            categories.push(category.to_owned());
        }
    }
    let mut labels = Vec::with_capacity(categories.len());
    for category in &categories {
        let class = |part: &str| place(&format!("{part}-{category}"));
        let begin = class("B").ok_or_else(|| format!("head.classes has no B-{category}"))?;
        let inside = class("I").ok_or_else(|| format!("head.classes has no I-{category}"))?;
        let (end, single) = (class("E").unwrap_or(inside), class("S").unwrap_or(begin));
        labels.push([unit(begin), unit(inside), unit(end), unit(single)]);
    }
    let vectors = LabelVectors {
        hidden: classes.len(),
        outside: unit(outside),
        labels,
    };
    Ok((categories, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(classes: &[&str]) -> Head {
        let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
        let (categories, vectors) = lanes(&classes).unwrap();
        Head {
            pack: "test".to_owned(),
            wordings: categories.clone(),
            categories,
            matrix: LabelMatrix::whole(&vectors),
        }
    }

    const BIOES: [&str; 9] = [
        "O",
        "B-private_person",
        "I-private_person",
        "E-private_person",
        "S-private_person",
        "S-secret",
        "E-secret",
        "I-secret",
        "B-secret",
    ];

    #[test]
    fn labels_are_assigned_by_name_or_by_table() {
        let head = head(&BIOES);
        let none = BTreeMap::new();
        assert_eq!(
            head.assign(["Private Person"], &none, None).unwrap(),
            [vec![0], vec![]]
        );
        assert_eq!(
            head.assign(["secret", "person"], &none, None).unwrap(),
            [vec![1], vec![0]]
        );
        let table = BTreeMap::from([(
            "anything".to_owned(),
            vec!["secret".to_owned(), "private_person".to_owned()],
        )]);
        assert_eq!(
            head.assign(["anything"], &table, None).unwrap(),
            [vec![0], vec![0]]
        );
        let error = head.assign(["song"], &none, None).unwrap_err().to_string();
        assert!(
            error.contains("`song`") && error.contains("private_person, secret"),
            "{error}"
        );
    }

    #[test]
    fn a_lane_picks_the_logits_of_its_classes_whatever_their_order() {
        let head = head(&BIOES);
        let picked = |lane: u32| {
            head.matrix()
                .vectors(lane)
                .map(|vector| vector.iter().position(|value| *value == 1.0).unwrap())
        };
        assert_eq!(picked(0), [1, 2, 3, 4]);
        assert_eq!(picked(1), [8, 7, 6, 5]);
    }

    #[test]
    fn without_end_and_single_inside_and_begin_stand_for_them() {
        let classes: Vec<String> = ["O", "B-x", "I-x"].map(str::to_owned).to_vec();
        let (_, vectors) = lanes(&classes).unwrap();
        let unit = |at: usize| (0..3).map(|n| f32::from(n == at)).collect::<Vec<_>>();
        assert_eq!(vectors.labels, [[unit(1), unit(2), unit(2), unit(1)]]);
    }

    #[test]
    fn classes_of_no_known_scheme_are_named() {
        for (classes, said) in [
            (vec!["B-x", "I-x"], "no class O"),
            (vec!["O", "person"], "`person`"),
            (vec!["O", "Q-x"], "`Q-x`"),
            (vec!["O", "I-x"], "no B-x"),
        ] {
            let classes: Vec<String> = classes.into_iter().map(str::to_owned).collect();
            assert!(lanes(&classes).unwrap_err().contains(said), "{classes:?}");
        }
    }
}
