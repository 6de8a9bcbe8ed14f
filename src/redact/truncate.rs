//! Truncation of card numbers: the first six or eight digits and the last four stay.
//!
//! PCI DSS 3.5.1 takes a truncated number for unreadable; which digits may stay depends on the length
//! (FAQ 1091 of the PCI Security Standards Council): the first six and the last four of any number, and the
//! first eight of a number of 16 digits.

use crate::decode::patterns::luhn;

/// Digits at the start that may stay of a number of any length.
pub const FIRST: usize = 6;

/// Digits at the start that may stay of a number of [`LONG_BIN_LENGTH`] digits.
pub const FIRST_OF_LONG_BIN: usize = 8;

/// The one length for which the networks let eight digits stay.
const LONG_BIN_LENGTH: usize = 16;

/// Digits at the end that stay.
const LAST: usize = 4;

/// Appends the number with its middle digits masked. `false` if the value is no card number: nothing is
/// appended. A value with more in it than one number, such as the code on a card's back, is none.
pub(super) fn truncate(value: &str, first: usize, out: &mut String) -> bool {
    let is_separator = |c: char| c.is_whitespace() || "-_.,:;/()–·".contains(c);
    if !value.chars().all(|c| c.is_ascii_digit() || is_separator(c)) {
        return false;
    }
    let digits: Vec<u8> = value.bytes().filter(u8::is_ascii_digit).collect();
    if !(13..=19).contains(&digits.len()) || !luhn(&digits) {
        return false;
    }
    let first = match digits.len() {
        LONG_BIN_LENGTH => first,
        _ => first.min(FIRST),
    };
    let mut place = 0;
    for c in value.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
            continue;
        }
        let stays = place < first || place >= digits.len() - LAST;
        out.push(if stays { c } else { '*' });
        place += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn truncated(value: &str, first: usize) -> Option<String> {
        let mut out = String::new();
        truncate(value, first, &mut out).then_some(out)
    }

    #[test]
    fn the_first_six_or_eight_and_the_last_four_digits_stay() {
        for (value, first, expected) in [
            ("4111 1111 1111 1111", 6, "4111 11** **** 1111"),
            ("4111111111111111", 8, "41111111****1111"),
            // American Express, 15 digits, and Diners Club, 14: eight are too many.
            ("378282246310005", 8, "378282*****0005"),
            ("3056-930902-5904", 8, "3056-93****-5904"),
            ("6304000000000000000", 8, "630400*********0000"),
        ] {
            let shown = truncated(value, first);
            assert_eq!(shown.as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_card_number_is_not_truncated() {
        for value in [
            "",
            "411111111111",
            "4111 1111 1111 1112",
            "4111 1111 1111 1111 123",
            "4111 1111 1111 1111 exp 12",
            "٤111 1111 1111 1111",
        ] {
            assert_eq!(truncated(value, 6), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn at_most_ten_digits_of_a_number_stay_or_twelve_of_sixteen(body in "[1-9][0-9]{11,17}", wide: bool) {
            let check = (b'0'..=b'9').find(|check| {
                let digits: Vec<u8> = body.bytes().chain([*check]).collect();
                luhn(&digits)
            });
            let number = format!("{body}{}", char::from(check.unwrap()));
            let first = if wide { FIRST_OF_LONG_BIN } else { FIRST };
            let shown = truncated(&number, first).unwrap();
            let stay = shown.bytes().filter(u8::is_ascii_digit).count();
            prop_assert_eq!(stay, if wide && number.len() == 16 { 12 } else { 10 });
            prop_assert_eq!(shown.len(), number.len());
            prop_assert_eq!(&shown[number.len() - 4..], &number[number.len() - 4..]);
        }
    }
}
