//! Versions of four numbers, which look like IPv4 addresses.

use super::{borders::around, clue};

/// Whether the four numbers at `from..to` are a version, a section of a document or an object
/// identifier and no address.
///
/// Names that say so decide (`packageVersion`, `section`). Behind the name of a program or a
/// package, the size of the numbers does: parts of a version are small, parts of an address seldom
/// all are.
pub fn is_version(text: &str, from: usize, to: usize, octets: [u8; 4]) -> bool {
    named_version(text, from)
        || !has_port(text, to)
            && (behind_program(text, from, octets)
                || looks_like_version(octets) && in_package(text, from, to))
        || octets == [1, 3, 6, 1]
}

/// Whether a second version follows the one that ends at `version` (`1.2.3.4 to 1.2.3.5`).
pub fn continues_version(text: &str, version: usize, from: usize, octets: [u8; 4]) -> bool {
    looks_like_version(octets)
        && text.get(version..from).is_some_and(|between| {
            [
                "-",
                " - ",
                ", ",
                ",",
                "/",
                " / ",
                " to ",
                " and ",
                " or ",
                " -> ",
                "->",
                " => ",
                " → ",
                " through ",
                " < ",
                " .. ",
                "..",
            ]
            .contains(&between)
        })
}

/// Numbers as versions have them: few above 50, and none of the first numbers of private networks.
fn looks_like_version(octets: [u8; 4]) -> bool {
    !matches!(octets[0], 0 | 10 | 127) && octets.iter().all(|octet| *octet <= 50)
}

fn has_port(text: &str, to: usize) -> bool {
    let bytes = text.as_bytes();
    bytes.get(to) == Some(&b':') && bytes.get(to + 1).is_some_and(u8::is_ascii_digit)
}

fn named_version(text: &str, from: usize) -> bool {
    let (left, _) = around(text, from, from, 40);
    let mut left = left;
    // `version 1.2.3.4`, `version number: 1.2.3.4`, `version is 1.2.3.4`.
    for _ in 0..3 {
        let stripped =
            left.trim_end_matches([' ', '\t', '=', ':', '"', '\'', '(', '[', '>', '.', '§']);
        let gap = &left[stripped.len()..];
        if gap.contains('§') {
            return true;
        }
        let word = last_word(stripped);
        let lower = word.to_ascii_lowercase();
        let name = lower.rsplit(['_', '-']).next().unwrap_or_default();
        if lower.contains("version")
            || ["firmware", "release", "revision"]
                .iter()
                .any(|known| lower.ends_with(known))
            || VERSION_WORDS.contains(&name)
        {
            return true;
        }
        // A key of this name says nothing of its value.
        if name == "v" {
            return gap == " " || gap == "." || gap == ". ";
        }
        let filler = ["is", "was", "number", "no", "string", "tag"].contains(&name);
        if !filler {
            return false;
        }
        left = &stripped[..stripped.len() - word.len()];
    }
    false
}

const VERSION_WORDS: [&str; 18] = [
    "ver",
    "rev",
    "rel",
    "build",
    "semver",
    "oid",
    "section",
    "sect",
    "sec",
    "chapter",
    "clause",
    "paragraph",
    "figure",
    "fig",
    "table",
    "appendix",
    "annex",
    "rfc",
];

fn last_word(text: &str) -> &str {
    let length = text
        .bytes()
        .rev()
        .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
        .count();
    &text[text.len() - length..]
}

/// Programs whose versions have any numbers.
const BROWSERS: [&str; 22] = [
    "chrome",
    "chromium",
    "headlesschrome",
    "crios",
    "firefox",
    "fxios",
    "safari",
    "edge",
    "edg",
    "edga",
    "edgios",
    "opera",
    "opr",
    "brave",
    "vivaldi",
    "yabrowser",
    "samsungbrowser",
    "ucbrowser",
    "webview",
    "electron",
    "cef",
    "chromedriver",
];

/// Programs that name themselves in logs, and whose hosts are named like them.
const PROGRAMS: [&str; 44] = [
    "apache",
    "applewebkit",
    "centos",
    "curl",
    "cfnetwork",
    "darwin",
    "debian",
    "docker",
    "envoy",
    "exim",
    "flash",
    "gecko",
    "git",
    "haproxy",
    "httpd",
    "iis",
    "java",
    "jdk",
    "jetty",
    "jre",
    "kernel",
    "libreoffice",
    "lighttpd",
    "linux",
    "mariadb",
    "mysql",
    "nginx",
    "openresty",
    "openssh",
    "openssl",
    "oracle",
    "php",
    "postfix",
    "postgresql",
    "python",
    "redis",
    "ruby",
    "skype",
    "squid",
    "teams",
    "tomcat",
    "varnish",
    "wget",
    "windows",
];

/// Whether the name of a program stands right before: `nginx/1.25.3.1`, `Chrome 121.0.61.85`.
fn behind_program(text: &str, from: usize, octets: [u8; 4]) -> bool {
    let Some(separator) = from.checked_sub(1).map(|at| text.as_bytes()[at]) else {
        return false;
    };
    if !matches!(separator, b'/' | b'-' | b' ' | b'_') {
        return false;
    }
    let name = clue::name_before(text, from - 1).to_ascii_lowercase();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = name.rsplit(['-', '_']).next().unwrap_or_default();
    if BROWSERS.contains(&name) {
        return true;
    }
    if separator == b'/' && !name.is_empty() && octets[1..] == [0, 0, 0] && octets[0] != 10 {
        return true;
    }
    // `redis/172.18.0.3` is a host and its address, `nginx 203.0.113.7 - - GET` a name and a client.
    let small = match separator {
        b' ' => octets[0] <= 20 && octets[1..].iter().all(|octet| *octet < 100),
        _ => octets[0] <= 50,
    };
    PROGRAMS.contains(&name) && small && !matches!(octets[0], 0 | 10)
}

/// Words before a package and its version.
const PACKAGE_WORDS: [&str; 19] = [
    "installed",
    "install",
    "installing",
    "upgraded",
    "upgrade",
    "upgrading",
    "downgraded",
    "downgrade",
    "updated",
    "updating",
    "bump",
    "bumped",
    "package",
    "packages",
    "unpacking",
    "setting up",
    "dependency",
    "requires",
    "library",
];

/// Words behind a package and its version.
const AFTER_PACKAGES: [&str; 9] = [
    " installed",
    " upgraded",
    " removed",
    " is available",
    " released",
    " available",
    " is installed",
    " already installed",
    " (release",
];

/// Whether the words around are those of a package and its version: `libfoo-4.8.4.4`,
/// `ISO 8601-1.2.3.4`, `libfoo 4.8.4.4 installed`, `foo==1.2.3.4`.
fn in_package(text: &str, from: usize, to: usize) -> bool {
    let (left, right) = around(text, from, to, 48);
    let Some(last) = left.chars().next_back() else {
        return false;
    };
    if has_release_suffix(right) {
        return !means_host(clue::name_before(text, from - last.len_utf8()));
    }
    match last {
        '-' | '/' | '_' => {
            let name = clue::name_before(text, from - 1);
            let standard = last == '-' && name.bytes().all(|byte| byte.is_ascii_digit());
            // `10.0.0.1-10.0.0.9` is a range, `20/1.2.3.4` no package.
            let range = left
                .trim_end_matches(last)
                .trim_end_matches(name)
                .ends_with('.');
            let word = name.starts_with(|c: char| c.is_ascii_alphabetic());
            !name.is_empty() && !range && (standard || word && !means_host(name))
        }
        // A tag of an image: `registry/app:1.2.3.4`.
        ':' => left
            .rsplit(char::is_whitespace)
            .next()
            .is_some_and(|image| image.contains('/') && !image.contains("//")),
        ' ' | '(' => {
            let gap = if left.ends_with(" (") { 2 } else { 1 };
            let name = clue::name_before(text, from - gap);
            let library = name.len() > 3 && name.starts_with("lib");
            !means_host(name) && library
                || !means_host(name) && AFTER_PACKAGES.iter().any(|words| right.starts_with(words))
                || (!means_host(name) || name == "from" || name == "to")
                    && clue::stands_before(text, from, 48, &PACKAGE_WORDS)
        }
        '=' | '>' | '^' | '~' => {
            let operator = ["==", ">=", "<=", "~=", "~>", "=>"]
                .iter()
                .any(|operator| left.ends_with(operator));
            let name = left.trim_end_matches(['=', '>', '<', '~', '^', '!', ' ']);
            operator && !means_host(last_word(name))
        }
        _ => false,
    }
}

/// Whether the release of a package follows: `-1ubuntu2`, `+dfsg`, `~rc1`, `-SNAPSHOT`.
fn has_release_suffix(right: &str) -> bool {
    let Some(rest) = right.strip_prefix(['-', '+', '~']) else {
        return false;
    };
    let word = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let near = rest.len() - word.len() <= 4;
    near && word.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Words before an address.
const HOSTS: [&str; 62] = [
    "ip",
    "ipv",
    "host",
    "hosts",
    "hostname",
    "node",
    "addr",
    "address",
    "client",
    "server",
    "peer",
    "src",
    "dst",
    "source",
    "dest",
    "destination",
    "from",
    "to",
    "vpn",
    "gw",
    "gateway",
    "pod",
    "dns",
    "ns",
    "vm",
    "proxy",
    "user",
    "net",
    "network",
    "subnet",
    "cidr",
    "remote",
    "local",
    "localhost",
    "router",
    "switch",
    "iface",
    "interface",
    "eth",
    "bind",
    "listen",
    "endpoint",
    "nameserver",
    "upstream",
    "rhost",
    "lhost",
    "session",
    "tcp",
    "udp",
    "inet",
    "inside",
    "outside",
    "dmz",
    "wan",
    "lan",
    "at",
    "on",
    "by",
    "for",
    "via",
    "with",
    "ping",
];

/// Whether a name is that of a host, an interface or a direction, before which an address stands.
fn means_host(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower
        .split(['-', '_', '.'])
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .any(|word| {
            HOSTS.contains(&word)
                || ["host", "addr", "address", "client", "server", "node"]
                    .iter()
                    .any(|known| word.ends_with(known) || word.starts_with(known))
        })
}
