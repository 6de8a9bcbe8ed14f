//! From one tenant file to its policy.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use super::{
    Balance, DEFAULT_MODEL, Example, Keyring, Label, LabelSet, Policy, Rule, Subject, WHOLE_LABEL,
    digest::{label_digest, policy_digest},
    file::{
        Allow, AllowEntry, AllowTerm, Deny, DenyTable, File, LabelEntry, LabelTable, OneOrMany,
        PatternEntry, PatternTable, TestEntry, denied, threshold,
    },
    rule::Objects,
    schema,
};
use crate::{
    config::server::Treatment,
    decode::patterns::{self, Patterns},
    diagnose::{
        Kind, Problems,
        check::{self, nearest},
        document::{self, Node},
        reason,
    },
    redact::{KeyName, Operator, Redactor},
};

/// Keys and values that later versions know.
pub(super) const LATER: check::Rules = check::Rules {
    later: &[("rules.match.topic", "topic")],
    elsewhere: &[],
};

pub(super) fn parse(
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
        keys: Keyring::default(),
        keys_failed: false,
        hash,
    };
    let policy = resolver.policy(tenant, &file);
    resolver.problems.into_result()?;
    Ok(policy.expect("a part is missing only with a problem"))
}

pub(super) struct Resolver<'a> {
    pub(super) document: &'a Node,
    pub(super) folder: &'a Path,
    pub(super) problems: Problems,
    pub(super) keys: Keyring,
    pub(super) keys_failed: bool,
    pub(super) hash: &'a mut blake3::Hasher,
}

impl Resolver<'_> {
    pub(super) fn problem(&mut self, path: &str, kind: Kind, fix: impl Into<String>) {
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
        let models = self.models(file.model.as_ref(), "model");
        let labels = self.labels(&file.labels, &models, &mut operators);
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
        let subject_keys = self.subject_keys(tenant, file.subject_keys.as_ref());
        let bases = self.bases(file, &options);
        let patterns = self.build(&options);
        let balance = Balance {
            operating_point: file.operating_point.as_deref().map(Arc::from),
            recall_bias: file.recall_bias,
            fails_if_invented: file.invented.map(|own| own == Treatment::DeadLetter),
            models,
        };
        let labels = LabelSet {
            digest: label_digest(&labels, &balance),
            labels: labels.into(),
            balance,
        };
        let default = default?;
        let names = names(&labels, &options, &rules);
        self.cards_are_not_correlated(&names, &operators, &default);
        let redactor = Redactor {
            tenant: tenant.into(),
            operators: Arc::new(operators),
            default,
        };
        let keys = used_keys(&redactor);
        let digest = policy_digest(file, &labels, &options, &redactor, &keys, &bases);
        Some(Policy {
            tenant: tenant.into(),
            labels,
            patterns: patterns?,
            redactor,
            keys,
            keyring: self.keys.clone(),
            subject_keys,
            subject: match &file.subject {
                Some(field) => Subject::Field(field.as_str().into()),
                None => Subject::DocumentId,
            },
            rules: rules.into(),
            emit_text: file.emit_text,
            bases: Arc::new(bases),
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
            "the tenant asks for nothing: every document would pass unchanged".to_owned(),
        );
        self.problem(
            "",
            kind,
            "add `labels` or `patterns`; if this is intended, write `labels = []`",
        );
    }

    fn labels(
        &mut self,
        entries: &[LabelEntry],
        models: &Arc<[Arc<str>]>,
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
                    model: None,
                    operator: None,
                    basis: None,
                },
                LabelEntry::Table(table) => table.clone(),
            };
            let name = table.name.trim();
            if name.is_empty() {
                let kind = Kind::Empty {
                    key: "labels.name".to_owned(),
                };
                self.problem(&path, kind, "name the label in plain words");
                continue;
            }
            if labels
                .iter()
                .any(|label| label.name.to_lowercase() == name.to_lowercase())
            {
                let kind = Kind::Invalid(format!("label \"{name}\" is defined twice"));
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
                models: match &table.model {
                    Some(own) => self.models(Some(own), &format!("{path}.model")),
                    None => models.clone(),
                },
            });
        }
        labels
    }

    /// Models by their names; the default one alone is none, however it is written.
    fn models(&mut self, named: Option<&OneOrMany>, path: &str) -> Arc<[Arc<str>]> {
        let names = match named {
            None => return Arc::default(),
            Some(OneOrMany::One(name)) => std::slice::from_ref(name),
            Some(OneOrMany::Many(names)) => names.as_slice(),
        };
        let names: Vec<Arc<str>> = names.iter().map(|name| name.trim().into()).collect();
        if names.is_empty() || names.iter().any(|name| name.is_empty()) {
            let kind = Kind::Empty {
                key: "model".to_owned(),
            };
            self.problem(
                path,
                kind,
                "name a model of the configuration, or leave it out",
            );
        }
        match names.as_slice() {
            [only] if &**only == DEFAULT_MODEL => Arc::default(),
            names => names.into(),
        }
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
                    basis: None,
                },
                PatternEntry::Table(table) => table.clone(),
            };
            if options.builtin.iter().any(|(name, _)| *name == table.name) {
                let kind = Kind::Invalid(format!("pattern \"{}\" is defined twice", table.name));
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
                let kind = Kind::Invalid(format!("pattern \"{}\" does not exist", table.name));
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
                    "write an expression of the regex crate, without look-around",
                );
                continue;
            }
            if options.custom.iter().any(|known| known.name == entry.name) {
                let kind = Kind::Invalid(format!("regex \"{}\" is defined twice", entry.name));
                self.problem(&format!("{path}.name"), kind, "give each its own name");
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
                crate::digest::part(self.hash, &text);
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
                self.problem(key, kind, "write a path relative to the tenant file");
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
                reuse: entry.reuse,
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
}

/// Every label that a span may have.
fn names(labels: &LabelSet, options: &patterns::Options, rules: &[Rule]) -> BTreeSet<Arc<str>> {
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    names.extend(labels.labels.iter().map(|label| label.name.clone()));
    names.extend(options.builtin.iter().map(|(_, label)| label.clone()));
    names.extend(options.custom.iter().map(|custom| custom.label.clone()));
    names.extend(options.deny.iter().map(|(_, label)| label.clone()));
    if rules.iter().any(|rule| !rule.whole.is_empty()) {
        names.insert(WHOLE_LABEL.into());
    }
    names
}

/// The keys that operators use, each once, by id.
fn used_keys(redactor: &Redactor) -> Arc<[KeyName]> {
    let used: BTreeSet<&KeyName> = redactor
        .all()
        .filter_map(|operator| operator.key_name())
        .collect();
    used.into_iter().cloned().collect()
}

fn default_label(pattern: &str) -> Arc<str> {
    pattern.into()
}
