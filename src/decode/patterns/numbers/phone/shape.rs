//! Digit groups with the separators of phone numbers between them, and what is none.

use std::ops::Deref;

use super::extension;
use crate::decode::patterns::borders::{closes, continues_after};

/// Groups that a phone number has at most (`00 1 800 …` and five pairs are eight).
const MAX_GROUPS: usize = 8;

/// Digit groups from one place on.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub start: usize,
    groups: [(usize, usize); MAX_GROUPS],
    count: usize,
    /// Digits in all groups.
    pub digits: usize,
}

/// Lengths of the groups of a number.
pub(super) struct Sizes {
    all: [usize; MAX_GROUPS],
    count: usize,
}

impl Deref for Sizes {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.all[..self.count]
    }
}

impl Shape {
    /// Reads groups at `first`, the first digit, until there are more than 20 digits. The number
    /// begins at `start`, which is a bracket or a plus before it.
    pub fn read(text: &str, start: usize, first: usize) -> Self {
        let bytes = text.as_bytes();
        let mut shape = Self {
            start,
            groups: [(0, 0); MAX_GROUPS],
            count: 0,
            digits: 0,
        };
        let mut at = first;
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
            // One to three of ` -./()` between groups, as in `) `, ` (`, `-`, ` - `; four with a
            // bracket: `) - `.
            let gap = bytes[at..]
                .iter()
                .take(5)
                .take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\t'))
                .count();
            let most = 3 + usize::from(bytes.get(at) == Some(&b')'));
            if gap == 0 || gap > most || !bytes.get(at + gap).is_some_and(u8::is_ascii_digit) {
                return shape;
            }
            at += gap;
        }
    }

    pub fn groups(&self) -> &[(usize, usize)] {
        &self.groups[..self.count]
    }

    pub fn end(&self) -> usize {
        self.groups[self.count - 1].1
    }

    /// The digits, without a trunk prefix in brackets: in `+49 (0) 30` it is not dialled.
    pub fn international(&self, text: &str) -> String {
        self.groups()
            .iter()
            .enumerate()
            .filter(|(index, group)| {
                !(*index > 0
                    && &text[group.0..group.1] == "0"
                    && text[..group.0].ends_with('(')
                    && text[group.1..].starts_with(')'))
            })
            .map(|(_, group)| &text[group.0..group.1])
            .collect()
    }

    pub fn digits(&self, text: &str) -> String {
        self.groups()
            .iter()
            .map(|group| &text[group.0..group.1])
            .collect()
    }

    /// Lengths of the groups.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            all: self.groups.map(|group| group.1.wrapping_sub(group.0)),
            count: self.count,
        }
    }

    /// What stands behind the group at `index`.
    pub fn gap<'a>(&self, text: &'a str, index: usize) -> &'a str {
        &text[self.groups[index].1..self.groups[index + 1].0]
    }

    /// End of the longest whole number of groups that passes: at most eight are tried, and none of
    /// fewer than seven digits.
    pub fn longest(&self, text: &str, passes: impl Fn(&Self) -> bool) -> Option<usize> {
        let mut shape = self.clone();
        while shape.digits >= 7 {
            let end = shape.end();
            let alone = (closes(text, end) || extension(text, end) > end)
                && ![b'-', b'.', b'/', b':']
                    .iter()
                    .any(|mark| continues_after(text, end, *mark));
            if alone && shape.is_balanced(text) && passes(&shape) {
                return Some(end);
            }
            let (from, to) = shape.groups[shape.count - 1];
            shape.digits -= to - from;
            shape.count -= 1;
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

    fn number(&self, text: &str, index: usize) -> u32 {
        text[self.groups[index].0..self.groups[index].1]
            .parse()
            .unwrap_or(u32::MAX)
    }

    /// `2024-03-05`, `05.03.2024`, `3/5/24`, `20240305`, `20240305101112` and the like.
    pub fn is_date(&self, text: &str) -> bool {
        let day = |month: u32, day: u32| (1..=12).contains(&month) && (1..=31).contains(&day);
        let number = |index: usize| self.number(text, index);
        match self.sizes()[..] {
            [4, 1..=2, 1..=2, ..] => day(number(1), number(2)) && (1900..2100).contains(&number(0)),
            [1..=2, 1..=2, 4, ..] => {
                (1900..2100).contains(&number(2))
                    && (day(number(0), number(1)) || day(number(1), number(0)))
            }
            // `05.03.24 10`: a time may follow, four pairs and more are none.
            [1..=2, 1..=2, 2] | [1..=2, 1..=2, 2, 1..=2] if self.gap(text, 0) != " " => {
                day(number(0), number(1)) || day(number(1), number(0))
            }
            [8 | 12 | 14, ..] => {
                let digits = &text[self.groups[0].0..self.groups[0].1];
                let part = |from: usize, to: usize| digits[from..to].parse().unwrap_or(0);
                (1900..2100).contains(&part(0, 4)) && day(part(4, 6), part(6, 8))
            }
            // Milliseconds since 1970.
            [13] => (1_300..2_000).contains(&self.number_of(text, 4)),
            _ => false,
        }
    }

    fn number_of(&self, text: &str, digits: usize) -> u32 {
        let start = self.groups[0].0;
        text[start..start + digits].parse().unwrap_or(0)
    }

    /// Years that follow each other or span a time: `2024 2025`, `2019-2024`.
    pub fn is_years(&self, text: &str) -> bool {
        *self.sizes() == [4, 4]
            && (0..2).all(|index| (1900..2100).contains(&self.number(text, index)))
    }

    /// Four numbers up to 255: an IPv4 address, also as host names hold it (`82-68-222-195`).
    pub fn is_address(&self, text: &str) -> bool {
        self.count == 4
            && self
                .groups()
                .iter()
                .all(|group| group.1 - group.0 <= 3 && text[group.0..group.1].parse::<u8>().is_ok())
            && matches!(self.gap(text, 0), "." | "-")
            && self.is_even(text, 0)
            && !self
                .groups()
                .iter()
                .all(|group| group.1 - group.0 == 2 && self.gap(text, 0) == "-")
    }

    /// A decimal number.
    pub fn is_decimal(&self, text: &str) -> bool {
        self.count == 2 && self.gap(text, 0) == "."
    }

    /// Whether all gaps behind the first `skipped` are the same.
    pub fn is_even(&self, text: &str, skipped: usize) -> bool {
        (skipped + 1..self.count.saturating_sub(1))
            .all(|index| self.gap(text, index) == self.gap(text, skipped))
    }

    /// Whether another group touches the number with the separator that it has itself: it is a part
    /// of a longer row.
    pub fn is_row(&self, text: &str) -> bool {
        if self.count < 2 {
            return false;
        }
        let gap = self.gap(text, 0);
        let before = text[..self.start]
            .strip_suffix(gap)
            .is_some_and(|left| left.ends_with(|c: char| c.is_ascii_digit()));
        let after = text[self.end()..]
            .strip_prefix(gap)
            .is_some_and(|right| right.starts_with(|c: char| c.is_ascii_digit()));
        before || after
    }
}
