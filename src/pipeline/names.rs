//! The names in a record: its id, the keys of its objects. They come from the record and may be
//! values, but they are not prose: the tenant's patterns and lists search them, the model does not.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::document::{About, Error};
use crate::{
    decode::{Span, conflict},
    record::{
        DocumentId,
        json::{Edit, Json, Key, Leaf, Selector, quoted},
        schema_name,
    },
    tenant::Policy,
};

/// What patterns and lists find in a name.
pub(super) fn in_name(policy: &Policy, name: &str) -> Vec<Span> {
    let found = policy.patterns.find(name);
    match found.is_empty() {
        true => found,
        false => conflict::resolve(name, found, &policy.patterns.allowed(name)),
    }
}

fn redacted(
    policy: &Policy,
    about: &About<'_>,
    name: &str,
    spans: &[Span],
) -> Result<String, Error> {
    let mut redacted = String::with_capacity(name.len());
    about.redact(policy, name, spans, &mut redacted)?;
    Ok(redacted)
}

/// An id as records show it.
pub(super) fn shown_id(
    policy: &Policy,
    about: &About<'_>,
    id: &DocumentId,
) -> Result<String, Error> {
    id.shown(|id| redacted(policy, about, id, &in_name(policy, id)))
}

/// Keys of a JSON document that hold values: as a rule there are none.
#[derive(Default)]
pub(super) struct Keys {
    /// What becomes of each, with its pointer.
    replaced: Vec<(Key, String)>,
    /// New names by pointer.
    by_pointer: BTreeMap<String, String>,
}

/// Whether no pattern that is built in finds anything in a key: a plain word, or a small number.
/// Nearly all are, and cost no search.
fn is_plain(name: &str) -> bool {
    let is_number = name.len() < 6 && name.bytes().all(|byte| byte.is_ascii_digit());
    is_number || schema_name::shown(name).is_some()
}

impl Keys {
    /// Keys of what `read` chooses, and on the way to `leaves`.
    pub(super) fn of(
        policy: &Policy,
        about: &About<'_>,
        json: &Json,
        read: &Selector,
        leaves: &[Leaf],
    ) -> Result<Self, Error> {
        let own_terms = policy.patterns.has_own_terms();
        let odd = json.keys(|name| own_terms || !is_plain(name));
        let odd = odd.map_err(Error::not_json)?;
        let mut found = Vec::new();
        for key in odd {
            let spans = in_name(policy, &key.name);
            if spans.is_empty() {
                continue;
            }
            let below = |leaf: &Leaf| {
                let rest = leaf.pointer.strip_prefix(&key.pointer);
                rest.is_some_and(|rest| rest.starts_with('/'))
            };
            if !read.matches(&key.pointer) && !leaves.iter().any(below) {
                continue;
            }
            let name = redacted(policy, about, &key.name, &spans)?;
            if name != key.name {
                found.push((key, name));
            }
        }
        if found.is_empty() {
            return Ok(Self::default());
        }
        // Of two keys of one name most readers keep the last: other keys stay other keys.
        let all = json.keys(|_| true).map_err(Error::not_json)?;
        let mut taken: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for key in all {
            taken.entry(key.object).or_default().insert(key.name);
        }
        let mut names: BTreeMap<(usize, String), String> = BTreeMap::new();
        // Where the search for a free name goes on: thousands of keys may get the same one.
        let mut numbers: BTreeMap<(usize, String), u64> = BTreeMap::new();
        let mut keys = Self::default();
        for (key, name) in found {
            let known = names.get(&(key.object, key.name.clone())).cloned();
            let own = known.unwrap_or_else(|| {
                let taken = taken.entry(key.object).or_default();
                let number = numbers.entry((key.object, name.clone())).or_insert(1);
                let mut own = match *number {
                    1 => name.clone(),
                    next => format!("{name}_{next}"),
                };
                while !taken.insert(own.clone()) {
                    *number += 1;
                    own = format!("{name}_{number}");
                }
                names.insert((key.object, key.name.clone()), own.clone());
                own
            });
            keys.by_pointer.insert(key.pointer.clone(), own.clone());
            keys.replaced.push((key, own));
        }
        Ok(keys)
    }

    /// The edits of the document.
    pub(super) fn edits(&self) -> impl Iterator<Item = Edit> {
        self.replaced.iter().map(|(key, name)| Edit {
            raw: key.raw.clone(),
            replacement: quoted(name).into(),
        })
    }

    /// A JSON Pointer as records show it: that of the redacted document.
    pub(super) fn shown<'p>(&self, pointer: &'p str) -> Cow<'p, str> {
        if self.by_pointer.is_empty() {
            return Cow::Borrowed(pointer);
        }
        let mut shown = String::with_capacity(pointer.len());
        let mut end = 0;
        for segment in pointer.split('/').skip(1) {
            end += 1 + segment.len();
            shown.push('/');
            match self.by_pointer.get(&pointer[..end]) {
                Some(name) => shown.push_str(&name.replace('~', "~0").replace('/', "~1")),
                None => shown.push_str(segment),
            }
        }
        Cow::Owned(shown)
    }
}
