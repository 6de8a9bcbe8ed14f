//! Whom a reader of proofs trusts: names and public keys, and how many witnesses it wants.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::{self, Checkpoint},
    note::{self, Kind, Note, VerifyingKey},
};

/// Why a head is not trusted, or a list of keys is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of another kind.
    #[error("the key {key} is not that of {expected}")]
    Kind {
        /// The key.
        key: String,
        /// Whose it should be.
        expected: &'static str,
    },
    /// Not a list of keys. Holds nothing of the file, which may be another one by mistake.
    #[error(
        "not a file of trusted keys{}: it has `origin`, `notaries`, and optionally `witnesses`, `quorum`, `workers`",
        line.map_or(String::new(), |line| format!(" (line {line})"))
    )]
    Form {
        /// Line of the mistake, if it is in one.
        line: Option<usize>,
    },
    /// No notary.
    #[error("no key of a notary is trusted: add one to `notaries`")]
    NoNotary,
    /// More than there are.
    #[error("a quorum of {quorum} was asked for, and {witnesses} witnesses are trusted")]
    Quorum {
        /// As given.
        quorum: usize,
        /// Keys that were given.
        witnesses: usize,
    },
    /// The note does not hold.
    #[error("the head is not signed by a notary that is trusted")]
    Note(#[from] note::Error),
    /// Not a checkpoint.
    #[error("what the notary signed is not a head")]
    Checkpoint(#[from] checkpoint::Error),
    /// Of another log.
    #[error("the head is of the log {found}, not of {expected}")]
    Origin {
        /// In the head.
        found: String,
        /// The one that is trusted.
        expected: String,
    },
    /// The only notary that signed was revoked, and nobody says that it signed before that.
    #[error(
        "the head is signed by a key that was revoked, and too few witnesses saw it before that"
    )]
    Revoked,
    /// A key that nothing trusts.
    #[error("the key {key} is revoked, and no list of the trust file has it")]
    Unlisted {
        /// The key.
        key: String,
    },
    /// No time.
    #[error("`since` of the revoked key {key} is not a time such as 2026-12-01T09:30:00Z")]
    Time {
        /// The key.
        key: String,
    },
    /// Not enough witnesses.
    #[error("{found} trusted witnesses signed the head, and {quorum} are required")]
    Witnesses {
        /// Witnesses that signed.
        found: usize,
        /// How many have to.
        quorum: usize,
    },
}

/// Keys, and what they are trusted for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Written", into = "Written")]
pub struct Trust {
    origin: String,
    notaries: Vec<VerifyingKey>,
    witnesses: Vec<VerifyingKey>,
    workers: Vec<VerifyingKey>,
    quorum: usize,
    revoked: Vec<Revoked>,
}

/// A key that was stolen or lost: what it signs from a time on is void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The key.
    pub key: VerifyingKey,
    /// When it stopped being good.
    pub since: Timestamp,
}

/// The same as texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Name of the log of rolls.
    origin: String,
    /// Keys of its notary.
    notaries: Vec<String>,
    /// Keys of witnesses.
    #[serde(default)]
    witnesses: Vec<String>,
    /// How many witnesses have to have signed a head.
    #[serde(default)]
    quorum: usize,
    /// Keys of workers, which seal records.
    #[serde(default)]
    workers: Vec<String>,
    /// Keys of these lists that were stolen or lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<WrittenRevoked>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRevoked {
    /// The key.
    key: String,
    /// From when on what it signs is void (RFC 3339).
    since: String,
}

/// A head that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The head.
    pub head: Checkpoint,
    /// Witnesses that signed it, and when, in seconds since 1970.
    pub witnesses: Vec<(String, u64)>,
}

impl Trust {
    /// Reads a file of trusted keys.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // The parser's message is dropped: it quotes what it read.
        let written: Written = toml::from_str(text).map_err(|error| Error::Form {
            line: error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1),
        })?;
        written.try_into()
    }

    /// Trusts the notaries of one log alone.
    pub fn new(origin: &str, notaries: Vec<VerifyingKey>) -> Result<Self, Error> {
        let trust = Self {
            origin: origin.to_owned(),
            notaries,
            ..Self::default()
        };
        trust.checked()
    }

    /// Wants the signatures of so many of these witnesses.
    pub fn with_witnesses(
        mut self,
        witnesses: Vec<VerifyingKey>,
        quorum: usize,
    ) -> Result<Self, Error> {
        (self.witnesses, self.quorum) = (witnesses, quorum);
        self.checked()
    }

    /// Trusts the seals of these workers.
    pub fn with_workers(mut self, workers: Vec<VerifyingKey>) -> Result<Self, Error> {
        self.workers = workers;
        self.checked()
    }

    /// Trusts nothing that these keys of its lists have signed from a time on.
    pub fn with_revoked(mut self, revoked: Vec<Revoked>) -> Result<Self, Error> {
        self.revoked = revoked;
        self.checked()
    }

    fn checked(mut self) -> Result<Self, Error> {
        let of = |keys: &[VerifyingKey], kind: Kind, expected: &'static str| {
            let wrong = keys.iter().find(|key| key.kind() != kind);
            wrong.map_or(Ok(()), |key| {
                let key = key.to_string();
                Err(Error::Kind { key, expected })
            })
        };
        of(&self.notaries, Kind::Text, "a notary")?;
        of(&self.workers, Kind::Text, "a worker")?;
        of(&self.witnesses, Kind::Cosignature, "a witness")?;
        if self.notaries.is_empty() {
            return Err(Error::NoNotary);
        }
        // One witness under two names, or twice in the list, is one.
        let mut witnesses: Vec<VerifyingKey> = Vec::new();
        for key in std::mem::take(&mut self.witnesses) {
            if !witnesses.iter().any(|own| own.is_same_key(&key)) {
                witnesses.push(key);
            }
        }
        self.witnesses = witnesses;
        for own in &self.revoked {
            let mut listed = self.notaries.iter().chain(&self.witnesses);
            if !listed.any(|key| key.is_same_key(&own.key))
                && !self.workers.iter().any(|key| key.is_same_key(&own.key))
            {
                let key = own.key.to_string();
                return Err(Error::Unlisted { key });
            }
        }
        match self.quorum > self.witnesses.len() {
            true => Err(Error::Quorum {
                quorum: self.quorum,
                witnesses: self.witnesses.len(),
            }),
            false => Ok(self),
        }
    }

    /// Name of the log of rolls.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Keys of workers.
    pub fn workers(&self) -> &[VerifyingKey] {
        &self.workers
    }

    /// How many witnesses have to have signed a head.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Keys of notaries.
    pub fn notaries(&self) -> &[VerifyingKey] {
        &self.notaries
    }

    /// Since when a key is revoked, if it is.
    pub fn revoked(&self, key: &VerifyingKey) -> Option<Timestamp> {
        let own = self.revoked.iter().filter(|own| own.key.is_same_key(key));
        own.map(|own| own.since).min()
    }

    /// The head that a note holds, if a notary and enough witnesses have signed it.
    pub fn head(&self, note: &Note) -> Result<Trusted, Error> {
        let trusted = self.signed(note)?;
        match trusted.witnesses.len() < self.quorum {
            true => Err(Error::Witnesses {
                found: trusted.witnesses.len(),
                quorum: self.quorum,
            }),
            false => Ok(trusted),
        }
    }

    /// The head of this log that a note holds, if a notary has signed it at any time. Such a note proves what the notary
    /// said, not that it is to be believed.
    pub fn notary(&self, note: &Note) -> Result<Checkpoint, Error> {
        note.verified(&self.notaries)?;
        let head: Checkpoint = note.text().parse()?;
        match head.origin == self.origin {
            true => Ok(head),
            false => Err(Error::Origin {
                found: head.origin,
                expected: self.origin.clone(),
            }),
        }
    }

    /// The head that a note holds, if a notary has signed it, whatever witnesses say. If its key was revoked, witnesses
    /// have to have seen it before: who has the key writes any time into a roll.
    pub fn signed(&self, note: &Note) -> Result<Trusted, Error> {
        let head = self.notary(note)?;
        let notaries = note.verified(&self.notaries)?;
        let verified = match note.verified(&self.witnesses) {
            Err(note::Error::Unknown) => Vec::new(),
            verified => verified?,
        };
        // The times of a stolen key are its thief's.
        let witnesses = verified
            .iter()
            .filter(|own| self.revoked(own.key).is_none());
        let witnesses: Vec<(String, u64)> = witnesses
            .filter_map(|own| Some((own.key.name().to_owned(), own.time?)))
            .collect();
        let revoked = notaries.iter().map(|own| self.revoked(own.key));
        // The youngest of several keys; one that was never revoked is good.
        let since = revoked
            .reduce(|one, other| Some(one?.max(other?)))
            .flatten();
        if let Some(since) = since {
            let before = |(_, time): &&(String, u64)| {
                i64::try_from(*time).is_ok_and(|time| time < since.as_second())
            };
            if witnesses.iter().filter(before).count() < self.quorum.max(1) {
                return Err(Error::Revoked);
            }
        }
        Ok(Trusted { head, witnesses })
    }
}

impl TryFrom<Written> for Trust {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        let keys = |texts: &[String]| -> Result<Vec<VerifyingKey>, Error> {
            let keys = texts.iter().map(|text| text.parse().map_err(Error::Note));
            keys.collect()
        };
        let revoked = written.revoked.iter().map(|own| {
            let key: VerifyingKey = own.key.parse().map_err(Error::Note)?;
            let since = own.since.parse().map_err(|_| Error::Time {
                key: key.to_string(),
            })?;
            Ok(Revoked { key, since })
        });
        let revoked: Result<Vec<Revoked>, Error> = revoked.collect();
        Self {
            origin: written.origin,
            notaries: keys(&written.notaries)?,
            witnesses: keys(&written.witnesses)?,
            workers: keys(&written.workers)?,
            quorum: written.quorum,
            revoked: revoked?,
        }
        .checked()
    }
}

impl From<Trust> for Written {
    fn from(trust: Trust) -> Self {
        let texts = |keys: &[VerifyingKey]| keys.iter().map(ToString::to_string).collect();
        let revoked = trust.revoked.iter().map(|own| WrittenRevoked {
            key: own.key.to_string(),
            since: own.since.to_string(),
        });
        Self {
            notaries: texts(&trust.notaries),
            witnesses: texts(&trust.witnesses),
            workers: texts(&trust.workers),
            revoked: revoked.collect(),
            quorum: trust.quorum,
            origin: trust.origin,
        }
    }
}
