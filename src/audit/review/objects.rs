//! What lies in an archive, by name.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;

use super::super::{
    archive::{Archive, Error},
    tile::{Tile, parse_numbered},
};

/// Widths of the objects of each number.
pub(super) type Widths<K> = BTreeMap<K, BTreeSet<u64>>;

/// Names of a log's objects.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tiles, by level and index.
    pub(super) tiles: Widths<(u32, u64)>,
    /// Records, by number of their object.
    pub(super) records: Widths<u64>,
    /// Whether there is a head.
    pub(super) has_checkpoint: bool,
}

/// Names of an archive's objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Number of the last roll.
    pub(super) last_roll: Option<u64>,
    /// Objects of the log of rolls.
    pub(super) rolls: Names,
    /// Of the logs of partitions.
    pub(super) logs: BTreeMap<(String, i32), Names>,
    /// Objects that are of no log.
    pub(super) others: u64,
}

impl Objects {
    /// Asks the store for all names below the archive.
    pub(super) async fn list(archive: &Archive) -> Result<Self, Error> {
        let mut names = archive.names();
        let mut objects = Self::default();
        while let Some(name) = names.try_next().await? {
            if objects.add(archive.origin(), &name).is_none() {
                objects.others += 1;
            }
        }
        Ok(objects)
    }

    fn add(&mut self, origin: &str, name: &str) -> Option<()> {
        if let Some(rest) = name.strip_prefix("roll/") {
            if let Some(number) = rest.strip_prefix("leaf/") {
                let (number, _) = parse_numbered(number)?;
                self.last_roll = self.last_roll.max(Some(number));
                return Some(());
            }
            return self.rolls.add(rest);
        }
        let rest = name.strip_prefix("audit/")?.strip_prefix(origin)?;
        let mut parts = rest.strip_prefix('/')?.splitn(3, '/');
        let (topic, partition, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let number: i32 = partition.parse().ok()?;
        if number.to_string() != partition {
            return None;
        }
        let mut names = Names::default();
        names.add(rest)?;
        let own = self.logs.entry((topic.to_owned(), number)).or_default();
        own.add(rest)
    }
}

impl Names {
    fn add(&mut self, name: &str) -> Option<()> {
        if matches!(name, "checkpoint" | "cosigned") {
            self.has_checkpoint = true;
        } else if let Some(records) = name.strip_prefix("records/") {
            let (number, width) = parse_numbered(records)?;
            self.records.entry(number).or_default().insert(width);
        } else {
            let tile = Tile::parse(name)?;
            let place = (tile.level(), tile.index());
            self.tiles.entry(place).or_default().insert(tile.width());
        }
        Some(())
    }
}
