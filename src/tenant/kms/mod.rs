//! Wrapped keys: a key management service decrypts them when tenants are loaded, and at each reload.
//!
//! In:  the name of a key at a service, what that key encrypted, the environment.
//! Out: the secret, or why there is none: names and statuses, no body of an answer (I7).
//! Holds: a secret is asked for once a load, never for a document.

#[cfg(feature = "kms")]
mod call;

use zeroize::Zeroizing;

/// A service and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// The transit engine of Vault, and of OpenBao.
    Vault {
        /// Path of the engine.
        mount: String,
        /// Name of the key.
        key: String,
    },
    /// AWS KMS.
    Aws {
        /// ARN of the key or of an alias.
        arn: String,
        /// Region of the ARN.
        region: String,
        /// Domain of the ARN's partition.
        domain: &'static str,
    },
    /// Google Cloud KMS.
    Gcp {
        /// Full name of the key.
        name: String,
    },
}

/// Why a wrapped key can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The name of the key is not one of a service.
    #[error("`wrapped` does not name a key of a service")]
    Name,
    /// This build asks no service.
    #[cfg(not(feature = "kms"))]
    #[error("`wrapped` needs the feature `kms`, which this weir was built without")]
    Feature,
    /// A variable of the service's own configuration is missing or wrong.
    #[cfg(feature = "kms")]
    #[error("the variable {name} {why}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are no credentials.
    #[cfg(feature = "kms")]
    #[error("there are no credentials for {at}")]
    Credentials {
        /// The service.
        at: String,
    },
    /// The service did not answer.
    #[cfg(feature = "kms")]
    #[error("{at} did not answer ({why}); weir tries for at most {seconds} s")]
    Unreachable {
        /// Host of the service.
        at: String,
        /// Longest time that weir tries.
        seconds: u64,
        /// Kind of the failure.
        why: &'static str,
    },
    /// The service refused.
    #[cfg(feature = "kms")]
    #[error("{at} refused to decrypt the key (status {status})")]
    Refused {
        /// Host of the service.
        at: String,
        /// Status of HTTP.
        status: u16,
    },
    /// The answer is not one of the service's API.
    #[cfg(feature = "kms")]
    #[error("the answer of {at} holds no key")]
    Answer {
        /// Host of the service.
        at: String,
    },
}

impl Error {
    /// What to do about it.
    pub(super) fn fix(&self) -> &'static str {
        match self {
            Self::Name => {
                "\"vault-transit:MOUNT/KEY\", \"aws-kms:ARN\" or \"gcp-kms:projects/…/cryptoKeys/KEY\""
            }
            #[cfg(not(feature = "kms"))]
            Self::Feature => crate::config::Feature::FIX,
            #[cfg(feature = "kms")]
            Self::Variable { .. } | Self::Credentials { .. } => {
                "set the variables of the service where weir runs (docs/operators.md)"
            }
            #[cfg(feature = "kms")]
            Self::Unreachable { .. } => "check the address and the network; a reload tries again",
            #[cfg(feature = "kms")]
            Self::Refused { .. } => {
                "check that weir may decrypt with this key, and that this key wrapped the file"
            }
            #[cfg(feature = "kms")]
            Self::Answer { .. } => "check the address of the service",
        }
    }
}

impl Wrapping {
    /// Reads `vault-transit:…`, `aws-kms:…` or `gcp-kms:…`.
    pub(super) fn parse(written: &str) -> Result<Self, Error> {
        let (service, key) = written.split_once(':').ok_or(Error::Name)?;
        let is_path = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let part = |part: &str| !part.is_empty() && part != ".." && part.chars().all(plain);
            text.split('/').all(part)
        };
        match service {
            "vault-transit" => match key.rsplit_once('/') {
                Some((mount, name)) if is_path(key) => Ok(Self::Vault {
                    mount: mount.to_owned(),
                    key: name.to_owned(),
                }),
                _ => Err(Error::Name),
            },
            "aws-kms" => {
                let parts: Vec<&str> = key.split(':').collect();
                let ["arn", partition, "kms", region, account, resource] = parts[..] else {
                    return Err(Error::Name);
                };
                let domain = match partition {
                    "aws" | "aws-us-gov" => "amazonaws.com",
                    "aws-cn" => "amazonaws.com.cn",
                    _ => return Err(Error::Name),
                };
                let sound = is_path(region) && is_path(account) && is_path(resource);
                let of_key = resource.starts_with("key/") || resource.starts_with("alias/");
                match sound && of_key && !region.contains('/') {
                    true => Ok(Self::Aws {
                        arn: key.to_owned(),
                        region: region.to_owned(),
                        domain,
                    }),
                    false => Err(Error::Name),
                }
            }
            "gcp-kms" => {
                let parts: Vec<&str> = key.split('/').collect();
                match parts[..] {
                    [
                        "projects",
                        _,
                        "locations",
                        _,
                        "keyRings",
                        _,
                        "cryptoKeys",
                        _,
                    ] if is_path(&key.replace(':', "-")) => Ok(Self::Gcp {
                        name: key.to_owned(),
                    }),
                    _ => Err(Error::Name),
                }
            }
            _ => Err(Error::Name),
        }
    }

    /// The secret that the service's key encrypted. `env` is the environment.
    #[cfg(feature = "kms")]
    pub(super) fn unwrap(
        &self,
        wrapped: &[u8],
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        call::unwrap(self, wrapped, env)
    }

    /// The secret that the service's key encrypted. `env` is the environment.
    #[cfg(not(feature = "kms"))]
    pub(super) fn unwrap(
        &self,
        _wrapped: &[u8],
        _env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        Err(Error::Feature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_are_read_and_nothing_else_becomes_part_of_an_address() {
        let vault = Wrapping::parse("vault-transit:team/transit/weir").unwrap();
        let expected = Wrapping::Vault {
            mount: "team/transit".to_owned(),
            key: "weir".to_owned(),
        };
        assert_eq!(vault, expected);
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let aws = Wrapping::parse(&format!("aws-kms:{arn}")).unwrap();
        assert!(
            matches!(&aws, Wrapping::Aws { region, .. } if region == "eu-west-1"),
            "{aws:?}"
        );
        let name = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
        let gcp = Wrapping::parse(&format!("gcp-kms:{name}")).unwrap();
        assert_eq!(
            gcp,
            Wrapping::Gcp {
                name: name.to_owned()
            }
        );
        for wrong in [
            "",
            "weir",
            "vault-transit:weir",
            "vault-transit:transit/../sys/weir",
            "vault-transit:transit/weir?x=1",
            "aws-kms:alias/weir",
            "aws-kms:arn:aws:s3:eu-west-1:111122223333:key/x",
            "aws-kms:arn:aws:kms:evil.example/:111122223333:key/x",
            "gcp-kms:projects/p",
            "gcp-kms:projects/p/locations/global/keyRings/../cryptoKeys/k",
            "azure-kms:x",
        ] {
            assert!(Wrapping::parse(wrong).is_err(), "{wrong}");
        }
    }
}
