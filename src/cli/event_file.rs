//! Events of people who read values back or destroy keys: on disk before anything else happens.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::exit::{Exit, Failure};

/// What people say of themselves and of why: empty texts are refused.
pub fn said(flags: [(&str, Option<&String>); 2]) -> Result<(), Failure> {
    for (flag, text) in flags {
        if text.is_some_and(|text| text.trim().is_empty()) {
            return Err(Failure::new(Exit::Usage, anyhow!("{flag} is empty")));
        }
    }
    Ok(())
}

/// What the environment says of the person at the terminal: a hint, and no proof.
pub fn login() -> String {
    ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Appends the events, and returns when they are on disk. `undone` says what did not happen if that fails.
pub fn record<E: Serialize>(path: &Path, events: &[E], undone: &str) -> Result<(), Failure> {
    append(path, events)
        .with_context(|| format!("can't write the event to {}", path.display()))
        .map_err(|error| {
            let hint = format!("name a file that weir can append to; {undone}");
            Failure::new(Exit::Io, error).hint(hint)
        })
}

fn append<E: Serialize>(path: &Path, events: &[E]) -> io::Result<()> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)?;
        lines.push(b'\n');
    }
    let created = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One write: events of two programs at a time do not mix.
    file.write_all(&lines)?;
    file.sync_all()?;
    if created {
        // A new name in a folder is on disk once the folder is.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
