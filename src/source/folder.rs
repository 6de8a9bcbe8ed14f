//! The files of a local folder.
//!
//! In:  a folder; whether links out of it are followed.
//! Out: files by their path below the folder; what is left out, and why.
//! Holds: one odd name, link or device never ends the listing, and nothing is left out silently.
//! Does not know: formats, patterns.
//!
//! object_store lists folders too, but ends at the first name that is not UTF-8, at the first loop of
//! links, and follows links to wherever they lead.

use std::{
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use object_store::path::PathPart;

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Paths of files below the folder.
    pub(super) files: Vec<String>,
    /// What is left out.
    pub(super) unlisted: Vec<Unlisted>,
}

/// A file or folder that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// Its path below the folder, as far as it is text: patterns of the configuration look at it.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

/// Why something in a folder is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// The bytes of the name are no text.
    #[error("its name is not UTF-8")]
    NotUtf8,
    /// A line end or the like in the name.
    #[error("its name holds a control character")]
    ControlCharacter,
    /// `NAME#1` is how an unfinished file of an object store's client looks.
    #[error("its name ends with `#` and digits, as unfinished uploads do")]
    Unfinished,
    /// A link that leads nowhere.
    #[error("the link leads to nothing")]
    BrokenLink,
    /// A link to a folder in which it lies.
    #[error("the link leads to a folder that holds it")]
    Loop,
    /// A link that leads out of the folder.
    #[error("the link leads out of the source's folder (source.follow_links = true follows it)")]
    Outside,
    /// A pipe, a socket, a device.
    #[error("it is a pipe, a socket or a device")]
    Special,
    /// The operating system refuses.
    #[error("it cannot be opened")]
    Unreadable,
}

impl Unlisted {
    /// The path for people: no control characters.
    pub fn escaped(&self) -> String {
        self.path.escape_debug().to_string()
    }
}

/// Folders within folders that are looked into: more is a mistake, or a trap.
const MAX_DEPTH: usize = 128;

/// Lists a folder. Blocks. Fails only if the folder itself cannot be read.
pub(super) fn list(folder: &Path, follow_links: bool) -> io::Result<Found> {
    let root = folder.canonicalize()?;
    let mut walk = Walk {
        root: &root,
        follow_links,
        above: Vec::new(),
        found: Found::default(),
    };
    let entries = fs::read_dir(&root)?;
    walk.above.push(root.clone());
    walk.entries(entries, "");
    walk.found.files.sort_unstable();
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    follow_links: bool,
    /// Where the folders really are that lead to where the walk is.
    above: Vec<PathBuf>,
    found: Found,
}

impl Walk<'_> {
    fn entries(&mut self, entries: fs::ReadDir, below: &str) {
        for entry in entries {
            let Ok(entry) = entry else {
                self.leave_out(below.to_owned(), Reason::Unreadable);
                continue;
            };
            let name = entry.file_name();
            let path = |name: &str| match below.is_empty() {
                true => name.to_owned(),
                false => format!("{below}/{name}"),
            };
            match usable(&name) {
                Ok(name) => {
                    if let Err(reason) = self.entry(&entry.path(), path(name)) {
                        self.leave_out(path(name), reason);
                    }
                }
                Err(reason) => self.leave_out(path(&name.to_string_lossy()), reason),
            }
        }
    }

    fn entry(&mut self, at: &Path, path: String) -> Result<(), Reason> {
        // Of the entry itself, so that a link is not followed before it is known where it leads.
        let kind = at.symlink_metadata().map_err(|_| Reason::Unreadable)?;
        if !kind.is_symlink() {
            let real = kind.is_dir().then(|| at.to_owned());
            return self.real(&kind, real, path);
        }
        let target = at.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Reason::BrokenLink,
            io::ErrorKind::PermissionDenied => Reason::Unreadable,
            _ => Reason::Loop,
        })?;
        if !self.follow_links && !target.starts_with(self.root) {
            return Err(Reason::Outside);
        }
        let kind = target.metadata().map_err(|_| Reason::Unreadable)?;
        if kind.is_dir() && self.above.contains(&target) {
            return Err(Reason::Loop);
        }
        self.real(&kind, Some(target), path)
    }

    /// A file or folder that is no link, or what a link leads to.
    fn real(&mut self, kind: &Metadata, at: Option<PathBuf>, path: String) -> Result<(), Reason> {
        if kind.is_file() {
            self.found.files.push(path);
            return Ok(());
        }
        let Some(at) = at.filter(|_| kind.is_dir()) else {
            return Err(Reason::Special);
        };
        if self.above.len() >= MAX_DEPTH {
            return Err(Reason::Loop);
        }
        let entries = fs::read_dir(&at).map_err(|_| Reason::Unreadable)?;
        self.above.push(at);
        self.entries(entries, &path);
        self.above.pop();
        Ok(())
    }

    fn leave_out(&mut self, path: String, reason: Reason) {
        self.found.unlisted.push(Unlisted { path, reason });
    }
}

/// A name as a store takes it.
fn usable(name: &OsStr) -> Result<&str, Reason> {
    let name = name.to_str().ok_or(Reason::NotUtf8)?;
    if PathPart::parse(name).is_err() {
        return Err(Reason::ControlCharacter);
    }
    // As object_store decides it (`is_valid_file_path`).
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match name.split_once('#') {
        Some((_, rest)) if digits(rest) => Err(Reason::Unfinished),
        _ => Ok(name),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener};

    use super::*;

    fn reasons(found: &Found) -> Vec<(String, Reason)> {
        let unlisted = found.unlisted.iter();
        let mut reasons: Vec<_> = unlisted.map(|left| (left.escaped(), left.reason)).collect();
        reasons.sort();
        reasons
    }

    #[test]
    fn odd_names_links_and_devices_are_left_out_one_by_one_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(outside.path().join("secret.log"), "x").unwrap();
        fs::create_dir_all(at("sub/x.log")).unwrap();
        for name in [
            "a.log",
            "sub/b.log",
            "sub/x.log/c.log",
            "ä 100% ~.log",
            "d#x.log",
        ] {
            fs::write(at(name), "x").unwrap();
        }
        fs::write(at("new\nline.log"), "x").unwrap();
        fs::write(at("part#17"), "x").unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9.log")), "x").unwrap();
        symlink(outside.path().join("secret.log"), at("out.log")).unwrap();
        symlink(outside.path(), at("out")).unwrap();
        symlink(at("gone.log"), at("broken.log")).unwrap();
        symlink(folder.path(), at("sub/up")).unwrap();
        symlink(at("self"), at("self")).unwrap();
        symlink(at("a.log"), at("alias.log")).unwrap();
        symlink("sub", at("current")).unwrap();
        let _socket = UnixListener::bind(at("socket.log")).unwrap();
        let found = list(folder.path(), false).unwrap();
        assert_eq!(
            found.files,
            [
                "a.log",
                "alias.log",
                "current/b.log",
                "current/x.log/c.log",
                "d#x.log",
                "sub/b.log",
                "sub/x.log/c.log",
                "ä 100% ~.log"
            ]
        );
        let left = reasons(&found);
        let expected = [
            ("broken.log", Reason::BrokenLink),
            ("caf\u{fffd}.log", Reason::NotUtf8),
            ("current/up", Reason::Loop),
            ("new\\nline.log", Reason::ControlCharacter),
            ("out", Reason::Outside),
            ("out.log", Reason::Outside),
            ("part#17", Reason::Unfinished),
            ("self", Reason::Loop),
            ("socket.log", Reason::Special),
            ("sub/up", Reason::Loop),
        ];
        assert_eq!(
            left,
            expected.map(|(name, reason)| (name.to_owned(), reason))
        );
        let followed = list(folder.path(), true).unwrap();
        let more = ["out.log", "out/secret.log"];
        assert!(
            more.iter()
                .all(|name| followed.files.iter().any(|file| file == name))
        );
    }

    #[test]
    fn links_that_lead_to_one_another_end() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("x.log"), "x").unwrap();
        }
        symlink("../b", folder.path().join("a/to_b")).unwrap();
        symlink("../a", folder.path().join("b/to_a")).unwrap();
        let found = list(folder.path(), false).unwrap();
        assert_eq!(
            found.files,
            ["a/to_b/x.log", "a/x.log", "b/to_a/x.log", "b/x.log"]
        );
        assert_eq!(found.unlisted.len(), 2);
    }
}
