//! The Merkle tree of RFC 6962: heads, and proofs that a leaf is in a tree and that a tree grew from another.
//!
//! A tree is its leaves in order. Its head is their number and one hash, and everything here is about heads: leaves lie
//! elsewhere. What a proof needs is a [`Plan`] of [`Node`]s, subtrees that are full and never change again, so any store
//! of such hashes can answer it.

use sha2::{Digest as _, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// Why a proof does not hold, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such leaf.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// Of the leaf, from 0.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// A tree cannot become smaller.
    #[error("a tree of {new} leaves cannot have grown from one of {old}")]
    Sizes {
        /// Leaves of the older tree.
        old: u64,
        /// Leaves of the newer tree.
        new: u64,
    },
    /// More hashes than the sizes allow, or fewer.
    #[error("a proof of {hashes} hashes does not fit the size of the tree")]
    Length {
        /// Hashes of the proof.
        hashes: usize,
    },
    /// The hashes lead elsewhere.
    #[error("the proof leads to another root")]
    Root,
    /// A frontier has a hash per bit that is set in its size.
    #[error("a frontier of {size} leaves has {expected} hashes, not {hashes}")]
    Frontier {
        /// Leaves.
        size: u64,
        /// Hashes that it has to have.
        expected: u32,
        /// Hashes that were given.
        hashes: usize,
    },
}

/// Root of the tree without leaves.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Hash of a leaf with this content.
pub fn leaf(content: &[u8]) -> Hash {
    // The prefixes keep a leaf from being taken for an inner node (RFC 6962, 2.1).
    let hasher = Sha256::new().chain_update([0]).chain_update(content);
    hasher.finalize().into()
}

/// Hash of an inner node.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let hasher = Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right);
    hasher.finalize().into()
}

/// Root of the tree whose leaves have these hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// A tree that can grow, in as many hashes as its size has bits that are set: those of its largest full subtrees, from
/// left to right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// A frontier that was stored.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Result<Self, Error> {
        if peaks.len() != size.count_ones() as usize {
            return Err(Error::Frontier {
                size,
                expected: size.count_ones(),
                hashes: peaks.len(),
            });
        }
        Ok(Self { size, peaks })
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("there is a peak per bit set");
            hash = node(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        folded(&self.peaks).unwrap_or_else(empty_root)
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }
}

/// Root of full subtrees that stand next to each other, the largest first; `None` if there are none.
fn folded(peaks: &[Hash]) -> Option<Hash> {
    let (last, rest) = peaks.split_last()?;
    Some(
        rest.iter()
            .rev()
            .fold(*last, |root, left| node(left, &root)),
    )
}

/// A full subtree: the leaves from `index << level`, of which it has `1 << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Height: 0 is a leaf.
    pub level: u32,
    /// From the left, from 0.
    pub index: u64,
}

/// Which nodes the hashes of a proof are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For each hash the full subtrees that it covers, from left to right.
    hashes: Vec<Vec<Node>>,
}

impl Plan {
    /// For the proof that a leaf is in a tree.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, Error> {
        if index >= size {
            return Err(Error::Index { index, size });
        }
        let (mut start, mut end) = (0, size);
        let mut hashes = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                hashes.push(cover(middle, end));
                end = middle;
            } else {
                hashes.push(cover(start, middle));
                start = middle;
            }
        }
        // From the leaf upwards.
        hashes.reverse();
        Ok(Self { hashes })
    }

    /// For the proof that a tree grew from an older one.
    pub fn consistency(old: u64, new: u64) -> Result<Self, Error> {
        if old > new {
            return Err(Error::Sizes { old, new });
        }
        let mut hashes = Vec::new();
        if old == 0 {
            return Ok(Self { hashes });
        }
        let (mut start, mut end) = (0, new);
        while end != old {
            let middle = start + split(end - start);
            if old <= middle {
                hashes.push(cover(middle, end));
                end = middle;
            } else {
                hashes.push(cover(start, middle));
                start = middle;
            }
        }
        // If nothing stands in front of it, it is the old tree, whose root the reader has.
        if start > 0 {
            hashes.push(cover(start, end));
        }
        hashes.reverse();
        Ok(Self { hashes })
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.hashes.iter().flatten().copied()
    }

    /// The proof, from the hashes of its nodes.
    pub fn proof<E>(&self, mut hash: impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
        let mut proof = Vec::with_capacity(self.hashes.len());
        for nodes in &self.hashes {
            let peaks: Result<Vec<Hash>, E> = nodes.iter().map(|node| hash(*node)).collect();
            proof.push(folded(&peaks?).expect("a range of a proof is never empty"));
        }
        Ok(proof)
    }
}

/// Leaves of the left half of a tree with `size` leaves, at least 2: the largest power of two below `size`.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The full subtrees of a range that begins where one of its own length may begin.
fn cover(start: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        let index = at >> level;
        nodes.push(Node { level, index });
        at += 1 << level;
    }
    nodes
}

/// Whether a leaf with this hash stands at `index` of the tree with this size and root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), Error> {
    if index >= size {
        return Err(Error::Index { index, size });
    }
    let length = Error::Length {
        hashes: proof.len(),
    };
    let mut walk = Walk::new(index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        hash = match walk.step().ok_or(length)? {
            Side::Left => node(sibling, &hash),
            Side::Right => node(&hash, sibling),
        };
    }
    if !walk.is_at_root() {
        return Err(length);
    }
    (hash == *root).then_some(()).ok_or(Error::Root)
}

/// Whether the newer tree begins with the leaves of the older one (RFC 9162, 2.1.4.2). Every tree has grown from that of
/// size 0, whose root is not compared.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), Error> {
    if old > new {
        return Err(Error::Sizes { old, new });
    }
    let length = Error::Length {
        hashes: proof.len(),
    };
    if old == new || old == 0 {
        if !proof.is_empty() {
            return Err(length);
        }
        let same = old != new || old_root == new_root;
        return same.then_some(()).ok_or(Error::Root);
    }
    // The old tree is a full subtree of the new one if its size is a power of two: its root is then not in the proof.
    let (begin, rest) = match old.is_power_of_two() {
        true => (old_root, proof),
        false => proof.split_first().ok_or(length)?,
    };
    let mut walk = Walk::new(old - 1, new - 1);
    walk.skip_full();
    let (mut old_hash, mut new_hash) = (*begin, *begin);
    for sibling in rest {
        match walk.step().ok_or(length)? {
            Side::Left => {
                old_hash = node(sibling, &old_hash);
                new_hash = node(sibling, &new_hash);
            }
            Side::Right => new_hash = node(&new_hash, sibling),
        }
    }
    if !walk.is_at_root() {
        return Err(length);
    }
    let holds = old_hash == *old_root && new_hash == *new_root;
    holds.then_some(()).ok_or(Error::Root)
}

/// The way from a node up to the root: its place in each row, and that of the row's last node.
struct Walk {
    place: u64,
    last: u64,
}

/// Where a sibling stands.
enum Side {
    Left,
    Right,
}

impl Walk {
    fn new(place: u64, last: u64) -> Self {
        Self { place, last }
    }

    /// Up one row; `None` if this was the root.
    fn step(&mut self) -> Option<Side> {
        if self.is_at_root() {
            return None;
        }
        let is_right = self.place & 1 == 1;
        let side = match is_right || self.place == self.last {
            true => Side::Left,
            false => Side::Right,
        };
        // The last node of a row without a sibling is that of the row above.
        if !is_right && self.place == self.last {
            let rows = self.place.trailing_zeros();
            self.up(rows);
        }
        self.up(1);
        Some(side)
    }

    /// Up to where the node is no longer a right one.
    fn skip_full(&mut self) {
        self.up(self.place.trailing_ones());
    }

    fn up(&mut self, rows: u32) {
        self.place = self.place.checked_shr(rows).unwrap_or(0);
        self.last = self.last.checked_shr(rows).unwrap_or(0);
    }

    fn is_at_root(&self) -> bool {
        self.last == 0
    }
}
