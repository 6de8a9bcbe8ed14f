//! The notary's process on a real stream, and its anchors in a real bucket.

use std::{
    path::Path as FilePath,
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use futures::executor::block_on;
use object_store::{
    ObjectStoreExt as _,
    aws::AmazonS3,
    local::LocalFileSystem,
    path::Path,
    signer::{SignedUrlOptions, Signer as _},
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir::audit::{
    anchor::{Anchor, Error, Head},
    archive::Archive,
    checkpoint::Checkpoint,
    locked::LockedBucket,
    note::SigningKey,
    proof::Proof,
    roll::Roll,
    tile::Tiles,
    trust::Trust,
};

use crate::support::{
    audit::Author,
    broker::Broker,
    eventually::{eventually, so},
    job::{Job, command, ended, pack, piped, signal, terminate, weir},
    s3::S3Server,
    topic::record,
    witness::WitnessServer,
    worker::PATTERNS_ONLY,
};

const ORIGIN: &str = "example.com/stream";

/// A stream whose worker writes an audit topic.
struct Stream {
    broker: Arc<Broker>,
    input: String,
    audit: String,
    job: Job,
}

impl Stream {
    fn new() -> Self {
        Self::with("")
    }

    /// One with more lines in `[sink]`.
    fn with(lines: &str) -> Self {
        let broker = Broker::shared();
        let [input, entities, dead, audit] =
            broker.topics([("in", 3), ("entities", 1), ("dead", 1), ("audit", 2)]);
        let job = Job::with(&format!(
            "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{input}\"]\n\
             group_id = \"g-{input}\"\nauto_offset_reset = \"earliest\"\n\
             [sink]\ntype = \"kafka\"\naudit_key_file = \"audit.key\"\n{lines}\
             transaction = {{ max_documents = 20, max_ms = 100 }}\n\
             topics = {{ entities = \"{entities}\", dead_letters = \"{dead}\", audit = \"{audit}\" }}\n\
             [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {:?}\n",
            broker.address,
            pack().display().to_string()
        ));
        job.write("tenants/acme.toml", PATTERNS_ONLY);
        job.write("audit.key", "a secret of the test");
        Self {
            broker,
            input,
            audit,
            job,
        }
    }

    fn client(&self) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", &self.broker.address);
        config
    }

    fn produce(&self, from: usize, count: usize) {
        let producer: BaseProducer = self.client().create().unwrap();
        for (number, (key, value)) in (from..from + count).map(|own| (own, record(own))) {
            let record = BaseRecord::to(&self.input).partition((number % 3) as i32);
            producer.send(record.key(&key).payload(&value)).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// Records of another author in a transaction that is aborted.
    fn abort(&self) {
        let id = format!("abort-{}", self.audit);
        let producer: BaseProducer = self.client().set("transactional.id", id).create().unwrap();
        let wait = Duration::from_secs(20);
        producer.init_transactions(wait).unwrap();
        producer.begin_transaction().unwrap();
        let mut author = Author::new(&self.input, 0);
        for json in [author.begin(), author.event()] {
            let record = BaseRecord::<str, [u8]>::to(&self.audit).partition(0);
            producer.send(record.payload(&json)).unwrap();
        }
        producer.flush(wait).unwrap();
        producer.abort_transaction(wait).unwrap();
    }

    /// Ten records of one partition in a transaction.
    fn transaction(&self, from: usize, is_committed: bool) {
        let id = format!("source-{}-{from}", self.input);
        let producer: BaseProducer = self.client().set("transactional.id", id).create().unwrap();
        let wait = Duration::from_secs(20);
        producer.init_transactions(wait).unwrap();
        producer.begin_transaction().unwrap();
        for (key, value) in (from..from + 10).map(record) {
            let record = BaseRecord::to(&self.input).partition(0);
            producer.send(record.key(&key).payload(&value)).unwrap();
        }
        producer.flush(wait).unwrap();
        match is_committed {
            true => producer.commit_transaction(wait).unwrap(),
            false => producer.abort_transaction(wait).unwrap(),
        }
    }

    fn notary(&self, witness: &WitnessServer) -> Child {
        let path = |name: &str| self.job.path(name).display().to_string();
        let witness = format!("{}={}", witness.url(), witness.key());
        let mut notary: Command = command(&[
            "audit",
            "notary",
            "--config",
            &self.job.config(),
            "--origin",
            ORIGIN,
            "--archive",
            &path("archive"),
            "--key",
            &path("notary.key"),
            "--interval",
            "1",
            "--anchor",
            &path("anchor"),
            "--witness",
            &witness,
        ]);
        piped(&mut notary)
    }

    fn newest(&self) -> Option<Roll> {
        let folder = self.job.path("archive");
        if !folder.is_dir() {
            return None;
        }
        let store = LocalFileSystem::new_with_prefix(folder).unwrap();
        let archive = Archive::new(Arc::new(store), Path::ROOT, ORIGIN).unwrap();
        block_on(async {
            let (_, head) = archive.checkpoint().await.unwrap()?;
            Some(archive.expect_roll(head.size - 1).await.unwrap().0)
        })
    }

    /// Waits until a roll says that offsets of each partition are in the logs up to here.
    fn wait_for(&self, next: i64) -> Roll {
        eventually(Duration::from_secs(90), || {
            let roll = self.newest().ok_or("no roll")?;
            let reached = roll.partitions.iter().all(|own| own.next >= Some(next));
            so(reached && roll.partitions.len() == 3, "not all of it")?;
            Ok::<_, String>(roll)
        })
    }
}

#[test]
fn notaries_that_are_killed_leave_one_log_that_proves_each_record_of_the_stream() {
    let stream = Stream::new();
    let key = stream.job.path("notary.key").display().to_string();
    let made = weir(&["audit", "keygen", ORIGIN, "--out", &key]).expect(0);
    let public = made.stdout.trim().parse().unwrap();
    weir(&["audit", "keygen", ORIGIN, "--out", &key])
        .expect(78)
        .says(&["weir never replaces a private key"]);
    let witness = WitnessServer::start("witness.example", ORIGIN, public);
    let worker = piped(&mut stream.job.command(&["--quiet"]));
    stream.abort();
    for round in 0..3 {
        stream.produce(round * 60, 60);
        let notary = stream.notary(&witness);
        stream.wait_for((round as i64 + 1) * 20);
        signal(notary.id(), "KILL");
        assert_eq!(ended(notary).code, -1);
    }
    let (one, two) = (stream.notary(&witness), stream.notary(&witness));
    stream.produce(180, 60);
    let roll = stream.wait_for(80);
    terminate(&worker);
    ended(worker).expect(0);
    for notary in [one, two] {
        terminate(&notary);
        let ran = ended(notary).expect(0);
        assert!(!ran.stderr.contains("PRIVATE"), "{}", ran.stderr);
    }
    assert_eq!((roll.breaks.count, roll.refused.count), (0, 0), "{roll:?}");
    let partitions = roll.partitions.iter();
    let ends: Vec<_> = partitions
        .map(|own| (own.first, own.next, own.high))
        .collect();
    assert_eq!(ends, [(Some(0), Some(80), Some(80)); 3]);
    assert!(witness.last(ORIGIN).unwrap().0 > roll.number);
    let trust = Trust::new(ORIGIN, vec![made.stdout.trim().parse().unwrap()]).unwrap();
    let trust = trust.with_witnesses(vec![witness.key()], 1).unwrap();
    let archive = stream.job.path("archive").display().to_string();
    for (partition, offset) in [(0, 0), (1, 41), (2, 79)] {
        let place = format!("{}/{partition}/{offset}", stream.input);
        let proven = weir(&["audit", "prove", "--source", &place, "--archive", &archive]);
        let proof = Proof::parse(proven.expect(0).stdout.as_bytes()).unwrap();
        let shown = proof.verify(&trust).unwrap();
        assert_eq!(
            (shown.link.partition, shown.link.offset),
            (partition, Some(offset))
        );
        assert_eq!(shown.witnesses.len(), 1);
    }
    let place = format!("{}/0/80", stream.input);
    weir(&["audit", "prove", "--source", &place, "--archive", &archive])
        .expect(1)
        .says(&["has a record about"]);
    // The folder of anchors has the newest head that the witness has signed. A notary that is killed between a head and
    // its anchors leaves out that size: the next head covers it.
    let newest = witness.last(ORIGIN).unwrap().0;
    let kept = stream.job.path("anchor").join(ORIGIN);
    assert!(kept.join(format!("{newest:020}.note")).exists(), "{newest}");
}

/// A folder and all below it.
fn copy(from: &FilePath, to: &FilePath) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.unwrap().success());
}

#[test]
fn an_archive_of_a_real_stream_is_proven_without_a_broker_and_an_older_one_is_not() {
    let stream = Stream::with("audit_seal_key_file = \"worker.key\"\n");
    let path = |name: &str| stream.job.path(name).display().to_string();
    let keygen = |name: &str, file: &str| {
        let made = weir(&["audit", "keygen", name, "--out", &path(file)]).expect(0);
        made.stdout.trim().to_owned()
    };
    let (public, sealer) = (
        keygen(ORIGIN, "notary.key"),
        keygen("worker-1", "worker.key"),
    );
    let witness = WitnessServer::start("witness.example", ORIGIN, public.parse().unwrap());
    let worker = piped(&mut stream.job.command(&["--quiet"]));
    stream.produce(0, 60);
    stream.transaction(100, false);
    stream.transaction(200, true);
    stream.produce(60, 3);
    let until = |notary: Child, next: i64| {
        eventually(Duration::from_secs(90), || {
            let roll = stream.newest().ok_or("no roll")?;
            let own: Vec<i64> = roll.partitions.iter().filter_map(|own| own.next).collect();
            so(
                own.first() == Some(&next) && own[1..] == [own[1]; 2],
                "not all of it",
            )
        });
        terminate(&notary);
        ended(notary).expect(0);
    };
    until(stream.notary(&witness), 43);
    let trust = format!(
        "origin = \"{ORIGIN}\"\nnotaries = [\"{public}\"]\nwitnesses = [\"{}\"]\nquorum = 1\n",
        witness.key()
    );
    stream.job.write("bare.toml", &trust);
    let trust = format!("{trust}workers = [\"{sealer}\"]\n");
    stream.job.write("trust.toml", &trust);
    let verify = |archive: &str, more: &[&str]| {
        let (archive, trust, state) = (path(archive), path("trust.toml"), path("last.note"));
        let own = ["audit", "verify", "--archive", &archive, "--state", &state];
        let more = match more.contains(&"--trust") {
            true => more.to_vec(),
            false => [&["--trust", &trust], more].concat(),
        };
        weir(&[&own, &*more].concat())
    };
    let shown = verify("archive", &["--anchor", &path("anchor")])
        .expect(0)
        .stdout;
    for part in [
        "PROVEN: 76 audit records of 3 partitions",
        "2 offsets markers of transactions",
        "10 offsets of aborted transactions",
        " seals",
        "witness.example saw a head of it at",
        "no broker was asked",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let seen = std::fs::read_to_string(path("last.note")).unwrap();
    let json = verify("archive", &["--json"]).expect(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["result"], &json["seals_checked"]),
        (&"proven".into(), &true.into())
    );
    let shown = verify("archive", &["--trust", &path("bare.toml")])
        .expect(0)
        .stdout;
    assert!(shown.contains("no seal was checked"), "{shown}");

    // The stream goes on, and somebody sets the archive back.
    copy(&stream.job.path("archive"), &stream.job.path("old"));
    stream.produce(63, 3);
    until(stream.notary(&witness), 44);
    terminate(&worker);
    ended(worker).expect(0);
    verify("archive", &[]).expect(0);
    let newer = std::fs::read_to_string(path("last.note")).unwrap();
    assert_ne!(seen, newer);
    let shown = verify("old", &[]).expect(1).stdout;
    for part in ["BROKEN: ", "set back: ", "last.note", "roll/checkpoint"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    assert_eq!(std::fs::read_to_string(path("last.note")).unwrap(), newer);
    // Without a quorum, or another's head, only the notary says that this is the one history.
    let alone =
        format!("origin = \"{ORIGIN}\"\nnotaries = [\"{public}\"]\nworkers = [\"{sealer}\"]\n");
    stream.job.write("alone.toml", &alone);
    let alone = path("alone.toml");
    let shown = verify("archive", &["--trust", &alone]).expect(1).stdout;
    assert!(shown.contains("UNANCHORED: "), "{shown}");
    verify("archive", &["--trust", &alone, "--accept", "unanchored"]).expect(0);
    verify("archive", &["--trust", &alone, "--anchor", &path("anchor")]).expect(0);
    let shown = verify("nothing", &[]);
    assert_ne!(shown.code, 0);
}

#[cfg(unix)]
#[test]
fn a_private_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let job = Job::new("");
    let key = job.path("n.key");
    weir(&[
        "audit",
        "keygen",
        "n.example",
        "--out",
        &key.display().to_string(),
    ])
    .expect(0);
    let mode = |file: &FilePath| file.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    weir::audit::key_file::read(&key).unwrap();
    let mut open = key.metadata().unwrap().permissions();
    open.set_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    let error = weir::audit::key_file::read(&key).unwrap_err();
    assert!(error.to_string().contains("mode 644"), "{error}");
}

/// A head of a log without leaves.
fn head(key: &SigningKey, size: u64, root: u8) -> (weir::audit::note::Note, Checkpoint) {
    let head = Checkpoint::new(ORIGIN, size, [root; 32]);
    (head.signed(&[key]).unwrap(), head)
}

async fn send(request: reqwest::RequestBuilder) -> reqwest::Response {
    request.send().await.unwrap()
}

/// A bucket with object lock, made by the API.
async fn locked(bucket: &AmazonS3) {
    let name = "x-amz-bucket-object-lock-enabled";
    let signed = SignedUrlOptions::default()
        .with_signed_header(name.parse().unwrap(), "true".parse().unwrap());
    let wait = Duration::from_secs(60);
    let root = Path::ROOT;
    let url = bucket.signed_url_opts(reqwest::Method::PUT, &root, wait, &signed);
    let client = reqwest::Client::new();
    let answer = send(client.put(url.await.unwrap()).header(name, "true")).await;
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
}

#[tokio::test]
async fn a_locked_bucket_keeps_each_head_for_its_time() {
    let server = S3Server::shared();
    let bucket = server.bucket("weir-locked");
    locked(&bucket).await;
    let (key, rolls) = (
        SigningKey::from_seed(ORIGIN, &[1; 32]).unwrap(),
        Tiles::new(server.store(), Path::ROOT),
    );
    let anchor = LockedBucket::new(bucket, Path::from("heads"), "vault", 2).unwrap();
    let (note, checkpoint) = head(&key, 7, 1);
    let of = |note, checkpoint| Head {
        note,
        checkpoint,
        rolls: &rolls,
    };
    for _ in 0..2 {
        anchor.keep(of(&note, &checkpoint)).await.unwrap();
    }
    let (other, contradicts) = head(&key, 7, 2);
    let error = anchor.keep(of(&other, &contradicts)).await.unwrap_err();
    assert!(error.is_fork(), "{error}");
    let bucket = server.bucket("weir-locked");
    let at = Path::from("heads/example.com/stream/00000000000000000007.note");
    let (client, wait) = (reqwest::Client::new(), Duration::from_secs(60));
    let url = bucket.signed_url(reqwest::Method::HEAD, &at, wait);
    let answer = send(client.head(url.await.unwrap())).await;
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    assert_eq!(header("x-amz-object-lock-mode").unwrap(), "COMPLIANCE");
    let until = header("x-amz-object-lock-retain-until-date").unwrap();
    let until: jiff::Timestamp = until.parse().unwrap();
    let hours = (until - jiff::Timestamp::now())
        .total(jiff::Unit::Hour)
        .unwrap();
    assert!((46.0..=48.0).contains(&hours), "{until}");
    let kept = bucket.get(&at).await.unwrap().bytes().await.unwrap();
    assert_eq!(kept, note.to_string());
    // Of a bucket with versions, a plain delete would only hide it.
    let version = header("x-amz-version-id");
    let query = version.map(|version| ("versionId", version));
    let query = SignedUrlOptions::default().with_query(query);
    let url = bucket.signed_url_opts(reqwest::Method::DELETE, &at, wait, &query);
    let answer = send(client.delete(url.await.unwrap())).await;
    assert_eq!(answer.status().as_u16(), 403);
    // A bucket without a lock does not keep it silently.
    let open = LockedBucket::new(server.bucket("weir-test"), Path::from("x"), "open", 2).unwrap();
    let error = open.keep(of(&note, &checkpoint)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}
