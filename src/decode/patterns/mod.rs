//! Pattern recognisers with checksums, tenant regexes, deny and allow lists.
//!
//! In:  a field's text, or a piece of it.
//! Out: [`Span`]s with score 1, sorted by start, that may overlap; the places of allowed terms.
//! Holds: linear time in the text; a match of up to [`Patterns::MAX_MATCH_BYTES`] is found whole, a
//! private key of any length.
//! Does not know: the model, which spans win ([`super::conflict`]).
//!
//! Each built-in recogniser searches for a rare byte of its format (`@`, `://`, `-`, a digit behind
//! two letters), reads outward from there, and lets a checksum or a range decide. `docs/patterns.md`
//! says exactly what each one finds.
mod borders;
mod builtin;
mod lists;
mod network;
mod numbers;
mod secrets;
mod view;
pub(crate) mod wording;

use std::{cmp::Reverse, fmt, sync::Arc};

use phonenumber::country;
use regex::Regex;

use self::{builtin::Builtin, lists::Terms, view::Readings};
use super::{Recognizer, Span};
use crate::text::ByteSpan;

pub(crate) use self::{
    numbers::{is_card, luhn},
    view::snap_to_escapes,
};

/// A tenant's own regular expression.
#[derive(Debug, Clone)]
pub struct Custom {
    /// Name in `recognizer`.
    pub name: String,
    /// Label of its spans.
    pub label: Arc<str>,
    /// Regular expression (linear time); its first capture group, if any, is the span.
    pub regex: String,
}

/// What to look for. `Debug` does not print the terms of the lists.
#[derive(Clone, Default)]
pub struct Options {
    /// Built-in recognisers by name, with the label their spans get.
    pub builtin: Vec<(String, Arc<str>)>,
    /// Tenant regexes.
    pub custom: Vec<Custom>,
    /// Terms that are always entities, and their label.
    pub deny: Vec<(String, Arc<str>)>,
    /// Terms that are never entities.
    pub allow: Vec<String>,
    /// Two-letter country for phone numbers without a country code.
    pub phone_region: Option<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("builtin", &self.builtin)
            .field("custom", &self.custom)
            .field("deny", &self.deny.len())
            .field("allow", &self.allow.len())
            .field("phone_region", &self.phone_region)
            .finish()
    }
}

/// Compiled recognisers of one tenant: cheap to clone.
#[derive(Debug, Clone)]
pub struct Patterns {
    compiled: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    builtin: Vec<Rule>,
    custom: Vec<(Regex, Found)>,
    deny: Option<(Terms, Vec<Arc<str>>)>,
    allow: Option<Terms>,
    region: Option<numbers::Region>,
}

#[derive(Debug)]
struct Rule {
    builtin: Builtin,
    found: Found,
}

/// What a recogniser writes into its spans.
#[derive(Debug)]
struct Found {
    label: Arc<str>,
    recognizer: Recognizer,
}

impl Found {
    fn span(&self, bytes: ByteSpan) -> Span {
        Span {
            bytes,
            label: self.label.clone(),
            score: 1.0,
            label_score: 1.0,
            recognizer: self.recognizer.clone(),
        }
    }
}

/// Why recognisers could not be built. Terms of the lists are named by their place: they may be
/// the very values to hide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No built-in recogniser has this name.
    #[error("unknown pattern `{name}`{}", nearest.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default())]
    Unknown {
        /// The name as written.
        name: String,
        /// The nearest known one.
        nearest: Option<String>,
    },
    /// A tenant's regex has the name of a built-in recogniser or of another regex.
    #[error("pattern `{name}` already exists: give the regex another name")]
    NameTaken {
        /// The name as written.
        name: String,
    },
    /// A tenant's regex is no regular expression, or too large.
    #[error("pattern `{name}`: {reason}")]
    Regex {
        /// Name of the pattern.
        name: String,
        /// What the regex parser says; it quotes the regex.
        reason: String,
    },
    /// A tenant's regex matches the empty text.
    #[error("pattern `{name}` matches empty text: make it require at least one character")]
    MatchesEmpty {
        /// Name of the pattern.
        name: String,
    },
    /// A term of a list is empty or only spaces.
    #[error("term {place} of the {list} list is empty")]
    EmptyTerm {
        /// `deny` or `allow`.
        list: &'static str,
        /// Place in the list, from 1.
        place: usize,
    },
    /// A term of a list is too long to be found in a text that is read in pieces.
    #[error(
        "term {place} of the {list} list is {bytes} bytes long; the limit is {}",
        Patterns::MAX_TERM_BYTES
    )]
    TermTooLong {
        /// `deny` or `allow`.
        list: &'static str,
        /// Place in the list, from 1.
        place: usize,
        /// Its length.
        bytes: usize,
    },
    /// A list is too large to compile.
    #[error("the {list} list is too large: {terms} terms")]
    ListTooLarge {
        /// `deny` or `allow`.
        list: &'static str,
        /// Terms in it.
        terms: usize,
    },
    /// The phone region is no country.
    #[error("phone region `{region}` is not a two-letter country code such as `US`")]
    Region {
        /// The region as written.
        region: String,
    },
}

impl Patterns {
    /// Longest match, in bytes, that is found for sure when a text is scanned in pieces that
    /// overlap by as much.
    pub const MAX_MATCH_BYTES: usize = 16 * 1024;

    /// Longest term of a deny or allow list, in bytes.
    pub const MAX_TERM_BYTES: usize = 4 * 1024;

    /// Compiles the recognisers.
    pub fn build(options: Options) -> Result<Self, Error> {
        let region = options
            .phone_region
            .as_deref()
            .map(parse_region)
            .transpose()?;
        let mut builtin = Vec::new();
        for (name, label) in &options.builtin {
            let rules = Builtin::of_name(name);
            if rules.is_empty() {
                return Err(Error::Unknown {
                    name: name.clone(),
                    nearest: nearest(name),
                });
            }
            builtin.extend(rules.iter().map(|rule| Rule {
                builtin: *rule,
                found: Found {
                    label: label.clone(),
                    recognizer: Recognizer::Pattern(rule.name().into()),
                },
            }));
        }
        if builtin.iter().any(|rule| rule.builtin == Builtin::Phone) {
            // Loads the library's tables now and not within the first document.
            let _ = phonenumber::parse(None, "+12015550123");
        }
        let mut custom: Vec<(Regex, Found)> = Vec::new();
        for pattern in options.custom {
            let recognizer = Recognizer::Pattern(pattern.name.as_str().into());
            let taken = Self::is_builtin(&pattern.name)
                || pattern.name == "deny"
                || custom
                    .iter()
                    .any(|(_, found)| found.recognizer == recognizer);
            if taken {
                return Err(Error::NameTaken { name: pattern.name });
            }
            let regex = compile(&pattern)?;
            custom.push((
                regex,
                Found {
                    label: pattern.label,
                    recognizer,
                },
            ));
        }
        let terms: Vec<&str> = options.deny.iter().map(|(term, _)| term.as_str()).collect();
        let deny = compile_list("deny", &terms)?;
        let labels = options
            .deny
            .iter()
            .map(|(_, label)| label.clone())
            .collect();
        let terms: Vec<&str> = options.allow.iter().map(String::as_str).collect();
        let allow = compile_list("allow", &terms)?;
        let deny = deny.map(|terms| (terms, labels));
        Ok(Self {
            compiled: Arc::new(Compiled {
                builtin,
                custom,
                deny,
                allow,
                region,
            }),
        })
    }

    /// Names of the built-in recognisers.
    pub fn names() -> &'static [&'static str] {
        builtin::NAMES
    }

    /// Label of a built-in recogniser's spans where the tenant gives none (`mac` → `mac address`).
    pub fn default_label(name: &str) -> Option<&'static str> {
        builtin::default_label(name)
    }

    /// Recognisers that a label of this wording also asks for (`"email address"` → `email`).
    pub fn for_label(label: &str) -> Option<&'static str> {
        builtin::for_label(label)
    }

    /// Whether a recogniser of this name is built in.
    pub(crate) fn is_builtin(name: &str) -> bool {
        builtin::NAMES.contains(&name)
    }

    /// Spans of patterns and deny list, sorted by start; they may overlap.
    ///
    /// The text is searched as it stands and as a reader would read it ([`view`]): what either finds
    /// is found. A match begins and ends where no escape of the text is cut.
    pub fn find(&self, text: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let readings = Readings::of(text);
        self.search(text, &mut spans);
        self.search_base64(text, &mut spans);
        if !readings.is_empty() {
            let mut read = Vec::new();
            for reading in readings.iter() {
                let first = read.len();
                self.search(reading.text(), &mut read);
                self.search_base64(reading.text(), &mut read);
                for span in &mut read[first..] {
                    span.bytes = reading.source(span.bytes);
                }
            }
            self.settle_cut_escapes(&readings, &mut spans, &read);
            spans.append(&mut read);
        }
        drop_nested(&mut spans);
        // Longer first among those of one start; stable otherwise.
        spans.sort_by(|a, b| {
            a.bytes
                .start
                .cmp(&b.bytes.start)
                .then(b.bytes.end.cmp(&a.bytes.end))
        });
        spans
    }

    /// Longest value of a field that is read together with the field's name.
    const NAMED_BYTES: usize = 16 * 1024;

    /// Spans in the value of a field of which the field's name tells what it is, where the value by
    /// itself does not: a password under `password`, digits under `ssn` or `phone`.
    pub fn find_named(&self, name: &str, value: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        if name.is_empty() || value.is_empty() || name.len() + value.len() > Self::NAMED_BYTES {
            return spans;
        }
        let compiled = &*self.compiled;
        let mut line = None;
        let mut found = Vec::new();
        for rule in &compiled.builtin {
            let whole = match rule.builtin {
                Builtin::Password => Some(secrets::Named::Password),
                Builtin::Token => Some(secrets::Named::Token),
                Builtin::CloudKey
                | Builtin::AuthHeader
                | Builtin::Cookie
                | Builtin::Ssn
                | Builtin::Phone => None,
                _ => continue,
            };
            if whole.is_some() {
                if secrets::named(name, value) == whole {
                    found.push(ByteSpan::new(0, value.len()));
                }
            } else {
                let line: &String = line.get_or_insert_with(|| format!("{name}: {value}"));
                match rule.builtin {
                    Builtin::CloudKey => secrets::cloud_keys(line, &mut found),
                    Builtin::AuthHeader => secrets::authorizations(line, &mut found),
                    Builtin::Cookie => secrets::cookies(line, &mut found),
                    Builtin::Ssn => numbers::ssn(line, &mut found),
                    _ => numbers::phone(line, compiled.region.as_ref(), &mut found),
                }
                let lead = line.len() - value.len();
                found.retain(|bytes| bytes.start >= lead);
                for bytes in &mut found {
                    *bytes = ByteSpan::new(bytes.start - lead, bytes.end - lead);
                }
            }
            spans.extend(found.drain(..).map(|bytes| rule.found.span(bytes)));
        }
        spans
    }

    /// Adds what the recognisers find in `text` as it stands.
    fn search(&self, text: &str, spans: &mut Vec<Span>) {
        let compiled = &*self.compiled;
        let mut found = Vec::new();
        for rule in &compiled.builtin {
            match rule.builtin {
                Builtin::Email => network::emails(text, &mut found),
                Builtin::Url => network::urls(text, &mut found),
                Builtin::Ipv4 => network::ipv4(text, &mut found),
                Builtin::Ipv6 => network::ipv6(text, &mut found),
                Builtin::Mac => network::mac(text, &mut found),
                Builtin::Uuid => network::uuid(text, &mut found),
                Builtin::Iban => numbers::iban(text, &mut found),
                Builtin::Card => numbers::card(text, &mut found),
                Builtin::Ssn => numbers::ssn(text, &mut found),
                Builtin::Phone => numbers::phone(text, compiled.region.as_ref(), &mut found),
                Builtin::Jwt => secrets::jwt(text, &mut found),
                Builtin::CloudKey => secrets::cloud_keys(text, &mut found),
                Builtin::GitKey => secrets::git_keys(text, &mut found),
                Builtin::PrivateKey => secrets::private_keys(text, &mut found),
                Builtin::Password => secrets::passwords(text, &mut found),
                Builtin::Token => secrets::tokens(text, &mut found),
                Builtin::AuthHeader => secrets::authorizations(text, &mut found),
                Builtin::Cookie => secrets::cookies(text, &mut found),
                Builtin::Crypto => secrets::crypto(text, &mut found),
            }
            spans.extend(found.drain(..).map(|bytes| rule.found.span(bytes)));
        }
        for (regex, found) in &compiled.custom {
            find_custom(regex, found, text, spans);
        }
        if let Some((terms, labels)) = &compiled.deny {
            for (bytes, term) in terms.find(text) {
                spans.push(Span {
                    bytes,
                    label: labels[term].clone(),
                    score: 1.0,
                    label_score: 1.0,
                    recognizer: Recognizer::Deny,
                });
            }
        }
    }

    /// Adds a span for every run of base64 with a text in which a recogniser finds something: the
    /// whole run, since a part of it means nothing.
    fn search_base64(&self, text: &str, spans: &mut Vec<Span>) {
        view::base64_runs(text, |run| {
            let mut inside = Vec::new();
            self.search(&run.text, &mut inside);
            for reading in Readings::of(&run.text).iter() {
                self.search(reading.text(), &mut inside);
            }
            inside.sort_by(|a, b| (&a.label, &a.recognizer).cmp(&(&b.label, &b.recognizer)));
            inside.dedup_by(|a, b| a.label == b.label && a.recognizer == b.recognizer);
            spans.extend(inside.into_iter().map(|span| Span {
                bytes: run.span,
                ..span
            }));
        });
    }

    /// A match in the text as it stands may take the letter of an escape for its own: `nana@…` in
    /// `\nana@…`. Where a reading found the rest of it, the escape is left alone; else all of the
    /// escape belongs to the match. With an allow list it always does: the shorter match could be
    /// allowed where the longer one is not.
    fn settle_cut_escapes(&self, readings: &Readings, spans: &mut Vec<Span>, read: &[Span]) {
        let mut covered: Option<Covered> = None;
        spans.retain_mut(|span| {
            let (first, last) = (
                readings.escape_at(span.bytes.start),
                readings.escape_at(span.bytes.end),
            );
            if first.is_none() && last.is_none() {
                return true;
            }
            let start = first.map_or(span.bytes.start, |escape| escape.end);
            let end = last.map_or(span.bytes.end, |escape| escape.start);
            let found = self.compiled.allow.is_none()
                && start < end
                && covered
                    .get_or_insert_with(|| Covered::by(read))
                    .contains(span, ByteSpan::new(start, end));
            if let Some(escape) = first {
                span.bytes.start = escape.start;
            }
            if let Some(escape) = last {
                span.bytes.end = escape.end;
            }
            !found
        });
    }

    /// Whether a plain word may be found: the tenant has terms or regular expressions of its own.
    pub fn has_own_terms(&self) -> bool {
        self.compiled.deny.is_some() || !self.compiled.custom.is_empty()
    }

    /// Places of allowed terms, sorted by start.
    pub fn allowed(&self, text: &str) -> Vec<ByteSpan> {
        let Some(terms) = &self.compiled.allow else {
            return Vec::new();
        };
        let mut places: Vec<ByteSpan> = terms.find(text).into_iter().map(|(at, _)| at).collect();
        // Not where a gap is taken for a border: what the other reading joins is no whole term.
        for reading in Readings::of(text).iter().filter(|reading| !reading.parted) {
            let found = terms.find(reading.text()).into_iter();
            places.extend(found.map(|(bytes, _)| reading.source(bytes)));
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// Which stretches some spans cover, each by itself.
struct Covered {
    /// By recogniser, label and start, with the farthest end among those up to each one.
    spans: Vec<(Recognizer, Arc<str>, usize, usize)>,
}

impl Covered {
    fn by(spans: &[Span]) -> Self {
        let mut spans: Vec<_> = spans
            .iter()
            .map(|span| {
                let (recognizer, label) = (span.recognizer.clone(), span.label.clone());
                (recognizer, label, span.bytes.start, span.bytes.end)
            })
            .collect();
        spans.sort_unstable();
        for index in 1..spans.len() {
            let (before, here) = spans.split_at_mut(index);
            let (before, here) = (&before[index - 1], &mut here[0]);
            if before.0 == here.0 && before.1 == here.1 {
                here.3 = here.3.max(before.3);
            }
        }
        Self { spans }
    }

    /// Whether a span of the same recogniser and label covers `bytes`.
    fn contains(&self, span: &Span, bytes: ByteSpan) -> bool {
        let begun = self.spans.partition_point(|(recognizer, label, start, _)| {
            (recognizer, label, *start) <= (&span.recognizer, &span.label, bytes.start)
        });
        begun.checked_sub(1).is_some_and(|last| {
            let (recognizer, label, _, end) = &self.spans[last];
            (recognizer, label) == (&span.recognizer, &span.label) && *end >= bytes.end
        })
    }
}

/// Drops spans inside another of the same recogniser and label: readings find most values again.
fn drop_nested(spans: &mut Vec<Span>) {
    spans.sort_by(|a, b| {
        (&a.recognizer, &a.label, a.bytes.start, Reverse(a.bytes.end)).cmp(&(
            &b.recognizer,
            &b.label,
            b.bytes.start,
            Reverse(b.bytes.end),
        ))
    });
    spans.dedup_by(|next, kept| {
        next.recognizer == kept.recognizer
            && next.label == kept.label
            && next.bytes.end <= kept.bytes.end
    });
}

/// Whether a span is a private key, which may be longer than what a search sees at once.
pub(crate) fn is_block(span: &Span) -> bool {
    matches!(&span.recognizer, Recognizer::Pattern(name) if **name == *Builtin::PrivateKey.name())
}

/// Bytes at the head of `rest` that belong to a private key which goes on to where `rest` begins.
pub(crate) fn block_continues(rest: &str) -> usize {
    secrets::key_material_end(rest)
}

fn find_custom(regex: &Regex, found: &Found, text: &str, spans: &mut Vec<Span>) {
    let mut push = |start: usize, end: usize| {
        if start < end {
            spans.push(found.span(ByteSpan::new(start, end)));
        }
    };
    if regex.captures_len() == 1 {
        for hit in regex.find_iter(text) {
            push(hit.start(), hit.end());
        }
        return;
    }
    for captures in regex.captures_iter(text) {
        // A group that took no part leaves the whole match: fail closed.
        let whole = captures.get(0).expect("group 0 is the match");
        let hit = captures
            .get(1)
            .filter(|group| !group.is_empty())
            .unwrap_or(whole);
        push(hit.start(), hit.end());
    }
}

fn compile(pattern: &Custom) -> Result<Regex, Error> {
    let failed = |reason: String| Error::Regex {
        name: pattern.name.clone(),
        reason,
    };
    let parsed = regex_syntax::parse(&pattern.regex).map_err(|e| failed(e.to_string()))?;
    if parsed
        .properties()
        .minimum_len()
        .is_none_or(|least| least == 0)
    {
        return Err(Error::MatchesEmpty {
            name: pattern.name.clone(),
        });
    }
    Regex::new(&pattern.regex).map_err(|e| failed(e.to_string()))
}

fn compile_list(list: &'static str, terms: &[&str]) -> Result<Option<Terms>, Error> {
    if terms.is_empty() {
        return Ok(None);
    }
    for (index, term) in terms.iter().enumerate() {
        if term.trim().is_empty() {
            return Err(Error::EmptyTerm {
                list,
                place: index + 1,
            });
        }
        if term.len() > Patterns::MAX_TERM_BYTES {
            return Err(Error::TermTooLong {
                list,
                place: index + 1,
                bytes: term.len(),
            });
        }
    }
    let terms_count = terms.len();
    let compiled = Terms::build(terms.iter().map(|term| term.trim()));
    compiled.map(Some).map_err(|_| Error::ListTooLarge {
        list,
        terms: terms_count,
    })
}

fn parse_region(region: &str) -> Result<numbers::Region, Error> {
    let id: Result<country::Id, _> = region.to_uppercase().parse();
    id.map(numbers::Region::new).map_err(|_| Error::Region {
        region: region.to_owned(),
    })
}

fn nearest(name: &str) -> Option<String> {
    let name = name.to_lowercase().replace([' ', '-'], "_");
    let known = builtin::NAMES
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name)))?;
    if strsim::jaro_winkler(known, &name) >= 0.7 {
        return Some((*known).to_owned());
    }
    for_label_name(&name)
}

fn for_label_name(name: &str) -> Option<String> {
    builtin::for_label(name).map(str::to_owned)
}

#[cfg(test)]
mod tests;
