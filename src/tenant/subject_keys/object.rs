//! What an object of the store of subject keys says.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{super::Keyring, Error};
use crate::redact::{self, Key, fits_token};

/// Longest object that is read: what weir writes has some 150 bytes.
pub(super) const LONGEST: u64 = 4 << 10;

/// An object: a key, or that there is none any more.
#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    Key {
        /// Id of the tenant's key.
        wrapped_by: String,
        wrapped: String,
    },
    Destroyed {
        for_good: bool,
    },
}

/// What stands at the name of a key.
pub enum Stored {
    /// The key.
    Key(Key),
    /// It was destroyed.
    Destroyed {
        /// Whether the subject gets no other key.
        for_good: bool,
    },
    /// There was never one.
    Nothing,
}

/// The object of a key.
pub(super) fn of_key(own: &Key, tenant: &str, key: &Key) -> Vec<u8> {
    json(&Written::Key {
        wrapped_by: own.id().to_string(),
        wrapped: URL_SAFE_NO_PAD.encode(redact::wrap(own, tenant, key)),
    })
}

/// The object that stands in place of a key that was destroyed.
pub(super) fn tombstone(for_good: bool) -> Vec<u8> {
    json(&Written::Destroyed { for_good })
}

fn json(written: &Written) -> Vec<u8> {
    serde_json::to_vec(written).expect("strings are JSON")
}

/// Reads an object at the name `id`. The parser's message is dropped: it quotes what it failed on.
pub(super) fn read(bytes: &[u8], ring: &Keyring, tenant: &str, id: &str) -> Result<Stored, Error> {
    let foreign = || Error::Foreign { id: id.to_owned() };
    let written = serde_json::from_slice(bytes).map_err(|_| foreign())?;
    let (own, wrapped) = match &written {
        Written::Destroyed { for_good } => {
            return Ok(Stored::Destroyed {
                for_good: *for_good,
            });
        }
        Written::Key {
            wrapped_by,
            wrapped,
        } => (wrapped_by, wrapped),
    };
    let Some(own) = ring.key(own) else {
        return Err(match fits_token(own) {
            true => Error::NoKey {
                id: id.to_owned(),
                key: own.clone(),
            },
            false => foreign(),
        });
    };
    let wrapped = URL_SAFE_NO_PAD.decode(wrapped).map_err(|_| foreign())?;
    let key = redact::unwrap(own, tenant, id, &wrapped).ok_or_else(foreign)?;
    Ok(Stored::Key(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef.1";

    fn ring(id: &str, byte: u8) -> Keyring {
        Keyring::of([Key::new(id, [byte; 32]).unwrap()], None)
    }

    #[test]
    fn an_object_is_read_with_the_key_that_wrapped_it() {
        let ring = ring("k1", 1);
        let own = ring.primary().unwrap();
        let key = redact::new_subject_key(ID).unwrap();
        let bytes = of_key(own, "acme", &key);
        let Ok(Stored::Key(read)) = self::read(&bytes, &ring, "acme", ID) else {
            panic!("not read");
        };
        assert_eq!(read.name(), key.name());
        let error = |ring: &Keyring, tenant: &str, id: &str| {
            self::read(&bytes, ring, tenant, id).err().unwrap()
        };
        assert!(matches!(error(&ring, "other", ID), Error::Foreign { .. }));
        assert!(matches!(error(&ring, "acme", "x.2"), Error::Foreign { .. }));
        let other = self::ring("k1", 2);
        assert!(matches!(error(&other, "acme", ID), Error::Foreign { .. }));
        let newer = self::ring("k2", 2);
        assert!(matches!(error(&newer, "acme", ID), Error::NoKey { key, .. } if key == "k1"));
        for for_good in [false, true] {
            let read = self::read(&tombstone(for_good), &ring, "acme", ID).unwrap();
            assert!(matches!(read, Stored::Destroyed { for_good: read } if read == for_good));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_key_or_get_into_a_message(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "CANARY\\PC{0,12}") {
            let ring = ring("k1", 1);
            let is_foreign = matches!(read(&bytes, &ring, "acme", ID), Err(Error::Foreign { .. }));
            prop_assert!(is_foreign);
            let json = serde_json::json!({"state": "key", "wrapped_by": "k1", "wrapped": text}).to_string();
            let error = read(json.as_bytes(), &ring, "acme", ID).err().unwrap();
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains("CANARY"));
        }
    }
}
