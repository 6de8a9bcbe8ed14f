//! A text as a language model writes it, with a map to the bytes of the source.
//!
//! Models put spaces around punctuation or take them away, and write quotes, dashes, spaces and accents in another form. In
//! a view such forms are equal: characters are decomposed (NFKD), white space is one space and none beside punctuation, and
//! what cannot be seen is left out. Case is kept.
//!
//! In:  a text.
//! Out: the view, and for each stretch of it the bytes of the text that it stands for.
//! Holds: a place in the view leads to whole characters of the text; memory is a small multiple of the text.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, Script},
};

use crate::text::ByteSpan;

/// A view of a text.
pub(super) struct View {
    text: String,
    /// In order of both; they cover the view.
    stretches: Vec<Stretch>,
}

/// A stretch of the view and what it stands for.
#[derive(Clone, Copy)]
struct Stretch {
    /// First byte in the view.
    view: usize,
    /// Bytes of the source.
    source: ByteSpan,
    /// Whether both have the same bytes, so that every byte has its own place.
    same: bool,
}

impl View {
    /// Makes the view of a text.
    pub(super) fn new(source: &str) -> Self {
        let mut view = Self {
            text: String::with_capacity(source.len()),
            stretches: Vec::new(),
        };
        // White space that is held back until something follows it.
        let mut space: Option<ByteSpan> = None;
        for (at, c) in source.char_indices() {
            let bytes = ByteSpan::new(at, at + c.len_utf8());
            match shown(c) {
                Shown::Nothing => {}
                Shown::Space => {
                    space = Some(match space {
                        Some(held) => ByteSpan::new(held.start, bytes.end),
                        None => bytes,
                    });
                }
                shown => {
                    let first = shown.first(c);
                    if let Some(held) = space.take()
                        && view.text.chars().next_back().is_some_and(is_of_word)
                        && is_of_word(first)
                    {
                        view.push(" ", held, &source[held.start..held.end]);
                    }
                    match shown {
                        Shown::Itself => {
                            view.push(
                                c.encode_utf8(&mut [0; 4]),
                                bytes,
                                c.encode_utf8(&mut [0; 4]),
                            );
                        }
                        Shown::Char(other) => {
                            view.push(other.encode_utf8(&mut [0; 4]), bytes, "");
                        }
                        Shown::Text(other) => view.push(&other, bytes, ""),
                        Shown::Nothing | Shown::Space => unreachable!("handled above"),
                    }
                }
            }
        }
        view
    }

    fn push(&mut self, text: &str, source: ByteSpan, original: &str) {
        let same = text == original;
        let at = self.text.len();
        self.text.push_str(text);
        if let Some(last) = self.stretches.last_mut()
            && same
            && last.same
            && last.source.end == source.start
        {
            last.source.end = source.end;
            return;
        }
        self.stretches.push(Stretch {
            view: at,
            source,
            same,
        });
    }

    /// The view's text.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The same in lower case.
    pub(super) fn folded(&self) -> Self {
        let mut folded = Self {
            text: String::with_capacity(self.text.len()),
            stretches: Vec::with_capacity(self.stretches.len()),
        };
        let mut buffer = String::new();
        for (at, c) in self.text.char_indices() {
            let source = self.source(at, at + c.len_utf8());
            buffer.clear();
            buffer.extend(c.to_lowercase());
            let original = match buffer.len() == source.end - source.start {
                true => buffer.as_str(),
                false => "",
            };
            // In a stretch of equal lengths each byte has its own place, in whatever case.
            let (text, original) = (buffer.clone(), original.to_owned());
            folded.push(&text, source, &original);
        }
        folded
    }

    /// The bytes of the source that a stretch of the view stands for.
    pub(super) fn source(&self, start: usize, end: usize) -> ByteSpan {
        debug_assert!(
            start < end && end <= self.text.len(),
            "a stretch of the view"
        );
        let of = |at: usize| {
            let next = self.stretches.partition_point(|stretch| stretch.view <= at);
            self.stretches[next - 1]
        };
        let (first, last) = (of(start), of(end - 1));
        let from = match first.same {
            true => first.source.start + (start - first.view),
            false => first.source.start,
        };
        let to = match last.same {
            true => last.source.start + (end - last.view),
            false => last.source.end,
        };
        ByteSpan::new(from, to)
    }

    /// Whether a stretch of the view begins and ends at the border of a word.
    pub(super) fn is_on_borders(&self, start: usize, end: usize) -> bool {
        let before = self.text[..start].chars().next_back();
        let after = self.text[end..].chars().next();
        let own = &self.text[start..end];
        let apart = |left: Option<char>, right: Option<char>| match (left, right) {
            (Some(left), Some(right)) => !(runs_on(left) && continues(right)),
            _ => true,
        };
        apart(before, own.chars().next()) && apart(own.chars().next_back(), after)
    }
}

/// What a character becomes.
enum Shown {
    Nothing,
    Space,
    Itself,
    Char(char),
    Text(String),
}

impl Shown {
    fn first(&self, own: char) -> char {
        match self {
            Self::Char(other) => *other,
            Self::Text(other) => other.chars().next().unwrap_or(own),
            _ => own,
        }
    }
}

fn shown(c: char) -> Shown {
    if c.is_ascii() {
        return match c.is_ascii_whitespace() || c == '\u{B}' {
            true => Shown::Space,
            false => Shown::Itself,
        };
    }
    if c.is_whitespace() {
        return Shown::Space;
    }
    match c {
        '\u{2018}'..='\u{201B}' | '\u{2032}' | '\u{2035}' | '\u{B4}' => return Shown::Char('\''),
        '\u{201C}'..='\u{201F}'
        | '\u{2033}'
        | '\u{2036}'
        | '\u{AB}'
        | '\u{BB}'
        | '\u{300C}'..='\u{300F}' => {
            return Shown::Char('"');
        }
        '\u{2212}' => return Shown::Char('-'),
        _ => {}
    }
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return Shown::Nothing;
    }
    // A syllable in its parts would be the beginning of others.
    if ('\u{AC00}'..='\u{D7A3}').contains(&c) {
        return Shown::Itself;
    }
    if CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DashPunctuation {
        return Shown::Char('-');
    }
    let mut own = [0; 4];
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(c.encode_utf8(&mut own));
    let mut chars = decomposed.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Shown::Nothing,
        (Some(only), None) if only == c => Shown::Itself,
        (Some(only), None) if only.is_whitespace() => Shown::Space,
        (Some(only), None) => Shown::Char(only),
        _ => Shown::Text(decomposed.into_owned()),
    }
}

/// Whether a space beside it parts words: letters, digits and the marks on them.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

fn is_mark(c: char) -> bool {
    !c.is_ascii()
        && GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

/// Whether a word that has come to this character may go on.
fn runs_on(c: char) -> bool {
    is_of_word(c) && !stands_alone(c)
}

/// Whether this character goes on with the word before it.
fn continues(c: char) -> bool {
    is_mark(c) || runs_on(c)
}

/// Whether words of its script follow one another without a space, or take particles without one.
fn stands_alone(c: char) -> bool {
    const WITHOUT_SPACES: [Script; 8] = [
        Script::Han,
        Script::Hiragana,
        Script::Katakana,
        Script::Hangul,
        Script::Thai,
        Script::Lao,
        Script::Khmer,
        Script::Myanmar,
    ];
    !c.is_ascii() && WITHOUT_SPACES.contains(&CodePointMapData::<Script>::new().get(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(text: &str) -> String {
        View::new(text).text
    }

    #[test]
    fn forms_that_models_mix_up_are_equal() {
        for (one, other) in [
            ("Ana  Ruiz", "Ana\n\tRuiz"),
            ("O’Brien", "O'Brien"),
            ("( 555 ) 123 - 4567", "(555) 123\u{2011}4567"),
            ("José", "Jose\u{301}"),
            ("Ａna １２", "Ana 12"),
            ("so\u{ad}ft", "soft"),
            ("a “quote”", "a \"quote\""),
            ("e.g. this", "e.g.this"),
            ("10\u{a0}km", "10 km"),
            ("张伟；李", "张伟;李"),
        ] {
            assert_eq!(view(one), view(other), "{one} {other}");
        }
        assert_ne!(view("Ana"), view("ana"), "case is kept");
        assert_ne!(view("an a"), view("ana"));
    }

    #[test]
    fn words_end_where_readers_see_it() {
        let on = |text: &str, own: &str| {
            let view = View::new(text);
            let own = View::new(own).text;
            let start = view.text.find(&own).expect("it is there");
            view.is_on_borders(start, start + own.len())
        };
        assert!(on("ask Ana now", "Ana"));
        assert!(on("Ana_Ruiz", "Ana"));
        assert!(!on("Anabel", "Ana"));
        assert!(!on("Jose\u{301}", "Jose"), "a mark belongs to its letter");
        assert!(on("我叫张伟。", "张伟"));
        assert!(
            on("김철수는", "김철수"),
            "a particle follows without a space"
        );
        assert!(on("x:4711", "4711"));
        assert!(!on("04711", "4711"));
    }

    proptest! {
        #[test]
        fn every_stretch_leads_to_whole_characters(
            text in r"[aB \n\u{301}ﬁ½éİß“－ａ张\u{200b}\u{ad}.,;:'()-]{0,40}", a in 0usize..60, b in 0usize..60,
        ) {
            let view = View::new(&text);
            for view in [view.folded(), view] {
                let length = view.text.len();
                if length == 0 {
                    continue;
                }
                let start = view.text.floor_char_boundary(a % length);
                let end = view.text.ceil_char_boundary((start + 1 + b % length).min(length));
                let source = view.source(start, end);
                prop_assert!(text.is_char_boundary(source.start) && text.is_char_boundary(source.end));
                prop_assert!(source.start < source.end && source.end <= text.len());
                // What a stretch stands for has the stretch in its own view.
                let own = View::new(&text[source.start..source.end]);
                let own = own.folded().text;
                let stretch = view.text[start..end].to_lowercase();
                prop_assert!(own.contains(stretch.trim()), "{:?} {:?}", own, stretch);
            }
        }
    }
}
