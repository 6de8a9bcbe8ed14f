//! What the tests of the recognisers share: one pattern and the values it finds.

use crate::decode::patterns::{Options, Patterns};

pub(super) fn pattern(name: &str, region: Option<&str>) -> Patterns {
    Patterns::build(Options {
        builtin: vec![(name.to_owned(), name.into())],
        phone_region: region.map(str::to_owned),
        ..Options::default()
    })
    .expect("built-in names build")
}

pub(super) fn found<'a>(pattern: &Patterns, text: &'a str) -> Vec<&'a str> {
    pattern
        .find(text)
        .iter()
        .map(|span| &text[span.bytes.start..span.bytes.end])
        .collect()
}

/// Each text marks with `⟦` and `⟧` what is found in it, and nothing else is.
pub(super) fn finds_marked(pattern: &Patterns, texts: &[&str]) {
    let mut wrong = Vec::new();
    for marked in texts {
        let text = marked.replace(['⟦', '⟧'], "");
        let expected: Vec<&str> = marked
            .split('⟦')
            .skip(1)
            .map(|part| part.split('⟧').next().expect("split yields one part"))
            .collect();
        let found = found(pattern, &text);
        if found != expected {
            wrong.push(format!("{text:?}: found {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub(super) fn finds_nothing(pattern: &Patterns, texts: &[&str]) {
    for text in texts {
        assert_eq!(found(pattern, text), Vec::<&str>::new(), "{text}");
    }
}
