//! Measures a model and the stages behind it: what `weir bench` and `weir model tune` compare.
//!
//! In:  sessions of a model and the windows of texts.
//! Out: times, and shares of times that were taken in one run.
//! Does not know: files, tenants, how figures are printed.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    model::{self, Backbone, Conditions, Decoder, Encoder, LabelMatrix, Pack, Row, Scorer},
    text::{Tokenizer, Window, Windower},
};

/// Cuts texts into the windows that a job would make of them.
pub fn windows(pack: &Pack, texts: &[String]) -> Result<Vec<Vec<Window>>, model::Error> {
    let tokenizer = Tokenizer::from_file(&pack.path(&pack.manifest().tokenizer.file))?;
    let mut documents = Vec::with_capacity(texts.len());
    for text in texts {
        let mut windower = Windower::new(pack.shape());
        let mut windows = Vec::new();
        windower.push(tokenizer.tokens(text)?, 0, &mut windows);
        windows.extend(windower.finish());
        documents.push(windows);
    }
    Ok(documents)
}

/// Windows sorted by length and put into batches of at most `max_tokens`; `padded`: filled up to the longest.
/// `special`: tokens that the model puts around each.
pub fn batches<'a>(
    mut rows: Vec<Row<'a>>,
    max_tokens: usize,
    special: usize,
    padded: bool,
) -> Vec<Vec<Row<'a>>> {
    rows.sort_by_key(|row| row.ids.len());
    let mut batches: Vec<Vec<Row>> = Vec::new();
    let mut before = 0;
    for row in rows {
        let own = row.ids.len() + special;
        match batches.last_mut() {
            // The longest one decides about the padded size, and is the last one of the batch.
            Some(batch) if padded && (batch.len() + 1) * own <= max_tokens => batch.push(row),
            Some(batch) if !padded && before + own <= max_tokens => {
                before += own;
                batch.push(row);
            }
            _ => {
                before = own;
                batches.push(vec![row]);
            }
        }
    }
    batches
}

/// Runs the same work on each session, each in a thread of its own.
pub fn side_by_side(
    sessions: &mut [Backbone],
    work: impl Fn(&mut Backbone) -> Result<(), model::Error> + Sync,
) -> Result<(), model::Error> {
    thread::scope(|scope| {
        let workers: Vec<_> = sessions
            .iter_mut()
            .map(|session| {
                let work = &work;
                scope.spawn(move || work(session))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a model that fails says so"))
    })
}

/// Tokens and time of the bare model: perfectly packed batches, on as many threads as there are sessions.
pub fn bare(
    sessions: &mut [Backbone],
    windows: &[&Window],
    conditions: Option<&Conditions>,
    max_tokens: usize,
    padded: bool,
) -> Result<(u64, Duration), model::Error> {
    let rows = windows.iter().map(|window| Row {
        ids: &window.ids,
        conditions,
    });
    let special = sessions
        .first()
        .map_or(0, |session| session.padded_tokens(0));
    let batches = batches(rows.collect(), max_tokens, special, padded);
    let tokens = windows
        .iter()
        .map(|window| window.ids.len() + special)
        .sum::<usize>() as u64;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    side_by_side(sessions, |session| {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            session.run(batch)?;
        }
        Ok(())
    })?;
    Ok((tokens, start.elapsed()))
}

/// Time of the stages after the backbone, on one thread, as a share of the backbone's on one thread.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Share {
    /// Labels in the set.
    pub labels: usize,
    /// Scoring.
    pub scoring: f64,
    /// Viterbi.
    pub viterbi: f64,
    /// Labels that have scores at a token, on average.
    pub labels_a_token: f64,
    /// Entities found.
    pub entities: usize,
}

/// Measures [`Share`] over `documents` for the first `labels` of [`label_names`].
pub fn share(
    session: &mut Backbone,
    encoder: &Encoder,
    documents: &[Vec<Window>],
    labels: usize,
    o_bias: f32,
) -> Result<Share, model::Error> {
    let names = label_names(labels);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (vectors, conditions) = encoder.encode_for_injection(&names)?;
    let matrix = LabelMatrix::new(&vectors);
    let (mut backbone, mut scoring, mut decoding) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut entities, mut rows, mut tokens) = (0, 0, 0);
    let mut scorer = Scorer::default();
    for chunk in documents.chunks(8) {
        let windows: Vec<&Window> = chunk.iter().flatten().collect();
        let mut emissions = Vec::new();
        for batch in windows.chunks(8) {
            let rows: Vec<Row> = batch
                .iter()
                .map(|window| Row {
                    ids: &window.ids,
                    conditions: conditions.as_ref(),
                })
                .collect();
            let start = Instant::now();
            let hidden = session.run(&rows)?;
            backbone += start.elapsed();
            let start = Instant::now();
            for (row, window) in batch.iter().enumerate() {
                emissions.push(scorer.score(
                    &matrix,
                    hidden.of(row, window.core.clone()),
                    o_bias,
                    window.alone,
                ));
            }
            scoring += start.elapsed();
        }
        let start = Instant::now();
        let mut rest = &emissions[..];
        for document in chunk {
            let (windows, tail) = rest.split_at(document.len());
            rest = tail;
            let mut decoder = Decoder::of_labels();
            for (at, window) in windows.iter().enumerate() {
                decoder.push(window, windows.get(at + 1), &matrix);
            }
            entities += decoder.certain().named.len();
            entities += decoder.finish().named.len();
        }
        decoding += start.elapsed();
        rows += emissions
            .iter()
            .map(|window| window.scores.len())
            .sum::<usize>();
        tokens += emissions.iter().map(|window| window.tokens).sum::<usize>();
    }
    let share = |time: Duration| time.as_secs_f64() / backbone.as_secs_f64();
    Ok(Share {
        labels,
        scoring: share(scoring),
        viterbi: share(decoding),
        labels_a_token: rows as f64 / tokens.max(1) as f64,
        entities,
    })
}

/// Plain names of labels.
const PLAIN: [&str; 32] = [
    "person",
    "organization",
    "city",
    "date",
    "email address",
    "phone number",
    "street address",
    "product",
    "country",
    "job title",
    "disease",
    "drug",
    "event",
    "book",
    "film",
    "song",
    "vehicle",
    "animal",
    "plant",
    "chemical",
    "law",
    "language",
    "currency amount",
    "time",
    "software",
    "device",
    "file name",
    "user name",
    "password",
    "account number",
    "tool",
    "food",
];

/// Words before them, to make more.
const KINDS: [&str; 31] = [
    "old",
    "new",
    "foreign",
    "local",
    "medical",
    "legal",
    "military",
    "religious",
    "industrial",
    "musical",
    "scientific",
    "financial",
    "historical",
    "political",
    "royal",
    "public",
    "private",
    "rare",
    "common",
    "electric",
    "digital",
    "wooden",
    "rural",
    "urban",
    "marine",
    "domestic",
    "sacred",
    "academic",
    "athletic",
    "culinary",
    "secret",
];

/// Names of labels for benchmarks: plain ones first, then as many combinations as it takes.
pub fn label_names(count: usize) -> Vec<String> {
    let combined = KINDS
        .iter()
        .flat_map(|kind| PLAIN.iter().map(move |plain| format!("{kind} {plain}")));
    PLAIN
        .iter()
        .map(|plain| (*plain).to_owned())
        .chain(combined)
        .take(count)
        .collect()
}
