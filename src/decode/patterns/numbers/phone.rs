//! Phone numbers, international and national.

mod clue;
mod plan;
mod shape;

use std::cell::OnceCell;

pub(in crate::decode::patterns) use self::plan::Region;
use self::{
    clue::Clue,
    plan::{Grouping, Reading},
    shape::Shape,
};
use super::clue::word_before;
use crate::{
    decode::patterns::borders::{closes, continues_before, opens},
    text::ByteSpan,
};

/// Phone numbers: with a calling code always; of `region` where they are grouped as its plan groups
/// them or stand near a word for phones; of any country directly behind such a word. Extensions
/// belong to the number.
pub(in crate::decode::patterns) fn phone(
    text: &str,
    region: Option<&Region>,
    found: &mut Vec<ByteSpan>,
) {
    let bytes = text.as_bytes();
    let mut at = 0;
    // End of the last number that a clue stood before: the next one of a list has the same clue.
    let mut listed = None;
    while let Some(skipped) = bytes[at..]
        .iter()
        .position(|byte| matches!(byte, b'+' | b'(' | b'0'..=b'9'))
    {
        at += skipped;
        let in_list = listed.is_some_and(|end| is_list(&text[end..at]));
        if let Some((start, end, clue)) = number(text, at, region, in_list) {
            let end = extension(text, end);
            found.push(ByteSpan::new(start, end));
            listed = clue.then_some(end);
            at = end;
            continue;
        }
        // Nothing begins inside a run of digits.
        at += 1 + bytes[at..]
            .iter()
            .skip(1)
            .take_while(|byte| bytes[at].is_ascii_digit() && byte.is_ascii_digit())
            .count();
    }
}

/// Whether the text between two numbers only sets them apart.
fn is_list(between: &str) -> bool {
    between.len() <= 6
        && matches!(
            between.trim(),
            "" | ","
                | ";"
                | "/"
                | "|"
                | "&"
                | "or"
                | "and"
                | "oder"
                | "und"
                | "ou"
                | "et"
                | "y"
                | "o"
        )
}

/// A number at `at`: where it begins and ends, and whether a clue stands directly before it.
fn number(
    text: &str,
    at: usize,
    region: Option<&Region>,
    in_list: bool,
) -> Option<(usize, usize, bool)> {
    let bytes = text.as_bytes();
    let (start, first, plus) = beginning(bytes, at)?;
    let shape = Shape::read(text, start, first);
    if shape.digits < 7 {
        return None;
    }
    let part_of_longer = [b'.', b'-', b'/', b':', b'+']
        .iter()
        .any(|mark| continues_before(text, start, *mark));
    let clue = LazyClue::new(text, start, in_list);
    if !opens(text, start) && clue.get() < Clue::Glued {
        return None;
    }
    if !plus && part_of_longer {
        return None;
    }
    let end = if plus {
        shape
            .longest(text, |shape| {
                plan::is_international(&shape.international(text))
            })
            .or_else(|| {
                shape.longest(text, |shape| {
                    is_plausible(text, shape) && clue.get() >= Clue::Here
                })
            })
    } else {
        shape
            .longest(text, |shape| is_dialled(text, shape, &clue))
            .or_else(|| {
                let region = region?;
                shape.longest(text, |shape| is_national(text, shape, region, &clue))
            })
            .or_else(|| {
                if clue.get() == Clue::None && !clue::behind(text, shape.end()) {
                    return None;
                }
                shape.longest(text, |shape| {
                    is_plausible(text, shape)
                        && (clue.get() >= Clue::Here
                            || clue::behind(text, shape.end())
                            || clue.get() == Clue::Near
                                && region.is_none()
                                && is_written(text, shape))
                })
            })
    }?;
    Some((start, end, clue.get() >= Clue::Here))
}

/// What is said before a number, looked up when it is asked for.
struct LazyClue<'a> {
    text: &'a str,
    start: usize,
    in_list: bool,
    found: OnceCell<Clue>,
}

impl<'a> LazyClue<'a> {
    fn new(text: &'a str, start: usize, in_list: bool) -> Self {
        Self {
            text,
            start,
            in_list,
            found: OnceCell::new(),
        }
    }

    fn get(&self) -> Clue {
        *self.found.get_or_init(|| {
            let found = clue::before(self.text, self.start);
            match self.in_list {
                true => found.max(Clue::Here),
                false => found,
            }
        })
    }
}

/// Start of the number and of its first digit at a plus, bracket or digit, and whether a calling
/// code follows: `+44`, `+ 44`, `+(44)`, `(+44)`.
fn beginning(bytes: &[u8], at: usize) -> Option<(usize, usize, bool)> {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let code = |at: usize| matches!(bytes.get(at), Some(b'1'..=b'9'));
    match bytes[at] {
        b'+' => {
            let at_code = at + 1 + usize::from(bytes.get(at + 1) == Some(&b' '));
            match bytes.get(at_code) {
                Some(b'(') if code(at_code + 1) => Some((at, at_code + 1, true)),
                _ if code(at_code) => Some((at, at_code, true)),
                _ => None,
            }
        }
        b'(' if bytes.get(at + 1) == Some(&b'+') && code(at + 2) => Some((at, at + 2, true)),
        b'(' if digit(at + 1) => Some((at, at + 1, false)),
        b'(' => None,
        _ => Some((at, at, false)),
    }
}

/// What is dialled before a calling code in most of the world, in North America and in Australia.
const DIALLED: [&str; 3] = ["00", "011", "0011"];

/// `0049 30 …`, `011 44 …`: a calling code as it is dialled. In one piece, where counters with
/// leading zeros look alike, only behind a clue.
fn is_dialled(text: &str, shape: &Shape, clue: &LazyClue<'_>) -> bool {
    if text.as_bytes()[shape.groups()[0].0] != b'0' {
        return false;
    }
    let digits = shape.international(text);
    if !(10..=18).contains(&digits.len()) {
        return false;
    }
    // `0049 30…`, `011 44…`; `011352 5321` is a time and a number.
    let sizes = shape.sizes();
    let apart = match sizes[..] {
        [] | [_] => false,
        [first, _] => first <= 5 && (first == 3 || !digits.starts_with("011")),
        [first, ..] => first <= 7,
    };
    if !apart && clue.get() == Clue::None {
        return false;
    }
    DIALLED.iter().any(|dialled| {
        digits
            .strip_prefix(dialled)
            .is_some_and(plan::is_international)
    })
}

/// A valid number of the region, written as its numbers are or near a clue.
fn is_national(text: &str, shape: &Shape, region: &Region, clue: &LazyClue<'_>) -> bool {
    if shape.digits > 14 || shape.is_address(text) || shape.is_years(text) {
        return false;
    }
    let sizes = shape.sizes();
    // The plan is asked last: most numbers are dates, counters and columns.
    let hopeless = match sizes.len() {
        1 => shape.digits < 10 && clue.get() == Clue::None,
        2 | 3 => shape.is_date(text),
        _ => false,
    };
    if hopeless {
        return false;
    }
    let digits = shape.digits(text);
    let Some(reading) = region.read(&digits, &sizes) else {
        return false;
    };
    if reading.grouping == Grouping::Exact && reading.trunk && sizes.len() >= 4 {
        return true;
    }
    if shape.is_date(text) {
        return false;
    }
    match is_part(text, shape) {
        true => clue.get() >= Clue::Here,
        false => stands_out(text, shape, &sizes, reading) || clue.get() > Clue::None,
    }
}

/// Whether a valid number without any word beside it is written as phone numbers are and other
/// numbers are not.
fn stands_out(text: &str, shape: &Shape, sizes: &[usize], reading: Reading) -> bool {
    if sizes.len() == 1 {
        // `0612345678`: ten digits and a mobile prefix.
        return reading.trunk && reading.mobile && shape.digits >= 10;
    }
    if sizes.len() > 6 || shape.is_decimal(text) && reading.grouping != Grouping::Exact {
        return false;
    }
    let bracket = text[shape.start..].starts_with('(');
    if bracket && reading.grouping != Grouping::Other {
        return true;
    }
    if matches!(
        word_before(
            text,
            text[..shape.start].trim_end_matches([' ', ':', '-']).len()
        )
        .as_str(),
        "isbn" | "issn" | "doi"
    ) || is_amount(text, shape)
    {
        return false;
    }
    let rest = &sizes[1..];
    let small = rest.iter().all(|size| (2..=4).contains(size));
    let row = shape.is_row(text);
    if reading.trunk {
        return match reading.grouping {
            Grouping::Exact => !(shape.is_decimal(text) || row && sizes.len() == 2),
            _ if row || sizes[0] < 2 || sizes[0] > 5 => false,
            Grouping::Area if sizes.len() == 2 => true,
            _ if sizes.len() == 2 => sizes[1] >= 6 && !shape.is_decimal(text),
            _ => small && shape.is_even(text, 1),
        };
    }
    let complete = reading.complete || reading.mobile && shape.digits >= 10;
    let north_american = shape.digits >= 10 && sizes.ends_with(&[3, 3, 4]);
    if !complete || row && !north_american || sizes.len() == 2 && shape.gap(text, 0) == "/" {
        return false;
    }
    match reading.grouping {
        Grouping::Exact => !shape.is_decimal(text),
        Grouping::Area => match rest {
            [one] => (6..=8).contains(one) && shape.gap(text, 0) != ".",
            _ => small && shape.is_even(text, 0) && shape.gap(text, 0) != "/",
        },
        // `91 234 56 78` and `406 12 345`, where the plan writes 912 34 56 78 and 40 61 23 45.
        Grouping::Other => {
            let groups =
                sizes.len() == 4 && shape.digits >= 9 || sizes.len() == 3 && reading.mobile;
            reading.trunkless && groups && sizes[0] <= 3 && small && shape.is_even(text, 0)
        }
    }
}

/// Whether a dash or a slash ties the number to letters: a part of a UUID, a path, a MAC address.
fn is_part(text: &str, shape: &Shape) -> bool {
    let tied = |mark: Option<char>, next: Option<char>| {
        matches!(mark, Some('-' | '/')) && next.is_some_and(char::is_alphanumeric)
    };
    let mut left = text[..shape.start].chars().rev();
    let mut right = text[shape.end()..].chars();
    tied(left.next(), left.next()) || tied(right.next(), right.next())
}

/// Currencies and units that make three groups of three an amount.
const UNITS: [&str; 18] = [
    "€", "$", "£", "¥", "zł", "kč", "ft", "kr", "eur", "usd", "gbp", "pln", "czk", "chf", "%",
    "bytes", "ms", "km",
];

/// Whether an amount of money or a measure is written like a number: `512 345 678 zł`, `512 345
/// 678,90`.
fn is_amount(text: &str, shape: &Shape) -> bool {
    let (left, right) = (&text[..shape.start], &text[shape.end()..]);
    let fraction = right.strip_prefix([',', '.']).is_some_and(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (1..=2).contains(&digits)
    });
    let unit = |side: &str, ends: bool| {
        let side = side.trim_matches([' ', '\u{a0}']).to_lowercase();
        UNITS.iter().any(|unit| match ends {
            true => side.ends_with(unit),
            false => side
                .strip_prefix(unit)
                .is_some_and(|rest| !rest.starts_with(char::is_alphabetic)),
        })
    };
    let near_left = left.char_indices().rev().nth(4).map_or(0, |(at, _)| at);
    let near_right = right
        .char_indices()
        .nth(8)
        .map_or(right.len(), |(at, _)| at);
    fraction || unit(&left[near_left..], true) || unit(&right[..near_right], false)
}

/// What may be a phone number of some country, where a word before it says that it is one.
fn is_plausible(text: &str, shape: &Shape) -> bool {
    let sizes = shape.sizes();
    let digits = shape.digits;
    (7..=15).contains(&digits)
        && sizes.len() <= 7
        && sizes[1..].iter().filter(|size| **size == 1).count() <= 1
        && !shape.is_date(text)
        && !shape.is_address(text)
        && !shape.is_decimal(text)
        && !shape.is_years(text)
        && shape.digits(text).bytes().any(|digit| digit != b'0')
}

/// With a word for phones somewhere before it: a number that has a trunk zero or brackets and the
/// groups of a phone number, for texts whose country is not known.
fn is_written(text: &str, shape: &Shape) -> bool {
    let sizes = shape.sizes();
    let digits = shape.digits(text);
    let trunk = digits.starts_with('0') && !digits.starts_with("00");
    let bracket = text[shape.start..].starts_with('(');
    let north_american = *sizes == [3, 3, 4];
    !follows_code(text, shape)
        && (9..=12).contains(&shape.digits)
        && (trunk || bracket || north_american)
        && (sizes.len() > 1 || trunk)
        && sizes.len() <= 6
        && sizes[1..].iter().all(|size| *size >= 2)
}

/// Whether `+` and digits stand directly before: the number had a calling code and was none.
fn follows_code(text: &str, shape: &Shape) -> bool {
    text[..shape.start]
        .trim_end_matches([' ', '-', '.', '/', '('])
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .ends_with('+')
}

/// What is written between a number and its extension.
const EXTENSIONS: &[&str] = &[
    "extension",
    "extn",
    "ext",
    "x",
    "poste",
    "durchwahl",
    "dw",
    "apparat",
    "app",
    "interno",
    "int",
    "anexo",
    "ramal",
    "toestel",
    "tst",
    "доб",
    "внутр",
    "wew",
    "ankn",
    "lok",
    "#",
    "分机",
    "內線",
    "内線",
];

/// End of the extension behind the number that ends at `end`, or `end`: ` ext. 12`, `x12`, `;ext=12`.
pub(super) fn extension(text: &str, end: usize) -> usize {
    let rest = text[end..].trim_start_matches([' ', ',', ';', '(', '/']);
    if text.len() - end - rest.len() > 3 {
        return end;
    }
    let lower: String = rest.chars().take(10).flat_map(char::to_lowercase).collect();
    let Some(word) = EXTENSIONS.iter().find(|word| lower.starts_with(**word)) else {
        return end;
    };
    let skipped: usize = rest
        .chars()
        .take(word.chars().count())
        .map(char::len_utf8)
        .sum();
    let behind = rest[skipped..].trim_start_matches([' ', '.', ':', '=', '-']);
    if rest.len() - skipped - behind.len() > 2 {
        return end;
    }
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    let stop = text.len() - behind.len() + digits;
    if (1..=6).contains(&digits) && closes(text, stop) {
        return stop;
    }
    end
}

#[cfg(test)]
mod tests;
