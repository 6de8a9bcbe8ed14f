//! Operators.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    digest::operator_text,
    file::{
        self, FormatName, GeneralisedName, OperatorEntry, OperatorName, OperatorTable, PerName,
    },
    resolve::Resolver,
};
use crate::{
    diagnose::Kind,
    redact::{
        FEWEST_DIGITS, FIRST, FIRST_OF_LONG_BIN, Format, Generalise, Generalised, KEY_ID_BYTES,
        Key, Operator, Recipient, fits_token, names_cards,
    },
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
            OperatorName::Encrypt => Operator::Encrypt {
                key: self.key_of_tokens(path, None)?,
                format: Format::Token,
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
            OperatorTable::Encrypt { .. } => self.encrypt(path, table)?,
            OperatorTable::Seal { recipient } => match Recipient::new(recipient) {
                Some(recipient) => Operator::Seal { recipient },
                None => {
                    // Not printed: it may be the secret half.
                    let kind = Kind::Invalid("`recipient` is not a public key of age".to_owned());
                    self.problem(&format!("{path}.recipient"), kind, "\"age1…\"");
                    return None;
                }
            },
        })
    }

    fn encrypt(&mut self, path: &str, table: &OperatorTable) -> Option<Operator> {
        let OperatorTable::Encrypt {
            key,
            per,
            format,
            min_digits,
        } = table
        else {
            return None;
        };
        match per {
            Some(PerName::Subject) => {
                let alone = key.is_none() && *format == FormatName::Token && min_digits.is_none();
                self.per_subject(path, alone)
            }
            None => Some(Operator::Encrypt {
                key: self.key_of_tokens(path, key.as_deref())?,
                format: self.format(path, *format, *min_digits)?,
            }),
        }
    }

    /// A key whose id can stand in a token.
    fn key_of_tokens(&mut self, path: &str, id: Option<&str>) -> Option<Key> {
        let key = self.key(path, id)?;
        if !fits_token(key.id()) {
            let kind = Kind::Invalid(format!(
                "the id of the key \"{}\" cannot stand in a token",
                key.id()
            ));
            let fix = format!("letters, digits, `-`, `_` and `.`, at most {KEY_ID_BYTES}");
            self.problem("keys", kind, fix);
            return None;
        }
        Some(key)
    }

    /// A million values are the fewest that NIST allows for FF1.
    fn format(&mut self, path: &str, name: FormatName, min_digits: Option<u32>) -> Option<Format> {
        let fewest = min_digits.map_or(FEWEST_DIGITS, |digits| digits as usize);
        let (kind, fix) = match name {
            FormatName::Token if min_digits.is_some() => (
                Kind::Conflict("`min_digits` is of `format = \"digits\"`".to_owned()),
                "remove it, or add `format = \"digits\"`".to_owned(),
            ),
            FormatName::Digits if fewest < FEWEST_DIGITS => (
                Kind::Invalid(format!(
                    "{fewest} digits are too few for `format = \"digits\"`: fewer than a million values can be searched"
                )),
                format!("{FEWEST_DIGITS} or more, or `format = \"token\"`"),
            ),
            FormatName::Token => return Some(Format::Token),
            FormatName::Digits => return Some(Format::Digits { fewest }),
        };
        self.problem(&format!("{path}.min_digits"), kind, fix);
        None
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
        let same =
            |label: &str| names_cards(label) || label.to_lowercase() == truncated.to_lowercase();
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
        self.problem(
            at,
            kind,
            "use one of the two operators for all card numbers",
        );
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
