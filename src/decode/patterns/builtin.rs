//! The built-in recognisers by name: their labels, and the wordings of labels that switch them on.

/// One built-in recogniser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Builtin {
    Email,
    Url,
    Ipv4,
    Ipv6,
    Mac,
    Iban,
    Card,
    Ssn,
    Phone,
    Jwt,
    CloudKey,
    GitKey,
    PrivateKey,
    Password,
    Token,
    AuthHeader,
    Cookie,
    Uuid,
    Crypto,
}

use Builtin::*;

use super::wording::{self, Rule};

/// What a tenant may write, in the order of the documentation. `ip` stands for `ipv4` and `ipv6`,
/// `token` for every kind of token and key, `secret` for those and passwords, headers and cookies.
pub(super) const NAMES: &[&str] = &[
    "email",
    "url",
    "ip",
    "ipv4",
    "ipv6",
    "mac",
    "iban",
    "card",
    "ssn",
    "phone",
    "jwt",
    "cloud_key",
    "git_key",
    "private_key",
    "password",
    "token",
    "auth_header",
    "cookie",
    "secret",
    "uuid",
    "crypto",
];

impl Builtin {
    /// The recognisers that a name stands for; empty for an unknown name.
    pub(super) fn of_name(name: &str) -> &'static [Builtin] {
        match name {
            "email" => &[Email],
            "url" => &[Url],
            "ip" => &[Ipv4, Ipv6],
            "ipv4" => &[Ipv4],
            "ipv6" => &[Ipv6],
            "mac" => &[Mac],
            "iban" => &[Iban],
            "card" => &[Card],
            "ssn" => &[Ssn],
            "phone" => &[Phone],
            "jwt" => &[Jwt],
            "cloud_key" => &[CloudKey],
            "git_key" => &[GitKey],
            "private_key" => &[PrivateKey],
            "password" => &[Password],
            "token" => &[Token, Jwt, CloudKey, GitKey],
            "auth_header" => &[AuthHeader],
            "cookie" => &[Cookie],
            "secret" => &[
                Jwt, CloudKey, GitKey, PrivateKey, Password, Token, AuthHeader, Cookie,
            ],
            "uuid" => &[Uuid],
            "crypto" => &[Crypto],
            _ => &[],
        }
    }

    /// Name in `recognizer`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Email => "email",
            Url => "url",
            Ipv4 => "ipv4",
            Ipv6 => "ipv6",
            Mac => "mac",
            Iban => "iban",
            Card => "card",
            Ssn => "ssn",
            Phone => "phone",
            Jwt => "jwt",
            CloudKey => "cloud_key",
            GitKey => "git_key",
            PrivateKey => "private_key",
            Password => "password",
            Token => "token",
            AuthHeader => "auth_header",
            Cookie => "cookie",
            Uuid => "uuid",
            Crypto => "crypto",
        }
    }
}

/// Label of a name's spans where the tenant gives none.
pub(super) fn default_label(name: &str) -> Option<&'static str> {
    Some(match name {
        "email" => "email",
        "url" => "url",
        "ip" | "ipv4" | "ipv6" => "ip address",
        "mac" => "mac address",
        "iban" => "iban",
        "card" => "card number",
        "ssn" => "ssn",
        "phone" => "phone number",
        "jwt" => "jwt",
        "cloud_key" => "cloud key",
        "git_key" => "git key",
        "private_key" => "private key",
        "password" => "password",
        "token" => "token",
        "auth_header" => "auth header",
        "cookie" => "cookie",
        "secret" => "secret",
        "uuid" => "uuid",
        "crypto" => "crypto address",
        _ => return None,
    })
}

/// The name whose recognisers a label of this wording also asks for. Only wordings that mean what
/// the pattern finds: `"address"` alone is no `ip`.
pub(super) fn for_label(label: &str) -> Option<&'static str> {
    wording::first(LABELS, label)
}

const LABELS: &[Rule<&str>] = &[
    Rule::words("email", &["email"]),
    Rule::phrases("email", &["mail address"]).unless_phrases(&["postal mail"]),
    Rule::words("ipv4", &["ipv4"]).unless_words(&["ipv6"]),
    Rule::words("ipv6", &["ipv6"]).unless_words(&["ipv4"]),
    Rule::words("ip", &["ip", "ipv4", "ipv6", "ipaddress"])
        .or_phrases(&["internet protocol address"]),
    Rule::phrases(
        "mac",
        &["mac address", "hardware address", "ethernet address"],
    )
    .or_whole(&["mac"]),
    Rule::words("iban", &["iban"]).or_phrases(&["bank account", "international bank"]),
    Rule::phrases(
        "card",
        &[
            "credit card",
            "debit card",
            "payment card",
            "bank card",
            "card number",
            "creditcard",
        ],
    )
    .or_whole(&["card"]),
    Rule::words("ssn", &["ssn"]).or_phrases(&["social security"]),
    Rule::words(
        "phone",
        &[
            "phone",
            "telephone",
            "cellphone",
            "smartphone",
            "fax",
            "tel",
            "phonenumber",
        ],
    )
    .or_phrases(&["mobile number", "cell number", "mobile phone"]),
    Rule::words("jwt", &["jwt"]).or_phrases(&["json web token"]),
    Rule::phrases("private_key", &["private key", "ssh key", "pem key"]),
    Rule::phrases(
        "git_key",
        &[
            "git key",
            "git token",
            "github token",
            "gitlab token",
            "github key",
        ],
    ),
    Rule::words(
        "password",
        &["password", "passwd", "passphrase", "passcode", "pwd"],
    ),
    Rule::phrases(
        "auth_header",
        &["auth header", "authorization header", "basic auth"],
    ),
    Rule::phrases("cloud_key", &["cloud key", "cloud credential"]),
    Rule::phrases(
        "token",
        &[
            "api key",
            "access key",
            "secret key",
            "api token",
            "access token",
            "auth token",
            "bearer token",
            "session token",
            "refresh token",
            "apikey",
        ],
    )
    .or_whole(&["token", "tokens"]),
    Rule::words("cookie", &["cookie"]),
    Rule::words("secret", &["credential", "secret"]),
    Rule::words("uuid", &["uuid", "guid"]),
    Rule::words("crypto", &["bitcoin", "ethereum", "cryptocurrency"]).or_phrases(&[
        "crypto address",
        "wallet address",
        "crypto wallet",
    ]),
    Rule::words("url", &["url", "uri", "hyperlink", "weblink"]).or_phrases(&[
        "web address",
        "web link",
        "website",
    ]),
];
