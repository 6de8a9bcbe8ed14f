//! Operators, and the keys that some of them need.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    digest::operator_text,
    file::{KeyEntry, Keys, OperatorEntry, OperatorName, OperatorTable},
    resolve::Resolver,
};
use crate::{
    diagnose::{Kind, reason},
    redact::{Key, Operator},
};

/// Least bytes of a key: 128 bits (design 6).
const MIN_KEY_BYTES: usize = 16;

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
        Some(match entry {
            OperatorEntry::Name(OperatorName::Keep)
            | OperatorEntry::Table(OperatorTable::Keep {}) => Operator::Keep,
            OperatorEntry::Name(OperatorName::Remove | OperatorName::Redact)
            | OperatorEntry::Table(OperatorTable::Remove {} | OperatorTable::Redact {}) => {
                Operator::Remove
            }
            OperatorEntry::Name(OperatorName::Replace) => Operator::Replace { placeholder: None },
            OperatorEntry::Name(OperatorName::Mask) => Operator::Mask {
                character: '*',
                keep_last: 0,
            },
            OperatorEntry::Name(OperatorName::Hash) => Operator::Hash {
                key: self.key(path, None)?,
            },
            OperatorEntry::Name(OperatorName::Surrogate) => Operator::Surrogate {
                key: self.key(path, None)?,
            },
            OperatorEntry::Table(OperatorTable::Replace {
                placeholder,
                new_value,
            }) => {
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
            OperatorEntry::Table(mask @ OperatorTable::Mask { .. }) => self.mask(path, mask)?,
            OperatorEntry::Table(OperatorTable::Hash { key, .. }) => Operator::Hash {
                key: self.key(path, key.as_deref())?,
            },
            OperatorEntry::Table(OperatorTable::Surrogate { key }) => Operator::Surrogate {
                key: self.key(path, key.as_deref())?,
            },
        })
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

    /// The key of an id, or the only key. The id as written is not printed: it may be the key
    /// itself, put in the wrong place.
    fn key(&mut self, path: &str, id: Option<&str>) -> Option<Key> {
        if self.keys.is_empty() && self.keys_failed {
            return None; // told already, and the id may be right
        }
        let ids: Vec<String> = self.keys.keys().map(|id| format!("`{id}`")).collect();
        let (kind, fix) = match (id, self.keys.len()) {
            (Some(id), _) => match self.keys.get(id) {
                Some(key) => return Some(key.clone()),
                None if ids.is_empty() => (
                    Kind::Invalid(
                        "`key` names a key, but `keys` is missing from the file".to_owned(),
                    ),
                    "keys = { id = \"k1\", file = \"…\" }".to_owned(),
                ),
                None => (
                    Kind::Invalid("`key` is not the id of a key of this file".to_owned()),
                    ids.join(" or "),
                ),
            },
            (None, 1) => return self.keys.values().next().cloned(),
            (None, 0) => (
                Kind::Invalid(
                    "the operator needs a key, but the file contains no usable `keys`".to_owned(),
                ),
                "keys = { id = \"k1\", file = \"…\" }".to_owned(),
            ),
            (None, _) => (
                Kind::Invalid("the operator must name its key: the file has several".to_owned()),
                format!("key = {}", ids.join(" or ")),
            ),
        };
        let at = match id {
            Some(_) => format!("{path}.key"),
            None => path.to_owned(),
        };
        self.problem(&at, kind, fix);
        None
    }

    /// What the file or the variable of a key holds. `None` means that a problem was reported.
    fn secret_of(&mut self, path: &str, entry: &KeyEntry) -> Option<Vec<u8>> {
        match (&entry.file, &entry.env) {
            (Some(file), None) => match std::fs::read(self.folder.join(file)) {
                Ok(bytes) => Some(bytes),
                Err(error) => {
                    let kind = Kind::Unreadable {
                        what: "the file of the key".to_owned(),
                        reason: reason(&error),
                    };
                    self.problem(
                        &format!("{path}.file"),
                        kind,
                        "name a readable file outside version control",
                    );
                    None
                }
            },
            (None, Some(name)) => match std::env::var_os(name) {
                Some(value) => Some(value.into_encoded_bytes()),
                None => {
                    let kind = Kind::Unreadable {
                        what: "the variable of the key".to_owned(),
                        reason: "the variable is not set".to_owned(),
                    };
                    self.problem(&format!("{path}.env"), kind, "set it where weir runs");
                    None
                }
            },
            _ => {
                let kind = Kind::OneOf {
                    key: "a key".to_owned(),
                    of: "`file`, `env`".to_owned(),
                };
                self.problem(path, kind, "keep one of them");
                None
            }
        }
    }

    pub(super) fn read_keys(&mut self, keys: Option<&Keys>) {
        let entries: Vec<(String, &KeyEntry)> = match keys {
            None => return,
            Some(Keys::One(entry)) => vec![("keys".to_owned(), entry)],
            Some(Keys::Many(entries)) => entries
                .iter()
                .enumerate()
                .map(|(i, entry)| (format!("keys.{i}"), entry))
                .collect(),
        };
        for (path, entry) in entries {
            let Some(secret) = self.secret_of(&path, entry) else {
                continue;
            };
            let secret = zeroize::Zeroizing::new(secret);
            match decode_key(&secret) {
                Ok(secret) => {
                    crate::digest::part(self.hash, &secret);
                    let key = Key {
                        id: entry.id.as_str().into(),
                        secret: secret.as_slice().into(),
                    };
                    if self.keys.insert(entry.id.clone(), key).is_some() {
                        let kind = Kind::Invalid(format!("key \"{}\" is defined twice", entry.id));
                        self.problem(&path, kind, "give each its own id");
                    }
                }
                Err(why) => {
                    let kind = Kind::Invalid(format!("the key \"{}\" {why}", entry.id));
                    self.problem(
                        &path,
                        kind,
                        "hex:…, base64:… or the bytes themselves, 16 bytes or more",
                    );
                }
            }
        }
    }
}

/// `hex:…`, `base64:…`, or the bytes themselves without the line end that editors add.
fn decode_key(written: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let text = std::str::from_utf8(written).map(str::trim_end);
    let bytes = match text {
        Ok(text) if text.starts_with("hex:") => {
            hex::decode(&text[4..]).map_err(|_| "is not valid hexadecimal".to_owned())?
        }
        Ok(text) if text.starts_with("base64:") => STANDARD
            .decode(&text[7..])
            .map_err(|_| "is not valid base64".to_owned())?,
        _ => {
            let end = written.strip_suffix(b"\n").unwrap_or(written);
            end.strip_suffix(b"\r").unwrap_or(end).to_vec()
        }
    };
    let bytes = zeroize::Zeroizing::new(bytes);
    match bytes.len() {
        n if n < MIN_KEY_BYTES => Err(format!(
            "has {n} bytes; at least {MIN_KEY_BYTES} are required"
        )),
        _ => Ok(bytes),
    }
}
