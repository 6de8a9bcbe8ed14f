//! The built-in patterns on the cases of `tests/cases`, as docs/patterns.md reports them.
//!
//! `WEIR_WRITE_CASES=1 cargo test --test it patterns::` takes the mark of known failures from those
//! that pass by now, and writes the table in docs/patterns.md again.

use std::{collections::BTreeMap, fmt::Write, fs, ops::Range, path::PathBuf};

use weir::decode::{
    conflict,
    patterns::{Options, Patterns},
};

/// A text and what must be found in it.
struct Case {
    file: PathBuf,
    /// From 0.
    line: usize,
    /// Marked with `?`: fails, and someone knows.
    known_failure: bool,
    /// Name of a pattern or `all`.
    pattern: String,
    region: String,
    text: String,
    values: Vec<Value>,
    /// What may be found beside the values.
    optional: Vec<Range<usize>>,
}

struct Value {
    pattern: String,
    bytes: Range<usize>,
}

/// What came of a case.
#[derive(Debug, PartialEq)]
enum Failure {
    /// So many values were not found, or not whole.
    Missed(usize),
    /// So many values that are none.
    TooMuch(usize),
}

#[derive(Default, Clone, Copy)]
struct Row {
    values: usize,
    whole: usize,
    texts: usize,
    alarms: usize,
}

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

#[test]
fn committed_cases_are_found_as_the_documentation_reports() {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut unexpected = String::new();
    let mut passed = Vec::new();
    let cases = cases();
    for case in &cases {
        let failures = case.run(&mut rows);
        let place = || format!("{}:{}", case.file.display(), case.line + 1);
        match (failures.is_empty(), case.known_failure) {
            (true, true) => passed.push(case),
            (false, false) => {
                let _ = writeln!(unexpected, "{} {failures:?}", place());
            }
            _ => {}
        }
    }
    let table = table(&rows);
    println!("{table}");
    if std::env::var_os("WEIR_WRITE_CASES").is_some() {
        unmark(&passed);
        let docs = root().join("docs/patterns.md");
        let text = fs::read_to_string(&docs).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        fs::write(docs, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        assert_eq!(unexpected, "", "cases that fail and are not marked");
        return;
    }
    let passed: Vec<_> = passed
        .iter()
        .map(|case| format!("{}:{}", case.file.display(), case.line + 1))
        .collect();
    const AGAIN: &str =
        "run `WEIR_WRITE_CASES=1 cargo test --test it patterns::` and commit what it writes";
    assert_eq!(unexpected, "", "cases that fail and are not marked");
    assert_eq!(passed, Vec::<String>::new(), "these pass now: {AGAIN}");
    let docs = fs::read_to_string(root().join("docs/patterns.md")).unwrap();
    let (_, rest) = docs
        .split_once(BEGIN)
        .expect("docs/patterns.md has the table");
    let (written, _) = rest
        .split_once(END)
        .expect("docs/patterns.md has the table");
    assert_eq!(written, table, "docs/patterns.md is out of date: {AGAIN}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every line of `tests/cases/*.txt`; the header of each says how they are written.
fn cases() -> Vec<Case> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (line, case) in text.lines().enumerate() {
            if !case.is_empty() && !case.starts_with('#') {
                cases.push(Case::parse(file.clone(), line, case));
            }
        }
    }
    cases
}

impl Case {
    fn parse(file: PathBuf, line: usize, written: &str) -> Self {
        let place = format!("{}:{}", file.display(), line + 1);
        let (known_failure, written) = match written.strip_prefix("? ") {
            Some(rest) => (true, rest),
            None => (false, written),
        };
        let parts: Vec<&str> = written.splitn(3, " ; ").collect();
        let [pattern, _, marked] = parts[..] else {
            panic!("{place}: a case is `pattern ; situation ; text`");
        };
        let (pattern, region) = pattern.split_once(':').unwrap_or((pattern, ""));
        let known = |name: &str| Patterns::names().contains(&name);
        assert!(
            pattern == "all" || known(pattern),
            "{place}: unknown pattern"
        );
        let mut case = Self {
            file,
            line,
            known_failure,
            pattern: pattern.to_owned(),
            region: region.to_owned(),
            text: String::new(),
            values: Vec::new(),
            optional: Vec::new(),
        };
        let marked = unescaped(marked);
        let mut rest = marked.as_str();
        while let Some(at) = rest.find(['⟦', '⟨']) {
            case.text.push_str(&rest[..at]);
            let (open, marked) = rest[at..].split_at('⟦'.len_utf8());
            let (close, sure) = if open == "⟦" {
                ('⟧', true)
            } else {
                ('⟩', false)
            };
            let (mut value, behind) = marked
                .split_once(close)
                .unwrap_or_else(|| panic!("{place}: {open} without {close}"));
            let mut name = pattern;
            if let Some((before, after)) = value.split_once('|').filter(|(before, _)| known(before))
            {
                (name, value) = (before, after);
            }
            let bytes = case.text.len()..case.text.len() + value.len();
            case.text.push_str(value);
            match sure {
                true => case.values.push(Value {
                    pattern: name.to_owned(),
                    bytes,
                }),
                false => case.optional.push(bytes),
            }
            rest = behind;
        }
        case.text.push_str(rest);
        case
    }

    /// Looks for the case's patterns, as `weir redact` does, and counts.
    fn run(&self, rows: &mut BTreeMap<String, Row>) -> Vec<Failure> {
        let names: Vec<&str> = match self.pattern.as_str() {
            // `ip` is `ipv4` and `ipv6`.
            "all" => Patterns::names()
                .iter()
                .copied()
                .filter(|name| *name != "ip")
                .collect(),
            name => vec![name],
        };
        let label = |name: &str| Patterns::default_label(name).unwrap().into();
        let patterns = Patterns::build(Options {
            builtin: names
                .iter()
                .map(|name| ((*name).to_owned(), label(name)))
                .collect(),
            phone_region: (!self.region.is_empty()).then(|| self.region.clone()),
            ..Options::default()
        })
        .unwrap();
        let spans = conflict::resolve(&self.text, patterns.find(&self.text), &[]);
        let spans: Vec<Range<usize>> = spans
            .iter()
            .map(|span| span.bytes.start..span.bytes.end)
            .collect();
        let mut failures = Vec::new();
        let mut missed = 0;
        for value in &self.values {
            let whole = value
                .bytes
                .clone()
                .all(|at| spans.iter().any(|span| span.contains(&at)));
            let row = rows.entry(value.pattern.clone()).or_default();
            row.values += 1;
            row.whole += usize::from(whole);
            missed += usize::from(!whole);
        }
        if missed > 0 {
            failures.push(Failure::Missed(missed));
        }
        let expected = |at: usize| {
            self.values.iter().any(|value| value.bytes.contains(&at))
                || self.optional.iter().any(|bytes| bytes.contains(&at))
        };
        let too_much = spans
            .iter()
            .filter(|span| !(*span).clone().all(expected))
            .count();
        let row = rows.entry(self.pattern.clone()).or_default();
        row.texts += 1;
        row.alarms += too_much;
        if too_much > 0 {
            failures.push(Failure::TooMuch(too_much));
        }
        failures
    }
}

/// `{U+00A0}` for the character.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{U+") {
        out.push_str(before);
        let (code, behind) = after.split_once('}').expect("`{U+` has its `}`");
        out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        rest = behind;
    }
    out + rest
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let mut table = String::from(
        "| Pattern | Values | Found whole | Texts | False alarms or too much taken |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    let mut sum = Row::default();
    for (name, row) in rows {
        let name = if name == "all" {
            "all together".to_owned()
        } else {
            format!("`{name}`")
        };
        let _ = writeln!(
            table,
            "| {name} | {} | {} | {} | {} |",
            row.values, row.whole, row.texts, row.alarms
        );
        sum.values += row.values;
        sum.whole += row.whole;
        sum.texts += row.texts;
        sum.alarms += row.alarms;
    }
    let _ = writeln!(
        table,
        "| **sum** | {} | {} | {} | {} |",
        sum.values, sum.whole, sum.texts, sum.alarms
    );
    table
}

/// Takes the mark of known failures from cases that pass.
fn unmark(cases: &[&Case]) {
    for case in cases {
        let text = fs::read_to_string(&case.file).unwrap();
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines[case.line] = lines[case.line]
            .strip_prefix("? ")
            .expect("marked as a failure");
        fs::write(&case.file, lines.join("\n")).unwrap();
    }
}
