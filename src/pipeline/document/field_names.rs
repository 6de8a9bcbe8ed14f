//! What the fields of a JSON document are called.

use std::collections::HashMap;

use crate::record::{
    Text,
    json::{Json, Leaf, NotJson, Selector},
};

/// What the fields of a document are called.
///
/// A field is called as its key says, or, in a list of pairs such as `{"name": "DB_PASSWORD", "value": "…"}`
/// (environments of containers, headers in HAR files, tags), as the pair says.
pub(super) struct FieldNames {
    /// By the pointer of a pair.
    pairs: HashMap<String, Text>,
}

impl FieldNames {
    const NAMES: [&str; 6] = ["name", "key", "k", "field", "header", "variable"];
    const VALUES: [&str; 4] = ["value", "val", "v", "values"];

    /// Longest name of a pair that is kept: what is longer names nothing.
    const MOST_BYTES: usize = 128;

    pub(super) fn of(document: &Json, leaves: &[Leaf]) -> Result<Self, NotJson> {
        let mut pairs = HashMap::new();
        let is_value = |leaf: &Leaf| Self::pair(&leaf.pointer, &Self::VALUES).is_some();
        if leaves.iter().any(is_value) {
            for leaf in document.strings(&Selector::default())? {
                let pair = Self::pair(&leaf.pointer, &Self::NAMES);
                if let Some(pair) = pair.filter(|_| leaf.raw.len() <= Self::MOST_BYTES) {
                    pairs.insert(pair.to_owned(), document.literal(&leaf).text);
                }
            }
        }
        Ok(Self { pairs })
    }

    /// The pointer of the object whose key, one of `keys`, ends `pointer`.
    fn pair<'a>(pointer: &'a str, keys: &[&str]) -> Option<&'a str> {
        let (pair, key) = pointer.rsplit_once('/')?;
        let known = keys.iter().any(|known| known.eq_ignore_ascii_case(key));
        known.then_some(pair)
    }

    /// As a pair says.
    pub(super) fn of_pair(&self, pointer: &str) -> Option<&str> {
        let pair = Self::pair(pointer, &Self::VALUES)?;
        self.pairs.get(pair).map(Text::as_str)
    }

    /// As a pair says, or the key of the value or of the array that holds it: the last part of the
    /// pointer that is no index.
    pub(super) fn name(&self, pointer: &str) -> String {
        if let Some(name) = self.of_pair(pointer) {
            return name.to_owned();
        }
        let name = pointer
            .rsplit('/')
            .find(|part| !part.bytes().all(|byte| byte.is_ascii_digit()))
            .unwrap_or_default();
        name.replace("~1", "/").replace("~0", "~")
    }
}
