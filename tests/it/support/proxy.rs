//! A bad network in front of a broker: connections that are slow, silent in one direction or both, or
//! reset. What is held back arrives later, as TCP would send it again.

use std::{
    net::{SocketAddr, TcpListener as Bound},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use crate::support::engine;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Whole,
    /// Each piece arrives so much later.
    Slow(Duration),
    /// Nothing reaches the broker; its answers pass.
    SilentToBroker,
    /// Nothing reaches the client; its requests pass.
    SilentToClient,
    /// Nothing passes, and connections that are made lead nowhere.
    BlackHole,
    /// The broker gets the records that a client writes, and the connection ends instead of its answer.
    WritesUnanswered,
    /// Records that a client writes arrive so much later; everything else passes.
    WritesSlow(Duration),
}

/// One broker's proxy, as long as it is held.
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    /// Counts resets: each one ends the connections that there are.
    resets: watch::Sender<u64>,
}

#[derive(Clone, Copy)]
enum Direction {
    ToBroker,
    ToClient,
}

impl Network {
    fn holds(self, direction: Direction) -> bool {
        match direction {
            Direction::ToBroker => matches!(self, Self::SilentToBroker | Self::BlackHole),
            Direction::ToClient => matches!(self, Self::SilentToClient | Self::BlackHole),
        }
    }
}

impl Proxy {
    /// Leads to a port of this host, on which nobody has to listen yet.
    pub fn start(to: u16) -> Self {
        let bound = Bound::bind("127.0.0.1:0").unwrap();
        bound.set_nonblocking(true).unwrap();
        let port = bound.local_addr().unwrap().port();
        let (network, of_network) = watch::channel(Network::Whole);
        let (resets, of_resets) = watch::channel(0);
        let to = SocketAddr::from(([127, 0, 0, 1], to));
        runtime().spawn(async move {
            let listener = TcpListener::from_std(bound).unwrap();
            let mut over = of_network.clone();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        tokio::spawn(lead(client, to, of_network.clone(), of_resets.clone()));
                    }
                    // The proxy is dropped.
                    Err(_) = closed(&mut over) => return,
                }
            }
        });
        Self {
            port,
            network,
            resets,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// Resets all connections.
    pub fn reset(&self) {
        self.resets.send_modify(|count| *count += 1);
    }
}

/// One for all proxies.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(engine::runtime)
}

async fn closed(network: &mut watch::Receiver<Network>) -> Result<(), watch::error::RecvError> {
    loop {
        network.changed().await?;
    }
}

async fn lead(
    mut client: TcpStream,
    to: SocketAddr,
    mut network: watch::Receiver<Network>,
    mut resets: watch::Receiver<u64>,
) {
    resets.mark_unchanged();
    let passes = network.wait_for(|network| *network != Network::BlackHole);
    if passes.await.is_err() {
        return;
    }
    let Ok(mut broker) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let is_reset = {
        let (from_client, to_client) = client.split();
        let (from_broker, to_broker) = broker.split();
        let ends = AtomicBool::new(false);
        let there = pass(
            from_client,
            to_broker,
            Direction::ToBroker,
            network.clone(),
            &ends,
        );
        let back = pass(from_broker, to_client, Direction::ToClient, network, &ends);
        tokio::select! {
            ((), ()) = async { tokio::join!(there, back) } => false,
            _ = resets.changed() => true,
        }
    };
    if is_reset {
        // What is closed with a linger of zero is reset.
        let _ = (client.set_zero_linger(), broker.set_zero_linger());
    }
}

/// Passes bytes on until either end closes. `ends`: the next answer is not passed on, but ends the connection.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    mut network: watch::Receiver<Network>,
    ends: &AtomicBool,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut requests = Requests::default();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let passes = network.wait_for(|network| !network.holds(direction));
        let now = match passes.await {
            Ok(now) => *now,
            Err(_) => return,
        };
        match direction {
            Direction::ToBroker => {
                let writes = requests.write_in(&buffer[..count]);
                if writes && now == Network::WritesUnanswered {
                    ends.store(true, Ordering::Release);
                }
                if let Network::WritesSlow(by) = now
                    && writes
                {
                    tokio::time::sleep(by).await;
                }
            }
            Direction::ToClient if ends.load(Ordering::Acquire) => break,
            Direction::ToClient => {}
        }
        if let Network::Slow(by) = now {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Follows the requests of a connection: each is its length in four bytes, then its kind in two.
#[derive(Default)]
struct Requests {
    /// What is known of the request that has begun.
    head: Vec<u8>,
    /// Bytes of it that are still to come.
    left: usize,
}

impl Requests {
    /// Whether a request to write records begins in these bytes, which follow those of the last call.
    fn write_in(&mut self, mut bytes: &[u8]) -> bool {
        const HEAD: usize = 6;
        let mut found = false;
        while !bytes.is_empty() {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            bytes = &bytes[passed..];
            let of_head = (HEAD - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..of_head]);
            bytes = &bytes[of_head..];
            if let [a, b, c, d, kind @ ..] = &*self.head
                && let Ok(kind) = <[u8; 2]>::try_from(kind)
            {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                self.left = length - kind.len();
                // Produce, in Kafka's protocol.
                found |= u16::from_be_bytes(kind) == 0;
                self.head.clear();
            }
        }
        found
    }
}
