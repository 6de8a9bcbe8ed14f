//! Reading an answer: ` label: value; label: value`, or ` None`.
//!
//! Values may hold `;` and `:`, so an item begins where an asked label stands behind `; `, and ends where the next one
//! begins. Case, spaces, full-width signs and a sign at the end are as models write them.
//!
//! In:  an answer, the labels of its prompt.
//! Out: values with the labels that they were named for.
//! Holds: every part of an answer is a value, or counted, or makes the answer unreadable: nothing of it is passed over.

use std::ops::Range;

use super::view::View;

/// The labels of a prompt, as an answer may write them.
pub(super) struct Anchors {
    /// In lower case, in the form of a view; the longest first, each with its class.
    labels: Vec<(String, u16)>,
    none: String,
}

/// A value that the model named. Its text is never printed: there is no `Debug`.
#[derive(Clone)]
pub(super) struct Named {
    /// As the model wrote it.
    pub(super) value: Box<str>,
    /// Position of the label in its prompt.
    pub(super) class: u16,
    /// Bytes of the answer, for its score.
    pub(super) bytes: Range<usize>,
}

/// An answer has no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Items of an answer.
pub(super) struct Items {
    pub(super) named: Vec<Named>,
    /// Values of labels that were not asked for.
    pub(super) unasked: u64,
}

impl Anchors {
    /// Labels in the order of their prompt. `none`: what stands for nothing.
    pub(super) fn new<'l>(labels: impl IntoIterator<Item = &'l str>, none: &str) -> Self {
        let labels = labels.into_iter().enumerate();
        let mut labels: Vec<(String, u16)> = labels
            .map(|(class, label)| (folded(label), class as u16))
            .collect();
        labels.sort_by(|one, other| other.0.len().cmp(&one.0.len()).then(one.cmp(other)));
        Self {
            labels,
            none: folded(none),
        }
    }

    /// Reads an answer, without what ends it.
    pub(super) fn read(&self, answer: &str) -> Result<Items, Unreadable> {
        let mut items = Items {
            named: Vec::new(),
            unasked: 0,
        };
        let view = View::new(answer).folded();
        let text = view.as_str();
        let whole = text.trim_end_matches(['.', ';', '!']);
        if whole.is_empty() {
            // An empty answer stands for nothing only where that is the form: servers give one if a prompt is too long.
            return match self.none.is_empty() && text.is_empty() {
                true => Ok(items),
                false => Err(Unreadable),
            };
        }
        if whole == self.none {
            return Ok(items);
        }
        let begins = self.begins(text);
        let first = begins.first().map_or(text.len(), |begin| begin.label);
        items.unasked += self.unasked(&text[..first])?;
        for (number, begin) in begins.iter().enumerate() {
            let end = begins.get(number + 1).map_or(text.len(), |next| next.label);
            let value = text[begin.value..end].trim_end_matches(';');
            // Models write `label: None` for a label without a value.
            if value.is_empty() || value.trim_end_matches('.') == self.none {
                continue;
            }
            let bytes = view.source(begin.value, begin.value + value.len());
            items.named.push(Named {
                value: answer[bytes.start..bytes.end].trim().into(),
                class: begin.class,
                bytes: bytes.start..bytes.end,
            });
        }
        Ok(items)
    }

    /// Where items begin.
    fn begins(&self, text: &str) -> Vec<Begin> {
        let places = std::iter::once(0).chain(text.match_indices(';').map(|(at, _)| at + 1));
        let mut begins: Vec<Begin> = Vec::new();
        for at in places {
            // Where labels hold a `;`, an item is not to begin inside one.
            if begins.last().is_some_and(|last| at < last.value) {
                continue;
            }
            let rest = &text[at..];
            let label = self.labels.iter().find(|(label, _)| {
                rest.strip_prefix(label.as_str())
                    .is_some_and(|rest| rest.starts_with(':'))
            });
            if let Some((label, class)) = label {
                begins.push(Begin {
                    label: at,
                    value: at + label.len() + 1,
                    class: *class,
                });
            }
        }
        begins
    }

    /// Items before the first one of an asked label; what is no item makes the answer unreadable.
    fn unasked(&self, text: &str) -> Result<u64, Unreadable> {
        let mut unasked = 0;
        for part in text.split(';').filter(|part| !part.is_empty()) {
            match is_item(part) {
                true => unasked += 1,
                false => return Err(Unreadable),
            }
        }
        Ok(unasked)
    }
}

/// A place in a view where an item begins.
struct Begin {
    label: usize,
    value: usize,
    class: u16,
}

/// Whether a part of an answer looks like a label and a value.
pub(super) fn is_item(part: &str) -> bool {
    /// Labels are a few words.
    const LONGEST: usize = 60;
    let colon = part.find([':', '\u{FF1A}']);
    colon.is_some_and(|at| at > 0 && at <= LONGEST && at + 1 < part.len())
}

/// A label as it stands in a view of an answer in lower case.
pub(super) fn folded(label: &str) -> String {
    View::new(label.trim()).folded().as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(labels: &[&str], answer: &str) -> Result<(Vec<(String, String)>, u64), Unreadable> {
        let anchors = Anchors::new(labels.iter().copied(), "None");
        let items = anchors.read(answer)?;
        let named = items.named.iter();
        let named = named.map(|named| {
            assert_eq!(answer[named.bytes.clone()].trim(), &*named.value);
            (
                labels[usize::from(named.class)].to_owned(),
                named.value.to_string(),
            )
        });
        Ok((named.collect(), items.unasked))
    }

    fn named(labels: &[&str], answer: &str) -> Vec<(String, String)> {
        read(labels, answer)
            .unwrap_or_else(|_| panic!("{answer}"))
            .0
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn items_begin_at_asked_labels() {
        let labels = ["person", "place", "place of birth"];
        for (answer, expected) in [
            (
                " person: Ana Ruiz; place: Berlin",
                &[("person", "Ana Ruiz"), ("place", "Berlin")][..],
            ),
            (
                "Person : Ana;place:Berlin;",
                &[("person", "Ana"), ("place", "Berlin")],
            ),
            (" place of birth: Rome", &[("place of birth", "Rome")]),
            (
                " person: a; b: c; place: d;e",
                &[("person", "a; b: c"), ("place", "d;e")],
            ),
            (
                " person: http://x.example/;y=1",
                &[("person", "http://x.example/;y=1")],
            ),
            (
                "person：张伟；place：北京",
                &[("person", "张伟"), ("place", "北京")],
            ),
            (
                " person: Ana; person: Ana",
                &[("person", "Ana"), ("person", "Ana")],
            ),
            (" person: None; place: Rome", &[("place", "Rome")]),
            (" person: ; place: Rome", &[("place", "Rome")]),
            (" person: Acme Inc.", &[("person", "Acme Inc.")]),
        ] {
            assert_eq!(named(&labels, answer), pairs(expected), "{answer}");
        }
    }

    #[test]
    fn nothing_is_said_by_none_and_not_by_silence() {
        for answer in [" None", "None", " none.", " None;"] {
            assert_eq!(read(&["person"], answer), Ok((Vec::new(), 0)), "{answer}");
        }
        for answer in ["", " ", ".", ";"] {
            assert_eq!(read(&["person"], answer), Err(Unreadable), "{answer:?}");
        }
        let silent = Anchors::new(["person"], "");
        assert!(silent.read(" ").is_ok_and(|items| items.named.is_empty()));
        assert!(silent.read(" None").is_err());
    }

    #[test]
    fn labels_that_were_not_asked_for_are_counted_and_other_words_are_an_error() {
        assert_eq!(
            read(&["person"], " company: Acme; person: Ana"),
            Ok((pairs(&[("person", "Ana")]), 1))
        );
        assert_eq!(
            read(&["person"], " company: Acme; city: Rome"),
            Ok((Vec::new(), 2))
        );
        for answer in [
            " Ana Ruiz",
            " Sure, here they are",
            " I found; nothing: none",
            " : Ana",
            " company:",
        ] {
            assert_eq!(read(&["person"], answer), Err(Unreadable), "{answer}");
        }
    }

    proptest! {
        /// Values with all signs of the form, so long as they hold no anchor of their own.
        #[test]
        fn what_is_written_is_read(
            items in prop::collection::vec((0usize..4, r"[a-zA-Z0-9张é;:./ -]{0,12}[a-zA-Z0-9张é]"), 1..8),
        ) {
            let labels = ["person", "e-mail address", "label: with; signs", "人名"];
            let items: Vec<(String, String)> = items.into_iter()
                .map(|(label, value)| (labels[label].to_owned(), value.trim().trim_start_matches(';').trim().to_owned()))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            prop_assume!(!items.is_empty());
            let text: Vec<String> = items.iter().map(|(label, value)| format!("{label}: {value}")).collect();
            prop_assert_eq!(named(&labels, &format!(" {}", text.join("; "))), items);
        }

        #[test]
        fn any_answer_is_read_or_refused(answer in r"\PC{0,80}") {
            let _ = read(&["person", "人名", "a"], &answer);
        }
    }
}
