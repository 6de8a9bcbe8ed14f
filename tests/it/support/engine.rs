//! The engine on a pack, with what a test asks for.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use weir::{
    batch,
    decode::{Span, patterns::Patterns},
    model::Pack,
    pipeline::{Engine, Options, Piece, Running, Scan},
    redact::{Operator, Redactor},
    tenant::{Balance, Label, LabelSet, Policy, Reuse},
};

pub fn start(folder: &Path, sessions: usize) -> (Engine, Running) {
    Engine::start(options(Pack::open(folder).unwrap(), sessions)).unwrap()
}

pub fn options(pack: Pack, sessions: usize) -> Options {
    Options {
        pack,
        runtime: None,
        sessions,
        session_threads: 1,
        batch: batches(),
        label_cache: None,
        categories: Default::default(),
        category_encoder: None,
        access: Default::default(),
    }
}

pub fn batches() -> batch::Options {
    batch::Options {
        max_tokens: 1024,
        linger: Duration::from_millis(1),
        look_ahead: 64,
        queue_tokens: 1 << 16,
        cache_bytes: 1 << 20,
    }
}

/// A policy for the model alone: no patterns, every span kept whatever its score.
pub fn policy(labels: &[&str]) -> Policy {
    let set = LabelSet {
        labels: labels
            .iter()
            .map(|name| Label {
                name: (*name).into(),
                wording: (*name).into(),
                threshold: 0.0,
                models: Arc::default(),
            })
            .collect(),
        balance: Balance::default(),
        digest: labels.join("|").into(),
    };
    Policy {
        tenant: "acme".into(),
        labels: set,
        patterns: Patterns::build(Default::default()).unwrap(),
        redactor: Redactor {
            tenant: "acme".into(),
            operators: Arc::new(HashMap::new()),
            default: Operator::Replace { placeholder: None },
        },
        keys: [].into(),
        keyring: Default::default(),
        subject_keys: None,
        subject: Default::default(),
        rules: [].into(),
        emit_text: false,
        bases: Default::default(),
        digest: "policy".into(),
        tests: [].into(),
    }
}

/// Scans a text that comes in parts; spans are of the whole text.
pub async fn scan(engine: &Engine, policy: &Policy, parts: &[&str]) -> (String, Vec<Span>) {
    scan_with(engine, policy, Reuse::Equal, parts).await
}

/// The same, with what its rule says of reuse.
pub async fn scan_with(
    engine: &Engine,
    policy: &Policy,
    reuse: Reuse,
    parts: &[&str],
) -> (String, Vec<Span>) {
    let mut scan = Scan::start(engine, policy, reuse).await.unwrap();
    let (mut text, mut spans) = (String::new(), Vec::new());
    let mut take = |piece: Option<Piece>| {
        let Some(piece) = piece else { return };
        for mut span in piece.spans {
            assert!(
                piece.text.is_char_boundary(span.bytes.start)
                    && piece.text.is_char_boundary(span.bytes.end)
            );
            span.bytes.start += text.len();
            span.bytes.end += text.len();
            spans.push(span);
        }
        text.push_str(&piece.text);
    };
    for part in parts {
        take(scan.push(part).await.unwrap());
    }
    take(scan.finish().await.unwrap());
    (text, spans)
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
