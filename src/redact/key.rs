//! Secret keys, and what may be said of them: their ids and fingerprints.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Error, keyed};

/// Bytes of a fingerprint that are written: 128 bits.
const FINGERPRINT_BYTES: usize = 16;

/// A secret key with its id. `Debug` does not print the secret, and its memory is cleared when the last
/// copy is dropped.
#[derive(Clone)]
pub struct Key {
    name: KeyName,
    secret: Arc<Zeroizing<Vec<u8>>>,
}

/// What records say of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// Id, as the tenant file gives it.
    pub id: Arc<str>,
    /// 32 hexadecimal digits that depend on the secret alone and say nothing of it: two keys of one id are
    /// told apart by it.
    pub fingerprint: Arc<str>,
}

impl Key {
    /// Shortest secret: 128 bits, so that a small domain cannot be searched by key.
    pub const MIN_BYTES: usize = 16;

    /// A key; a secret of fewer than [`Key::MIN_BYTES`] bytes is refused.
    pub fn new(id: impl Into<Arc<str>>, secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let (id, secret) = (id.into(), secret.as_ref());
        if secret.len() < Self::MIN_BYTES {
            return Err(Error::ShortKey {
                id,
                bytes: secret.len(),
            });
        }
        let digest = keyed::mac(secret, &["weir/key-fingerprint/1"]);
        let fingerprint = hex::encode(&digest[..FINGERPRINT_BYTES]).into();
        Ok(Self {
            name: KeyName { id, fingerprint },
            secret: Arc::new(Zeroizing::new(secret.to_vec())),
        })
    }

    /// Id that goes into records.
    pub fn id(&self) -> &Arc<str> {
        &self.name.id
    }

    /// Id and fingerprint.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.name.id)
    }
}
