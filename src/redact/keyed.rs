//! Values derived from a key: hashes, and the random streams that surrogates are drawn from.
//!
//! Every value is HMAC-SHA256 over purpose, tenant, label and value, each behind its length in
//! eight bytes, so that no two lists of parts give the same input.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Key;

/// Bytes of a hash that are written: 128 bits.
const HASH_BYTES: usize = 16;

/// Appends `label_` and 32 hexadecimal digits; the label in lower case with `_` for anything but
/// letters and digits.
pub(super) fn hash(key: &Key, tenant: &str, label: &str, value: &str, out: &mut String) {
    let digest = digest(key, &["weir/hash/1", tenant, label, value]);
    small_letters(label, out);
    out.push('_');
    out.push_str(&hex::encode(&digest[..HASH_BYTES]));
}

/// Appends the label in lower case, with `_` for anything but letters and digits.
pub(super) fn small_letters(label: &str, out: &mut String) {
    for c in label.chars() {
        match c.is_alphanumeric() {
            true => out.extend(c.to_lowercase()),
            false => out.push('_'),
        }
    }
}

/// Days by which the dates of a subject are moved: never 0, and the same for the same key, tenant and
/// subject. Up to `farthest` either way.
pub(super) fn days(key: &Key, tenant: &str, subject: &str, farthest: u16) -> i64 {
    let mut stream = Stream::of(digest(key, &["weir/shift/1", tenant, subject]));
    let days = i64::from(stream.between(1, u32::from(farthest.max(1))));
    if stream.below(2) == 0 { days } else { -days }
}

fn digest(key: &Key, parts: &[&str]) -> [u8; 32] {
    mac(key.secret(), parts)
}

/// HMAC-SHA256 over parts, each behind its length in eight bytes.
pub(super) fn mac(secret: &[u8], parts: &[&str]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// Random numbers that depend on nothing but key, tenant, label and value: HMAC-SHA256 in counter
/// mode.
pub(super) struct Stream {
    seed: [u8; 32],
    block: [u8; 32],
    counter: u64,
    used: usize,
}

impl Stream {
    pub(super) fn new(key: &Key, tenant: &str, label: &str, value: &str) -> Self {
        Self::of(digest(key, &["weir/surrogate/1", tenant, label, value]))
    }

    fn of(seed: [u8; 32]) -> Self {
        Self {
            seed,
            block: [0; 32],
            counter: 0,
            used: 32,
        }
    }

    fn next_u64(&mut self) -> u64 {
        if self.used == self.block.len() {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(&self.seed).expect("HMAC takes a key of any length");
            mac.update(&self.counter.to_le_bytes());
            self.block = mac.finalize().into_bytes().into();
            self.counter += 1;
            self.used = 0;
        }
        let bytes = &self.block[self.used..self.used + 8];
        self.used += 8;
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    /// A number below `bound`, which is small: the bias of the modulo is under 2⁻⁴⁰.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (self.next_u64() % u64::from(bound.max(1))) as u32
    }

    /// A number in `low..=high`.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// One of `choices`.
    pub(super) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// An ASCII digit.
    pub(super) fn digit(&mut self) -> char {
        char::from(b'0' + self.below(10) as u8)
    }
}
