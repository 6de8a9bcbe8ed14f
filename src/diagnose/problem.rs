use std::{fmt, sync::Arc};

/// Where a value was written: never the value itself (I7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a file.
    File {
        /// The file's name as the user gave it.
        file: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In an environment variable.
    Environment(Arc<str>),
    /// In a `--set` flag; the key, without the value.
    Flag(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(key) => write!(f, "--set {key}"),
        }
    }
}

/// What can be wrong with a configuration or a tenant file. The messages name keys and limits;
/// a value appears only where it is a number or one of a fixed set of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what the fields are
pub enum Kind {
    /// The file is not TOML. Holds the parser's description, never the source line: it may hold
    /// a secret.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    #[error("can't read {what}: {reason}")]
    Unreadable { what: String, reason: String },
    #[error("unknown key `{key}`{place}")]
    UnknownKey { key: String, place: String },
    #[error("unknown section [{0}]")]
    UnknownSection(String),
    #[error("section [{0}] is missing")]
    MissingSection(String),
    #[error("`{key}` is missing{place}")]
    MissingKey { key: String, place: String },
    #[error("`{key}` must be {expected}, found {found}")]
    WrongType {
        key: String,
        expected: String,
        found: &'static str,
    },
    #[error("`{key}` ({value}) is {relation} {limit}")]
    OutOfRange {
        key: String,
        value: String,
        relation: &'static str,
        limit: String,
    },
    #[error("`{key}` is not one of the known values{found}")]
    UnknownValue { key: String, found: String },
    #[error("`{key}` must not be empty")]
    Empty { key: String },
    #[error("`{0}` would put a secret in the file")]
    SecretInFile(String),
    #[error("this version does not support {0} yet")]
    NotYet(String),
    #[error("{key} must hold exactly one of {of}")]
    OneOf { key: String, of: String },
    /// Two values that do not go together; the message names both.
    #[error("{0}")]
    Conflict(String),
    /// A value of the right type that can't be used; the message says why.
    #[error("{0}")]
    Invalid(String),
    #[error("malformed override: {0}")]
    Override(String),
}

/// One thing to fix: what, where, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: Kind,
    /// Where.
    pub at: Place,
    /// What to write instead.
    pub fix: String,
}

/// Everything that is wrong with a file, in the order of the file. Never empty when it is an
/// error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds a problem.
    pub fn push(&mut self, kind: Kind, at: &Place, fix: impl Into<String>) {
        self.0.push(Problem {
            kind,
            at: at.clone(),
            fix: fix.into(),
        });
    }

    /// One problem.
    pub fn one(kind: Kind, at: Place, fix: impl Into<String>) -> Self {
        Self(vec![Problem {
            kind,
            at,
            fix: fix.into(),
        }])
    }

    /// `Ok` if there is nothing to fix.
    pub fn into_result(mut self) -> Result<(), Self> {
        if self.0.is_empty() {
            return Ok(());
        }
        // A stable sort: problems of one line stay in the order in which they were found.
        self.0.sort_by_key(|problem| match &problem.at {
            Place::File { file, line, column } => (0, Some(file.clone()), *line, *column),
            Place::Environment(_) => (1, None, 0, 0),
            Place::Flag(_) => (2, None, 0, 0),
        });
        Err(self)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.0.iter().map(|p| p.at.to_string()).collect();
        let width = places.iter().map(|p| p.chars().count()).max().unwrap_or(0);
        for (i, (problem, place)) in self.0.iter().zip(&places).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            writeln!(f, "error: {}", problem.kind)?;
            write!(f, "  {place:width$}  fix: {}", problem.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
