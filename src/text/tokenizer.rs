use std::{collections::HashSet, ops::Range, panic, path::Path};

use serde::Deserialize;
use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer as _, NormalizerWrapper, models::unigram::Unigram,
};

use super::{ByteSpan, segment};

/// A pack's tokenizer, set up so that it drops nothing: no truncation, no padding, and special
/// tokens that stand in a text (`[SEP]`, `<|endoftext|>`) are plain text.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Most characters of a word that the model's vocabulary is tried on, for WordPiece.
    longest_word: Option<usize>,
    pad: Option<u32>,
}

/// Tokens of a text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// Where each stands in the text, in bytes.
    pub spans: Vec<ByteSpan>,
}

/// What a tokenizer's own template puts around a text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Special {
    /// Ids before it.
    pub before: Vec<u32>,
    /// Ids after it.
    pub after: Vec<u32>,
    /// Id that fills short rows, if the file names one.
    pub pad: Option<u32>,
}

/// Why text could not be tokenized.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tokenizer's file can't be used.
    #[error("can't load tokenizer {file} ({problem})")]
    Load {
        /// Path.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer failed on a text. Its own message is dropped: it could hold the text (I7).
    #[error("the tokenizer failed on {bytes} bytes of text")]
    Tokenize {
        /// Length of the text.
        bytes: usize,
    },
}

/// Text given to the `tokenizers` crate at once: it keeps an alignment of about a hundred bytes
/// for each byte.
const PIECE_BYTES: usize = 16 * 1024;

/// `tokenizers` replaces a longer word by one `[UNK]`, which would hide all of it from the model.
const WORDPIECE_LONGEST_WORD: usize = 100;

impl Tokenizer {
    /// Loads a `tokenizer.json`.
    pub fn from_file(file: &Path) -> Result<Self, Error> {
        let load = |problem: String| Error::Load {
            file: file.display().to_string(),
            problem,
        };
        let bytes = std::fs::read(file).map_err(|error| load(error.to_string()))?;
        // `tokenizers` 0.22 panics on some broken files instead of saying so.
        let inner = panic::catch_unwind(|| tokenizers::Tokenizer::from_bytes(&bytes))
            .map_err(|_panic| load("it is broken".to_owned()))?;
        let mut inner = inner.map_err(|error| load(error.to_string()))?;
        inner
            .with_truncation(None)
            .map_err(|error| load(error.to_string()))?;
        let pad = inner.get_padding().map(|padding| padding.pad_id);
        inner.with_padding(None);
        inner.set_encode_special_tokens(true);
        let longest_word = match inner.get_model() {
            ModelWrapper::WordPiece(model) => {
                Some(model.max_input_chars_per_word.min(WORDPIECE_LONGEST_WORD))
            }
            _ => None,
        };
        if let ModelWrapper::Unigram(model) = inner.get_model() {
            let model = without_special_pieces(&inner, model, &bytes).map_err(load)?;
            inner.with_model(model);
        }
        Ok(Self {
            inner,
            longest_word,
            pad,
        })
    }

    /// The tokens of `text`, without special tokens.
    pub fn tokens(&self, text: &str) -> Result<Tokens, Error> {
        self.read(text, None)
    }

    /// [`Tokenizer::tokens`], and whether each begins a word of the tokenizer's.
    pub fn tokens_of_words(&self, text: &str) -> Result<(Tokens, Vec<bool>), Error> {
        let mut begins = Vec::new();
        let tokens = self.read(text, Some(&mut begins))?;
        Ok((tokens, begins))
    }

    fn read(&self, text: &str, mut begins: Option<&mut Vec<bool>>) -> Result<Tokens, Error> {
        let mut tokens = Tokens::default();
        let mut start = 0;
        while start < text.len() {
            let mut end = start + segment::cut(&text[start..], PIECE_BYTES);
            if let Some(longest) = self.longest_word {
                end = start + end_of_bearable_words(&text[start..end], longest);
            }
            self.append(text, start..end, &mut tokens, begins.as_deref_mut())?;
            start = end;
        }
        Ok(tokens)
    }

    /// Ids of a label text with the special tokens of the tokenizer's own template.
    pub fn with_special_tokens(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self
            .inner
            .encode(text, true)
            .map_err(|_| Error::Tokenize { bytes: text.len() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// What the tokenizer's own template puts around a text.
    pub fn special(&self) -> Result<Special, Error> {
        let encoding = self
            .inner
            .encode("a", true)
            .map_err(|_| Error::Tokenize { bytes: 1 })?;
        let is_special: Vec<bool> = encoding
            .get_special_tokens_mask()
            .iter()
            .map(|mask| *mask == 1)
            .collect();
        let ids = encoding.get_ids();
        let first = is_special.iter().position(|special| !special);
        let last = is_special.iter().rposition(|special| !special);
        let (before, after) = match first.zip(last) {
            Some((first, last)) => (&ids[..first], &ids[last + 1..]),
            None => (ids, &[][..]),
        };
        Ok(Special {
            before: before.to_vec(),
            after: after.to_vec(),
            pad: self.pad,
        })
    }

    /// The ids of a word that stands by itself, as models read it whose texts were split into words beforehand.
    pub fn word(&self, word: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.inner.encode_fast(word, false);
        let encoding = encoding.map_err(|_| Error::Tokenize { bytes: word.len() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Most characters of a word that the vocabulary is tried on, where there is such a limit.
    pub fn longest_word(&self) -> Option<usize> {
        self.longest_word
    }

    /// The id of a token by its content, special ones included.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    fn append(
        &self,
        text: &str,
        Range { start, end }: Range<usize>,
        tokens: &mut Tokens,
        mut begins: Option<&mut Vec<bool>>,
    ) -> Result<(), Error> {
        let start = start
            + self
                .inner
                .get_normalizer()
                .map_or(0, |rules| removed_at_start(rules, &text[start..end]));
        let encoding = self
            .inner
            .encode(&text[start..end], false)
            .map_err(|_| Error::Tokenize { bytes: end - start })?;
        if let Some(begins) = &mut begins {
            let words = encoding.get_word_ids();
            let before = std::iter::once(&None).chain(words);
            let begin = before
                .zip(words)
                .enumerate()
                .map(|(at, (before, own))| at == 0 || before != own || own.is_none());
            begins.extend(begin);
        }
        for (&id, &(from, to)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            // Byte-level tokenizers may end a token inside a character: its span then covers the
            // whole character, as redacting half of one is not possible.
            let from = text.floor_char_boundary(start + from);
            let to = text.ceil_char_boundary(start + to);
            tokens.ids.push(id);
            tokens.spans.push(ByteSpan::new(from, to));
        }
        Ok(())
    }
}

/// The model without its special pieces: `set_encode_special_tokens` only keeps `tokenizers` from
/// looking for `</s>` in a text before the model does, and in a unigram model it is a piece like any
/// other, the likeliest at that. SentencePiece does not take a text for one either.
fn without_special_pieces(
    inner: &tokenizers::Tokenizer,
    model: &Unigram,
    file: &[u8],
) -> Result<Unigram, String> {
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        unk_id: Option<usize>,
    }
    // The model does not tell which piece stands for what it does not know.
    let File {
        model: Model { unk_id },
    } = serde_json::from_slice(file).map_err(|error| error.to_string())?;
    let added = inner.get_added_tokens_decoder();
    let special: HashSet<&str> = added
        .values()
        .filter(|token| token.special)
        .map(|token| token.content.as_str())
        .collect();
    let pieces = model.iter().map(|(piece, score)| {
        // Ids are places in this list: a piece keeps its place, but no text holds an empty one.
        let kept = !special.contains(piece.as_str());
        (if kept { piece.clone() } else { String::new() }, *score)
    });
    Unigram::from(pieces.collect(), unk_id, model.byte_fallback())
        .map_err(|error| error.to_string())
}

/// Bytes at the start of `text` that the tokenizer's rules remove. `tokenizers` 0.22 does not count
/// them with SentencePiece's rules: everything after them would get the spans of what stands as many
/// characters before it.
fn removed_at_start(rules: &NormalizerWrapper, text: &str) -> usize {
    let is_removed = |character: char| {
        // White space is left to the rules that may strip it.
        let mut normalized = NormalizedString::from(character.to_string());
        !segment::parts_words(character)
            && rules.normalize(&mut normalized).is_ok()
            && normalized.get().is_empty()
    };
    text.find(|character| !is_removed(character))
        .unwrap_or(text.len())
}

/// End of the longest head of `text` in which no word is longer than `longest` characters after
/// normalization. A Hangul syllable decomposes into up to three characters, hence the weight.
fn end_of_bearable_words(text: &str, longest: usize) -> usize {
    let mut weight = 0;
    for (at, character) in text.char_indices() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            weight = 0;
            continue;
        }
        weight += if character.is_ascii() { 1 } else { 3 };
        if weight > longest {
            return at;
        }
    }
    text.len()
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("longest_word", &self.longest_word)
            .finish_non_exhaustive()
    }
}
