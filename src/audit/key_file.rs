//! Files that hold a private key: readable by their owner alone.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::note::{self, SigningKey};

/// Why a key's file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It exists.
    #[error("{} exists: weir never replaces a private key", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{} can be read by others (mode {mode:03o}): make it 600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not a key.
    #[error("{} holds no private key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: note::Error,
    },
}

/// Writes a key to a file that must not exist.
pub fn write(path: &Path, key: &SigningKey) -> Result<(), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists {
            path: path.to_owned(),
        },
        _ => Error::Io {
            path: path.to_owned(),
            source,
        },
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(key.to_text().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// Reads a key.
pub fn read(path: &Path) -> Result<SigningKey, Error> {
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        // Kubernetes gives a secret to a group: that may read it, others must not, and nobody but the owner may write.
        if mode & 0o027 != 0 {
            return Err(Error::Open {
                path: path.to_owned(),
                mode,
            });
        }
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    SigningKey::parse(&text).map_err(|source| Error::Key {
        path: path.to_owned(),
        source,
    })
}
