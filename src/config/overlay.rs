//! Values from the environment and from `--set`, laid over those of the file.

use std::ffi::OsString;

use serde_json::Value as Json;

use crate::diagnose::{
    Kind, Place, Problems,
    check::{alternatives, property, takes},
    document::{Node, Value, parse_value},
};

const PREFIX: &str = "WEIR_";

/// Lays `WEIR_SECTION__KEY` variables over the document. Variables without a double underscore
/// are not configuration: Kubernetes sets `WEIR_PORT` and `WEIR_SERVICE_HOST` for a Service that
/// is named weir.
pub fn environment(
    document: &mut Node,
    schema: &Json,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Problems,
) {
    let mut variables: Vec<(OsString, OsString)> = variables.into_iter().collect();
    variables.sort();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !path.contains("__") {
            continue;
        }
        let at = Place::Environment(name.into());
        let Some(value) = value.to_str() else {
            let kind = Kind::Override("the value is not valid UTF-8".to_owned());
            problems.push(kind, &at, "set it to text, or unset it");
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        lay(document, schema, &path, value, &at, problems);
    }
}

/// Lays `section.key=value` flags over the document.
pub fn flags(document: &mut Node, schema: &Json, flags: &[String], problems: &mut Problems) {
    for flag in flags {
        let Some((path, value)) = flag.split_once('=') else {
            // Not printed: what was meant as a value may be a secret.
            let kind = Kind::Override("`--set` needs `=`".to_owned());
            let at = Place::Flag("…".into());
            problems.push(kind, &at, "--set section.key=value");
            continue;
        };
        let at = Place::Flag(path.trim().into());
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        lay(document, schema, &path, value, &at, problems);
    }
}

fn lay(
    document: &mut Node,
    schema: &Json,
    path: &[String],
    text: &str,
    at: &Place,
    problems: &mut Problems,
) {
    if path.len() < 2 || path.iter().any(String::is_empty) {
        let kind = Kind::Override("the name has an empty or missing part".to_owned());
        problems.push(
            kind,
            at,
            "WEIR_SECTION__KEY=value or --set section.key=value",
        );
        return;
    }
    let value = typed(schema, path, text, at);
    if !document.set(path, value, at) {
        let kind = Kind::Override(format!(
            "`{}` is not a table",
            path[..path.len() - 1].join(".")
        ));
        problems.push(kind, at, "set the whole value instead");
    }
}

/// The text as a string where the schema takes one, else as TOML: `8`, `true`, `["a", "b"]`. A
/// string may stand in quotes, as it does in the file.
fn typed(schema: &Json, path: &[String], text: &str, at: &Place) -> Node {
    let mut at_path = vec![schema];
    for key in path {
        at_path = at_path
            .iter()
            .flat_map(|of| alternatives(schema, of))
            .filter_map(|of| {
                property(of, key)
                    .or_else(|| of.get("additionalProperties").filter(|s| s.is_object()))
            })
            .collect();
    }
    let takes_string = at_path
        .iter()
        .flat_map(|of| alternatives(schema, of))
        .any(|of| takes(of, "string"));
    let string = Node {
        value: Value::String(text.to_owned()),
        at: at.clone(),
    };
    if takes_string || at_path.is_empty() {
        let quoted = text.trim_start().starts_with(['"', '\'']);
        let written = parse_value(text, at).filter(|node| quoted && is_string(node));
        return written.unwrap_or(string);
    }
    // What is not TOML stays a string and fails the check with the type that was expected.
    parse_value(text, at).unwrap_or(string)
}

fn is_string(node: &Node) -> bool {
    matches!(node.value, Value::String(_))
}
