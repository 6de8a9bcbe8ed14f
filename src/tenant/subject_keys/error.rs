/// Why there is no key for a subject. Holds places and names of keys, no subject and no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be opened.
    #[error("the store of subject keys at {at} cannot be opened: {why}")]
    Open {
        /// As configured.
        at: String,
        /// Kind of the failure.
        why: String,
    },
    /// The store failed or refused.
    #[error("the store of subject keys at {at} failed: {why}")]
    Store {
        /// As configured.
        at: String,
        /// Kind of the failure: the store's own message may hold a signed URL.
        why: &'static str,
    },
    /// The store gave no answer in time.
    #[error("the store of subject keys at {at} did not answer in {seconds} s")]
    Silent {
        /// As configured.
        at: String,
        /// How long weir waited.
        seconds: u64,
    },
    /// `weir forget --for-good` was for this subject.
    #[error("the keys of the document's subject were destroyed for good")]
    ForGood,
    /// The tenant file lacks the key that wrapped a subject's key.
    #[error(
        "the subject key {id} was wrapped by the key `{key}`, which `keys` of the tenant file lacks"
    )]
    NoKey {
        /// Name of the subject's key.
        id: String,
        /// Id of the tenant's key.
        key: String,
    },
    /// The object was not made by weir with a key of this tenant.
    #[error(
        "the object of the subject key {id} was not wrapped by this tenant's key, or was altered"
    )]
    Foreign {
        /// Name of the subject's key.
        id: String,
    },
    /// The bucket keeps what was overwritten.
    #[error("the bucket at {at} keeps older versions of objects: a destroyed key can be restored")]
    Versioned {
        /// As configured.
        at: String,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Error {
    /// Whether another attempt may succeed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Store { .. } | Self::Silent { .. } | Self::Random => true,
            Self::ForGood | Self::NoKey { .. } | Self::Foreign { .. } | Self::Versioned { .. } => {
                false
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } | Self::Store { .. } | Self::Silent { .. } => {
                "check `subject_keys.url`, its options, and the credentials in the cloud's variables"
            }
            Self::ForGood => "documents about this subject cannot be processed",
            Self::NoKey { .. } => "add the older key to `keys` of the tenant file",
            Self::Foreign { .. } => "check that `subject_keys.url` is the store of this tenant",
            Self::Versioned { .. } => {
                "turn versioning off, and delete the older versions of what was destroyed"
            }
            Self::Random => "run it again",
        }
    }
}
