//! From tenant files to policies.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    Balance, Example, Label, LabelSet, Policy, Rule, Tenants,
    file::{
        Allow, AllowEntry, AllowTerm, Deny, DenyTable, File, KeyEntry, Keys, LabelEntry,
        LabelTable, OperatorEntry, OperatorName, OperatorTable, PatternEntry, PatternTable,
        TestEntry, denied, threshold,
    },
    rule::Objects,
    schema,
};
use crate::{
    config::{
        Kind, Place, Problems,
        check::{self, nearest},
        document::{self, Node},
        reason,
    },
    decode::patterns::{self, Patterns},
    redact::{Key, Operator, Redactor},
};

/// Keys and values that later versions know.
const LATER: check::Rules = check::Rules {
    later: &[("rules.match.topic", "topic")],
    elsewhere: &[],
};

/// Least bytes of a key: 128 bits (design 6).
const MIN_KEY_BYTES: usize = 16;

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
                    let kind = Kind::Invalid(format!("the default tenant \"{name}\" has no file"));
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
            "set tenants.dir to a folder with one NAME.toml a tenant",
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
        let kind = Kind::Invalid("the folder holds no tenant file".to_owned());
        return Err(Problems::one(
            kind,
            top(dir),
            "add NAME.toml, or make one with `weir init`",
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
    hash_part(hash, name.as_bytes());
    hash_part(hash, text.as_bytes());
    parse(name, path, &text, 1, hash)
}

fn hash_part(hash: &mut blake3::Hasher, part: &[u8]) {
    hash.update(&(part.len() as u64).to_le_bytes());
    hash.update(part);
}

fn parse(
    tenant: &str,
    path: &Path,
    text: &str,
    first_line: usize,
    hash: &mut blake3::Hasher,
) -> Result<Policy, Problems> {
    let document = document::parse(&path.display().to_string(), text, first_line)?;
    let mut problems = Problems::default();
    check::check(&document, schema(), LATER, &mut problems);
    problems.into_result()?;
    let file: File = document.read()?;
    let mut resolver = Resolver {
        document: &document,
        folder: path.parent().unwrap_or(Path::new("")),
        problems: Problems::default(),
        keys: BTreeMap::new(),
        keys_failed: false,
        hash,
    };
    let policy = resolver.policy(tenant, &file);
    resolver.problems.into_result()?;
    Ok(policy.expect("a part is missing only with a problem"))
}

struct Resolver<'a> {
    document: &'a Node,
    folder: &'a Path,
    problems: Problems,
    keys: BTreeMap<String, Key>,
    keys_failed: bool,
    hash: &'a mut blake3::Hasher,
}

impl Resolver<'_> {
    fn problem(&mut self, path: &str, kind: Kind, fix: impl Into<String>) {
        let at = self.document.place(path);
        self.problems.push(kind, &at, fix);
    }

    fn policy(&mut self, tenant: &str, file: &File) -> Option<Policy> {
        self.read_keys(file.keys.as_ref());
        self.keys_failed = !self.problems.0.is_empty();
        let default = match &file.operator {
            Some(entry) => self.operator("operator", entry),
            None => Some(Operator::Replace { placeholder: None }),
        };
        let mut operators: HashMap<Arc<str>, Operator> = HashMap::new();
        let labels = self.labels(&file.labels, &mut operators);
        let mut options = patterns::Options {
            phone_region: self.phone_region(file.phone_region.as_deref()),
            ..Default::default()
        };
        self.builtin(file, &labels, &mut options, &mut operators);
        self.regexes(file, &mut options, &mut operators);
        self.deny(file, &mut options, &mut operators);
        options.allow = self.allow(file);
        let rules = self.rules(file);
        self.asks_for_something(file);
        let patterns = self.build(&options);
        let balance = Balance {
            operating_point: file.operating_point.as_deref().map(Arc::from),
            recall_bias: file.recall_bias,
        };
        let labels = LabelSet {
            digest: label_digest(&labels, &balance),
            labels: labels.into(),
            balance,
        };
        let default = default?;
        let digest = policy_digest(tenant, file, &labels, &options, &operators, &default);
        Some(Policy {
            tenant: tenant.into(),
            labels,
            patterns: patterns?,
            redactor: Redactor {
                tenant: tenant.into(),
                operators: Arc::new(operators),
                default,
            },
            rules: rules.into(),
            emit_text: file.emit_text,
            digest,
            tests: self.tests(&file.tests),
        })
    }

    /// An empty file is a file that was cut short, more often than a tenant whose documents are
    /// to pass as they are: that one writes `labels = []`.
    fn asks_for_something(&mut self, file: &File) {
        let written = ["labels", "patterns", "regexes", "deny"]
            .iter()
            .any(|key| self.document.entry(key).is_some());
        if written || file.rules.iter().any(|rule| !rule.fields.whole.is_empty()) {
            return;
        }
        let kind = Kind::Invalid(
            "the tenant asks for nothing: every document would pass as it is".to_owned(),
        );
        self.problem(
            "",
            kind,
            "add `labels` or `patterns`; `labels = []` if it is meant",
        );
    }

    fn labels(
        &mut self,
        entries: &[LabelEntry],
        operators: &mut HashMap<Arc<str>, Operator>,
    ) -> Vec<Label> {
        let mut labels: Vec<Label> = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let path = format!("labels.{i}");
            let table = match entry {
                LabelEntry::Name(name) => LabelTable {
                    name: name.clone(),
                    description: None,
                    threshold: threshold(),
                    operator: None,
                },
                LabelEntry::Table(table) => table.clone(),
            };
            let name = table.name.trim();
            if name.is_empty() {
                let kind = Kind::Empty {
                    key: "labels.name".to_owned(),
                };
                self.problem(&path, kind, "name it in plain words");
                continue;
            }
            if labels
                .iter()
                .any(|label| label.name.to_lowercase() == name.to_lowercase())
            {
                let kind = Kind::Invalid(format!("the label \"{name}\" is there twice"));
                self.problem(&path, kind, "keep one of them");
                continue;
            }
            let name: Arc<str> = name.into();
            if let Some(entry) = &table.operator {
                self.give(&format!("{path}.operator"), entry, &name, operators);
            }
            labels.push(Label {
                wording: match table.description.as_deref().map(str::trim) {
                    Some(description) if !description.is_empty() => description.into(),
                    _ => name.clone(),
                },
                name,
                threshold: table.threshold,
            });
        }
        labels
    }

    /// Built-in recognisers: those of the file, and those that a label covers.
    fn builtin(
        &mut self,
        file: &File,
        labels: &[Label],
        options: &mut patterns::Options,
        operators: &mut HashMap<Arc<str>, Operator>,
    ) {
        let covering = |pattern: &str| {
            labels
                .iter()
                .find(|label| Patterns::for_label(&label.name) == Some(pattern))
                .map(|label| label.name.clone())
        };
        for (i, entry) in file.patterns.iter().enumerate() {
            let path = format!("patterns.{i}");
            let table = match entry {
                PatternEntry::Name(name) => PatternTable {
                    name: name.clone(),
                    label: None,
                    operator: None,
                },
                PatternEntry::Table(table) => table.clone(),
            };
            if options.builtin.iter().any(|(name, _)| *name == table.name) {
                let kind = Kind::Invalid(format!("the pattern \"{}\" is there twice", table.name));
                self.problem(&path, kind, "keep one of them");
                continue;
            }
            let label: Arc<str> = match &table.label {
                Some(label) => label.trim().into(),
                None => covering(&table.name).unwrap_or_else(|| default_label(&table.name)),
            };
            let alone = patterns::Options {
                builtin: vec![(table.name.clone(), label.clone())],
                ..Default::default()
            };
            if Patterns::build(alone).is_err() {
                let known = Patterns::names();
                let kind = Kind::Invalid(format!("there is no pattern \"{}\"", table.name));
                let fix = match nearest(&table.name, known) {
                    Some(near) => format!("\"{near}\""),
                    None => known.join(", "),
                };
                self.problem(&path, kind, fix);
                continue;
            }
            if let Some(entry) = &table.operator {
                self.give(&format!("{path}.operator"), entry, &label, operators);
            }
            options.builtin.push((table.name, label));
        }
        if !file.auto_patterns {
            return;
        }
        for label in labels {
            let Some(pattern) = Patterns::for_label(&label.name) else {
                continue;
            };
            if !options.builtin.iter().any(|(name, _)| name == pattern) {
                options
                    .builtin
                    .push((pattern.to_owned(), label.name.clone()));
            }
        }
    }

    fn regexes(
        &mut self,
        file: &File,
        options: &mut patterns::Options,
        operators: &mut HashMap<Arc<str>, Operator>,
    ) {
        for (i, entry) in file.regexes.iter().enumerate() {
            let path = format!("regexes.{i}");
            let label: Arc<str> = entry.label.as_deref().unwrap_or(&entry.name).trim().into();
            let custom = patterns::Custom {
                name: entry.name.clone(),
                label: label.clone(),
                regex: entry.regex.clone(),
            };
            if let Err(error) = regex::Regex::new(&entry.regex) {
                // The parser draws the expression; its last line says what is wrong with it.
                let message = error.to_string();
                let why = message
                    .lines()
                    .last()
                    .unwrap_or("")
                    .trim_start_matches("error: ");
                let kind = Kind::Invalid(format!("regexes.regex of \"{}\": {why}", entry.name));
                self.problem(
                    &format!("{path}.regex"),
                    kind,
                    "an expression of the regex crate, without look-around",
                );
                continue;
            }
            if options.custom.iter().any(|known| known.name == entry.name) {
                let kind = Kind::Invalid(format!("the regex \"{}\" is there twice", entry.name));
                self.problem(&format!("{path}.name"), kind, "give each a name of its own");
                continue;
            }
            let alone = patterns::Options {
                custom: vec![custom.clone()],
                ..Default::default()
            };
            if let Err(error) = Patterns::build(alone) {
                let kind = Kind::Invalid(error.to_string());
                self.problem(&path, kind, "change it");
                continue;
            }
            if let Some(entry) = &entry.operator {
                self.give(&format!("{path}.operator"), entry, &label, operators);
            }
            options.custom.push(custom);
        }
    }

    fn deny(
        &mut self,
        file: &File,
        options: &mut patterns::Options,
        operators: &mut HashMap<Arc<str>, Operator>,
    ) {
        let table = match &file.deny {
            None => return,
            Some(Deny::Terms(terms)) => DenyTable {
                file: None,
                terms: terms.clone(),
                label: denied(),
                operator: None,
            },
            Some(Deny::Table(table)) => table.clone(),
        };
        let mut terms = table.terms;
        if let Some(file) = &table.file {
            terms.extend(self.terms("deny.file", file));
        }
        let label: Arc<str> = table.label.trim().into();
        if let Some(entry) = &table.operator {
            self.give("deny.operator", entry, &label, operators);
        }
        options
            .deny
            .extend(terms.into_iter().map(|term| (term, label.clone())));
    }

    fn allow(&mut self, file: &File) -> Vec<String> {
        let (entries, from) = match &file.allow {
            None => return Vec::new(),
            Some(Allow::Terms(entries)) => (entries.clone(), None),
            Some(Allow::Table(table)) => (table.terms.clone(), table.file.clone()),
        };
        let list = match &file.allow {
            Some(Allow::Table(_)) => "allow.terms",
            _ => "allow",
        };
        let today = jiff::Timestamp::now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let mut terms = Vec::new();
        for (i, entry) in entries.into_iter().enumerate() {
            let (term, until) = match entry {
                AllowEntry::Term(term) => (term, None),
                AllowEntry::Table(AllowTerm { term, until, .. }) => (term, until),
            };
            match until.as_deref().map(str::parse::<jiff::civil::Date>) {
                Some(Ok(until)) if until < today => continue,
                Some(Err(_)) => {
                    let kind = Kind::Invalid("`allow.until` is not a date".to_owned());
                    self.problem(&format!("{list}.{i}.until"), kind, "\"2027-01-31\"");
                }
                _ => terms.push(term),
            }
        }
        if let Some(from) = from {
            terms.extend(self.terms("allow.file", &from));
        }
        terms
    }

    /// Terms of a file, one a line.
    fn terms(&mut self, key: &str, file: &str) -> Vec<String> {
        match std::fs::read_to_string(self.folder.join(file)) {
            Ok(text) => {
                hash_part(self.hash, text.as_bytes());
                text.lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty() && !line.starts_with('#'))
                    .map(str::to_owned)
                    .collect()
            }
            Err(error) => {
                let kind = Kind::Unreadable {
                    what: format!("the file of `{key}`"),
                    reason: reason(&error),
                };
                self.problem(key, kind, "a path relative to the tenant file");
                Vec::new()
            }
        }
    }

    fn phone_region(&mut self, region: Option<&str>) -> Option<String> {
        let region = region?;
        if let Some(region) = super::region::known(region) {
            return Some(region);
        }
        let kind = Kind::Invalid("`phone_region` is not the code of a country".to_owned());
        self.problem("phone_region", kind, super::region::fix(region));
        None
    }

    fn build(&mut self, options: &patterns::Options) -> Option<Patterns> {
        if !self.problems.0.is_empty() {
            return None;
        }
        match Patterns::build(options.clone()) {
            Ok(patterns) => Some(patterns),
            Err(error) => {
                // Messages of the lists name places in them, not terms.
                let kind = Kind::Invalid(error.to_string());
                let at = ["deny", "allow", "regexes", "patterns"]
                    .into_iter()
                    .find(|key| self.document.entry(key).is_some())
                    .unwrap_or("");
                self.problem(at, kind, "change it");
                None
            }
        }
    }

    fn rules(&mut self, file: &File) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (i, entry) in file.rules.iter().enumerate() {
            let objects = match entry.matches.object.as_deref().map(Objects::new) {
                None => Objects::All,
                Some(Ok(objects)) => objects,
                Some(Err(why)) => {
                    let kind = Kind::Invalid(format!("`rules.match.object` can't be read: {why}"));
                    self.problem(
                        &format!("rules.{i}.match.object"),
                        kind,
                        "\"raw/**\" or \"^raw/.+\"",
                    );
                    continue;
                }
            };
            rules.push(Rule {
                objects,
                include: entry.fields.include.clone().into(),
                exclude: entry.fields.exclude.clone().into(),
                whole: entry.fields.whole.clone().into(),
            });
        }
        rules
    }

    fn tests(&mut self, entries: &[TestEntry]) -> Arc<[Example]> {
        let examples = entries.iter().enumerate().map(|(i, entry)| Example {
            text: entry.text.clone(),
            expect: entry.expect.clone(),
            at: self.document.place(&format!("tests.{i}")).to_string(),
        });
        examples.collect()
    }

    fn give(
        &mut self,
        path: &str,
        entry: &OperatorEntry,
        label: &Arc<str>,
        operators: &mut HashMap<Arc<str>, Operator>,
    ) {
        let Some(operator) = self.operator(path, entry) else {
            return;
        };
        let name = operator_text(&operator);
        if let Some(known) = operators.get(label)
            && operator_text(known) != name
        {
            let kind = Kind::Conflict(format!(
                "the label \"{label}\" has two operators: {} and {name}",
                operator_text(known)
            ));
            return self.problem(
                path,
                kind,
                "keep one of them, or give the pattern a label of its own",
            );
        }
        operators.insert(label.clone(), operator);
    }

    fn operator(&mut self, path: &str, entry: &OperatorEntry) -> Option<Operator> {
        Some(match entry {
            OperatorEntry::Name(OperatorName::Keep)
            | OperatorEntry::Table(OperatorTable::Keep {}) => Operator::Keep,
            OperatorEntry::Name(OperatorName::Remove | OperatorName::Redact)
            | OperatorEntry::Table(OperatorTable::Remove {} | OperatorTable::Redact {}) => {
                Operator::Remove
            }
            OperatorEntry::Name(OperatorName::Replace) => Operator::Replace { placeholder: None },
            OperatorEntry::Name(OperatorName::Mask) => Operator::Mask {
                character: '*',
                keep_last: 0,
            },
            OperatorEntry::Name(OperatorName::Hash) => Operator::Hash {
                key: self.key(path, None)?,
            },
            OperatorEntry::Name(OperatorName::Surrogate) => Operator::Surrogate {
                key: self.key(path, None)?,
            },
            OperatorEntry::Table(OperatorTable::Replace {
                placeholder,
                new_value,
            }) => {
                if placeholder.is_some() && new_value.is_some() {
                    let kind = Kind::Conflict(
                        "`placeholder` and `new_value` are two names of one thing".to_owned(),
                    );
                    self.problem(path, kind, "keep `placeholder`");
                    return None;
                }
                Operator::Replace {
                    placeholder: placeholder.clone().or_else(|| new_value.clone()),
                }
            }
            OperatorEntry::Table(OperatorTable::Mask {
                keep_last,
                masking_char,
                chars_to_mask,
                from_end,
            }) => {
                let mut chars = masking_char.chars();
                let (Some(character), None) = (chars.next(), chars.next()) else {
                    let kind = Kind::Invalid("`masking_char` must be one character".to_owned());
                    self.problem(&format!("{path}.masking_char"), kind, "\"*\"");
                    return None;
                };
                let conflict = match (chars_to_mask, from_end, keep_last) {
                    (None, Some(_), _) => {
                        Some("`from_end` says from where `chars_to_mask` counts, and there is none")
                    }
                    (Some(_), _, 1..) => {
                        Some("`chars_to_mask` and `keep_last` are two ways to say one thing")
                    }
                    _ => None,
                };
                if let Some(why) = conflict {
                    self.problem(
                        path,
                        Kind::Conflict(why.to_owned()),
                        "keep `keep_last` alone, or `chars_to_mask`",
                    );
                    return None;
                }
                match chars_to_mask {
                    Some(count) => Operator::MaskCount {
                        character,
                        count: *count as usize,
                        from_end: from_end.unwrap_or(false),
                    },
                    None => Operator::Mask {
                        character,
                        keep_last: *keep_last as usize,
                    },
                }
            }
            OperatorEntry::Table(OperatorTable::Hash { key, .. }) => Operator::Hash {
                key: self.key(path, key.as_deref())?,
            },
            OperatorEntry::Table(OperatorTable::Surrogate { key }) => Operator::Surrogate {
                key: self.key(path, key.as_deref())?,
            },
        })
    }

    /// The key of an id, or the only key. The id as written is not printed: it may be the key
    /// itself, put in the wrong place.
    fn key(&mut self, path: &str, id: Option<&str>) -> Option<Key> {
        if self.keys.is_empty() && self.keys_failed {
            return None; // told already, and the id may be right
        }
        let ids: Vec<String> = self.keys.keys().map(|id| format!("`{id}`")).collect();
        let (kind, fix) = match (id, self.keys.len()) {
            (Some(id), _) => match self.keys.get(id) {
                Some(key) => return Some(key.clone()),
                None if ids.is_empty() => (
                    Kind::Invalid("`key` names a key, but the file has no `keys`".to_owned()),
                    "keys = { id = \"k1\", file = \"…\" }".to_owned(),
                ),
                None => (
                    Kind::Invalid("`key` is not the id of a key of this file".to_owned()),
                    ids.join(" or "),
                ),
            },
            (None, 1) => return self.keys.values().next().cloned(),
            (None, 0) => (
                Kind::Invalid(
                    "the operator needs a key, but the file has no usable `keys`".to_owned(),
                ),
                "keys = { id = \"k1\", file = \"…\" }".to_owned(),
            ),
            (None, _) => (
                Kind::Invalid("the operator needs a key, and there are several".to_owned()),
                format!("key = {}", ids.join(" or ")),
            ),
        };
        let at = match id {
            Some(_) => format!("{path}.key"),
            None => path.to_owned(),
        };
        self.problem(&at, kind, fix);
        None
    }

    fn read_keys(&mut self, keys: Option<&Keys>) {
        let entries: Vec<(String, &KeyEntry)> = match keys {
            None => return,
            Some(Keys::One(entry)) => vec![("keys".to_owned(), entry)],
            Some(Keys::Many(entries)) => entries
                .iter()
                .enumerate()
                .map(|(i, entry)| (format!("keys.{i}"), entry))
                .collect(),
        };
        for (path, entry) in entries {
            let secret = match (&entry.file, &entry.env) {
                (Some(file), None) => match std::fs::read(self.folder.join(file)) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        let kind = Kind::Unreadable {
                            what: "the file of the key".to_owned(),
                            reason: reason(&error),
                        };
                        self.problem(
                            &format!("{path}.file"),
                            kind,
                            "a readable file outside of version control",
                        );
                        continue;
                    }
                },
                (None, Some(name)) => match std::env::var_os(name) {
                    Some(value) => value.into_encoded_bytes(),
                    None => {
                        let kind = Kind::Unreadable {
                            what: "the variable of the key".to_owned(),
                            reason: "it is not set".to_owned(),
                        };
                        self.problem(&format!("{path}.env"), kind, "set it where weir runs");
                        continue;
                    }
                },
                _ => {
                    let kind = Kind::OneOf {
                        key: "a key".to_owned(),
                        of: "`file`, `env`".to_owned(),
                    };
                    self.problem(&path, kind, "keep one of them");
                    continue;
                }
            };
            let secret = zeroize::Zeroizing::new(secret);
            match decode_key(&secret) {
                Ok(secret) => {
                    hash_part(self.hash, &secret);
                    let key = Key {
                        id: entry.id.as_str().into(),
                        secret: secret.as_slice().into(),
                    };
                    if self.keys.insert(entry.id.clone(), key).is_some() {
                        let kind =
                            Kind::Invalid(format!("the key \"{}\" is there twice", entry.id));
                        self.problem(&path, kind, "give each an id of its own");
                    }
                }
                Err(why) => {
                    let kind = Kind::Invalid(format!("the key \"{}\" {why}", entry.id));
                    self.problem(
                        &path,
                        kind,
                        "hex:…, base64:… or the bytes themselves, 16 bytes or more",
                    );
                }
            }
        }
    }
}

/// `hex:…`, `base64:…`, or the bytes themselves without the line end that editors add.
fn decode_key(written: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let text = std::str::from_utf8(written).map(str::trim_end);
    let bytes = match text {
        Ok(text) if text.starts_with("hex:") => {
            hex::decode(&text[4..]).map_err(|_| "is not valid hexadecimal".to_owned())?
        }
        Ok(text) if text.starts_with("base64:") => STANDARD
            .decode(&text[7..])
            .map_err(|_| "is not valid base64".to_owned())?,
        _ => {
            let end = written.strip_suffix(b"\n").unwrap_or(written);
            end.strip_suffix(b"\r").unwrap_or(end).to_vec()
        }
    };
    let bytes = zeroize::Zeroizing::new(bytes);
    match bytes.len() {
        n if n < MIN_KEY_BYTES => Err(format!("has {n} bytes, and {MIN_KEY_BYTES} are the least")),
        _ => Ok(bytes),
    }
}

fn default_label(pattern: &str) -> Arc<str> {
    pattern.into()
}

/// Digest of a label set: names, wordings and thresholds, in order, and the balance.
pub fn label_digest(labels: &[Label], balance: &Balance) -> Arc<str> {
    let mut hash = blake3::Hasher::new();
    for label in labels {
        hash_part(&mut hash, label.name.as_bytes());
        hash_part(&mut hash, label.wording.as_bytes());
        hash_part(&mut hash, &label.threshold.to_le_bytes());
    }
    // Sets without a balance of their own keep the digest that earlier versions gave them. Two parts are
    // never taken for a label, which has three.
    if *balance != Balance::default() {
        let point = balance.operating_point.as_deref().unwrap_or_default();
        hash_part(&mut hash, point.as_bytes());
        hash_part(&mut hash, &balance.recall_bias.to_le_bytes());
    }
    hash.finalize().to_hex()[..16].into()
}

/// Digest of everything that decides what a document becomes; keys by their id. Tests are not
/// part of it.
fn policy_digest(
    tenant: &str,
    file: &File,
    labels: &LabelSet,
    options: &patterns::Options,
    operators: &HashMap<Arc<str>, Operator>,
    default: &Operator,
) -> Arc<str> {
    let operators: BTreeMap<&str, String> = operators
        .iter()
        .map(|(label, operator)| (&**label, operator_text(operator)))
        .collect();
    let custom: Vec<[&str; 3]> = options
        .custom
        .iter()
        .map(|custom| [custom.name.as_str(), &custom.label, &custom.regex])
        .collect();
    let deny: Vec<[&str; 2]> = options
        .deny
        .iter()
        .map(|(term, label)| [term.as_str(), label])
        .collect();
    let builtin: Vec<[&str; 2]> = options
        .builtin
        .iter()
        .map(|(name, label)| [name.as_str(), label])
        .collect();
    let parts = serde_json::json!([
        tenant,
        &*labels.digest,
        builtin,
        custom,
        deny,
        options.allow,
        options.phone_region,
        operators,
        operator_text(default),
        file.rules,
        file.emit_text,
    ]);
    blake3::hash(parts.to_string().as_bytes()).to_hex()[..16].into()
}

/// An operator in words; its key by its id.
fn operator_text(operator: &Operator) -> String {
    match operator {
        Operator::Keep => "keep".to_owned(),
        Operator::Remove => "remove".to_owned(),
        Operator::Replace { placeholder: None } => "replace".to_owned(),
        Operator::Replace {
            placeholder: Some(placeholder),
        } => format!("replace with {placeholder:?}"),
        Operator::Mask {
            character,
            keep_last,
        } => format!("mask with {character:?} but {keep_last}"),
        Operator::MaskCount {
            character,
            count,
            from_end,
        } => {
            format!(
                "mask {count} with {character:?} from {}",
                if *from_end { "the end" } else { "the start" }
            )
        }
        Operator::Hash { key } => format!("hash with key {:?}", key.id),
        Operator::Surrogate { key } => format!("surrogate with key {:?}", key.id),
    }
}
