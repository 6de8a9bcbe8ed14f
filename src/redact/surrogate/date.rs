//! Dates: moved by up to two years either way, in the value's own format.

use jiff::{ToSpan, civil::Date};

use crate::redact::keyed::Stream;

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

/// The value with its date moved and a random time of day; `None` if it holds no date.
pub(super) fn shift(value: &str, stream: &mut Stream) -> Option<String> {
    let mut tokens = tokens(value);
    let layout = compact(&mut tokens)
        .or_else(|| named(&tokens))
        .or_else(|| numeric(&tokens))?;
    let days = i64::from(stream.between(1, FARTHEST));
    let days = if stream.below(2) == 0 { days } else { -days };
    let moved = layout.date.checked_add(days.days()).ok()?;
    let moved = match layout.year {
        Some(_) => moved,
        None => Date::new(COMMON_YEAR, moved.month(), moved.day().min(28)).ok()?,
    };

    let last = layout.month.max(layout.day).max(layout.year.unwrap_or(0));
    let mut clock = 0;
    let mut zone = false;
    for (index, token) in tokens.iter_mut().enumerate() {
        let text = token.text.clone();
        let fresh = match token.class {
            Class::Other => {
                zone |= index > last && clock > 0 && (text.contains('+') || text.contains('-'));
                continue;
            }
            Class::Digits if Some(index) == layout.year => match text.len() {
                2 => format!("{:02}", moved.year().rem_euclid(100)),
                _ => format!("{:04}", moved.year()),
            },
            Class::Digits if index == layout.month => padded(moved.month(), &text),
            Class::Letters if index == layout.month => {
                named_like(MONTHS[usize::from(moved.month().unsigned_abs()) - 1], &text)
            }
            Class::Digits if index == layout.day => padded(moved.day(), &text),
            Class::Digits if zone => continue,
            // Hours, minutes, seconds; whatever follows is a fraction.
            Class::Digits if text.len() <= 2 && clock < 3 => {
                clock += 1;
                padded(stream.below(if clock == 1 { 24 } else { 60 }) as i8, &text)
            }
            Class::Digits => text.chars().map(|_| stream.digit()).collect(),
            Class::Letters
                if index == layout.day + 1
                    && ["st", "nd", "rd", "th"].contains(&text.to_lowercase().as_str()) =>
            {
                ordinal(moved.day()).to_owned()
            }
            Class::Letters if position(&WEEKDAYS, &text).is_some() => {
                let weekday = layout.year.map(|_| moved.weekday().to_monday_zero_offset());
                let weekday = weekday.unwrap_or(stream.below(7) as i8);
                named_like(WEEKDAYS[usize::from(weekday.unsigned_abs())], &text)
            }
            Class::Letters => continue,
        };
        token.text = fresh;
    }
    Some(tokens.into_iter().map(|token| token.text).collect())
}

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
