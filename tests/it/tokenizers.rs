//! The tokenizers that large models come with, on hostile text: o200k, a byte-level BPE, and
//! XLM-RoBERTa's, a unigram model behind rules that normalize. `make setup-tests` gets both.
//!
//! Whatever the text: spans lie in it, on character boundaries and in order; nothing that a reader
//! sees is outside every token; no text becomes a special token; ids are those of the
//! implementation that the models were made with, tiktoken and SentencePiece; time is linear.

use std::{
    fs,
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde::Deserialize;
use unicode_segmentation::UnicodeSegmentation as _;
use weir::text::{Tokenizer, Tokens, cut};

use crate::support::job;

static O200K: LazyLock<Tokenizer> = LazyLock::new(|| load("o200k"));
static XLM_ROBERTA: LazyLock<Tokenizer> = LazyLock::new(|| load("xlm-roberta"));

/// Ids of o200k from here on are special tokens.
const O200K_SPECIAL: u32 = 199_998;

/// `<s>`, `<pad>`, `</s>` and `<mask>`. `<unk>`, 3, is what an unknown character becomes.
const XLM_ROBERTA_SPECIAL: [u32; 4] = [0, 1, 2, 250_001];
const XLM_ROBERTA_UNKNOWN: u32 = 3;

/// How much of a text weir gives the `tokenizers` crate at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Texts that look like special tokens of one model or another.
const LOOK_ALIKES: [&str; 10] = [
    "<|endoftext|>",
    "<|endofprompt|>",
    "a<|endoftext|>b <|endoftext|><|endofprompt|>",
    "</s>",
    "<s> <pad> </s> <unk> <mask>",
    "one</s>two<mask>three<pad><s><unk>",
    "▁</s>▁<mask>",
    "＜/s＞＜mask＞",
    "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "<0x0A><0x00>",
];

fn load(name: &str) -> Tokenizer {
    let file = format!(".weir/tokenizers/{name}/tokenizer.json");
    Tokenizer::from_file(Path::new(&file))
        .unwrap_or_else(|error| panic!("{error}; `make setup-tests` gets it"))
}

/// Texts that break what was written for well-behaved ones.
fn hostile() -> Vec<String> {
    let short = [
        "",
        " ",
        "\n",
        "\u{0}",
        "\u{feff}",
        "\u{200b}",
        "\u{301}",
        // emoji: joiners, skin tones, flags, variation selectors, a tag sequence, keycaps
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷🇩 ❤️ ❤︎ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣#️⃣",
        "\u{200d}👩\u{200d}\u{200d}👩\u{200d}",
        // combining marks: few, many, before any letter, and after what is normalized itself
        "Zu\u{308}rich Jose\u{301} Jose\u{301}\u{327}",
        "Z̸̢̧̛͓͙̰̤͔̉̊̾͐a̶̧̛̜͉͉̎͛̕l̵̢̛̮̈́̃g̷̨̺̠̑ó̵̼",
        "\u{301}\u{302}a \u{301}",
        "①\u{301} ﬁ\u{301} １\u{300} ª\u{200d} ½\u{e33}",
        // composed and not
        "Ångström é Å ｶﾞ ﾊﾟ 각 가\u{11a8} ộ",
        "A\u{30a}ngstro\u{308}m e\u{301} Å カ\u{3099} \u{1100}\u{1161}\u{11a8} o\u{323}\u{302}",
        // right to left, with controls that turn the order round
        "שלום עולם مرحبا بالعالم ﷺ ﷲ لا ﻻ",
        "abc\u{202e}fed\u{202c} \u{2066}x\u{2069} \u{200f}\u{200e}\u{61c} שָׁלוֹם مَرْحَبًا",
        // no spaces between words
        "我叫王小明，住在上海市浦东新区世纪大道100号。",
        "東京都千代田区一丁目にお住まいの山田太郎さん𠮷野家",
        "สวัสดีครับผมชื่อสมชายอยู่ที่กรุงเทพมหานครน้ำ",
        "ខ្ញុំឈ្មោះសុខា မြန်မာနိုင်ငံ ພາສາລາວ བོད་སྐད་",
        // no width, no ink
        "Jo\u{200b}hn\u{200c} D\u{200d}oe\u{2060}\u{ad}\u{feff}\u{180e}\u{34f}x",
        "\u{feff}BOM first, \u{feff}and later\u{feff}",
        "NUL\u{0}in\u{0}\u{0}side\u{0}",
        "\u{1}\u{2}a\u{7}b\u{8}\u{b}c\u{c}d\u{1b}[31mred\u{1b}[0m\u{7f}\u{80}\u{85}\u{8f}\u{9f}",
        "\u{a0}\u{1680}\u{2003}x\u{2009}y\u{202f}z\u{205f}\u{3000}\u{2028}\u{2029}",
        // line ends and tabs
        "one\r\ntwo\rthree\nfour\n\rfive\r\r\n\nsix\t\tseven \t \n \t eight",
        "    indented\n\tby tab\n  \n\n   \n",
        ".\n\n/path\n/ ?/\r\n//",
        // escapes, half surrogates and replacement characters as text
        r"\ud83d \uDC00\ud800 \x00 \\u0000 %00 &#xD800; \",
        "\u{fffd}\u{fffd}x\u{fffd}",
        // private use, noncharacters, unassigned, the last one
        "\u{e000}\u{f8ff} \u{f0000}\u{10fffd} \u{fdd0}\u{fffe}\u{ffff}\u{1ffff} \u{378}\u{10ffff}",
        "▁ ▁▁a▁b ▁",
        "Ġ Ċ ĉ â ď ¨ ´ ˜ ﹉ ㌔ ㍿ ℡ ⅷ ǆ ŉ",
        "don't DON'T we'LL I'vE 'S''s 's",
        "0123456789 ١٢٣٤ 一二三 1,234.56 ²³ ⅓",
        "a1B2c3D4-e5F6_g7H8+i9J0@k.l/m\\n|o~p`q^r",
    ];
    let runs = [
        "a",
        "A",
        "aA",
        "é",
        "字",
        "ก",
        "7",
        "!",
        "/",
        ".\n",
        " ",
        "\t",
        "\n",
        "\r\n",
        " \n",
        "\u{a0}",
        "\u{0}",
        "\u{301}",
        "\u{200b}",
        "\u{200d}",
        "\u{feff}",
        "👩\u{200d}",
        "😀",
        "\u{e000}",
        "▁",
        "'s",
        "</s>",
        "<|endoftext|>",
        "ﷺ",
        "x ",
        " x",
    ];
    let mut all: Vec<String> = short
        .into_iter()
        .chain(LOOK_ALIKES)
        .map(str::to_owned)
        .collect();
    for run in runs {
        for count in [2, 3, 100, 5_000] {
            all.push(run.repeat(count));
            all.push(format!("x{}x", run.repeat(count)));
        }
    }
    // No white space at all, far longer than what is tokenized at once.
    all.push("a".repeat(100_000));
    all.push("Aa0é字😀-".repeat(100_000 / 7));
    all
}

/// Valid UTF-8 in which what is hostile above is as frequent as letters.
fn any_text(parts: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        3 => "[ \t\r\n]{1,3}",
        2 => any::<char>().prop_map(String::from),
        2 => "\\PC{1,3}",
        1 => "[\u{300}-\u{36f}\u{591}-\u{5c7}\u{64b}-\u{65f}\u{93c}\u{e31}-\u{e3a}]{1,3}",
        1 => "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2060}-\u{2069}\u{feff}]{1,2}",
        1 => "[一-龥ぁ-ヿ가-힣ｦ-ﾟ]{1,6}",
        1 => "[0-9./!<>|'▁-]{1,4}",
        1 => prop::sample::select(LOOK_ALIKES.to_vec()).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["👩‍👩‍👧", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "e\u{301}", "①\u{301}", "ﷺ", "\u{10ffff}"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, parts).prop_map(|parts| parts.concat())
}

/// Spans lie in the text, on character boundaries, in order.
fn assert_in_order(text: &str, tokens: &Tokens) {
    assert_eq!(tokens.ids.len(), tokens.spans.len());
    let (mut start, mut end) = (0, 0);
    for span in &tokens.spans {
        assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
        assert!(
            start <= span.start && end <= span.end,
            "{span:?} in {text:?}"
        );
        (start, end) = (span.start, span.end);
    }
}

/// Parts of `text` outside every token.
fn gaps<'t>(text: &'t str, tokens: &Tokens) -> Vec<&'t str> {
    let mut found = Vec::new();
    let mut end = 0;
    for span in &tokens.spans {
        if span.start > end {
            found.push(&text[end..span.start]);
        }
        end = end.max(span.end);
    }
    if end < text.len() {
        found.push(&text[end..]);
    }
    found
}

fn assert_o200k(text: &str) {
    let tokens = O200K.tokens(text).unwrap();
    assert_in_order(text, &tokens);
    assert_eq!(gaps(text, &tokens), [""; 0], "in {text:?}");
    assert!(tokens.ids.iter().all(|id| *id < O200K_SPECIAL), "{text:?}");
    assert_eq!(tokens.ids, tiktoken(text), "{text:?}");
}

/// What tiktoken makes of a text that is cut as weir cuts it.
fn tiktoken(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest, PIECE_BYTES));
        ids.extend(tiktoken_rs::o200k_base_singleton().encode_ordinary(piece));
        rest = after;
    }
    ids
}

fn assert_xlm_roberta(text: &str) {
    let tokens = XLM_ROBERTA.tokens(text).unwrap();
    assert_in_order(text, &tokens);
    assert!(
        !tokens.ids.iter().any(|id| XLM_ROBERTA_SPECIAL.contains(id)),
        "{text:?} has special tokens: {:?}",
        tokens.ids
    );
    // By grapheme clusters: a span of tokens grows to whole ones before anything is redacted (I8).
    let mut covered = tokens.spans.iter().peekable();
    let mut clusters = text.grapheme_indices(true).peekable();
    while let Some((at, cluster)) = clusters.next() {
        let next = clusters.peek().map_or("", |(_, next)| next);
        while covered.next_if(|span| span.end <= at).is_some() {}
        let in_a_token = covered
            .peek()
            .is_some_and(|span| span.start < at + cluster.len());
        assert!(
            in_a_token
                || is_normalized_away(cluster)
                || is_lone_accent(cluster) && is_normalized_away(next),
            "{cluster:?} at {at} is in no token of {text:?}"
        );
    }
}

/// What XLM-RoBERTa's rules make white space or nothing. The `tokenizers` crate takes a cluster of
/// less than six bytes for its first character, if there is a rule for that.
fn is_normalized_away(cluster: &str) -> bool {
    let is_gone = |character: char| {
        character.is_whitespace()
            || matches!(
                character,
                '\u{1}'..='\u{1f}' | '\u{7f}' | '\u{8f}' | '\u{9f}' | '\u{200b}'..='\u{200f}'
                    | '\u{2581}' | '\u{feff}' | '\u{fffd}'
            )
    };
    cluster.chars().all(is_gone) || cluster.len() < 6 && cluster.starts_with(is_gone)
}

/// Accents that stand for themselves become a space and a combining accent. With a character behind
/// them that is removed, the crate takes that one's place for the accent's.
fn is_lone_accent(cluster: &str) -> bool {
    cluster.starts_with(|character| {
        matches!(
            character,
            '\u{a8}' | '\u{af}' | '\u{b4}' | '\u{b8}' | '\u{2d8}'..='\u{2dd}' | '\u{37a}' | '\u{384}'
                | '\u{385}' | '\u{1fbd}'..='\u{1fc1}' | '\u{1fcd}'..='\u{1fcf}'
                | '\u{1fdd}'..='\u{1fdf}' | '\u{1fed}' | '\u{1fee}' | '\u{1ffd}' | '\u{1ffe}'
                | '\u{2017}' | '\u{203e}' | '\u{309b}' | '\u{309c}' | '\u{fc5e}'..='\u{fc63}'
                | '\u{fe49}'..='\u{fe4c}' | '\u{fe70}'..='\u{fe7e}' | '\u{ffe3}'
        )
    })
}

/// What SentencePiece makes of texts.
fn sentencepiece(texts: &[String]) -> Vec<Vec<u32>> {
    let mut script = job::python("tests/tokenizers/sentencepiece_ids.py");
    script.arg(".weir/tokenizers/xlm-roberta/sentencepiece.bpe.model");
    let ran = job::run(script, &serde_json::to_vec(texts).unwrap()).expect(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn time(tokenizer: &Tokenizer, text: &str) -> Duration {
    let start = Instant::now();
    tokenizer.tokens(text).unwrap();
    start.elapsed()
}

fn assert_linear(tokenizer: &Tokenizer) {
    for run in [
        "a",
        "A",
        " ",
        "\n",
        "!",
        "é",
        "字",
        "\u{301}",
        "aA",
        "x ",
        " \n",
        "👩\u{200d}",
    ] {
        // Inside what is tokenized at once, and across many of those.
        for bytes in [PIECE_BYTES / 4, 2 * PIECE_BYTES] {
            let short = run.repeat(bytes / run.len());
            let long = short.repeat(4);
            // Quadratic would be 16 times, every time. A busy machine passes one try of ten.
            let is_linear = (0..10).any(|_| time(tokenizer, &long) < 12 * time(tokenizer, &short));
            assert!(
                is_linear,
                "{run:?}: four times {bytes} bytes take 12 times as long"
            );
        }
    }
}

#[test]
fn o200k_is_tiktokens_on_hostile_text() {
    for text in hostile() {
        assert_o200k(&text);
    }
}

#[test]
fn o200k_takes_linear_time_on_long_runs() {
    assert_linear(&O200K);
}

#[test]
fn xlm_roberta_loses_nothing_of_hostile_text() {
    for text in hostile() {
        assert_xlm_roberta(&text);
    }
}

#[test]
fn what_looks_like_a_special_token_is_text() {
    for text in LOOK_ALIKES {
        assert_o200k(text);
        assert_xlm_roberta(text);
    }
    // `</s>` is a piece of the vocabulary, the likeliest of all.
    assert_eq!(
        XLM_ROBERTA.tokens("a</s>b").unwrap().ids,
        [10, 42_946, 7, 2_740, 275]
    );
}

#[test]
fn spans_are_right_behind_what_is_removed() {
    for removed in ["\u{1}", "\u{7f}\u{b}\u{fffd}", &"\u{1b}".repeat(40_000)] {
        let text = format!("{removed}John Smith");
        let tokens = XLM_ROBERTA.tokens(&text).unwrap();
        let words: Vec<&str> = tokens
            .spans
            .iter()
            .map(|span| &text[span.start..span.end])
            .collect();
        assert_eq!(words, ["John", "Smith"]);
    }
}

#[test]
fn xlm_roberta_takes_linear_time_on_long_runs() {
    assert_linear(&XLM_ROBERTA);
}

#[test]
fn xlm_roberta_is_sentencepieces_on_any_text() {
    let mut texts = hostile();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = any_text(0..12);
    texts.extend((0..3_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    // Where a text without white space is cut, it may come out otherwise.
    texts.retain(|text| text.len() <= PIECE_BYTES && !is_normalized_otherwise(text));
    assert!(texts.len() > 1_500, "only {} texts are left", texts.len());
    let scores = scores();
    let mut ties = 0;
    for (text, expected) in texts.iter().zip(sentencepiece(&texts)) {
        let ids = XLM_ROBERTA.tokens(text).unwrap().ids;
        if ids != expected {
            assert!(
                is_tie(&scores, &ids, &expected),
                "{text:?}: {ids:?}, not {expected:?}"
            );
            ties += 1;
        }
    }
    assert!(
        ties < texts.len() / 50,
        "{ties} ties in {} texts",
        texts.len()
    );
}

/// Texts that the `tokenizers` crate, and with it every model that was trained with it, normalizes
/// otherwise than SentencePiece. It goes by grapheme clusters, SentencePiece by the longest rule: the
/// crate forgets the accent of "①\u{301}", SentencePiece composes "ｶﾞ", which has six bytes. And
/// U+0085 is white space to the crate alone.
fn is_normalized_otherwise(text: &str) -> bool {
    let simple = |cluster: &str| {
        cluster.chars().count() == 1
            || cluster == "\r\n"
            || ["e\u{301}", "a\u{30a}", "A\u{30a}", "o\u{308}", "u\u{308}"].contains(&cluster)
            || cluster.starts_with(['👩', '👍', '🇩', '🇫', '❤', '🏴', 'ส', 'ก', 'ช'])
    };
    text.contains('\u{85}') || !text.graphemes(true).all(simple)
}

/// Scores of XLM-RoBERTa's pieces, by id.
fn scores() -> Vec<f64> {
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: Vec<(String, f64)>,
    }
    let file = fs::read(".weir/tokenizers/xlm-roberta/tokenizer.json").unwrap();
    let File { model } = serde_json::from_slice(&file).unwrap();
    model.vocab.into_iter().map(|(_, score)| score).collect()
}

/// Whether the same text is as likely both ways: `tokenizers` adds up double the digits that
/// SentencePiece does, and so decides otherwise where pieces can change places.
fn is_tie(scores: &[f64], one: &[u32], other: &[u32]) -> bool {
    let unknown = |ids: &[u32]| ids.iter().filter(|id| **id == XLM_ROBERTA_UNKNOWN).count();
    let sum = |ids: &[u32]| ids.iter().map(|id| scores[*id as usize]).sum::<f64>();
    unknown(one) == unknown(other) && (sum(one) - sum(other)).abs() < 1e-6 * sum(one).abs()
}

/// Prose of words, punctuation, blank lines and indentation.
fn prose(bytes: usize) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-zA-Zäß]{1,9}",
        2 => "[.,;:!?/()-]{1,3}",
        2 => "[0-9]{1,6}",
        1 => "[一-龥]{1,4}",
    ];
    let space = prop_oneof![
        6 => Just(" ".to_owned()),
        1 => "[ \t]{2,6}",
        1 => "(\r\n|\n){1,3}",
        1 => "(\n[ \t]{0,3}){1,3}/?",
        1 => Just(String::new()),
    ];
    prop::collection::vec((word, space), bytes / 7).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(word, space)| word + &space)
            .collect()
    })
}

proptest! {
    #![proptest_config(Config { cases: 300, ..Config::default() })]

    #[test]
    fn o200k_is_tiktokens_on_any_text(text in any_text(0..40)) {
        assert_o200k(&text);
    }

    #[test]
    fn xlm_roberta_loses_nothing_of_any_text(text in any_text(0..40)) {
        assert_xlm_roberta(&text);
    }
}

proptest! {
    #![proptest_config(Config { cases: 8, max_shrink_iters: 20, ..Config::default() })]

    #[test]
    fn the_tokens_of_pieces_are_those_of_the_whole(text in prose(70_000)) {
        let whole = tiktoken_rs::o200k_base_singleton().encode_ordinary(&text);
        let ids = O200K.tokens(&text).unwrap().ids;
        let at = ids.iter().zip(&whole).position(|(a, b)| a != b).unwrap_or(0);
        prop_assert!(ids == whole, "token {at} is another");
    }
}
