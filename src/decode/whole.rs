//! Whole values: a span that ends inside a value grows to the value's end.
//!
//! A model's tokens are parts of words, and its training texts do not agree on whether a title belongs to
//! a name. The rest of a truncated value reveals as much as the value.
//!
//! - A border between two letters, or two digits, is inside a word: the word belongs to the span.
//! - Behind a title at the span's end or start ("Mr.", "Dr.") the name that follows belongs to it.
//! - In labels of people, also the name behind an initial ("J. Smith"), and the rest of a name with a
//!   hyphen or an apostrophe ("Okafor-Lindqvist", "O'Brien").
//!
//! How far a span grows depends on the text and the span alone.

use crate::text::ByteSpan;

/// Characters that a span may grow by on each side: what is longer is no word.
const FARTHEST: usize = 64;

/// Bytes that a span may grow by at its start: letters of a word of up to four bytes each, and the parts of a
/// name before them.
pub const REACH: usize = 512;

/// Words that may follow a title.
const MOST_NAMES: usize = 4;

/// Titles and forms of address, in lower case, without the dot.
const TITLES: &str = "\
    mr mrs ms miss mx mister dr doctor prof professor sir madam madame dame lord lady rev reverend \
    fr hon capt captain lt lieutenant sgt sergeant col colonel gen general maj major cpl judge \
    justice senator sen rep gov herr frau fräulein dipl ing mag m mm mme mlle monsieur mademoiselle \
    maître me pr sr sra srta señor señora señorita don doña dna sig signor signore signora \
    signorina dott dottor dottoressa avv senhor senhora dom dona dhr mevr mevrouw meneer mw heer hr \
    fru fröken herra rouva pan pani pán paní bay bayan st saint uncle aunt squire king queen prince \
    princess";

/// Titles that are also words or initials, and are titles with a dot only.
const DOTTED: &[&str] = &[
    "m", "me", "mm", "pr", "st", "fr", "hon", "gen", "col", "maj", "rep", "sen", "gov", "ing",
    "mag", "sig", "pan", "bay", "don", "dna", "hr", "lt", "sr", "dom", "heer",
];

/// Words inside of a name that are written in lower case.
const PARTICLES: &[&str] = &[
    "van", "von", "vom", "zu", "zum", "zur", "de", "del", "della", "di", "da", "das", "dos", "do",
    "du", "des", "der", "den", "ter", "ten", "la", "le", "el", "al", "bin", "bint", "ibn", "ben",
    "y", "af", "av", "til", "ap", "san",
];

/// The span with what belongs to it. `people`: the label is one of people's names.
pub fn whole(text: &str, span: ByteSpan, people: bool) -> ByteSpan {
    let mut grown = with_words(text, span);
    if people {
        grown = with_compounds(text, grown);
    }
    let value = &text[grown.start..grown.end];
    let last = last_word(value);
    let abbreviated = has_dot(text, grown.end);
    let first = value.split_whitespace().next().unwrap_or("");
    if is_title(last, abbreviated) {
        let most = if is_capitals(last) { 1 } else { MOST_NAMES };
        grown.end = names_end(text, grown.end, most, true);
    } else if is_title(first.trim_end_matches('.'), first.ends_with('.')) {
        // The dot behind a name ends the sentence.
        grown.end = names_end(text, grown.end, 1, is_initial(last));
    } else if people && is_initial(last) && abbreviated {
        grown.end = names_end(text, grown.end, 1, true);
    }
    grown
}

fn with_words(text: &str, span: ByteSpan) -> ByteSpan {
    let mut grown = span;
    let ahead = text[..span.start].chars().rev().take(FARTHEST);
    let mut inner = text[span.start..].chars().next();
    for before in ahead {
        if !inner.is_some_and(|inner| is_inside_word(before, inner)) {
            break;
        }
        grown.start -= before.len_utf8();
        inner = Some(before);
    }
    // The `n` of `\nAna` is an escape's, not the word's.
    let escape = |c: char| matches!(c, 'b' | 'f' | 'n' | 'r' | 't' | 'v');
    if grown.start < span.start
        && text[..grown.start].ends_with('\\')
        && text[grown.start..].starts_with(escape)
    {
        grown.start += 1;
    }
    let mut inner = text[..span.end].chars().next_back();
    for after in text[span.end..].chars().take(FARTHEST) {
        if !inner.is_some_and(|inner| is_inside_word(inner, after)) {
            break;
        }
        grown.end += after.len_utf8();
        inner = Some(after);
    }
    grown
}

/// Whether no word ends between the two. Not told of scripts that set no spaces.
fn is_inside_word(left: char, right: char) -> bool {
    let letter = |c: char| c.is_alphabetic() && !is_without_spaces(c);
    (letter(left) && letter(right)) || (left.is_numeric() && right.is_numeric())
}

/// Scripts in which words follow one another without spaces.
fn is_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' // Thai, Lao
        | '\u{1000}'..='\u{109F}' // Myanmar
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{2E80}'..='\u{A4CF}' // Han, kana, bopomofo, Yi
        | '\u{AC00}'..='\u{D7AF}' // Hangul: particles stand at the word
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}'
        | '\u{20000}'..='\u{3FFFF}')
}

/// The parts of a name that a hyphen or an apostrophe joins to the span's first and last word.
fn with_compounds(text: &str, span: ByteSpan) -> ByteSpan {
    let mut grown = span;
    let capital = |word: &str| word.chars().next().is_some_and(char::is_uppercase);
    while grown.end - span.end <= FARTHEST {
        let mut after = text[grown.end..].chars();
        let (Some(joint), rest) = (after.next(), after.as_str()) else {
            break;
        };
        let length = letters(rest);
        let value = &text[grown.start..grown.end];
        let word = &value[value.len() - letters_back(value)..];
        // "Ana's" ends at the apostrophe; "O'Brien" and "d'Arcy" do not.
        let joins = is_hyphen(joint) || (is_apostrophe(joint) && word.chars().count() <= 2);
        if !joins || length == 0 || length > FARTHEST || !capital(rest) || word.is_empty() {
            break;
        }
        if is_hyphen(joint) && !capital(word) {
            break;
        }
        grown.end += joint.len_utf8() + length;
    }
    while span.start - grown.start <= FARTHEST {
        let mut before = text[..grown.start].chars();
        let (Some(joint), rest) = (before.next_back(), before.as_str()) else {
            break;
        };
        let length = letters_back(rest);
        let word = &rest[rest.len() - length..];
        let joins = (is_hyphen(joint) && capital(word))
            || (is_apostrophe(joint) && word.chars().count() <= 2);
        if !joins || length == 0 || length > FARTHEST || !capital(&text[grown.start..]) {
            break;
        }
        grown.start -= joint.len_utf8() + length;
    }
    grown
}

/// Where the name of at most `most` words ends that follows `from`; `from` itself if none does.
/// `abbreviated`: a dot at `from` belongs to the word before it.
fn names_end(text: &str, from: usize, most: usize, abbreviated: bool) -> usize {
    let mut end = from;
    let mut at = from;
    let (mut names, mut particles) = (0, 0);
    if abbreviated && text[at..].starts_with('.') {
        at += 1;
    }
    while names < most {
        // A title has its name on the same line, or on the next one where a line was wrapped.
        let rest = &text[at..];
        let gap = rest.len() - rest.trim_start().len();
        let space = &rest[..gap];
        let touches = gap == 0 && !text[..at].ends_with('.');
        if touches || gap > 8 || space.matches('\n').count() > 1 || space.contains('\t') {
            break;
        }
        let word = &rest[gap..];
        let length = name_length(word);
        if length == 0 || length > FARTHEST {
            break;
        }
        let word = &word[..length];
        at += gap + length;
        if PARTICLES.contains(&word) && particles < 3 {
            particles += 1;
            continue;
        }
        if !word.chars().next().is_some_and(|first| {
            first.is_uppercase() || (first.is_alphabetic() && !first.is_lowercase())
        }) && !["d'", "d’", "o'", "o’", "al-", "el-"]
            .iter()
            .any(|start| word.starts_with(start))
        {
            break;
        }
        end = at;
        if is_initial(word) {
            // "Dr. J. R. Smith": initials are no names, and their dots belong to them.
            if text[at..].starts_with('.') {
                at += 1;
                end = at;
            }
            particles += 1;
            if particles > 4 {
                break;
            }
            continue;
        }
        names += 1;
    }
    end
}

/// Bytes of the name at the start of `text`: letters, with hyphens and apostrophes between them.
fn name_length(text: &str) -> usize {
    let mut length = letters(text);
    while (1..=FARTHEST).contains(&length) {
        let mut rest = text[length..].chars();
        let Some(joint) = rest.next().filter(|c| is_hyphen(*c) || is_apostrophe(*c)) else {
            break;
        };
        let more = letters(rest.as_str());
        // The `s` of "Bennet's" is no part of the name.
        if more == 0 || (is_apostrophe(joint) && !rest.as_str().starts_with(char::is_uppercase)) {
            break;
        }
        length += joint.len_utf8() + more;
    }
    length
}

/// Bytes of the letters at the start. No more are looked at than tell that they are no name: a text may be
/// one word of megabytes with a span at each token.
fn letters(text: &str) -> usize {
    length(text.chars())
}

/// The same of the letters at the end.
fn letters_back(text: &str) -> usize {
    length(text.chars().rev())
}

fn length(chars: impl Iterator<Item = char>) -> usize {
    let letters = chars.take(FARTHEST + 1).take_while(|c| is_letter(*c));
    letters.map(char::len_utf8).sum()
}

/// Letters, and the marks that stand on them.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '\u{300}'..='\u{36F}')
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02BC}')
}

fn is_capitals(word: &str) -> bool {
    let letters = word.chars().filter(|c| c.is_alphabetic());
    letters.clone().count() > 1 && letters.clone().all(char::is_uppercase)
}

/// The last word of a value, without the dot behind it.
fn last_word(value: &str) -> &str {
    let value = value.trim_end_matches('.').trim_end();
    value
        .rsplit(|c: char| c.is_whitespace() || c == '.')
        .next()
        .unwrap_or("")
}

/// Whether the span that ends at `end` ends with a dot, or one follows at once.
fn has_dot(text: &str, end: usize) -> bool {
    text[..end].ends_with('.') || text[end..].starts_with('.')
}

fn is_initial(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.all(|c| matches!(c, '\u{300}'..='\u{36F}'))
}

fn is_title(word: &str, dotted: bool) -> bool {
    if word.len() > 16 {
        return false;
    }
    let lower = word.to_lowercase();
    let cased = word.chars().next().is_some_and(char::is_uppercase) || dotted;
    cased && TITLES.split(' ').any(|title| title == lower) && (dotted || !DOTTED.contains(&&*lower))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value that `[…]` in `text` grows to.
    fn grown(text: &str, people: bool) -> String {
        let start = text.find('[').unwrap();
        let end = text.find(']').unwrap() - 1;
        let text = text.replace(['[', ']'], "");
        let span = whole(&text, ByteSpan::new(start, end), people);
        text[span.start..span.end].to_owned()
    }

    #[test]
    fn behind_a_title_the_name_belongs_to_the_span() {
        for (text, expected) in [
            ("asked [Mr.] Bennet to go", "Mr. Bennet"),
            ("asked [Mr]. Bennet to go", "Mr. Bennet"),
            ("My dear [Mr]. Bennet,” said", "Mr. Bennet"),
            ("wrote to [Mrs.] Long-Foster yesterday", "Mrs. Long-Foster"),
            ("[Dr. J]. R. Smith came", "Dr. J. R. Smith"),
            ("[Dr.] J. R. Smith came", "Dr. J. R. Smith"),
            ("[Prof.] van der Berg said", "Prof. van der Berg"),
            ("[Frau] Müller und", "Frau Müller"),
            ("[Herr Dr.] Weiß kam", "Herr Dr. Weiß"),
            ("[Mme] Lefèvre a dit", "Mme Lefèvre"),
            ("[M.] d'Arcy est", "M. d'Arcy"),
            ("[Sra.] de la Cruz vive", "Sra. de la Cruz"),
            (
                "with [Mr. Fitzwilliam] Darcy there",
                "Mr. Fitzwilliam Darcy",
            ),
            ("[Mr.]\nBingley had", "Mr.\nBingley"),
            (
                "[Elizabeth and Mr.] Collins walked",
                "Elizabeth and Mr. Collins",
            ),
            ("FROM [MR.] SMITH PAID CASH", "MR. SMITH"),
            ("[Mr.] O'Brien's dog", "Mr. O'Brien"),
            ("[Mr.] Bennet’s dog", "Mr. Bennet"),
        ] {
            assert_eq!(grown(text, false), expected, "{text}");
        }
    }

    #[test]
    fn no_name_no_growth() {
        for (text, expected) in [
            ("the [doctor] went home", "doctor"),
            ("said [Mr.] and left", "Mr."),
            ("[Mr.]\n\nBingley had", "Mr."),
            ("[Bennet] Monday", "Bennet"),
            ("[Don] Quixote", "Don"),
            ("room 5 [St] Then", "St"),
            ("[Ana]'s Book", "Ana"),
            ("[Ana], Ben", "Ana"),
            ("[Mr. Bennet]. Then he", "Mr. Bennet"),
        ] {
            assert_eq!(grown(text, false), expected, "{text}");
            assert_eq!(grown(text, true), expected, "{text}");
        }
        assert_eq!(grown("vitamin [C]. Then", false), "C");
    }

    #[test]
    fn a_word_is_never_cut() {
        for (text, expected) in [
            ("Mr Ben[ne]t said", "Bennet"),
            ("no 12[34]56 here", "123456"),
            ("Zo[ë] Müller", "Zoë"),
            ("5[kg] of", "kg"),
            ("田[中]美咲", "中"),
            ("Tver: На[тал]ья", "Наталья"),
            (r"said:\n[Ana] Ruiz", "Ana"),
            (r"said:\nA[na] Ruiz", "Ana"),
        ] {
            assert_eq!(grown(text, false), expected, "{text}");
        }
    }

    #[test]
    fn initials_hyphens_and_apostrophes_belong_to_names_of_people() {
        for (text, expected) in [
            ("by [J.] Smith", "J. Smith"),
            ("by [J]. Smith", "J. Smith"),
            ("by [John F.] Kennedy in", "John F. Kennedy"),
            ("[Ana Okafor]-Lindqvist is", "Ana Okafor-Lindqvist"),
            ("Ana Okafor-[Lindqvist] is", "Okafor-Lindqvist"),
            ("[O]'Brien met", "O'Brien"),
            ("O’[Brien] met", "O’Brien"),
            ("d'[Arcy] met", "d'Arcy"),
        ] {
            assert_eq!(grown(text, true), expected, "{text}");
        }
        assert_eq!(grown("[US]-China trade", false), "US");
    }

    proptest! {
        #[test]
        fn a_span_only_grows_on_character_borders_and_not_without_end(
            text in "[A-Za-zé日.'\\- \\n0-9]{0,200}", a in any::<usize>(), b in any::<usize>(), people in any::<bool>(),
        ) {
            let borders: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            let (a, b) = (borders[a % borders.len()], borders[b % borders.len()]);
            let span = ByteSpan::new(a.min(b), a.max(b));
            prop_assume!(span.start < span.end);
            let grown = whole(&text, span, people);
            prop_assert!(grown.start <= span.start && span.end <= grown.end);
            prop_assert!(text.is_char_boundary(grown.start) && text.is_char_boundary(grown.end));
        }
    }
}
