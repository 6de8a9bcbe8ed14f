//! MAC addresses.

use memchr::{memchr, memchr_iter, memchr2_iter, memchr3_iter};

use super::{
    borders::{closes, opens},
    clue,
};
use crate::text::ByteSpan;

/// MAC addresses: six or eight (EUI-64) pairs of hex digits with `:` or `-`, three or four groups of
/// four with dots or dashes, six groups without leading zeros (BSD), six pairs with spaces.
///
/// Longer runs of pairs are found whole where they hold an address: the header that iptables logs,
/// DHCP client ids and DUIDs, InfiniBand. Twelve hex digits alone need a word before them.
pub fn mac(text: &str, found: &mut Vec<ByteSpan>) {
    for separator in [b':', b'-'] {
        pairs(text, separator, found);
    }
    quads(text, found);
    spaced(text, found);
    bare(text, found);
}

/// Names of fields that hold an address of this kind.
const CLUES: &[&str] = &[
    "mac",
    "macs",
    "macaddr",
    "macaddress",
    "hwaddr",
    "hwaddress",
    "hw",
    "ether",
    "ethernet",
    "lladdr",
    "chaddr",
    "bssid",
    "bluetooth",
    "wlan",
    "wifi",
    "station",
    "sta",
    "arp",
    "physical",
    "hardware",
    "smac",
    "dmac",
    "srcmac",
    "dstmac",
    "nic",
    "oui",
];

/// Names of fields that hold the identity of a DHCP client.
const DHCP: &[&str] = &[
    "client-id",
    "client id",
    "client_id",
    "clientid",
    "client-identifier",
    "client identifier",
    "dhcp-client-identifier",
    "clid",
    "cid",
    "duid",
    "dhcp",
    "dhcp6",
    "dhcpv6",
    "identifier",
    "option 61",
    "uid",
    "iaid",
];

fn pairs(text: &str, separator: u8, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr_iter(separator, bytes) {
        if at < done || at == 0 || !bytes[at - 1].is_ascii_hexdigit() {
            continue;
        }
        let wide = at >= 2 && at - 2 >= done && bytes[at - 2].is_ascii_hexdigit();
        let start = if wide { at - 2 } else { at - 1 };
        if !opens(text, start) || follows_group(bytes, start, separator) {
            continue;
        }
        let mut end = at;
        let mut groups = 1;
        let mut narrow = usize::from(!wide);
        while bytes.get(end) == Some(&separator)
            && bytes.get(end + 1).is_some_and(u8::is_ascii_hexdigit)
        {
            let two = bytes.get(end + 2).is_some_and(u8::is_ascii_hexdigit);
            narrow += usize::from(!two);
            end += 2 + usize::from(two);
            groups += 1;
        }
        if groups < 6 {
            // A narrow group may be the tail of a key (`b:a4:83:…`).
            if narrow == 0 {
                done = end;
            }
            continue;
        }
        done = end;
        if !closes(text, end) {
            continue;
        }
        let run = Run {
            start,
            end,
            groups,
            narrow,
        };
        if run.is_address(text) {
            found.push(ByteSpan::new(start, end));
        }
    }
}

/// Groups of one or two hex digits between separators.
struct Run {
    start: usize,
    end: usize,
    groups: usize,
    narrow: usize,
}

impl Run {
    fn is_address(&self, text: &str) -> bool {
        let digits = &text.as_bytes()[self.start..self.end];
        if self.narrow > 0 {
            // `1:2:3:4:5:6` counts; a letter, or a word before, makes it an address.
            let letters = digits.iter().any(u8::is_ascii_alphabetic);
            let address = self.groups == 6 && (letters || self.says(text, CLUES));
            let client = self.groups == 7 && self.says(text, DHCP);
            return digits.contains(&b':') && (address || client);
        }
        match self.groups {
            6 => !is_date(digits) || self.says(text, CLUES),
            8 => true,
            // Destination, source and EtherType (iptables' `MAC=`).
            14 if self.says(text, CLUES) || ether_type(digits) => true,
            20 => {
                // A GID with the prefix of link-local addresses is in an InfiniBand address.
                let gid = digits[12..17].eq_ignore_ascii_case(b"fe:80")
                    || digits[12..17].eq_ignore_ascii_case(b"fe-80");
                gid || self.says(text, &["infiniband"])
            }
            7 if digits.starts_with(b"01") && self.says(text, CLUES) => true,
            groups => is_duid(digits, groups) || self.says(text, DHCP) || self.says_exactly(text),
        }
    }

    fn says(&self, text: &str, words: &[&str]) -> bool {
        clue::stands_before(text, self.start, 32, words)
    }

    /// A field named `mac` that holds more or fewer bytes than an address has.
    fn says_exactly(&self, text: &str) -> bool {
        let name = clue::stands_before(text, self.start, 6, &["mac"]);
        name && self.groups > 6 && self.groups != 16
    }
}

/// Whether six pairs are the digits of a date and a time (`24-03-05-10-11-12`).
fn is_date(digits: &[u8]) -> bool {
    let mut fields = [0u8; 6];
    for (field, pair) in fields.iter_mut().zip(digits.chunks(3)) {
        if !pair[..2].iter().all(u8::is_ascii_digit) {
            return false;
        }
        *field = (pair[0] - b'0') * 10 + (pair[1] - b'0');
    }
    let [a, b, c, hour, minute, second] = fields;
    let time = hour < 24 && minute < 60 && second <= 60;
    let month = |month: u8| (1..=12).contains(&month);
    let day = |day: u8| (1..=31).contains(&day);
    // Year first, or day or month first.
    time && (month(b) && day(c) || month(b) && day(a) || month(a) && day(b))
}

/// Whether the last two of fourteen bytes are the EtherType of IPv4, ARP, VLAN or IPv6.
fn ether_type(digits: &[u8]) -> bool {
    let (first, second) = (&digits[36..38], &digits[39..41]);
    [("08", "00"), ("08", "06"), ("81", "00"), ("86", "dd")]
        .iter()
        .any(|(a, b)| {
            first.eq_ignore_ascii_case(a.as_bytes()) && second.eq_ignore_ascii_case(b.as_bytes())
        })
}

/// Whether the bytes are a DUID with a link-layer address (RFC 8415, section 11: type 1 and a time,
/// or type 3, both of Ethernet).
fn is_duid(digits: &[u8], groups: usize) -> bool {
    let head = |expected: [&[u8]; 4]| {
        digits
            .chunks(3)
            .zip(expected)
            .all(|(pair, byte)| &pair[..2] == byte)
    };
    match groups {
        14 => head([b"00", b"01", b"00", b"01"]),
        10 => head([b"00", b"03", b"00", b"01"]),
        _ => false,
    }
}

/// Whether a group of one to four hex digits and `separator` stand before `at`: the value is a part
/// of a longer one. A key that ends in hex letters (`node:`) is no group.
fn follows_group(bytes: &[u8], at: usize, separator: u8) -> bool {
    if at < 2 || bytes[at - 1] != separator {
        return false;
    }
    let group = bytes[..at - 1]
        .iter()
        .rev()
        .take(5)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let glued = bytes[..at - 1 - group]
        .last()
        .is_some_and(u8::is_ascii_alphanumeric);
    (1..=4).contains(&group) && !glued
}

/// Groups of four hex digits with dots (Cisco) or dashes (Huawei, H3C): three, or four of an EUI-64.
fn quads(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr2_iter(b'.', b'-', bytes) {
        let Some(start) = at.checked_sub(4).filter(|start| *start >= done) else {
            continue;
        };
        let separator = bytes[at];
        let mut end = at;
        let mut groups = 1;
        if !all_hex(bytes, start) {
            continue;
        }
        while groups < 5 && bytes.get(end) == Some(&separator) && all_hex(bytes, end + 1) {
            end += 5;
            groups += 1;
        }
        // How Cisco's `show ip dhcp binding` writes the id of an Ethernet client: type 01, six bytes.
        let client = groups == 3
            && separator == b'.'
            && bytes[start..].starts_with(b"01")
            && bytes.get(end) == Some(&b'.')
            && bytes.get(end + 1).is_some_and(u8::is_ascii_hexdigit)
            && bytes.get(end + 2).is_some_and(u8::is_ascii_hexdigit);
        if client {
            end += 3;
        }
        // Four groups with dashes are a key of a product.
        if groups != 3 && !(groups == 4 && separator == b'.') {
            continue;
        }
        let joined = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let glued = start > 0
            && bytes[start - 1] == separator
            && (separator == b'.' || start > 1 && joined(bytes.get(start - 2)))
            || bytes.get(end) == Some(&separator) && joined(bytes.get(end + 1));
        // Digits alone are a decimal number in groups, letters alone words.
        let letters = bytes[start..end].iter().any(u8::is_ascii_alphabetic);
        let digits = bytes[start..end].iter().any(u8::is_ascii_digit);
        let telling = letters && digits || clue::stands_before(text, start, 24, CLUES);
        if !glued && telling && opens(text, start) && closes(text, end) {
            found.push(ByteSpan::new(start, end));
            done = end;
        }
    }
}

fn all_hex(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at..at + 4)
        .is_some_and(|group| group.iter().all(u8::is_ascii_hexdigit))
}

/// Six pairs with spaces between them. A dump of memory has more; a word before, or pairs of letters
/// as well as of digits, make six an address.
fn spaced(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut from = 0;
    while let Some(space) = bytes.get(from..).and_then(|rest| memchr(b' ', rest)) {
        let space = from + space;
        from = space + 1;
        let Some(start) = space.checked_sub(2).filter(|start| *start >= done) else {
            continue;
        };
        if !is_pair(bytes, start)
            || start > 0
                && !matches!(
                    bytes[start - 1],
                    b' ' | b'=' | b':' | b'"' | b'\'' | b'(' | b'[' | b'<' | b'\t' | b'\n'
                )
        {
            continue;
        }
        let mut end = space;
        let mut groups = 1;
        while bytes.get(end) == Some(&b' ') && is_pair(bytes, end + 1) {
            let next = bytes.get(end + 3);
            if next.is_some_and(u8::is_ascii_alphanumeric) {
                break;
            }
            end += 3;
            groups += 1;
        }
        done = end;
        from = end.max(from);
        if groups != 6 || !closes(text, end) {
            continue;
        }
        let run = &bytes[start..end];
        let letters = run
            .chunks(3)
            .filter(|pair| pair[..2].iter().any(u8::is_ascii_alphabetic))
            .count();
        let mixed = run
            .chunks(3)
            .filter(|pair| pair[..2].iter().any(u8::is_ascii_digit))
            .count();
        let says = clue::stands_before(text, start, 24, CLUES);
        // In a dump an address or an offset stands before, further columns behind.
        let dump = bytes.get(end..end + 2) == Some(b"  ") || follows_hex(bytes, start);
        if says || letters >= 2 && mixed >= 3 && !dump {
            found.push(ByteSpan::new(start, end));
        }
    }
}

fn is_pair(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at..at + 2)
        .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
}

/// Whether hex digits and spaces or a colon stand before `at`.
fn follows_hex(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[..at];
    let before = before.trim_ascii_end();
    let before = before.strip_suffix(b":").unwrap_or(before);
    let digits = before
        .iter()
        .rev()
        .take(16)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    digits >= 2
        && before[..before.len() - digits]
            .last()
            .is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Hex digits without separators behind the name of a field: twelve of an address, or a DUID's.
fn bare(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr3_iter(b'=', b':', b' ', bytes) {
        if at < done
            || at == 0
            || !bytes
                .get(at + 1)
                .is_some_and(|next| is_gap(*next) || next.is_ascii_hexdigit())
        {
            continue;
        }
        let gap = bytes[at..]
            .iter()
            .take(8)
            .take_while(|byte| is_gap(**byte))
            .count();
        let start = at + gap;
        let digits = bytes[start..]
            .iter()
            .take(41)
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        done = start + digits;
        let clues = match digits {
            12 => CLUES,
            // Type and address; type, time and address.
            14 | 20 | 24 | 28 => DHCP,
            _ => continue,
        };
        let run = &bytes[start..done];
        let word = run.iter().all(u8::is_ascii_alphabetic);
        if !word && closes(text, done) && is_named(text, at, clues) {
            found.push(ByteSpan::new(start, done));
        }
    }
}

/// What stands between the name of a field and its value: `mac_address: "…"`.
fn is_gap(byte: u8) -> bool {
    b" =:\"'([".contains(&byte)
}

/// Whether the field whose name ends at `at` is one of `clues`, with or without `address` behind it.
fn is_named(text: &str, at: usize, clues: &[&str]) -> bool {
    let end = text[..at].trim_end_matches(['"', '\'', ' ', '.']).len();
    let name = clue::name_before(text, end).to_ascii_lowercase();
    let name = name.trim_end_matches("address").trim_end_matches("addr");
    let name = name.trim_end_matches(['_', '-']);
    let name = if name.is_empty() {
        // `MAC address: …`
        let words = text[..end]
            .trim_end_matches(|c: char| c.is_alphabetic())
            .trim_end();
        clue::name_before(text, words.len()).to_ascii_lowercase()
    } else {
        name.to_owned()
    };
    clues.iter().any(|clue| {
        name.strip_suffix(clue)
            .is_some_and(|rest| rest.is_empty() || rest.len() >= 2 || rest.ends_with(['_', '-']))
    })
}
