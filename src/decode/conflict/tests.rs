use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn text() -> impl Strategy<Value = String> {
    let parts = vec![
        "a",
        "b",
        " ",
        "\t",
        "é",
        "e\u{301}",
        "👩‍👩‍👧",
        "🇩🇪",
        "🇫",
        "用",
        "\r\n",
        "\n",
        " \u{301}",
        "क्षि",
        "x.",
        "1",
        "\u{200d}",
    ];
    vec(select(parts), 1..30).prop_map(|parts| parts.concat())
}

fn span_in(text: &str, a: usize, b: usize, label: &'static str, score: u8, who: u8) -> Span {
    let borders: Vec<usize> = (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .collect();
    let (a, b) = (borders[a % borders.len()], borders[b % borders.len()]);
    let recognizer = match who {
        0 => Recognizer::Deny,
        1 => Recognizer::Pattern("email".into()),
        2 => Recognizer::Pattern("staff".into()),
        _ => Recognizer::Model,
    };
    Span {
        bytes: ByteSpan::new(a.min(b), a.max(b)),
        label: label.into(),
        score: f32::from(score) / 4.0,
        label_score: f32::from(score) / 4.0,
        recognizer,
    }
}

fn document() -> impl Strategy<Value = (String, Vec<Span>, Vec<ByteSpan>)> {
    let raw = vec(
        (
            any::<usize>(),
            any::<usize>(),
            select(vec!["p", "q", "r"]),
            0u8..5,
            0u8..5,
        ),
        0..14,
    );
    (text(), raw, vec((any::<usize>(), any::<usize>()), 0..3)).prop_map(|(text, raw, allowed)| {
        let spans = raw
            .into_iter()
            .map(|(a, b, label, score, who)| span_in(&text, a, b, label, score, who))
            .collect();
        let allowed = allowed
            .into_iter()
            .map(|(a, b)| span_in(&text, a, b, "p", 0, 0).bytes)
            .collect();
        (text, spans, allowed)
    })
}

fn borders(text: &str) -> Vec<usize> {
    text.grapheme_indices(true)
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn spans_come_out_apart_in_order_and_on_grapheme_borders((text, spans, allowed) in document()) {
        let out = resolve(&text, spans, &allowed);
        let borders = borders(&text);
        for span in &out {
            prop_assert!(!span.bytes.is_empty());
            prop_assert!(borders.contains(&span.bytes.start) && borders.contains(&span.bytes.end));
        }
        prop_assert!(out.windows(2).all(|pair| pair[0].bytes.end <= pair[1].bytes.start));
    }

    #[test]
    fn no_covered_byte_is_lost_and_none_is_taken_beyond_the_clusters((text, spans, allowed) in document()) {
        let stays = |span: &Span| span.recognizer == Recognizer::Deny || !allowed.iter().any(|place| place.contains(span.bytes));
        let out = resolve(&text, spans.clone(), &allowed);
        for (start, cluster) in text.grapheme_indices(true) {
            let whole = ByteSpan::new(start, start + cluster.len());
            let covered = out.iter().any(|span| span.bytes.contains(whole));
            let wanted: Vec<&Span> = spans.iter().filter(|span| stays(span) && span.bytes.overlaps(whole)).collect();
            if wanted.is_empty() {
                prop_assert!(!covered, "nothing asked for {whole:?}");
            } else if !cluster.chars().all(char::is_whitespace) {
                prop_assert!(covered, "{whole:?} is lost");
            }
            // The label is that of the strongest span over the cluster.
            let got = out.iter().find(|span| span.bytes.contains(whole));
            if let (false, Some(got)) = (wanted.is_empty() || is_space(cluster), got) {
                let class = wanted.iter().map(|span| rank(&span.recognizer)).max().unwrap();
                let labels: Vec<_> = wanted.iter().filter(|span| rank(&span.recognizer) == class).map(|span| span.label.clone()).collect();
                prop_assert!(labels.contains(&got.label), "{got:?} is no {labels:?}");
            }
        }
    }

    #[test]
    fn settled_spans_stay_as_they_are_and_order_does_not_matter((text, spans, allowed) in document()) {
        let out = resolve(&text, spans.clone(), &allowed);
        prop_assert_eq!(resolve(&text, out.clone(), &[]), out.clone());
        let mut backwards = spans;
        backwards.reverse();
        prop_assert_eq!(resolve(&text, backwards, &allowed), out);
    }

    #[test]
    fn borders_are_those_of_the_whole_text(text in text(), places in vec(any::<usize>(), 1..8)) {
        let mut places: Vec<usize> = places.into_iter().map(|at| at % (text.len() + 1)).collect();
        places.sort_unstable();
        places.dedup();
        let borders = borders(&text);
        for (at, cluster) in places.iter().zip(clusters_around(&text, &places)) {
            prop_assert_eq!(cluster.start, *borders.iter().rev().find(|border| **border <= *at).unwrap());
            prop_assert_eq!(cluster.end, *borders.iter().find(|border| **border >= *at).unwrap());
        }
    }
}

fn span(start: usize, end: usize, label: &str, score: f32, recognizer: Recognizer) -> Span {
    Span {
        bytes: ByteSpan::new(start, end),
        label: label.into(),
        score,
        label_score: score,
        recognizer,
    }
}

fn short(spans: &[Span]) -> Vec<(usize, usize, &str)> {
    spans
        .iter()
        .map(|span| (span.bytes.start, span.bytes.end, &*span.label))
        .collect()
}

#[test]
fn a_pattern_beats_the_model_and_the_rest_stays_with_the_model() {
    let text = "Ana ana@example.com Ruiz";
    let out = resolve(
        text,
        vec![
            span(0, 24, "person", 0.99, Recognizer::Model),
            span(4, 19, "email", 1.0, Recognizer::Pattern("email".into())),
        ],
        &[],
    );
    assert_eq!(
        short(&out),
        vec![(0, 3, "person"), (4, 19, "email"), (20, 24, "person")]
    );
    assert_eq!((out[0].score, out[2].score), (0.99, 0.99));
}

#[test]
fn a_remainder_of_the_same_label_joins_the_winner() {
    let text = "<ana@example.com>";
    let out = resolve(
        text,
        vec![
            span(0, 17, "email", 0.7, Recognizer::Model),
            span(1, 16, "email", 1.0, Recognizer::Pattern("email".into())),
        ],
        &[],
    );
    assert_eq!(short(&out), vec![(0, 17, "email")]);
    assert_eq!(out[0].recognizer, Recognizer::Pattern("email".into()));
}

#[test]
fn neighbours_of_one_label_stay_two() {
    let out = resolve(
        "AnaLuis",
        vec![
            span(0, 3, "person", 0.9, Recognizer::Model),
            span(3, 7, "person", 0.9, Recognizer::Model),
        ],
        &[],
    );
    assert_eq!(short(&out), vec![(0, 3, "person"), (3, 7, "person")]);
}

#[test]
fn the_allow_list_takes_whole_spans_but_punches_no_hole() {
    let text = "ACME Support Ana";
    let spans = vec![
        span(0, 12, "person", 0.9, Recognizer::Model),
        span(0, 4, "org", 1.0, Recognizer::Deny),
    ];
    assert_eq!(
        short(&resolve(text, spans, &[ByteSpan::new(0, 12)])),
        vec![(0, 4, "org")]
    );
    let longer = vec![span(0, 16, "person", 0.9, Recognizer::Model)];
    assert_eq!(
        short(&resolve(text, longer, &[ByteSpan::new(0, 12)])),
        vec![(0, 16, "person")]
    );
}

#[test]
fn many_nested_spans_are_settled_in_time_linear_but_for_the_sort() {
    let n = 100_000;
    let text = "🇩".repeat(n) + &"a".repeat(2 * n);
    let flags = (0..n).map(|at| span(4 * at, 4 * n, "p", 0.5, Recognizer::Model));
    let letters = (0..n).map(|at| {
        span(
            4 * n + at,
            6 * n - at,
            "q",
            (at % 100) as f32 / 100.0,
            Recognizer::Model,
        )
    });
    let started = std::time::Instant::now();
    let out = resolve(&text, flags.chain(letters).collect(), &[]);
    assert_eq!(
        out.iter().map(|span| span.bytes.len()).sum::<usize>(),
        text.len()
    );
    // Quadratic work would be 10¹⁰ steps: minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn no_half_of_an_escape_is_left_beside_a_span() {
    let text = r#"{"m":"a\\nAna \u0022Ruiz\u0022 50%20x C:\\Eva\\"}"#;
    for (found, whole) in [
        ("nAna", r"\\nAna"),
        (r"22Ruiz\u00", r"\u0022Ruiz\u0022"),
        ("20x", "%20x"),
        ("Eva", "Eva"),
        (r"Eva\", r"Eva\\"),
        (r"\Eva", r"\\Eva"),
    ] {
        let start = text.find(found).unwrap();
        let span = span(start, start + found.len(), "p", 0.9, Recognizer::Model);
        let out = resolve(text, vec![span], &[]);
        assert_eq!(&text[out[0].bytes.start..out[0].bytes.end], whole);
    }
}
