//! Words that say that a number is a phone number, in the languages of the countries whose numbers
//! are read.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::decode::patterns::borders::{around, runs_on};

/// How far a word may stand before the number, in bytes.
const REACH: usize = 40;

/// Nouns: what stands behind one of them, with nothing but `number`, `is` and the like between, is
/// a phone number whatever its country.
const NOUNS: &[&str] = &[
    // English, and what many languages share
    "phone",
    "telephone",
    "tel",
    "mobile",
    "mob",
    "cell",
    "cellphone",
    "cellular",
    "fax",
    "telefax",
    "whatsapp",
    "sms",
    "msisdn",
    "ph",
    "landline",
    "hotline",
    "helpline",
    "gsm",
    "viber",
    "callerid",
    "tel no",
    "telno",
    "imessage",
    "facetime",
    "pager",
    "wa.me",
    "callto",
    "sip",
    // German, Dutch, Scandinavian, Finnish
    "telefon",
    "fon",
    "handy",
    "mobil",
    "rufnummer",
    "festnetz",
    "durchwahl",
    "telefoon",
    "mobiel",
    "tlf",
    "tfn",
    "mobilnr",
    "puhelin",
    "puh",
    "kännykkä",
    // French, Spanish, Portuguese, Italian, Romanian
    "téléphone",
    "tél",
    "portable",
    "fixe",
    "télécopie",
    "teléfono",
    "telefono",
    "tfno",
    "móvil",
    "movil",
    "celular",
    "cel",
    "telefone",
    "telemóvel",
    "telemovel",
    "tlm",
    "fone",
    "cellulare",
    "mobilul",
    // Polish, Czech, Hungarian, Turkish, Greek
    "komórka",
    "komórkowy",
    "komorka",
    "kom",
    "faks",
    "telefonszám",
    "cep",
    "τηλέφωνο",
    "τηλ",
    "κινητό",
    "φαξ",
    // Russian, Ukrainian
    "телефон",
    "тел",
    "моб",
    "мобильный",
    "мобільний",
    "сотовый",
    "факс",
    // Hebrew, Arabic, Hindi, Thai, Vietnamese, Indonesian
    "טלפון",
    "נייד",
    "פלאפון",
    "טל",
    "هاتف",
    "جوال",
    "موبايل",
    "تلفون",
    "فاكس",
    "फ़ोन",
    "फोन",
    "मोबाइल",
    "โทร",
    "มือถือ",
    "điện thoại",
    "di động",
    "sđt",
    "đt",
    "telepon",
    "telpon",
    "ponsel",
    "hp",
    // Chinese, Japanese, Korean
    "电话",
    "手机",
    "電話",
    "手機",
    "传真",
    "傳真",
    "携帯",
    "ファックス",
    "전화",
    "휴대폰",
    "핸드폰",
    "연락처",
    "팩스",
];

/// Verbs and the like: a valid number of the tenant's country near them is a phone number.
const VERBS: &[&str] = &[
    "call",
    "ring",
    "contact",
    "dial",
    "reach",
    "text me",
    "anruf",
    "anrufen",
    "erreichbar",
    "appel",
    "appelez",
    "appeler",
    "joindre",
    "joignable",
    "contactez",
    "llama",
    "llame",
    "llamar",
    "llámame",
    "contacto",
    "contactar",
    "ligue",
    "ligar",
    "liga",
    "contato",
    "chiama",
    "chiamare",
    "chiami",
    "contatto",
    "bellen",
    "bel",
    "ringa",
    "ringe",
    "soita",
    "zadzwoń",
    "dzwonić",
    "zavolejte",
    "hívjon",
    "sunați",
    "ara",
    "arayın",
    "звоните",
    "позвоните",
    "дзвоніть",
    "καλέστε",
    "hubungi",
    "gọi",
    "联系",
    "聯絡",
    "致电",
    "連絡",
    "연락",
];

/// Words between a noun and its number.
const FILLERS: &[&str] = &[
    "number",
    "no",
    "nr",
    "num",
    "numero",
    "número",
    "numéro",
    "nummer",
    "numer",
    "n",
    "o",
    "is",
    "at",
    "on",
    "under",
    "us",
    "me",
    "home",
    "work",
    "office",
    "private",
    "business",
    "privat",
    "and",
    "und",
    "or",
    "of",
    "the",
    "my",
    "our",
    "his",
    "her",
    "new",
    "old",
    "main",
    "primary",
    "value",
    "v",
    "text",
    "content",
    "type",
    "string",
    "str",
    "s",
    "de",
    "du",
    "la",
    "le",
    "au",
    "el",
    "del",
    "auf",
    "unter",
    "ist",
    "lautet",
    "contact",
    "emergency",
    "est",
    "es",
    "a",
    "e",
    "and",
    "fax",
    "xsd",
    "voice",
    "pref",
    "uri",
    "номер",
    "är",
    "er",
    "on",
    "is",
    "jest",
    "to",
    "号",
    "号码",
    "號碼",
    "番号",
    "番号は",
    "は",
    "번호",
];

/// Most words between a noun and its number.
const MAX_FILLERS: usize = 4;

/// What stands before a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Clue {
    None,
    /// A verb or a noun, with other words between.
    Near,
    /// A noun and nothing else between.
    Here,
    /// A noun, without a space between.
    Glued,
}

struct Clues {
    words: AhoCorasick,
    /// Words below this index are nouns.
    nouns: usize,
}

static CLUES: LazyLock<Clues> = LazyLock::new(|| {
    // ASCII letters match in any case; other letters need their capitals written.
    let cases = |words: &[&str]| -> Vec<String> {
        let mut all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        for word in words.iter().filter(|word| !word.is_ascii()) {
            let upper = word.to_uppercase();
            let mut rest = word.chars();
            let first: String = rest
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect();
            let title = first + rest.as_str();
            all.extend([upper, title].into_iter().filter(|cased| cased != word));
        }
        all
    };
    let mut words = cases(NOUNS);
    let nouns = words.len();
    words.extend(cases(VERBS));
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        // It reads 40 bytes before many numbers: speed is worth its few hundred KiB.
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .expect("some hundred short literals");
    Clues { words, nouns }
});

/// What is said before the number at `start`.
pub(super) fn before(text: &str, start: usize) -> Clue {
    let (left, _) = around(text, start, start, REACH);
    let mut found = Clue::None;
    for word in CLUES.words.find_overlapping_iter(left) {
        let noun = word.pattern().as_usize() < CLUES.nouns;
        if !is_word(left, word.start(), word.end(), noun) {
            continue;
        }
        let clue = match noun {
            true => distance(left, word.end()),
            false => Clue::Near,
        };
        found = found.max(clue);
    }
    found
}

/// Short words and verbs are parts of many others (`unter` of `counter`); long nouns stand in keys
/// such as `phonenumber`.
fn is_word(text: &str, start: usize, end: usize, noun: bool) -> bool {
    let word = &text[start..end];
    if noun && word.chars().count() >= 5 || word.chars().all(runs_on) {
        return true;
    }
    let first = word.chars().next().expect("no clue is empty");
    let last = word.chars().next_back().expect("no clue is empty");
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    // `homeTel`, `telNo`: a capital begins a word.
    let opens = before.is_none_or(|c| {
        !c.is_alphabetic() || runs_on(c) || c.is_lowercase() && first.is_uppercase()
    });
    let closes = after.is_none_or(|c| {
        !c.is_alphabetic() || runs_on(c) || c.is_uppercase() && last.is_lowercase()
    });
    opens && closes
}

/// Whether only fillers stand between the noun that ends at `end` and the number behind `left`.
fn distance(left: &str, end: usize) -> Clue {
    let between = &left[end..];
    if between.is_empty() {
        return Clue::Glued;
    }
    let mut words = 0;
    let mut others = 0;
    let mut rest = between.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if c.is_alphabetic() {
            let mut stop = between.len();
            while let Some((next, c)) = rest.peek().copied() {
                if !c.is_alphabetic() {
                    stop = next;
                    break;
                }
                rest.next();
            }
            words += 1;
            // `telNo`, `Telefonnummer`: the rest of the noun's own word.
            let word = between[at..stop].to_lowercase();
            if words > MAX_FILLERS
                || !FILLERS.contains(&word.as_str()) && !NOUNS.contains(&word.as_str())
            {
                return Clue::Near;
            }
        } else if c.is_ascii_digit() {
            // `phone1: …`, not `tel 5, 2030…`
            let attached = at == 0 || between[..at].ends_with('_');
            let single = rest.peek().is_none_or(|(_, next)| !next.is_ascii_digit());
            if !attached || !single {
                return Clue::Near;
            }
        } else {
            others += 1;
        }
    }
    match others {
        0..=14 => Clue::Here,
        _ => Clue::Near,
    }
}

/// Whether HL7 says behind the number that it is one: `^PRN^PH`, `^^CP` (table 0202).
pub(super) fn behind(text: &str, end: usize) -> bool {
    let Some(rest) = text[end..].strip_prefix('^') else {
        return false;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_uppercase());
    ["^PH", "^CP", "^FX", "^BP"]
        .iter()
        .any(|kind| rest.starts_with(kind))
}
