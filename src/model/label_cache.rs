//! Vectors of labels on disk, by pack and text.

use std::{fs, io, io::Write as _, path::PathBuf};

/// A folder of vectors. A cache that can't be read or written costs time and nothing else.
#[derive(Debug)]
pub(super) struct LabelCache {
    folder: Option<PathBuf>,
}

impl LabelCache {
    /// `folder` is of one pack, whose digest covers all that vectors depend on beside the text; `None` keeps nothing.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The vector of a text; a file that is damaged, or of another size than `numbers`, is as good as none.
    pub(super) fn read(&self, text: &str, numbers: Option<usize>) -> Option<Vec<f32>> {
        let bytes = fs::read(self.file_of(text)?).ok()?;
        let (checksum, values) = bytes.split_at_checked(8)?;
        let whole = checksum == &blake3::hash(values).as_bytes()[..8];
        if !whole || numbers.is_some_and(|numbers| values.len() != numbers * 4) {
            return None;
        }
        let four = |four: &[u8]| f32::from_le_bytes(four.try_into().expect("four bytes"));
        Some(values.chunks_exact(4).map(four).collect())
    }

    /// Keeps a vector.
    pub(super) fn write(&self, text: &str, vector: &[f32]) {
        let Some(path) = self.file_of(text) else {
            return;
        };
        let numbers: Vec<u8> = vector
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let written = path
            .parent()
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
            .and_then(|folder| {
                fs::create_dir_all(folder)?;
                let mut file = tempfile::NamedTempFile::new_in(folder)?;
                file.write_all(&blake3::hash(&numbers).as_bytes()[..8])?;
                file.write_all(&numbers)?;
                file.persist(&path).map_err(|error| error.error)?;
                Ok(())
            });
        if let Err(error) = written {
            let error: io::Error = error;
            tracing::debug!(kind = ?error.kind(), "label vector not cached");
        }
    }

    fn file_of(&self, text: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!(
            "{}.f32",
            &blake3::hash(text.as_bytes()).to_hex()[..32]
        )))
    }
}
