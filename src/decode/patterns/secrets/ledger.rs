//! Addresses of ledgers, each by its checksum.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use bech32::{Bech32, Bech32m, primitives::decode::CheckedHrpstring};
use sha3::{Digest, Keccak256};

use super::super::borders::{closes, opens};
use crate::text::ByteSpan;

/// Heads of Ethereum, segwit (Bitcoin, Litecoin), Cardano and Bitcoin Cash addresses.
static HEADS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(HEAD_LITERALS)
        .expect("a few short literals")
});

const HEAD_LITERALS: [&str; 8] = [
    "0x",
    "bc1",
    "tb1",
    "ltc1",
    "addr1",
    "stake1",
    "cosmos1",
    "bitcoincash:",
];

/// Addresses of Bitcoin, Litecoin, Dogecoin, Tron, XRP and others (base58check), Bitcoin and Litecoin
/// (bech32, bech32m), Cardano and Cosmos (bech32), Ethereum (EIP-55 where the case is mixed), and
/// Monero (its own base58 with a Keccak checksum).
pub(in super::super) fn crypto(text: &str, found: &mut Vec<ByteSpan>) {
    base58_addresses(text, found);
    let bytes = text.as_bytes();
    for head in HEADS.find_iter(text) {
        let start = head.start();
        if !opens(text, start) {
            continue;
        }
        let body = match head.pattern().as_usize() {
            7 => head.end(),
            _ => start,
        };
        // 42 characters with `0x`; 90 at most for bech32 (BIP-173), 108 for Cardano.
        let length = bytes[body..]
            .iter()
            .take(120)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let end = body + length;
        if !closes(text, end) {
            continue;
        }
        let address = &text[body..end];
        let valid = match head.pattern().as_usize() {
            0 => {
                length == 42
                    && address[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
                    && eip55(&address[2..])
            }
            1 | 2 => bech32::segwit::decode(address).is_ok(),
            3 => is_litecoin_segwit(address),
            4..=6 => CheckedHrpstring::new::<Bech32>(address).is_ok() && length >= 39,
            _ => is_cash_address(address),
        };
        if valid {
            found.push(ByteSpan::new(start, end));
        }
    }
}

/// `ltc1…`: segwit with another human-readable part.
fn is_litecoin_segwit(address: &str) -> bool {
    address.len() >= 14
        && (CheckedHrpstring::new::<Bech32>(address).is_ok()
            || CheckedHrpstring::new::<Bech32m>(address).is_ok())
}

/// Bitcoin Cash (CashAddr): 42 characters with a 40-bit BCH code over the prefix `bitcoincash`.
fn is_cash_address(body: &str) -> bool {
    const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let lower = body.to_ascii_lowercase();
    if body.len() != 42 || body != lower && body != body.to_ascii_uppercase() {
        return false;
    }
    let prefix = b"bitcoincash".iter().map(|byte| byte & 0x1f).chain([0]);
    let mut state: u64 = 1;
    for value in prefix.map(Some).chain(
        lower
            .bytes()
            .map(|byte| DIGITS.iter().position(|d| *d == byte).map(|at| at as u8)),
    ) {
        let Some(value) = value else { return false };
        let top = state >> 35;
        state = (state & 0x07_ffff_ffff) << 5 ^ u64::from(value);
        for (bit, generator) in [
            0x98_f2bc_8e61,
            0x79_b76d_99e2,
            0xf3_3e5f_b3c4,
            0xae_2eab_e2a8,
            0x1e_4f43_e470,
        ]
        .into_iter()
        .enumerate()
        {
            if top >> bit & 1 == 1 {
                state ^= generator;
            }
        }
    }
    state ^ 1 == 0
}

/// Versions of base58check addresses with a hash of 20 bytes: Bitcoin (0, 5), Litecoin (48, 50),
/// Dogecoin (30, 22), Dash (76, 16), Tron (65).
const VERSIONS: [u8; 9] = [0, 5, 48, 50, 30, 22, 76, 16, 65];

fn base58_addresses(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let start = at;
        at += bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let token = &bytes[start..at];
        let valid = match token.len() {
            // Addresses are 25 to 35 characters: most tokens end sooner.
            25..=35 => is_base58check(token),
            95 | 106 => is_monero(token),
            _ => false,
        };
        if valid && opens(text, start) && closes(text, at) {
            found.push(ByteSpan::new(start, at));
        }
    }
}

fn is_base58check(token: &[u8]) -> bool {
    // The first character tells the version apart: a digest of hex digits is not decoded.
    if !matches!(
        token[0],
        b'1' | b'3' | b'L' | b'M' | b'D' | b'9' | b'A' | b'X' | b'7' | b'T' | b'r'
    ) {
        return false;
    }
    let alphabet = match token[0] {
        b'r' => bs58::Alphabet::RIPPLE,
        _ => bs58::Alphabet::BITCOIN,
    };
    let address = bs58::decode(token)
        .with_alphabet(alphabet)
        .with_check(None)
        .into_vec();
    address.is_ok_and(|address| {
        address.len() == 21
            && match token[0] {
                b'r' => address[0] == 0,
                _ => VERSIONS.contains(&address[0]),
            }
    })
}

/// Monero: blocks of 8 bytes as 11 characters of base58, a network byte in front, four bytes of
/// Keccak-256 behind (95 characters; 106 with a payment id).
fn is_monero(token: &[u8]) -> bool {
    if !matches!(token[0], b'4' | b'8') {
        return false;
    }
    let mut raw = Vec::with_capacity(80);
    for block in token.chunks(11) {
        let mut value: u128 = 0;
        for byte in block {
            let Some(digit) = bs58_digit(*byte) else {
                return false;
            };
            value = value * 58 + digit;
        }
        let size = match block.len() {
            11 => 8,
            7 => 5,
            _ => return false,
        };
        if value >> (8 * size) != 0 {
            return false;
        }
        raw.extend_from_slice(&value.to_be_bytes()[16 - size..]);
    }
    let (body, checksum) = raw.split_at(raw.len() - 4);
    matches!(body[0], 18 | 19 | 42) && Keccak256::digest(body)[..4] == *checksum
}

fn bs58_digit(byte: u8) -> Option<u128> {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    DIGITS
        .iter()
        .position(|digit| *digit == byte)
        .map(|at| at as u128)
}

/// The EIP-55 checksum of 40 hex digits; digits of one case carry none.
fn eip55(hex: &str) -> bool {
    let upper = hex.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = hex.bytes().any(|byte| byte.is_ascii_lowercase());
    if !(upper && lower) {
        return true;
    }
    let hash = Keccak256::digest(hex.to_ascii_lowercase());
    hex.bytes().enumerate().all(|(at, digit)| {
        let nibble = hash[at / 2] >> (4 * (1 - at % 2)) & 0xf;
        !digit.is_ascii_alphabetic() || digit.is_ascii_uppercase() == (nibble >= 8)
    })
}
