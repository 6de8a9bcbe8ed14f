//! Payment cards: an issuer's prefix and length, a valid Luhn digit, the groups that people write.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::{
    clue::{is_label, word_after, word_before},
    groups::{Gap, Run, digit_runs, digits},
};
use crate::{
    decode::patterns::borders::{around, before, closes, continues_after, continues_before, opens},
    text::ByteSpan,
};

/// Payment cards: bare, or in groups with one kind of separator between them, with or without a
/// label glued to them (`card4111…`, `%B4111…^`).
pub(in crate::decode::patterns) fn card(text: &str, found: &mut Vec<ByteSpan>) {
    digit_runs(text, |run| {
        let mut first = 0;
        while first < run.groups.len() {
            match longest(text, run, first) {
                Some(count) => {
                    let end = run.groups[first + count - 1].1;
                    found.push(ByteSpan::new(run.groups[first].0, end));
                    first += count;
                }
                None => first += 1,
            }
        }
    });
}

/// Groups that a card has at most (4-4-4-4-3).
const MAX_GROUPS: usize = 5;

/// How many groups at `first` are a card; the most that are.
fn longest(text: &str, run: &Run, first: usize) -> Option<usize> {
    let most = MAX_GROUPS.min(run.groups.len() - first);
    let mut sizes = [0; MAX_GROUPS];
    for (index, size) in sizes[..most].iter_mut().enumerate() {
        *size = run.size(first + index);
    }
    (1..=most)
        .rev()
        .find(|count| is_printed(&sizes[..*count]) && stands(text, run, first, *count))
}

/// Whether cards are written in groups of these sizes: in one piece, in fours with a rest, in the
/// groups of American Express and Diners, in halves, or as the issuer's number and the account's.
fn is_printed(sizes: &[usize]) -> bool {
    let digits: usize = sizes.iter().sum();
    if !(12..=19).contains(&digits) {
        return false;
    }
    match sizes {
        [_] => true,
        [fours @ .., rest] if fours.iter().all(|size| *size == 4) => *rest <= 7 || sizes.len() == 2,
        [4, 6, 4 | 5] | [4, 5, 6] | [5, 5, 5 | 6] | [8, 8] | [6, 6, 4] | [4, 8, 4] | [8, 4, 4] => {
            true
        }
        [6, 7..=13] => true,
        [6, rest @ ..] => rest.iter().all(|size| *size == 4),
        _ => false,
    }
}

fn stands(text: &str, run: &Run, first: usize, count: usize) -> bool {
    let groups = &run.groups[first..first + count];
    let (start, end) = (groups[0].0, groups[count - 1].1);
    let number = digits(text, groups);
    if !is_card(&number) {
        return false;
    }
    let labelled = || is_labelled(text, start, end);
    // Twelve digits are Maestro's least; so many other numbers have as many.
    if number.len() == 12 && !labelled() {
        return false;
    }
    if !(opens(text, start) || label_before(text, start))
        || !(closes(text, end) || label_after(text, end))
    {
        return false;
    }
    if is_decimal(text, start, end) {
        return false;
    }
    if count == 1 {
        // A dash to more digits makes it a longer token. Card numbers of 17 digits or more are
        // rare, identifiers such as `blk_-…` are not.
        let dashed = continues_before(text, start, b'-') || continues_after(text, end, b'-');
        let identifier = number.len() >= 17 && matches!(before(text, start), Some('_' | '-'));
        return !dashed && !identifier || labelled();
    }
    let gaps = &run.gaps[first..first + count - 1];
    let outer = [
        first.checked_sub(1).map(|gap| run.gaps[gap]),
        run.gaps.get(first + count - 1).copied(),
    ];
    let uniform = is_uniform(gaps);
    let fours = groups[..count - 1]
        .iter()
        .all(|group| group.1 - group.0 == 4)
        && count > 2;
    // Separators of two kinds are a slip of the hand; columns of numbers have them too.
    if !(uniform || fours && outer == [None, None]) {
        return false;
    }
    // `30546174_10537609` is an identifier, `4800.935999999999` a fraction.
    let pair = count == 2 && !matches!(gaps[0], Gap::Space | Gap::Mark(b'-'));
    if pair && !labelled() {
        return false;
    }
    let goes_on = outer.iter().flatten().any(|gap| gaps.contains(gap));
    match (gaps[0], fours) {
        // `4111 1111 1111 1111 05 28`: what follows a card are its dates.
        (Gap::Space, true) => true,
        // Line by line is a column, not a number that was wrapped.
        (Gap::Break, _) if count > 2 && gaps.iter().all(|gap| *gap == Gap::Break) => false,
        _ => !goes_on || labelled(),
    }
}

/// Whether all gaps are of one kind, but for one line break.
fn is_uniform(gaps: &[Gap]) -> bool {
    let mut kinds = gaps.iter().filter(|gap| **gap != Gap::Break);
    let breaks = gaps.len() - kinds.clone().count();
    let Some(kind) = kinds.next() else {
        return true;
    };
    breaks <= 1 && kinds.all(|gap| gap == kind)
}

/// A part of a decimal number; `4111111111111111.0` is how a column of numbers prints a card.
fn is_decimal(text: &str, start: usize, end: usize) -> bool {
    if continues_before(text, start, b'.') {
        return true;
    }
    if !continues_after(text, end, b'.') {
        return false;
    }
    let fraction = text.as_bytes()[end + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    fraction.clone().count() > 2 || fraction.clone().any(|digit| *digit != b'0')
}

/// Labels that are glued to the number behind them.
const LABELS: &[&str] = &[
    "card",
    "cards",
    "cc",
    "pan",
    "ccn",
    "cb",
    "no",
    "nr",
    "num",
    "number",
    "numero",
    "número",
    "nummer",
    "visa",
    "mastercard",
    "mc",
    "amex",
    "maestro",
    "discover",
    "diners",
    "unionpay",
    "rupay",
    "jcb",
    "mir",
    "track",
    "credit",
    "debit",
    "karte",
    "carte",
    "carta",
    "tarjeta",
    "cartao",
    "cartão",
    "kort",
    "kaart",
    "karta",
    "ccnum",
    "cardno",
    "cardnum",
];

/// Whether a label or the start sentinel of a magnetic stripe (ISO/IEC 7813, `%B`) stands
/// directly before the number.
fn label_before(text: &str, start: usize) -> bool {
    let label = word_before(text, start);
    let sentinel = label == "b" && text[..start - 1].ends_with('%');
    sentinel || is_label(&label, LABELS)
}

/// Whether a label of the next field, or the separator of track 2 as chips hold it (`D` and the
/// year and month of expiry), stands directly behind the number.
fn label_after(text: &str, end: usize) -> bool {
    let bytes = text.as_bytes();
    let track = matches!(bytes[end], b'D' | b'd' | b'=')
        && bytes.len() >= end + 5
        && bytes[end + 1..end + 5].iter().all(u8::is_ascii_digit)
        && (1..=12).contains(&((bytes[end + 3] - b'0') * 10 + bytes[end + 4] - b'0'));
    let label = word_after(text, end);
    track
        || [
            "exp",
            "cvv",
            "cvc",
            "cid",
            "valid",
            "visa",
            "amex",
            "mastercard",
        ]
        .iter()
        .any(|known| label.starts_with(known))
}

static CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "card", "pan=", "pan:", "pan\"", "pan>", "pan ", "cc#", "cc:", "cc=", "ccn", "cc_",
            "visa", "master", "amex", "maestro", "credit", "debit", "kart", "carte", "tarjeta",
            "carta", "cart", "卡",
        ])
        .expect("a few short literals")
});

/// Whether a word for cards stands before the number.
fn is_labelled(text: &str, start: usize, end: usize) -> bool {
    let (left, _) = around(text, start, end, 30);
    CLUES.is_match(left)
}

/// Whether ASCII digits are a card number: prefix, length and Luhn.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    if !(12..=19).contains(&digits.len()) {
        return false;
    }
    let head = digits[..6]
        .iter()
        .fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    issuer_lengths(head).contains(&digits.len()) && luhn(digits)
}

/// Lengths that cards of this six-digit prefix have (ISO/IEC 7812; the ranges the networks publish).
fn issuer_lengths(head: u32) -> &'static [usize] {
    match head {
        400_000..=499_999 => &[13, 16, 19],             // Visa, Elo
        510_000..=559_999 | 222_100..=272_099 => &[16], // Mastercard
        340_000..=349_999 | 370_000..=379_999 => &[15], // American Express
        300_000..=305_999 | 309_500..=309_599 | 380_000..=399_999 => &[14, 16, 17, 18, 19], // Diners
        360_000..=369_999 => &[14, 15, 16, 17, 18, 19], // Diners
        352_800..=358_999 => &[16, 17, 18, 19],         // JCB
        601_100..=601_199 | 644_000..=659_999 => &[16, 17, 18, 19], // Discover, RuPay, Elo
        620_000..=629_999 | 810_000..=819_999 => &[16, 17, 18, 19], // UnionPay
        220_000..=220_499 => &[16, 17, 18, 19],         // Mir
        500_000..=509_999
        | 560_000..=589_999
        | 600_000..=601_099
        | 601_200..=619_999
        | 630_000..=639_999
        | 670_000..=679_999 => &[12, 13, 14, 15, 16, 17, 18, 19], // Maestro, RuPay, Verve, Elo, Hipercard
        860_000..=860_099 | 986_000..=986_099 => &[16], // Uzcard, Humo
        955_880..=955_889 => &[19], // UnionPay, the oldest prefix of its members
        970_400..=970_499 => &[16, 19], // Napas
        979_200..=979_299 => &[16], // Troy
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

#[cfg(test)]
mod tests;
