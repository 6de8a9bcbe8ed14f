//! An OpenTelemetry collector that takes everything, behind a network that can be cut.

use std::{
    net::TcpListener as Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, body::Bytes, extract::DefaultBodyLimit, http::header};
use tokio::net::TcpListener;

use crate::support::{
    engine,
    proxy::{Network, Proxy},
};

pub struct Collector {
    proxy: Proxy,
    taken: Arc<AtomicU64>,
    // Runs as long as it is held.
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    pub fn start() -> Self {
        let runtime = engine::runtime();
        let bound = Bound::bind("127.0.0.1:0").unwrap();
        bound.set_nonblocking(true).unwrap();
        let proxy = Proxy::start(bound.local_addr().unwrap().port());
        let taken = Arc::new(AtomicU64::new(0));
        let counts = taken.clone();
        // An empty answer is one of OTLP's: all was taken.
        let take = move |body: Bytes| async move {
            counts.fetch_add(body.len() as u64, Ordering::Relaxed);
            [(header::CONTENT_TYPE, "application/x-protobuf")]
        };
        let router = Router::new()
            .fallback(take)
            .layer(DefaultBodyLimit::disable());
        runtime.spawn(async move {
            let listener = TcpListener::from_std(bound).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            proxy,
            taken,
            _runtime: runtime,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.proxy.port())
    }

    /// Nothing is answered, and connections lead nowhere.
    pub fn away(&self) {
        self.proxy.set(Network::BlackHole);
    }

    pub fn back(&self) {
        self.proxy.set(Network::Whole);
    }

    /// Bytes that it took.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}
