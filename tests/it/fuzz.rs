//! The fuzz targets of `fuzz/`, for a bounded time: the corpus as it is, then mutations of it.
//!
//! The input of run `n` depends on the seed and `n` alone. Before each run the input is written to a
//! file, so that a hang or an abort leaves it behind too.
//!
//! - `FUZZ_SECONDS=60 cargo test --test it fuzz` looks longer.
//! - `FUZZ_SEED=7` looks elsewhere.
//! - `FUZZ_INPUT=FILE cargo test --test it fuzz::TARGET` runs one input.

use std::{
    fs,
    io::{Seek as _, Write as _},
    panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// For each target: about 25 s of the suite on two cores.
const SECONDS: f64 = 1.5;

/// Longest input: every construct of every format fits, and a run stays short.
const MAX_BYTES: usize = 6 << 10;

/// No input of a few KB may take longer, even on a loaded machine in a debug build.
const SLOW: Duration = Duration::from_secs(20);

/// An input that breaks a promise.
#[derive(Debug)]
struct Failure {
    seed: u64,
    run: u64,
    file: PathBuf,
    what: String,
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs `target` on its corpus and on mutations of it for `time`; returns the number of runs.
fn search(
    name: &str,
    target: impl Fn(&[u8]) + panic::RefUnwindSafe,
    corpus: &[Vec<u8>],
    seed: u64,
    time: Duration,
) -> Result<u64, Failure> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    let mut last = fs::File::create(&file).unwrap();
    let start = Instant::now();
    let mut run = 0;
    loop {
        let input = match corpus.get(run as usize) {
            Some(item) => item.clone(),
            None if start.elapsed() > time => break,
            None => mutated(corpus, seed, run),
        };
        // The file stays open: making it anew each time costs more than most runs.
        last.set_len(0).unwrap();
        last.rewind().unwrap();
        last.write_all(&input).unwrap();
        let begun = Instant::now();
        let ended = panic::catch_unwind(|| target(&input));
        let what = match ended {
            Err(panic) => panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_owned())),
            Ok(()) if begun.elapsed() > SLOW => Some(format!("took {:?}", begun.elapsed())),
            Ok(()) => {
                run += 1;
                continue;
            }
        };
        let what = what.unwrap_or_default();
        return Err(Failure {
            seed,
            run,
            file,
            what,
        });
    }
    fs::remove_file(&file).unwrap();
    Ok(run)
}

fn run(name: &str, target: fn(&[u8])) {
    if let Some(file) = std::env::var_os("FUZZ_INPUT") {
        return target(&fs::read(file).unwrap());
    }
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<f64>().unwrap())
    };
    let seed = number("FUZZ_SEED").unwrap_or(0.0) as u64;
    let time = Duration::from_secs_f64(number("FUZZ_SECONDS").unwrap_or(SECONDS));
    match search(name, target, &corpus(name), seed, time) {
        Ok(runs) => println!("{name}: {runs} runs"),
        Err(Failure {
            seed,
            run,
            file,
            what,
        }) => panic!(
            "target {name}, seed {seed}, run {run}: {what}\nthe input is in {file}; repeat it with\n  \
             FUZZ_INPUT={file} cargo test --test it fuzz::{name}",
            file = file.display()
        ),
    }
}

/// Stretches that parsers treat in a special way.
const TOKENS: &[&[u8]] = &[
    targets::CANARY.as_bytes(),
    b"\"CANARY-9f31c7-PLANTED-VALUE\"",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"\xED\xA0\x80",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[",
    b",",
    b":",
    b"=",
    b"\"",
    b"\"\"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"null",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"nan",
    b"{\"a\":\"b\"}\n",
    b"\"tenant\":[]",
    b"\"a\":",
    b"#",
    b"\xE2\x80\x8D",
    b"\xCC\x81",
    b"\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA",
    b"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7",
    b"\xC4\xB0",
    b"\xCF\x82",
    b"\xE2\x80\xAE",
    b"\xC2\xA0",
    b"\xE3\x80\x80",
    b"ana@mail.example",
    b"https://[2001:db8::1]:80/a?b=c#d",
    b"192.0.2.255",
    b"00:00:5e:00:53:ff",
    b"DE89 3704 0044 0532 0130 00",
    b"4111 1111 1111 1111",
    b"+1 (202) 555-0143",
    b"123-45-6789",
    b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
    b"AKIAIOSFODNN7EXAMPLE",
    b"-----BEGIN PRIVATE KEY-----",
    b"-----END PRIVATE KEY-----",
    b"123e4567-e89b-12d3-a456-426614174000",
    b"0x52908400098527886E0F7030069857D2E4169EE7",
    b"\xFF\xFF\xFF\xFF",
    b"\xFF\xFF\xFF\x7F",
    b"\x00\x00\x00\x80",
    b"ARROW1",
    b"PAR1",
    b"PK\x03\x04",
    b"\x1F\x8B\x08\x00",
    b"\x28\xB5\x2F\xFD",
];

/// Input number `run` of a seed.
fn mutated(corpus: &[Vec<u8>], seed: u64, run: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ run);
    let mut input = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..1 << random.random_range(0..5) {
        mutate(&mut input, corpus, &mut random);
    }
    input.truncate(MAX_BYTES);
    input
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let span = at..(at + random.random_range(0..24)).min(input.len());
    match random.random_range(0..9) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = (random.next_u32() % 256) as u8,
        2 => drop(input.splice(
            at..at,
            vec![(random.next_u32() % 256) as u8; 1 + span.len()],
        )),
        3 => input.truncate(at),
        4 => drop(input.drain(span)),
        5 => {
            let copy = input[span].to_vec();
            let copies = random.random_range(1..8);
            input.splice(at..at, copy.repeat(copies));
        }
        6 => {
            // The head of this item and the tail of another.
            let other = &corpus[random.random_range(0..corpus.len())];
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        7 => {
            let other = &corpus[random.random_range(0..corpus.len())];
            let from = random.random_range(0..=other.len());
            let to = (from + random.random_range(0..64)).min(other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
        _ => {
            let token = TOKENS[random.random_range(0..TOKENS.len())];
            // In place of as many bytes, half of the time: formats with lengths keep them.
            let replaced = if random.random() { token.len() } else { 0 };
            let end = (at + replaced).min(input.len());
            input.splice(at..end, token.iter().copied());
        }
    }
}

macro_rules! bounded {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), targets::$name);
        })*

        #[test]
        fn every_target_has_a_run_a_corpus_and_a_libfuzzer_binary() {
            let all: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(all, [$(stringify!($name)),*]);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            for name in all {
                assert!(!corpus(name).is_empty(), "{name}");
                let binary = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
                assert!(binary.contains(&format!("targets::{name}(data)")), "{name}");
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
            }
        }
    };
}

bounded!(
    arrow,
    audit_record,
    avro,
    checkpoint,
    config,
    detection,
    encodings,
    evaluation,
    graph,
    gzip,
    json,
    json_lines,
    key,
    log_lines,
    note,
    overrides,
    pack,
    parquet,
    projection,
    proof,
    tenant,
    text_stream,
    tile,
    token,
    tokenizer,
    trust,
    viterbi,
    windows,
    zstandard,
);

#[test]
fn the_driver_finds_a_planted_bug_and_leaves_the_input_behind() {
    let planted = |data: &[u8]| assert!(!data.windows(3).any(|three| three == b"}{\""), "planted");
    let corpus = [b"{\"a\":1}".to_vec(), b"{\"b\":[\"c\"]}".to_vec()];
    let failure = search("planted", planted, &corpus, 1, Duration::from_secs(20)).unwrap_err();
    let again = search(
        "planted_again",
        planted,
        &corpus,
        1,
        Duration::from_secs(20),
    )
    .unwrap_err();
    assert_eq!((failure.run, &failure.what), (again.run, &again.what));
    assert!(failure.what.contains("planted"));
    let input = fs::read(&failure.file).unwrap();
    assert_eq!(input, mutated(&corpus, 1, failure.run));
    assert!(panic::catch_unwind(|| planted(&input)).is_err());
}

#[test]
fn the_corpus_of_packed_and_table_files_holds_whole_ones() {
    // Mutations of files that no reader takes would test the first check alone.
    for (name, magic) in [
        ("gzip", &b"\x1F\x8B"[..]),
        ("zstandard", b"\x28\xB5\x2F\xFD"),
        ("parquet", b"PAR1"),
        ("arrow", b"ARROW1"),
        ("projection", b"PK"),
    ] {
        assert!(
            corpus(name).iter().any(|item| item.starts_with(magic)),
            "{name}"
        );
    }
}

/// `FUZZ_SEEDS=write` writes them, after a change of what is signed.
#[test]
fn the_corpus_has_what_the_targets_of_the_audit_begin_with() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let writes = std::env::var_os("FUZZ_SEEDS").is_some_and(|value| value == "write");
    for (target, name, bytes) in targets::audit::seeds() {
        let file = folder.join(target).join(name);
        if writes {
            fs::create_dir_all(folder.join(target)).unwrap();
            fs::write(&file, &bytes).unwrap();
        }
        // What `encrypt` and a signature make of equal input is equal.
        assert!(fs::read(&file).unwrap() == bytes, "{target}/{name}");
    }
}
