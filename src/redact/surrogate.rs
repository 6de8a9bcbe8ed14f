//! Surrogates: a plausible other value for each kind of label.
//!
//! The words of the label decide the kind. For a label of no known kind, and for a value that does not
//! look like its kind, the surrogate is random letters and digits in the value's own shape. Values that
//! may belong to somebody come from ranges reserved for examples, if such ranges exist.

mod kind;
mod words;

use std::net::IpAddr;

use self::{
    kind::{Kind, kind},
    words::{
        ADJECTIVES, ANIMALS, CITIES, COMPANIES, COMPANY_FORMS, COUNTRIES, FAMILY, GIVEN,
        STREET_KINDS, STREETS,
    },
};
use super::{Key, date, keyed::Stream};
use crate::decode::patterns::{is_card, luhn};

/// Draws before the fallback: a draw that gives the value away is thrown away.
const DRAWS: usize = 64;

/// The surrogate of a value: never the value itself, and never holding it where it has three
/// letters or digits or more.
pub(super) fn make(key: &Key, tenant: &str, label: &str, value: &str) -> String {
    let kind = kind(label);
    let mut stream = Stream::new(key, tenant, label, value);
    for _ in 0..DRAWS {
        let surrogate = draw(kind, value, &mut stream);
        if !gives_away(&surrogate, value) {
            return surrogate;
        }
    }
    // Nothing to change in the value (`---`), or a list too short: letters, longer than the value's
    // own, so that they cannot be it.
    loop {
        let length = 8 + usize::from(value.len() == 8);
        let surrogate: String = (0..length)
            .map(|_| char::from(b'a' + stream.below(26) as u8))
            .collect();
        if !gives_away(&surrogate, value) {
            return surrogate;
        }
    }
}

fn gives_away(surrogate: &str, value: &str) -> bool {
    let (surrogate, value) = (surrogate.to_lowercase(), value.trim().to_lowercase());
    if surrogate.trim() == value || surrogate.is_empty() {
        return true;
    }
    value.chars().filter(|c| c.is_alphanumeric()).count() >= 3 && surrogate.contains(&value)
}

/// Whether a label's words name payment cards.
pub fn names_cards(label: &str) -> bool {
    kind(label) == Kind::Card
}

/// Whether a label's words name people: its values are names.
pub fn names_people(label: &str) -> bool {
    matches!(kind(label), Kind::Person | Kind::Given | Kind::Family)
}

fn draw(kind: Kind, value: &str, stream: &mut Stream) -> String {
    let shaped = |stream: &mut Stream| shape(value, stream);
    match kind {
        Kind::Person | Kind::Given | Kind::Family => {
            person(kind, value, stream).unwrap_or_else(|| shaped(stream))
        }
        Kind::Email => email(stream),
        Kind::Phone => phone(value, stream),
        Kind::Date => date::surrogate(value, stream).unwrap_or_else(|| shaped(stream)),
        Kind::Address => address(value, stream),
        Kind::City => in_case(stream.pick(CITIES), value),
        Kind::Country => in_case(stream.pick(COUNTRIES), value),
        Kind::Company => in_case(
            &format!("{} {}", stream.pick(COMPANIES), stream.pick(COMPANY_FORMS)),
            value,
        ),
        Kind::Username => format!(
            "{}_{}{:02}",
            stream.pick(ADJECTIVES),
            stream.pick(ANIMALS),
            stream.below(100)
        ),
        Kind::Card => card(value, stream).unwrap_or_else(|| shaped(stream)),
        Kind::Iban => iban(value, stream).unwrap_or_else(|| shaped(stream)),
        Kind::Ssn => ssn(value, stream).unwrap_or_else(|| shaped(stream)),
        Kind::Ip => ip(value, stream).unwrap_or_else(|| shaped(stream)),
        Kind::Mac => mac(value, stream),
        Kind::Url => url(value, stream),
        Kind::Uuid => hexadecimal(value, stream),
        Kind::Other => shaped(stream),
    }
}

/// Given and family names, as many as the value has words; `None` for names in other scripts.
fn person(kind: Kind, value: &str, stream: &mut Stream) -> Option<String> {
    let latin = value
        .chars()
        .filter(|c| c.is_alphabetic())
        .all(|c| (c as u32) < 0x250);
    if !latin || !value.chars().any(char::is_alphabetic) {
        return None;
    }
    let words = value.split_whitespace().count().min(4);
    let name = match (kind, words) {
        (Kind::Family, _) => stream.pick(FAMILY).to_owned(),
        (Kind::Given, _) | (_, 1) => stream.pick(GIVEN).to_owned(),
        _ if value.contains(',') => format!("{}, {}", stream.pick(FAMILY), stream.pick(GIVEN)),
        _ => {
            let mut names: Vec<&str> = (1..words).map(|_| stream.pick(GIVEN)).collect();
            names.push(stream.pick(FAMILY));
            names.join(" ")
        }
    };
    // None of the value's own names, in whatever place.
    let own: Vec<String> = value
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 1)
        .map(str::to_lowercase)
        .collect();
    let repeats = name
        .split([' ', ','])
        .any(|word| own.contains(&word.to_lowercase()));
    Some(match repeats {
        // Thrown away by the caller.
        true => value.to_owned(),
        false => in_case(&name, value),
    })
}

/// All capitals or all small letters, where the value is.
fn in_case(surrogate: &str, value: &str) -> String {
    let upper = value.chars().any(char::is_uppercase);
    let lower = value.chars().any(char::is_lowercase);
    match (upper, lower) {
        (true, false) if value.chars().filter(|c| c.is_alphabetic()).count() > 1 => {
            surrogate.to_uppercase()
        }
        (false, true) => surrogate.to_lowercase(),
        _ => surrogate.to_owned(),
    }
}

/// Domains of RFC 2606, which belong to nobody.
fn email(stream: &mut Stream) -> String {
    let given = stream.pick(GIVEN).to_lowercase();
    let family = stream.pick(FAMILY).to_lowercase();
    format!(
        "{given}.{family}{:03}@example.{}",
        stream.below(1000),
        stream.pick(&["com", "org", "net"])
    )
}

/// The value's separators and country code around a number that is set aside for fiction where
/// the numbering plan has such (North America 555-01xx, UK 07700 900xxx, France 06 39 98 xx xx,
/// Australia 0491 57x xxx), else around random digits.
fn phone(value: &str, stream: &mut Stream) -> String {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let international =
        value.trim_start().starts_with('+') || value.trim_start().starts_with("tel:+");
    let code = match international {
        true => phonenumber::parse(None, format!("+{digits}"))
            .map(|number| number.code().value().to_string())
            .unwrap_or_default(),
        false => String::new(),
    };
    let national = digits.strip_prefix(code.as_str()).unwrap_or(&digits);
    let fiction = fictional(&code, national, stream);
    let new_national = fiction.unwrap_or_else(|| {
        national
            .char_indices()
            .map(|(at, digit)| match digit {
                '0' if at < 2 => '0',
                _ if at == 0 => char::from(b'1' + stream.below(9) as u8),
                _ => stream.digit(),
            })
            .collect()
    });
    let mut fresh = code.chars().chain(new_national.chars());
    value
        .chars()
        .map(|c| match c {
            c if c.is_ascii_digit() => fresh.next().unwrap_or('0'),
            c if c.is_alphabetic() || c.is_numeric() => shape_char(c, stream),
            c => c,
        })
        .collect()
}

/// A national number of the same length from a range for fiction.
fn fictional(code: &str, national: &str, stream: &mut Stream) -> Option<String> {
    let north_american = |stream: &mut Stream| {
        let area = format!(
            "{}{}{}",
            stream.between(2, 9),
            stream.between(0, 8),
            stream.between(2, 9)
        );
        format!("{area}55501{:02}", stream.below(100))
    };
    match (code, national.len()) {
        ("1" | "", 10) if !national.starts_with('0') => Some(north_american(stream)),
        ("", 11) if national.starts_with('1') => Some(format!("1{}", north_american(stream))),
        ("", 7) if !national.starts_with('0') => Some(format!("55501{:02}", stream.below(100))),
        ("44", 10) => Some(format!("7700900{:03}", stream.below(1000))),
        ("" | "44", 11) if national.starts_with('0') => {
            Some(format!("07700900{:03}", stream.below(1000)))
        }
        ("33", 9) => Some(format!("63998{:04}", stream.below(10_000))),
        ("", 10) if national.starts_with("06") || national.starts_with("07") => {
            Some(format!("063998{:04}", stream.below(10_000)))
        }
        ("61", 9) => Some(format!("49157{:04}", stream.below(10_000))),
        _ => None,
    }
}

fn address(value: &str, stream: &mut Stream) -> String {
    let street = format!(
        "{} {} {}",
        stream.between(1, 299),
        stream.pick(STREETS),
        stream.pick(STREET_KINDS)
    );
    let whole = match value.contains(',') {
        true => format!("{street}, {}", stream.pick(CITIES)),
        false => street,
    };
    in_case(&whole, value)
}

/// A card number of the same length and separators under a prefix of published test cards, with a
/// valid Luhn digit. `None` where the value has no 13 to 19 digits.
fn card(value: &str, stream: &mut Stream) -> Option<String> {
    let length = value.chars().filter(char::is_ascii_digit).count();
    if !(13..=19).contains(&length) || value.chars().any(char::is_alphabetic) {
        return None;
    }
    let prefix = match length {
        14 => "305693",
        15 => "378282",
        17 | 18 => "620000",
        _ => "400000",
    };
    let mut digits: Vec<u8> = prefix.bytes().collect();
    while digits.len() < length - 1 {
        digits.push(stream.digit() as u8);
    }
    digits.push(b'0');
    while !luhn(&digits) {
        digits[length - 1] += 1;
    }
    debug_assert!(is_card(&digits), "a test prefix of that length");
    Some(refill(value, &digits))
}

/// The value with its ASCII digits replaced in order.
fn refill(value: &str, digits: &[u8]) -> String {
    let mut digits = digits.iter();
    value
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                digits.next().map_or('0', |digit| char::from(*digit))
            } else {
                c
            }
        })
        .collect()
}

/// The same country and structure with a valid check number (ISO 13616). National check digits
/// inside are random.
fn iban(value: &str, stream: &mut Stream) -> Option<String> {
    let compact: String = value
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_uppercase())
        .collect();
    compact.parse::<iban::Iban>().ok()?;
    let (country, account) = (&compact[..2], &compact[4..]);
    let account: String = account
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                stream.digit()
            } else {
                char::from(b'A' + stream.below(26) as u8)
            }
        })
        .collect();
    let check = 98 - mod97(&format!("{account}{country}00"));
    let fresh = format!("{country}{check:02}{account}");
    fresh.parse::<iban::Iban>().ok()?;
    let mut fresh = fresh.chars();
    Some(
        value
            .chars()
            .map(|c| match c {
                c if c.is_ascii_lowercase() => fresh.next().map_or(c, |c| c.to_ascii_lowercase()),
                c if c.is_ascii_alphanumeric() => fresh.next().unwrap_or(c),
                c => c,
            })
            .collect(),
    )
}

/// ISO 7064 MOD 97-10, letters as 10 to 35.
fn mod97(compact: &str) -> u32 {
    compact.chars().fold(0, |rest, c| {
        let number = c.to_digit(36).expect("letters and digits");
        match number {
            10.. => (rest * 100 + number) % 97,
            _ => (rest * 10 + number) % 97,
        }
    })
}

/// Areas 000 and 666 were never issued.
fn ssn(value: &str, stream: &mut Stream) -> Option<String> {
    if value.chars().filter(char::is_ascii_digit).count() != 9
        || value.chars().any(char::is_alphabetic)
    {
        return None;
    }
    let area = stream.pick(&["000", "666"]);
    let fresh = format!(
        "{area}{:02}{:04}",
        stream.between(1, 99),
        stream.between(1, 9999)
    );
    Some(refill(value, fresh.as_bytes()))
}

/// Addresses for documentation (RFC 5737, RFC 3849).
fn ip(value: &str, stream: &mut Stream) -> Option<String> {
    match value.trim().parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => Some(format!(
            "{}.{}",
            stream.pick(&["192.0.2", "198.51.100", "203.0.113"]),
            stream.between(1, 254)
        )),
        IpAddr::V6(_) => Some(
            format!(
                "2001:db8:{:x}:{:x}:{:x}:{:x}",
                stream.between(1, 0xffff),
                stream.between(1, 0xffff),
                stream.between(1, 0xffff),
                stream.between(1, 0xffff)
            )
            .replacen("2001:db8:", "2001:db8::", 1),
        ),
    }
}

/// Locally administered addresses: the first byte is 02.
fn mac(value: &str, stream: &mut Stream) -> String {
    let mut place = 0;
    value
        .chars()
        .map(|c| {
            if !c.is_ascii_hexdigit() {
                return c;
            }
            place += 1;
            match place {
                1 => '0',
                2 => '2',
                _ => hex_digit(c, stream),
            }
        })
        .collect()
}

fn hexadecimal(value: &str, stream: &mut Stream) -> String {
    let mut fresh = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            c if c.is_ascii_hexdigit() => fresh.push(hex_digit(c, stream)),
            c if c.is_alphanumeric() => fresh.push(shape_char(c, stream)),
            c => fresh.push(c),
        }
    }
    fresh
}

fn hex_digit(like: char, stream: &mut Stream) -> char {
    let digit = char::from_digit(stream.below(16), 16).expect("below 16");
    if like.is_ascii_uppercase() {
        digit.to_ascii_uppercase()
    } else {
        digit
    }
}

/// The same scheme, a host under `.example` (RFC 2606), and the rest in its own shape.
fn url(value: &str, stream: &mut Stream) -> String {
    let (scheme, rest) = match value.find("://") {
        Some(at) => value.split_at(at + 3),
        None => ("", value),
    };
    let path = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    let www = if rest.starts_with("www.") { "www." } else { "" };
    let host = format!(
        "{}-{}{}.example",
        stream.pick(ADJECTIVES),
        stream.pick(ANIMALS),
        stream.below(1000)
    );
    format!("{scheme}{www}{host}{}", shape(path, stream))
}

/// Random letters for letters of the same script and case, digits for digits; ASCII marks, white
/// space and common separators stay; anything else, such as a combining mark, is left out.
fn shape(value: &str, stream: &mut Stream) -> String {
    let mut fresh = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_alphanumeric() {
            fresh.push(shape_char(c, stream));
        } else if c.is_ascii() || c.is_whitespace() || "–—’·。、，（）《》「」".contains(c)
        {
            fresh.push(c);
        }
    }
    fresh
}

fn shape_char(c: char, stream: &mut Stream) -> char {
    // Alphabets as ranges of lower case and upper case, or one range without case.
    let (low, high) = match c {
        '0' => return stream.digit(),
        // A number keeps its first digit from being zero.
        '1'..='9' => ('1', '9'),
        c if c.is_numeric() => return stream.digit(),
        'а'..='я' => ('а', 'я'),
        'А'..='Я' => ('А', 'Я'),
        'α'..='ω' => ('α', 'ρ'),
        'Α'..='Ω' => ('Α', 'Ρ'),
        'א'..='ת' => ('א', 'ת'),
        'ا'..='ي' => ('ف', 'ي'),
        'ぁ'..='ん' => ('か', 'ち'),
        'ァ'..='ヶ' => ('カ', 'チ'),
        '가'..='힣' => ('가', '힣'),
        '\u{4E00}'..='\u{9FFF}' => ('\u{4E00}', '\u{9FA5}'),
        c if c.is_uppercase() => ('A', 'Z'),
        _ => ('a', 'z'),
    };
    char::from_u32(stream.between(low as u32, high as u32)).unwrap_or('x')
}

#[cfg(test)]
mod tests;
