//! What is wrong with a file that people write: every problem at once, each with its place and its fix.
//!
//! In:  TOML, and the JSON Schema of the type that it will be read into.
//! Out: [`Problems`], or a document in which every key and value knows where it was written.
//! Holds: no message prints a value that may be a secret (I7); an unknown key is a problem.
//! Does not know: what the keys mean.
pub mod check;
pub mod document;
mod problem;

pub use problem::{Kind, Place, Problem, Problems};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value as Json;

/// JSON Schema of a type as it is read, without what only generators need.
pub fn schema_of<T: JsonSchema>() -> Json {
    let schema = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.to_value()
}

/// A file error in words, without its path (the place names it).
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::InvalidData => "not valid UTF-8".to_owned(),
        kind => kind.to_string(),
    }
}
