//! The last head that a reader saw: the next one has to have grown from it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::super::note::{self, Note};

/// Why a state cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a head.
    #[error("{} is not a head that was kept: name another file, or find out who changed it", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// Why.
        source: note::Error,
    },
}

/// A file that keeps a head.
#[derive(Debug, Clone)]
pub struct State(PathBuf);

impl State {
    /// A file that may not exist yet.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The head that was kept; `None` before the first.
    pub fn read(&self) -> Result<Option<Note>, Error> {
        match fs::read(&self.0) {
            Ok(bytes) => Note::parse(&bytes).map(Some).map_err(|source| Error::Note {
                path: self.0.clone(),
                source,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Keeps a head instead. A crash leaves the one or the other.
    pub fn keep(&self, note: &Note) -> Result<(), Error> {
        self.replace(note).map_err(|error| self.failed(error))
    }

    fn replace(&self, note: &Note) -> io::Result<()> {
        let folder = self.0.parent().filter(|own| !own.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let next = folder.join(name);
        let mut file = File::create(&next)?;
        file.write_all(note.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, &self.0)?;
        File::open(folder)?.sync_all()
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io {
            path: self.0.clone(),
            source,
        }
    }
}
