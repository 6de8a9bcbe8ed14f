//! Operators.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    digest::operator_text,
    file::{self, GeneralisedName, OperatorEntry, OperatorName, OperatorTable},
    resolve::Resolver,
};
use crate::{
    diagnose::Kind,
    redact::{FIRST, FIRST_OF_LONG_BIN, Generalise, Generalised, Operator, names_cards},
};

impl Resolver<'_> {
    pub(super) fn give(
        &mut self,
        path: &str,
        entry: &OperatorEntry,
        label: &Arc<str>,
        operators: &mut HashMap<Arc<str>, Operator>,
    ) {
        let Some(operator) = self.operator(path, entry) else {
            return;
        };
        self.generalises_something(path, &operator, label);
        let name = operator_text(&operator);
        if let Some(known) = operators.get(label)
            && operator_text(known) != name
        {
            let kind = Kind::Conflict(format!(
                "the label \"{label}\" has two operators: {} and {name}",
                operator_text(known)
            ));
            return self.problem(
                path,
                kind,
                "keep one of them, or give the pattern its own label",
            );
        }
        operators.insert(label.clone(), operator);
    }

    pub(super) fn operator(&mut self, path: &str, entry: &OperatorEntry) -> Option<Operator> {
        match entry {
            OperatorEntry::Name(name) => self.named(path, *name),
            OperatorEntry::Table(table) => self.with_parameters(path, table),
        }
    }

    /// An operator with its default parameters.
    fn named(&mut self, path: &str, name: OperatorName) -> Option<Operator> {
        Some(match name {
            OperatorName::Keep => Operator::Keep,
            OperatorName::Remove | OperatorName::Redact => Operator::Remove,
            OperatorName::Replace => Operator::Replace { placeholder: None },
            OperatorName::Mask => Operator::Mask {
                character: '*',
                keep_last: 0,
            },
            OperatorName::Hash => Operator::Hash {
                key: self.key(path, None)?,
            },
            OperatorName::Surrogate => Operator::Surrogate {
                key: self.key(path, None)?,
            },
            OperatorName::Truncate => Operator::Truncate { first: FIRST },
            OperatorName::Generalise => Operator::Generalise(Generalise {
                kind: None,
                band: file::band(),
                oldest_year: None,
            }),
            OperatorName::Shift => Operator::Shift {
                key: self.key(path, None)?,
                days: file::days(),
            },
        })
    }

    fn with_parameters(&mut self, path: &str, table: &OperatorTable) -> Option<Operator> {
        Some(match table {
            OperatorTable::Keep {} => Operator::Keep,
            OperatorTable::Remove {} | OperatorTable::Redact {} => Operator::Remove,
            OperatorTable::Replace {
                placeholder,
                new_value,
            } => {
                if placeholder.is_some() && new_value.is_some() {
                    let kind =
                        Kind::Conflict("`placeholder` and `new_value` mean the same".to_owned());
                    self.problem(path, kind, "keep `placeholder`");
                    return None;
                }
                Operator::Replace {
                    placeholder: placeholder.clone().or_else(|| new_value.clone()),
                }
            }
            OperatorTable::Mask { .. } => self.mask(path, table)?,
            OperatorTable::Hash { key, .. } => Operator::Hash {
                key: self.key(path, key.as_deref())?,
            },
            OperatorTable::Surrogate { key } => Operator::Surrogate {
                key: self.key(path, key.as_deref())?,
            },
            OperatorTable::Truncate { first } => {
                let first = *first as usize;
                if ![FIRST, FIRST_OF_LONG_BIN].contains(&first) {
                    let kind = Kind::Invalid("`first` must be 6 or 8".to_owned());
                    self.problem(&format!("{path}.first"), kind, "6");
                    return None;
                }
                Operator::Truncate { first }
            }
            OperatorTable::Generalise {
                kind,
                band,
                oldest_year,
            } => Operator::Generalise(Generalise {
                kind: kind.map(|kind| match kind {
                    GeneralisedName::Age => Generalised::Age,
                    GeneralisedName::Date => Generalised::Date,
                    GeneralisedName::Zip => Generalised::Zip,
                }),
                band: *band,
                oldest_year: *oldest_year,
            }),
            OperatorTable::Shift { key, days } => Operator::Shift {
                key: self.key(path, key.as_deref())?,
                days: *days,
            },
        })
    }

    /// A label of its own whose words say nothing of what to generalise: each value would become `[LABEL]`.
    fn generalises_something(&mut self, path: &str, operator: &Operator, label: &str) {
        if let Operator::Generalise(Generalise { kind: None, .. }) = operator
            && Generalised::of_label(label).is_none()
        {
            let kind = Kind::Invalid(format!(
                "the label \"{label}\" does not say what `generalise` makes of it"
            ));
            let fix = "{ type = \"generalise\", kind = \"age\" }, \"date\" or \"zip\"";
            self.problem(path, kind, fix);
        }
    }

    /// A card number that is hashed in one place and truncated in another can be found by trying the digits
    /// that the truncation leaves out (PCI DSS 3.5.1).
    pub(super) fn cards_are_not_correlated(
        &mut self,
        labels: &BTreeSet<Arc<str>>,
        operators: &HashMap<Arc<str>, Operator>,
        default: &Operator,
    ) {
        let of = |label: &Arc<str>| operators.get(label).unwrap_or(default);
        let truncated = labels
            .iter()
            .find(|label| matches!(of(label), Operator::Truncate { .. }));
        let Some(truncated) = truncated else { return };
        let same = |label: &str| {
            names_cards(label) || label.to_lowercase() == truncated.to_lowercase()
        };
        let hashed = labels
            .iter()
            .find(|label| matches!(of(label), Operator::Hash { .. }) && same(label));
        let Some(hashed) = hashed else { return };
        let kind = Kind::Conflict(format!(
            "card numbers are truncated as \"{truncated}\" and hashed as \"{hashed}\": together they give the number away"
        ));
        let at = ["labels", "patterns", "regexes", "deny", "operator"]
            .into_iter()
            .find(|key| self.document.entry(key).is_some())
            .unwrap_or("");
        self.problem(at, kind, "use one of the two operators for all card numbers");
    }

    fn mask(&mut self, path: &str, table: &OperatorTable) -> Option<Operator> {
        let OperatorTable::Mask {
            keep_last,
            masking_char,
            chars_to_mask,
            from_end,
        } = table
        else {
            return None;
        };
        let mut chars = masking_char.chars();
        let (Some(character), None) = (chars.next(), chars.next()) else {
            let kind = Kind::Invalid("`masking_char` must be one character".to_owned());
            self.problem(&format!("{path}.masking_char"), kind, "\"*\"");
            return None;
        };
        let conflict = match (chars_to_mask, from_end, keep_last) {
            (None, Some(_), _) => Some("`from_end` needs `chars_to_mask`, which is missing"),
            (Some(_), _, 1..) => Some("`chars_to_mask` and `keep_last` exclude each other"),
            _ => None,
        };
        if let Some(why) = conflict {
            self.problem(
                path,
                Kind::Conflict(why.to_owned()),
                "keep `keep_last` alone, or `chars_to_mask`",
            );
            return None;
        }
        Some(match chars_to_mask {
            Some(count) => Operator::MaskCount {
                character,
                count: *count as usize,
                from_end: from_end.unwrap_or(false),
            },
            None => Operator::Mask {
                character,
                keep_last: *keep_last as usize,
            },
        })
    }
}
