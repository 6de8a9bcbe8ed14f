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

/// Reads the tokens of a text of a tenant. `key` gives the tenant's keys by their ids.
pub fn reveal<'k>(
    tenant: &str,
    text: &str,
    key: impl Fn(&str) -> Option<&'k Key>,
    identities: &[Identity],
) -> Reading {
    let mut reading = Reading::default();
    for token in tokens(text) {
        let read = match token.form {
            Form::Encrypted => key(token.key_id).and_then(|key| {
                let value = encrypt::decrypt(key, tenant, &token)?;
                Some((value, key.name().clone(), digest(key.secret(), token.text)))
            }),
            Form::Sealed => opened(tenant, &token, identities),
        };
        match read {
            Some((value, key, token_digest)) => reading.revealed.push(Revealed {
                start: token.start,
                end: token.start + token.text.len(),
                value,
                label: token.label.to_owned(),
                key,
                token_digest,
            }),
            None => reading.unread += 1,
        }
    }
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
