//! One label that stands for several categories: what the model finds in parts is one entity.
//!
//! In:  tags of a text in order, with the categories and the words that they cover.
//! Out: tags; those of one label that follow one another are joined.
//! Holds: nothing between two parts but white space, or, of two categories, a comma: "12 Mill Lane, Skerries" is one
//!        address, and "Ana, Lea" are two people.

use super::words::Word;
use crate::{
    model::{bioes::LONGEST_ENTITY, family::Tag},
    text::ByteSpan,
};

/// A tag with its place among the words.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) tag: Tag,
    pub(super) category: u32,
    /// First word of the document.
    pub(super) start: u64,
    /// Word after the last.
    pub(super) end: u64,
    /// Whether its label stands for several categories.
    pub(super) is_of_several: bool,
}

/// Joins parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// What the next part may belong to.
    open: Option<Part>,
}

impl Parts {
    /// Adds the next part, and takes out what is whole by now. `word`: a word of the document by its number.
    pub(super) fn push<'w>(
        &mut self,
        part: Part,
        word: impl Fn(u64) -> Option<&'w Word>,
    ) -> Option<Tag> {
        let Some(open) = &mut self.open else {
            self.open = Some(part);
            return None;
        };
        let joined = part.is_of_several
            && open.tag.label == part.tag.label
            && part.end - open.start <= LONGEST_ENTITY
            && match part.start - open.end {
                0 => true,
                1 => {
                    open.category != part.category
                        && word(open.end).is_some_and(|word| word.is_comma)
                }
                _ => false,
            };
        if !joined {
            return self.open.replace(part).map(|open| open.tag);
        }
        let words = |part: &Part| (part.end - part.start) as f32;
        let share = words(open) / (words(open) + words(&part));
        let mean = |a: f32, b: f32| a * share + b * (1.0 - share);
        open.tag = Tag {
            bytes: ByteSpan::new(open.tag.bytes.start, part.tag.bytes.end),
            label: open.tag.label,
            score: mean(open.tag.score, part.tag.score),
            label_score: mean(open.tag.label_score, part.tag.label_score),
        };
        (open.category, open.end) = (part.category, part.end);
        None
    }

    /// Takes out what no later part belongs to: those begin at word `decided` or later.
    pub(super) fn settle(&mut self, decided: u64) -> Option<Tag> {
        let open = self.open.take_if(|open| decided > open.end + 1)?;
        Some(open.tag)
    }

    /// First byte of what is open.
    pub(super) fn waiting(&self) -> Option<(u64, usize)> {
        let open = self.open.as_ref()?;
        Some((open.start, open.tag.bytes.start))
    }

    /// Ends the text.
    pub(super) fn finish(&mut self) -> Option<Tag> {
        self.open.take().map(|open| open.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joined spans of `text`, whose words are parted by spaces; each part is category, label, first and last word.
    fn joined(text: &str, parts: &[(u32, usize, u64, u64)]) -> Vec<String> {
        let mut at = 0;
        let words: Vec<Word> = text
            .split(' ')
            .map(|word| {
                let start = at;
                at += word.len() + 1;
                Word {
                    tokens: 1,
                    span: ByteSpan::new(start, start + word.len()),
                    is_comma: word == ",",
                }
            })
            .collect();
        let mut all = Parts::default();
        let mut found = Vec::new();
        for (category, label, start, end) in parts {
            let part = Part {
                tag: Tag {
                    bytes: ByteSpan::new(
                        words[*start as usize].span.start,
                        words[*end as usize].span.end,
                    ),
                    label: *label,
                    score: 0.5,
                    label_score: 0.5,
                },
                category: *category,
                start: *start,
                end: end + 1,
                is_of_several: *label < 9,
            };
            found.extend(all.settle(*start));
            found.extend(all.push(part, |at| words.get(at as usize)));
        }
        found.extend(all.finish());
        found
            .iter()
            .map(|tag| text[tag.bytes.start..tag.bytes.end].to_owned())
            .collect()
    }

    #[test]
    fn parts_of_a_name_and_of_an_address_are_one_entity() {
        let name = [(0, 0, 0, 0), (1, 0, 1, 1)];
        assert_eq!(joined("Ana Ruiz called", &name), ["Ana Ruiz"]);
        let turned = [(1, 0, 0, 0), (0, 0, 2, 2)];
        assert_eq!(joined("Ruiz , Ana", &turned), ["Ruiz , Ana"]);
        let two = [(0, 0, 0, 0), (0, 0, 2, 2)];
        assert_eq!(joined("Ana , Lea", &two), ["Ana", "Lea"]);
        let apart = [(0, 0, 0, 0), (1, 0, 2, 2)];
        assert_eq!(joined("Ana and Ruiz", &apart), ["Ana", "Ruiz"]);
        let labels = [(0, 0, 0, 0), (1, 1, 1, 1)];
        assert_eq!(joined("Ana Ruiz", &labels), ["Ana", "Ruiz"]);
        let of_one = [(0, 9, 0, 0), (0, 9, 1, 1)];
        assert_eq!(joined("Ana Ruiz", &of_one), ["Ana", "Ruiz"]);
        let address = [(2, 0, 0, 0), (3, 0, 1, 2), (4, 0, 4, 4), (5, 0, 6, 6)];
        assert_eq!(
            joined("12 Mill Lane , Skerries , K34", &address),
            ["12 Mill Lane , Skerries , K34"]
        );
    }
}
