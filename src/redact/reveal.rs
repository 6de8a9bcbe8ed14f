//! Reading back what `encrypt` and `seal` made.

use zeroize::Zeroizing;

use super::{
    Key, KeyName, digits, encrypt, keyed,
    seal::{self, Identity},
    token::{Form, Token, tokens},
};

/// A value that was read back. `Debug` does not print it.
pub struct Revealed {
    /// First byte of its token in the text.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// The value.
    pub value: Zeroizing<String>,
    /// Its label, in small letters.
    pub label: String,
    /// The key that read it.
    pub key: KeyName,
    /// 64 hexadecimal digits: HMAC-SHA256 of the token under that key. It names the token to people who have it, and
    /// says nothing of the value to others.
    pub token_digest: String,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revealed")
            .field("start", &self.start)
            .field("end", &self.end)
            .field("label", &self.label)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What became of the tokens of a text.
#[derive(Debug, Default)]
pub struct Reading {
    /// Those that were read, in order.
    pub revealed: Vec<Revealed>,
    /// Those that were not: their key is missing, or they are not of this tenant.
    pub unread: usize,
}

/// Reads the tokens of a text of a tenant. `key` gives the tenant's keys by their ids, `subject_key` those of subjects
/// by their names.
pub fn reveal<'k>(
    tenant: &str,
    text: &str,
    key: impl Fn(&str) -> Option<&'k Key>,
    subject_key: impl Fn(&str) -> Option<&'k Key>,
    identities: &[Identity],
) -> Reading {
    let decrypted = |key: &Key, token: &Token<'_>| {
        let value = encrypt::decrypt(key, tenant, token)?;
        Some((value, key.name().clone(), digest(key.secret(), token.text)))
    };
    let mut reading = Reading::default();
    let mut unread: Vec<std::ops::Range<usize>> = Vec::new();
    let mut reached = 0;
    for token in tokens(text) {
        if token.start < reached {
            continue;
        }
        let place = token.start..token.start + token.text.len();
        let read = match token.form {
            Form::Encrypted => key(token.key_id).and_then(|key| decrypted(key, &token)),
            Form::OfSubject => subject_key(token.key_id).and_then(|key| decrypted(key, &token)),
            Form::Sealed => opened(tenant, &token, identities),
        };
        match read {
            Some((value, key, token_digest)) => {
                // What seemed to be a token and reaches into a real one is none.
                unread.retain(|other| other.end <= place.start);
                reached = place.end;
                reading.revealed.push(Revealed {
                    start: place.start,
                    end: place.end,
                    value,
                    label: token.label.to_owned(),
                    key,
                    token_digest,
                });
            }
            None => unread.push(place),
        }
    }
    reading.unread = unread.len();
    reading
}

/// Reads a value whose digits were encrypted (`format = "digits"`): it has no token that names key and label.
pub fn reveal_digits(tenant: &str, label: &str, key: &Key, value: &str) -> Option<Revealed> {
    Some(Revealed {
        start: 0,
        end: value.len(),
        value: Zeroizing::new(digits::decrypt(key, tenant, label, value)?),
        label: super::token::label_in_token(label),
        key: key.name().clone(),
        token_digest: digest(key.secret(), value),
    })
}

fn opened(
    tenant: &str,
    token: &Token<'_>,
    identities: &[Identity],
) -> Option<(Zeroizing<String>, KeyName, String)> {
    let identity = identities
        .iter()
        .find(|identity| *identity.name().id == *token.key_id)?;
    let value = seal::open(identity, tenant, token)?;
    let digest = digest(&identity.secret(), token.text);
    Some((value, identity.name().clone(), digest))
}

fn digest(secret: &[u8], token: &str) -> String {
    hex::encode(keyed::mac(secret, &["weir/reveal-token/1", token]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_token_in_a_text_hides_none_behind_it() {
        let key = Key::new("k1", [1; 32]).unwrap();
        let mut text = format!("weir:1:k1:email:{}", "A".repeat(24));
        encrypt::encrypt(&key, "acme", "email", "bo@mail.example", &mut text);
        let reading = reveal(
            "acme",
            &text,
            |id| (id == "k1").then_some(&key),
            |_| None,
            &[],
        );
        assert_eq!(reading.unread, 0);
        assert_eq!(&*reading.revealed[0].value, "bo@mail.example");
        assert!(!format!("{reading:?}").contains("bo@mail"));
        let reading = reveal("acme", &text, |_| None, |_| None, &[]);
        assert_eq!((reading.revealed.len(), reading.unread), (0, 2));
    }

    #[test]
    fn a_subjects_token_is_read_with_its_own_key_and_never_with_the_tenants() {
        let key = Key::new("0123456789abcdef0123456789abcdef.1", [1; 32]).unwrap();
        let mut text = String::new();
        encrypt::of_subject(&key, "acme", "email", "bo@mail.example", &mut text);
        encrypt::encrypt(&key, "acme", "email", "li@mail.example", &mut text);
        let own = |_: &str| Some(&key);
        let none = |_: &str| None;
        let values = |reading: Reading| -> Vec<String> {
            let revealed = reading.revealed.iter();
            revealed.map(|one| one.value.to_string()).collect()
        };
        let reading = reveal("acme", &text, none, own, &[]);
        assert_eq!(values(reading), ["bo@mail.example"]);
        let reading = reveal("acme", &text, own, none, &[]);
        assert_eq!(values(reading), ["li@mail.example"]);
        let reading = reveal("acme", &text, own, own, &[]);
        assert_eq!(values(reading), ["bo@mail.example", "li@mail.example"]);
        let another = Key::new("0123456789abcdef0123456789abcdef.1", [2; 32]).unwrap();
        let reading = reveal("acme", &text, none, |_| Some(&another), &[]);
        assert_eq!((reading.revealed.len(), reading.unread), (0, 2));
    }

    #[test]
    fn digits_are_read_with_the_key_and_label_that_are_named() {
        let key = Key::new("k1", [1; 32]).unwrap();
        let made = digits::encrypt(&key, "acme", "phone", "+49 151 234567", 6).unwrap();
        let read = reveal_digits("acme", "phone", &key, &made).unwrap();
        assert_eq!(&*read.value, "+49 151 234567");
        assert!(reveal_digits("acme", "phone", &key, "none").is_none());
    }
}
