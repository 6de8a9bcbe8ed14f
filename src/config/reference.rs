//! The configuration reference as Markdown, generated from the schema: the doc comments of the
//! sections' fields.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::diagnose::check::{alternatives, resolve_ref, tag_of};

/// `docs/configuration.md`.
pub fn markdown() -> String {
    let root = super::schema();
    let mut page = String::from(INTRODUCTION);
    let sections = root["properties"]
        .as_object()
        .expect("the root is an object");
    for (name, section) in sections {
        let options = alternatives(root, section);
        let named = options.iter().filter_map(|option| {
            let of = option.get("additionalProperties")?;
            of.is_object().then(|| alternatives(root, of))
        });
        for option in named.flatten() {
            let _ = write!(page, "\n## [{name}.NAME]\n\n");
            let _ = writeln!(page, "{}\n", description(root, option).unwrap_or_default());
            keys(&mut page, root, option, "");
        }
        for option in &options {
            if option.get("properties").is_none() {
                continue;
            }
            match tag_of(option) {
                Some(tag) => write!(page, "\n## [{name}] `type = \"{tag}\"`\n\n"),
                None => write!(page, "\n## [{name}]\n\n"),
            }
            .expect("a string takes all");
            let about = description(root, option).or_else(|| description(root, section));
            let _ = writeln!(page, "{}\n", about.unwrap_or_default());
            keys(&mut page, root, option, "");
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

Generated from the code with `weir schema docs`; do not edit.

A configuration is one TOML file. Values come, in rising order of precedence, from the defaults, the
file, environment variables `WEIR_SECTION__KEY` (`WEIR_SOURCE__URL`), and flags
`--set section.key=value`. If a key takes a string, write the value of a variable or flag without
quotes; write other values as in TOML (`8`, `true`, `[\"a\", \"b\"]`). weir does not start with a
malformed override. It ignores variables without a double underscore.

A relative path in the file is relative to the folder of the file; in a variable or flag, to the
folder in which weir runs. Never write a secret in the file: weir refuses a key such as
`aws_secret_access_key`. `aws_secret_access_key_file` and `aws_secret_access_key_env` name the file or
variable that holds it. Editors check the file against `schemas/config.json` (first line:
`#:schema schemas/config.json`).

`weir check --config FILE` checks everything and opens nothing for writing. `--explain` prints each
value with its origin.
";

fn keys(page: &mut String, root: &Json, object: &Json, prefix: &str) {
    let required: Vec<&str> = object["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    for (key, property) in object["properties"].as_object().into_iter().flatten() {
        if key == "type" {
            continue;
        }
        // A value that is its table's only key (`tenant = { value = … }`) is told by the table.
        let about = description(root, property)
            .or_else(|| description(root, object))
            .unwrap_or_default();
        let alone = object["properties"]
            .as_object()
            .is_some_and(|keys| keys.len() == 1);
        let default = match property.get("default") {
            Some(default) if !default.is_null() && !default.is_object() => {
                format!(", default `{default}`")
            }
            _ if required.contains(&key.as_str()) && !alone => ", required".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(
            page,
            "- `{prefix}{key}` ({}{default}): {about}",
            type_of(root, property)
        );
        let options = alternatives(root, property);
        for option in &options {
            if option.get("properties").is_some() {
                keys(page, root, option, &format!("{prefix}{key}."));
            }
            if let (Some(word), Some(about)) =
                (option["const"].as_str(), option["description"].as_str())
            {
                let _ = writeln!(page, "  - `\"{word}\"`: {}", one_line(about));
            }
        }
    }
}

fn description(root: &Json, schema: &Json) -> Option<String> {
    let text = schema
        .get("description")
        .or_else(|| resolve_ref(root, schema).get("description"))?;
    text.as_str().map(one_line)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn type_of(root: &Json, property: &Json) -> String {
    let mut words: Vec<String> = Vec::new();
    for option in alternatives(root, property) {
        let kinds: Vec<&str> = match option.get("type") {
            Some(Json::String(kind)) => vec![kind],
            Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect(),
            _ => vec!["string"],
        };
        for kind in kinds {
            let word = match kind {
                "null" => continue,
                "array" => "list",
                "object" => "table",
                "boolean" => "true or false",
                other => other,
            };
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
    }
    words.join(" or ")
}
