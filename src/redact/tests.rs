use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::decode::Recognizer;

fn key(byte: u8) -> Key {
    Key::new("k1", vec![byte; 32]).unwrap()
}

fn redactor(tenant: &str, operator: Operator) -> Redactor {
    Redactor {
        tenant: tenant.into(),
        operators: Arc::default(),
        default: operator,
    }
}

fn span(start: usize, end: usize, label: &str) -> Span {
    Span {
        bytes: ByteSpan::new(start, end),
        label: label.into(),
        score: 1.0,
        label_score: 1.0,
        recognizer: Recognizer::Model,
    }
}

fn once(operator: Operator, label: &str, value: &str) -> String {
    let mut out = String::new();
    redactor("acme", operator)
        .apply(None, value, &[span(0, value.len(), label)], &mut out)
        .unwrap();
    out
}

fn mask(keep_last: usize) -> Operator {
    Operator::Mask {
        character: '*',
        keep_last,
    }
}

fn operators() -> Vec<Operator> {
    vec![
        Operator::Keep,
        Operator::Remove,
        Operator::Replace { placeholder: None },
        Operator::Replace {
            placeholder: Some("‹{label}›".to_owned()),
        },
        mask(2),
        Operator::MaskCount {
            character: 'X',
            count: 3,
            from_end: true,
        },
        Operator::Hash { key: key(1) },
        Operator::Surrogate { key: key(1) },
        Operator::Truncate { first: FIRST },
        generalise(None),
        shift(365),
        Operator::Encrypt {
            key: key(1),
            format: Format::Token,
        },
        Operator::Encrypt {
            key: key(1),
            format: Format::Digits {
                fewest: FEWEST_DIGITS,
            },
        },
    ]
}

fn generalise(kind: Option<Generalised>) -> Operator {
    Operator::Generalise(Generalise {
        kind,
        band: 10,
        oldest_year: None,
    })
}

fn shift(days: u16) -> Operator {
    Operator::Shift { key: key(1), days }
}

/// A text, and spans in it that are sorted and apart.
fn document() -> impl Strategy<Value = (String, Vec<Span>)> {
    let part = select(vec![
        "a",
        "Ana",
        " ",
        "é",
        "e\u{301}",
        "👩‍👩‍👧",
        "用户",
        "\n",
        "12",
        "-",
        "@",
        "\0",
        "مرحبا",
        "[PERSON]",
    ]);
    let labels = select(vec![
        "person",
        "phone number",
        "e-mail",
        "date",
        "weird ~ label",
        "用户",
    ]);
    vec((part, any::<bool>(), labels), 0..20).prop_map(|parts| {
        let mut text = String::new();
        let mut spans = Vec::new();
        for (part, marked, label) in parts {
            if marked {
                spans.push(span(text.len(), text.len() + part.len(), label));
            }
            text.push_str(part);
        }
        (text, spans)
    })
}

proptest! {
    #[test]
    fn offsets_lead_from_the_source_to_the_output_and_the_rest_is_untouched((text, spans) in document(), picks in vec(0usize..13, 6), before in "\\PC{0,5}") {
        let labels = ["person", "phone number", "e-mail", "date", "weird ~ label", "用户"];
        let operators = labels.iter().zip(&picks).map(|(label, pick)| (Arc::from(*label), operators()[*pick].clone())).collect();
        let redactor = Redactor { tenant: "acme".into(), operators: Arc::new(operators), default: Operator::Remove };
        let mut whole = before.clone();
        let applied = redactor.apply(about("p1"), &text, &spans, &mut whole).unwrap();
        prop_assert!(whole.starts_with(&before));
        let out = &whole[before.len()..];
        prop_assert_eq!(applied.len(), spans.len());

        let (mut source, mut output) = (0, 0);
        for (done, span) in applied.iter().zip(&spans) {
            prop_assert_eq!(done.source_bytes, span.bytes);
            prop_assert_eq!(&text[source..span.bytes.start], &out[output..done.output_bytes.start]);
            for (place, points, string) in [(done.source_bytes, done.source, text.as_str()), (done.output_bytes, done.output, out)] {
                prop_assert_eq!(string[..place.start].chars().count(), points.start);
                prop_assert_eq!(string[..place.end].chars().count(), points.end);
            }
            let value = &text[span.bytes.start..span.bytes.end];
            let replacement = &out[done.output_bytes.start..done.output_bytes.end];
            match done.operator {
                "keep" => prop_assert_eq!(value, replacement),
                "remove" => prop_assert!(replacement.is_empty()),
                "shift" => prop_assert_eq!(done.key_id.as_deref(), Some("k1")),
                "hash" | "surrogate" | "encrypt" => {
                    prop_assert_ne!(value, replacement);
                    prop_assert_eq!(done.key_id.as_deref(), Some("k1"));
                }
                _ => prop_assert!(done.key_id.is_none()),
            }
            (source, output) = (span.bytes.end, done.output_bytes.end);
        }
        prop_assert_eq!(&text[source..], &out[output..]);
    }

    #[test]
    fn a_hash_depends_on_key_tenant_label_and_value_and_shows_none_of_it(value in "[g-z]{4,20}", other in "[g-z]{4,20}", label in "[a-f]{1,3}") {
        let hash = |tenant: &str, label: &str, value: &str, key: Key| {
            let mut out = String::new();
            redactor(tenant, Operator::Hash { key }).apply(None, value, &[span(0, value.len(), label)], &mut out).unwrap();
            out.rsplit_once('_').unwrap().1.to_owned()
        };
        let first = hash("acme", &label, &value, key(1));
        prop_assert_eq!(first.len(), 32);
        prop_assert!(first.bytes().all(|b| b.is_ascii_hexdigit()));
        prop_assert!(!first.contains(&value));
        prop_assert_eq!(&first, &hash("acme", &label, &value, key(1)));
        prop_assert_ne!(&first, &hash("acme", &label, &value, key(2)));
        prop_assert_ne!(&first, &hash("other", &label, &value, key(1)));
        prop_assert_ne!(&first, &hash("acme", "other", &value, key(1)));
        // The borders between the parts count.
        prop_assert_ne!(hash("acmea", "b", &value, key(1)), hash("acme", "ab", &value, key(1)));
        if other != value {
            prop_assert_ne!(&first, &hash("acme", &label, &other, key(1)));
        }
    }

    #[test]
    fn a_mask_keeps_separators_and_at_most_half(value in "([a-zA-Z0-9é用]|[-_.@ ]){1,24}", keep in 0usize..12, count in 0usize..12, from_end: bool) {
        let letters = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).count();
        let total = letters(&value);
        for masked in [once(mask(keep), "x", &value), once(Operator::MaskCount { character: '*', count, from_end }, "x", &value)] {
            prop_assert_eq!(masked.chars().count(), value.chars().count());
            prop_assert!(letters(&masked) <= total / 2);
            if total > 0 {
                let same = value.chars().zip(masked.chars()).all(|(v, m)| v == m || v.is_alphanumeric() && m == '*');
                prop_assert!(same, "{} {}", value, masked);
            }
        }
        prop_assert_eq!(letters(&once(mask(keep), "x", &value)), keep.min(total / 2));
        let rest = letters(&once(Operator::MaskCount { character: '*', count, from_end }, "x", &value));
        prop_assert_eq!(rest, (total - count.min(total)).min(total / 2));
    }
}

#[test]
fn placeholders_are_the_label_in_capitals() {
    let replace = |placeholder: Option<&str>| Operator::Replace {
        placeholder: placeholder.map(str::to_owned),
    };
    assert_eq!(once(replace(None), "phone number", "555"), "[PHONE_NUMBER]");
    assert_eq!(once(replace(None), "e-mail", "x"), "[E_MAIL]");
    assert_eq!(once(replace(Some("<{label}>")), "person", "x"), "<PERSON>");
    assert_eq!(once(replace(Some("***")), "person", "x"), "***");
}

#[test]
fn masks_keep_what_was_asked_for_and_no_short_value() {
    assert_eq!(
        once(mask(4), "card", "4111-1111-1111-1234"),
        "****-****-****-1234"
    );
    assert_eq!(once(mask(4), "pin", "1234"), "**34");
    assert_eq!(once(mask(4), "pin", "7"), "*");
    assert_eq!(once(mask(4), "x", "!?#"), "***");
    assert_eq!(once(mask(0), "x", "---"), "***");
    assert_eq!(once(mask(2), "person", "Zoe\u{301}👍 Ng"), "**** Ng");
    let presidio = |count, from_end| Operator::MaskCount {
        character: 'X',
        count,
        from_end,
    };
    assert_eq!(once(presidio(6, false), "id", "12345678"), "XXXXXX78");
    assert_eq!(once(presidio(6, true), "id", "12345678"), "12XXXXXX");
    assert_eq!(once(presidio(1, true), "id", "12345678"), "1234XXXX");
}

#[test]
fn a_hash_is_hmac_sha256_over_length_prefixed_parts() {
    // Made with Python: hmac.new(bytes([1])*32, b"".join(len(p).to_bytes(8,"little")+p for p in
    // (b"weir/hash/1", b"acme", b"Last Name", b"Ruiz")), "sha256").hexdigest()[:32]
    assert_eq!(
        once(Operator::Hash { key: key(1) }, "Last Name", "Ruiz"),
        "last_name_26c7bb3e74be6507dda7239e11ccbf4c"
    );
}

#[test]
fn spans_that_do_not_fit_are_an_error_and_leave_the_output_as_it_was() {
    let redactor = redactor("acme", Operator::Remove);
    for spans in [
        vec![span(0, 9, "x")],
        vec![span(1, 2, "x")],
        vec![span(0, 3, "x"), span(2, 4, "x")],
    ] {
        let mut out = "before".to_owned();
        assert!(redactor.apply(None, "éab", &spans, &mut out).is_err());
        assert_eq!(out, "before");
    }
}

#[test]
fn short_keys_are_refused_and_secrets_not_printed() {
    let error = Key::new("k9", b"fifteen bytes..").unwrap_err().to_string();
    assert_eq!(error, "key `k9` has 15 bytes; at least 16 are required");
    assert_eq!(
        format!("{:?}", Key::new("k1", b"sixteen bytes ok").unwrap()),
        "Key(k1)"
    );
}

#[test]
fn what_an_operator_does_not_understand_becomes_the_placeholder() {
    for (operator, label) in [
        (Operator::Truncate { first: FIRST }, "card"),
        (generalise(Some(Generalised::Age)), "age"),
        (generalise(Some(Generalised::Date)), "date"),
        (generalise(Some(Generalised::Zip)), "zip"),
        // A default operator meets labels of every kind.
        (generalise(None), "person"),
    ] {
        let shown = once(operator, label, "Ana Ruiz");
        assert_eq!(shown, format!("[{}]", label.to_uppercase()));
    }
}

fn about(id: &str) -> Option<Subject<'_>> {
    Some(Subject { id, key: None })
}

fn shifted(redactor: &Redactor, subject: Option<&str>, value: &str) -> Result<String, Error> {
    let mut out = String::new();
    let subject = subject.and_then(about);
    redactor.apply(subject, value, &[span(0, value.len(), "date")], &mut out)?;
    Ok(out)
}

#[test]
fn a_date_without_a_subject_is_an_error_that_names_the_label_alone() {
    let redactor = redactor("acme", shift(365));
    let error = shifted(&redactor, None, "2024-03-05").unwrap_err();
    assert!(matches!(&error, Error::NoSubject { .. }));
    assert_eq!(
        error.to_string(),
        "the operator `shift` of the label \"date\" needs `subject`, which the document does not have"
    );
    assert_eq!(shifted(&redactor, Some("p1"), "soon").unwrap(), "[DATE]");
}

proptest! {
    #[test]
    fn the_dates_of_a_subject_move_together_and_never_by_0_days(subject in "[a-z0-9]{1,8}", farthest in 1u16..800, first in 1i8..=28, second in 1i8..=28) {
        let of = |tenant: &str, secret: u8| redactor(tenant, Operator::Shift { key: key(secret), days: farthest });
        let days = |redactor: &Redactor, day: i8| -> i64 {
            let date = jiff::civil::Date::new(2024, 2, day).unwrap();
            let moved: jiff::civil::Date = shifted(redactor, Some(&subject), &date.to_string()).unwrap().parse().unwrap();
            i64::from(date.until(moved).unwrap().get_days())
        };
        let own = of("acme", 1);
        prop_assert_eq!(days(&own, first), days(&own, second));
        prop_assert_eq!(days(&own, first), days(&of("acme", 1), first));
        prop_assert_ne!(days(&own, first), 0);
        prop_assert!(days(&own, first).unsigned_abs() <= u64::from(farthest));
    }
}

#[test]
fn subjects_tenants_and_keys_move_dates_by_different_days() {
    let days =
        |tenant: &str, secret: u8, subject: &str| keyed::days(&key(secret), tenant, subject, 3650);
    let own = days("acme", 1, "p1");
    for other in [
        days("acme", 1, "p2"),
        days("other", 1, "p1"),
        days("acme", 2, "p1"),
    ] {
        assert_ne!(own, other);
    }
    let spread: std::collections::BTreeSet<i64> = (0..200)
        .map(|n| keyed::days(&key(1), "acme", &n.to_string(), 2))
        .collect();
    assert_eq!(spread, [-2, -1, 1, 2].into());
}

#[test]
fn a_fingerprint_depends_on_the_secret_alone_and_does_not_hold_it() {
    let name = |id: &str, byte: u8| Key::new(id, [byte; 32]).unwrap().name().clone();
    assert_eq!(name("k1", 1).fingerprint, name("k2", 1).fingerprint);
    assert_ne!(name("k1", 1).fingerprint, name("k1", 2).fingerprint);
    // Made with Python: hmac.new(bytes([1])*32, len(p).to_bytes(8,"little")+p,"sha256").hexdigest()[:32],
    // where p is b"weir/key-fingerprint/1".
    assert_eq!(
        &*name("k1", 1).fingerprint,
        "53143b514a652c71ed36909732df81cd"
    );
}

#[test]
fn a_value_without_the_key_of_its_subject_is_an_error_that_names_the_label_alone() {
    let redactor = redactor("acme", Operator::EncryptPerSubject { key: key(1) });
    let own = Key::new("0123456789abcdef0123456789abcdef.1", [7; 32]).unwrap();
    let with = |subject| {
        let mut out = "before ".to_owned();
        let made = redactor.apply(subject, "Ruiz", &[span(0, 4, "last name")], &mut out);
        made.map(|applied| (applied, out))
    };
    assert!(matches!(with(None), Err(Error::NoSubject { .. })));
    let error = with(about("p1")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the label \"last name\" is encrypted per subject, and the key of the subject is missing"
    );
    let subject = Subject {
        id: "p1",
        key: Some(&own),
    };
    let (applied, out) = with(Some(subject)).unwrap();
    assert!(
        out.starts_with("before weir:p1:0123456789abcdef0123456789abcdef.1:last_name:"),
        "{out}"
    );
    // Records name the tenant's key: its id says nothing of the subject.
    assert_eq!(applied[0].key_id.as_deref(), Some("k1"));
    assert_eq!(applied[0].operator, "encrypt");
}
