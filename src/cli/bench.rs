//! `weir bench`: what weir adds to the model it runs.
//!
//! All figures come from one run on the same texts, because machines are noisy: the bare model on
//! perfectly packed batches, weir's own stages, and the whole job from files to files.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    decode::viterbi::Viterbi,
    model::{self, Backbone, Encoder, LabelMatrix, Pack, Scorer},
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

/// Tokens per second of the bare model: windows sorted by length and packed into batches of at most
/// `max_tokens`, on as many threads as there are sessions.
pub fn bare(
    sessions: Vec<Backbone>,
    windows: &[&Window],
    max_tokens: usize,
) -> Result<(u64, Duration), model::Error> {
    let mut sorted: Vec<&[u32]> = windows.iter().map(|window| &*window.ids).collect();
    sorted.sort_unstable_by_key(|ids| ids.len());
    let special = sessions
        .first()
        .map_or(0, |session| session.padded_tokens(0));
    let mut batches: Vec<&[&[u32]]> = Vec::new();
    let mut rest = &sorted[..];
    while !rest.is_empty() {
        // The longest one decides about the padded size, and is the last one of the batch.
        let mut count = 1;
        while count < rest.len() && (count + 1) * (rest[count].len() + special) <= max_tokens {
            count += 1;
        }
        let (batch, tail) = rest.split_at(count);
        batches.push(batch);
        rest = tail;
    }
    let tokens = sorted.iter().map(|ids| ids.len() + special).sum::<usize>() as u64;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = sessions
            .into_iter()
            .map(|mut session| {
                let (next, batches) = (&next, &batches);
                scope.spawn(move || {
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        session.run(batch)?;
                    }
                    Ok::<_, model::Error>(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("the bare model does not panic"))
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
    let matrix = LabelMatrix::new(&encoder.encode(&names)?);
    let (mut backbone, mut scoring, mut decoding) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut entities, mut rows, mut tokens) = (0, 0, 0);
    let mut scorer = Scorer::default();
    for chunk in documents.chunks(8) {
        let windows: Vec<&Window> = chunk.iter().flatten().collect();
        let mut emissions = Vec::new();
        for batch in windows.chunks(8) {
            let start = Instant::now();
            let hidden =
                session.run(&batch.iter().map(|window| &*window.ids).collect::<Vec<_>>())?;
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
            let mut viterbi = Viterbi::default();
            for (at, window) in windows.iter().enumerate() {
                viterbi.push(window, windows.get(at + 1), &matrix);
            }
            entities += viterbi.certain().count();
            entities += viterbi.finish().len();
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

/// Names of labels for benchmarks: plain ones first, then as many combinations as it takes.
pub fn label_names(count: usize) -> Vec<String> {
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
