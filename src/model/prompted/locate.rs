//! Where the values stand that a model named.
//!
//! Every place of a value in the whole text counts, whichever window named it. A value is searched for as it is written, on
//! borders of words, in a view in which the forms that models mix up are equal; if it is nowhere, in any case; if it is still
//! nowhere, inside words. A value that is nowhere may be one with a sign too many, or several behind one label.
//!
//! In:  a text; values, each with a class and a score.
//! Out: places, of one class apart from one another; values that are nowhere.
//! Holds: places are whole characters of the text; memory is a small multiple of the text and the values.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{answer::is_item, view::View};
use crate::text::ByteSpan;

/// Values by class and wording, with the best score of any window.
#[derive(Default)]
pub(super) struct Values(HashMap<(Box<str>, usize), f32>);

/// Where a value of a class stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) bytes: ByteSpan,
    pub(super) class: usize,
    pub(super) score: f32,
}

/// What was found of some values.
#[derive(Default)]
pub(super) struct Located {
    /// By class, then in the order of the text.
    pub(super) places: Vec<Place>,
    /// Values that stand nowhere.
    pub(super) invented: u64,
    /// Parts of values that look like items of labels that were not asked for.
    pub(super) unasked: u64,
}

impl Values {
    /// Adds a value.
    pub(super) fn add(&mut self, value: Box<str>, class: usize, score: f32) {
        let best = self.0.entry((value, class)).or_insert(score);
        // A score that is no number counts as the highest: fail closed.
        *best = match best.is_nan() || score.is_nan() {
            true => 1.0,
            false => best.max(score),
        };
    }

    fn wanted(&self) -> Vec<Wanted> {
        let own = self.0.iter().map(|((value, class), score)| Wanted {
            value: value.to_string(),
            class: *class,
            score: *score,
        });
        own.collect()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shortest value, in characters of the view, that is searched for inside words.
///
/// Shorter: an invented `he` would mark every `the`. Longer: a name with an ending of its language passes.
const LEAST_INSIDE: usize = 4;

/// Searches a text for all values.
pub(super) fn locate(text: &str, values: &Values) -> Located {
    let mut located = Located::default();
    if values.is_empty() {
        return located;
    }
    let search = Search::new(text);
    let mut marks = Marks::default();
    let mut wanted = values.wanted();
    // What is left is without signs around it, then in parts.
    wanted = search.run(wanted, &mut marks);
    wanted = search.run(wanted.into_iter().map(Wanted::bare).collect(), &mut marks);
    // A hostile answer may repeat a part a hundred thousand times.
    let mut parts = Values::default();
    for part in wanted.into_iter().flat_map(Wanted::parts) {
        parts.add(part.value.into(), part.class, part.score);
    }
    for left in search.run(parts.wanted(), &mut marks) {
        match is_item(&left.value) {
            true => located.unasked += 1,
            false => located.invented += 1,
        }
    }
    located.places = marks.places();
    located
}

/// A value that is searched for.
struct Wanted {
    value: String,
    class: usize,
    score: f32,
}

impl Wanted {
    /// Without quotes, brackets and full stops around it.
    fn bare(self) -> Self {
        let bare = self.value.trim_matches(|c: char| !c.is_alphanumeric());
        Self {
            value: bare.to_owned(),
            ..self
        }
    }

    /// What stands between signs that part items.
    fn parts(self) -> Vec<Self> {
        let parts = self.value.split([';', '\u{FF1B}']).map(str::trim);
        let parts: Vec<Self> = parts
            .filter(|part| !part.is_empty())
            .map(|part| Self {
                value: part.to_owned(),
                ..self
            })
            .collect();
        match parts.is_empty() {
            true => vec![self],
            false => parts,
        }
    }
}

/// A text, ready to be searched.
struct Search {
    plain: View,
    folded: View,
}

impl Search {
    fn new(text: &str) -> Self {
        let plain = View::new(text);
        let folded = plain.folded();
        Self { plain, folded }
    }

    /// Marks all places of the values; gives back those that have none.
    fn run(&self, wanted: Vec<Wanted>, marks: &mut Marks) -> Vec<Wanted> {
        let wanted = self.pass(&self.plain, false, true, wanted, marks);
        let wanted = self.pass(&self.folded, true, true, wanted, marks);
        let wanted = self.pass(&self.plain, false, false, wanted, marks);
        self.pass(&self.folded, true, false, wanted, marks)
    }

    fn pass(
        &self,
        view: &View,
        folds: bool,
        on_borders: bool,
        wanted: Vec<Wanted>,
        marks: &mut Marks,
    ) -> Vec<Wanted> {
        let needle = |wanted: &Wanted| {
            let own = View::new(&wanted.value);
            let own = match folds {
                true => own.folded(),
                false => own,
            };
            let own = own.as_str();
            let has_word = own.chars().any(char::is_alphanumeric);
            let long = on_borders || own.chars().nth(LEAST_INSIDE - 1).is_some();
            // What is longer than the text is nowhere in it.
            let fits = own.len() <= view.as_str().len();
            match has_word && long && fits {
                true => own.to_owned(),
                false => String::new(),
            }
        };
        let needles: Vec<String> = wanted.iter().map(needle).collect();
        let (numbers, patterns): (Vec<usize>, Vec<&str>) = needles
            .iter()
            .enumerate()
            .filter(|(_, needle)| !needle.is_empty())
            .map(|(number, needle)| (number, needle.as_str()))
            .unzip();
        if patterns.is_empty() {
            return wanted;
        }
        let builder = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // The faster kinds take time and memory that long values of a hostile answer multiply.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns);
        // Too many states: the values are gigabytes. What can't be searched for is nowhere.
        let Ok(searcher) = builder else { return wanted };
        let mut found = vec![false; wanted.len()];
        for hit in searcher.find_overlapping_iter(view.as_str()) {
            if on_borders && !view.is_on_borders(hit.start(), hit.end()) {
                continue;
            }
            let number = numbers[hit.pattern().as_usize()];
            found[number] = true;
            let Wanted { class, score, .. } = wanted[number];
            marks.add(view.source(hit.start(), hit.end()), class, score);
        }
        let mut found = found.into_iter();
        let left = wanted.into_iter();
        left.filter(|_| !found.next().unwrap_or(false)).collect()
    }
}

/// Marks of each class, apart from one another: what overlaps becomes one, with the higher score. Their number is bounded
/// by the text, not by the values.
#[derive(Default)]
struct Marks(HashMap<usize, BTreeMap<usize, (usize, f32)>>);

impl Marks {
    fn add(&mut self, bytes: ByteSpan, class: usize, score: f32) {
        let own = self.0.entry(class).or_default();
        let (mut start, mut end, mut best) = (bytes.start, bytes.end, score);
        while let Some((&before, &(until, held))) = own.range(..end).next_back()
            && until > start
        {
            own.remove(&before);
            (start, end, best) = (start.min(before), end.max(until), best.max(held));
        }
        own.insert(start, (end, best));
    }

    fn places(self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for (class, marks) in self.0 {
            places.extend(marks.into_iter().map(|(start, (end, score))| Place {
                bytes: ByteSpan::new(start, end),
                class,
                score,
            }));
        }
        places.sort_by_key(|place| (place.class, place.bytes));
        places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(values: &[&str]) -> Values {
        let mut all = Values::default();
        for value in values {
            all.add((*value).into(), 0, 0.5);
        }
        all
    }

    fn found<'t>(text: &'t str, named: &[&str]) -> Vec<&'t str> {
        let places = locate(text, &values(named)).places;
        places
            .iter()
            .map(|place| &text[place.bytes.start..place.bytes.end])
            .collect()
    }

    #[test]
    fn every_place_of_a_value_counts() {
        assert_eq!(found("Ana met Ana, not Anabel.", &["Ana"]), ["Ana", "Ana"]);
        assert_eq!(
            found("Ana Ruiz\nand Ana  Ruiz", &["Ana Ruiz"]),
            ["Ana Ruiz", "Ana  Ruiz"]
        );
        assert_eq!(found("张伟和张伟", &["张伟"]), ["张伟", "张伟"]);
    }

    #[test]
    fn a_value_in_another_form_is_found() {
        assert_eq!(found("by ANA RUIZ.", &["Ana Ruiz"]), ["ANA RUIZ"]);
        assert_eq!(found("O’Brien’s", &["o'brien"]), ["O’Brien"]);
        assert_eq!(
            found("(555) 123-4567", &["( 555 ) 123 - 4567"]),
            ["(555) 123-4567"]
        );
        assert_eq!(found("at Jose\u{301}’s", &["José"]), ["Jose\u{301}"]);
        assert_eq!(found("ask Ana.", &["\"Ana\"."]), ["Ana"]);
        assert_eq!(
            found("mail xanax.", &["Anax"]),
            ["anax"],
            "inside a word where it is nowhere else"
        );
        assert_eq!(found("mail the.", &["he"]), [""; 0], "too short for that");
    }

    #[test]
    fn as_it_is_written_goes_before_any_case() {
        assert_eq!(found("May said: may I?", &["May"]), ["May"]);
        assert_eq!(found("may i?", &["May"]), ["may"]);
    }

    #[test]
    fn several_values_behind_one_label_are_taken_apart() {
        let located = locate("Bob and Acme", &values(&["Bob; Acme"]));
        assert_eq!(
            (located.places.len(), located.invented, located.unasked),
            (2, 0, 0)
        );
        let located = locate("Bob and Acme", &values(&["Bob; company: Acme"]));
        assert_eq!(
            (located.places.len(), located.invented, located.unasked),
            (1, 0, 1)
        );
        let located = locate("Bob and Acme", &values(&["Bob; Eve"]));
        assert_eq!(
            (located.places.len(), located.invented, located.unasked),
            (1, 1, 0)
        );
        let located = locate("a url: x;y=1 here", &values(&["x;y=1"]));
        assert_eq!((located.places.len(), located.invented), (1, 0));
    }

    #[test]
    fn what_overlaps_is_one_mark() {
        assert_eq!(
            found("Ana Ruiz Gómez", &["Ana Ruiz", "Ruiz Gómez", "Ana"]),
            ["Ana Ruiz Gómez"]
        );
        assert_eq!(
            found("--- ---", &["-"]),
            [""; 0],
            "signs alone are no value"
        );
    }

    #[test]
    fn values_of_hundreds_of_kilobytes_are_searched_for() {
        let text = "ask Ana Ruiz now ".repeat(1000);
        let long = [
            "x;:".repeat(60_000),
            "y".repeat(200_000),
            "now ask ".repeat(8000),
        ];
        let mut named: Vec<&str> = long.iter().map(String::as_str).collect();
        named.push("Ana Ruiz");
        let located = locate(&text, &values(&named));
        assert_eq!((located.places.len(), located.invented), (1000, 4));
    }

    proptest! {
        /// Against a plain search for words.
        #[test]
        fn places_are_those_of_a_plain_search(
            words in prop::collection::vec("[ab]{1,3}", 0..20), named in prop::collection::vec("[ab]{1,3}", 1..6),
        ) {
            let text = words.join(" ");
            let mut expected: Vec<(usize, usize)> = Vec::new();
            let mut at = 0;
            for word in &words {
                if named.contains(word) {
                    expected.push((at, at + word.len()));
                }
                at += word.len() + 1;
            }
            let all: Vec<&str> = named.iter().map(String::as_str).collect();
            let located = locate(&text, &values(&all));
            let places: Vec<(usize, usize)> =
                located.places.iter().map(|place| (place.bytes.start, place.bytes.end)).collect();
            prop_assert_eq!(places, expected);
        }

        /// A value that a text has is found again in any form that a model may give it.
        #[test]
        fn a_value_of_the_text_is_found_at_its_place(
            before in r"[a-z .,]{0,20}", value in r"[A-Zé][a-zé’'.-]{0,6}( [A-Z][a-z]{1,6}){0,2}", after in r"[a-z .,]{0,20}",
            form in 0usize..4,
        ) {
            let text = format!("{before} {value} {after}");
            let given = match form {
                0 => value.clone(),
                1 => value.to_uppercase(),
                2 => value.replace(' ', "  ").replace('’', "'"),
                _ => format!("\"{value}\"."),
            };
            let start = before.len() + 1;
            let word = value.trim_end_matches(|c: char| !c.is_alphanumeric());
            let located = locate(&text, &values(&[&given]));
            let covers = located.places.iter()
                .any(|place| place.bytes.start <= start && start + word.len() <= place.bytes.end);
            prop_assert!(covers, "{:?} in {:?}: {:?}", given, text, located.places);
        }
    }
}
