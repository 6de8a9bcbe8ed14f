//! The kind of value that a label's words name.

use crate::decode::patterns::wording::{self, Rule};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Given,
    Family,
    Email,
    Phone,
    Date,
    Address,
    City,
    Country,
    Company,
    Username,
    Card,
    Iban,
    Ssn,
    Ip,
    Mac,
    Url,
    Uuid,
    Other,
}

/// The kind that a label's words name.
pub(super) fn kind(label: &str) -> Kind {
    wording::first(RULES, label).unwrap_or(Kind::Other)
}

/// More telling words are asked first: an `email address` is no address, a `company name` no person.
const RULES: &[Rule<Kind>] = &[
    Rule::words(Kind::Email, &["email", "mail"]).unless_phrases(&["mailing", "postal mail"]),
    Rule::words(
        Kind::Phone,
        &[
            "phone",
            "telephone",
            "tel",
            "mobile",
            "fax",
            "cell",
            "cellphone",
            "phonenumber",
        ],
    ),
    Rule::words(Kind::Iban, &["iban"]),
    Rule::words(Kind::Ssn, &["ssn"]).or_phrases(&["social security"]),
    Rule::words(Kind::Card, &["pan"])
        .or_phrases(&[
            "credit card",
            "debit card",
            "card number",
            "payment card",
            "bank card",
        ])
        .or_whole(&["card"]),
    Rule::words(Kind::Ip, &["ip", "ipv4", "ipv6", "ipaddress"]),
    Rule::words(Kind::Mac, &["mac"]),
    Rule::words(Kind::Url, &["url", "uri", "link", "website", "webpage"])
        .or_phrases(&["web address"]),
    Rule::words(Kind::Uuid, &["uuid", "guid"]),
    Rule::words(
        Kind::Username,
        &["username", "login", "handle", "nickname", "alias", "userid"],
    )
    .or_phrases(&["user name", "screen name", "account name"]),
    Rule::words(
        Kind::Other,
        &[
            "crypto", "bitcoin", "ethereum", "wallet", "key", "token", "secret", "password",
            "account",
        ],
    ),
    Rule::words(
        Kind::Company,
        &[
            "company",
            "organization",
            "organisation",
            "employer",
            "business",
            "brand",
            "corporation",
            "firm",
            "bank",
            "org",
        ],
    )
    .or_begins(&["companies"]),
    Rule::words(Kind::City, &["birthplace"]).or_phrases(&["place of birth", "birth place"]),
    Rule::words(
        Kind::Date,
        &["date", "dob", "birthday", "birthdate", "datetime", "day"],
    )
    .or_phrases(&["time of birth"]),
    Rule::words(
        Kind::Other,
        &[
            "zip",
            "zipcode",
            "postcode",
            "postal",
            "coordinate",
            "state",
            "number",
            "id",
            "code",
        ],
    )
    .unless_phrases(&["address"]),
    Rule::words(
        Kind::City,
        &[
            "city",
            "town",
            "village",
            "municipality",
            "place",
            "location",
        ],
    )
    .or_ends(&["cities"]),
    Rule::words(Kind::Address, &["address", "street"]),
    Rule::words(Kind::Country, &["country", "nation"]).or_ends(&["countries"]),
    Rule::phrases(
        Kind::Given,
        &[
            "first name",
            "given name",
            "firstname",
            "middle name",
            "forename",
        ],
    ),
    Rule::words(Kind::Family, &["surname"]).or_phrases(&["last name", "family name", "lastname"]),
    Rule::words(
        Kind::Person,
        &[
            "person",
            "name",
            "people",
            "patient",
            "customer",
            "client",
            "employee",
            "doctor",
            "author",
            "individual",
            "human",
            "fullname",
            "physician",
            "nurse",
            "politician",
            "scientist",
            "researcher",
            "writer",
            "artist",
            "musician",
            "actor",
            "athlete",
            "witness",
            "suspect",
            "victim",
        ],
    )
    // The name of a thing.
    .unless_words(&[
        "product",
        "file",
        "host",
        "hostname",
        "domain",
        "project",
        "service",
        "drug",
        "device",
        "server",
        "event",
        "medication",
    ]),
];
