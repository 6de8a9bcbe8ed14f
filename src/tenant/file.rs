//! What a tenant file says: the doc comments are the reference of `weir schema tenant`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::server::Treatment;

/// What one tenant asked for. The name of the file, without `.toml`, is the tenant's name.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "weir tenant")]
pub struct File {
    /// What the model looks for: names in plain words, or tables with more.
    pub labels: Vec<LabelEntry>,
    /// Model that looks for the labels that name none: a name of `[models]`, or `default` for that of `[model]`, which it
    /// is if unset; or a list of them: each model that can looks for the label, and what any of them finds counts.
    /// `operating_point` is one of the first one's pack.
    pub model: Option<OneOrMany>,
    /// Operating point of the pack: a name in its `viterbi_calibration.json`, such as `high_recall`.
    /// Unset: `default`.
    #[schemars(length(min = 1))]
    pub operating_point: Option<String>,
    /// Number that weir subtracts from the model's score of "no entity" at every token: above 0
    /// finds more (recall), below 0 is wrong less often (precision). A step of 1 is a large one.
    #[schemars(range(min = -100.0, max = 100.0))]
    pub recall_bias: f32,
    /// For a model that weir asks over HTTP, such as `b2ner`: what becomes of a document for which the model named a value
    /// that is not in its text. Unset: as the model's section `server` or its pack says.
    pub invented: Option<Treatment>,
    /// Operator of every label and pattern that names none. Default: `replace`.
    pub operator: Option<OperatorEntry>,
    /// Built-in recognisers: names, or tables with more.
    pub patterns: Vec<PatternEntry>,
    /// Whether a label also switches on the built-in recogniser that covers it (`email address` →
    /// `email`), under the label's name.
    pub auto_patterns: bool,
    /// The tenant's own regular expressions.
    pub regexes: Vec<RegexEntry>,
    /// Terms that weir always redacts, even if `allow` names them too.
    pub deny: Option<Deny>,
    /// Terms that weir never redacts, unless `deny` names them too.
    pub allow: Option<Allow>,
    /// Which fields of a record weir reads; the first rule that matches applies. If no rule
    /// matches, weir reads every string of a JSON document except `/id` and `/tenant`, every text
    /// column of a table, and the whole of a text.
    pub rules: Vec<RuleEntry>,
    /// Whether entity records contain the value itself.
    pub emit_text: bool,
    /// Two-letter country of phone numbers without a country code.
    pub phone_region: Option<String>,
    /// Whom a document is about, for `shift` and for `encrypt` with `per = "subject"`: a JSON Pointer, or a column of
    /// text. All dates of one subject move by the same days. A document without it becomes a dead letter if one of its
    /// dates is to be moved, or one of its values to be encrypted. Unset: the document's id.
    #[schemars(length(min = 1))]
    pub subject: Option<String>,
    /// Secret keys for `hash`, `surrogate`, `shift` and `encrypt`: one table or a list of them.
    pub keys: Option<Keys>,
    /// Where weir keeps the keys of subjects, for `encrypt` with `per = "subject"`.
    pub subject_keys: Option<SubjectKeysEntry>,
    /// Examples that `weir test` runs.
    pub tests: Vec<TestEntry>,
}

/// A label: its name, or a table.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum LabelEntry {
    /// Its name in plain words.
    Name(#[schemars(length(min = 1))] String),
    /// Its name and more.
    Table(LabelTable),
}

/// A name, or a list of names.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(#[schemars(length(min = 1))] String),
    /// Several.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// A label with its settings.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelTable {
    /// Name in records and placeholders.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Wording given to the model instead of the name.
    #[serde(default)]
    pub description: Option<String>,
    /// Lowest score of a span that counts: lower finds more, higher is wrong less often. The score
    /// is the calibrated probability that the span is an entity of some label of the tenant. If
    /// several labels mark the same place, weir finds it if it reaches the threshold of any of
    /// them.
    #[serde(default = "threshold")]
    #[schemars(range(min = 0.0, max = 1.0), extend("default" = 0.4))]
    // 0.4000000059… as a double
    pub threshold: f32,
    /// Model that looks for it, or a list of them, as the tenant's `model`, which it is if unset.
    #[serde(default)]
    pub model: Option<OneOrMany>,
    /// Operator of its spans.
    #[serde(default)]
    pub operator: Option<OperatorEntry>,
    /// Why it is redacted, for audit records: a paragraph such as `45 CFR 164.514(b)(2)(i)(A)`. It decides nothing.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub basis: Option<String>,
}

/// An operator: its name, or a table with parameters.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OperatorEntry {
    /// An operator with its default parameters.
    Name(OperatorName),
    /// An operator with parameters.
    Table(OperatorTable),
}

/// Name of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperatorName {
    /// Leaves the value, reports the entity.
    Keep,
    /// Removes the value.
    Remove,
    /// The same as `remove`, by Presidio's name.
    Redact,
    /// Replaces the value with `[LABEL]`.
    Replace,
    /// Masks every letter and digit.
    Mask,
    /// Keyed hash.
    Hash,
    /// A plausible other value.
    Surrogate,
    /// The first six and the last four digits of a card number.
    Truncate,
    /// An age as a band of years, a date as its year, a ZIP code as three digits.
    Generalise,
    /// A date moved by days.
    Shift,
    /// A token that the key reads back.
    Encrypt,
}

/// An operator with parameters.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatorTable {
    /// Leaves the value, reports the entity.
    Keep {},
    /// Removes the value.
    Remove {},
    /// The same as `remove`, by Presidio's name.
    Redact {},
    /// Replaces the value with a placeholder.
    Replace {
        /// The placeholder; `{label}` stands for the label in capitals. Default: `[{label}]`.
        #[serde(default)]
        placeholder: Option<String>,
        /// Presidio's name of `placeholder`.
        #[serde(default)]
        new_value: Option<String>,
    },
    /// Masks letters and digits.
    Mask {
        /// Letters and digits at the end that stay.
        #[serde(default)]
        #[schemars(range(min = 0, max = 1000))]
        keep_last: u32,
        /// Masking character.
        #[serde(default = "masking_char")]
        #[schemars(length(min = 1))]
        masking_char: String,
        /// Presidio's parameter: letters and digits to mask at one end, and at least half of the
        /// value; instead of `keep_last`.
        #[serde(default)]
        chars_to_mask: Option<u32>,
        /// Presidio's parameter: whether `chars_to_mask` counts from the end.
        #[serde(default)]
        from_end: Option<bool>,
    },
    /// Keyed hash (HMAC-SHA256), the same for the same value, tenant, label and key.
    Hash {
        /// Id of the key. Default: the only one, or the primary one.
        #[serde(default)]
        key: Option<String>,
        /// Presidio's parameter; only `sha256`.
        #[serde(default)]
        hash_type: Option<HashType>,
    },
    /// A plausible other value, the same for the same value, tenant, label and key.
    Surrogate {
        /// Id of the key. Default: the only one, or the primary one.
        #[serde(default)]
        key: Option<String>,
    },
    /// The first and last digits of a card number, as PCI DSS allows; `*` for the others. weir refuses a tenant that
    /// truncates and hashes card numbers.
    Truncate {
        /// Digits at the start that stay: 6, or 8 for numbers of 16 digits.
        #[serde(default = "first")]
        #[schemars(range(min = 6, max = 8))]
        first: u32,
    },
    /// An age as a band of years, a date as its year, a ZIP code of the United States as three digits. A value that is
    /// none of them becomes `[LABEL]`.
    Generalise {
        /// What the values are. Default: what the words of the label say.
        #[serde(default)]
        kind: Option<GeneralisedName>,
        /// Years of a band of ages: 10 gives `40-49`. Ages from 90 on are `90+`.
        #[serde(default = "band")]
        #[schemars(range(min = 1, max = 30))]
        band: u16,
        /// Earlier years of dates become `before YEAR`. For dates of birth, the year in which people who are 89 now were
        /// born.
        #[serde(default)]
        #[schemars(range(min = 1800, max = 2199))]
        oldest_year: Option<i16>,
    },
    /// A date moved by days that depend on key, tenant and subject: all dates of one subject by the same, never by 0.
    Shift {
        /// Id of the key. Default: the only one, or the primary one.
        #[serde(default)]
        key: Option<String>,
        /// Farthest move in days, either way.
        #[serde(default = "days")]
        #[schemars(range(min = 1, max = 3650))]
        days: u16,
    },
    /// A token that `weir reveal` reads back with the key (AES-SIV), the same for the same value, tenant, label and key.
    Encrypt {
        /// Id of the key. Default: the only one, or the primary one.
        #[serde(default)]
        key: Option<String>,
        /// Whose key encrypts. `subject`: a random key of the document's subject, which weir makes and keeps in
        /// `subject_keys`, wrapped by the tenant's key, and which `weir forget` destroys. Default: the tenant's key.
        #[serde(default)]
        per: Option<PerName>,
        /// What stands in the text. Default: `token`.
        #[serde(default)]
        format: FormatName,
        /// With `format = "digits"`: fewest digits of a value of which the digits are encrypted. A value with fewer
        /// becomes a token.
        #[serde(default)]
        #[schemars(range(min = 1, max = 256))]
        min_digits: Option<u32>,
    },
    /// A token that only `weir reveal --identity` reads back (age): weir has no key for it.
    Seal {
        /// Public key, `age1…`, as `age-keygen` prints it.
        #[schemars(length(min = 1))]
        recipient: String,
    },
}

/// Whose key encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerName {
    /// The key of the document's subject.
    Subject,
}

/// What an encrypted value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatName {
    /// `weir:1:KEY:LABEL:…:`
    #[default]
    Token,
    /// Other digits in the value's own form (FF1). Nothing shows whether they were altered, or read with the right key.
    Digits,
}

/// What is generalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GeneralisedName {
    /// Ages, to bands of years.
    Age,
    /// Dates, to years.
    Date,
    /// ZIP codes of the United States, to three digits.
    Zip,
}

/// Hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashType {
    /// SHA-256, in HMAC.
    Sha256,
}

/// A built-in recogniser: its name, or a table.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PatternEntry {
    /// Its name.
    Name(#[schemars(length(min = 1))] String),
    /// Its name and more.
    Table(PatternTable),
}

/// A built-in recogniser with its settings.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternTable {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Label of its spans. Default: the label that covers it, or else the recogniser's own name.
    #[serde(default)]
    pub label: Option<String>,
    /// Operator of its spans.
    #[serde(default)]
    pub operator: Option<OperatorEntry>,
    /// Why it is redacted, for audit records: a paragraph such as `45 CFR 164.514(b)(2)(i)(A)`. It decides nothing.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub basis: Option<String>,
}

/// A tenant's own regular expression.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexEntry {
    /// Name in the `recognizer` of entities.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Label of its spans. Default: the name.
    #[serde(default)]
    pub label: Option<String>,
    /// The expression (linear time, no look-around); its first group, if any, is the span.
    #[schemars(length(min = 1))]
    pub regex: String,
    /// Operator of its spans.
    #[serde(default)]
    pub operator: Option<OperatorEntry>,
    /// Why it is redacted, for audit records: a paragraph such as `45 CFR 164.514(b)(2)(i)(A)`. It decides nothing.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub basis: Option<String>,
}

/// The deny list: terms, or a table.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Deny {
    /// Terms, under the label `denied`.
    Terms(#[schemars(inner(length(min = 1)))] Vec<String>),
    /// Terms with a label, or in a file.
    Table(DenyTable),
}

/// The deny list with its label.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyTable {
    /// File with one term per line; weir ignores empty lines and lines that begin with `#`. A
    /// relative path is relative to the tenant file.
    #[serde(default)]
    pub file: Option<String>,
    /// Terms.
    #[serde(default)]
    pub terms: Vec<String>,
    /// Label of the spans.
    #[serde(default = "denied")]
    #[schemars(length(min = 1))]
    pub label: String,
    /// Operator of the spans.
    #[serde(default)]
    pub operator: Option<OperatorEntry>,
}

/// The allow list: terms, or a file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Allow {
    /// Terms.
    Terms(Vec<AllowEntry>),
    /// Terms in a file.
    Table(AllowTable),
}

/// The allow list in a file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowTable {
    /// File with one term per line, as for `deny`.
    #[serde(default)]
    pub file: Option<String>,
    /// Terms.
    #[serde(default)]
    pub terms: Vec<AllowEntry>,
}

/// An allowed term.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AllowEntry {
    /// The term.
    Term(#[schemars(length(min = 1))] String),
    /// The term, until when, and why.
    Table(AllowTerm),
}

/// An allowed term with its reason.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowTerm {
    /// The term.
    #[schemars(length(min = 1))]
    pub term: String,
    /// Last day on which it is allowed, `YYYY-MM-DD` (UTC). weir checks it when it loads the file.
    #[serde(default)]
    pub until: Option<String>,
    /// Why it is allowed; for readers of this file.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Which fields of the matching records weir reads.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleEntry {
    /// Records to which the rule applies. Default: all.
    #[serde(rename = "match")]
    pub matches: MatchEntry,
    /// Fields that weir reads.
    pub fields: FieldsEntry,
    /// Which texts share what the models found. `digits`: texts that differ in nothing but ASCII digits. The models read
    /// `0` for each digit, so they compute log lines of one form once; patterns and lists read the text as it is.
    /// For log files: a model that was not trained with such text may find fewer dates and numbers.
    #[serde(skip_serializing_if = "Reuse::is_equal")]
    pub reuse: Reuse,
}

/// Which texts share what the model found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// Equal ones.
    #[default]
    Equal,
    /// Those that differ in ASCII digits only.
    Digits,
}

impl Reuse {
    /// A policy that says nothing of it keeps its digest.
    fn is_equal(&self) -> bool {
        *self == Self::Equal
    }
}

/// Records to which a rule applies.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatchEntry {
    /// Pattern of the object's path (`raw/**`), or a regular expression if it begins with `^`.
    pub object: Option<String>,
}

/// Fields that weir reads: JSON Pointers in which `*` stands for one part and `**` for any number
/// of parts, or names of columns.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldsEntry {
    /// Fields that weir reads. Default: all strings except `/id` and `/tenant`, and all text
    /// columns.
    pub include: Vec<String>,
    /// Fields that pass through unread, even if `include` or `whole` names them.
    pub exclude: Vec<String>,
    /// Fields that weir redacts as a whole, whatever they contain, under the label `whole`.
    pub whole: Vec<String>,
}

/// Secret keys.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Keys {
    /// One.
    One(KeyEntry),
    /// Several.
    Many(Vec<KeyEntry>),
}

/// A secret key: never in this file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Id that goes into records, with its version: `k1`.
    #[schemars(length(min = 1))]
    pub id: String,
    /// File that holds it. The content is `hex:…`, `base64:…`, or the key's own bytes (a line end
    /// at the end is not part of it); at least 16 bytes.
    #[serde(default)]
    pub file: Option<String>,
    /// Variable that holds it, written as in a file.
    #[serde(default)]
    pub env: Option<String>,
    /// Key of a key management service that decrypts what the file or variable holds, at each load: `vault-transit:MOUNT/KEY`,
    /// `aws-kms:ARN`, or `gcp-kms:projects/…/cryptoKeys/KEY`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub wrapped: Option<String>,
    /// Whether operators that name no key use this one. The other keys of the file then serve to read older values
    /// alone: weir makes no new ones with them. Change it to rotate keys.
    #[serde(default)]
    pub primary: bool,
}

/// Where the keys of subjects are.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectKeysEntry {
    /// Folder or prefix for one small object per key: a path, or `file://`, `s3://`, `gs://`, `az://`, `abfss://`. A
    /// relative path is relative to the tenant file. All workers of the tenant share it; tenants may share it too.
    #[schemars(length(min = 1))]
    pub url: String,
    /// Options of the store, by the names of the object_store library: `aws_region`, `aws_endpoint`, `allow_http`.
    /// Credentials come from the cloud's own variables; weir refuses a secret in this file.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// An example that `weir test` runs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestEntry {
    /// Input.
    pub text: String,
    /// The redacted text that is expected.
    pub expect: String,
}

impl Default for File {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            model: None,
            operating_point: None,
            recall_bias: 0.0,
            invented: None,
            operator: None,
            patterns: Vec::new(),
            // A label that is covered by a checksum and not checked by it would surprise.
            auto_patterns: true,
            regexes: Vec::new(),
            deny: None,
            allow: None,
            rules: Vec::new(),
            emit_text: false,
            phone_region: None,
            subject: None,
            keys: None,
            subject_keys: None,
            tests: Vec::new(),
        }
    }
}

/// Threshold of a label that names none. From 0.5 to 0.4 an eighth more of the characters of labels that the pack
/// in the box never saw is found; below, each character found costs as many that are none (the curve of its card).
pub const THRESHOLD: f32 = 0.4;

pub(super) fn threshold() -> f32 {
    THRESHOLD
}

fn masking_char() -> String {
    "*".to_owned()
}

fn first() -> u32 {
    6
}

pub(super) fn band() -> u16 {
    10
}

/// As far as the dates of a year.
pub(super) fn days() -> u16 {
    365
}

pub(super) fn denied() -> String {
    "denied".to_owned()
}
