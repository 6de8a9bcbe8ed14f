//! Host names: which endings are top-level domains, and which are endings of files and units.

use std::{collections::HashSet, sync::LazyLock};

static TOP_LEVEL: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("top_level_domains.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_ascii_whitespace)
        .chain(RESERVED.iter().copied())
        .collect()
});

/// Names that no registry gives out and that networks use (RFC 2606, 6762, 8375, 9476, ICANN's
/// `internal`), and what Microsoft's guides told administrators to use.
const RESERVED: &[&str] = &[
    "alt",
    "arpa",
    "consul",
    "corp",
    "domain",
    "example",
    "home",
    "internal",
    "intern",
    "intra",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "localnet",
    "mail",
    "onion",
    "priv",
    "private",
    "test",
];

/// Endings of file names. Some are top-level domains as well (`zip`, `rs`).
const FILE_SUFFIXES: &[&str] = &[
    "apk", "asp", "aspx", "avi", "avif", "bak", "bat", "bin", "bmp", "bz2", "cc", "cfg", "class",
    "cmd", "conf", "cpp", "crt", "cs", "css", "csv", "cts", "dat", "db", "deb", "dll", "dmg",
    "doc", "docx", "ear", "eml", "eot", "eps", "exe", "flac", "gem", "gif", "go", "gz", "hpp",
    "htm", "html", "icns", "ico", "ini", "ipa", "ipynb", "iso", "jar", "java", "jpeg", "jpg", "js",
    "json", "jsonl", "jsp", "jsx", "key", "kt", "less", "lock", "log", "mbox", "md", "mjs", "mkv",
    "mov", "msi", "mts", "ndjson", "old", "orc", "orig", "otf", "parquet", "pcap", "pdf", "pem",
    "php", "pid", "pkg", "pl", "plist", "png", "ppt", "pptx", "ps1", "psd", "py", "pyc", "rar",
    "rb", "rpm", "rs", "rst", "scala", "scss", "sh", "so", "sock", "sql", "sqlite", "svg", "swf",
    "swift", "tar", "tgz", "tif", "tiff", "tmp", "toml", "ts", "tsv", "tsx", "ttf", "txt", "vue",
    "war", "wasm", "wav", "webm", "webp", "whl", "wmv", "woff", "woff2", "xls", "xlsx", "xml",
    "xsd", "xsl", "xz", "yaml", "yml", "zip", "zst",
];

/// Unit types of systemd, whose templates are `name@instance.type`. `target` is a top-level domain
/// as well and is none here.
const UNIT_SUFFIXES: &[&str] = &[
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "timer",
];

/// Whether a label is a top-level domain of the public list or a reserved one. Punycode and
/// letters outside of ASCII count: nothing else ends so.
pub fn is_known_top_level(label: &str) -> bool {
    if !label.is_ascii() || is_punycode(label) {
        return true;
    }
    TOP_LEVEL.contains(label.to_ascii_lowercase().as_str())
}

/// Whether a top-level label is one that private networks use.
pub fn is_reserved(label: &str) -> bool {
    RESERVED
        .iter()
        .any(|known| label.eq_ignore_ascii_case(known))
}

pub fn is_punycode(label: &str) -> bool {
    label.len() > 4
        && label
            .get(..4)
            .is_some_and(|head| head.eq_ignore_ascii_case("xn--"))
}

pub fn is_file_suffix(label: &str) -> bool {
    FILE_SUFFIXES
        .binary_search(&label.to_ascii_lowercase().as_str())
        .is_ok()
}

pub fn is_unit_suffix(label: &str) -> bool {
    UNIT_SUFFIXES.contains(&label.to_ascii_lowercase().as_str())
}

/// Whether a name of dotted labels ends in a known top-level domain.
pub fn has_known_top_level(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(host, top)| !host.is_empty() && is_known_top_level(top))
}

/// End of the labels that follow a host's first one, where a dot stands at `at`: they make a
/// domain. One label is enough for a private network (`.local`), a public one needs two; endings
/// of files are none.
pub fn end_behind_host(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut end = at;
    let mut labels = 0;
    let mut last = at;
    while bytes.get(end) == Some(&b'.') {
        let length = bytes[end + 1..]
            .iter()
            .take(64)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .count();
        if length == 0 {
            break;
        }
        last = end + 1;
        end = last + length;
        labels += 1;
    }
    let top = &text[last..end];
    let known = labels > 0
        && is_known_top_level(top)
        && !is_file_suffix(top)
        && (labels > 1 || is_reserved(top));
    known.then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_file_suffixes_is_sorted() {
        assert!(FILE_SUFFIXES.is_sorted());
    }

    #[test]
    fn the_list_of_top_level_domains_is_read() {
        assert!(TOP_LEVEL.len() > 1200);
        assert!(is_known_top_level("com") && is_known_top_level("EXAMPLE"));
        assert!(is_known_top_level("xn--p1ai") && is_known_top_level("рф"));
        assert!(!is_known_top_level("close") && !is_known_top_level("from"));
    }
}
