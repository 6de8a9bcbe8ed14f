//! The categories of a model, and which of them a label asks for.
//!
//! In:  the names of the classes in the order of the logits; label wordings.
//! Out: [`Classes`]: the categories, what scores them, and those that a label set asks for.
//! Holds: all categories compete at every step, also those that nobody asked for: what the model takes for
//!        an e-mail address does not become a person because e-mail addresses were not asked for.

use std::collections::BTreeMap;

use super::scheme::Scheme;
use crate::model::{Encoder, Error, Pack, family::Fit};

/// Categories of a pack with classes of its own.
#[derive(Debug)]
pub struct Classes {
    pack: String,
    pub(super) scheme: Scheme,
    /// What labels are compared with: each category's name or description.
    wordings: Vec<String>,
    /// Of the pack's own: the categories that a label stands for.
    table: BTreeMap<String, Vec<String>>,
}

/// The labels of a set that ask for a category; the first one names its spans.
pub type Assigned = Vec<Vec<usize>>;

/// Likeness of a label and a category below which they are not taken for one. By weir-mini 0.4 "birthday" and
/// `private_date` are 0.83 alike, "IBAN" and `account_number` 0.84, and "song" and `private_phone` 0.77.
const LEAST_ALIKE: f32 = 0.8;

impl Classes {
    /// Reads what the manifest names.
    pub fn new(pack: &Pack) -> Result<Self, Error> {
        let problem = |problem: String| Error::Manifest {
            path: pack.folder().display().to_string(),
            problem,
        };
        let Some(head) = &pack.manifest().head else {
            return Err(problem("section [head] is missing".to_owned()));
        };
        let scheme = Scheme::new(&head.classes, head.outside.as_deref()).map_err(problem)?;
        let wording = |name: &String| {
            let described = head.descriptions.get(name).cloned();
            described.unwrap_or_else(|| normal(name))
        };
        Ok(Self {
            pack: pack.name().to_owned(),
            wordings: scheme.categories.iter().map(wording).collect(),
            table: pack.manifest().categories.clone(),
            scheme,
        })
    }

    /// Names of the categories, in the order of the lanes.
    pub fn categories(&self) -> &[String] {
        &self.scheme.categories
    }

    /// For each category the labels that ask for it. `table` maps labels onto categories, and where it does not, the
    /// pack's own does; a label that is in neither has to be called as a category is, whatever the case, with `_`, `-` or spaces, and with or
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
        let mut assigned: Assigned = vec![Vec::new(); self.categories().len()];
        for (number, label) in labels.into_iter().enumerate() {
            let fit = self.fit(label, table, encoder)?;
            if matches!(fit, Fit::None(_)) {
                return Err(Error::NoCategory {
                    pack: self.pack.clone(),
                    label: label.to_owned(),
                    categories: self.categories().join(", "),
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
        if let Some(names) = table.get(label).or_else(|| self.table.get(label)) {
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
        self.categories()
            .iter()
            .position(|category| own(category) == wanted)
            .or_else(|| {
                let private = |category: &String| {
                    own(category).strip_prefix("private ") == Some(wanted.as_str())
                };
                self.categories().iter().position(private)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(classes: &[&str]) -> Classes {
        let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
        let scheme = Scheme::new(&classes, None).unwrap();
        Classes {
            pack: "test".to_owned(),
            wordings: scheme.categories.clone(),
            table: BTreeMap::from([("name".to_owned(), vec!["private_person".to_owned()])]),
            scheme,
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
    fn a_table_of_the_configuration_goes_before_that_of_the_pack() {
        let head = head(&BIOES);
        let asked =
            |table: &BTreeMap<String, Vec<String>>| head.assign(["name"], table, None).unwrap();
        assert_eq!(asked(&BTreeMap::new()), [vec![0], vec![]]);
        let own = BTreeMap::from([("name".to_owned(), vec!["secret".to_owned()])]);
        assert_eq!(asked(&own), [vec![], vec![0]]);
    }
}
