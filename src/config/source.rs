//! `[source]`: where documents come from.

use std::{collections::BTreeMap, num::NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where documents come from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Source")]
pub enum Section {
    /// Local files, S3, GCS or Azure. A job ends when every object is done; with `poll_secs` a
    /// worker goes on with what arrives later.
    ObjectStore {
        /// Folder or prefix that holds the input: a path, or `file://`, `s3://`, `gs://`,
        /// `az://`, `abfss://`. A relative path in the file is relative to the file's folder.
        #[schemars(length(min = 1))]
        url: String,
        /// Patterns of the objects to read, relative to `url`; `**` crosses folders.
        #[serde(default = "everything")]
        #[schemars(length(min = 1))]
        include: Vec<String>,
        /// Patterns of objects to leave out; they win over `include`.
        #[serde(default)]
        exclude: Vec<String>,
        /// Options of the store, by the names of the object_store library: `aws_region`,
        /// `aws_endpoint`, `allow_http`. Credentials come from the cloud's own variables, or from
        /// `NAME_file` and `NAME_env`; a secret in this file is refused.
        #[serde(default)]
        options: BTreeMap<String, String>,
        /// Where the tenant of a document is named. Unset: the key `tenant` of a JSON document,
        /// `columns.tenant` of a table, else the default tenant.
        #[serde(default)]
        tenant: Option<Tenant>,
        /// Columns of Parquet and Arrow files.
        #[serde(default)]
        columns: Option<Columns>,
        /// Format of every object. Unset: by extension (`.txt`, `.log`, `.jsonl`, `.parquet`,
        /// `.arrow`, each also with `.gz` or `.zst`).
        #[serde(default)]
        format: Option<Format>,
        /// Key of a JSON document that holds its id; a JSON Pointer if it begins with `/`. A
        /// document without it gets an id made of its position.
        #[serde(default = "id")]
        #[schemars(length(min = 1))]
        id: String,
        /// Seconds between looks for new and changed objects. Unset: the job ends when every object
        /// is done. Objects must arrive whole: uploaded, or renamed into place.
        #[serde(default)]
        poll_secs: Option<NonZeroU64>,
    },
    /// Standard input: one document a line. Ends with the input.
    Stdin {
        /// Whether a line is text or a JSON document. Unset: JSON if the first line begins with
        /// `{`, else text.
        #[serde(default)]
        format: Option<LineFormat>,
        /// Where the tenant of a document is named; `value` or `field`. Unset: the key `tenant`
        /// of a JSON document, else the default tenant.
        #[serde(default)]
        tenant: Option<Tenant>,
        /// Key of a JSON document that holds its id; a JSON Pointer if it begins with `/`.
        #[serde(default = "id")]
        #[schemars(length(min = 1))]
        id: String,
    },
}

/// Where the tenant of a document is named: exactly one of these.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tenant {
    /// The same tenant for every document.
    Value(#[schemars(length(min = 1))] String),
    /// A key of a JSON document; a JSON Pointer if it begins with `/`.
    Field(#[schemars(length(min = 1))] String),
    /// A column of a table.
    Column(#[schemars(length(min = 1))] String),
    /// A pattern of the object's path in which `{tenant}` stands for one folder or file name:
    /// `raw/{tenant}/**`.
    Path(#[schemars(length(min = 1))] String),
}

/// Columns of Parquet and Arrow files. All other columns pass through untouched.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Columns that hold text to redact.
    #[schemars(length(min = 1))]
    pub text: Vec<String>,
    /// Column that holds the id of the row. Unset: the id is made of object and row.
    #[serde(default)]
    pub id: Option<String>,
    /// Column that names the tenant of the row; the same as `tenant = { column = … }`.
    #[serde(default)]
    pub tenant: Option<String>,
}

/// Format of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The whole file is one document.
    Text,
    /// Each line is a document of plain text.
    Log,
    /// Each line is a JSON object.
    Jsonl,
    /// An Apache Parquet table.
    Parquet,
    /// An Arrow IPC file or stream.
    Arrow,
}

/// Format of the lines of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// Each line is a document of plain text.
    Log,
    /// Each line is a JSON object.
    Jsonl,
}

fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}

fn id() -> String {
    "id".to_owned() // the key of design 7's document record
}
