use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// What a reader reads at last, gaps joined.
fn read(text: &str) -> String {
    let readings = Readings::of(text);
    match readings.joined.last() {
        Some(layer) => layer.text.clone(),
        None => text.to_owned(),
    }
}

fn parted(text: &str) -> Option<String> {
    let readings = Readings::of(text);
    Some(readings.parted.last()?.text.clone())
}

#[test]
fn escapes_are_read_as_what_they_mean() {
    for (text, meaning) in [
        // JSON and C
        (r"a\nb\tc\r\nd", "a\nb\tc\r\nd"),
        (r#"say \"hi\" \/ \\"#, r#"say "hi" / \"#),
        (r"\u0022x\u00e9\ud83d\ude00", "\"xé😀"),
        (r"\u{22}\U00000022\x22\x{22}\042", "\"\"\"\"\""),
        (r"\xc3\xa9 \303\251 4497\xa04650", "é é 4497 4650"),
        (r"203\.0\.113\.77 ana\@mail", "203.0.113.77 ana@mail"),
        // escaped again
        (r"a\\nb \\u0040 \\\\n \\\/ \\\u0040", "a\nb @ \n / @"),
        (r#"{\\\"a\\\":1}"#, r#"{"a":1}"#),
        // percent
        ("a%20b%2Bc%40d%0a", "a b+c@d\n"),
        ("%2540 %252540 %u0040 %C3%A9 1%A02", "@ @ @ é 1 2"),
        ("%5Cu0040 %5C%5Cu0040", "@ @"),
        // HTML
        ("&#64;&#x40;&commat;&amp;&quot;&lt;", "@@@&\"<"),
        ("&amp;#64; &amp;amp;quot; a&nbsp;b", "@ \" a b"),
        // quoted-printable
        (
            "a=40mail.example =3D4497 a=\r\nb=\nc",
            "a@mail.example =4497 abc",
        ),
        ("=C3=A9 1=A02=961728", "é 1 2-1728"),
        ("x=20512-47-3391 a=20b", "x 512-47-3391 a b"),
        // terminals
        ("\u{1b}[31ma\u{1b}[0m", "a"),
        (r"\u001b[31ma\x1b[0;1mb\033[Kc\e[0m", "abc"),
        ("#033[31ma#033[0m^[[1mb^[[0m", "ab"),
        ("%1B%5B31ma \\\\u001b[31mb", "a b"),
        ("\u{9b}31ma\u{1b}(B\u{241b}[1mb", "ab"),
        (
            "\u{1b}]8;id=1;https://x.example\u{1b}\\text",
            "\nhttps://x.example\ntext",
        ),
        ("\u{1b}]0;title\u{7}x", "\ntitle\u{7}x"),
        ("[31ma[0m", "a"),
        ("a#011b#012c^Md", "a\tb\nc\rd"),
        // form data
        (
            "4497+4650+7529+1705 %2B1+202+555+0143",
            "4497 4650 7529 1705 +1 202 555 0143",
        ),
        // look-alikes
        (
            "４９９８－１７２８ ａｎａ＠ｍａｉｌ．example",
            "4998-1728 ana@mail.example",
        ),
        ("٤٩٩٨ ४९९८ 𝟒𝟗", "4998 4998 49"),
        (
            "512\u{2010}47\u{2011}3391 1\u{2013}2 1\u{2014}2 1\u{2212}2",
            "512-47-3391 1-2 1-2 1-2",
        ),
        ("1 \u{2013} 2, DE1\u{2013}KAP", "1 - 2, DE1-KAP"),
        ("1\u{a0}2\u{2009}3\u{202f}4\u{3000}5", "1 2 3 4 5"),
        (
            "a\u{ad}b\u{200b}c\u{200d}d\u{2060}e\u{fe0f}f\u{202e}g",
            "abcdefg",
        ),
        (
            "ana@mail。example 1·2 ℡ № x",
            "ana@mail.example 1.2 TEL No x",
        ),
        (r"a\u00a0b\u200bc\uff11 &#8203;%E2%80%AF", "a bc1  "),
        ("a\0n\0a\0", "ana"),
    ] {
        assert_eq!(read(text), meaning, "{text:?}");
    }
}

#[test]
fn what_is_no_escape_stays() {
    for text in [
        "plain text, 100% of it & more",
        r"C:\Users\ana\123",
        r"\d{3}-\w+ \q",
        "a=20 b=40 c=2026-03-05 d=3d e=4012888888881881 f=30 g=",
        "date=2026-03-05T10:11:12+0100 x=2048 size=4096",
        "hash=9F2C41D0 id=A7B3",
        "50%, 20%of, %zz %2",
        "AT&T &unknown; &#; &#x; a&b;c",
        "#123 #0 #fff color",
        "rate(x[5m]) [1] [12] a[0] [foo]",
        "a^2 ^x x^Y",
        "1+2 2026-03-05T10:11:12.123+0100 +1 202",
        "sentence — with dashes – and, words—here… “quoted” ’s",
        "例子。下一句，谢谢！（见上）：好",
        "10² x³ 5™",
        "émigré Ünïcode пример",
    ] {
        assert!(
            Readings::of(text).is_empty(),
            "{text:?} is read as {:?}",
            read(text)
        );
    }
}

#[test]
fn where_a_gap_joins_two_words_both_readings_are_given() {
    assert_eq!(
        parted("ERROR\u{1b}[31m4111").as_deref(),
        Some("ERROR\n4111")
    );
    assert_eq!(read("ERROR\u{1b}[31m4111"), "ERROR4111");
    assert_eq!(
        parted("a \u{1b}[31m4111\u{1b}[0m."),
        Some("a 4111\n.".to_owned())
    );
    assert_eq!(parted("\u{1b}[31m4111\u{1b}[0m \u{200b}x"), None);
    assert_eq!(parted("[\u{1b}[31mINFO\u{1b}[0m] (a\u{200b})"), None);
}

#[test]
fn a_reading_leads_back_to_the_bytes_it_came_from() {
    let text = r"x\u0022%34111\u001b[0m\\u0040é";
    let readings = Readings::of(text);
    let reading = readings.iter().next().unwrap();
    assert_eq!(reading.text(), "x\"4111@é");
    let source = |start, end| {
        let span = reading.source(ByteSpan::new(start, end));
        &text[span.start..span.end]
    };
    assert_eq!(source(0, 1), "x");
    assert_eq!(source(1, 2), r"\u0022");
    assert_eq!(source(2, 6), "%34111");
    assert_eq!(source(5, 7), r"1\u001b[0m\\u0040");
    assert_eq!(source(7, 9), "é");
    assert_eq!(readings.escape_at(1), None);
    assert_eq!(readings.escape_at(2), Some(ByteSpan::new(1, 7)));
    assert_eq!(readings.escape_at(7), None);
}

#[test]
fn base64_with_a_text_is_decoded() {
    let found = |text: &str| {
        let mut found = Vec::new();
        base64_runs(text, |run| {
            found.push((text[run.span.start..run.span.end].to_owned(), run.text));
        });
        found
    };
    let one = |run: &str, text: &str| vec![(run.to_owned(), text.to_owned())];
    assert_eq!(
        found("payload=YW5hLnJ1aXpAbWFpbC5leGFtcGxl,"),
        one("YW5hLnJ1aXpAbWFpbC5leGFtcGxl", "ana.ruiz@mail.example")
    );
    assert_eq!(
        found("GET /u/NTEyLTQ3LTMzOTE=/x"),
        one("NTEyLTQ3LTMzOTE=", "512-47-3391")
    );
    assert_eq!(
        found("/v1/u/YW5hLnJ1aXpAbWFpbC5leGFtcGxl/x"),
        one("YW5hLnJ1aXpAbWFpbC5leGFtcGxl", "ana.ruiz@mail.example")
    );
    assert_eq!(
        found("NTEyLTQ3LTMzOTE"),
        one("NTEyLTQ3LTMzOTE", "512-47-3391")
    );
    for none in [
        "9f2c41d0a7b3e5f60718293a4b5c6d7e8f901234",
        "/usr/local/lib/python3/site-packages/encodings",
        "AbstractSingletonProxyFactoryBean internationalization",
        "short YW5h",
    ] {
        assert_eq!(found(none), vec![], "{none}");
    }
}

/// Texts made of escapes, halves of escapes, look-alikes and values.
fn text() -> impl Strategy<Value = String> {
    let parts = vec![
        "a",
        "n",
        "u",
        "x",
        "4497",
        "512-47-3391",
        " ",
        "\\",
        "\\n",
        "\\u0022",
        "\\u",
        "00",
        "22",
        "%",
        "25",
        "20",
        "40",
        "&",
        "amp;",
        "#64;",
        "&#64;",
        "=",
        "=3D",
        "=\n",
        "\"",
        "\u{1b}[31m",
        "\u{1b}",
        "[31m",
        "#033",
        "^[[",
        "\\x1b[",
        "\u{200b}",
        "\u{ad}",
        "é",
        "\u{a0}",
        "４",
        "－",
        "。",
        "\u{2013}",
        "٤",
        "+",
        "1",
        "\0",
        "\r\n",
        "\\ud83d",
        "\\ude00",
        "中",
        "}",
        "\u{301}",
        "\\303",
        "\\251",
        "%C3",
        "%A9",
        "℡",
        "\u{1b}]8;;",
        "𝟒",
    ];
    vec(select(parts), 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_map_is_total_and_monotone(text in text()) {
        for reading in Readings::of(&text).iter() {
            let mut before = ByteSpan::new(0, 0);
            for (at, c) in reading.text().char_indices() {
                let source = reading.source(ByteSpan::new(at, at + c.len_utf8()));
                prop_assert!(text.get(source.start..source.end).is_some_and(|source| !source.is_empty()));
                // Characters of one escape (`℡`) share its bytes.
                prop_assert!(source.start >= before.start && source.end >= before.end, "{before:?} {source:?}");
                before = source;
            }
        }
    }

    #[test]
    fn a_stretch_covers_what_its_characters_cover_and_what_was_left_out_between(text in text(), a: usize, b: usize) {
        for reading in Readings::of(&text).iter() {
            let borders: Vec<usize> = reading.text().char_indices().map(|(at, _)| at).chain([reading.text().len()]).collect();
            let (a, b) = (borders[a % borders.len()], borders[b % borders.len()]);
            let (start, end) = (a.min(b), a.max(b));
            if start == end {
                continue;
            }
            let first = reading.text()[start..end].chars().next().unwrap().len_utf8();
            let last = reading.text()[start..end].chars().next_back().unwrap().len_utf8();
            let source = reading.source(ByteSpan::new(start, end));
            prop_assert_eq!(source.start, reading.source(ByteSpan::new(start, start + first)).start);
            prop_assert_eq!(source.end, reading.source(ByteSpan::new(end - last, end)).end);
        }
    }

    #[test]
    fn no_stretch_begins_or_ends_within_an_escape(text in text(), a: usize, b: usize) {
        let readings = Readings::of(&text);
        for reading in readings.iter() {
            let borders: Vec<usize> = reading.text().char_indices().map(|(at, _)| at).chain([reading.text().len()]).collect();
            let (a, b) = (borders[a % borders.len()], borders[b % borders.len()]);
            if a != b {
                let source = reading.source(ByteSpan::new(a.min(b), a.max(b)));
                prop_assert_eq!((readings.escape_at(source.start), readings.escape_at(source.end)), (None, None));
            }
        }
    }

    #[test]
    fn what_no_escape_touches_reads_the_same(before in text(), plain in "[a-zA-Z0-9 ,.]{1,20}", after in text()) {
        let text = format!("{before} , {plain} , {after}");
        let at = before.len() + 3;
        for reading in Readings::of(&text).iter() {
            let found = reading.text().char_indices().any(|(start, _)| {
                reading.text()[start..].starts_with(&plain)
                    && reading.source(ByteSpan::new(start, start + plain.len())) == ByteSpan::new(at, at + plain.len())
            });
            prop_assert!(found, "{:?} in {:?}", plain, reading.text());
        }
    }
}

#[test]
fn hostile_texts_are_read_in_linear_time() {
    let parts = [
        "%25",
        "%",
        "\\",
        "\\\\n",
        "&amp;",
        "&",
        "&#",
        "=",
        "=3D",
        "=\n",
        "#033",
        "#0",
        "^[[",
        "[",
        "[1;",
        "\u{1b}[",
        "\u{1b}[1;",
        "\u{1b}]8;",
        "\\u001b[",
        "+",
        "1+",
        "12345678+",
        "\u{200b}",
        "a\u{200b}",
        "\u{2013}",
        "1\u{2013}",
        "\u{a0}",
        "。",
        "\\ud83d",
        "\\u",
        "\\303",
        "%C3",
        "%25%32%35",
        "YW5h",
        "YW5h/",
        "a/",
        "\0",
    ];
    let read = |text: &str| {
        let started = std::time::Instant::now();
        let readings = Readings::of(text);
        base64_runs(text, |_| {});
        let layers = readings.joined.len() + readings.parted.len();
        assert!(layers <= 2 * MAX_LAYERS);
        started.elapsed()
    };
    read("é");
    for part in parts {
        let text = part.repeat(200_000 / part.len());
        // Quadratic work would be 4·10¹⁰ steps.
        let took = (0..4).map(|_| read(&text)).find(|took| took.as_secs() < 20);
        assert!(took.is_some(), "{part:?}");
    }
}
