//! How long files and functions may be. A longer one holds two trades, or says here why it does not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Most lines of a file, unit tests included: what is beside the code is read with it.
const FILE_LINES: usize = 700;

/// Most lines of a function.
const FUNCTION_LINES: usize = 70;

/// Longer files and functions of one trade: the file, the function if it is one, and why.
const LONGER: &[(&str, &str, &str)] = &[
    (
        "record/json.rs",
        "",
        "one parser: its states and its rules for strings have no use apart",
    ),
    (
        "model/bioes/viterbi.rs",
        "",
        "one algorithm, with the plain one beside it that its tests compare it with",
    ),
    (
        "model/bioes/viterbi.rs",
        "step",
        "the inner loop: a call for each token and label would be measured",
    ),
    (
        "model/bioes/labels.rs",
        "run",
        "one call of ONNX Runtime, its inputs and its outputs",
    ),
    (
        "model/bioes/labels.rs",
        "encode_for_injection",
        "the steps are those of the published model, in its order",
    ),
    (
        "model/pack/hub.rs",
        "read",
        "each key of a published configuration becomes a part of one manifest, in its order",
    ),
    (
        "model/gliner/config.rs",
        "read",
        "each field of a published configuration becomes a part of one value, in the reference's order",
    ),
    (
        "model/gliner/graph.rs",
        "feeds",
        "one call of ONNX Runtime: each input that a graph may have",
    ),
    (
        "model/gliner/prompt.rs",
        "make",
        "labels are put into rows until one is full: the state of a row has no use apart",
    ),
    (
        "model/gliner/published.rs",
        "complete",
        "each file of a published folder is found in turn, and the digest is of all",
    ),
    (
        "model/gliner/runner.rs",
        "answer",
        "the inner loops over what a graph scores",
    ),
];

/// A function, and the lines from its name to its last brace.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    lines: usize,
}

/// Functions of code, nested ones too, but not those of its unit tests.
fn functions(code: TokenStream, found: &mut Vec<Function>) {
    /// A function of which the body is to come.
    struct Begun {
        name: String,
        line: usize,
    }
    let mut begun: Option<Begun> = None;
    let (mut after_fn, mut in_tests) = (false, false);
    for token in code {
        match token {
            // `#[cfg(test)]`: the item behind it is left out, up to its braces or semicolon.
            TokenTree::Group(group) if in_tests => in_tests = group.delimiter() != Delimiter::Brace,
            TokenTree::Punct(sign) if in_tests => in_tests = sign.as_char() != ';',
            _ if in_tests => {}
            TokenTree::Ident(word) if after_fn => {
                begun = Some(Begun {
                    name: word.to_string(),
                    line: word.span().start().line,
                });
                after_fn = false;
            }
            TokenTree::Ident(word) => after_fn = word == "fn",
            // A declaration without a body.
            TokenTree::Punct(sign) if sign.as_char() == ';' => begun = None,
            TokenTree::Group(group) => {
                after_fn = false;
                let is_body = group.delimiter() == Delimiter::Brace;
                if let Some(Begun { name, line }) = begun.take_if(|_| is_body) {
                    let lines = group.span_close().end().line + 1 - line;
                    found.push(Function { name, lines });
                }
                let is_of_tests = group.delimiter() == Delimiter::Bracket
                    && group.stream().to_string().replace(' ', "") == "cfg(test)";
                match is_of_tests {
                    true => in_tests = true,
                    false => functions(group.stream(), found),
                }
            }
            _ => after_fn = false,
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_and_functions_are_short_or_say_why() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let (mut wrong, mut used) = (Vec::new(), Vec::new());
    let mut check = |file: &str, name: &str, lines: usize, limit: usize| {
        if lines <= limit {
            return;
        }
        match LONGER.iter().find(|own| (own.0, own.1) == (file, name)) {
            Some(own) => used.push(own),
            None => wrong.push(format!(
                "src/{file} {name} has {lines} lines; the limit is {limit}"
            )),
        }
    };
    for path in files {
        let file = path.strip_prefix(&src).unwrap();
        let stem = file.file_stem().unwrap().to_string_lossy();
        if stem.starts_with("tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let file = file.to_string_lossy();
        check(&file, "", text.lines().count(), FILE_LINES);
        let mut found = Vec::new();
        functions(text.parse().expect("the sources compile"), &mut found);
        for Function { name, lines } in found {
            check(&file, &name, lines, FUNCTION_LINES);
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for longer in LONGER {
        let (file, name, _) = longer;
        assert!(
            used.contains(&longer),
            "src/{file} {name} is short now: take it from the list"
        );
    }
}

#[test]
fn functions_are_seen_with_their_lines() {
    let code = "
        const fn one(at: fn(u8) -> u8) -> usize
        where
            u8: Sized,
        {
            fn two() {}
            3
        }
        trait T {
            fn declared(&self);
            async fn three(&self) {
            }
        }
        #[cfg(test)]
        mod tests {
            fn four() {
            }
        }
    ";
    let mut found = Vec::new();
    functions(code.parse().unwrap(), &mut found);
    let found: Vec<(&str, usize)> = found.iter().map(|own| (&*own.name, own.lines)).collect();
    assert_eq!(found, [("one", 7), ("two", 1), ("three", 2)]);
}
