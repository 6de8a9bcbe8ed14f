//! Dates: read in the formats that people write, and moved by days in the value's own format.

use std::sync::LazyLock;

use jiff::{ToSpan, civil::Date};
use regex::Regex;

use super::keyed::Stream;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Farthest move, in days.
const FARTHEST: u32 = 730;

/// Years that four digits by themselves may be: `1225` is rather a day, a time or a number.
const YEARS: std::ops::RangeInclusive<i16> = 1800..=2199;

/// Year of a date that has none: no leap year, so that every day of the result is in every year.
const COMMON_YEAR: i16 = 2001;

/// A run of ASCII digits, of letters, or of anything else.
#[derive(Debug, Clone)]
struct Token {
    text: String,
    class: Class,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Digits,
    Letters,
    Other,
}

/// Which tokens hold the parts of the date.
struct Layout {
    date: Date,
    year: Option<usize>,
    month: usize,
    day: usize,
}

/// A surrogate's date: moved by up to two years either way, with a random time of day; `None` if the value
/// holds no date.
pub(super) fn surrogate(value: &str, stream: &mut Stream) -> Option<String> {
    let parsed = Parsed::of(value)?;
    let days = i64::from(stream.between(1, FARTHEST));
    let days = if stream.below(2) == 0 { days } else { -days };
    parsed.surrogate(days, stream)
}

/// The value with its date moved by days; a time of day stays. `None` if the value holds no date, or
/// anything that is not understood next to it: it would stay as it is.
pub(super) fn shift(value: &str, days: i64) -> Option<String> {
    let parsed = Parsed::of(value)?;
    match parsed.is_alone() {
        true => parsed.shifted(days),
        false => None,
    }
}

/// The year of a date, if its four digits are written. A month or a year by itself has one too.
pub(super) fn year(value: &str) -> Option<i16> {
    if let Some(Parsed { tokens, layout }) = Parsed::of(value) {
        let four_digits = layout.year.is_some_and(|at| tokens[at].text.len() == 4);
        return four_digits.then(|| layout.date.year());
    }
    let tokens = tokens(value);
    let mut years = tokens
        .iter()
        .filter(|token| token.class == Class::Digits && token.text.len() == 4)
        .filter_map(|token| token.text.parse::<i16>().ok());
    match (years.next(), years.next()) {
        (Some(year), None) if YEARS.contains(&year) => Some(year),
        _ => None,
    }
}

/// A value that holds a date.
struct Parsed {
    tokens: Vec<Token>,
    layout: Layout,
}

impl Parsed {
    fn of(value: &str) -> Option<Self> {
        let mut tokens = tokens(value);
        let layout = compact(&mut tokens)
            .or_else(|| named(&tokens))
            .or_else(|| numeric(&tokens))?;
        Some(Self { tokens, layout })
    }

    /// What becomes of the parts of the date; `None` for other tokens.
    fn part(&self, index: usize, moved: Date) -> Option<String> {
        let Token { text, class } = &self.tokens[index];
        match class {
            Class::Digits if Some(index) == self.layout.year => Some(match text.len() {
                2 => format!("{:02}", moved.year().rem_euclid(100)),
                _ => format!("{:04}", moved.year()),
            }),
            Class::Digits if index == self.layout.month => Some(padded(moved.month(), text)),
            Class::Letters if index == self.layout.month => Some(named_like(
                MONTHS[usize::from(moved.month().unsigned_abs()) - 1],
                text,
            )),
            Class::Digits if index == self.layout.day => Some(padded(moved.day(), text)),
            Class::Letters if self.is_ordinal(index) => Some(ordinal(moved.day()).to_owned()),
            _ => None,
        }
    }

    fn is_ordinal(&self, index: usize) -> bool {
        let text = self.tokens[index].text.to_lowercase();
        index == self.layout.day + 1 && ["st", "nd", "rd", "th"].contains(&text.as_str())
    }

    /// The last token of the date.
    fn last(&self) -> usize {
        let Layout {
            year, month, day, ..
        } = self.layout;
        month.max(day).max(year.unwrap_or(0))
    }

    fn surrogate(self, days: i64, stream: &mut Stream) -> Option<String> {
        let moved = self.layout.date.checked_add(days.days()).ok()?;
        let moved = match self.layout.year {
            Some(_) => moved,
            None => Date::new(COMMON_YEAR, moved.month(), moved.day().min(28)).ok()?,
        };
        let mut clock = 0;
        let mut zone = false;
        let mut fresh = String::new();
        for (index, Token { text, class }) in self.tokens.iter().enumerate() {
            if let Some(part) = self.part(index, moved) {
                fresh.push_str(&part);
                continue;
            }
            match class {
                Class::Other => {
                    zone |= index > self.last()
                        && clock > 0
                        && (text.contains('+') || text.contains('-'));
                    fresh.push_str(text);
                }
                Class::Digits if zone => fresh.push_str(text),
                // Hours, minutes, seconds; whatever follows is a fraction.
                Class::Digits if text.len() <= 2 && clock < 3 => {
                    clock += 1;
                    let number = stream.below(if clock == 1 { 24 } else { 60 });
                    fresh.push_str(&padded(number as i8, text));
                }
                Class::Digits => fresh.extend(text.chars().map(|_| stream.digit())),
                Class::Letters if position(&WEEKDAYS, text).is_some() => {
                    let random = stream.below(7) as i8;
                    let weekday = match self.layout.year {
                        Some(_) => moved.weekday().to_monday_zero_offset(),
                        None => random,
                    };
                    let weekday = WEEKDAYS[usize::from(weekday.unsigned_abs())];
                    fresh.push_str(&named_like(weekday, text));
                }
                Class::Letters => fresh.push_str(text),
            }
        }
        Some(fresh)
    }

    fn shifted(&self, days: i64) -> Option<String> {
        let moved = self.layout.date.checked_add(days.days()).ok()?;
        if !(0..=9999).contains(&moved.year()) {
            return None;
        }
        let mut fresh = String::new();
        for (index, Token { text, class }) in self.tokens.iter().enumerate() {
            let weekday = match class {
                Class::Letters if index != self.layout.month => position(&WEEKDAYS, text),
                _ => None,
            };
            match (self.part(index, moved), weekday) {
                (Some(part), _) => fresh.push_str(&part),
                (None, Some(weekday)) => {
                    let later = (weekday as i64 + days).rem_euclid(7) as usize;
                    fresh.push_str(&named_like(WEEKDAYS[later], text));
                }
                (None, None) => fresh.push_str(text),
            }
        }
        Some(fresh)
    }

    /// Whether nothing but a date, weekdays and a time of day is in the value.
    fn is_alone(&self) -> bool {
        const WORDS: [&str; 4] = ["of", "the", "on", "de"];
        let last = self.last();
        let mut rest = String::new();
        for (index, Token { text, class }) in self.tokens.iter().enumerate() {
            let Layout {
                year, month, day, ..
            } = self.layout;
            if [year, Some(month), Some(day)].contains(&Some(index)) || self.is_ordinal(index) {
                continue;
            }
            let known = match class {
                Class::Other => !text.contains(char::is_numeric),
                Class::Letters => {
                    position(&WEEKDAYS, text).is_some()
                        || WORDS.contains(&text.to_lowercase().as_str())
                }
                Class::Digits => false,
            };
            match index > last {
                // A weekday behind the date moves; all else there is a time of day.
                true if known && *class == Class::Letters => {}
                true => rest.push_str(text),
                false if known => {}
                false => return false,
            }
        }
        TIME_OF_DAY.is_match(&rest)
    }
}

/// What may stand behind a date and stays: a time of day with its zone, or nothing. The second line is the
/// end of `20240305102233`.
static TIME_OF_DAY: LazyLock<Regex> = LazyLock::new(|| {
    let expression = r"(?xi)^
        (?: [\s,.;()-]* (?: (?: t | at )? \s*
              (?: [0-2]?[0-9]:[0-5][0-9] (?: :[0-6][0-9] (?: [.,][0-9]{1,9} )? )? (?: \s* [ap]\.?m\.? )?
                | [0-2]?[0-9] \s* [ap]\.?m\.? )
            | t [0-2][0-9][0-5][0-9] (?: [0-6][0-9] (?: [.,][0-9]{1,9} )? )? )?
          | [0-2][0-9][0-5][0-9][0-6][0-9] )
        \s* (?: z | utc | gmt )? \s* (?: [+-][0-9]{2} (?: :?[0-9]{2} )? )? [\s,.;()]* $";
    Regex::new(expression).expect("a constant expression")
});

fn tokens(value: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for c in value.chars() {
        let class = match c {
            c if c.is_ascii_digit() => Class::Digits,
            c if c.is_alphabetic() => Class::Letters,
            _ => Class::Other,
        };
        match tokens.last_mut() {
            Some(token) if token.class == class => token.text.push(c),
            _ => tokens.push(Token {
                text: c.to_string(),
                class,
            }),
        }
    }
    tokens
}

/// `20240305`: split into its three parts.
fn compact(tokens: &mut Vec<Token>) -> Option<Layout> {
    let at = tokens
        .iter()
        .position(|token| token.class == Class::Digits)?;
    let text = tokens[at].text.clone();
    let length = text.len();
    if length != 8 && length != 14 {
        return None;
    }
    let date = Date::new(
        text[..4].parse().ok()?,
        text[4..6].parse().ok()?,
        text[6..8].parse().ok()?,
    )
    .ok()?;
    let cuts = (0..length).step_by(2).skip(2);
    let parts = std::iter::once(&text[..4]).chain(cuts.map(|cut| &text[cut..cut + 2]));
    let parts: Vec<Token> = parts
        .map(|part| Token {
            text: part.to_owned(),
            class: Class::Digits,
        })
        .collect();
    tokens.splice(at..=at, parts);
    Some(Layout {
        date,
        year: Some(at),
        month: at + 1,
        day: at + 2,
    })
}

/// `5 March 2024`, `Mar 5th, 2024`, `5-Mar-24`, `March 5`.
fn named(tokens: &[Token]) -> Option<Layout> {
    let month_at = tokens.iter().position(|token| {
        token.class == Class::Letters && position(&MONTHS, &token.text).is_some()
    })?;
    let month = position(&MONTHS, &tokens[month_at].text)? as i8 + 1;
    let digits: Vec<usize> = (0..tokens.len())
        .filter(|&at| tokens[at].class == Class::Digits)
        .collect();
    let before = digits
        .iter()
        .rev()
        .find(|&&at| at < month_at && tokens[at].text.len() <= 2)
        .copied();
    let mut after = digits.iter().filter(|&&at| at > month_at).copied();
    let day_at = before.or_else(|| after.next())?;
    let day: i8 = tokens[day_at].text.parse().ok()?;
    let year_at = after.next().filter(|&at| {
        tokens[at].text.len() == 4
            || tokens[at].text.len() == 2
                && !tokens
                    .get(at + 1)
                    .is_some_and(|next| next.text.starts_with(':'))
    });
    let year = match year_at {
        Some(at) => full_year(&tokens[at].text)?,
        None => COMMON_YEAR,
    };
    let date = Date::new(year, month, day).ok()?;
    Some(Layout {
        date,
        year: year_at,
        month: month_at,
        day: day_at,
    })
}

/// `2024-03-05`, `05.03.2024`, `3/5/24`: the month first behind slashes, unless it cannot be.
fn numeric(tokens: &[Token]) -> Option<Layout> {
    let at = tokens
        .iter()
        .position(|token| token.class == Class::Digits)?;
    let [first, mark, second, again, third] = tokens.get(at..at + 5)? else {
        return None;
    };
    let marks = [mark, again]
        .iter()
        .all(|token| ["-", "/", ".", ". "].contains(&token.text.as_str()))
        && mark.text == again.text;
    if !marks || second.class != Class::Digits || third.class != Class::Digits {
        return None;
    }
    let layout = |year: usize, month: usize, day: usize| {
        let date = Date::new(
            full_year(&tokens[year].text)?,
            tokens[month].text.parse().ok()?,
            tokens[day].text.parse().ok()?,
        )
        .ok()?;
        Some(Layout {
            date,
            year: Some(year),
            month,
            day,
        })
    };
    if first.text.len() == 4 {
        return layout(at, at + 2, at + 4);
    }
    let day_first = layout(at + 4, at + 2, at);
    let month_first = layout(at + 4, at, at + 2);
    match mark.text.as_str() {
        "/" => month_first.or(day_first),
        _ => day_first.or(month_first),
    }
}

fn full_year(text: &str) -> Option<i16> {
    let year: i16 = text.parse().ok()?;
    match text.len() {
        4 => Some(year),
        2 if year < 50 => Some(2000 + year),
        2 => Some(1900 + year),
        _ => None,
    }
}

/// Place of a name or of its abbreviation of three letters or more.
fn position(names: &[&str], text: &str) -> Option<usize> {
    let text = text.to_lowercase();
    (text.len() >= 3).then(|| names.iter().position(|name| name.starts_with(&text)))?
}

fn named_like(name: &str, like: &str) -> String {
    let name = match like.len() {
        0..=4 => &name[..3],
        _ => name,
    };
    if like.chars().all(char::is_uppercase) {
        return name.to_uppercase();
    }
    match like.starts_with(char::is_uppercase) {
        true => name[..1].to_uppercase() + &name[1..],
        false => name.to_owned(),
    }
}

fn padded(number: i8, like: &str) -> String {
    match like.len() {
        2 => format!("{number:02}"),
        _ => number.to_string(),
    }
}

fn ordinal(day: i8) -> &'static str {
    match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_moves_by_days_in_its_own_format_and_its_time_stays() {
        for (value, days, expected) in [
            ("2024-03-05", 1, "2024-03-06"),
            ("2024-03-05", -5, "2024-02-29"),
            ("05.03.2024", 30, "04.04.2024"),
            ("3/5/24", 300, "12/30/24"),
            ("20240305", -64, "20240101"),
            ("20240305102233", 1, "20240306102233"),
            ("2024-03-05T10:22:33.120Z", 1, "2024-03-06T10:22:33.120Z"),
            ("2024-03-05 10:22 +0100", 1, "2024-03-06 10:22 +0100"),
            ("March 5th, 2024 at 3pm", 17, "March 22nd, 2024 at 3pm"),
            ("Tuesday, 5 MAR 2024", 3, "Friday, 8 MAR 2024"),
            ("5 March 2024 (Tue)", -1, "4 March 2024 (Mon)"),
            ("March 5", 27, "April 1"),
            ("the 5th of March", 1, "the 6th of March"),
        ] {
            assert_eq!(shift(value, days).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_left_next_to_a_date() {
        for value in [
            "",
            "yesterday",
            "5 March to 7 March 2024",
            "2024-03-05 2024-03-07",
            "2024-03-05 to 2024-03-07",
            "Ana, born 5 March 2024",
            "no. 4711 of 5 March 2024",
            "5 March 2024 room 12",
            "5 March 2024 4821",
            "2024-03-05 ٣",
            "9999-12-31",
        ] {
            assert_eq!(shift(value, 400), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn intervals_stay_and_no_date_stays(first in -20_000i64..20_000, second in -20_000i64..20_000, days in prop_oneof![-730i64..=-1, 1i64..=730], format in proptest::sample::select(vec!["%Y-%m-%d", "%d.%m.%Y", "%b %d, %Y", "%A, %d %b %Y", "%Y%m%d"])) {
            let start = Date::new(2000, 1, 1).unwrap();
            let date = |days: i64| start.checked_add(days.days()).unwrap();
            let moved = |from: i64| -> Date {
                let value = date(from).strftime(format).to_string();
                let shown = shift(&value, days).unwrap();
                assert_ne!(shown, value);
                Date::strptime(format, &shown).unwrap()
            };
            let apart = |from: Date, to: Date| from.until(to).unwrap().get_days();
            prop_assert_eq!(i64::from(apart(date(first), moved(first))), days);
            prop_assert_eq!(apart(moved(first), moved(second)), apart(date(first), date(second)));
        }

        #[test]
        fn any_text_gives_an_answer_and_no_panic(value in "\\PC{0,30}|[0-9a-z:./ -]{0,30}", days in -730i64..=730) {
            let _ = (shift(&value, days), year(&value));
        }
    }
}
