//! Throughput of the pattern recognisers, each alone and all together, line by line.
//!
//! `cargo bench --bench patterns [-- FILE]`; without a file over invented log lines and prose.

use std::{fmt::Write, hint::black_box, time::Instant};

use weir::decode::patterns::{Options, Patterns};

/// Names that stand for several recognisers, each of which is measured. `token` is measured with its parts.
const UMBRELLAS: [&str; 2] = ["ip", "secret"];

fn main() {
    let file = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let text = match file {
        Some(path) => std::fs::read_to_string(path).expect("a UTF-8 file"),
        None => invented(),
    };
    let lines: Vec<&str> = text.lines().collect();
    println!("{} lines, {} bytes", lines.len(), text.len());
    for name in Patterns::names()
        .iter()
        .filter(|name| !UMBRELLAS.contains(name))
    {
        measure(name, &[name], None, &lines, text.len());
    }
    measure("phone (US)", &["phone"], Some("US"), &lines, text.len());
    let all: Vec<&str> = Patterns::names()
        .iter()
        .copied()
        .filter(|name| !UMBRELLAS.contains(name))
        .collect();
    measure("all", &all, None, &lines, text.len());
    measure("all, phone (US)", &all, Some("US"), &lines, text.len());
}

fn measure(title: &str, names: &[&str], region: Option<&str>, lines: &[&str], bytes: usize) {
    let patterns = Patterns::build(Options {
        builtin: names
            .iter()
            .map(|name| ((*name).to_owned(), (*name).into()))
            .collect(),
        phone_region: region.map(str::to_owned),
        ..Options::default()
    })
    .expect("built-in names");
    let (mut best, mut found) = (f64::MAX, 0);
    for _ in 0..5 {
        let started = Instant::now();
        found = lines
            .iter()
            .map(|line| black_box(patterns.find(line)).len())
            .sum();
        best = best.min(started.elapsed().as_secs_f64());
    }
    println!(
        "{title:>16}  {:8.1} MB/s  {found} found",
        bytes as f64 / best / 1e6
    );
}

/// Log lines and sentences with a value to find in about every fourth.
fn invented() -> String {
    let mut text = String::new();
    for i in 0..20_000u32 {
        let (a, b) = (i % 251, i % 97);
        let _ = match i % 8 {
            0 => writeln!(
                text,
                "2024-03-05 10:{:02}:{:02},{:03} INFO  [main] worker.Pool - job {i} took {}.{b} ms",
                i % 60,
                a % 60,
                i % 1000,
                a
            ),
            1 => writeln!(
                text,
                "Mar  5 10:22:{:02} host{b} sshd[{i}]: Failed password for root from 10.{a}.{b}.7 port {} ssh2",
                i % 60,
                1024 + a
            ),
            2 => writeln!(
                text,
                "{{\"level\":\"info\",\"user\":\"ana{i}@example.com\",\"ok\":true,\"ms\":{b}}}"
            ),
            3 => writeln!(
                text,
                "The delivery came two days late and nobody told us why; please send the form again by Friday, thanks a lot."
            ),
            4 => writeln!(
                text,
                "GET /api/v2/items/{i}?page={b} HTTP/1.1 200 {a} \"https://shop.example/cart/{i}\""
            ),
            5 => writeln!(
                text,
                "{i:06} {a} {b} INFO dfs.DataNode: Receiving block blk_{}{i} src: /10.250.{a}.{b}:50010",
                38865049064u64 + u64::from(i)
            ),
            6 => writeln!(
                text,
                "commit 9f2c41d0a7b3e5f60718293a4b5c6d7e{i:08x} by dev-{b}: fix rounding in module {a}.{b}"
            ),
            _ => writeln!(
                text,
                "We met in the old town near the river, walked for an hour, and talked about nothing in particular."
            ),
        };
    }
    text
}
