//! Payment cards, IBANs, social security numbers, phone numbers: digits in groups.
//!
//! In:  the canonical view of a text; escapes and look-alikes are replaced there already.
//! Out: spans of the view.
//! Holds: linear time; what a checksum or a numbering plan can decide, it decides.
mod card;
mod clue;
mod groups;
mod iban;
mod phone;
mod ssn;

pub(crate) use self::card::{is_card, luhn};
pub(super) use self::{
    card::card,
    iban::iban,
    phone::{Region, phone},
    ssn::ssn,
};

#[cfg(test)]
mod tests;
