//! Names of columns and keys in messages: a name also comes from the data, and may be a value.

/// Longest name that is shown.
const MAX_CHARS: usize = 40;

/// Digits that a shown name has at most: `address_2`, `line2023`, no number of a card or a phone.
const MAX_DIGITS: usize = 4;

/// A column's name if it looks like a name and like nothing else: words of letters, with a number
/// behind a word if need be, and `_` or `.` between them. Somebody's address, number or full name
/// and most secrets do not, and are not shown (I7).
pub fn shown(name: &str) -> Option<&str> {
    let is_word = |word: &str| {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.chars().all(|c| c.is_ascii_alphabetic())
    };
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let fits = name.len() <= MAX_CHARS
        && digits <= MAX_DIGITS
        && name.contains(|c: char| c.is_ascii_alphabetic())
        && name.split(['_', '.']).all(is_word);
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_values_are_not() {
        for name in ["text", "customerName", "service.name", "address_2", "_id"] {
            assert_eq!(shown(name), Some(name));
        }
        for value in [
            "ana@mail.example",
            "Ana Ruiz",
            "4539148803436467",
            "AKIACANARY7EXAMPLE42",
            "192.0.2.1",
            "555-0100",
            "plover-cipher-7731",
            "2024_10",
            "",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
    }
}
