//! A small witness of the C2SP protocol: it keeps the last head of each log that it knows, and signs what grew from it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::Url;
use weir::audit::{
    checkpoint::Checkpoint,
    note::{Note, SigningKey, VerifyingKey},
    tree::{self, Hash},
};

/// Seconds since 1970 of all its signatures.
pub const TIME: u64 = 1_700_000_000;

/// A witness, which answers as long as it is held.
pub struct WitnessServer {
    address: SocketAddr,
    key: VerifyingKey,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    key: SigningKey,
    logs: BTreeMap<String, VerifyingKey>,
    last: BTreeMap<String, (u64, Hash)>,
    /// Answers instead of the right one.
    instead: Option<(u16, String)>,
    asked: usize,
}

impl WitnessServer {
    pub fn start(name: &str, origin: &str, log: VerifyingKey) -> Self {
        let key = SigningKey::generate(name).unwrap();
        let cosigner = key.cosigner();
        let state = Arc::new(Mutex::new(State {
            key,
            logs: [(origin.to_owned(), log)].into(),
            last: BTreeMap::new(),
            instead: None,
            asked: 0,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (for_thread, stopped) = (state.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                serve(&stream.unwrap(), &for_thread);
            }
        });
        Self {
            address,
            key: cosigner,
            state,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> Url {
        format!("http://{}/w1/", self.address).parse().unwrap()
    }

    pub fn key(&self) -> VerifyingKey {
        self.key.clone()
    }

    pub fn last(&self, origin: &str) -> Option<(u64, Hash)> {
        self.state.lock().unwrap().last.get(origin).copied()
    }

    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    pub fn answer_instead(&self, answer: Option<(u16, String)>) {
        self.state.lock().unwrap().instead = answer;
    }
}

impl Drop for WitnessServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let (mut length, mut lines) = (0, Vec::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(digits) = lower.strip_prefix("content-length:") {
            length = digits.trim().parse().unwrap();
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut state = state.lock().unwrap();
    state.asked += 1;
    let (status, text) = match state.instead.clone() {
        Some(answer) => answer,
        None if !lines[0].starts_with("POST /w1/add-checkpoint ") => (404, String::new()),
        None => state.add_checkpoint(std::str::from_utf8(&body).unwrap()),
    };
    let kind = match status {
        409 if text.ends_with('\n') => "text/x.tlog.size",
        _ => "text/plain",
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
}

impl State {
    fn add_checkpoint(&mut self, body: &str) -> (u16, String) {
        let refused = |status: u16| (status, String::new());
        let Some((front, note)) = body.split_once("\n\n") else {
            return refused(400);
        };
        let mut lines = front.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let proof: Option<Vec<Hash>> = lines
            .map(|line| STANDARD.decode(line).ok()?.try_into().ok())
            .collect();
        let head = Note::parse(note.as_bytes())
            .ok()
            .and_then(|note| Some((note.text().parse::<Checkpoint>().ok()?, note)));
        let (Some(Ok(old)), Some(proof), Some((head, note))) =
            (old.map(str::parse::<u64>), proof, head)
        else {
            return refused(400);
        };
        let Some(log) = self.logs.get(&head.origin) else {
            return refused(404);
        };
        if note.verified([log]).is_err() {
            return refused(403);
        }
        if old > head.size {
            return refused(400);
        }
        let last = self.last.get(&head.origin).copied();
        let (size, root) = last.unwrap_or((0, tree::empty_root()));
        if old != size {
            return (409, format!("{size}\n"));
        }
        if old == head.size && old > 0 && root != head.root {
            return refused(409);
        }
        let (older, newer) = ((old, &root), (head.size, &head.root));
        if tree::verify_consistency(older, newer, &proof).is_err() {
            return refused(422);
        }
        self.last.insert(head.origin, (head.size, head.root));
        (200, format!("{}\n", self.key.cosign(note.text(), TIME)))
    }
}
