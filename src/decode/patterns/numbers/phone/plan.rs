//! Numbering plans: which national numbers exist, and how their country writes them.
//!
//! The tables are libphonenumber's, as the crate `phonenumber` holds them. Its own validity check
//! is not used: it takes a number whose beginning matches a plan for a valid one, strips a national
//! prefix twice, reads the international prefix of a country behind `+`, and compiles each
//! expression again when more than 100 are in use.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock, sync::OnceLock};

use phonenumber::{
    Metadata, country,
    metadata::{DATABASE, Descriptor},
};
use regex::Regex;

/// Whether digits behind `+` are a number of some country.
pub(super) fn is_international(digits: &str) -> bool {
    if !(7..=15).contains(&digits.len()) {
        return false;
    }
    // No calling code is the beginning of another one (ITU-T E.164).
    let Some((code, national)) = (1..=3).find_map(|length| {
        let (code, national) = digits.split_at(length);
        let code: u16 = code.parse().ok()?;
        Some((CODES.get(&code)?, national))
    }) else {
        return false;
    };
    let regions = code
        .0
        .get_or_init(|| code.1.iter().map(|id| Numbers::new(id)).collect());
    regions.iter().any(|region| region.reads(national))
}

/// Plans of the countries that share a calling code, compiled when the first such number is read.
static CODES: LazyLock<HashMap<u16, (OnceLock<Vec<Numbers>>, Vec<&'static Metadata>)>> =
    LazyLock::new(|| {
        (1..1000)
            .filter_map(|code| Some((code, (OnceLock::new(), DATABASE.by_code(&code)?))))
            .collect()
    });

/// Numbers that a regulator keeps free for films and documentation (Ofcom, numbers for drama use)
/// and that the tables leave out: texts with invented numbers hold them.
const INVENTED: &[(&str, &str)] = &[("GB", r"7700900\d{3}|1632960\d{3}|3069990\d{3}")];

/// Which national significant numbers exist.
#[derive(Debug, Clone)]
struct Numbers {
    valid: Regex,
    /// What may be dialled before the number within the country, carrier codes included.
    prefix: Option<Regex>,
    /// What a prefix turns into: Argentina's 15 behind the area code is a 9 before it.
    transform: Option<String>,
}

impl Numbers {
    fn new(metadata: &Metadata) -> Self {
        let types = metadata.descriptors();
        let kinds = [
            types.fixed_line(),
            types.mobile(),
            types.toll_free(),
            types.premium_rate(),
            types.shared_cost(),
            types.personal_number(),
            types.voip(),
            types.pager(),
            types.uan(),
            types.voicemail(),
        ];
        let invented = INVENTED.iter().filter(|(id, _)| *id == metadata.id());
        let kinds: Vec<&str> = kinds
            .into_iter()
            .flatten()
            .map(expression)
            .chain(invented.map(|(_, numbers)| *numbers))
            .collect();
        Self {
            valid: whole(&kinds.join("|")),
            prefix: metadata
                .national_prefix_for_parsing()
                .map(|prefix| prefix.as_str())
                .or(metadata.national_prefix())
                .map(|prefix| compiled(&format!("^(?:{prefix})"))),
            transform: metadata.national_prefix_transform_rule().map(replacement),
        }
    }

    /// Whether digits behind a calling code are a number. The national prefix may stand before it
    /// all the same (`+44 020 …`); what is only dialled within an area may not.
    fn reads(&self, digits: &str) -> bool {
        let prefixed = || {
            let prefix = self.prefix.as_ref()?.find(digits)?;
            Some(&digits[prefix.end()..])
        };
        self.valid.is_match(digits)
            || prefixed().is_some_and(|national| self.valid.is_match(national))
    }

    fn without_prefix<'a>(&self, digits: &'a str) -> Option<Cow<'a, str>> {
        let prefix = self.prefix.as_ref()?;
        if !prefix.is_match(digits) {
            return None;
        }
        let captures = prefix.captures(digits)?;
        let prefix = captures.get(0).expect("group 0 is the match");
        if prefix.is_empty() {
            return None;
        }
        // The rule holds only where the last group took part, as in libphonenumber.
        let last = captures.get(captures.len() - 1);
        match &self.transform {
            Some(rule) if captures.len() > 1 && last.is_some() => {
                let mut national = String::new();
                captures.expand(rule, &mut national);
                national.push_str(&digits[prefix.end()..]);
                Some(national.into())
            }
            _ => Some(digits[prefix.end()..].into()),
        }
    }
}

/// One country's plan, for numbers without a calling code.
#[derive(Debug, Clone)]
pub(in crate::decode::patterns) struct Region {
    numbers: Numbers,
    mobile: Option<Regex>,
    /// What is dialled before a national number: `0` in most of Europe, none in Spain.
    trunk: Option<String>,
    formats: Vec<Format>,
}

/// How numbers of some leading digits are written.
#[derive(Debug, Clone)]
struct Format {
    leading: Option<Regex>,
    pattern: Regex,
    /// With what the country writes before the number.
    national: String,
    plain: String,
    trunk_optional: bool,
}

/// How the groups of a valid number compare with those of its country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Exactly as the country writes them.
    Exact,
    /// The area code stands apart as it should; the rest is grouped in another way.
    Area,
    /// In another way.
    Other,
}

/// A valid number of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub grouping: Grouping,
    /// It begins with the national prefix, or the country writes it without one.
    pub complete: bool,
    /// It begins with the national prefix, or with a zero that has its place.
    pub trunk: bool,
    /// The country has no national prefix.
    pub trunkless: bool,
    pub mobile: bool,
}

impl Region {
    pub(in crate::decode::patterns) fn new(id: country::Id) -> Self {
        let metadata = DATABASE
            .by_id(id.as_ref())
            .expect("the tables hold every country that the library names");
        let trunk = metadata.national_prefix().map(str::to_owned);
        // Countries that share a calling code write numbers as its main country does.
        let formats = match metadata.formats() {
            [] => DATABASE
                .by_code(&metadata.country_code())
                .and_then(|sharing| sharing.first().map(|main| main.formats()))
                .unwrap_or_default(),
            own => own,
        };
        let formats = formats
            .iter()
            .map(|format| Format::new(format, trunk.as_deref()))
            .collect();
        Self {
            numbers: Numbers::new(metadata),
            mobile: metadata
                .descriptors()
                .mobile()
                .map(|mobile| whole(expression(mobile))),
            trunk,
            formats,
        }
    }

    /// Reads digits that stand in groups of `sizes`; `None` where the plan has no such number.
    pub(super) fn read(&self, digits: &str, sizes: &[usize]) -> Option<Reading> {
        let stripped = self.numbers.without_prefix(digits);
        let mut best: Option<Reading> = None;
        for national in [stripped, Some(digits.into())].into_iter().flatten() {
            if !self.numbers.valid.is_match(&national) {
                continue;
            }
            let reading = self.reading(digits, sizes, &national);
            if best.is_none_or(|best| {
                (reading.grouping as u8, !reading.complete) < (best.grouping as u8, !best.complete)
            }) {
                best = Some(reading);
            }
        }
        best
    }

    fn reading(&self, digits: &str, sizes: &[usize], national: &str) -> Reading {
        let prefixed = digits != national;
        let mut reading = Reading {
            grouping: Grouping::Other,
            complete: prefixed || self.trunk.is_none(),
            trunk: prefixed || digits.starts_with('0'),
            trunkless: self.trunk.is_none(),
            mobile: self
                .mobile
                .as_ref()
                .is_some_and(|mobile| mobile.is_match(national)),
        };
        let Some(format) = self.formats.iter().find(|format| format.takes(national)) else {
            return reading;
        };
        let written = groups_of(&format.pattern.replace(national, format.national.as_str()));
        let plain = groups_of(&format.pattern.replace(national, format.plain.as_str()));
        reading.complete |= written == plain || format.trunk_optional;
        let mut forms = vec![written, plain.clone()];
        if let Some(trunk) = &self.trunk {
            let mut merged = plain.clone();
            merged[0].insert_str(0, trunk);
            let mut apart = plain;
            apart.insert(0, trunk.clone());
            forms.extend([merged, apart]);
        }
        for form in forms {
            if form.concat() != digits {
                continue;
            }
            let lengths: Vec<usize> = form.iter().map(String::len).collect();
            if lengths == sizes {
                reading.grouping = Grouping::Exact;
                return reading;
            }
            // Behind a trunk prefix that stands alone the area code is the second group.
            let area = lengths.len() > 1
                && sizes.len() > 1
                && (lengths[0] == sizes[0] || sizes[0] + sizes[1] == lengths[0] && sizes.len() > 2);
            if area {
                reading.grouping = Grouping::Area;
            }
        }
        reading
    }
}

impl Format {
    fn new(format: &phonenumber::metadata::Format, trunk: Option<&str>) -> Self {
        let plain = replacement(format.format());
        let national = match format.national_prefix() {
            // `$FG` is the first group that the format itself holds.
            Some(rule) => {
                let first = FIRST_GROUP.find(&plain).map_or("", |group| group.as_str());
                let rule = rule
                    .replace("$NP", trunk.unwrap_or(""))
                    .replace("$FG", first);
                FIRST_GROUP
                    .replace(&plain, regex::NoExpand(&replacement(&rule)))
                    .into_owned()
            }
            None => plain.clone(),
        };
        Self {
            // The last expression is the one that tells most (libphonenumber's rule).
            leading: format
                .leading_digits()
                .last()
                .map(|leading| compiled(&format!("^(?:{})", leading.as_str()))),
            pattern: whole(format.pattern().as_str()),
            national,
            plain,
            trunk_optional: format.is_national_prefix_optional(),
        }
    }

    fn takes(&self, national: &str) -> bool {
        self.leading
            .as_ref()
            .is_none_or(|leading| leading.is_match(national))
            && self.pattern.is_match(national)
    }
}

static FIRST_GROUP: LazyLock<Regex> = LazyLock::new(|| compiled(r"\$\{\d\}"));

/// The tables write `$1`, which may stand directly before a digit.
fn replacement(format: &str) -> String {
    let mut written = String::new();
    let mut characters = format.chars().peekable();
    while let Some(c) = characters.next() {
        match characters.peek() {
            Some(digit) if c == '$' && digit.is_ascii_digit() => {
                written.extend(["${", digit.encode_utf8(&mut [0; 4]), "}"]);
                characters.next();
            }
            _ => written.push(c),
        }
    }
    written
}

fn groups_of(written: &str) -> Vec<String> {
    written
        .split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect()
}

fn expression(descriptor: &Descriptor) -> &str {
    descriptor.national_number().as_str()
}

fn whole(expression: &str) -> Regex {
    compiled(&format!("^(?:{expression})$"))
}

fn compiled(expression: &str) -> Regex {
    // The tables break lines within expressions. Digits are ASCII here.
    let expression: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    Regex::new(&expression.replace("\\d", "[0-9]")).expect("the tables hold valid expressions")
}
