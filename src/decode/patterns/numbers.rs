//! Payment cards, IBANs, social security numbers, phone numbers.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use phonenumber::country;

use super::borders::{around, closes, continues_after, continues_before, opens};
use crate::text::ByteSpan;

/// A maximal run of digits with at most one space or dash between them.
struct Digits {
    /// First byte of each group, and the byte after its last.
    groups: Vec<(usize, usize)>,
}

/// Calls `each` with every run of digit groups; runs are disjoint, so the pass is linear.
fn digit_runs(text: &str, separators: &[u8], mut each: impl FnMut(&Digits)) {
    let bytes = text.as_bytes();
    let mut digits = Digits { groups: Vec::new() };
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        digits.groups.clear();
        loop {
            let start = at;
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                at += 1;
            }
            digits.groups.push((start, at));
            let goes_on = at + 1 < bytes.len()
                && separators.contains(&bytes[at])
                && bytes[at + 1].is_ascii_digit();
            if !goes_on {
                break;
            }
            at += 1;
        }
        each(&digits);
    }
}

/// Whether `start..end` is a part of a longer number: a decimal, or glued to letters.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    opens(text, start)
        && closes(text, end)
        && !continues_before(text, start, b'.')
        && !continues_after(text, end, b'.')
}

/// Payment cards: an issuer's prefix and length, a valid Luhn digit; bare, or in the groups that
/// are printed on cards (4-4-4-4, 4-6-5, 4-6-4, 4-4-4-4-3, 4-4-4-1) with single spaces or dashes.
pub(super) fn card(text: &str, found: &mut Vec<ByteSpan>) {
    const GROUPINGS: [&[usize]; 6] = [
        &[4, 4, 4, 4],
        &[4, 6, 5],
        &[4, 6, 4],
        &[4, 4, 4, 4, 3],
        &[4, 4, 4, 1],
        &[4, 5, 6],
    ];
    let bytes = text.as_bytes();
    digit_runs(text, b" -", |run| {
        let mut first = 0;
        while first < run.groups.len() {
            let (start, group_end) = run.groups[first];
            let mut matched = 0;
            if (13..=19).contains(&(group_end - start)) {
                // A dash to more digits makes it a longer token.
                let dashed =
                    continues_before(text, start, b'-') || continues_after(text, group_end, b'-');
                // Card numbers of 17 digits or more are rare, identifiers such as `blk_-…` are not.
                let identifier =
                    group_end - start >= 17 && start > 0 && matches!(bytes[start - 1], b'_' | b'-');
                if !dashed
                    && !identifier
                    && stands_alone(text, start, group_end)
                    && is_card(&bytes[start..group_end])
                {
                    found.push(ByteSpan::new(start, group_end));
                    matched = 1;
                }
            } else if group_end - start == 4 {
                for sizes in GROUPINGS {
                    let Some(groups) = run.groups.get(first..first + sizes.len()) else {
                        continue;
                    };
                    let fits = groups
                        .iter()
                        .zip(sizes)
                        .all(|(group, size)| group.1 - group.0 == *size);
                    if !fits || sizes.len() <= matched {
                        continue;
                    }
                    let end = groups[groups.len() - 1].1;
                    let separator = bytes[groups[0].1];
                    let uniform = groups[..groups.len() - 1]
                        .iter()
                        .all(|group| bytes[group.1] == separator);
                    let dashed = separator == b'-'
                        && (continues_before(text, start, b'-')
                            || continues_after(text, end, b'-'));
                    if !uniform || dashed || !stands_alone(text, start, end) {
                        continue;
                    }
                    let digits: Vec<u8> = groups
                        .iter()
                        .flat_map(|group| &bytes[group.0..group.1])
                        .copied()
                        .collect();
                    if is_card(&digits) {
                        if matched > 0 {
                            found.pop();
                        }
                        found.push(ByteSpan::new(start, end));
                        matched = sizes.len();
                    }
                }
            }
            first += matched.max(1);
        }
    });
}

/// Whether ASCII digits are a card number: prefix, length and Luhn.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) || !luhn(digits) {
        return false;
    }
    let head = digits[..6]
        .iter()
        .fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    issuer_lengths(head).contains(&digits.len())
}

/// Lengths that cards of this six-digit prefix have (ISO/IEC 7812; the ranges the networks publish).
fn issuer_lengths(head: u32) -> &'static [usize] {
    match head {
        400_000..=499_999 => &[13, 16, 19],             // Visa
        510_000..=559_999 | 222_100..=272_099 => &[16], // Mastercard
        340_000..=349_999 | 370_000..=379_999 => &[15], // American Express
        300_000..=305_999 | 309_500..=309_599 | 380_000..=399_999 => &[14, 16, 17, 18, 19], // Diners
        360_000..=369_999 => &[14, 15, 16, 17, 18, 19], // Diners
        352_800..=358_999 => &[16, 17, 18, 19],         // JCB
        601_100..=601_199 | 644_000..=659_999 => &[16, 17, 18, 19], // Discover
        620_000..=629_999 | 810_000..=819_999 => &[16, 17, 18, 19], // UnionPay
        220_000..=220_499 => &[16, 17, 18, 19],         // Mir
        500_000..=509_999
        | 560_000..=589_999
        | 600_000..=601_099
        | 601_200..=619_999
        | 630_000..=639_999
        | 670_000..=679_999 => &[13, 14, 15, 16, 17, 18, 19], // Maestro, RuPay, Verve
        979_200..=979_299 => &[16],                     // Troy
        _ => &[],
    }
}

/// The Luhn check (ISO/IEC 7812-1, annex B) over ASCII digits.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let mut sum = 0u32;
    for (place, digit) in digits.iter().rev().enumerate() {
        let digit = u32::from(digit - b'0');
        sum += match place % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        };
    }
    sum.is_multiple_of(10)
}

/// IBANs (ISO 13616): the country's length and structure, a valid check number; in any case, bare
/// or in groups with single spaces or dashes.
pub(super) fn iban(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut at = 2;
    while at + 12 < bytes.len() {
        // Two check digits behind two letters: the rest of the alphabet goes by in one comparison.
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at - 2;
        let head = bytes[at + 1].is_ascii_digit()
            && bytes[start].is_ascii_alphabetic()
            && bytes[start + 1].is_ascii_alphabetic();
        if !head || !opens(text, start) {
            at += 1;
            continue;
        }
        match longest_iban(text, start) {
            Some(end) => {
                found.push(ByteSpan::new(start, end));
                at = end + 2;
            }
            None => at += 2,
        }
    }
}

fn longest_iban(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut compact = String::with_capacity(34);
    let mut at = start;
    let mut longest = None;
    // 34 characters at most (ISO 13616); a separator may stand between any two groups of four.
    while compact.len() < 34 {
        match bytes.get(at) {
            Some(byte) if byte.is_ascii_alphanumeric() => {
                compact.push(char::from(byte.to_ascii_uppercase()))
            }
            Some(b' ' | b'-')
                if compact.len().is_multiple_of(4)
                    && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) =>
            {
                at += 1;
                continue;
            }
            _ => break,
        }
        at += 1;
        if compact.len() >= 15 && closes(text, at) && compact.parse::<iban::Iban>().is_ok() {
            longest = Some(at);
        }
    }
    longest
}

/// US social security numbers by the rules of issue (area not 000, 666 or 9xx; group not 00;
/// serial not 0000): with dashes anywhere; with spaces or bare only near `ssn` or `social`.
pub(super) fn ssn(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    digit_runs(text, b" -", |run| {
        for (index, &(start, end)) in run.groups.iter().enumerate() {
            if end - start == 9 {
                let glued = continues_before(text, start, b'-') || continues_after(text, end, b'-');
                if !glued
                    && is_ssn(&bytes[start..end])
                    && stands_alone(text, start, end)
                    && near_ssn_clue(text, start, end)
                {
                    found.push(ByteSpan::new(start, end));
                }
                continue;
            }
            if end - start != 3 {
                continue;
            }
            let Some(&[_, group, serial]) = run.groups.get(index..index + 3) else {
                continue;
            };
            if group.1 - group.0 != 2 || serial.1 - serial.0 != 4 || bytes[end] != bytes[group.1] {
                continue;
            }
            let separator = bytes[end];
            let glued = separator == b'-'
                && (continues_before(text, start, b'-') || continues_after(text, serial.1, b'-'));
            let digits: Vec<u8> = [(start, end), group, serial]
                .iter()
                .flat_map(|part| &bytes[part.0..part.1])
                .copied()
                .collect();
            let clue = separator == b'-' || near_ssn_clue(text, start, serial.1);
            if !glued && is_ssn(&digits) && stands_alone(text, start, serial.1) && clue {
                found.push(ByteSpan::new(start, serial.1));
            }
        }
    });
}

fn is_ssn(digits: &[u8]) -> bool {
    let (area, group, serial) = (&digits[..3], &digits[3..5], &digits[5..]);
    area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000"
}

static SSN_CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(["ssn", "social"])
        .expect("a few short literals")
});

/// Also inside a word: keys are written `employeeSsn`.
fn near_ssn_clue(text: &str, start: usize, end: usize) -> bool {
    let (left, right) = around(text, start, end, 30);
    SSN_CLUES.is_match(left) || SSN_CLUES.is_match(right)
}

/// Words that make a bare national number a phone number.
static PHONE_CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "phone",
            "telephone",
            "tel",
            "mobile",
            "cell",
            "fax",
            "call",
            "contact",
            "sms",
            "whatsapp",
            "dial",
            "handy",
            "telefon",
            "telefono",
            "msisdn",
            "ph",
        ])
        .expect("a few short literals")
});

/// The country whose national numbers are looked for.
#[derive(Debug, Clone)]
pub(super) struct Region {
    id: country::Id,
    /// What is dialled before a national number: `0` in most of Europe, none in Spain.
    trunk: Option<String>,
    /// North America: numbers have one grouping, 3-3-4.
    north_america: bool,
}

impl Region {
    pub(super) fn new(id: country::Id) -> Self {
        let metadata = phonenumber::metadata::DATABASE.by_id(id.as_ref());
        let prefix = metadata.and_then(|metadata| metadata.national_prefix());
        let north_america = prefix == Some("1");
        // The NANP's 1 may be left out.
        let trunk = prefix.filter(|_| !north_america).map(str::to_owned);
        Self {
            id,
            trunk,
            north_america,
        }
    }
}

/// Phone numbers: international ones (`+…`) always; with a `region` national ones too, where the
/// trunk prefix and the grouping of a phone number, or a clue word before it, set them apart from
/// other numbers. The phone library has the last word on every candidate.
pub(super) fn phone(text: &str, region: Option<&Region>, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let Some(region) = region else {
        let mut done = 0;
        for plus in memchr::memchr_iter(b'+', bytes) {
            if plus >= done
                && let Some(end) = international(text, plus)
            {
                found.push(ByteSpan::new(plus, end));
                done = end;
            }
        }
        return;
    };
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let hit = match byte {
            b'+' => international(text, at).map(|end| (at, end)),
            b'0'..=b'9' => national(text, at, region).map(|end| (at, end)),
            // A bracket may stand around the area code or around the whole number.
            b'(' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => national(text, at, region)
                .map(|end| (at, end))
                .or_else(|| national(text, at + 1, region).map(|end| (at + 1, end))),
            _ => None,
        };
        if let Some((start, end)) = hit {
            found.push(ByteSpan::new(start, end));
            at = end;
            continue;
        }
        at += 1;
        // Nothing begins inside a run of digits.
        if byte.is_ascii_digit() {
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                at += 1;
            }
        }
    }
}

fn international(text: &str, plus: usize) -> Option<usize> {
    let code = *text.as_bytes().get(plus + 1)?;
    if !matches!(code, b'1'..=b'9') || !opens(text, plus) {
        return None;
    }
    Shape::read(text, plus + 1).longest(text, |shape| {
        let mut digits: String = shape.digits(text);
        // `+49 (0) 30 …`: the trunk zero is not dialled from abroad.
        if let Some(zero) = text[plus..shape.end()].find("(0)") {
            let before = text[plus..plus + zero]
                .bytes()
                .filter(u8::is_ascii_digit)
                .count();
            digits.remove(before);
        }
        (7..=15).contains(&digits.len())
            && phonenumber::parse(None, format!("+{digits}")).is_ok_and(|number| number.is_valid())
    })
}

fn national(text: &str, start: usize, region: &Region) -> Option<usize> {
    let glued = !opens(text, start)
        || [b'.', b'-', b'/', b':', b'+']
            .iter()
            .any(|mark| continues_before(text, start, *mark));
    if glued {
        return None;
    }
    Shape::read(text, start).longest(text, |shape| shape.is_national(text, region))
}

/// Groups that a phone number has at most (`1 800 …` and five pairs are six).
const MAX_GROUPS: usize = 8;

/// Digit groups with the separators of phone numbers between them.
struct Shape {
    start: usize,
    groups: [(usize, usize); MAX_GROUPS],
    count: usize,
    /// Digits in all groups.
    digits: usize,
}

impl Shape {
    /// Reads groups at `start`, which is a digit or `(`, until there are more than 20 digits.
    fn read(text: &str, start: usize) -> Self {
        let bytes = text.as_bytes();
        let mut shape = Self {
            start,
            groups: [(0, 0); MAX_GROUPS],
            count: 0,
            digits: 0,
        };
        let mut at = start + usize::from(bytes[start] == b'(');
        loop {
            let from = at;
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                at += 1;
            }
            shape.groups[shape.count] = (from, at);
            shape.count += 1;
            shape.digits += at - from;
            if shape.count == MAX_GROUPS || shape.digits > 20 {
                return shape;
            }
            // One to three of ` -./()` between groups, as in `) `, ` (`, `-`, ` - `.
            let gap = bytes[at..]
                .iter()
                .take(4)
                .take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')'))
                .count();
            if gap == 0 || gap > 3 || !bytes.get(at + gap).is_some_and(u8::is_ascii_digit) {
                return shape;
            }
            at += gap;
        }
    }

    fn groups(&self) -> &[(usize, usize)] {
        &self.groups[..self.count]
    }

    fn end(&self) -> usize {
        self.groups[self.count - 1].1
    }

    fn digits(&self, text: &str) -> String {
        self.groups()
            .iter()
            .map(|group| &text[group.0..group.1])
            .collect()
    }

    /// Lengths of the groups.
    fn sizes(&self) -> [usize; MAX_GROUPS] {
        self.groups.map(|group| group.1 - group.0)
    }

    fn gap<'a>(&self, text: &'a str, index: usize) -> &'a str {
        &text[self.groups[index].1..self.groups[index + 1].0]
    }

    /// End of the longest whole number of groups that passes: at most eight are tried, and none of
    /// fewer than seven digits.
    fn longest(mut self, text: &str, passes: impl Fn(&Self) -> bool) -> Option<usize> {
        while self.digits >= 7 {
            let end = self.end();
            let alone = closes(text, end)
                && ![b'-', b'.', b'/', b':']
                    .iter()
                    .any(|mark| continues_after(text, end, *mark));
            if alone && self.is_balanced(text) && passes(&self) {
                return Some(end);
            }
            let (from, to) = self.groups[self.count - 1];
            self.digits -= to - from;
            self.count -= 1;
            self.groups[self.count] = (0, 0);
        }
        None
    }

    fn is_balanced(&self, text: &str) -> bool {
        let depth = text[self.start..self.end()]
            .bytes()
            .fold(0i32, |depth, byte| match byte {
                b'(' => depth + 1,
                b')' => depth - 1,
                _ => depth,
            });
        depth == 0
    }

    fn is_national(&self, text: &str, region: &Region) -> bool {
        if self.digits > 13 || self.is_date(text) || self.is_address(text) {
            return false;
        }
        let digits = self.digits(text);
        let trunk = region
            .trunk
            .as_ref()
            .is_none_or(|trunk| digits.starts_with(trunk.as_str()));
        let looks_like_one = trunk && self.is_grouped(text, region);
        if !looks_like_one && !near_phone_clue(text, self.start) {
            return false;
        }
        phonenumber::parse(Some(region.id), digits).is_ok_and(|number| number.is_valid())
    }

    /// Whether the groups look like those of a phone number and not like columns of numbers.
    fn is_grouped(&self, text: &str, region: &Region) -> bool {
        if self.count < 2 {
            return false;
        }
        let sizes = self.sizes();
        let sizes = &sizes[..self.count];
        let first = text.as_bytes()[self.start];
        if first == b'(' {
            return true;
        }
        let gap = self.gap(text, 0);
        if first == b'0' {
            // `081109 203615` is a date and a time: an area code has five digits at most.
            // `0.38137424` is a fraction.
            return self.count <= 6
                && (sizes[0] <= 5 || gap != " ")
                && (sizes[0] > 1 || gap != ".");
        }
        // The NANP's own grouping, with or without the 1 in front.
        if sizes.ends_with(&[3, 3, 4]) && (self.count == 3 || sizes == [1, 3, 3, 4]) {
            return true;
        }
        if region.north_america {
            return sizes == [3, 7];
        }
        let even = (1..self.count - 1).all(|index| self.gap(text, index) == gap);
        match sizes {
            [3, 6..=8] => gap != ".",
            [_, _, _, ..] => even && gap != "/" && sizes.iter().all(|size| (2..=4).contains(size)),
            _ => false,
        }
    }

    /// `2024-03-05`, `05.03.2024`, `3/5/24` and the like.
    fn is_date(&self, text: &str) -> bool {
        let number = |index: usize| {
            text[self.groups[index].0..self.groups[index].1]
                .parse::<u32>()
                .unwrap_or(u32::MAX)
        };
        match self.sizes() {
            [4, 1..=2, 1..=2, ..] => (1..=12).contains(&number(1)) && (1..=31).contains(&number(2)),
            [1..=2, 1..=2, 2 | 4, ..] => {
                (1..=12).contains(&number(0)) && (1..=31).contains(&number(1))
                    || (1..=31).contains(&number(0)) && (1..=12).contains(&number(1))
            }
            _ => false,
        }
    }

    /// Four numbers up to 255: an IPv4 address, also as host names hold it (`82-68-222-195`).
    fn is_address(&self, text: &str) -> bool {
        self.count == 4
            && self
                .groups()
                .iter()
                .all(|group| group.1 - group.0 <= 3 && text[group.0..group.1].parse::<u8>().is_ok())
            && (0..3).all(|index| matches!(self.gap(text, index), "." | "-"))
    }
}

fn near_phone_clue(text: &str, start: usize) -> bool {
    let (left, _) = around(text, start, start, 30);
    let bytes = left.as_bytes();
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    PHONE_CLUES.find_overlapping_iter(left).any(|clue| {
        // Short clues are parts of many words; long ones stand in keys such as `phoneNumber`.
        let whole = !letter(clue.start().wrapping_sub(1)) && !letter(clue.end());
        whole || clue.len() >= 5
    })
}
