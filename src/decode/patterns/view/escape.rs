//! Escapes as they are written in texts: of JSON and C, percent-encoding, quoted-printable, HTML, of
//! terminals, and of those who write control characters into logs.

use encoding_rs::WINDOWS_1252;

use super::{Before, Meaning, Read, look_alike};

/// Backslashes in a row that are read as one escape: JSON within JSON within JSON within JSON has 15
/// before a quote.
const MAX_BACKSLASHES: usize = 16;

/// Bytes that a terminal's sequence has at most behind its introducer.
const MAX_SEQUENCE: usize = 48;

const ESC: char = '\u{1b}';

/// Whether an escape may begin with `byte`, or a look-alike.
const fn begins(byte: u8) -> bool {
    byte >= 0x80
        || matches!(
            byte,
            0 | 0x1b | b'\\' | b'%' | b'&' | b'=' | b'#' | b'^' | b'[' | b'+'
        )
}

/// Whether [`begins`] may hold: a few more bytes pass (`$`, `]`), so that two comparisons of ranges stand
/// for seven of bytes, and the compiler makes vectors of them.
const fn may_begin(byte: u8) -> bool {
    (byte >= 0x80)
        | (byte.wrapping_sub(b'#') <= b'&' - b'#')
        | (byte.wrapping_sub(b'[') <= b'^' - b'[')
        | (byte == b'+')
        | (byte == b'=')
        | (byte == 0x1b)
        | (byte == 0)
}

/// The next place at or behind `at` where an escape may begin.
pub(super) fn next_candidate(bytes: &[u8], mut at: usize) -> Option<usize> {
    // A block without any is settled by a few comparisons of whole vectors.
    const BLOCK: usize = 16;
    while let Some(block) = bytes.get(at..at + BLOCK) {
        let any = block
            .iter()
            .fold(0u8, |any, byte| any | may_begin(*byte) as u8);
        if any != 0
            && let Some(offset) = block.iter().position(|byte| begins(*byte))
        {
            return Some(at + offset);
        }
        at += BLOCK;
    }
    let rest = &bytes[at.min(bytes.len())..];
    rest.iter()
        .position(|byte| begins(*byte))
        .map(|offset| at + offset)
}

/// The escape or look-alike at `at`.
pub(super) fn read(text: &str, at: usize, before: Before<'_>) -> Option<Read> {
    let bytes = text.as_bytes();
    let code = match bytes[at] {
        b'\\' => backslash(bytes, at),
        b'%' => percent(bytes, at),
        b'=' => return quoted_printable(text, at, before),
        b'&' => entity(bytes, at),
        b'#' => octal(bytes, at, b"#"),
        b'^' => caret(bytes, at),
        b'[' => return bare_colour(bytes, at),
        b'+' => form_space(bytes, at),
        0x1b => Some(Code {
            c: ESC,
            end: at + 1,
        }),
        0 => Some(Code {
            c: '\0',
            end: at + 1,
        }),
        _ => text[at..].chars().next().map(|c| Code {
            c,
            end: at + c.len_utf8(),
        }),
    }?;
    settle(text, at, code, before)
}

/// A character that an escape stands for, and the byte after the escape.
#[derive(Debug, Clone, Copy)]
struct Code {
    c: char,
    end: usize,
}

/// What the character means where it stands.
fn settle(text: &str, at: usize, code: Code, before: Before<'_>) -> Option<Read> {
    let read = |end: usize, meaning: Meaning| {
        Some(Read {
            length: end - at,
            meaning,
        })
    };
    let itself = text[at..].starts_with(code.c);
    match code.c {
        '\0' => read(code.end, Meaning::Nothing),
        // U+241B is the sign for the escape character, which some print in its place.
        ESC | '\u{9b}' | '\u{241b}' => match sequence(text.as_bytes(), code) {
            Some((end, meaning)) => read(end, meaning),
            None if itself => None,
            None => read(code.end, Meaning::Char(code.c)),
        },
        c if c.is_ascii() => read(code.end, Meaning::Char(c)),
        c => match look_alike::meaning(c, before, &text[code.end..]) {
            Some(meaning) => read(code.end, meaning),
            None if itself => None,
            None => read(code.end, Meaning::Char(c)),
        },
    }
}

fn hex(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// `least` to `most` hexadecimal digits at `at`: their value and the byte after them.
fn hex_number(bytes: &[u8], at: usize, least: usize, most: usize) -> Option<(u32, usize)> {
    let digits = bytes.get(at..)?.iter().take(most);
    let digits = digits.map_while(|byte| hex(*byte));
    let (value, count) = digits.fold((0, 0), |(value, count), digit| {
        (value << 4 | digit, count + 1)
    });
    (count >= least).then_some((value, at + count))
}

/// A character of which an escape gives the first byte: with further bytes in the same notation as
/// UTF-8, else by itself as Windows-1252, which holds Latin-1, where it may stand between the parts of a
/// value.
fn from_bytes(first: (u8, usize), next: impl Fn(usize) -> Option<(u8, usize)>) -> Option<Code> {
    let (lead, mut end) = first;
    let count = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let mut bytes = [lead, 0, 0, 0];
    let mut read = 1;
    while read < count {
        let Some((byte, after)) = next(end) else {
            break;
        };
        bytes[read] = byte;
        end = after;
        read += 1;
    }
    let utf8 = str::from_utf8(&bytes[..read]).ok();
    if let Some(c) = utf8.and_then(|text| text.chars().next()) {
        return Some(Code { c, end });
    }
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(&bytes[..1]);
    let c = text.chars().next()?;
    let reads = matches!(c, '\u{a0}' | '\u{ad}' | '\u{2013}' | '\u{2014}');
    reads.then_some(Code { c, end: first.1 })
}

/// `\n`, `\u0022`, `\u{22}`, `\U00000022`, `\x22`, `\042`, `\"`; with more backslashes before it where
/// a text was escaped more than once.
fn backslash(bytes: &[u8], at: usize) -> Option<Code> {
    let count = bytes[at..]
        .iter()
        .take(MAX_BACKSLASHES)
        .take_while(|byte| **byte == b'\\')
        .count();
    let letter = at + count;
    let pair = (count >= 2).then_some(Code {
        c: '\\',
        end: at + 2,
    });
    if count == MAX_BACKSLASHES {
        return pair;
    }
    let Some(&byte) = bytes.get(letter) else {
        return pair;
    };
    let plain = |c: char| Some(Code { c, end: letter + 1 });
    let code = match byte {
        b'n' => plain('\n'),
        b'r' => plain('\r'),
        b't' => plain('\t'),
        b'f' => plain('\u{c}'),
        b'v' => plain('\u{b}'),
        b'b' => plain('\u{8}'),
        b'e' | b'E' if matches!(bytes.get(letter + 1), Some(b'[' | b']')) => plain(ESC),
        b'u' if bytes.get(letter + 1) == Some(&b'{') => braced(bytes, letter + 2),
        b'u' => utf16(bytes, at, count),
        b'U' => hex_number(bytes, letter + 1, 8, 8)
            .and_then(|(value, end)| char::from_u32(value).map(|c| Code { c, end })),
        b'x' if bytes.get(letter + 1) == Some(&b'{') => braced(bytes, letter + 2),
        b'x' => {
            let byte = |at: usize| {
                let slashes = bytes.get(at..at + count)?;
                if slashes.iter().any(|byte| *byte != b'\\') || bytes.get(at + count) != Some(&b'x')
                {
                    return None;
                }
                hex_number(bytes, at + count + 1, 2, 2).map(|(value, end)| (value as u8, end))
            };
            byte(at).and_then(|first| from_bytes(first, byte))
        }
        b'0'..=b'3' => octal(bytes, at, &bytes[at..letter]),
        // An even number escapes backslashes; what follows is the end of a JSON string.
        b'"' if count.is_multiple_of(2) => pair,
        b' ' => plain(' '),
        byte if byte.is_ascii_punctuation() => plain(char::from(byte)),
        _ => None,
    };
    code.or(pair)
}

/// `22}`, behind `\u{` or `\x{`.
fn braced(bytes: &[u8], at: usize) -> Option<Code> {
    let (value, end) = hex_number(bytes, at, 1, 8)?;
    let c = char::from_u32(value)?;
    (bytes.get(end) == Some(&b'}')).then_some(Code { c, end: end + 1 })
}

/// `\u0022`, and two for a character beyond the Basic Multilingual Plane.
fn utf16(bytes: &[u8], at: usize, backslashes: usize) -> Option<Code> {
    let unit = |at: usize| {
        let slashes = bytes.get(at..at + backslashes)?;
        if slashes.iter().any(|byte| *byte != b'\\') || bytes.get(at + backslashes) != Some(&b'u') {
            return None;
        }
        hex_number(bytes, at + backslashes + 1, 4, 4)
    };
    let (value, end) = unit(at)?;
    if let Some(c) = char::from_u32(value) {
        return Some(Code { c, end });
    }
    // A half of a pair by itself means nothing that anyone could read.
    let pair = unit(end).and_then(|(low, end)| {
        let c = char::decode_utf16([value as u16, low as u16])
            .next()?
            .ok()?;
        Some(Code { c, end })
    });
    Some(pair.unwrap_or(Code {
        c: char::REPLACEMENT_CHARACTER,
        end,
    }))
}

/// Three octal digits behind `mark`: control characters, ASCII punctuation, and bytes of UTF-8. A
/// value's own digits behind a mark are none (`\411`, `#123`).
fn octal(bytes: &[u8], at: usize, mark: &[u8]) -> Option<Code> {
    let byte = |at: usize| {
        let end = at + mark.len() + 3;
        let digits = bytes.get(at..end)?.strip_prefix(mark)?;
        if digits.iter().any(|digit| !matches!(digit, b'0'..=b'7')) || digits[0] > b'3' {
            return None;
        }
        let value = digits
            .iter()
            .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
        Some((value as u8, end))
    };
    let first = byte(at)?;
    match first.0 {
        0..0x20 | 0x7f => Some(Code {
            c: char::from(first.0),
            end: first.1,
        }),
        b if b < 0x30 && mark != b"#" => Some(Code {
            c: char::from(b),
            end: first.1,
        }),
        0x80.. => from_bytes(first, byte).filter(|code| code.end > first.1),
        _ => None,
    }
}

/// `%40`, also encoded again (`%2540`), and the `%u0040` of old browsers.
fn percent(bytes: &[u8], at: usize) -> Option<Code> {
    let mut digits = at + 1;
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    while bytes.get(digits..digits + 2) == Some(b"25")
        && (digit(digits + 2) && digit(digits + 3) || bytes.get(digits + 2) == Some(&b'u'))
    {
        digits += 2;
    }
    if bytes.get(digits) == Some(&b'u') {
        let code = hex_number(bytes, digits + 1, 4, 4)
            .and_then(|(value, end)| char::from_u32(value).map(|c| Code { c, end }));
        if code.is_some() || digits == at + 1 {
            return code;
        }
        digits -= 2;
    }
    let again = digits - at - 1;
    let byte = |at: usize| {
        if bytes.get(at) != Some(&b'%') {
            return None;
        }
        let digits = at + 1 + again;
        let encoded = bytes.get(at + 1..digits)?;
        if encoded.chunks(2).any(|pair| pair != b"25") {
            return None;
        }
        hex_number(bytes, digits, 2, 2).map(|(value, end)| (value as u8, end))
    };
    byte(at).and_then(|first| from_bytes(first, byte))
}

/// `+` for a space in form data: between digits, if another one stands behind or before one of the two
/// numbers. A single one is a time zone's or a sum's.
fn form_space(bytes: &[u8], at: usize) -> Option<Code> {
    const LONGEST: usize = 8;
    let count = |digits: &mut dyn Iterator<Item = &u8>| {
        digits
            .take(LONGEST)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let left = count(&mut bytes[..at].iter().rev());
    let right = count(&mut bytes[at + 1..].iter());
    if left == 0 || right == 0 {
        return None;
    }
    let another = bytes.get(at + 1 + right) == Some(&b'+')
        && bytes.get(at + 2 + right).is_some_and(u8::is_ascii_digit)
        || at > left && bytes[at - left - 1] == b'+';
    another.then_some(Code {
        c: ' ',
        end: at + 1,
    })
}

/// `=40`, and `=` at the end of a line. Upper-case digits, as RFC 2045 wants them, and only what
/// encoders encode; where the digits may be a number of the text (`size=20`, `date=2026-03-05`), what
/// follows must speak for the escape.
fn quoted_printable(text: &str, at: usize, before: Before<'_>) -> Option<Read> {
    let bytes = text.as_bytes();
    let soft_break = match bytes.get(at + 1..)? {
        [b'\r', b'\n', ..] => 3,
        [b'\n', ..] => 2,
        _ => 0,
    };
    if soft_break > 0 {
        return Some(Read {
            length: soft_break,
            meaning: Meaning::Nothing,
        });
    }
    let byte = |at: usize| {
        let digits = bytes.get(at + 1..at + 3)?;
        if bytes[at] != b'=' || digits.iter().any(u8::is_ascii_lowercase) {
            return None;
        }
        hex_number(bytes, at + 1, 2, 2).map(|(value, end)| (value as u8, end))
    };
    let first = byte(at)?;
    let code = from_bytes(first, byte)?;
    let numeral = bytes[at + 1].is_ascii_digit() && bytes[at + 2].is_ascii_digit();
    let rest = &bytes[code.end..];
    let encoded = match first.0 {
        b'@' => rest
            .first()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'='),
        b'\t' | b'\n' | b'\r' | b' ' | b'=' | b'<' | b'>' => true,
        b'+' => rest.first().is_some_and(u8::is_ascii_digit),
        // Signs of Windows-1252 that stand between the parts of values: no-break space, dashes, soft
        // hyphen.
        0xA0 | 0x96 | 0x97 | 0xAD => true,
        0x80.. => code.end > first.1,
        _ => false,
    };
    let own_number = numeral && first.0 != b'@' && {
        let more = rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .take(12)
            .count();
        let next = rest.get(more).copied().unwrap_or(0);
        match (more, first.0) {
            (0, _) => !(next.is_ascii_alphabetic() || b"+([\"<=".contains(&next)),
            (_, 0x96 | 0x97) => more < 3,
            // A card, or the first group of a card, a social security number, an address: no year,
            // no phone number of Washington (202).
            (12.., b' ') => false,
            (4, b' ') => !matches!(next, b' ' | b'-'),
            (3, b' ') => !matches!(next, b'-' | b'.'),
            _ => true,
        }
    };
    // The first pair of a hardware address: `mac=2A:00:5e:…`.
    let pair = matches!(rest, [a @ (b':' | b'-'), hex, digit, b, ..]
        if a == b && hex.is_ascii_hexdigit() && digit.is_ascii_hexdigit());
    if !encoded || own_number || pair {
        return None;
    }
    settle(text, at, code, before)
}

/// `&#64;`, `&#x40;`, `&commat;`, and with the `&` escaped again (`&amp;#64;`).
fn entity(bytes: &[u8], at: usize) -> Option<Code> {
    let mut name = at + 1;
    while bytes.get(name..name + 4) == Some(b"amp;") {
        name += 4;
    }
    let ampersand = (name > at + 1).then_some(Code { c: '&', end: name });
    let rest = bytes.get(name..)?;
    let code = match rest {
        [b'#', b'x' | b'X', ..] => hex_number(bytes, name + 2, 1, 6),
        [b'#', ..] => {
            let digits = rest[1..]
                .iter()
                .take(7)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let value = rest[1..=digits]
                .iter()
                .fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
            (digits > 0).then_some((value, name + 1 + digits))
        }
        _ => {
            let letters = rest
                .iter()
                .take(16)
                .take_while(|byte| byte.is_ascii_alphabetic())
                .count();
            ENTITIES
                .iter()
                .find(|(known, _)| known.as_bytes() == &rest[..letters])
                .map(|(_, c)| (u32::from(*c), name + letters))
        }
    };
    code.filter(|(_, end)| bytes.get(*end) == Some(&b';'))
        .and_then(|(value, end)| char::from_u32(value).map(|c| Code { c, end: end + 1 }))
        .or(ampersand)
}

/// Named characters of HTML that may stand in a value or at its border (HTML Living Standard, 13.5).
const ENTITIES: [(&str, char); 55] = [
    ("quot", '"'),
    ("apos", '\''),
    ("lt", '<'),
    ("gt", '>'),
    ("QUOT", '"'),
    ("LT", '<'),
    ("GT", '>'),
    ("AMP", '&'),
    ("nbsp", '\u{a0}'),
    ("NonBreakingSpace", '\u{a0}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("numsp", '\u{2007}'),
    ("puncsp", '\u{2008}'),
    ("thinsp", '\u{2009}'),
    ("ThinSpace", '\u{2009}'),
    ("hairsp", '\u{200a}'),
    ("MediumSpace", '\u{205f}'),
    ("ZeroWidthSpace", '\u{200b}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("lrm", '\u{200e}'),
    ("rlm", '\u{200f}'),
    ("NoBreak", '\u{2060}'),
    ("shy", '\u{ad}'),
    ("hyphen", '\u{2010}'),
    ("dash", '\u{2010}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("horbar", '\u{2015}'),
    ("minus", '\u{2212}'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("lowbar", '_'),
    ("verbar", '|'),
];

/// `^[` for the escape character, `^M`, `^J`, `^I`, `^@`, as terminals and pagers print them.
fn caret(bytes: &[u8], at: usize) -> Option<Code> {
    let c = match bytes.get(at + 1)? {
        b'[' if matches!(bytes.get(at + 2), Some(b'[' | b']')) => ESC,
        b'M' => '\r',
        b'J' => '\n',
        b'I' => '\t',
        b'@' => '\0',
        _ => return None,
    };
    Some(Code { c, end: at + 2 })
}

/// End of the terminal's sequence that `code` introduces (ECMA-48), and what it means. Of an operating
/// system command (a title, a link) only what frames its text is read; nobody writes one into a word.
fn sequence(bytes: &[u8], code: Code) -> Option<(usize, Meaning)> {
    let at = code.end;
    if code.c == '\u{9b}' {
        return Some((control_sequence_end(bytes, at)?, Meaning::Nothing));
    }
    match bytes.get(at)? {
        b'[' => Some((control_sequence_end(bytes, at + 1)?, Meaning::Nothing)),
        b']' => Some((command_head_end(bytes, at + 1)?, Meaning::Char('\n'))),
        // Where the escape character itself is escaped, so is the backslash.
        b'\\' if bytes[at - 1] == 0x1b => Some((at + 1, Meaning::Char('\n'))),
        b'\\' if bytes.get(at + 1) == Some(&b'\\') => Some((at + 2, Meaning::Char('\n'))),
        b'=' | b'>' => Some((at + 1, Meaning::Nothing)),
        b'(' | b')' if bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) => {
            Some((at + 2, Meaning::Nothing))
        }
        _ => None,
    }
}

/// End of the number of an operating system command at `at`, and of the parameters that a link has
/// before its address.
fn command_head_end(bytes: &[u8], at: usize) -> Option<usize> {
    let text = &bytes[at..];
    let text = &text[..text.len().min(MAX_SEQUENCE)];
    let number = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if number == 0 || text.get(number) != Some(&b';') {
        return None;
    }
    let head = number + 1;
    let parameters = match &text[..number] {
        b"8" => text[head..].iter().position(|byte| *byte == b';')? + 1,
        _ => 0,
    };
    Some(at + head + parameters)
}

/// End of the sequence whose parameters begin at `at`: numbers of four digits at most, so that no value
/// behind a cut sequence is taken for them, and a letter.
fn control_sequence_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let rest = &rest[..rest.len().min(MAX_SEQUENCE)];
    let private = usize::from(matches!(rest.first(), Some(b'?' | b'<' | b'=' | b'>')));
    let last = private
        + rest[private..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
            .count();
    let numbers = rest[..last].split(|byte| !byte.is_ascii_digit());
    let short = numbers.map(<[u8]>::len).max().unwrap_or(0) <= 4;
    let ends = rest
        .get(last)
        .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'@' | b'`' | b'~'));
    (short && ends).then_some(at + last + 1)
}

/// `[31m`: a colour whose escape character someone has filtered out.
fn bare_colour(bytes: &[u8], at: usize) -> Option<Read> {
    let rest = &bytes[at + 1..];
    let rest = &rest[..rest.len().min(MAX_SEQUENCE)];
    let length = rest
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b';')
        .count();
    let numbers = str::from_utf8(&rest[..length]).ok()?;
    let colour = length > 0
        && rest.get(length) == Some(&b'm')
        // `[5m]` is five minutes.
        && rest.get(length + 1) != Some(&b']')
        && numbers
            .split(';')
            .all(|number| number.is_empty() || number.len() <= 3 && number.parse::<u8>().is_ok());
    colour.then_some(Read {
        length: length + 2,
        meaning: Meaning::Nothing,
    })
}
