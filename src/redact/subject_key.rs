//! Keys of data subjects: how they are named, and how they lie in a store under a tenant's key.
//!
//! A subject's key is random. Its name is an HMAC of the subject under the tenant's key, and a number: the subject's
//! first key has 1, the key after the first one was destroyed 2. It is wrapped with AES-SIV (RFC 5297); purpose, tenant
//! and name are associated data, so that a key that was moved to another name does not unwrap.

use aes_siv::{KeyInit as _, siv::Aes256Siv};
use zeroize::Zeroizing;

use super::{Key, encrypt::derived, keyed};

const PURPOSE: &str = "weir/subject-key/1";

/// Bytes of a subject's key.
const SECRET_BYTES: usize = 32;

/// Bytes of the HMAC in a name: 128 bits.
const NAME_BYTES: usize = 16;

/// The name of a subject's keys, without the number: 32 hexadecimal digits that say nothing of the subject to people
/// who do not hold the tenant's key.
pub fn subject_name(key: &Key, tenant: &str, subject: &str) -> String {
    let digest = keyed::mac(key.secret(), &["weir/subject-name/1", tenant, subject]);
    hex::encode(&digest[..NAME_BYTES])
}

/// The name of one key of a subject, as tokens and stores have it.
pub fn subject_key_id(name: &str, number: u32) -> String {
    format!("{name}.{number}")
}

/// The name and the number of a key, if `id` is one that [`subject_key_id`] makes.
pub fn subject_key_parts(id: &str) -> Option<(&str, u32)> {
    let (name, number) = id.split_once('.')?;
    let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let is_name = name.len() == 2 * NAME_BYTES && name.bytes().all(is_digit);
    let read: u32 = number.parse().ok()?;
    (is_name && read > 0 && read.to_string() == number).then_some((name, read))
}

/// A new key of a subject; `None` if the system has no random numbers.
pub fn new_subject_key(id: &str) -> Option<Key> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut secret[..]).ok()?;
    Key::new(id, &secret[..]).ok()
}

/// A subject's key as a store may hold it: encrypted under the tenant's key.
pub fn wrap(own: &Key, tenant: &str, subject_key: &Key) -> Vec<u8> {
    cipher(own)
        .encrypt(associated(tenant, subject_key.id()), subject_key.secret())
        .expect("three headers are fewer than 126")
}

/// The key that [`wrap`] encrypted; `None` if it was under another key, of another tenant, or of another name.
pub fn unwrap(own: &Key, tenant: &str, id: &str, wrapped: &[u8]) -> Option<Key> {
    let secret = cipher(own).decrypt(associated(tenant, id), wrapped).ok()?;
    let secret = Zeroizing::new(secret);
    Key::new(id, &secret[..]).ok()
}

fn associated<'a>(tenant: &'a str, id: &'a str) -> [&'a [u8]; 3] {
    [PURPOSE.as_bytes(), tenant.as_bytes(), id.as_bytes()]
}

fn cipher(key: &Key) -> Aes256Siv {
    let bytes = derived(key, PURPOSE);
    Aes256Siv::new_from_slice(&bytes[..]).expect("64 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(byte: u8) -> Key {
        Key::new("k1", [byte; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn a_key_unwraps_under_its_own_key_tenant_and_name_alone(subject in "\\PC{1,20}", number in 1u32..1000, flipped in any::<prop::sample::Index>()) {
            let id = subject_key_id(&subject_name(&own(1), "acme", &subject), number);
            let made = new_subject_key(&id).unwrap();
            let wrapped = wrap(&own(1), "acme", &made);
            let read = unwrap(&own(1), "acme", &id, &wrapped).unwrap();
            prop_assert_eq!(read.secret(), made.secret());
            prop_assert_eq!(read.id(), made.id());
            prop_assert!(unwrap(&own(2), "acme", &id, &wrapped).is_none());
            prop_assert!(unwrap(&own(1), "other", &id, &wrapped).is_none());
            let next = subject_key_id(subject_key_parts(&id).unwrap().0, number + 1);
            prop_assert!(unwrap(&own(1), "acme", &next, &wrapped).is_none());
            let mut altered = wrapped.clone();
            altered[flipped.index(wrapped.len())] ^= 1;
            prop_assert!(unwrap(&own(1), "acme", &id, &altered).is_none());
            prop_assert!(!wrapped.windows(made.secret().len()).any(|part| part == made.secret()));
        }

        #[test]
        fn names_have_parts_and_no_other_text_has(subject in "\\PC{0,20}", number in 1u32.., text in "[0-9a-g.]{0,40}") {
            let name = subject_name(&own(1), "acme", &subject);
            let id = subject_key_id(&name, number);
            prop_assert_eq!(subject_key_parts(&id), Some((&*name, number)));
            prop_assert!(crate::redact::fits_token(&id));
            if let Some((name, number)) = subject_key_parts(&text) {
                prop_assert_eq!(subject_key_id(name, number), text.clone());
            }
        }
    }

    #[test]
    fn a_name_depends_on_key_tenant_and_subject_and_two_keys_are_never_the_same() {
        let name = subject_name(&own(1), "acme", "p1");
        assert_eq!(name, subject_name(&own(1), "acme", "p1"));
        for other in [
            subject_name(&own(2), "acme", "p1"),
            subject_name(&own(1), "other", "p1"),
            subject_name(&own(1), "acme", "p2"),
        ] {
            assert_ne!(name, other);
        }
        let id = subject_key_id(&name, 1);
        let secrets = [(); 2].map(|()| new_subject_key(&id).unwrap().secret().to_vec());
        assert_ne!(secrets[0], secrets[1]);
        assert_eq!(secrets[0].len(), SECRET_BYTES);
    }

    #[test]
    fn what_is_no_name_has_no_parts() {
        let name = "0123456789abcdef0123456789abcdef";
        for id in [
            "",
            name,
            &format!("{name}."),
            &format!("{name}.0"),
            &format!("{name}.01"),
            &format!("{name}.+1"),
            &format!("{name}.4294967296"),
            &format!("{name}.1.1"),
            &format!("../{}.1", &name[3..]),
            &format!("{}.1", name.to_uppercase()),
        ] {
            assert_eq!(subject_key_parts(id), None, "{id}");
        }
    }
}
