//! A digest of several parts, which every room makes in the same way.

/// Adds a part with its length, so that two parts are never taken for one.
pub(crate) fn part(hasher: &mut blake3::Hasher, part: impl AsRef<[u8]>) {
    let part = part.as_ref();
    hasher
        .update(&(part.len() as u64).to_le_bytes())
        .update(part);
}

/// The first 16 bytes of a digest, which are enough to tell equal work from other.
pub(crate) fn key(hasher: &blake3::Hasher) -> [u8; 16] {
    hasher.finalize().as_bytes()[..16]
        .try_into()
        .expect("a digest is longer than a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_their_lengths() {
        let of = |parts: &[&str]| {
            let mut hasher = blake3::Hasher::new();
            parts.iter().for_each(|own| part(&mut hasher, own));
            hasher.finalize()
        };
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
        assert_ne!(of(&["abc"]), of(&["abc", ""]));
    }
}
