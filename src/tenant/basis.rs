//! Why a label is redacted: the paragraph that asks for it, by label.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use super::{
    file::{File, LabelEntry, PatternEntry},
    resolve::Resolver,
};
use crate::{decode::patterns, diagnose::Kind};

/// Reasons by label.
pub type Bases = BTreeMap<Arc<str>, Arc<str>>;

impl Resolver<'_> {
    /// The reasons of labels, patterns and expressions. Spans carry labels, so that two reasons of one label are refused.
    pub(super) fn bases(&mut self, file: &File, options: &patterns::Options) -> Bases {
        let mut bases = Bases::new();
        for (i, entry) in file.labels.iter().enumerate() {
            if let LabelEntry::Table(table) = entry {
                let label = table.name.trim().into();
                self.add_basis(
                    &mut bases,
                    &format!("labels.{i}"),
                    label,
                    table.basis.as_deref(),
                );
            }
        }
        for (i, entry) in file.patterns.iter().enumerate() {
            let PatternEntry::Table(table) = entry else {
                continue;
            };
            let built = options.builtin.iter().find(|(name, _)| *name == table.name);
            if let Some((_, label)) = built {
                self.add_basis(
                    &mut bases,
                    &format!("patterns.{i}"),
                    label.clone(),
                    table.basis.as_deref(),
                );
            }
        }
        for (i, entry) in file.regexes.iter().enumerate() {
            let label = entry.label.as_deref().unwrap_or(&entry.name).trim().into();
            self.add_basis(
                &mut bases,
                &format!("regexes.{i}"),
                label,
                entry.basis.as_deref(),
            );
        }
        bases
    }

    fn add_basis(&mut self, bases: &mut Bases, path: &str, label: Arc<str>, basis: Option<&str>) {
        let Some(basis) = basis.map(str::trim) else {
            return;
        };
        let path = format!("{path}.basis");
        if basis.is_empty() {
            let kind = Kind::Empty {
                key: "basis".to_owned(),
            };
            return self.problem(&path, kind, "name the paragraph, or leave it out");
        }
        match bases.entry(label) {
            Entry::Vacant(free) => {
                free.insert(basis.into());
            }
            Entry::Occupied(known) if **known.get() != *basis => {
                let kind = Kind::Conflict(format!(
                    "the label \"{}\" has two bases: \"{}\" and \"{basis}\"",
                    known.key(),
                    known.get()
                ));
                self.problem(
                    &path,
                    kind,
                    "keep one of them, or give the pattern its own label",
                );
            }
            Entry::Occupied(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{diagnose::Problems, tenant::Policy};

    fn parse(text: &str) -> Result<Policy, Problems> {
        Policy::parse("acme", Path::new("tenants/acme.toml"), text)
    }

    #[test]
    fn a_basis_belongs_to_a_label_and_changes_the_digest_of_the_policy_alone() {
        let plain = parse("labels = [\"person\"]\npatterns = [\"email\"]\n").unwrap();
        let with = parse(
            "labels = [{ name = \"person\", basis = \" A \" }]\n\
             patterns = [{ name = \"email\", basis = \"F\" }]\n\
             regexes = [{ name = \"record\", regex = \"R-[0-9]+\", label = \"person\", basis = \"A\" }]\n",
        )
        .unwrap();
        let bases: Vec<(&str, &str)> = with
            .bases
            .iter()
            .map(|(label, basis)| (&**label, &**basis))
            .collect();
        assert_eq!(bases, [("email", "F"), ("person", "A")]);
        let other =
            parse("labels = [{ name = \"person\", basis = \"B\" }]\npatterns = [\"email\"]\n")
                .unwrap();
        assert_ne!(plain.digest, other.digest);
        assert_eq!(plain.labels.digest, other.labels.digest);
        // As weir made it before there were bases.
        assert!(
            plain.digest.starts_with("cb4a63a8679f1b5e"),
            "{}",
            plain.digest
        );
    }

    #[test]
    fn two_bases_of_one_label_and_an_empty_one_are_refused() {
        let two = "labels = [{ name = \"e-mail\", basis = \"F\" }]\n\
                   patterns = [{ name = \"email\", basis = \"R\" }]\n";
        let problems = parse(two).unwrap_err().to_string();
        assert!(
            problems.contains("the label \"e-mail\" has two bases: \"F\" and \"R\""),
            "{problems}"
        );
        assert!(parse("labels = [{ name = \"person\", basis = \" \" }]\n").is_err());
    }
}
