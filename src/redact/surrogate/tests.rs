use proptest::prelude::*;

use super::*;
use crate::decode::patterns::{Options, Patterns};

fn surrogate(label: &str, value: &str) -> String {
    with_key(1, "acme", label, value)
}

fn with_key(byte: u8, tenant: &str, label: &str, value: &str) -> String {
    make(
        &Key::new("k", vec![byte; 32]).unwrap(),
        tenant,
        label,
        value,
    )
}

/// The pattern finds the whole surrogate.
fn is_found(name: &str, value: &str) -> bool {
    let patterns = Patterns::build(Options {
        builtin: vec![(name.to_owned(), name.into())],
        phone_region: Some("US".to_owned()),
        ..Options::default()
    })
    .unwrap();
    patterns
        .find(value)
        .iter()
        .any(|span| span.bytes.start == 0 && span.bytes.end == value.len())
}

fn outline(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect()
}

proptest! {
    #[test]
    fn a_surrogate_is_the_same_for_the_same_parts_and_never_the_value(label in proptest::sample::select(vec!["person", "email", "phone number", "date of birth", "address", "city", "country", "company", "username", "card number", "iban", "ssn", "ip address", "mac", "url", "uuid", "account number", "first name"]), value in "\\PC{1,20}|[A-Za-z0-9 .-]{1,12}") {
        let first = surrogate(label, &value);
        prop_assert_ne!(&first, &value);
        prop_assert!(!first.is_empty());
        prop_assert_eq!(&first, &surrogate(label, &value));
        if value.chars().filter(|c| c.is_alphanumeric()).count() >= 3 {
            prop_assert!(!first.to_lowercase().contains(value.trim().to_lowercase().as_str()));
        }
    }

    #[test]
    fn another_key_tenant_or_label_gives_another_surrogate(value in "[a-z]{12}") {
        let first = surrogate("account", &value);
        prop_assert_ne!(&first, &with_key(2, "acme", "account", &value));
        prop_assert_ne!(&first, &with_key(1, "other", "account", &value));
        prop_assert_ne!(&first, &surrogate("account b", &value));
    }

    #[test]
    fn unknown_labels_keep_the_shape(value in "[A-Z]{2}-[0-9]{4}/[a-z]{3}_[0-9]{2}") {
        let fresh = surrogate("policy number", &value);
        let shape = |s: &str| -> String { s.chars().map(|c| match c { 'A'..='Z' => 'A', 'a'..='z' => 'a', '0'..='9' => '9', c => c }).collect() };
        prop_assert_eq!(shape(&fresh), shape(&value));
    }

    #[test]
    fn cards_have_a_valid_check_digit_and_keep_their_separators(value in "4[0-9]{3}([ -])[0-9]{4}-[0-9]{4}-[0-9]{4}|37[0-9]{13}|[0-9]{13}|[0-9]{19}|[0-9]{17}") {
        let fresh = surrogate("credit card number", &value);
        let digits: Vec<u8> = fresh.bytes().filter(u8::is_ascii_digit).collect();
        prop_assert!(is_card(&digits), "{}", fresh);
        prop_assert_eq!(outline(&fresh), outline(&value));
    }

    #[test]
    fn social_security_numbers_were_never_issued(value in "[0-9]{3}-[0-9]{2}-[0-9]{4}") {
        let fresh = surrogate("ssn", &value);
        prop_assert!(fresh.starts_with("000-") || fresh.starts_with("666-"), "{}", fresh);
        prop_assert!(!is_found("ssn", &fresh));
    }

    #[test]
    fn dates_stay_dates_of_their_format(year in 1900i16..2100, month in 1i8..13, day in 1i8..29) {
        let named = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month as usize - 1];
        for value in [
            format!("{year}-{month:02}-{day:02}"), format!("{day:02}.{month:02}.{year}"), format!("{month:02}/{day:02}/{year}"), format!("{year}{month:02}{day:02}"),
            format!("{year}-{month:02}-{day:02}T10:22:33Z"),
        ] {
            let fresh = surrogate("date of birth", &value);
            prop_assert_eq!(outline(&fresh), outline(&value), "{}", fresh);
            let parsed = date::surrogate(&fresh, &mut Stream::new(&Key::new("k", vec![1; 32]).unwrap(), "t", "l", "v"));
            prop_assert!(parsed.is_some(), "{} is no date", fresh);
        }
        let fresh = surrogate("date", &format!("{named} {day}, {year}"));
        prop_assert!(jiff::civil::Date::strptime("%b %d, %Y", &fresh).is_ok(), "{}", fresh);
        let fresh = surrogate("date", &format!("{day} {named} {year}"));
        prop_assert!(jiff::civil::Date::strptime("%d %b %Y", &fresh).is_ok(), "{}", fresh);
    }
}

#[test]
fn surrogates_are_plausible_for_their_label() {
    let words = |s: &str| s.split_whitespace().count();
    assert_eq!(words(&surrogate("customer name", "Ana Ruiz")), 2);
    assert_eq!(words(&surrogate("person", "Ana")), 1);
    assert!(surrogate("person", "RUIZ, ANA").contains(", "));
    assert_eq!(
        surrogate("person", "ANA RUIZ"),
        surrogate("person", "ANA RUIZ").to_uppercase()
    );
    assert!(is_found(
        "email",
        &surrogate("e-mail address", "ana@ruiz.example")
    ));
    assert!(surrogate("e-mail address", "ana@ruiz.example").contains("@example."));
    assert!(is_found(
        "url",
        &surrogate("url", "https://ruiz.example/ana?x=1")
    ));
    assert!(surrogate("url", "https://ruiz.example/ana?x=1").starts_with("https://"));
    assert!(is_found(
        "iban",
        &surrogate("iban", "GB82 WEST 1234 5698 7654 32")
    ));
    assert!(surrogate("iban", "GB82 WEST 1234 5698 7654 32").starts_with("GB"));
    assert!(is_found("ip", &surrogate("ip address", "10.1.2.3")));
    assert!(surrogate("ip address", "fe80::1").starts_with("2001:db8::"));
    assert!(is_found("ip", &surrogate("ip address", "fe80::1")));
    assert!(is_found(
        "mac",
        &surrogate("mac address", "AA:BB:CC:DD:EE:FF")
    ));
    assert!(is_found(
        "uuid",
        &surrogate("uuid", "9f2c41d0-a7b3-45f6-8718-293a4b5c6d7e")
    ));
    assert!(surrogate("home address", "1 High Street, Leeds").contains(", "));
    assert!(!surrogate("username", "aruiz77").contains("ruiz"));
    let weekday = surrogate("date", "Tuesday, March 5th, 2024");
    assert!(
        jiff::civil::Date::strptime(
            "%A, %B %d, %Y",
            weekday
                .replacen("st,", ",", 1)
                .replacen("nd,", ",", 1)
                .replacen("rd,", ",", 1)
                .replacen("th,", ",", 1)
        )
        .is_ok(),
        "{weekday}"
    );
}

#[test]
fn phone_numbers_are_fictional_and_keep_country_and_form() {
    for value in [
        "+1 (415) 212-3456",
        "415-212-3456",
        "(415) 212-3456",
        "4152123456",
        "1-415-212-3456",
    ] {
        let fresh = surrogate("phone", value);
        assert_eq!(
            outline(&fresh).replace('1', "9"),
            outline(value).replace('1', "9")
        );
        let digits: String = fresh.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(
            &digits[digits.len() - 7..digits.len() - 2],
            "55501",
            "{fresh}"
        );
    }
    assert!(surrogate("mobile", "+44 7911 123456").starts_with("+44 7700 900"));
    assert!(surrogate("phone number", "+49 151 23456789").starts_with("+49 "));
    assert!(surrogate("fax", "06 12 34 56 78").starts_with("06 39 98 "));
}

#[test]
fn labels_are_read_by_their_words() {
    for (label, expected) in [
        ("person", Kind::Person),
        ("customer name", Kind::Person),
        ("first name", Kind::Given),
        ("Last-Name", Kind::Family),
        ("e-mail address", Kind::Email),
        ("phone", Kind::Phone),
        ("birth date", Kind::Date),
        ("ip address", Kind::Ip),
        ("home address", Kind::Address),
        ("city", Kind::City),
        ("company name", Kind::Company),
        ("credit card number", Kind::Card),
        ("IBAN", Kind::Iban),
        ("user name", Kind::Username),
        ("product name", Kind::Other),
        ("account number", Kind::Other),
        ("passport number", Kind::Other),
        ("social security number", Kind::Ssn),
        ("website", Kind::Url),
        ("place of birth", Kind::City),
        ("organizations", Kind::Company),
    ] {
        assert_eq!(kind(label), expected, "{label}");
    }
}
