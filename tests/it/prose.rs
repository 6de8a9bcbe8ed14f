//! Words that the rules for prose ban, in everything that users and colleagues read: messages, command help,
//! the doc comments that become the reference, pages, and, for the plainest cases, comments.
//!
//! A failing test says where the word stands and what to write instead.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::{Regex, RegexSet};

/// Words for which plain technical English has a better one: an expression, and what to write. None of these is
/// right anywhere, so comments are searched for them as well.
const NEVER: &[(&str, &str)] = &[
    (r"mend(s|ed|ing)?", "fix"),
    (
        "whoever",
        "who does it: \"the worker that …\", \"users who …\"",
    ),
    ("anew", "again"),
    ("in turns", "alternately"),
    (
        "luckier",
        "what happens next: \"retrying at the next poll\"",
    ),
    ("held against", "compared with"),
];

/// The same for what users read. Some of these are usual in comments.
const NOT_TO_USERS: &[(&str, &str)] = &[
    ("besides?", "next to, together with, in addition to"),
    (
        "told",
        "reported, logged; for \"told apart\": distinguished",
    ),
    (
        "tells?",
        "says, shows, names, reveals; for \"can't tell\": does not know",
    ),
    (
        r"(is|are|not) there|there already",
        "exists, is missing, already exists",
    ),
    ("verdict", "result"),
    (
        r"what can(no|')t",
        "the thing itself: \"an object that cannot be read\"",
    ),
    ("alike", "similar"),
    ("look(s|ed|ing)? at", "check, read, search, see"),
    ("go(es)? by", "use, follow, depend on"),
    ("says? no", "failed"),
    ("pass(ed|es)? over", "skip"),
    ("thrown? away|throws away", "discard"),
    ("go(es|ne)? on with", "continue with"),
    ("unless given", "\"default: …\", or \"… if it is not set\""),
    ("cut short", "truncated"),
    ("left alone", "ignored"),
    ("by (it|them)sel(f|ves)", "alone, separately, automatically"),
    (
        "(bytes|documents?|files?|lines?|records?|labels?|terms?|tokens) an? (batch|character|document|line|row|tenant|token)",
        "per",
    ),
    // "There is no file" is plain; "it is no file" is not.
    (
        "(that|which|it|this|they|values?|records?|files?|letters?) (is|are) no",
        "is not a, are not",
    ),
    ("` (is|are) no", "is not a, are not"),
];

/// Words behind "is no" with which it is plain.
const IS_NO: &[&str] = &["better", "larger", "less", "longer", "more", "worse"];

/// Pages: files and folders.
const PAGES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs",
    "fuzz",
    "models",
];

/// Configurations with comments that users read.
const CONFIGURATIONS: &[&str] = &["deploy/helm", "examples", "presets", "src/cli/init"];

/// Doc comments here are command help, or descriptions in schemas and in docs/configuration.md.
const HELP: &[&str] = &[
    "cli/args.rs",
    "cli/args/",
    "config/",
    "record/audit/mod.rs",
    "record/dead_letter.rs",
    "record/entities.rs",
    "record/position.rs",
    "record/redaction.rs",
    "record/reveal.rs",
    "record/forget.rs",
    "tenant/file.rs",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Help,
    Page,
    Comment,
}

/// A piece of prose, and the line at which it begins.
#[derive(Debug)]
struct Prose {
    kind: Kind,
    line: usize,
    text: String,
}

/// An expression, what to write, and whether comments are searched for it.
struct Ban {
    words: Regex,
    write: &'static str,
    everywhere: bool,
}

struct Bans {
    any: RegexSet,
    each: Vec<Ban>,
}

/// Words of ASCII alone: Unicode's word borders cost most of the time.
fn expression(words: &str) -> String {
    let border = if words.starts_with('`') { "" } else { r"\b" };
    format!(r"(?i-u){border}(?:{})\b", words.replace(' ', r"\s+"))
}

impl Bans {
    fn new() -> Self {
        let all = NEVER.iter().chain(NOT_TO_USERS);
        let each = all.enumerate().map(|(place, &(words, write))| Ban {
            words: Regex::new(&expression(words)).expect("the table holds expressions"),
            write,
            everywhere: place < NEVER.len(),
        });
        let each: Vec<Ban> = each.collect();
        let any = RegexSet::new(each.iter().map(|ban| ban.words.as_str())).expect("each is one");
        Self { any, each }
    }

    /// `"the words": write …` and the line, for each banned word of a piece.
    fn found(&self, prose: &Prose) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for place in self.any.matches(&prose.text) {
            let ban = &self.each[place];
            if prose.kind == Kind::Comment && !ban.everywhere {
                continue;
            }
            for hit in ban.words.find_iter(&prose.text) {
                // Code, a name in a message, and the second half of a word are none of them.
                let is_name = prose.text[..hit.start()].ends_with(['`', '{', '-']);
                let after = prose.text[hit.end()..].trim_start();
                if hit.as_str().ends_with(" no") && IS_NO.iter().any(|word| after.starts_with(word))
                {
                    continue;
                }
                if is_name {
                    continue;
                }
                let line = prose.line + prose.text[..hit.start()].matches('\n').count();
                found.push((line, format!("\"{}\": write {}", hit.as_str(), ban.write)));
            }
        }
        found
    }
}

/// String literals and doc comments of code, but not those of its tests.
fn of_tokens(tokens: TokenStream, docs: Kind, found: &mut Vec<Prose>) {
    let mut in_tests = false;
    for token in tokens {
        match token {
            // `#[cfg(test)]`: the item behind it is left out, up to its braces or semicolon.
            TokenTree::Group(group) if in_tests => in_tests = group.delimiter() != Delimiter::Brace,
            TokenTree::Punct(sign) if in_tests => in_tests = sign.as_char() != ';',
            _ if in_tests => {}
            TokenTree::Group(group) => {
                let attribute = match group.delimiter() {
                    Delimiter::Bracket => group.stream().to_string(),
                    _ => String::new(),
                };
                if attribute.replace(' ', "") == "cfg(test)" {
                    in_tests = true;
                } else if attribute.starts_with("doc =") {
                    if let Some(TokenTree::Literal(text)) = group.stream().into_iter().last() {
                        let line = text.span().start().line;
                        push(found, docs, line, &literal(&text.to_string()));
                    }
                } else {
                    of_tokens(group.stream(), docs, found);
                }
            }
            TokenTree::Literal(text) => {
                let written = text.to_string();
                if written.ends_with(['"', '#']) {
                    push(
                        found,
                        Kind::Message,
                        text.span().start().line,
                        &literal(&written),
                    );
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// Adds a line to the piece before it if that ends right above it.
fn push(found: &mut Vec<Prose>, kind: Kind, line: usize, text: &str) {
    if let Some(last) = found.last_mut()
        && last.kind == kind
        && kind != Kind::Message
        && last.line + last.text.matches('\n').count() + 1 == line
    {
        let _ = write!(last.text, "\n{text}");
        return;
    }
    found.push(Prose {
        kind,
        line,
        text: text.to_owned(),
    });
}

/// What a string literal says: lines that a backslash joins are one, `\n` begins another.
fn literal(written: &str) -> String {
    if written.contains('r') && written.trim_start_matches(['b', 'c']).starts_with('r') {
        return written.to_owned();
    }
    let joined = Regex::new(r"\\\n\s*")
        .expect("it is constant")
        .replace_all(written, "");
    joined.replace("\\n", " ").replace("\\\"", "\"")
}

fn of_code(code: &str, docs: Kind) -> Vec<Prose> {
    let mut found = Vec::new();
    let tokens = code.parse().expect("the sources compile");
    of_tokens(tokens, docs, &mut found);
    for (number, line) in code.lines().enumerate() {
        let line = line.trim_start();
        if let Some(comment) = line
            .strip_prefix("//")
            .filter(|rest| !rest.starts_with(['/', '!']))
        {
            push(&mut found, Kind::Comment, number + 1, comment);
        }
    }
    found
}

fn of_page(page: &str) -> Vec<Prose> {
    vec![Prose {
        kind: Kind::Page,
        line: 1,
        text: page.to_owned(),
    }]
}

fn files(at: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            files(&entry.unwrap().path(), extension, found);
        }
    } else if at.extension().is_some_and(|has| has == extension) {
        found.push(at.to_owned());
    }
}

/// Everything that is searched, with its file.
fn all() -> Vec<(PathBuf, Prose)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    let (mut sources, mut pages) = (Vec::new(), Vec::new());
    files(&root.join("src"), "rs", &mut sources);
    for page in PAGES {
        files(&root.join(page), "md", &mut pages);
    }
    for folder in CONFIGURATIONS {
        files(&root.join(folder), "toml", &mut pages);
        files(&root.join(folder), "yaml", &mut pages);
    }
    for file in sources.iter().chain(&pages) {
        let name = file.strip_prefix(root).unwrap().to_owned();
        let text = fs::read_to_string(file).unwrap();
        let stem = name.file_stem().unwrap_or_default().to_string_lossy();
        let is_code = name.extension().is_some_and(|extension| extension == "rs");
        let is_help = HELP
            .iter()
            .any(|help| name.to_string_lossy()["src/".len()..].starts_with(help));
        let prose = match is_code {
            false => of_page(&text),
            true if stem.starts_with("tests") => continue,
            true if is_help => of_code(&text, Kind::Help),
            true => of_code(&text, Kind::Comment),
        };
        all.extend(prose.into_iter().map(|prose| (name.clone(), prose)));
    }
    all
}

#[test]
fn prose_is_plain_technical_english() {
    let bans = Bans::new();
    let all = all();
    for (kind, least) in [
        (Kind::Message, 2_000),
        (Kind::Help, 500),
        (Kind::Page, 18),
        (Kind::Comment, 2_000),
    ] {
        let seen = all.iter().filter(|(_, prose)| prose.kind == kind).count();
        assert!(
            seen >= least,
            "{seen} pieces of {kind:?} were seen, {least} at least are there"
        );
    }
    let mut hits: Vec<String> = all
        .iter()
        .flat_map(|(file, prose)| {
            bans.found(prose)
                .into_iter()
                .map(move |(line, hit)| format!("{}:{line}: {hit}", file.display()))
        })
        .collect();
    hits.dedup();
    assert!(
        hits.is_empty(),
        "{} banned words:\n{}",
        hits.len(),
        hits.join("\n")
    );
}

#[test]
fn banned_words_are_seen_where_they_stand() {
    let code = r##"
//! Whoever reads this.
/// A head.
/// It is told twice.
#[error("the key {key} is \
    there already")]
enum E { A }
// mend it, or be told
fn f() {
    warn!(r#"the answer is there"#);
    let c = '"'; let t = "whether the worker \"is there\" "; // not searched: told
}
#[cfg(test)]
mod tests { const A: &str = "mended"; }
#[cfg(test)]
use a::B;
const B: &str = "two labels a tenant";
"##;
    let bans = Bans::new();
    let seen = |docs| {
        let mut seen: Vec<(usize, String)> = of_code(code, docs)
            .iter()
            .flat_map(|prose| bans.found(prose))
            .map(|(line, hit)| (line, hit.split(':').next().unwrap().to_owned()))
            .collect();
        seen.sort();
        seen.iter()
            .map(|(line, hit)| format!("{line} {hit}"))
            .collect::<Vec<_>>()
    };
    let messages = [
        "2 \"Whoever\"",
        "5 \"is there\"",
        "8 \"mend\"",
        "10 \"is there\"",
        "11 \"is there\"",
        "17 \"labels a tenant\"",
    ];
    assert_eq!(seen(Kind::Comment), messages);
    let mut help = messages.map(str::to_owned).to_vec();
    help.insert(1, "4 \"told\"".to_owned());
    assert_eq!(seen(Kind::Help), help);
}

#[test]
fn phrases_are_seen_across_lines_and_plain_words_pass() {
    let bans = Bans::new();
    let hits = |text: &str| bans.found(&of_page(text)[0]);
    assert_eq!(hits("first\nwhat is\nthere")[0].0, 2);
    assert_eq!(hits("A label that is no\ncategory.").len(), 1);
    assert_eq!(hits("one record a document").len(), 1);
    for plain in [
        "there is no file",
        "it is therefore read, and is no longer hidden: it is no longer a secret",
        "`told` and `beside` are names",
        "the worker recommends it",
        "each line is a document",
        "a look-alike of {alike}",
        "are there records?",
    ] {
        let expected = usize::from(plain.starts_with("are"));
        assert_eq!(hits(plain).len(), expected, "{plain}");
    }
}

#[test]
fn what_to_write_is_not_banned() {
    let bans = Bans::new();
    for (_, write) in NEVER.iter().chain(NOT_TO_USERS) {
        let advice = write.split("for \"").next().unwrap();
        assert!(bans.found(&of_page(advice)[0]).is_empty(), "{write}");
    }
}
