//! Which room may import which: the column "does not know" of ARCHITECTURE.md, as a table that is tested.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Rooms from the bottom up. Each may import those beside it, and itself; a room without others stands alone.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("record", &["text"]),
    ("telemetry", &["config", "record"]),
    ("batch", &["telemetry"]),
    ("model", &["batch", "telemetry", "text"]),
    ("decode", &["text"]),
    ("redact", &["decode", "text"]),
    ("store", &[]),
    ("kafka", &["record"]),
    ("source", &["kafka", "record", "store", "telemetry"]),
    (
        "sink",
        &["decode", "kafka", "record", "source", "store", "telemetry"],
    ),
    ("audit", &["kafka", "record", "source", "store"]),
    ("diagnose", &[]),
    (
        "config",
        &[
            "audit", "diagnose", "kafka", "model", "record", "source", "store",
        ],
    ),
    (
        "tenant",
        &[
            "config",
            "decode",
            "diagnose",
            "record",
            "redact",
            "store",
            "telemetry",
        ],
    ),
    (
        "pipeline",
        &[
            "audit",
            "batch",
            "decode",
            "kafka",
            "model",
            "record",
            "redact",
            "sink",
            "source",
            "store",
            "telemetry",
            "tenant",
            "text",
        ],
    ),
    ("measure", &["model", "text"]),
    (
        "assemble",
        &[
            "audit",
            "batch",
            "config",
            "diagnose",
            "kafka",
            "model",
            "pipeline",
            "record",
            "sink",
            "source",
            "store",
            "telemetry",
            "tenant",
        ],
    ),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Rooms that the code of a file names: `crate::ROOM`, and the first names of `use crate::{…}`.
fn imported(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code
        .lines()
        .map(|line| line.split("//").next().unwrap().to_owned() + "\n")
        .collect();
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let mut depth = 0;
        let mut word = String::new();
        // Of a path in braces only the first name is a room.
        let mut is_behind = false;
        for sign in rest.chars() {
            match sign {
                'a'..='z' | '_' if depth == usize::from(rest.starts_with('{')) && !is_behind => {
                    word.push(sign);
                }
                '{' => depth += 1,
                _ => {
                    rooms.insert(std::mem::take(&mut word));
                    is_behind = match sign {
                        ':' => true,
                        ',' => false,
                        _ => is_behind,
                    };
                    depth -= usize::from(sign == '}');
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
        rooms.insert(word);
    }
    rooms
}

#[test]
fn rooms_import_what_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for file in all {
        let inside = file.strip_prefix(&src).unwrap();
        let room = inside
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        let is_test = inside
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().starts_with("tests"));
        let Some(may) = allowed.get(room).filter(|_| !is_test) else {
            continue;
        };
        for other in imported(&fs::read_to_string(&file).unwrap()) {
            let is_room = allowed.contains_key(&*other) || other == "cli";
            if is_room && other != room && !may.contains(&&*other) {
                wrong.push(format!("{} imports {other}", inside.display()));
            }
            seen.insert((room.to_owned(), other));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (room, may) in MAY_IMPORT {
        for other in *may {
            let used = seen.contains(&((*room).to_owned(), (*other).to_owned()));
            assert!(
                used,
                "{room} imports no {other} any more: take it from the table"
            );
        }
    }
}

#[test]
fn imports_are_seen() {
    let code = "use crate::{\n    batch::{self, source::X},\n    record::audit::Y,\n    VERSION,\n    sink,\n};\nfn f() { crate::tenant::x(); }\n// crate::cli\n";
    let expected = ["batch", "record", "sink", "tenant"].map(str::to_owned);
    let mut found = imported(code);
    found.remove("");
    assert_eq!(found, expected.into());
}
