//! A tree that is grown again from its leaves, and its tiles compared with it.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    super::{
        Fold, LogFault,
        archive::{Archive, Error},
        tile::{Edge, Tile, WIDTH},
        tree::Hash,
    },
    AT_ONCE,
    objects::Widths,
};

/// Bytes of a hash.
const HASH: usize = size_of::<Hash>();

/// A tree, and the names of its tiles that are not compared yet.
pub(super) struct Grown {
    archive: Archive,
    /// Of the archive, in front of `tile/`.
    folder: String,
    tiles: Widths<(u32, u64)>,
    edge: Edge,
}

impl Grown {
    pub(super) fn new(archive: &Archive, folder: &str, tiles: Widths<(u32, u64)>) -> Self {
        Self {
            archive: archive.clone(),
            folder: folder.to_owned(),
            tiles,
            edge: Edge::default(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.edge.root()
    }

    /// Adds a leaf by its hash, and compares the tiles that it fills.
    pub(super) async fn push(&mut self, leaf: Hash, faults: &mut Fold) -> Result<(), Error> {
        let mut full = Vec::new();
        self.edge.push(leaf, &mut full);
        for (tile, row) in full {
            self.compare(tile, &row, faults).await?;
        }
        Ok(())
    }

    /// Compares the tiles that are not full at the end of the log. Those of a longer log are left.
    pub(super) async fn close(&mut self, faults: &mut Fold) -> Result<(), Error> {
        for (tile, row) in self.edge.partial() {
            self.compare(tile, &row, faults).await?;
        }
        Ok(())
    }

    /// Every object of a tile, of any width, has to begin with the row.
    async fn compare(&mut self, tile: Tile, row: &Bytes, faults: &mut Fold) -> Result<(), Error> {
        let widths = self.tiles.remove(&(tile.level(), tile.index()));
        let widths = widths.unwrap_or_default();
        if !widths.contains(&tile.width()) && !widths.contains(&WIDTH) {
            let at = self.at(&tile);
            faults.push(LogFault::MissingObject { at });
        }
        let found = widths.into_iter().map(|width| {
            let own = tile.with_width(width);
            let name = format!("{}/{}", self.folder, own.path());
            let archive = self.archive.clone();
            async move { Ok::<_, Error>((own, archive.get(&name).await?.unwrap_or_default())) }
        });
        let mut found = stream::iter(found).buffered(AT_ONCE);
        while let Some((own, found)) = found.try_next().await? {
            let bytes = own.width() as usize * HASH;
            let known = row.len().min(bytes);
            if found.len() != bytes || found[..known] != row[..known] {
                let at = self.at(&own);
                faults.push(LogFault::AlteredObject { at });
            }
        }
        Ok(())
    }

    /// The hash that a tile has for the next leaf.
    pub(super) async fn noted(&self) -> Result<Option<Hash>, Error> {
        let index = self.edge.size();
        let widths = self.tiles.get(&(0, index / WIDTH));
        let place = index % WIDTH;
        let width = widths.and_then(|own| own.iter().find(|width| **width > place));
        let Some(width) = width else { return Ok(None) };
        let tile = Tile::leaves(index / WIDTH, *width);
        let name = format!("{}/{}", self.folder, tile.path());
        let row = self.archive.get(&name).await?.unwrap_or_default();
        let (hashes, _) = row.as_chunks::<HASH>();
        Ok(hashes.get(place as usize).copied())
    }

    fn at(&self, tile: &Tile) -> String {
        let name = format!("{}/{}", self.folder, tile.path());
        self.archive.path(&name).to_string()
    }
}
