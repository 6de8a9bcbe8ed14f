use serde::{Deserialize, Serialize};

use super::Compression;

/// How the documents lie in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `.txt`: the object is one document, of any length.
    Text,
    /// `.log`: a document a line, JSON where the line is a JSON object, else text.
    Auto,
    /// A document of text a line.
    Lines,
    /// `.jsonl`, `.ndjson`: a JSON object a line.
    JsonLines,
    /// `.json`: JSON objects a line each, in a row, or in a top-level array.
    Json,
    /// `.parquet`: a document a row.
    Parquet,
    /// `.arrow`, `.ipc`, `.feather`: a document a row, in Arrow's file or stream form.
    Arrow,
}

impl Format {
    /// Extensions, without the dot.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["txt"],
            Self::Auto => &["log"],
            Self::Lines => &[],
            Self::JsonLines => &["jsonl", "ndjson"],
            Self::Json => &["json"],
            Self::Parquet => &["parquet"],
            Self::Arrow => &["arrow", "ipc", "feather"],
        }
    }

    const ALL: [Self; 6] = [
        Self::Text,
        Self::Auto,
        Self::JsonLines,
        Self::Json,
        Self::Parquet,
        Self::Arrow,
    ];

    /// Format and compression of an object by its name, and the name without both extensions.
    /// An error holds the extension that is not known.
    pub fn of(path: &str) -> Result<(Self, Option<Compression>, &str), String> {
        let (stem, extension) = split(path);
        let compression = Compression::of(path);
        let (stem, extension) = match compression {
            Some(_) => split(stem),
            None => (stem, extension),
        };
        let extension = extension.to_ascii_lowercase();
        let format = Self::ALL
            .into_iter()
            .find(|format| format.extensions().contains(&extension.as_str()));
        match format {
            Some(format) => Ok((format, compression, stem)),
            None => Err(extension),
        }
    }

    /// Whether documents are rows with columns.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// Name and extension of the last segment; a leading dot starts no extension.
pub(super) fn split(path: &str) -> (&str, &str) {
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[file..].rfind('.') {
        Some(dot) if dot > 0 => (&path[..file + dot], &path[file + dot + 1..]),
        _ => (path, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_format_and_compression() {
        let of = |path| Format::of(path);
        assert_eq!(of("a/b.txt"), Ok((Format::Text, None, "a/b")));
        assert_eq!(
            of("a.b/c.d.JSONL.gz"),
            Ok((Format::JsonLines, Some(Compression::Gzip), "a.b/c.d"))
        );
        assert_eq!(
            of("x.log.zst"),
            Ok((Format::Auto, Some(Compression::Zstd), "x"))
        );
        assert_eq!(of("x.json"), Ok((Format::Json, None, "x")));
        assert_eq!(of("x.feather"), Ok((Format::Arrow, None, "x")));
        assert_eq!(of("x.csv"), Err("csv".into()));
        assert_eq!(of("x.gz"), Err(String::new()));
        assert_eq!(of("a.txt/noext"), Err(String::new()));
        assert_eq!(of("dir/.txt"), Err(String::new()));
    }
}
