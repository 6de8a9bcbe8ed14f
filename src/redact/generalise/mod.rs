//! Generalisation: an age to a band of years, a date to its year, a ZIP code to three digits.
//!
//! A value that is not understood is not generalised: `None`, and the caller puts a placeholder in its place.

mod zip3;

use super::date;
use crate::decode::patterns::wording::{self, Rule};

/// What is generalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generalised {
    /// Ages, to bands of years and `90+`.
    Age,
    /// Dates, to years.
    Date,
    /// ZIP codes of the United States, to three digits.
    Zip,
}

/// How values are generalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generalise {
    /// What the values are; `None`: what the label's words say.
    pub kind: Option<Generalised>,
    /// Years of a band of ages.
    pub band: u16,
    /// Earlier years become `before YEAR`.
    pub oldest_year: Option<i16>,
}

/// Age from which on all are one band (45 CFR 164.514(b)(2)(i)(C)).
const OLDEST_BAND: u16 = 90;

/// Age above which a number is none of a person.
const OLDEST: u32 = 130;

/// Words of labels. A `date of birth` is a date, a `postal address` no ZIP code.
const RULES: &[Rule<Generalised>] = &[
    Rule::words(
        Generalised::Date,
        &["date", "dob", "birthday", "birthdate", "datetime"],
    ),
    Rule::words(Generalised::Age, &["age"]).unless_words(&["group", "range", "band"]),
    Rule::words(Generalised::Zip, &["zip", "zipcode", "postcode"])
        .or_phrases(&["postal code", "post code"]),
];

impl Generalised {
    /// What the values of a label are, by its words.
    pub fn of_label(label: &str) -> Option<Self> {
        wording::first(RULES, label)
    }
}

impl Generalise {
    /// The value generalised; `None` if it is not one of its kind.
    pub(super) fn apply(&self, label: &str, value: &str) -> Option<String> {
        match self.kind.or_else(|| Generalised::of_label(label))? {
            Generalised::Age => band(age(value)?, self.band),
            Generalised::Date => {
                let year = date::year(value)?;
                Some(match self.oldest_year {
                    Some(oldest) if year < oldest => format!("before {oldest}"),
                    _ => format!("{year:04}"),
                })
            }
            Generalised::Zip => zip3(value),
        }
    }
}

/// `47`, `47 years old`, `aged 47`, `18 months`: the age in years. Two numbers are no age.
fn age(value: &str) -> Option<u32> {
    let number = only_number(value)?;
    let word = |unit: &str| {
        value
            .split(|c: char| !c.is_alphabetic())
            .any(|word| word.to_lowercase().trim_end_matches('s') == unit)
    };
    let years = match number {
        number if word("month") || word("mo") => number / 12,
        number if word("week") || word("wk") => number / 52,
        number if word("day") || word("hour") => number / 365,
        number => number,
    };
    (years <= OLDEST).then_some(years)
}

/// The only run of ASCII digits of a value, of at most four digits. Digits of other scripts are not read.
fn only_number(value: &str) -> Option<u32> {
    if value.chars().any(|c| c.is_numeric() && !c.is_ascii()) {
        return None;
    }
    let mut runs = value
        .split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty());
    let (run, None) = (runs.next()?, runs.next()) else {
        return None;
    };
    if run.len() > 4 {
        None
    } else {
        run.parse().ok()
    }
}

/// `40-49`; `90+` for all from 90 on, so that the band below ends at 89.
fn band(age: u32, band: u16) -> Option<String> {
    let age = u16::try_from(age).ok()?;
    if age >= OLDEST_BAND {
        return Some(format!("{OLDEST_BAND}+"));
    }
    let band = band.max(1);
    let first = age / band * band;
    let last = (first + band - 1).min(OLDEST_BAND - 1);
    Some(match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    })
}

/// `10001` and `10001-1234` as `100`; areas of few people as `000`.
fn zip3(value: &str) -> Option<String> {
    if value.chars().any(|c| c.is_numeric() && !c.is_ascii()) {
        return None;
    }
    let runs: Vec<&str> = value
        .split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty())
        .collect();
    let code = match runs[..] {
        [code] if code.len() == 5 || code.len() == 9 => code,
        [code, more] if code.len() == 5 && more.len() == 4 => code,
        _ => return None,
    };
    let area = &code[..3];
    let number: u16 = area.parse().expect("three ASCII digits");
    Some(match zip3::is_populated(number) {
        true => area.to_owned(),
        false => "000".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn generalise(label: &str, value: &str) -> Option<String> {
        with(None, 10, None).apply(label, value)
    }

    fn with(kind: Option<Generalised>, band: u16, oldest_year: Option<i16>) -> Generalise {
        Generalise {
            kind,
            band,
            oldest_year,
        }
    }

    #[test]
    fn ages_become_bands_and_90_plus() {
        for (value, expected) in [
            ("0", "0-9"),
            ("47", "40-49"),
            ("47 years old", "40-49"),
            ("47-year-old", "40-49"),
            ("aged 89", "80-89"),
            ("90", "90+"),
            ("103 years", "90+"),
            ("18 months", "0-9"),
            ("130 months", "10-19"),
            ("6 weeks", "0-9"),
        ] {
            assert_eq!(
                generalise("age", value).as_deref(),
                Some(expected),
                "{value}"
            );
        }
        for value in ["", "ninety", "47 or 92", "131", "12345", "٤٧", "4７"] {
            assert_eq!(generalise("age", value), None, "{value}");
        }
        assert_eq!(with(None, 7, None).apply("age", "89").unwrap(), "84-89");
        assert_eq!(with(None, 1, None).apply("age", "47").unwrap(), "47");
    }

    #[test]
    fn dates_become_years() {
        for (value, expected) in [
            ("2024-03-05", "2024"),
            ("05.03.1931", "1931"),
            ("3/5/1984", "1984"),
            ("19840305", "1984"),
            ("March 5th, 1984", "1984"),
            ("2024-03-05T10:22:33Z", "2024"),
            ("March 1984", "1984"),
            ("03/1984", "1984"),
            ("1984", "1984"),
        ] {
            assert_eq!(
                generalise("date", value).as_deref(),
                Some(expected),
                "{value}"
            );
        }
        // Which century a year of two digits is of decides whether somebody is above 89.
        for value in [
            "",
            "March 5",
            "3/5/34",
            "5 Mar 24",
            "yesterday",
            "1225 0001",
            "0305",
        ] {
            assert_eq!(generalise("date of birth", value), None, "{value}");
        }
        let oldest = with(Some(Generalised::Date), 10, Some(1937));
        assert_eq!(oldest.apply("born", "1936-12-31").unwrap(), "before 1937");
        assert_eq!(oldest.apply("born", "1937-01-01").unwrap(), "1937");
    }

    #[test]
    fn zip_codes_become_three_digits_or_zeros() {
        for (value, expected) in [
            ("10001", "100"),
            ("10001-1234", "100"),
            ("100011234", "100"),
            ("NY 10001", "100"),
            ("03601", "000"),
            ("20301", "000"),
            ("00000", "000"),
            ("99901", "999"),
        ] {
            assert_eq!(
                generalise("zip code", value).as_deref(),
                Some(expected),
                "{value}"
            );
        }
        for value in ["", "2134", "123456", "SW1A 1AA", "10001 10002", "１0001"] {
            assert_eq!(generalise("zip code", value), None, "{value}");
        }
    }

    #[test]
    fn labels_say_what_is_generalised() {
        for (label, expected) in [
            ("age", Some(Generalised::Age)),
            ("Date of Birth", Some(Generalised::Date)),
            ("admission date", Some(Generalised::Date)),
            ("ZIP", Some(Generalised::Zip)),
            ("postal code", Some(Generalised::Zip)),
            ("postal address", None),
            ("person", None),
            ("language", None),
        ] {
            assert_eq!(Generalised::of_label(label), expected, "{label}");
        }
    }

    proptest! {
        #[test]
        fn a_band_holds_its_age_and_no_band_holds_ages_on_both_sides_of_90(age in 0u32..=130, years in 1u16..=30) {
            let shown = with(None, years, None).apply("age", &age.to_string()).unwrap();
            if age >= 90 {
                prop_assert_eq!(shown, "90+");
            } else {
                let (first, last) = shown.split_once('-').unwrap_or((&shown, &shown));
                let (first, last): (u32, u32) = (first.parse().unwrap(), last.parse().unwrap());
                prop_assert!(first <= age && age <= last && last < 90 && last - first < u32::from(years));
            }
        }

        #[test]
        fn no_value_shows_more_than_a_band_a_year_or_three_digits(label in proptest::sample::select(vec!["age", "date", "zip"]), value in "\\PC{0,24}") {
            if let Some(shown) = generalise(label, &value) {
                let longest = if label == "age" { 5 } else { 4 };
                prop_assert!(shown.len() <= longest, "{} gives {}", value, shown);
            }
        }
    }
}
