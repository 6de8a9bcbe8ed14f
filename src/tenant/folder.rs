//! A folder of tenant files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Policy, Tenants,
    resolve::{LATER, parse},
    schema,
};
use crate::diagnose::{
    Kind, Place, Problems,
    check::{self, nearest},
    document, reason,
};

impl Tenants {
    /// Reads every `NAME.toml` of a folder; `default` names the tenant of documents that name
    /// none. Reports what is wrong in all of them.
    pub fn load(dir: &Path, default: Option<&str>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut hash = blake3::Hasher::new();
        let mut policies = BTreeMap::new();
        for path in files(dir)? {
            match read(&path, &mut hash) {
                Ok(policy) => {
                    policies.insert(policy.tenant.to_string(), Arc::new(policy));
                }
                Err(found) => problems.0.extend(found.0),
            }
        }
        problems.into_result()?;
        let default = match default {
            None => None,
            Some(name) => match policies.get(name) {
                Some(policy) => Some(policy.clone()),
                None => {
                    let known: Vec<&str> = policies.keys().map(String::as_str).collect();
                    let kind = Kind::Invalid(format!(
                        "the file of the default tenant \"{name}\" is missing"
                    ));
                    let fix = match nearest(name, &known) {
                        Some(near) => format!("tenants.default = \"{near}\""),
                        None => format!("add {}", dir.join(format!("{name}.toml")).display()),
                    };
                    return Err(Problems::one(kind, top(dir), fix));
                }
            },
        };
        Ok(Self {
            policies: Arc::new(policies),
            default,
            fingerprint: *hash.finalize().as_bytes(),
        })
    }

    /// One policy for documents of every origin that name no tenant: `weir redact`.
    pub fn single(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        Self {
            policies: Arc::new(BTreeMap::from([(
                policy.tenant.to_string(),
                policy.clone(),
            )])),
            default: Some(policy),
            fingerprint: [0; 32],
        }
    }
}

impl Policy {
    /// Reads one tenant file; its stem is the tenant's name.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        read(path, &mut blake3::Hasher::new())
    }

    /// Checks a tenant's text. Files that it names are relative to the folder of `path`.
    pub fn parse(tenant: &str, path: &Path, text: &str) -> Result<Self, Problems> {
        parse(tenant, path, text, 1, &mut blake3::Hasher::new())
    }
}

/// Checks the form of a tenant's text, without the files and variables that it names: for
/// fences inside Markdown pages.
pub fn check_text(file: &str, text: &str, first_line: usize) -> Result<(), Problems> {
    let document = document::parse(file, text, first_line)?;
    let mut problems = Problems::default();
    check::check(&document, schema(), LATER, &mut problems);
    problems.into_result()
}

/// Where a key of a tenant file stands; its top if it can't be read any more.
pub fn place(path: &Path, key: &str) -> Place {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match document::parse(&path.display().to_string(), &text, 1) {
        Ok(document) => document.place(key),
        Err(_) => top(path),
    }
}

fn top(path: &Path) -> Place {
    Place::File {
        file: path.display().to_string().into(),
        line: 1,
        column: 1,
    }
}

/// Tenant files of a folder, by name. Names that begin with a dot are left out: editors' and
/// Kubernetes' own (`..data`).
fn files(dir: &Path) -> Result<Vec<PathBuf>, Problems> {
    let unreadable = |error: std::io::Error| {
        let kind = Kind::Unreadable {
            what: "the folder of tenant files".to_owned(),
            reason: reason(&error),
        };
        Problems::one(
            kind,
            top(dir),
            "set tenants.dir to a folder with one NAME.toml per tenant",
        )
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    if files.is_empty() {
        let kind = Kind::Invalid("the folder contains no tenant file".to_owned());
        return Err(Problems::one(
            kind,
            top(dir),
            "add NAME.toml, or create one with `weir init`",
        ));
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path, hash: &mut blake3::Hasher) -> Result<Policy, Problems> {
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("");
    let sound = !name.is_empty()
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !sound {
        let kind = Kind::Invalid("the file's name is not a tenant's name".to_owned());
        return Err(Problems::one(
            kind,
            top(path),
            "letters, digits, `-`, `_` and `.`, at most 128",
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        let kind = Kind::Unreadable {
            what: "the tenant file".to_owned(),
            reason: reason(&error),
        };
        Problems::one(kind, top(path), "make it readable UTF-8, or remove it")
    })?;
    crate::digest::part(hash, name);
    crate::digest::part(hash, &text);
    parse(name, path, &text, 1, hash)
}
