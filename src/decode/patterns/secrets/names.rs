//! Which names tell that the value behind them is a secret.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// What a name tells of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A password: anything may be one.
    Password,
    /// A passphrase: words with spaces between them.
    Phrase,
    /// Three to eight digits.
    Pin,
    /// A token, key or secret.
    Token,
    /// A word that has other meanings (`key`, `sid`, `sig`): a value that looks random is one.
    Weak,
}

/// Parts of names at which a search begins. A name without one of them tells nothing.
pub(super) static STEMS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(
            [
                "pass",
                "pwd",
                "psw",
                "secret",
                "token",
                "key",
                "cred",
                "sess",
                "sid",
                "csrf",
                "xsrf",
                "sig",
                "auth",
                "bearer",
                "jwt",
                "mnemonic",
                "phrase",
                "pin",
                "otp",
                "cvv",
                "cvc",
                "senha",
                "contrase",
                "clave",
                "mdp",
                "kennwort",
                "wachtwoord",
                "parol",
                "haslo",
                "hasło",
                "heslo",
                "lösenord",
                "losenord",
                "salasana",
                "sifre",
                "şifre",
                "пароль",
                "Пароль",
                "密码",
                "密碼",
                "パスワード",
                "비밀번호",
            ]
            .iter()
            .chain(VENDORS),
        )
        .expect("short literals")
});

const PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "passwrd",
    "pasword",
    "pwd",
    "pass",
    "passcode",
    "passw",
    "psw",
    "pswd",
    "passwort",
    "kennwort",
    "contraseña",
    "contrasena",
    "clave",
    "senha",
    "mdp",
    "motdepasse",
    "passe",
    "wachtwoord",
    "parola",
    "parol",
    "пароль",
    "haslo",
    "hasło",
    "heslo",
    "lösenord",
    "losenord",
    "salasana",
    "sifre",
    "şifre",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
];

const PHRASES: &[&str] = &["passphrase", "mnemonic"];

const PINS: &[&str] = &["pin", "otp", "totp", "cvv", "cvc", "cvv2", "cvc2"];

const TOKENS: &[&str] = &[
    "token",
    "secret",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authkey",
    "accountkey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "sharedkey",
    "licensekey",
    "sessionkey",
    "subscriptionkey",
    "servicekey",
    "appkey",
    "appsecret",
    "sessionid",
    "sessid",
    "credential",
    "credentials",
    "creds",
    "phpsessid",
    "jsessionid",
    "bearer",
    "jwt",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "csrftoken",
    "xsrftoken",
    "sessiontoken",
    "clientsecret",
    "csrfmiddlewaretoken",
    "requestverificationtoken",
];

const WEAK: &[&str] = &[
    "key",
    "sid",
    "sig",
    "signature",
    "auth",
    "session",
    "sess",
    "csrf",
    "xsrf",
    "authorization",
    "authentication",
];

/// Services whose keys have no prefix, by a name that means nothing else: `HEROKU=…`,
/// `datadog: "…"`. The value has to look random.
const VENDORS: &[&str] = &[
    "abuseipdb",
    "adafruit",
    "airtable",
    "algolia",
    "aliyun",
    "amplitude",
    "assemblyai",
    "bitbucket",
    "bitrise",
    "bittrex",
    "browserstack",
    "circleci",
    "cloudflare",
    "cloudinary",
    "codecov",
    "coinbase",
    "contentful",
    "coveralls",
    "databento",
    "datadog",
    "deepgram",
    "disqus",
    "droneci",
    "dropbox",
    "exoscale",
    "facebook",
    "fastly",
    "finicity",
    "finnhub",
    "flickr",
    "freshbooks",
    "gitter",
    "gocardless",
    "gumroad",
    "heroku",
    "honeycomb",
    "hubspot",
    "infomaniak",
    "intercom",
    "jumpcloud",
    "klaviyo",
    "kucoin",
    "launchdarkly",
    "linkedin",
    "looker",
    "mailgun",
    "mapbox",
    "mattermost",
    "messagebird",
    "midtrans",
    "mistral",
    "netlify",
    "new_relic",
    "newrelic",
    "ngrok",
    "nytimes",
    "okta",
    "openweather",
    "opsgenie",
    "pagerduty",
    "paypal",
    "pinecone",
    "plivo",
    "postmark",
    "privateai",
    "rapidapi",
    "razorpay",
    "scaleway",
    "sendbird",
    "snowflake",
    "snyk",
    "squarespace",
    "sumologic",
    "telnyx",
    "travisci",
    "twitch",
    "twitter",
    "typeform",
    "virustotal",
    "vultr",
    "wakatime",
    "wandb",
    "weatherstack",
    "zendesk",
];

/// Words of a name that make its value none: `cloudflare_zone_id`, `HEROKU_APP_NAME`.
const NO_KEY: &[&str] = &[
    "id", "url", "uri", "host", "name", "version", "user", "username", "email", "region", "zone",
    "project", "path", "file", "branch", "commit", "sha", "build", "job", "ref", "env", "dsn",
    "ray", "trace", "request", "site", "page", "app",
];

/// Words before `key` that make it a secret, and before `id` that make it a session's.
const KEY_OF: &[&str] = &[
    "api",
    "access",
    "secret",
    "private",
    "encryption",
    "encrypt",
    "signing",
    "sign",
    "shared",
    "auth",
    "authentication",
    "account",
    "master",
    "session",
    "license",
    "licence",
    "subscription",
    "service",
    "storage",
    "app",
    "application",
    "admin",
    "hmac",
    "aes",
    "webhook",
    "integration",
    "consumer",
    "client",
    "deploy",
    "write",
    "read",
    "server",
    "jwt",
    "cookie",
    "instrumentation",
];

/// Words behind the telling one that change nothing: `password_confirmation`, `token2`.
const BEHIND: &[&str] = &[
    "value",
    "val",
    "plain",
    "plaintext",
    "cleartext",
    "clear",
    "text",
    "confirm",
    "confirmation",
    "confirmed",
    "repeat",
    "again",
    "verify",
    "verification",
    "old",
    "new",
    "current",
    "previous",
    "hash",
    "hashed",
    "digest",
    "encrypted",
    "enc",
    "b64",
    "base64",
    "string",
    "str",
    "raw",
    "primary",
    "secondary",
    "prod",
    "production",
    "dev",
    "development",
    "test",
    "testing",
    "staging",
    "live",
    "sandbox",
    "db",
    "database",
    "admin",
    "root",
    "user",
    "app",
    "main",
    "ro",
    "rw",
    "header",
    "cookie",
];

/// Words before `token` that make it one of a text or a list.
const NO_SECRET: &[&str] = &[
    "next",
    "page",
    "previous",
    "prev",
    "continuation",
    "pad",
    "eos",
    "bos",
    "unk",
    "mask",
    "sep",
    "cls",
    "stop",
    "first",
    "last",
    "public",
    "cancellation",
    "cancel",
    "special",
    "lookahead",
    "unexpected",
    "csp",
    "design",
    "primary",
    "foreign",
    "sort",
    "partition",
    "cache",
    "hot",
    "object",
    "row",
    "host",
    "routing",
];

/// What a name tells. `before` is the word before it where names are written with spaces
/// (`api key`).
pub(super) fn kind(name: &str, before: &str) -> Option<Kind> {
    let mut words = words(name);
    if words.len() == 1 && !before.is_empty() {
        words.insert(0, before.to_lowercase());
    }
    let mut last = words.len();
    while last > 0 {
        let word = words[last - 1].as_str();
        let ahead = match last {
            1 => "",
            _ => words[last - 2].as_str(),
        };
        if let Some(kind) = noun(word, ahead) {
            return Some(kind);
        }
        let numbered = word.bytes().all(|byte| byte.is_ascii_digit());
        if !numbered && !BEHIND.contains(&word) {
            break;
        }
        last -= 1;
    }
    let of_vendor = words.iter().any(|word| VENDORS.contains(&word.as_str()))
        && !words.iter().any(|word| NO_KEY.contains(&word.as_str()));
    of_vendor.then_some(Kind::Weak)
}

fn noun(word: &str, ahead: &str) -> Option<Kind> {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if NO_SECRET.contains(&ahead) {
        return None;
    }
    if PASSWORDS.contains(&word) || ends_glued(word, &["password", "passwd", "passwort", "pwd"]) {
        return Some(Kind::Password);
    }
    if word == "word" && ahead == "pass" {
        return Some(Kind::Password);
    }
    if word.len() >= 6
        && word.ends_with("pass")
        && ![
            "bypass",
            "compass",
            "encompass",
            "trespass",
            "surpass",
            "overpass",
            "underpass",
            "topass",
        ]
        .contains(&word)
    {
        return Some(Kind::Password);
    }
    if PHRASES.contains(&word)
        || word == "phrase"
            && ["pass", "seed", "recovery", "secret", "mnemonic", "backup"].contains(&ahead)
    {
        return Some(Kind::Phrase);
    }
    if PINS.contains(&word) {
        return Some(Kind::Pin);
    }
    if TOKENS.contains(&word)
        || ends_glued(word, &["token", "secret", "apikey", "sessionid", "sessid"])
    {
        return Some(Kind::Token);
    }
    let of_secret = KEY_OF.contains(&ahead);
    if word == "key" && of_secret || word == "id" && matches!(ahead, "session" | "sess") {
        return Some(Kind::Token);
    }
    WEAK.contains(&word).then_some(Kind::Weak)
}

/// Whether a word written together ends so: `dbpassword`, `csrftoken`.
fn ends_glued(word: &str, ends: &[&str]) -> bool {
    ends.iter()
        .any(|end| word.len() > end.len() && word.ends_with(end))
}

/// The words of a name, lower case: at `_`, `-`, `.` and other marks, and at a change of case
/// (`clientSecret`, `APIKey`).
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let turns = c.is_uppercase()
            && (before.is_some_and(|before| before.is_lowercase() || before.is_numeric())
                || before.is_some_and(char::is_uppercase)
                    && after.is_some_and(|after| after.is_lowercase()));
        if turns && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
