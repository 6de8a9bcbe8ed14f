//! Signatures of packs: a signed note next to the manifest, over the manifest's SHA-256.
//!
//! In:  a pack whose manifest lists the digest of every file; keys.
//! Out: `pack.note` next to `pack.toml` (`NAME.note` next to `NAME.toml`), and whose signatures of it hold.
//! Holds: the digest that is compared is that of the bytes from which the pack was opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    audit::note::{self, Note, SigningKey, VerifyingKey},
    model::{Error, Pack, WrittenManifest},
};

/// First line of the text, so that no other note of the same key is taken for one of a pack.
const KIND: &str = "weir/pack/1";

/// Why a pack cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// It is not whole, or has no manifest.
    #[error(transparent)]
    Pack(#[from] Error),
    /// The key signs no such text.
    #[error(transparent)]
    Note(#[from] note::Error),
    /// The note can't be written.
    #[error("{path} can't be written ({source})")]
    Write {
        /// File of the note.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The file of the note that signs a manifest.
pub fn note_file(manifest: &Path) -> PathBuf {
    manifest.with_extension("note")
}

/// Signs a pack that is whole, and returns the file of the note. A note of the same manifest keeps its other signatures.
pub fn sign(pack: &Pack, key: &SigningKey) -> Result<PathBuf, SignError> {
    let written = manifest(pack)?;
    pack.verify()?;
    let text = text(written);
    let file = note_file(&written.path);
    let before = fs::read(&file)
        .ok()
        .and_then(|bytes| Note::parse(&bytes).ok());
    let mut note = match before.filter(|note| note.text() == text) {
        Some(note) => note,
        None => Note::signed(&text, &[])?,
    };
    note.add(key.sign(&text));
    let failed = |source| SignError::Write {
        path: file.display().to_string(),
        source,
    };
    let new = file.with_extension("note.new");
    fs::write(&new, note.to_string()).map_err(failed)?;
    fs::rename(&new, &file).map_err(failed)?;
    Ok(file)
}

/// The keys, among those that are trusted, that signed the pack. Files are not compared: [`Pack::verify`] does.
pub fn check<'k>(pack: &Pack, trusted: &'k [VerifyingKey]) -> Result<Vec<&'k VerifyingKey>, Error> {
    let written = manifest(pack)?;
    let file = note_file(&written.path);
    let at = file.display();
    let untrusted = |problem: String, hint: &'static str| Error::Untrusted {
        pack: pack.name().to_owned(),
        problem,
        hint,
    };
    let bytes = fs::read(&file).map_err(|error| {
        untrusted(
            format!("its signature {at} can't be read ({error})"),
            "copy the note from the pack's publisher, or sign the pack with `weir model sign PACK --key FILE`",
        )
    })?;
    let copy = "copy the pack and its note from the publisher again";
    let note = Note::parse(&bytes).map_err(|error| untrusted(format!("{at}: {error}"), copy))?;
    let verified = note.verified(trusted).map_err(|error| match error {
        note::Error::Unknown => untrusted(
            format!("no trusted key signed {at}; {}", signers(&note)),
            "add the public key of a publisher whom you trust to trusted_keys",
        ),
        error => untrusted(format!("{at}: {error}"), copy),
    })?;
    if note.text() != text(written) {
        return Err(untrusted(
            format!(
                "{at} signs another manifest than {}",
                written.path.display()
            ),
            "copy the manifest and its note from the publisher again: they belong to each other",
        ));
    }
    Ok(verified.into_iter().map(|own| own.key).collect())
}

/// Names and ids of the keys that a note names, for people. Nothing says that they signed it.
fn signers(note: &Note) -> String {
    let names = note.signatures().iter().take(4);
    let names: Vec<String> = names
        .map(|own| format!("{}+{}", own.name(), own.id()))
        .collect();
    match names.is_empty() {
        true => "it has no signature".to_owned(),
        false => format!("it names {}", names.join(", ")),
    }
}

fn text(written: &WrittenManifest) -> String {
    format!("{KIND}\nsha256 {}\n", written.sha256)
}

/// The manifest, if a signature of it is one of all files.
fn manifest(pack: &Pack) -> Result<&WrittenManifest, Error> {
    let untrusted = |problem: &str, hint| Error::Untrusted {
        pack: pack.name().to_owned(),
        problem: problem.to_owned(),
        hint,
    };
    let Some(written) = pack.written() else {
        return Err(untrusted(
            "it is a published folder without a manifest, and only a manifest can be signed",
            "write a manifest NAME.toml next to the folder that lists its files under [[files]], as models/rampart.toml does",
        ));
    };
    match pack.is_listed_whole() {
        true => Ok(written),
        false => Err(untrusted(
            "its manifest lists no files, so a signature would say nothing of them",
            "list each file of the folder and its sha256 (`sha256sum FILE`) under [[files]]",
        )),
    }
}
