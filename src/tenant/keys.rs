//! The keys of a tenant: read from files and variables, one of them primary.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    file::{KeyEntry, Keys},
    kms::Wrapping,
    resolve::Resolver,
};
use crate::{
    diagnose::{Kind, reason},
    redact::Key,
};

/// The keys of a tenant, by id.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<String, Key>,
    /// Id of the only key that makes new values, if the file names one.
    primary: Option<String>,
}

impl Keyring {
    /// A ring of keys, of which one is primary.
    pub fn of(keys: impl IntoIterator<Item = Key>, primary: Option<&str>) -> Self {
        let keys = keys.into_iter();
        Self {
            keys: keys.map(|key| (key.id().to_string(), key)).collect(),
            primary: primary.map(str::to_owned),
        }
    }

    /// All keys, by id.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// The key of an id: it may be an older one, which only reads.
    pub fn key(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }

    /// The key of operators that name none: the primary one, or the only one.
    pub fn primary(&self) -> Option<&Key> {
        match (&self.primary, self.keys.len()) {
            (Some(primary), _) => self.keys.get(primary),
            (None, 1) => self.keys.values().next(),
            (None, _) => None,
        }
    }
}

impl Resolver<'_> {
    /// The key of an id, or the primary key, or the only one. The id as written is not printed: it may be
    /// the key itself, put in the wrong place.
    pub(super) fn key(&mut self, path: &str, id: Option<&str>) -> Option<Key> {
        let ring = &self.keys;
        let found = match id {
            Some(id) => ring.key(id),
            None => ring.primary(),
        };
        let primary = ring.primary.as_deref();
        if let Some(key) = found
            && (primary.is_none() || primary == Some(&**key.id()))
        {
            return Some(key.clone());
        }
        if self.keys_failed {
            return None; // told already, and the id may be right
        }
        let ids: Vec<String> = ring.keys.keys().map(|id| format!("`{id}`")).collect();
        let several = match primary {
            Some(primary) => format!("`{primary}`"),
            None => ids.join(" or "),
        };
        let missing = "keys = { id = \"k1\", file = \"…\" }".to_owned();
        let (why, fix) = match (id, ids.len()) {
            (Some(_), 0) => (
                "`key` names a key, but `keys` is missing from the file",
                missing,
            ),
            (Some(_), _) if found.is_some() => (
                "`key` names a key that is not the primary one: it only reads older values",
                format!("{several}, or leave `key` out"),
            ),
            (Some(_), _) => ("`key` is not the id of a key of this file", several),
            (None, 0) => (
                "the operator needs a key, but the file contains no usable `keys`",
                missing,
            ),
            (None, _) => (
                "the operator must name its key: the file has several",
                format!("key = {several}, or `primary = true` for one of them"),
            ),
        };
        let at = match id {
            Some(_) => format!("{path}.key"),
            None => path.to_owned(),
        };
        self.problem(&at, Kind::Invalid(why.to_owned()), fix);
        None
    }

    /// What the file or the variable of a key holds. `None` means that a problem was reported.
    fn secret_of(&mut self, path: &str, entry: &KeyEntry) -> Option<Zeroizing<Vec<u8>>> {
        match (&entry.file, &entry.env) {
            (Some(file), None) => match std::fs::read(self.folder.join(file)) {
                Ok(bytes) => Some(Zeroizing::new(bytes)),
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
                Some(value) => Some(Zeroizing::new(value.into_encoded_bytes())),
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
            let Some(secret) = self.unwrapped(&path, entry) else {
                continue;
            };
            let key = secret.and_then(|secret| {
                crate::digest::part(self.hash, &*secret);
                let why = |_| {
                    format!(
                        "has {} bytes; at least {} are required",
                        secret.len(),
                        Key::MIN_BYTES
                    )
                };
                Key::new(entry.id.as_str(), &*secret).map_err(why)
            });
            match key {
                Ok(key) => self.add_key(&path, entry, key),
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

    /// The secret of a key, or what is wrong with it. `None` means that a problem was reported.
    fn unwrapped(
        &mut self,
        path: &str,
        entry: &KeyEntry,
    ) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
        let written = self.secret_of(path, entry)?;
        let Some(wrapped) = &entry.wrapped else {
            return Some(decode_key(&written));
        };
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match Wrapping::parse(wrapped).and_then(|wrapping| wrapping.unwrap(&written, &env)) {
            // A service keeps bytes as they are: none is a line end.
            Ok(plain) if plain.starts_with(b"hex:") || plain.starts_with(b"base64:") => {
                Some(decode_key(&plain))
            }
            Ok(plain) => Some(Ok(plain)),
            Err(error) => {
                let kind = Kind::Invalid(format!("the key \"{}\": {error}", entry.id));
                self.problem(&format!("{path}.wrapped"), kind, error.fix());
                None
            }
        }
    }

    fn add_key(&mut self, path: &str, entry: &KeyEntry, key: Key) {
        if self.keys.keys.insert(entry.id.clone(), key).is_some() {
            let kind = Kind::Invalid(format!("key \"{}\" is defined twice", entry.id));
            self.problem(path, kind, "give each its own id");
        }
        if entry.primary && self.keys.primary.replace(entry.id.clone()).is_some() {
            let kind = Kind::Conflict("two keys are `primary`".to_owned());
            self.problem(
                &format!("{path}.primary"),
                kind,
                "keep it at the key that makes new values",
            );
        }
    }
}

/// `hex:…`, `base64:…`, or the bytes themselves without the line end that editors add.
fn decode_key(written: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
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
    Ok(Zeroizing::new(bytes))
}
