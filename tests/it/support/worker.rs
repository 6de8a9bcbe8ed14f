//! A worker in this process: a tiny pack, tenants, a place to read and one to write, and a reading
//! of what came out that believes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use weir::{
    pipeline::{
        Engine, Progress, Running,
        job::{Job, Limits, Summary, Target},
    },
    sink::{Formats, Ledger, Redactions},
    source::{Columns, Objects, Options},
    store::{self, Location},
    tenant::reload,
};

use crate::support::{engine, s3::S3Server, tiny_pack};

/// Tenants whose policy is patterns alone, so that every entity is known beforehand.
pub const PATTERNS_ONLY: &str = "labels = []\npatterns = [\"email\"]\n";

/// Where a test reads and writes.
pub struct Place {
    pub kind: Kind,
    // Runs as long as a place on it.
    pub server: Option<Arc<S3Server>>,
}

pub enum Kind {
    Local(tempfile::TempDir),
    /// Any store, and the prefix that is the test's.
    Store(Arc<dyn ObjectStore>, object_store::path::Path),
}

impl Place {
    pub fn local() -> Self {
        Self {
            kind: Kind::Local(tempfile::tempdir().unwrap()),
            server: None,
        }
    }

    pub fn s3() -> Self {
        let server = S3Server::shared();
        let url = url::Url::parse(&server.fresh_url()).unwrap();
        let prefix = object_store::path::Path::parse(url.path().trim_matches('/')).unwrap();
        Self {
            kind: Kind::Store(server.store(), prefix),
            server: Some(server),
        }
    }

    pub fn of(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            kind: Kind::Store(store, object_store::path::Path::ROOT),
            server: None,
        }
    }

    /// A folder of the place.
    pub fn at(&self, name: &str) -> Location {
        match &self.kind {
            Kind::Local(folder) => Location::create(
                folder.path().join(name).to_str().unwrap(),
                &store::Options::default(),
            )
            .unwrap(),
            Kind::Store(store, prefix) => {
                Location::within(store.clone(), prefix.clone().join(name), "a store")
            }
        }
    }

    pub async fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let location = self.at("in");
        location
            .store()
            .put(&location.path(path), bytes.into().into())
            .await
            .unwrap();
    }

    pub fn objects(&self) -> Objects {
        Objects::at(self.at("in"), source_options()).unwrap()
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger_of("out", plain(), "configuration", Duration::from_secs(60))
    }

    pub fn ledger_of(
        &self,
        sink: &str,
        formats: Formats,
        configuration: &str,
        lease: Duration,
    ) -> Ledger {
        Ledger::new(self.at(sink), formats, lease, configuration.to_owned())
    }

    pub async fn outputs(&self) -> Outputs {
        Outputs::read(&self.at("out")).await
    }
}

pub fn source_options() -> Options {
    Options {
        columns: Columns {
            text: vec!["text".to_owned()],
            id: None,
            tenant: None,
        },
        ..Options::default()
    }
}

pub fn plain() -> Formats {
    Formats {
        redactions: Redactions::Auto,
        entities_as_parquet: false,
        compression: None,
    }
}

/// One engine for all tests of this process: it holds no state that they could share.
pub fn shared_engine() -> Engine {
    static ENGINE: OnceLock<(Engine, Running)> = OnceLock::new();
    let (engine, _) = ENGINE.get_or_init(|| {
        // Kept: the label encoder is loaded when the first label is asked for.
        let folder = tempfile::tempdir().unwrap().keep();
        // Below zero: a random model that finds something.
        tiny_pack::write(
            &folder,
            &tiny_pack::Options {
                o_bias: -2.0,
                ..Default::default()
            },
        );
        engine::start(&folder, 1)
    });
    engine.clone()
}

/// A job with one tenant, `acme`, which documents without a tenant belong to.
pub fn job(tenant: &str) -> Job {
    let folder = tempfile::tempdir().unwrap();
    write_tenant(folder.path(), tenant);
    let options = reload::Options::new(folder.path().to_owned(), Some("acme".to_owned()));
    let (_, tenants) = options.build().unwrap();
    Job {
        engine: shared_engine(),
        tenants,
        limits: Limits {
            documents: None,
            dead_letters: None,
            in_flight_bytes: 64 << 20,
        },
        drain: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
    }
}

pub fn write_tenant(folder: &Path, tenant: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("acme.toml"), tenant).unwrap();
}

pub async fn run(place: &Place) -> Summary {
    job(PATTERNS_ONLY)
        .objects(&place.objects(), &Target::Objects(place.ledger()))
        .await
        .unwrap()
}

/// `count` JSON documents, each with one address; ids are unique if `start` is.
pub fn documents(start: usize, count: usize) -> String {
    let line = |n| format!("{{\"id\":\"d{n}\",\"text\":\"ask user{n}@mail.example about {n}\"}}\n");
    (start..start + count).map(line).collect()
}

/// `objects` objects of `each` documents; the ids in them.
pub async fn fill(place: &Place, objects: usize, each: usize) -> BTreeSet<String> {
    for object in 0..objects {
        place
            .put(
                &format!("day-{}/part-{object:02}.jsonl", object % 3),
                documents(object * each, each),
            )
            .await;
    }
    (0..objects * each).map(|n| format!("d{n}")).collect()
}

/// What lies in a sink.
#[derive(Default)]
pub struct Outputs {
    /// Files that readers see, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Commit records, by path.
    pub commits: BTreeMap<String, Value>,
    /// Claims that are left.
    pub claims: Vec<String>,
}

impl Outputs {
    pub async fn read(location: &Location) -> Self {
        let mut outputs = Self::default();
        let prefix = (!location.prefix().is_root()).then_some(location.prefix());
        let metas: Vec<_> = location.store().list(prefix).try_collect().await.unwrap();
        for meta in metas {
            let path = location.relative(&meta.location).to_owned();
            // Told by name alone: a worker that died here may still be letting go of it.
            if path.starts_with("_weir/claims/") {
                outputs.claims.push(path);
                continue;
            }
            let bytes = location
                .store()
                .get(&meta.location)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
                .to_vec();
            if path.starts_with("_weir/commits/") {
                outputs
                    .commits
                    .insert(path, serde_json::from_slice(&bytes).unwrap());
            } else {
                outputs.files.insert(path, bytes);
            }
        }
        outputs
    }

    /// Files that the commit records list.
    pub fn listed(&self) -> BTreeSet<String> {
        let lists = self
            .commits
            .values()
            .flat_map(|record| record["outputs"].as_array().unwrap());
        lists
            .map(|file| file.as_str().unwrap().to_owned())
            .collect()
    }

    /// Every file of an earlier look is there as it was.
    #[track_caller]
    pub fn assert_keeps(&self, before: &Self) {
        for (path, bytes) in &before.files {
            assert!(
                self.files.get(path) == Some(bytes),
                "an old file was touched"
            );
        }
    }

    pub fn names(&self) -> BTreeSet<String> {
        self.files.keys().cloned().collect()
    }

    /// Records of the files of a kind, in no order; every line is whole.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        let mut records = Vec::new();
        for (path, bytes) in self.files.iter().filter(|(path, _)| path.starts_with(kind)) {
            let bytes = match path.ends_with(".gz") {
                true => unpacked(bytes),
                false => bytes.clone(),
            };
            assert!(bytes.ends_with(b"\n"), "{path} ends in half a line");
            let text = std::str::from_utf8(&bytes).unwrap();
            records.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).expect("half a line")),
            );
        }
        records
    }

    pub fn ids(&self, kind: &str) -> Vec<String> {
        let key = if kind == "redactions" {
            "id"
        } else {
            "document_id"
        };
        let mut ids: Vec<String> = self
            .records(kind)
            .iter()
            .map(|record| record[key].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }

    /// Every promise about a sink whose job has ended: each of `ids` once in the entities and once in
    /// the redactions, both of one run; the commit records list exactly the files that are there.
    pub fn assert_exactly(&self, ids: &BTreeSet<String>) {
        let wanted: Vec<String> = ids.iter().cloned().collect();
        assert_eq!(self.ids("entities"), wanted, "entities");
        assert_eq!(self.ids("redactions"), wanted, "redactions");
        assert_eq!(self.listed(), self.names(), "commit records against files");
        assert!(!self.names().iter().any(|name| name.contains('#')));
        let redactions: BTreeMap<String, Value> = self
            .records("redactions")
            .into_iter()
            .map(|record| (record["id"].as_str().unwrap().to_owned(), record))
            .collect();
        for entities in self.records("entities") {
            let id = entities["document_id"].as_str().unwrap();
            let redaction = &redactions[id];
            let number = &id[1..];
            assert_eq!(redaction["text"], format!("ask [EMAIL] about {number}"));
            for key in ["pack", "label_set", "policy", "weir_version"] {
                assert_eq!(entities[key], redaction[key], "{key} of {id}");
            }
            let spans = |records: &Value, start: &str, end: &str| -> Vec<(u64, u64)> {
                let records = records.as_array().unwrap();
                records
                    .iter()
                    .map(|r| (r[start].as_u64().unwrap(), r[end].as_u64().unwrap()))
                    .collect()
            };
            assert_eq!(
                spans(&entities["entities"], "start", "end"),
                spans(&redaction["redactions"], "source_start", "source_end")
            );
            assert_eq!(spans(&entities["entities"], "start", "end").len(), 1);
        }
    }
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut text).unwrap();
    text
}
