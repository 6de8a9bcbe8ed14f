//! Character encodings: which one a file has.
//!
//! In:  the bytes of an object or a stream, decompressed.
//! Out: the name of the encoding; `transcoded` makes UTF-8 of it, piece by piece.
//! Holds: bytes whose encoding is unknown never pass as text (invariant 12 of the design). A byte
//!        sequence that its encoding does not have becomes [`MALFORMED`], which UTF-8 does not have
//!        either: the line or text that holds it is a dead letter.
//! Does not know: lines, formats, records.

/// What stands for bytes that the encoding does not have.
pub(super) const MALFORMED: u8 = 0xFF;

/// Bytes from which the encoding is told. Fewer: a long English head hides what comes after it.
/// More: a reader waits longer before its first record.
pub(super) const SAMPLE_BYTES: usize = 64 << 10;

/// A character encoding that weir reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// An encoding of the WHATWG standard, UTF-8 and UTF-16 among them.
    Standard(&'static encoding_rs::Encoding),
    /// UTF-32, little-endian.
    Utf32Le,
    /// UTF-32, big-endian.
    Utf32Be,
}

impl Encoding {
    /// UTF-8.
    pub const UTF_8: Self = Self::Standard(encoding_rs::UTF_8);

    /// An encoding by one of its names, in any case: those of the
    /// [WHATWG standard](https://encoding.spec.whatwg.org/#names-and-labels), `utf-32le`, `utf-32be`.
    pub fn of_label(label: &str) -> Option<Self> {
        match label.trim().to_ascii_lowercase().as_str() {
            "utf-32" | "utf-32le" | "utf32" | "utf32le" => return Some(Self::Utf32Le),
            "utf-32be" | "utf32be" => return Some(Self::Utf32Be),
            _ => {}
        }
        let found = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
        // Its decoder makes private characters of all bytes: nothing could be found in them.
        (found != encoding_rs::X_USER_DEFINED).then_some(Self::Standard(found))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard(encoding) => encoding.name(),
            Self::Utf32Le => "UTF-32LE",
            Self::Utf32Be => "UTF-32BE",
        }
    }

    /// The encoding that a byte order mark names, and the mark's length.
    fn of_mark(bytes: &[u8]) -> Option<(Self, usize)> {
        if bytes.starts_with(&[0xFF, 0xFE, 0, 0]) {
            return Some((Self::Utf32Le, 4));
        }
        if bytes.starts_with(&[0, 0, 0xFE, 0xFF]) {
            return Some((Self::Utf32Be, 4));
        }
        encoding_rs::Encoding::for_bom(bytes).map(|(encoding, length)| {
            // The mark of UTF-8 is part of the text as received.
            let length = if encoding == encoding_rs::UTF_8 {
                0
            } else {
                length
            };
            (Self::Standard(encoding), length)
        })
    }
}

/// What the first bytes of a text tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) encoding: Encoding,
    /// Bytes of the byte order mark to pass over.
    pub(super) mark: usize,
}

/// The bytes are of no encoding that can be told from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encoding is unknown ({why}); set source.encoding, or convert the text to UTF-8")]
pub(super) struct Unknown {
    /// Made of counts.
    pub(super) why: &'static str,
}

/// Tells the encoding of a text from its first bytes. `whole`: there are no more.
pub(super) fn tell(sample: &[u8], whole: bool) -> Result<Told, Unknown> {
    if let Some((encoding, mark)) = Encoding::of_mark(sample) {
        return Ok(Told { encoding, mark });
    }
    let told = |encoding| Ok(Told { encoding, mark: 0 });
    let counts = Counts::of(sample, whole);
    let odd = counts.controls >= 1 || counts.invalid > 0;
    if !odd {
        return told(Encoding::UTF_8);
    }
    if let Some(encoding) = utf32(sample) {
        return told(encoding);
    }
    if let Some(encoding) = utf16(sample, &counts) {
        return told(Encoding::Standard(encoding));
    }
    if counts.controls * 4 >= counts.bytes {
        return Err(Unknown {
            why: "more than a quarter of the bytes are control characters",
        });
    }
    if counts.invalid >= 2 && counts.invalid * 10 >= counts.bytes {
        return Err(Unknown {
            why: "more than a tenth of the bytes are not UTF-8",
        });
    }
    told(Encoding::UTF_8)
}

/// The configured encoding, unless a byte order mark names another one.
pub(super) fn marked(sample: &[u8], configured: Encoding) -> Told {
    let (encoding, mark) = Encoding::of_mark(sample).unwrap_or((configured, 0));
    Told { encoding, mark }
}

/// Whether a record that was read as UTF-8 is none: binary data, or text of another encoding. A byte
/// that is not UTF-8 is for the caller to tell.
pub(super) fn is_no_text(record: &[u8]) -> bool {
    // Few bytes hold a few control characters by chance.
    const LEAST_BYTES: usize = 16;
    if !record.iter().any(|byte| is_control(*byte)) {
        return false;
    }
    let counts = Counts::of(record, true);
    holds_wide_text(record) || counts.bytes >= LEAST_BYTES && counts.controls * 4 >= counts.bytes
}

/// Whether the first bytes of a stream tell its encoding, so that a slow one need not be waited for.
pub(super) fn enough(sample: &[u8]) -> bool {
    sample.len() >= 4
        || sample.contains(&b'\n') && !sample.iter().any(|b| is_control(*b) || *b >= 0x80)
}

/// Control characters that no plain text holds. White space and the escape of terminals are none.
fn is_control(byte: u8) -> bool {
    matches!(byte, 0..=8 | 0x0E..=0x1A | 0x1C..=0x1F)
}

/// NULs in a row that are a hole (a log whose space was reserved before a crash), and no text.
const HOLE_BYTES: usize = 8;

struct Counts {
    /// Without holes.
    bytes: usize,
    controls: usize,
    /// Bytes that are not UTF-8.
    invalid: usize,
}

impl Counts {
    fn of(sample: &[u8], whole: bool) -> Self {
        let mut counts = Self {
            bytes: sample.len(),
            controls: 0,
            invalid: 0,
        };
        let mut nuls = 0;
        for byte in sample.iter().copied().chain([b' ']) {
            if byte == 0 {
                nuls += 1;
                continue;
            }
            if nuls >= HOLE_BYTES {
                counts.bytes -= nuls;
            } else {
                counts.controls += nuls;
            }
            nuls = 0;
            counts.controls += usize::from(is_control(byte));
        }
        let mut rest = sample;
        while let Err(error) = std::str::from_utf8(rest) {
            let length = match error.error_len() {
                Some(length) => length,
                // A character that goes on behind the sample.
                None if !whole => break,
                None => rest.len() - error.valid_up_to(),
            };
            counts.invalid += length;
            rest = &rest[error.valid_up_to() + length..];
        }
        counts
    }
}

/// UTF-32: every four bytes are a character. Other texts and binary data have none such in a row.
fn utf32(sample: &[u8]) -> Option<Encoding> {
    let units = || {
        sample
            .chunks_exact(4)
            .map(|unit| [unit[0], unit[1], unit[2], unit[3]])
    };
    let is_text = |number: u32| number != 0 && char::from_u32(number).is_some();
    let all = |read: fn([u8; 4]) -> u32| {
        let right = units().filter(|unit| is_text(read(*unit))).count();
        right > 0 && right * 100 >= units().len() * 99
    };
    if all(u32::from_le_bytes) {
        Some(Encoding::Utf32Le)
    } else if all(u32::from_be_bytes) {
        Some(Encoding::Utf32Be)
    } else {
        None
    }
}

/// UTF-16 without a mark. Its ASCII characters, white space at least, have a NUL in the same half of
/// each pair of bytes, and that half holds little else: the blocks of one script.
fn utf16(sample: &[u8], counts: &Counts) -> Option<&'static encoding_rs::Encoding> {
    let pairs = sample.len() / 2;
    let half = |high: usize| {
        let mut half = Half::default();
        let mut seen = [0_usize; 256];
        for pair in sample.chunks_exact(2) {
            let (high, low) = (pair[high], pair[1 - high]);
            seen[usize::from(high)] += 1;
            if high == 0 {
                half.zeros += usize::from(low != 0);
                half.spaces += usize::from(matches!(low, b' ' | b'\t' | b'\n' | b'\r'));
                half.nuls += usize::from(low == 0);
            }
        }
        let most = seen[1..].iter().copied().max().unwrap_or_default();
        half.of_a_script = seen[0] + most;
        half
    };
    let (little, big) = (half(1), half(0));
    let (encoding, half) = if (little.spaces, little.zeros) >= (big.spaces, big.zeros) {
        (encoding_rs::UTF_16LE, little)
    } else {
        (encoding_rs::UTF_16BE, big)
    };
    if half.zeros == 0 || half.nuls * 20 > pairs {
        return None;
    }
    let of_a_script = half.of_a_script * 10 >= pairs * 7;
    // Few bytes are of one script by chance.
    if pairs < 16 && counts.invalid == 0 {
        return (of_a_script && counts.controls * 5 >= counts.bytes * 2).then_some(encoding);
    }
    if of_a_script && (half.zeros * 50 >= pairs || counts.controls * 4 >= counts.bytes) {
        return Some(encoding);
    }
    // Chinese, Japanese and Korean are spread over many blocks, and are not UTF-8 by chance.
    let spread = counts.invalid * 10 >= counts.bytes && is_plausible(sample, encoding);
    spread.then_some(encoding)
}

#[derive(Default)]
struct Half {
    /// Pairs whose half is NUL and whose other half is not.
    zeros: usize,
    spaces: usize,
    nuls: usize,
    of_a_script: usize,
}

/// Whether a sample read in this encoding is made of characters that people write.
fn is_plausible(sample: &[u8], encoding: &'static encoding_rs::Encoding) -> bool {
    let even = &sample[..sample.len() / 2 * 2];
    let (text, malformed) = encoding.decode_without_bom_handling(even);
    // The last one may be half of a pair.
    let broken = text
        .chars()
        .filter(|c| *c == char::REPLACEMENT_CHARACTER)
        .count();
    if malformed && broken > 1 {
        return false;
    }
    let (mut all, mut written) = (0_usize, 0_usize);
    for character in text.chars() {
        all += 1;
        written += usize::from(match character {
            '\t' | '\n' | '\r' | ' '..='~' => true,
            '\u{2010}'..='\u{2040}' | '\u{3000}'..='\u{30FF}' | '\u{FF00}'..='\u{FFEF}' => true,
            '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' => true,
            other => other.is_alphanumeric() && u32::from(other) < 0x2000,
        });
    }
    written * 100 >= all * 95
}

/// Whether text that was read as UTF-8 holds text of two or four bytes a character: a program added
/// UTF-16 to a file of another encoding (PowerShell's `>>`). A pattern sees nothing there.
pub(super) fn holds_wide_text(bytes: &[u8]) -> bool {
    if !bytes.iter().any(|byte| is_control(*byte)) {
        return false;
    }
    let in_pairs = |from: usize| {
        let mut run = 0;
        let mut before = 0;
        bytes[from.min(bytes.len())..].chunks_exact(2).any(|pair| {
            let same = run == 0 || pair[1] == before || pair[1] == 0 || before == 0;
            run = match !is_control(pair[0]) && is_control(pair[1]) {
                true if same => run + 1,
                true => 1,
                false => 0,
            };
            before = pair[1];
            run >= WIDE_CHARACTERS
        })
    };
    // Big-endian pairs are little-endian ones from the next byte on.
    if in_pairs(0) || in_pairs(1) {
        return true;
    }
    bytes
        .windows(12)
        .any(|w| [1, 2, 3, 5, 6, 7].iter().all(|at| w[*at] == 0) && w[0] != 0 && w[4] != 0)
}

/// Fewer would take a few NULs between letters for UTF-16; more would let a short name pass.
pub(super) const WIDE_CHARACTERS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, BufReader};

    use super::*;
    use crate::source::transcoded::Transcoded;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let unit = |unit: u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(unit).collect()
    }

    fn utf32(text: &str, big: bool) -> Vec<u8> {
        let unit = |c: char| {
            let number = u32::from(c);
            if big {
                number.to_be_bytes()
            } else {
                number.to_le_bytes()
            }
        };
        text.chars().flat_map(unit).collect()
    }

    fn decoded(bytes: &[u8], encoding: Encoding, buffer: usize) -> Vec<u8> {
        futures::executor::block_on(async {
            let reader = BufReader::with_capacity(buffer, bytes);
            let mut text = Vec::new();
            let mut transcoded = Transcoded::new(reader, encoding);
            transcoded.read_to_end(&mut text).await.unwrap();
            text
        })
    }

    fn name(bytes: &[u8]) -> Option<&'static str> {
        tell(bytes, true).ok().map(|told| told.encoding.name())
    }

    const TEXTS: [&str; 9] = [
        "login of user7@mail.example from 203.0.113.7\r\n",
        "hi\n",
        "Да, это Иван Петров, +7 495 123-45-67\n",
        "Γιώργος από Αθήνα\r\n",
        "שלום ana@mail.example\n",
        "名前は田中です。電話 03-1234-5678\r\n次の行はこれです。\r\n",
        "用户张伟的卡号是 4111 1111 1111 1111\n一一一\n",
        "김철수 님의 번호는 010-1234-5678 입니다\n",
        "नमस्ते राम, फ़ोन 98765 43210 पर\nदूसरी पंक्ति यह है और यह हिंदी है\n",
    ];

    #[test]
    fn wide_encodings_are_told_without_a_mark() {
        for text in TEXTS {
            for repeat in [1, 3, 500] {
                let text = text.repeat(repeat);
                assert_eq!(name(text.as_bytes()), Some("UTF-8"), "{text:.20}");
                assert_eq!(
                    name(&utf16(&text, false)),
                    Some("UTF-16LE"),
                    "{text:.20} {repeat}"
                );
                assert_eq!(
                    name(&utf16(&text, true)),
                    Some("UTF-16BE"),
                    "{text:.20} {repeat}"
                );
                assert_eq!(
                    name(&utf32(&text, false)),
                    Some("UTF-32LE"),
                    "{text:.20} {repeat}"
                );
                assert_eq!(
                    name(&utf32(&text, true)),
                    Some("UTF-32BE"),
                    "{text:.20} {repeat}"
                );
            }
        }
    }

    #[test]
    fn marks_are_told_and_passed_over() {
        let text = "Ana";
        for (encoded, mark, expected) in [
            (utf16("\u{FEFF}Ana", false), 2, "UTF-16LE"),
            (utf16("\u{FEFF}Ana", true), 2, "UTF-16BE"),
            (utf32("\u{FEFF}Ana", false), 4, "UTF-32LE"),
            (utf32("\u{FEFF}Ana", true), 4, "UTF-32BE"),
        ] {
            let told = tell(&encoded, true).unwrap();
            assert_eq!((told.encoding.name(), told.mark), (expected, mark));
            assert_eq!(decoded(&encoded[mark..], told.encoding, 3), text.as_bytes());
        }
        // The mark of UTF-8 is text.
        let told = tell("\u{FEFF}Ana".as_bytes(), true).unwrap();
        assert_eq!((told.encoding, told.mark), (Encoding::UTF_8, 0));
    }

    #[test]
    fn odd_bytes_in_a_text_leave_it_utf_8() {
        let hole = [
            b"one line\n".repeat(9),
            vec![0; 4000],
            b"another\n".repeat(9),
        ]
        .concat();
        for text in [
            &b""[..],
            b"a",
            b"\n",
            b"a\0b secret\n",
            b"a\0b\0ana@mail.example\0",
            b"\x1b[32mINFO\x1b[0m x\x0c\n",
            b"key\0value\0other\0thing\0",
            b"one line is \xff broken, the others are not\nmore text here\n",
            "na\u{ef}ve caf\u{e9}s are fine".as_bytes(),
            &hole,
        ] {
            assert_eq!(name(text), Some("UTF-8"), "{text:?}");
            assert!(!is_no_text(text) || text == hole, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_unknown() {
        let mut random = proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        );
        let mut noise = vec![0; 5000];
        rand::Rng::fill_bytes(&mut random, &mut noise);
        let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(TEXTS[5]);
        let (koi8, _, _) = encoding_rs::KOI8_R.encode(TEXTS[2]);
        for bytes in [
            &noise[..],
            &shift_jis,
            &koi8,
            b"\0\x01\x02\0\0\x08\0\x07ab\0\0\x03\x04\x05\x06",
        ] {
            assert_eq!(name(bytes), None, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn text_of_two_bytes_a_character_is_seen_within_other_text() {
        for text in &TEXTS[..5] {
            for big in [false, true] {
                let mixed = [b"one: ".to_vec(), utf16(text, big)].concat();
                assert!(text.len() < 8 || is_no_text(&mixed), "{text:.20}");
            }
        }
        let wide = [b"one ".to_vec(), utf32("two three", false)].concat();
        assert!(is_no_text(&wide));
        let stream = [b"plain text\n".repeat(50), utf16("ana@mail.example", false)].concat();
        for buffer in [1, 16, 4096] {
            let end = futures::executor::block_on(async {
                let reader = BufReader::with_capacity(buffer, &stream[..]);
                let mut text = Vec::new();
                Transcoded::guarded(reader).read_to_end(&mut text).await
            });
            assert!(end.is_err(), "{buffer}");
        }
    }

    #[test]
    fn labels_are_those_of_the_web() {
        let name = |label| Encoding::of_label(label).map(Encoding::name);
        assert_eq!(name("latin1"), Some("windows-1252"));
        assert_eq!(name("Shift-JIS"), Some("Shift_JIS"));
        assert_eq!(name("UTF-16LE"), Some("UTF-16LE"));
        assert_eq!(name("utf-32be"), Some("UTF-32BE"));
        for refused in ["", "ebcdic", "hz-gb-2312", "x-user-defined"] {
            assert_eq!(name(refused), None, "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_however_it_is_cut(
            text in "[ -~\\n]{0,20}[À-ÿ]{0,5}[ -~]{0,9}",
            wide in "\\PC{0,40}",
            buffer in 1_usize..20,
        ) {
            for label in ["windows-1252", "iso-8859-15", "macintosh"] {
                let Some(Encoding::Standard(encoding)) = Encoding::of_label(label) else { panic!("{label}") };
                let (bytes, _, lost) = encoding.encode(&text);
                if !lost {
                    let again = decoded(&bytes, Encoding::Standard(encoding), buffer);
                    prop_assert_eq!(again, text.as_bytes());
                }
            }
            for label in ["shift_jis", "gb18030", "euc-kr", "iso-2022-jp", "koi8-r"] {
                let Some(Encoding::Standard(encoding)) = Encoding::of_label(label) else { panic!("{label}") };
                let (bytes, _, lost) = encoding.encode(&wide);
                let (whole, broken) = encoding.decode_without_bom_handling(&bytes);
                if !lost && !broken {
                    let again = decoded(&bytes, Encoding::Standard(encoding), buffer);
                    prop_assert_eq!(again, whole.as_bytes());
                }
            }
            for big in [false, true] {
                let (two, four) = if big { ("utf-16be", "utf-32be") } else { ("utf-16le", "utf-32le") };
                let encoding = |label| Encoding::of_label(label).unwrap();
                prop_assert_eq!(decoded(&utf16(&wide, big), encoding(two), buffer), wide.as_bytes());
                prop_assert_eq!(decoded(&utf32(&wide, big), encoding(four), buffer), wide.as_bytes());
            }
        }

        #[test]
        fn no_bytes_decode_to_text_that_they_do_not_hold(
            bytes in prop::collection::vec(any::<u8>(), 0..40), buffer in 1_usize..9,
        ) {
            for label in ["utf-16le", "utf-32le", "shift_jis", "gb18030", "iso-2022-jp"] {
                let encoding = Encoding::of_label(label).unwrap();
                let read = decoded(&bytes, encoding, buffer);
                prop_assert_eq!(&read, &decoded(&bytes, encoding, 4096));
                let malformed = read.contains(&MALFORMED);
                prop_assert_eq!(std::str::from_utf8(&read).is_err(), malformed);
            }
            let _ = (tell(&bytes, true), tell(&bytes, false), is_no_text(&bytes));
        }
    }
}
