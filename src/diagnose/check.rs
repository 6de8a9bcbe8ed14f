//! Checks a document against the JSON Schema of the type it will be read into, so that the doc
//! comments and types of the fields are reference, schema and check in one. All problems of a
//! file are found at once; serde would stop at the first and print values.

use serde_json::{Map, Value as Json};

use super::{
    Kind, Place, Problems,
    document::{Entry, Node, Value},
};

/// What the schema can't say about one kind of file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Keys and values of later versions: (path of the table or key, key or value).
    pub later: &'static [(&'static str, &'static str)],
    /// What other programs call a key, and what it is called here.
    pub elsewhere: &'static [(&'static str, &'static str)],
}

/// Adds everything that is wrong with `root` to `problems`.
pub fn check(root: &Node, schema: &Json, rules: Rules, problems: &mut Problems) {
    let mut checker = Checker {
        root: schema,
        rules,
        problems,
    };
    checker.node(root, schema, &mut Vec::new());
}

/// A schema with `$ref`s followed.
pub fn resolve_ref<'s>(root: &'s Json, mut schema: &'s Json) -> &'s Json {
    while let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        schema = root
            .pointer(reference.trim_start_matches('#'))
            .expect("schemars defines what it refers to");
    }
    schema
}

/// The alternatives of a schema without `null`, or the schema itself.
pub fn alternatives<'s>(root: &'s Json, schema: &'s Json) -> Vec<&'s Json> {
    let schema = resolve_ref(root, schema);
    let nested = schema
        .get("anyOf")
        .or_else(|| schema.get("oneOf"))
        .and_then(Json::as_array);
    let Some(nested) = nested else {
        return vec![schema];
    };
    nested
        .iter()
        .flat_map(|schema| alternatives(root, schema))
        .filter(|schema| schema.get("type").and_then(Json::as_str) != Some("null"))
        .collect()
}

/// Whether a schema takes this JSON type.
pub fn takes(schema: &Json, kind: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(s)) => s == kind || (s == "number" && kind == "integer"),
        Some(Json::Array(kinds)) => kinds.iter().any(|k| k == kind),
        _ => match (schema.get("const"), schema.get("enum")) {
            (Some(value), _) => value.is_string() && kind == "string",
            (_, Some(_)) => kind == "string",
            _ => true,
        },
    }
}

/// The alternative of a table that its `type` key, or its keys, choose.
pub fn variant<'s>(alternatives: &[&'s Json], entries: &[Entry]) -> Option<&'s Json> {
    let objects: Vec<&&Json> = alternatives
        .iter()
        .filter(|schema| takes(schema, "object"))
        .collect();
    if let [only] = objects[..] {
        return Some(only);
    }
    let tag = entries
        .iter()
        .find(|entry| entry.key == "type")
        .and_then(|entry| entry.node.as_str());
    objects
        .into_iter()
        .find(|schema| match tag_of(schema) {
            Some(known) => Some(known) == tag,
            None => matches!(entries, [entry] if property(schema, &entry.key).is_some()),
        })
        .copied()
}

/// The `type` that chooses this alternative.
pub fn tag_of(schema: &Json) -> Option<&str> {
    schema.pointer("/properties/type/const")?.as_str()
}

/// The schema of a key.
pub fn property<'s>(schema: &'s Json, key: &str) -> Option<&'s Json> {
    schema.get("properties")?.get(key)
}

/// Whether a value under this name would be a secret: `password`, `aws_secret_access_key`.
/// Names of files and variables (`password_file`) and ids (`aws_access_key_id`) are not.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let name = name.strip_suffix("_base64").unwrap_or(&name);
    if ["_file", "_env", "_id", "_path"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return false;
    }
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "key",
        "token",
        "credential",
        "credentials",
    ]
    .iter()
    .any(|word| {
        name == *word
            || name
                .strip_suffix(word)
                .is_some_and(|rest| rest.ends_with('_'))
    }) || name.contains("secret")
        || name.contains("password")
}

struct Checker<'a> {
    root: &'a Json,
    rules: Rules,
    problems: &'a mut Problems,
}

impl<'a> Checker<'a> {
    fn node(&mut self, node: &Node, schema: &'a Json, path: &mut Vec<String>) {
        let options = alternatives(self.root, schema);
        match &node.value {
            Value::Table(entries) => self.table(node, entries, &options, path),
            Value::Array(items) => {
                let Some(schema) = options.iter().find(|schema| takes(schema, "array")) else {
                    return self.wrong_type(node, &options, path);
                };
                if items.is_empty() && schema.get("minItems").is_some() {
                    let key = name(path);
                    self.problems.push(
                        Kind::Empty { key },
                        &node.at,
                        "name at least one, or leave it out",
                    );
                }
                let Some(of) = schema.get("items") else {
                    return;
                };
                for (i, item) in items.iter().enumerate() {
                    path.push(i.to_string());
                    self.node(item, of, path);
                    path.pop();
                }
            }
            Value::String(s) => self.string(node, s, &options, path),
            Value::Integer(i) => {
                self.number(node, *i as f64, i.to_string(), "integer", &options, path)
            }
            Value::Float(x) => self.number(node, *x, x.to_string(), "number", &options, path),
            Value::Boolean(_) if options.iter().any(|schema| takes(schema, "boolean")) => {}
            Value::Boolean(_) | Value::Datetime(_) => self.wrong_type(node, &options, path),
        }
    }

    fn table(
        &mut self,
        node: &Node,
        entries: &[Entry],
        options: &[&'a Json],
        path: &mut Vec<String>,
    ) {
        if !options.iter().any(|schema| takes(schema, "object")) {
            return self.wrong_type(node, options, path);
        }
        let Some(schema) = variant(options, entries) else {
            return self.no_variant(node, entries, options, path);
        };
        let place = match tag_of(schema) {
            Some(tag) => format!("{} of type \"{tag}\"", section(path)),
            None => section(path),
        };
        let known: Vec<&str> = schema
            .get("properties")
            .and_then(Json::as_object)
            .map(Map::keys)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        for entry in entries {
            path.push(entry.key.clone());
            if let Some(of) = property(schema, &entry.key) {
                self.node(&entry.node, of, path);
            } else if self.is_later(path, &entry.key) {
                let kind = Kind::NotYet(format!("`{}`", entry.key));
                self.problems.push(kind, &entry.at, one_of(&known));
            } else if self.is_secret(entry, &known) {
                let key = &entry.key;
                let takes_any = schema
                    .get("additionalProperties")
                    .is_some_and(Json::is_object);
                let file_or_env = [format!("{key}_file"), format!("{key}_env")];
                let fix = if takes_any
                    || file_or_env
                        .iter()
                        .any(|name| known.contains(&name.as_str()))
                {
                    file_or_env.join(" or ")
                } else if known.contains(&"file") && known.contains(&"env") {
                    "`file` or `env`".to_owned()
                } else if known.contains(&"options") {
                    "the cloud's own variables, or NAME_file and NAME_env in `options`".to_owned()
                } else {
                    "remove it".to_owned()
                };
                self.problems
                    .push(Kind::SecretInFile(key.clone()), &entry.at, fix);
            } else if let Some(of) = schema.get("additionalProperties").filter(|s| s.is_object()) {
                self.node(&entry.node, of, path);
            } else {
                self.unknown_key(entry, &known, &place, path.len() == 1);
            }
            path.pop();
        }
        self.missing(node, entries, schema, &place, path);
    }

    /// A secret, and not a known key with a letter too few (`max_token`). In a variable it is in
    /// its place.
    fn is_secret(&self, entry: &Entry, known: &[&str]) -> bool {
        let is_typo = known
            .iter()
            .any(|known| strsim::damerau_levenshtein(&entry.key, known) <= 2);
        let in_variable = matches!(entry.at, Place::Environment(_));
        is_secret_name(&entry.key) && !is_typo && !in_variable
    }

    fn unknown_key(&mut self, entry: &Entry, known: &[&str], place: &str, at_root: bool) {
        let key = entry.key.clone();
        let renamed = self
            .rules
            .elsewhere
            .iter()
            .find_map(|(other, ours)| (*other == key && known.contains(ours)).then_some(*ours));
        let nearest = renamed.or_else(|| nearest(&key, known));
        let is_section = at_root && entry.node.entries().is_some();
        let kind = if is_section {
            Kind::UnknownSection(key)
        } else {
            let place = place.to_owned();
            Kind::UnknownKey { key, place }
        };
        let fix = match nearest {
            Some(nearest) if is_section => format!("[{nearest}]"),
            Some(nearest) => format!("`{nearest}`"),
            None => one_of(known),
        };
        self.problems.push(kind, &entry.at, fix);
    }

    fn missing(
        &mut self,
        node: &Node,
        entries: &[Entry],
        schema: &Json,
        place: &str,
        path: &[String],
    ) {
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if entries.iter().any(|entry| entry.key == key) {
                continue;
            }
            let of = property(schema, key).expect("schemars requires only its own properties");
            let about = first_sentence(of, self.root);
            let takes_table = alternatives(self.root, of)
                .iter()
                .any(|schema| takes(schema, "object"));
            if path.is_empty() && takes_table {
                let fix = format!("add [{key}]: {about}");
                self.problems
                    .push(Kind::MissingSection(key.to_owned()), &node.at, fix);
            } else {
                let kind = Kind::MissingKey {
                    key: key.to_owned(),
                    place: place.to_owned(),
                };
                self.problems
                    .push(kind, &node.at, format!("add `{key}`: {about}"));
            }
        }
    }

    /// A table that fits none of several shapes: its `type` is missing or unknown, or it holds
    /// not exactly one of the keys that choose.
    fn no_variant(
        &mut self,
        node: &Node,
        entries: &[Entry],
        options: &[&Json],
        path: &mut Vec<String>,
    ) {
        let tags: Vec<&str> = options.iter().filter_map(|schema| tag_of(schema)).collect();
        if tags.is_empty() {
            return self.not_one_key(node, entries, options, path);
        }
        let Some(entry) = entries.iter().find(|entry| entry.key == "type") else {
            let kind = Kind::MissingKey {
                key: "type".to_owned(),
                place: section(path),
            };
            let fix = format!("add `type`: {}", quoted(&tags));
            return self.problems.push(kind, &node.at, fix);
        };
        let Some(found) = entry.node.as_str() else {
            let kind = Kind::WrongType {
                key: "type".to_owned(),
                expected: "a string".to_owned(),
                found: entry.node.kind(),
            };
            return self.problems.push(kind, &entry.node.at, quoted(&tags));
        };
        path.push("type".to_owned());
        let later = self.is_later(path, found);
        path.pop();
        if later {
            let kind = Kind::NotYet(format!("type \"{found}\"{}", section(path)));
            return self.problems.push(kind, &entry.node.at, quoted(&tags));
        }
        self.unknown_value("type", found, &tags, &entry.node.at);
    }

    fn not_one_key(
        &mut self,
        node: &Node,
        entries: &[Entry],
        options: &[&Json],
        path: &mut Vec<String>,
    ) {
        let keys: Vec<&str> = options
            .iter()
            .filter_map(|schema| schema.get("properties")?.as_object())
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        let mut told = false;
        for entry in entries {
            path.push(entry.key.clone());
            if self.is_later(path, &entry.key) {
                let kind = Kind::NotYet(format!(
                    "`{}`{}",
                    entry.key,
                    section(&path[..path.len() - 1])
                ));
                self.problems.push(kind, &entry.at, one_of(&keys));
                told = true;
            } else if !keys.contains(&entry.key.as_str()) {
                let place = section(&path[..path.len() - 1]);
                self.unknown_key(entry, &keys, &place, false);
                told = true;
            }
            path.pop();
        }
        if !told {
            let kind = Kind::OneOf {
                key: format!("`{}`", name(path)),
                of: one_of(&keys),
            };
            self.problems.push(kind, &node.at, "keep one of them");
        }
    }

    fn string(&mut self, node: &Node, found: &str, options: &[&Json], path: &[String]) {
        let of_string: Vec<&&Json> = options
            .iter()
            .filter(|schema| takes(schema, "string"))
            .collect();
        if of_string.is_empty() {
            return self.wrong_type(node, options, path);
        }
        let words: Vec<&str> = of_string
            .iter()
            .flat_map(|schema| {
                let listed = schema.get("enum").and_then(Json::as_array);
                listed.into_iter().flatten().chain(schema.get("const"))
            })
            .filter_map(Json::as_str)
            .collect();
        if !words.is_empty() && !words.contains(&found) {
            return self.unknown_value(&name(path), found, &words, &node.at);
        }
        let least = of_string
            .iter()
            .filter_map(|schema| schema.get("minLength")?.as_u64());
        if found.is_empty() && least.max().unwrap_or(0) > 0 {
            let key = name(path);
            self.problems.push(
                Kind::Empty { key },
                &node.at,
                "write a value, or leave the key out",
            );
        }
    }

    fn unknown_value(&mut self, key: &str, found: &str, words: &[&str], at: &Place) {
        // Words of a fixed set are short; anything else may be a value pasted into the wrong
        // place, and is not printed.
        let word = found.len() <= 24
            && found
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let kind = Kind::UnknownValue {
            key: key.to_owned(),
            found: if word {
                format!(": \"{found}\"")
            } else {
                String::new()
            },
        };
        let fix = match nearest(found, words) {
            Some(nearest) => format!("\"{nearest}\""),
            None => quoted(words),
        };
        self.problems.push(kind, at, fix);
    }

    fn number(
        &mut self,
        node: &Node,
        x: f64,
        text: String,
        kind: &str,
        options: &[&Json],
        path: &[String],
    ) {
        let Some(schema) = options.iter().find(|schema| takes(schema, kind)) else {
            return self.wrong_type(node, options, path);
        };
        let limit = |key: &str| schema.get(key).and_then(Json::as_f64);
        let least = limit("minimum")
            .filter(|min| x < *min)
            .or(limit("exclusiveMinimum").filter(|min| x <= *min));
        let most = limit("maximum").filter(|max| x > *max);
        let (relation, bound) = match (least, most) {
            (Some(min), _) => ("below", min),
            (_, Some(max)) => ("above", max),
            _ if x.is_nan() => ("not a number, below", 0.0),
            _ => return,
        };
        let default =
            default_of(schema, options).map_or(String::new(), |d| format!(" (default {d})"));
        let fix = match relation {
            "above" => format!("{bound} or less{default}"),
            _ => format!("{bound} or more{default}"),
        };
        let kind = Kind::OutOfRange {
            key: name(path),
            value: text,
            relation,
            limit: bound.to_string(),
        };
        self.problems.push(kind, &node.at, fix);
    }

    fn wrong_type(&mut self, node: &Node, options: &[&Json], path: &[String]) {
        let mut expected: Vec<&str> = Vec::new();
        for (kind, words) in [
            ("string", "a string"),
            ("integer", "an integer"),
            ("number", "a number"),
            ("boolean", "true or false"),
            ("array", "a list"),
            ("object", "a table"),
        ] {
            // `number` takes integers too: it is named once.
            let named_as_number =
                kind == "integer" && options.iter().any(|schema| takes(schema, "number"));
            if !named_as_number && options.iter().any(|schema| takes(schema, kind)) {
                expected.push(words);
            }
        }
        let expected = expected.join(" or ");
        let key = name(path);
        let last = path
            .iter()
            .rev()
            .find(|part| part.parse::<usize>().is_err())
            .cloned()
            .unwrap_or_default();
        let default = options.iter().find_map(|schema| schema.get("default"));
        let fix = match (default, expected.as_str()) {
            (Some(default), _) if !default.is_null() => {
                format!("`{last} = {default}` is the default")
            }
            (_, "a list") => format!("`{last} = [\"…\"]`"),
            (_, "a table") => format!("`{last} = {{ … }}`"),
            (_, "a string") => format!("`{last} = \"…\"`"),
            _ => format!("write {expected}"),
        };
        let kind = Kind::WrongType {
            key,
            expected,
            found: node.kind(),
        };
        self.problems.push(kind, &node.at, fix);
    }

    fn is_later(&self, path: &[String], word: &str) -> bool {
        let path: Vec<&str> = path
            .iter()
            .map(String::as_str)
            .filter(|part| part.parse::<usize>().is_err())
            .collect();
        let path = path.join(".");
        self.rules
            .later
            .iter()
            .any(|(at, later)| *at == path && *later == word)
    }
}

fn default_of<'s>(schema: &'s Json, options: &[&'s Json]) -> Option<&'s Json> {
    schema
        .get("default")
        .or_else(|| options.iter().find_map(|schema| schema.get("default")))
        .filter(|default| !default.is_null())
}

/// A path as the user would name it: `batch.max_tokens`, `labels.threshold`.
fn name(path: &[String]) -> String {
    let parts: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .filter(|part| part.parse::<usize>().is_err())
        .collect();
    parts.join(".")
}

/// Where a key stands: ` in [source]`, or nothing at the root.
fn section(path: &[String]) -> String {
    let in_list = path
        .last()
        .is_some_and(|part| part.parse::<usize>().is_ok());
    match (name(path), in_list) {
        (name, _) if name.is_empty() => String::new(),
        (name, true) => format!(" in [[{name}]]"),
        (name, false) => format!(" in [{name}]"),
    }
}

/// The known word that is nearest to `word`, if one is near enough to be meant.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|known| {
            let contained = word.len() >= 3 && (known.contains(&word) || word.contains(*known));
            let score = strsim::jaro_winkler(&word, known);
            (if contained { score.max(0.9) } else { score }, *known)
        })
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(" or ")
}

fn first_sentence(schema: &Json, root: &Json) -> String {
    let description = schema
        .get("description")
        .or_else(|| resolve_ref(root, schema).get("description"))
        .and_then(Json::as_str)
        .unwrap_or("see `weir schema`");
    let line = description
        .split("\n\n")
        .next()
        .unwrap_or(description)
        .replace('\n', " ");
    match line.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => line.trim_end_matches('.').to_owned(),
    }
}
