//! The store of subject keys over a store in memory.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, future::join_all};
use object_store::{ObjectStore, memory::InMemory};
use proptest::prelude::*;

use super::*;

const SUBJECT: &str = "Canary Subject 7731";

/// A store, and workers with their own caches in front of it.
struct Place {
    store: Arc<dyn ObjectStore>,
}

impl Place {
    fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
        }
    }

    /// A worker whose tenant has these keys, the first of them primary.
    fn with(&self, tenant: &str, own: &[&str], kept: Duration) -> SubjectKeys {
        let location = Location::within(self.store.clone(), "keys".into(), "a store");
        let key = |id: &&str| Key::new(*id, id.repeat(16)).unwrap();
        let ring = Keyring::of(own.iter().map(key), Some(own[0]));
        let primary = ring.primary().unwrap().clone();
        SubjectKeys::within(tenant, location, ring, primary, kept)
    }

    fn worker(&self) -> SubjectKeys {
        self.with("acme", &["k1"], KEPT)
    }

    /// Names and contents of all objects.
    async fn objects(&self) -> Vec<(String, String)> {
        let listed: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        let mut objects = Vec::new();
        for meta in listed {
            let got = self.store.get(&meta.location).await.unwrap();
            let text = String::from_utf8(got.bytes().await.unwrap().to_vec()).unwrap();
            objects.push((meta.location.to_string(), text));
        }
        objects
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(test)
}

/// As `weir forget` does.
async fn forget(keys: &SubjectKeys, subject: &str, for_good: bool) -> usize {
    let mut destroyed = 0;
    loop {
        let found = keys.find(subject).await.unwrap();
        for id in &found.keys {
            keys.destroy(id).await.unwrap();
        }
        destroyed += found.keys.len();
        if !for_good || keys.bar(&found).await.unwrap() {
            return destroyed;
        }
    }
}

fn secret(key: &Key) -> Vec<u8> {
    key.secret().to_vec()
}

#[test]
fn workers_that_begin_at_once_agree_on_one_key() {
    run(async {
        let place = Place::new();
        let workers: Vec<SubjectKeys> = (0..8).map(|_| place.worker()).collect();
        let asked = workers.iter().map(|worker| {
            let worker = worker.clone();
            tokio::spawn(async move { worker.key(SUBJECT).await.unwrap() })
        });
        let keys = join_all(asked).await;
        let secrets: BTreeSet<Vec<u8>> = keys
            .iter()
            .map(|key| secret(key.as_ref().unwrap()))
            .collect();
        assert_eq!(secrets.len(), 1);
        assert_eq!(place.objects().await.len(), 1);
        // A worker that starts again reads it.
        let again = place.worker().key(SUBJECT).await.unwrap();
        assert!(secrets.contains(&secret(&again)));
    });
}

#[test]
fn keys_are_apart_by_subject_and_tenant_and_no_object_holds_subject_or_secret() {
    run(async {
        let place = Place::new();
        let mut secrets = BTreeSet::new();
        for tenant in ["acme", "other"] {
            for subject in [SUBJECT, "p2"] {
                let keys = place.with(tenant, &["k1"], KEPT);
                secrets.insert(secret(&keys.key(subject).await.unwrap()));
                let shown = format!("{keys:?}");
                assert!(
                    !shown.contains("k1k1") && !shown.contains(SUBJECT),
                    "{shown}"
                );
            }
        }
        assert_eq!(secrets.len(), 4);
        for (name, text) in place.objects().await {
            let shown = format!("{name} {text}");
            assert!(
                !shown.contains("Canary") && !shown.contains("7731"),
                "{shown}"
            );
            for secret in &secrets {
                assert!(!shown.contains(&hex::encode(secret)), "{shown}");
            }
        }
    });
}

#[test]
fn a_destroyed_key_is_gone_for_new_workers_at_once_and_for_others_when_their_time_is_over() {
    run(async {
        let place = Place::new();
        let kept = Duration::from_millis(300);
        let worker = place.with("acme", &["k1"], kept);
        let first = worker.key(SUBJECT).await.unwrap();
        let other = place.worker();
        assert_eq!(forget(&other, SUBJECT, false).await, 1);
        let stored = other.read(first.id()).await.unwrap();
        assert!(matches!(stored, Stored::Destroyed { for_good: false }));
        let next = place.worker().key(SUBJECT).await.unwrap();
        assert_ne!(secret(&first), secret(&next));
        assert_ne!(first.id(), next.id());
        tokio::time::sleep(kept).await;
        assert_eq!(secret(&worker.key(SUBJECT).await.unwrap()), secret(&next));
        // The worker that destroys a key does not use it any more either.
        let own = other.key(SUBJECT).await.unwrap();
        assert_eq!(forget(&other, SUBJECT, false).await, 1);
        assert_ne!(own.id(), other.key(SUBJECT).await.unwrap().id());
    });
}

#[test]
fn a_subject_that_is_forgotten_for_good_gets_no_key_known_or_not() {
    run(async {
        for is_known in [false, true] {
            let place = Place::new();
            if is_known {
                place.worker().key(SUBJECT).await.unwrap();
            }
            let keys = place.worker();
            assert_eq!(forget(&keys, SUBJECT, true).await, usize::from(is_known));
            for _ in 0..2 {
                assert_eq!(forget(&keys, SUBJECT, true).await, 0);
                assert_eq!(forget(&keys, SUBJECT, false).await, 0);
                let refused = place.worker().key(SUBJECT).await.unwrap_err();
                assert_eq!(refused, Error::ForGood);
                assert!(!refused.may_pass());
            }
            assert!(place.worker().key("p2").await.is_ok());
        }
    });
}

#[test]
fn after_a_rotation_older_keys_are_read_continued_and_destroyed() {
    run(async {
        let place = Place::new();
        let old = place.worker().key(SUBJECT).await.unwrap();
        let rotated = || place.with("acme", &["k2", "k1"], KEPT);
        let keys = rotated();
        assert_eq!(secret(&keys.key(SUBJECT).await.unwrap()), secret(&old));
        assert!(matches!(keys.read(old.id()).await, Ok(Stored::Key(_))));
        // A worker without the older key makes one under the new one: both are of the subject.
        let own = place
            .with("acme", &["k2"], KEPT)
            .key(SUBJECT)
            .await
            .unwrap();
        assert_ne!(secret(&own), secret(&old));
        let refused = place.with("acme", &["k2"], KEPT).read(old.id()).await.err();
        assert!(matches!(refused, Some(Error::NoKey { key, .. }) if key == "k1"));
        assert_eq!(secret(&rotated().key(SUBJECT).await.unwrap()), secret(&own));
        assert_eq!(forget(&keys, SUBJECT, true).await, 2);
        assert_eq!(rotated().key(SUBJECT).await.unwrap_err(), Error::ForGood);
        for id in [old.id(), own.id()] {
            let stored = keys.read(id).await;
            assert!(matches!(stored, Ok(Stored::Destroyed { for_good: false })));
        }
    });
}

#[test]
fn a_key_that_cannot_be_read_can_be_destroyed() {
    run(async {
        let place = Place::new();
        let keys = place.worker();
        let key = keys.key(SUBJECT).await.unwrap();
        let (path, _) = place.objects().await.remove(0);
        for bytes in ["CANARY".to_owned(), "x".repeat(10_000)] {
            place
                .store
                .put(&path.clone().into(), bytes.into())
                .await
                .unwrap();
            let error = place.worker().key(SUBJECT).await.unwrap_err();
            assert_eq!(
                error,
                Error::Foreign {
                    id: key.id().to_string()
                }
            );
            assert!(!error.to_string().contains("CANARY"));
            assert_eq!(forget(&keys, SUBJECT, false).await, 1);
        }
        assert!(place.worker().key(SUBJECT).await.is_ok());
    });
}

#[test]
fn what_is_no_name_of_a_key_is_asked_of_no_store() {
    run(async {
        let keys = Place::new().worker();
        for id in [
            "",
            "k1",
            "../../secret",
            "0123456789abcdef0123456789abcdef.0",
        ] {
            assert!(matches!(keys.read(id).await, Ok(Stored::Nothing)), "{id}");
        }
    });
}

#[test]
fn a_probe_leaves_nothing() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let at = |url: &std::path::Path| {
            let key = Key::new("k1", [1; 16]).unwrap();
            let ring = Keyring::of([key.clone()], None);
            SubjectKeys::new("acme", url.to_str().unwrap(), Options::default(), ring, key)
        };
        assert_eq!(at(folder.path()).probe().await, Ok(Some(())));
        let missing = folder.path().join("a/b");
        assert_eq!(at(&missing).probe().await, Ok(None));
        assert!(!missing.exists());
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let error = at(&file).probe().await.unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{error}");
        assert!(at(&file).key(SUBJECT).await.unwrap_err().may_pass());
        // The folder of the first key is made for it.
        at(&missing).key(SUBJECT).await.unwrap();
        assert!(missing.exists());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Workers and people who forget, in any order: a model of what each sees.
    #[test]
    fn a_destroyed_key_never_comes_back(steps in prop::collection::vec((0usize..5, 0usize..2), 1..20)) {
        run(async move {
            let place = Place::new();
            let workers = [place.with("acme", &["k1"], Duration::ZERO), place.with("acme", &["k2", "k1"], Duration::ZERO)];
            let mut destroyed: BTreeSet<Vec<u8>> = BTreeSet::new();
            let mut current: Option<Vec<u8>> = None;
            let mut is_barred = false;
            for (step, worker) in steps {
                // Only the worker with all keys of the tenant knows all names.
                let keys = &workers[worker];
                match step {
                    0 => {
                        if let Some(own) = current.take() {
                            destroyed.insert(own);
                        }
                        forget(&workers[1], SUBJECT, false).await;
                    }
                    1 if !is_barred && worker == 1 => {
                        destroyed.extend(current.take());
                        forget(&workers[1], SUBJECT, true).await;
                        is_barred = true;
                    }
                    _ if is_barred && worker == 1 => {
                        assert_eq!(keys.key(SUBJECT).await.unwrap_err(), Error::ForGood);
                    }
                    _ if worker == 1 => {
                        let own = secret(&keys.key(SUBJECT).await.unwrap());
                        assert!(!destroyed.contains(&own));
                        if let Some(current) = &current {
                            assert_eq!(&own, current);
                        }
                        current = Some(own);
                    }
                    _ => {
                        let found = keys.find(SUBJECT).await.unwrap();
                        assert!(found.keys.len() <= 1);
                    }
                }
            }
            let objects = futures::stream::iter(place.objects().await);
            let live = objects.filter(|(_, text)| futures::future::ready(text.contains("wrapped_by")));
            assert_eq!(live.count().await, usize::from(current.is_some()));
        });
    }
}
