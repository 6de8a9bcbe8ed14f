//! Tiles (<https://c2sp.org/tlog-tiles>): the hashes of a tree as objects of up to 256 hashes, most of which never change
//! again.
//!
//! A tile of level 0 has hashes of leaves. Each hash of a higher level is the root of a full tile one level below. The
//! last tile of a level is partial, and its width is in its name: a tree that grows writes another object, so every head
//! that was published keeps its tiles.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::future::try_join_all;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};

use super::tree::{self, Hash, Node, Plan};

/// Hashes of a full tile.
pub const WIDTH: u64 = 256;

/// Rows of the tree in a tile.
const ROWS: u32 = 8;

/// Highest level that a name may have.
const LAST_LEVEL: u32 = 63;

/// Why tiles cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused, or gave no answer.
    #[error("tile {at} cannot be read or written")]
    Store {
        /// Path of the tile.
        at: String,
        /// Why.
        source: object_store::Error,
    },
    /// A tile that the size of the tree asks for.
    #[error("tile {at} is missing")]
    Missing {
        /// Its path.
        at: String,
    },
    /// A tile of another size.
    #[error("tile {at} is {bytes} bytes long; {expected} were expected")]
    Width {
        /// Its path.
        at: String,
        /// Bytes that it has.
        bytes: usize,
        /// Bytes that its width asks for.
        expected: usize,
    },
    /// The proof does not exist.
    #[error(transparent)]
    Tree(#[from] tree::Error),
}

/// Which tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    level: u32,
    index: u64,
    width: u64,
}

impl Tile {
    /// Those of the right edge of a tree: the partial tile of each level that has one, the lowest first.
    pub fn edge(size: u64) -> Vec<Self> {
        let levels = (0..).map_while(|level| hashes(size, level).map(|count| (level, count)));
        levels
            .filter(|(_, count)| count % WIDTH != 0)
            .map(|(level, count)| Self {
                level,
                index: count / WIDTH,
                width: count % WIDTH,
            })
            .collect()
    }

    /// The tile that holds a node of a tree of this size, and where in it the node's own row of hashes stands.
    fn of(node: Node, size: u64) -> (Self, std::ops::Range<usize>) {
        let level = node.level / ROWS;
        let row = node.level % ROWS;
        let first = node.index << row;
        let tile = Self::at(level, first / WIDTH, size);
        let start = (first % WIDTH) as usize;
        (tile, start..start + (1 << row))
    }

    /// The tile of a level at an index, as wide as it is in a tree of this size.
    fn at(level: u32, index: u64, size: u64) -> Self {
        let count = hashes(size, level).unwrap_or(0);
        let width = WIDTH.min(count.saturating_sub(index * WIDTH));
        Self {
            level,
            index,
            width,
        }
    }

    fn full(self) -> Self {
        self.with_width(WIDTH)
    }

    /// The same tile when it has so many hashes.
    pub(super) fn with_width(self, width: u64) -> Self {
        Self { width, ..self }
    }

    /// The tile of leaves at an index.
    pub(super) fn leaves(index: u64, width: u64) -> Self {
        Self {
            level: 0,
            index,
            width,
        }
    }

    /// Level.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Place in its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// `tile/LEVEL/INDEX`, with `.p/WIDTH` if it is partial.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, numbered(self.index, self.width))
    }

    /// Reads what [`Tile::path`] writes; `None` is not the path of a tile.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = super::checkpoint::decimal(level)?;
        let level = u32::try_from(level).ok().filter(|own| *own <= LAST_LEVEL)?;
        let (index, width) = parse_numbered(rest)?;
        Some(Self {
            level,
            index,
            width,
        })
    }
}

/// Hashes of a level in a tree of this size; `None` above the highest.
fn hashes(size: u64, level: u32) -> Option<u64> {
    size.checked_shr(ROWS * level).filter(|count| *count > 0)
}

/// A number as groups of three digits, `x001/x234/067`, with `.p/WIDTH` if fewer than 256 are there: objects of the same
/// numbering use it too.
pub fn numbered(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < WIDTH {
        path += &format!(".p/{width}");
    }
    path
}

/// Reads what [`numbered`] writes; `None` is written otherwise, and another object.
pub fn parse_numbered(path: &str) -> Option<(u64, u64)> {
    let (digits, width) = match path.split_once(".p/") {
        Some((digits, width)) => (digits, super::checkpoint::decimal(width)?),
        None => (path, WIDTH),
    };
    let digits: String = digits
        .split('/')
        .map(|own| own.trim_start_matches('x'))
        .collect();
    let index = digits.parse().ok()?;
    ((1..=WIDTH).contains(&width) && numbered(index, width) == path).then_some((index, width))
}

/// The right edge of a tree that grows, from which its tiles are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Hashes of the partial tile of each level.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for level in &self.levels {
            let mut row = level.clone();
            // What stands to the right of a level's hashes has fewer leaves than one of them.
            row.extend(root);
            root = (!row.is_empty()).then(|| tree::root(&row));
        }
        root.unwrap_or_else(tree::empty_root)
    }

    /// Adds a leaf by its hash; tiles that became full go to `full`.
    pub fn push(&mut self, leaf: Hash, full: &mut Vec<(Tile, Bytes)>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u32.. {
            if self.levels.len() == level as usize {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level as usize];
            row.push(hash);
            if row.len() < WIDTH as usize {
                return;
            }
            let row = std::mem::take(row);
            let tile = Tile {
                level,
                index: (self.size >> (ROWS * level)) / WIDTH - 1,
                width: WIDTH,
            };
            hash = tree::root(&row);
            full.push((tile, Bytes::from(row.concat())));
        }
    }

    /// The partial tiles.
    pub fn partial(&self) -> Vec<(Tile, Bytes)> {
        let tiles = Tile::edge(self.size).into_iter();
        tiles
            .map(|tile| (tile, Bytes::from(self.levels[tile.level as usize].concat())))
            .collect()
    }
}

/// The tiles of one log, below a prefix of a store.
#[derive(Debug, Clone)]
pub struct Tiles {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Tiles {
    /// Those below a prefix.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    /// Writes tiles. One that exists is replaced by the same bytes.
    pub async fn write(&self, tiles: Vec<(Tile, Bytes)>) -> Result<(), Error> {
        let written = tiles.into_iter().map(|(tile, bytes)| async move {
            let at = self.path(&tile);
            let put = self.store.put(&at, bytes.into()).await;
            put.map(drop).map_err(|source| failed(&at, source))
        });
        try_join_all(written).await.map(drop)
    }

    /// The right edge of the tree with this size.
    pub async fn edge(&self, size: u64) -> Result<Edge, Error> {
        let tiles = Tile::edge(size);
        let rows = try_join_all(tiles.iter().map(|tile| self.read(*tile))).await?;
        let levels = tiles.last().map_or(0, |tile| tile.level as usize + 1);
        let mut edge = Edge {
            size,
            levels: vec![Vec::new(); levels],
        };
        for (tile, row) in tiles.iter().zip(rows) {
            edge.levels[tile.level as usize] = row;
        }
        Ok(edge)
    }

    /// The proof that a leaf is in the tree of this size. What the tiles hold is not checked: the proof is, by its reader.
    pub async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.proof(&Plan::inclusion(index, size)?, size).await
    }

    /// The proof that the tree of this size grew from an older one.
    pub async fn consistency(&self, old: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.proof(&Plan::consistency(old, size)?, size).await
    }

    /// Hash of a leaf of the tree with this size.
    pub async fn leaf(&self, index: u64, size: u64) -> Result<Hash, Error> {
        if index >= size {
            return Err(tree::Error::Index { index, size }.into());
        }
        let row = self.read(Tile::at(0, index / WIDTH, size)).await?;
        Ok(row[(index % WIDTH) as usize])
    }

    async fn proof(&self, plan: &Plan, size: u64) -> Result<Vec<Hash>, Error> {
        let mut wanted: Vec<Tile> = plan.nodes().map(|node| Tile::of(node, size).0).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let rows = try_join_all(wanted.iter().map(|tile| self.read(*tile))).await?;
        let rows: HashMap<Tile, Vec<Hash>> = wanted.into_iter().zip(rows).collect();
        plan.proof(|node| {
            let (tile, place) = Tile::of(node, size);
            Ok(tree::root(&rows[&tile][place]))
        })
    }

    /// The hashes of a tile. A log may remove a partial one once it is full.
    async fn read(&self, tile: Tile) -> Result<Vec<Hash>, Error> {
        let mut found = self.get(tile).await?;
        if found.is_none() && tile.width < WIDTH {
            found = self.get(tile.full()).await?;
        }
        let mut row = found.ok_or_else(|| Error::Missing {
            at: self.path(&tile).to_string(),
        })?;
        row.truncate(tile.width as usize);
        Ok(row)
    }

    async fn get(&self, tile: Tile) -> Result<Option<Vec<Hash>>, Error> {
        let at = self.path(&tile);
        let found = match self.store.get(&at).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(&at, source)),
        };
        let bytes = found.bytes().await.map_err(|source| failed(&at, source))?;
        let expected = tile.width as usize * size_of::<Hash>();
        let (row, _) = bytes.as_chunks::<{ size_of::<Hash>() }>();
        match bytes.len() == expected {
            true => Ok(Some(row.to_vec())),
            false => Err(Error::Width {
                at: at.to_string(),
                bytes: bytes.len(),
                expected,
            }),
        }
    }

    fn path(&self, tile: &Tile) -> Path {
        let path = tile.path();
        let segments = path.split('/');
        segments.fold(self.prefix.clone(), |at, segment| at.join(segment))
    }
}

fn failed(at: &Path, source: object_store::Error) -> Error {
    Error::Store {
        at: at.to_string(),
        source,
    }
}
