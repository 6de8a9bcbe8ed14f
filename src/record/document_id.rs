//! The id of a document: made of its place, or the record's own, and then a value like any other.
//!
//! In:  what a record, a key, a header or a column says; how ids are treated ([`IdRules`]).
//! Out: the id as records show it; a keyed hash for dead letters, always.
//! Holds: `Debug` prints no id of a record, and nothing here prints the key (I7).
//! Does not know: policies; the pipeline redacts an id by the tenant's patterns and lists.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Position;

/// What is done with the ids of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdTreatment {
    /// The tenant's patterns and lists look at them, as at any text.
    #[default]
    Redact,
    /// A keyed hash stands in their place.
    Hash,
    /// They are no values, and stay.
    Keep,
}

/// How the ids of a source are treated.
#[derive(Debug, Clone)]
pub struct IdRules {
    /// What records show.
    pub treatment: IdTreatment,
    /// Key of the hashes.
    pub key: IdKey,
    /// JSON Pointer of a JSON document's id, if it stands in the document.
    pub pointer: Option<String>,
}

impl Default for IdRules {
    fn default() -> Self {
        Self {
            treatment: IdTreatment::default(),
            key: IdKey::of_this_process(),
            pointer: Some("/id".to_owned()),
        }
    }
}

/// Key of hashed ids. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdKey(Arc<[u8]>);

/// Bytes of a hash that are written: 128 bits.
const HASH_BYTES: usize = 16;

impl IdKey {
    /// Shortest secret: 128 bits, so that a small domain of ids cannot be searched by key.
    pub const MIN_BYTES: usize = 16;

    /// A key that somebody keeps: equal ids have equal hashes in every run.
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    /// A random key that nobody keeps. Ids of a small domain, such as numbers of customers, could be
    /// found by trying all of them if the key were known or there was none (design: privacy).
    pub fn of_this_process() -> Self {
        static KEY: LazyLock<IdKey> = LazyLock::new(|| {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).expect("the operating system has random numbers");
            IdKey::new(&secret)
        });
        KEY.clone()
    }

    /// `id_` and 32 hexadecimal digits.
    pub fn hash(&self, id: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(b"weir/id/1\0");
        mac.update(id.as_bytes());
        let digest = mac.finalize().into_bytes();
        format!("id_{}", hex::encode(&digest[..HASH_BYTES]))
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdKey({} bytes)", self.0.len())
    }
}

/// The id of a document.
#[derive(Clone)]
pub struct DocumentId(Kind);

#[derive(Clone)]
enum Kind {
    /// Made of the document's position, which says no more than the position itself.
    Place(String),
    /// The record's own.
    Own(String, Arc<IdRules>),
}

impl DocumentId {
    /// The id of a document that has none of its own.
    pub fn place(position: &Position) -> Self {
        Self(Kind::Place(position.to_string()))
    }

    /// The record's own id.
    pub fn own(id: String, rules: &Arc<IdRules>) -> Self {
        Self(Kind::Own(id, rules.clone()))
    }

    /// As dead letters show it: a value never leaves as it is, unless the configuration says that ids
    /// are none.
    pub fn in_dead_letter(&self) -> String {
        match &self.0 {
            Kind::Place(place) => place.clone(),
            Kind::Own(id, rules) => match rules.treatment {
                IdTreatment::Keep => id.clone(),
                IdTreatment::Hash | IdTreatment::Redact => rules.key.hash(id),
            },
        }
    }

    /// As it was received.
    pub(crate) fn as_received(&self) -> &str {
        match &self.0 {
            Kind::Place(id) | Kind::Own(id, _) => id,
        }
    }

    /// As records show it, and how it is treated if it is the record's own. `redact` takes values out.
    pub fn shown<E>(&self, redact: impl FnOnce(&str) -> Result<String, E>) -> Result<String, E> {
        match &self.0 {
            Kind::Place(place) => Ok(place.clone()),
            Kind::Own(id, rules) => match rules.treatment {
                IdTreatment::Keep => Ok(id.clone()),
                IdTreatment::Hash => Ok(rules.key.hash(id)),
                IdTreatment::Redact => redact(id),
            },
        }
    }

    /// How the record's own id is treated; `None` if the id is made of the position.
    pub fn rules(&self) -> Option<&IdRules> {
        match &self.0 {
            Kind::Place(_) => None,
            Kind::Own(_, rules) => Some(rules),
        }
    }
}

/// A record's own id under the default rules.
impl From<String> for DocumentId {
    fn from(id: String) -> Self {
        static RULES: LazyLock<Arc<IdRules>> = LazyLock::new(Arc::default);
        Self::own(id, &RULES)
    }
}

impl From<&str> for DocumentId {
    fn from(id: &str) -> Self {
        id.to_owned().into()
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Place(place) => write!(f, "Place({place})"),
            Kind::Own(id, _) => write!(f, "Own({} bytes)", id.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(treatment: IdTreatment) -> DocumentId {
        let rules = IdRules {
            treatment,
            key: IdKey::new(b"a key of sixteen"),
            pointer: None,
        };
        DocumentId::own("ana@mail.example".to_owned(), &Arc::new(rules))
    }

    #[test]
    fn an_id_of_a_record_reaches_dead_letters_and_debug_as_a_hash_or_not_at_all() {
        for treatment in [IdTreatment::Redact, IdTreatment::Hash] {
            let shown = id(treatment).in_dead_letter();
            assert!(shown.starts_with("id_") && shown.len() == 35, "{shown}");
        }
        assert_eq!(id(IdTreatment::Keep).in_dead_letter(), "ana@mail.example");
        assert!(!format!("{:?}", id(IdTreatment::Keep)).contains("ana"));
        let position = Position::Stdin { line: 3 };
        assert_eq!(DocumentId::place(&position).in_dead_letter(), "stdin:3");
    }

    #[test]
    fn keys_make_other_hashes_and_the_process_has_one() {
        let hash = |key: &IdKey| key.hash("42");
        let own = IdKey::of_this_process();
        assert_eq!(hash(&own), hash(&IdKey::of_this_process()));
        assert_ne!(hash(&own), hash(&IdKey::new(b"a key of sixteen")));
    }

    #[test]
    fn records_show_an_id_redacted_hashed_or_as_it_is() {
        let redact = |_: &str| Ok::<_, ()>("[EMAIL]".to_owned());
        let shown = |treatment| id(treatment).shown(redact).unwrap();
        assert_eq!(shown(IdTreatment::Redact), "[EMAIL]");
        assert!(shown(IdTreatment::Hash).starts_with("id_"));
        assert_eq!(shown(IdTreatment::Keep), "ana@mail.example");
    }
}
