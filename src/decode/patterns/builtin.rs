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
    let label = label.to_lowercase().replace("e-mail", "email");
    let words: Vec<&str> = label
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let has = |any: &[&str]| {
        words.iter().any(|word| {
            any.contains(word) || word.strip_suffix('s').is_some_and(|one| any.contains(&one))
        })
    };
    let phrase = words.join(" ");
    let says = |any: &[&str]| any.iter().any(|wording| phrase.contains(wording));

    if has(&["email"]) || says(&["mail address"]) && !says(&["postal mail"]) {
        return Some("email");
    }
    if has(&["ipv4"]) && !has(&["ipv6"]) {
        return Some("ipv4");
    }
    if has(&["ipv6"]) && !has(&["ipv4"]) {
        return Some("ipv6");
    }
    if has(&["ip", "ipv4", "ipv6", "ipaddress"]) || says(&["internet protocol address"]) {
        return Some("ip");
    }
    if says(&["mac address", "hardware address", "ethernet address"]) || phrase == "mac" {
        return Some("mac");
    }
    if has(&["iban"]) || says(&["bank account"]) || says(&["international bank"]) {
        return Some("iban");
    }
    if says(&[
        "credit card",
        "debit card",
        "payment card",
        "bank card",
        "card number",
        "creditcard",
    ]) || phrase == "card"
    {
        return Some("card");
    }
    if has(&["ssn"]) || says(&["social security"]) {
        return Some("ssn");
    }
    if has(&[
        "phone",
        "telephone",
        "cellphone",
        "smartphone",
        "fax",
        "tel",
        "phonenumber",
    ]) || says(&["mobile number", "cell number", "mobile phone"])
    {
        return Some("phone");
    }
    if has(&["jwt"]) || says(&["json web token"]) {
        return Some("jwt");
    }
    if says(&["private key", "ssh key", "pem key"]) {
        return Some("private_key");
    }
    if says(&[
        "git key",
        "git token",
        "github token",
        "gitlab token",
        "github key",
    ]) {
        return Some("git_key");
    }
    if has(&["password", "passwd", "passphrase", "passcode", "pwd"]) {
        return Some("password");
    }
    if says(&["auth header", "authorization header", "basic auth"]) {
        return Some("auth_header");
    }
    if says(&["cloud key", "cloud credential"]) {
        return Some("cloud_key");
    }
    if says(&[
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
    ]) || phrase == "token"
        || phrase == "tokens"
    {
        return Some("token");
    }
    if has(&["cookie"]) {
        return Some("cookie");
    }
    if has(&["credential", "secret"]) {
        return Some("secret");
    }
    if has(&["uuid", "guid"]) {
        return Some("uuid");
    }
    if has(&["bitcoin", "ethereum", "cryptocurrency"])
        || says(&["crypto address", "wallet address", "crypto wallet"])
    {
        return Some("crypto");
    }
    if has(&["url", "uri", "hyperlink", "weblink"]) || says(&["web address", "web link", "website"])
    {
        return Some("url");
    }
    None
}
