//! Secrets: tokens and keys by their published format, the addresses of ledgers, and what stands
//! behind a telling name.
//!
//! | File | What it reads |
//! | --- | --- |
//! | `jose` | JSON Web Tokens and their relatives |
//! | `prefixed`, `vendors` | keys by prefix: how they are read, and which there are |
//! | `shaped` | keys by a mark in their middle; GitHub's with their checksum |
//! | `aws` | AWS secrets near a clue, keys of Azure behind their name |
//! | `blocks` | private keys in PEM, OpenPGP, PuTTY, SSH and age form |
//! | `ledger` | addresses of Bitcoin, Ethereum and others |
//! | `names`, `assigned` | which names tell of a secret, and whether the value that a name is given is one |
//! | `place`, `value` | where such a value begins, and how far it goes |
//! | `login` | passwords in URLs, data source names and on command lines |
//! | `header` | `Authorization`, `Cookie` and `Set-Cookie` |
//! | `placeholder` | values that are none |

mod assigned;
mod aws;
mod blocks;
mod header;
mod jose;
mod ledger;
mod login;
mod names;
mod place;
mod placeholder;
mod prefixed;
mod shaped;
mod value;
mod vendors;

#[cfg(test)]
mod tests;

pub(super) use self::{
    assigned::{Named, named, passwords, tokens},
    blocks::{key_material_end, private_keys},
    header::{authorizations, cookies},
    jose::jwt,
    ledger::crypto,
};
use crate::text::ByteSpan;

/// Keys of clouds and services.
pub(super) fn cloud_keys(text: &str, found: &mut Vec<ByteSpan>) {
    let from = found.len();
    vendors::CLOUD.find(text, found);
    shaped::marked(text, found);
    shaped::discord(text, found);
    aws::secrets(text, found);
    aws::azure(text, found);
    prefixed::keep_outermost(found, from);
}

/// Keys of Git services.
pub(super) fn git_keys(text: &str, found: &mut Vec<ByteSpan>) {
    shaped::github(text, found);
    vendors::GIT.find(text, found);
}
