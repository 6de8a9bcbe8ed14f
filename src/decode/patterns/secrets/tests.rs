//! Values between `⟦` and `⟧` are what a recogniser has to find, all of them and nothing else.

use super::super::{Options, Patterns};

fn build(name: &str) -> Patterns {
    Patterns::build(Options {
        builtin: vec![(name.to_owned(), name.into())],
        ..Options::default()
    })
    .expect("a built-in name")
}

/// Asserts that exactly the marked values are found.
#[track_caller]
fn check(name: &str, marked: &[&str]) {
    let patterns = build(name);
    let mut wrong = Vec::new();
    for marked in marked {
        let text = marked.replace(['⟦', '⟧'], "");
        let expected: Vec<&str> = marked
            .split('⟦')
            .skip(1)
            .map(|part| part.split('⟧').next().unwrap())
            .collect();
        let found: Vec<&str> = patterns
            .find(&text)
            .iter()
            .map(|span| &text[span.bytes.start..span.bytes.end])
            .collect();
        if found != expected {
            wrong.push(format!(
                "{text}\n   found {found:?}\n   expected {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

#[test]
fn tokens_of_jose_are_found_whole() {
    let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let payload = "eyJzdWIiOiJ1LTE3MDc3NiIsIm5hbWUiOiJBbmEgUnVpeiJ9";
    let signature = "mRa-vCStVTzx0ARKS5Mut5s2vNkO13TD0PPgPcg_yao";
    let dir = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0";
    let signed = format!("{header}.{payload}.{signature}");
    let encrypted = format!("{dir}..rE1urGv_e6h2z3jq.Nh7q3c_Hrg-dzwMLuGrw.rwrvXuT-rgSwr0aB");
    let disclosure = "WyJzYWx0IiwibmFtZSIsIkFuYSJd";
    let lines = [
        format!("next-auth.session-token=⟦{encrypted}⟧; Path=/"),
        format!("x-jws-signature: ⟦{header}..{signature}⟧"),
        format!("vc ⟦{signed}~{disclosure}~{disclosure}~⟧ end"),
        format!("vc ⟦{signed}~{disclosure}~{signed}⟧"),
        format!(
            "pad ⟦eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVFQifQ==.eyJzdWIiOiJhbmEifQ.{signature}⟧"
        ),
        format!("token⟦{signed}⟧"),
        format!("jwt_⟦{signed}⟧, next"),
        format!("sent ⟦{signed}⟧."),
        format!("cut ⟦{header}.{payload}⟧"),
        format!("none ⟦{header}.{payload}.⟧"),
        format!("\"protected\":\"{header}\""),
        format!("{header}.x"),
        format!("file.{signature}.{signature}.txt"),
    ];
    check("jwt", &lines.each_ref().map(String::as_str));
}

#[test]
fn keys_of_clouds_are_found_behind_dashes_and_names() {
    let storage =
        "gvTRTcCgiB01YMibcn5ZumNZ0SXJkvpk080v0OHaZqn71F8kuNANNb40W29zzSaNvqOfNa1KawH9gta6ee3nYg==";
    let lines = [
        format!("accountkey=⟦{storage}⟧"),
        format!("\"AccountKey\": \"⟦{storage}⟧\""),
        format!("ACCOUNT_KEY=⟦{storage}⟧;EndpointSuffix=core.windows.net"),
        "?sv=2022-11-02&sig=⟦abcDEF0123456789abcDEF0123456789abcDEF01234=⟧&se=2024".to_owned(),
        "arn-⟦AKIAICUZ26EGWE54IYOV⟧".to_owned(),
        "⟦AKIARXUGLFXVJ3E7E4KI⟧:⟦UpP9vvqsKMxTnvfbiSkyEynBWhiqnKo1gdW0TbwP⟧".to_owned(),
        "⟦AKIARXUGLFXVJ3E7E4KI⟧,⟦UpP9vvqsKMxTnvfbiSkyEynBWhiqnKo1gdW0TbwP⟧,eu-west-1".to_owned(),
        "LANGFUSE=⟦sk-lf-5e26c0a5-91a3-4b77-abf0-ceab032fc69b⟧".to_owned(),
        "Secret ⟦GOCSPX-abcdefGHIJKL-0123456789_ab⟧".to_owned(),
        "pkg ⟦npm_0123456789abcdefghijABCDEFGHIJklmnop⟧".to_owned(),
        "bot ⟦1234567890:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1⟧".to_owned(),
        "POST https://hooks.slack.com/services/⟦T00000001/B00000002/abcDEF0123456789abcdef01⟧"
            .to_owned(),
        "https://discord.com/api/webhooks/⟦123456789012345678/abc-DEF_0123456789abcdefghij⟧"
            .to_owned(),
        "chimp ⟦0123456789abcdef0123456789abcdef-us12⟧".to_owned(),
        "entra ⟦abc8Q~abcdefghijklmnopqrstuvwxyz01234567⟧".to_owned(),
        "SG ⟦SG.abcdefGHIJ0123456789ab.abcdefGHIJ0123456789abcdefGHIJ0123456789abc⟧".to_owned(),
        "icon sk-circle-fade-dot-and-more-words-1".to_owned(),
        "path/to/pattern and key-value store-access".to_owned(),
    ];
    check("cloud_key", &lines.each_ref().map(String::as_str));
}

#[test]
fn keys_of_git_services_are_found_behind_dashes_and_words() {
    check(
        "git_key",
        &[
            "tok-⟦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⟧",
            "token⟦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⟧.",
            "⟦gldt-89ZHnOkUPSA2kKuLyo3P⟧",
            "⟦glrt-t1_89ZHnOkUPSA2kKuLyo3P.01.0z1abcdef⟧",
            "⟦glptt-0123456789abcdef0123456789abcdef01234567⟧",
            "⟦gloas-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef⟧",
            "⟦GR1348941abcdefghij0123456789⟧",
            "⟦ghs_12345_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghij0123456789⟧",
            "ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18",
            "glossary-of-terms",
        ],
    );
}

#[test]
fn passwords_behind_a_name_are_found() {
    check(
        "password",
        &[
            "password=⟦hunter2⟧",
            "DB_PASSWORD=⟦hunter2secret⟧",
            "export DATABASE_PASSWORD=\"⟦p@ss w0rd!⟧\"",
            "{\"user\":\"ana\",\"password\":\"⟦hunter2⟧\",\"x\":1}",
            "{\\\"password\\\":\\\"⟦hunter2⟧\\\"}",
            "{\"\"password\"\":\"\"⟦hunter2⟧\"\"}",
            "password: ⟦hunter2⟧",
            "  password: \"⟦hun\\\"ter2⟧\"",
            "password: ⟦swordfish⟧\n",
            "spring.datasource.password=⟦swordfish⟧",
            "Server=db;User Id=sa;Password=⟦P@ss;w0rd⟧;Encrypt=true;",
            "jdbc:postgresql://db.example/app?user=ana&password=⟦hunter2⟧&ssl=true",
            "postgresql:///app?host=/tmp&user=ana&password=⟦hunter2secret⟧",
            "login?user=ana&password=⟦a&b⟧&page=2",
            "user=ana, password=⟦hunter2⟧, ip=1.2.3.4",
            "tool --password ⟦hunter2⟧ --user ana",
            "[\"--password\", \"⟦hunter2⟧\"]",
            "<password>⟦hunter2⟧</password>",
            "<ns:Password type=\"x\">⟦hunter2⟧</ns:Password>",
            "<add key=\"DbPassword\" value=\"⟦hunter2⟧\" />",
            "{\"name\":\"DB_PASSWORD\",\"value\":\"⟦hunter2⟧\"}",
            "- name: DB_PASSWORD\n  value: ⟦hunter2⟧\n",
            "Content-Disposition: form-data; name=\"password\"\r\n\r\n⟦hunter2 x⟧\r\n--b",
            ":password => \"⟦hunter2⟧\",",
            "$config['password'] = '⟦hunter2⟧';",
            "ALTER USER ana WITH PASSWORD '⟦hunter2⟧';",
            "Your password is ⟦hunter2⟧.",
            "passphrase: ⟦correct horse battery staple⟧",
            "密码：⟦hunter2⟧",
            "contraseña: ⟦hunter2⟧",
            "otp=⟦123456⟧",
            "password_hash=⟦$2b$12$abcdefghijklmnopqrstuv⟧",
        ],
    );
}

#[test]
fn passwords_beside_a_user_are_found() {
    check(
        "password",
        &[
            "postgres://app:⟦hunter2secret⟧@db.example:5432/app?sslmode=require",
            "postgres://app:⟦hun{ter}2secret⟧@db.example/app",
            "amqp://app:⟦hunter2#secret⟧@mq.example/vh",
            "redis://:⟦hunter2⟧@cache.example:6379/0",
            "app:⟦hunter2secret⟧@tcp(db.example:3306)/app?parseTime=true",
            "jdbc:oracle:thin:scott/⟦tiger⟧@//db.example:1521/x",
            "mysql -u root -p⟦hunter2⟧ app",
            "sshpass -p ⟦hunter2⟧ ssh ana@host.example",
            "docker login -u ana -p ⟦hunter2⟧ reg.example",
            "curl -u ana:⟦hunter2⟧ https://x.example",
            "curl --user \"ana:⟦hun ter2⟧\" https://x.example",
            "CREATE USER 'ana'@'%' IDENTIFIED BY '⟦hunter2⟧';",
            "machine h.example login ana password ⟦hunter2⟧",
            "http://a.example:8080/x?mail=ana@b.example",
            "https://a.example/x:y@z",
            "docker run -u 1000:1000 img",
        ],
    );
}

#[test]
fn tokens_behind_a_name_are_found() {
    check(
        "token",
        &[
            "token=⟦abc123def456⟧",
            "https://x.example/?access_token=⟦Zx9Yw8Vu7Ts6⟧&page=2",
            "X-Api-Key: ⟦k3j4h5g6f7d8⟧",
            "client_secret: \"⟦Zx9Yw8Vu7Ts6Rq5⟧\"",
            "sessionid=⟦k3j4h5g6f7d8s9a0q1w2e3r4⟧; csrftoken=⟦Zx9Yw8Vu7Ts6⟧",
            "apiKey: '⟦swordfishes⟧'",
            "secret=⟦swordfish⟧",
            "api key: ⟦abcd-1234-efgh⟧",
            "--token ⟦abcdef123456⟧ next",
            "PrivateKey = ⟦yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=⟧",
        ],
    );
}

#[test]
fn what_stands_in_a_secrets_place_is_none() {
    let none = [
        "password=***",
        "password=********",
        "password: null",
        "token=true",
        "secret_name=my-secret",
        "password must be 8 characters",
        "password: must be 8 characters",
        "password = os.environ[\"X\"]",
        "password=$PASSWORD",
        "token: {{ token }}",
        "password=<password>",
        "password: ${DB_PASSWORD}",
        "password=%PASSWORD%",
        "password=[REDACTED]",
        "password=[PASSWORD]",
        "Failed password for root from 10.0.0.1 port 22",
        "password: String,",
        "let token = lexer.next();",
        "token = self.token",
        "max_tokens=4096",
        "next_page_token=abcdef1234567890",
        "PWD=/home/ana",
        "password = getpass()",
        "def login(user, password=None):",
        "secret: expired",
        "\"password\": \"Enter your password\"",
        "token_type: Bearer",
        "Unexpected token '}' in JSON",
        "public_key=abcdef1234567890abcdef",
        "password_file=/run/secrets/db",
        "token_file: /var/run/secrets/token",
        "secretName: my-tls-cert-2024",
        "if password == \"\":",
        "cookie: 0x1234",
        "cookie_name=abc",
        "sid=S-1-5-21-1234567890-1234567890-1001",
        "Authorization: Bearer <token>",
        "Authorization: Bearer $TOKEN",
        "WWW-Authenticate: Bearer realm=\"x\", error=\"invalid_token\"",
        "Basic usage of the tool",
        "Bearer authentication is enabled",
        "key=logs/2024/01/file-123456789.json.gz",
    ];
    for name in ["password", "token", "auth_header", "cookie"] {
        check(name, &none);
    }
}

#[test]
fn credentials_in_headers_are_found() {
    check(
        "auth_header",
        &[
            "Authorization: Basic ⟦YW5hOmh1bnRlcjI=⟧",
            "authorization: bearer ⟦abcDEF123opaque⟧",
            "\"authorization\":\"Bearer ⟦abcDEF123opaque⟧\"",
            "{'Authorization': 'Token ⟦abcdef123456⟧'}",
            "Authorization: Digest ⟦username=\"ana\", realm=\"x\", nonce=\"abc\", response=\"0123456789abcdef\"⟧",
            "proxy-authorization=Basic ⟦YW5hOmh1bnRlcjI=⟧",
            "Authorization: ⟦abcdef1234567890⟧",
            "sent Bearer ⟦abcDEF123456opaque7890⟧ to x",
            "curl -H \"Authorization: Bearer ⟦abcDEF123opaque⟧\" https://x.example",
            "Basic ⟦YW5hOmh1bnRlcjI=⟧ was sent",
            "req.Header.Set(\"Authorization\", \"Bearer ⟦abcDEF123opaque⟧\")",
        ],
    );
    check(
        "cookie",
        &[
            "Cookie: sessionid=⟦k3j4h5g6f7d8s9a0q1w2e3r4⟧; csrftoken=⟦Zx9Yw8Vu7Ts6⟧",
            "Set-Cookie: sid=⟦abc123⟧; Path=/; HttpOnly; Max-Age=3600",
            "\"cookie\":\"a=⟦b1⟧; c=⟦d2⟧\",\"x\":1",
            "cookies={'sessionid': '⟦abc123⟧', 'x': '⟦y1⟧'}",
            "Cookie: prefs=⟦{\"theme\":\"dark\"}⟧; sid=⟦abc⟧",
            "curl -b 'sid=⟦abc⟧; x=⟦y⟧' https://x.example",
        ],
    );
}

#[test]
fn private_keys_are_found_whole() {
    let line = "7N6BfN6OPF9T0ysY02Jdns9npKvMlnpRTH56QsumgNjm3eGIT2YocTs6ojwRl/cC";
    let long = format!(
        "⟦-----BEGIN RSA PRIVATE KEY-----\n{}AQg==\n-----END RSA PRIVATE KEY-----⟧ next",
        format!("{line}\n").repeat(340)
    );
    let pem =
        format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\n{line}\n-----END RSA PRIVATE KEY-----\n");
    use base64::{Engine, engine::general_purpose::STANDARD};
    let certificate =
        format!("-----BEGIN CERTIFICATE-----\n{line}\n{line}\n-----END CERTIFICATE-----\n");
    let lines = [
        long,
        format!("msg=\"⟦-----BEGIN RSA PRIVATE KEY-----\\\\n{line}\\\\nuIb7E8u6GwHPaBvI9M8u/FTiSTWsOlUyYKVItYD29r+l+i/npEuAQg⟧\""),
        format!("k ⟦-----BEGIN RSA PRIVATE KEY-----\\n{line}\\n{line}\\n-----END RSA PRIVATE KEY-----⟧\\n\""),
        format!("⟦---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{line}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----⟧\n"),
        format!("⟦-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{line}\n{line}\nAQg==\n=AbCd\n-----END PGP PRIVATE KEY BLOCK-----⟧\n"),
        format!("⟦-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n{line}\nAQg⟧\n\nnext line"),
        format!("⟦-----BEGIN PRIVATE KEY-----\n10:01:02 app {line}\n10:01:02 app {line}\n10:01:02 app -----END PRIVATE KEY-----⟧\n"),
        format!("⟦-----BEGIN PRIVATE KEY----- {line} {line} AQg== -----END PRIVATE KEY-----⟧"),
        format!("⟦PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: ana\nPublic-Lines: 1\n{line}\nPrivate-Lines: 1\n{line}\nPrivate-MAC: 0123456789abcdef⟧\nnext"),
        "# ⟦AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ⟧\n".to_owned(),
        format!("tls.key: ⟦{}⟧\n", STANDARD.encode(&pem)),
        format!("data: ⟦{}⟧\n", STANDARD.encode(format!("x{pem}"))),
        format!("data: ⟦{}⟧\n", STANDARD.encode(format!("{certificate}{pem}"))),
        format!("tls.crt: {}\n", STANDARD.encode(&certificate)),
        certificate,
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"abcdefghijklmnopqrstu\",\"d\":\"⟦870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE⟧\"}".to_owned(),
        "key=⟦MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj⟧".to_owned(),
        "pub=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo".to_owned(),
    ];
    check("private_key", &lines.each_ref().map(String::as_str));
}

#[test]
fn addresses_of_ledgers_are_told_by_their_checksum() {
    // From the projects' own documentation and genesis blocks.
    check(
        "crypto",
        &[
            "tron ⟦TF5DgkqryNEwNpLujbSQwGfMWFm7Rbog9f⟧",
            "TF5DgkqryNEwNpLujbSQwGfMWFm7Rbog9g",
            "doge ⟦DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L⟧",
            "xrp ⟦rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh⟧",
            "xrp rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTi",
            "monero ⟦888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H⟧",
            "ltc ⟦ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9⟧",
            "ada ⟦addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8⟧",
            "bch ⟦bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a⟧",
        ],
    );
}

#[test]
fn the_name_of_a_field_tells_what_its_value_is() {
    let names = [
        "password",
        "token",
        "auth_header",
        "cookie",
        "cloud_key",
        "ssn",
    ];
    let patterns = Patterns::build(Options {
        builtin: names
            .iter()
            .map(|name| ((*name).to_owned(), (*name).into()))
            .collect(),
        ..Options::default()
    })
    .unwrap();
    for (name, value, found) in [
        ("password", "hunter2secret", true),
        ("dbPassword", "p@ss w0rd", true),
        ("client_secret", "Zx9Yw8Vu7Ts6", true),
        ("sessionId", "k3j4h5g6f7d8s9a0", true),
        (
            "SecretAccessKey",
            "ihA/2O76UMFxFkM/R5Kjp1vRt+1fjORS/6ilI8ih",
            true,
        ),
        ("Authorization", "Basic YW5hOmh1bnRlcjI=", true),
        ("set-cookie", "sid=abc123; Path=/", true),
        ("ssn", "512473391", true),
        ("password", "********", false),
        ("password", "Enter your password", false),
        ("token_type", "Bearer", false),
        ("message", "hunter2secret", false),
        ("order", "512473391", false),
    ] {
        let spans = patterns.find_named(name, value);
        assert_eq!(!spans.is_empty(), found, "{name}: {value}");
        assert!(
            spans
                .iter()
                .all(|span| value.get(span.bytes.start..span.bytes.end).is_some())
        );
    }
}

#[test]
fn hostile_texts_are_read_in_linear_time() {
    for part in [
        "LS0tLS1CRUdJTi",
        "tLS0tLUJFR0lOI",
        "-----BEGIN PRIVATE KEY-----",
        "PuTTY-User-Key-File-",
        "{\"kty\"",
        "MII",
        "MII ",
        "eyJ",
        "eyJhbGciOiJkaXIifQ.",
        "eyJhbGciOiJkaXIifQ.~",
        "password=",
        "password:",
        "password=\"",
        "password='a",
        "pass",
        "key key ",
        "name: password ",
        "<password ",
        "token token",
        "://a:",
        "curl -u ",
        "mysql -",
        "@tcp(",
        "machine login ",
        "authorization: ",
        "authorization:\"",
        "bearer ",
        "basic a",
        "cookie: a=",
        "cookie: {",
        "curl ",
        "ghp_",
        ":A",
        "Q~",
        "pat",
        "hooks.slack.com/services/",
        ".aaaaaa.",
    ] {
        let text = part.repeat(50_000 / part.len());
        for name in [
            "jwt",
            "cloud_key",
            "git_key",
            "private_key",
            "crypto",
            "password",
            "token",
            "auth_header",
            "cookie",
        ] {
            let patterns = build(name);
            let started = std::time::Instant::now();
            patterns.find(&text);
            // Quadratic work would be 2.5·10⁹ steps; a busy machine is given its time.
            assert!(
                started.elapsed().as_secs() < 20,
                "{name} {part:?} {:?}",
                started.elapsed()
            );
        }
    }
}
