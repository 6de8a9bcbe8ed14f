//! Signed notes (<https://c2sp.org/signed-note>) with Ed25519 keys, and the cosignatures of witnesses
//! (<https://c2sp.org/tlog-cosignature>).
//!
//! A note is a text and signatures of it, each by a key that a name and 32 bits point to. Signatures of keys that the
//! reader does not know are ignored; one by a known key that does not hold makes the whole note void.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Largest note that is read. A checkpoint of a roll has less than 1 KiB, and a signature 100 bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Most signatures of a note; readers must take 16.
pub const MAX_SIGNATURES: usize = 64;

/// Begins a signature.
const DASH: &str = "\u{2014} ";

/// Begins the text of a private key.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Why a note or key cannot be read, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// Not a public key.
    #[error("not a public key of the form NAME+ID+KEY: {0}")]
    PublicKey(&'static str),
    /// Not a private key.
    #[error("not a private key of the form PRIVATE+KEY+NAME+ID+KEY: {0}")]
    PrivateKey(&'static str),
    /// Not a name of a key.
    #[error("the name of a key is empty, or has a space, a plus sign or a control character")]
    Name,
    /// No signature of a key that the reader trusts.
    #[error("no signature is by a key that is trusted")]
    Unknown,
    /// A signature does not hold.
    #[error("the signature of {key} does not fit the text")]
    Signature {
        /// Its name and id.
        key: String,
    },
    /// The system gave no random numbers.
    #[error("the system gave no random numbers for a key")]
    Random,
}

/// Distinguishes keys of one name. An attacker can make a key of the same id: it is no proof of anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    fn of(name: &str, kind: Kind, key: &[u8]) -> Self {
        let hasher = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', kind as u8])
            .chain_update(key);
        let digest = hasher.finalize();
        Self([digest[0], digest[1], digest[2], digest[3]])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The text.
    Text = 1,
    /// The text and the time at which a witness saw it.
    Cosignature = 4,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Text),
            4 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

fn is_name(name: &str) -> bool {
    let bad = |sign: char| sign == '+' || sign.is_whitespace() || sign.is_control();
    !name.is_empty() && !name.contains(bad)
}

/// A private key. `Debug` prints its name and id; memory is overwritten when it is dropped.
pub struct SigningKey {
    name: String,
    id: KeyId,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new one.
    pub fn generate(name: &str) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| Error::Random)?;
        Self::from_seed(name, &seed)
    }

    /// The key of a seed (RFC 8032, 5.1.5).
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name);
        }
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let id = KeyId::of(name, Kind::Text, key.verifying_key().as_bytes());
        Ok(Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    /// Reads `PRIVATE+KEY+NAME+ID+KEY`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let rest = text
            .trim_end_matches(['\n', '\r'])
            .strip_prefix(PRIVATE)
            .ok_or(Error::PrivateKey("it begins otherwise"))?;
        let (name, id, bytes) = split_key(rest).map_err(Error::PrivateKey)?;
        let seed: &[u8; 32] = match bytes.split_first() {
            Some((1, seed)) => seed
                .try_into()
                .map_err(|_| Error::PrivateKey("it does not have 32 bytes"))?,
            _ => return Err(Error::PrivateKey("it is not of Ed25519")),
        };
        let key = Self::from_seed(name, seed)?;
        match key.id == id {
            true => Ok(key),
            false => Err(Error::PrivateKey("its id is not that of the key")),
        }
    }

    /// The text that [`SigningKey::parse`] reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([Kind::Text as u8; 33]);
        bytes[1..].copy_from_slice(self.key.as_bytes());
        let key = Zeroizing::new(STANDARD.encode(*bytes));
        Zeroizing::new(format!("{PRIVATE}{}+{}+{}", self.name, self.id, *key))
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id, as of signatures of a text.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The public key.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::new(&self.name, Kind::Text, self.key.verifying_key())
    }

    /// The public key of its cosignatures.
    pub fn cosigner(&self) -> VerifyingKey {
        VerifyingKey::new(&self.name, Kind::Cosignature, self.key.verifying_key())
    }

    /// The signature of a message that is not a note.
    pub fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// A signature of a note's text.
    pub fn sign(&self, text: &str) -> Signature {
        Signature {
            name: self.name.clone(),
            id: self.id,
            bytes: self.sign_bytes(text.as_bytes()).to_vec(),
        }
    }

    /// A witness's signature of a checkpoint, which it saw at `time`, in seconds since 1970.
    pub fn cosign(&self, text: &str, time: u64) -> Signature {
        let signature = self.sign_bytes(cosigned(text, time).as_bytes());
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend(signature);
        Signature {
            name: self.name.clone(),
            id: self.cosigner().id,
            bytes,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}+{})", self.name, self.id)
    }
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// Name, id and bytes of a key's text.
fn split_key(text: &str) -> Result<(&str, KeyId, Zeroizing<Vec<u8>>), &'static str> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("a part is missing");
    };
    if !is_name(name) {
        return Err("its name is not one");
    }
    let mut bytes = [0; 4];
    hex::decode_to_slice(id, &mut bytes).map_err(|_| "its id is not 8 hexadecimal digits")?;
    let key = STANDARD.decode(key).map_err(|_| "it is not in base64")?;
    Ok((name, KeyId(bytes), Zeroizing::new(key)))
}

/// A public key. Its text is `NAME+ID+KEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: KeyId,
    kind: Kind,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, kind: Kind, key: ed25519_dalek::VerifyingKey) -> Self {
        Self {
            name: name.to_owned(),
            id: KeyId::of(name, kind, key.as_bytes()),
            kind,
            key,
        }
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What it signs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is the same point, whatever its name.
    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Whether a signature of a message that is not a note holds. Always false for the key of a witness: what it signs
    /// has a time.
    pub fn holds(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.kind == Kind::Text && self.is_of(message, signature)
    }

    fn is_of(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        // Strict: one message has one signature by one key, for every verifier.
        self.key.verify_strict(message, &signature).is_ok()
    }

    /// The time of a signature that holds, if it has one.
    fn check(&self, text: &str, signature: &Signature) -> Option<Option<u64>> {
        match self.kind {
            Kind::Text => {
                let bytes = signature.bytes.as_slice().try_into().ok()?;
                self.is_of(text.as_bytes(), bytes).then_some(None)
            }
            Kind::Cosignature => {
                let (time, bytes) = signature.bytes.split_first_chunk::<8>()?;
                let (time, bytes) = (u64::from_be_bytes(*time), bytes.try_into().ok()?);
                let holds = i64::try_from(time).is_ok()
                    && self.is_of(cosigned(text, time).as_bytes(), bytes);
                holds.then_some(Some(time))
            }
        }
    }
}

impl FromStr for VerifyingKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, id, bytes) = split_key(text).map_err(Error::PublicKey)?;
        let (kind, key) = bytes.split_first().ok_or(Error::PublicKey("it is empty"))?;
        let kind = Kind::of(*kind).ok_or(Error::PublicKey(
            "it is neither of Ed25519 nor of a witness with Ed25519",
        ))?;
        let key: &[u8; 32] = key
            .try_into()
            .map_err(|_| Error::PublicKey("it does not have 32 bytes"))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(key)
            .ok()
            .filter(|key| !key.is_weak())
            .ok_or(Error::PublicKey(
                "it is not a point of the curve that signs",
            ))?;
        let key = Self::new(name, kind, key);
        match key.id == id {
            true => Ok(key),
            false => Err(Error::PublicKey("its id is not that of the key")),
        }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [self.kind as u8; 33];
        bytes[1..].copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// A signature of a note, by a key that may be unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Reads lines that each hold one, as a witness sends them.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, Error> {
        let lines = text
            .strip_suffix('\n')
            .ok_or(Error::Note("the last line does not end"))?;
        let signatures: Result<Vec<Self>, Error> = lines
            .split('\n')
            .take(MAX_SIGNATURES + 1)
            .map(Self::parse)
            .collect();
        let signatures = signatures?;
        match signatures.len() > MAX_SIGNATURES {
            true => Err(Error::Note("it has more than 64 signatures")),
            false => Ok(signatures),
        }
    }

    fn parse(line: &str) -> Result<Self, Error> {
        let (name, bytes) = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.split_once(' '))
            .filter(|(name, _)| is_name(name))
            .ok_or(Error::Note("a signature does not name its key"))?;
        let bytes = STANDARD
            .decode(bytes)
            .map_err(|_| Error::Note("a signature is not in base64"))?;
        let (id, bytes) = bytes
            .split_first_chunk::<4>()
            .filter(|(_, rest)| !rest.is_empty())
            .ok_or(Error::Note("a signature is too short"))?;
        Ok(Self {
            name: name.to_owned(),
            id: KeyId(*id),
            bytes: bytes.to_vec(),
        })
    }

    fn is_by(&self, key: &VerifyingKey) -> bool {
        self.id == key.id && self.name == key.name
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.0, self.bytes.as_slice()].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text and its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A trusted key whose signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The key.
    pub key: &'k VerifyingKey,
    /// When a witness signed, in seconds since 1970.
    pub time: Option<u64>,
}

impl Note {
    /// Signs a text, which must be one of a note.
    pub fn signed(text: &str, keys: &[&SigningKey]) -> Result<Self, Error> {
        check_text(text)?;
        Ok(Self {
            text: text.to_owned(),
            signatures: keys.iter().map(|key| key.sign(text)).collect(),
        })
    }

    /// Reads one. Nothing of it is to be believed before [`Note::verified`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::Note("it is longer than 1 MiB"));
        }
        let all = std::str::from_utf8(bytes).map_err(|_| Error::Note("it is not UTF-8"))?;
        let (text, signatures) = all
            .rfind("\n\n")
            .map(|at| (&all[..=at], &all[at + 2..]))
            .ok_or(Error::Note("it has no empty line"))?;
        check_text(text)?;
        Ok(Self {
            text: text.to_owned(),
            signatures: Signature::parse_lines(signatures)?,
        })
    }

    /// The text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature, unless there is one by this key.
    pub fn add(&mut self, signature: Signature) {
        let known = |own: &Signature| own.id == signature.id && own.name == signature.name;
        if !self.signatures.iter().any(known) {
            self.signatures.push(signature);
        }
    }

    /// The keys, among those that are trusted, whose signatures hold: at least one, and each once.
    pub fn verified<'k>(
        &self,
        trusted: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<Vec<Verified<'k>>, Error> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for key in trusted {
            if verified.iter().any(|own| own.key == key) {
                continue;
            }
            let mut found = None;
            for signature in self.signatures.iter().filter(|own| own.is_by(key)) {
                let time = key.check(&self.text, signature);
                let time = time.ok_or_else(|| Error::Signature {
                    key: format!("{}+{}", key.name, key.id),
                })?;
                // Of a witness that signed twice, the first time is when it had seen the text.
                found = Some(found.map_or(time, |earlier: Option<u64>| earlier.min(time)));
            }
            verified.extend(found.map(|time| Verified { key, time }));
        }
        match verified.is_empty() {
            true => Err(Error::Unknown),
            false => Ok(verified),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    if !text.ends_with('\n') {
        return Err(Error::Note("its text does not end with a newline"));
    }
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(Error::Note("it has a control character"));
    }
    Ok(())
}
