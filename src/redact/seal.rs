//! Sealing to somebody's public key: weir writes values that it cannot read back.
//!
//! A value is an age file (X25519, ChaCha20-Poly1305) for one recipient, whose plaintext is tenant, label
//! and value on lines of their own: a token that is moved to another tenant or label is noticed. age
//! draws random numbers, so equal values have different tokens.

use age::{secrecy::ExposeSecret as _, x25519};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    Error, KeyName,
    token::{self, Form, Token},
};

/// A public key of age.
#[derive(Clone)]
pub struct Recipient {
    name: KeyName,
    key: x25519::Recipient,
}

impl Recipient {
    /// Reads `age1…`.
    pub fn new(written: &str) -> Option<Self> {
        let key: x25519::Recipient = written.trim().parse().ok()?;
        let digest = hex::encode(Sha256::digest(key.to_string()));
        let name = KeyName {
            id: format!("age-{}", &digest[..16]).into(),
            fingerprint: digest[..32].into(),
        };
        Some(Self { name, key })
    }

    /// `age-` and a digest of the public key, which is its fingerprint too.
    pub fn name(&self) -> &KeyName {
        &self.name
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipient({})", self.name.id)
    }
}

/// The secret half of a recipient's key. `Debug` does not print it.
pub struct Identity {
    name: KeyName,
    key: x25519::Identity,
}

impl Identity {
    /// Reads the lines of an identity file, `AGE-SECRET-KEY-1…`; empty lines and those that begin with `#` are left
    /// out. `None` if a line is something else.
    pub fn read(file: &str) -> Option<Vec<Self>> {
        file.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let key: x25519::Identity = line.parse().ok()?;
                let name = Recipient::new(&key.to_public().to_string())?.name;
                Some(Self { name, key })
            })
            .collect()
    }

    /// Of the public key that belongs to it.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The secret, to derive digests from.
    pub(super) fn secret(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.key.to_string().expose_secret().as_bytes().to_vec())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.name.id)
    }
}

/// Appends the token of a value.
pub(super) fn seal(
    recipient: &Recipient,
    tenant: &str,
    label: &str,
    value: &str,
    out: &mut String,
) -> Result<(), Error> {
    let label = token::label_in_token(label);
    let plain = Zeroizing::new(format!("{tenant}\n{label}\n{value}"));
    let data = age::encrypt(&recipient.key, plain.as_bytes()).map_err(|_| Error::Seal {
        id: recipient.name.id.clone(),
    })?;
    token::write(Form::Sealed, &recipient.name.id, &label, &data, out);
    Ok(())
}

/// The value of a token; `None` if it was not sealed to this identity, or for another tenant or label.
pub(super) fn open(
    identity: &Identity,
    tenant: &str,
    token: &Token<'_>,
) -> Option<Zeroizing<String>> {
    let plain = Zeroizing::new(age::decrypt(&identity.key, &token.data).ok()?);
    let plain = str::from_utf8(&plain).ok()?;
    let mut parts = plain.splitn(3, '\n');
    let own = (parts.next()?, parts.next()?) == (tenant, token.label);
    own.then(|| parts.next().map(|value| Zeroizing::new(value.to_owned())))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redact::token::tokens;

    fn pair() -> (Recipient, Identity) {
        let secret = x25519::Identity::generate().to_string();
        let file = format!("# a key of the test\n\n{}\n", secret.expose_secret());
        let identity = Identity::read(&file).unwrap().pop().unwrap();
        let public = identity.key.to_public().to_string();
        (Recipient::new(&public).unwrap(), identity)
    }

    fn token(recipient: &Recipient, value: &str) -> String {
        let mut out = String::new();
        seal(recipient, "acme", "Last Name", value, &mut out).unwrap();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn only_the_identity_reads_a_value_and_only_of_its_tenant_and_label(value in "(\\PC|\n){1,40}") {
            let (recipient, identity) = pair();
            let (_, other) = pair();
            let made = token(&recipient, &value);
            prop_assert_ne!(&made, &token(&recipient, &value));
            let read = |identity: &Identity, tenant: &str, made: &str| {
                let token = tokens(made).next().unwrap();
                open(identity, tenant, &token).map(|value| value.to_string())
            };
            prop_assert_eq!(read(&identity, "acme", &made), Some(value));
            prop_assert_eq!(read(&other, "acme", &made), None);
            prop_assert_eq!(read(&identity, "other", &made), None);
            let moved = made.replace("last_name", "card");
            prop_assert_eq!(read(&identity, "acme", &moved), None);
        }
    }

    #[test]
    fn keys_are_named_by_their_public_half_and_never_printed() {
        let (recipient, identity) = pair();
        assert_eq!(recipient.name(), identity.name());
        assert!(recipient.name().id.starts_with("age-"));
        let secret = String::from_utf8(identity.secret().to_vec()).unwrap();
        assert!(secret.starts_with("AGE-SECRET-KEY-1"));
        assert!(!format!("{identity:?} {recipient:?}").contains(&secret));
        assert!(Recipient::new("age1notakey").is_none());
        assert!(
            Recipient::new(&secret).is_none(),
            "a secret is not a recipient"
        );
        assert!(Identity::read("AGE-SECRET-KEY-1CANARY").is_none());
    }
}
