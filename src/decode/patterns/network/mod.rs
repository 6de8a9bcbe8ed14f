//! E-mail addresses, URLs, IP and MAC addresses, UUIDs.
//!
//! Each recogniser searches for a rare byte of its format and reads outward from there. Where the
//! format alone does not decide (a version and an IPv4 address look alike), the words around the
//! value do; when they say nothing, the value is found: a false alarm costs less than a leak.

mod clue;
mod domain;
mod email;
mod ipv4;
mod ipv6;
mod mac;
mod url;
mod uuid;
mod version;

pub(super) use self::{email::emails, ipv4::ipv4, ipv6::ipv6, mac::mac, url::urls, uuid::uuid};

use super::borders;

#[cfg(test)]
mod tests;
