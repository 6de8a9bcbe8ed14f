use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures::executor::block_on;
use object_store::{ObjectStoreExt as _, local::LocalFileSystem, memory::InMemory, path::Path};
use proptest::prelude::*;

use super::{
    tile::{Edge, Error, Tile, Tiles, WIDTH, numbered},
    tree::{self, Frontier, Hash, verify_consistency, verify_inclusion},
};

fn leaf(number: u64) -> Hash {
    tree::leaf(&number.to_le_bytes())
}

/// Grows a tree from one size to the next, and writes what changed.
async fn grow(tiles: &Tiles, edge: &mut Edge, size: u64) {
    let mut written = Vec::new();
    for number in edge.size()..size {
        edge.push(leaf(number), &mut written);
    }
    written.extend(edge.partial());
    tiles.write(written).await.unwrap();
}

fn tiles() -> Tiles {
    Tiles::new(Arc::new(InMemory::new()), Path::from("audit/log"))
}

#[test]
fn names_are_those_of_the_specification() {
    assert_eq!(numbered(1_234_067, WIDTH), "x001/x234/067");
    assert_eq!(numbered(0, 7), "000.p/7");
    assert_eq!(numbered(u64::MAX, WIDTH).split('/').count(), 7);
    // A tree of 70,000 leaves, and one of 256, as the specification counts them.
    let of = |size: u64| {
        let edge = Tile::edge(size);
        edge.iter().map(Tile::path).collect::<Vec<_>>()
    };
    assert_eq!(
        of(70_000),
        ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    );
    assert_eq!(of(256), ["tile/1/000.p/1"]);
    assert!(of(0).is_empty());
    assert_eq!(Tile::edge(u64::MAX).len(), 8);
    for name in ["tile/0/000", "tile/63/x001/x234/067.p/255", "tile/8/999"] {
        assert_eq!(Tile::parse(name).unwrap().path(), name);
    }
    let bad = [
        "tile/0/0",
        "tile/64/000",
        "tile/00/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/07",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/x000/001",
        "tile/0/",
        "tile/0/+01",
        "tile/entries/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "",
    ];
    for bad in bad {
        assert_eq!(Tile::parse(bad), None, "{bad}");
    }
}

#[test]
fn tiles_of_the_specifications_example_are_written_and_prove_every_part() {
    block_on(async {
        let (tiles, mut edge) = (tiles(), Edge::default());
        let (older, newer) = (66_000, 70_000);
        grow(&tiles, &mut edge, older).await;
        let old_root = edge.root();
        grow(&tiles, &mut edge, newer).await;
        let all: Vec<Hash> = (0..newer).map(leaf).collect();
        assert_eq!(edge.root(), tree::root(&all));
        assert_eq!(tiles.edge(newer).await.unwrap(), edge);
        assert_eq!(tiles.edge(older).await.unwrap().root(), old_root);
        for index in [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
            let proof = tiles.inclusion(index, newer).await.unwrap();
            verify_inclusion(index, newer, &leaf(index), &proof, &edge.root()).unwrap();
            assert_eq!(tiles.leaf(index, newer).await.unwrap(), leaf(index));
        }
        let proof = tiles.consistency(older, newer).await.unwrap();
        verify_consistency((older, &old_root), (newer, &edge.root()), &proof).unwrap();
        assert!(matches!(
            tiles.leaf(newer, newer).await,
            Err(Error::Tree(_))
        ));
        assert!(matches!(
            tiles.inclusion(newer, newer).await,
            Err(Error::Tree(_))
        ));
    });
}

#[test]
fn a_folder_holds_a_full_tile_and_the_partial_ones_before_it() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let tiles = Tiles::new(Arc::new(store), Path::from("audit/log"));
        let mut edge = Edge::default();
        for size in [3, 200, 256, 257, 600] {
            grow(&tiles, &mut edge, size).await;
        }
        for name in ["000", "000.p/3", "000.p/200", "001", "001.p/1", "002.p/88"] {
            let path = folder.path().join("audit/log/tile/0").join(name);
            assert!(path.exists(), "{name}");
        }
        // A partial tile may go once the full one is there.
        std::fs::remove_dir_all(folder.path().join("audit/log/tile/0/000.p")).unwrap();
        let root = tree::root(&(0..200).map(leaf).collect::<Vec<_>>());
        let proof = tiles.inclusion(7, 200).await.unwrap();
        verify_inclusion(7, 200, &leaf(7), &proof, &root).unwrap();
    });
}

#[test]
fn missing_and_cut_tiles_are_errors_that_name_them() {
    block_on(async {
        let store = Arc::new(InMemory::new());
        let tiles = Tiles::new(store.clone(), Path::from("log"));
        let mut edge = Edge::default();
        grow(&tiles, &mut edge, 300).await;
        let at = Path::from("log/tile/0/000");
        store
            .put(&at, Bytes::from_static(b"short").into())
            .await
            .unwrap();
        let error = tiles.inclusion(7, 300).await.unwrap_err();
        assert!(
            matches!(&error, Error::Width { at, bytes: 5, expected: 8192 } if at == "log/tile/0/000")
        );
        store.delete(&at).await.unwrap();
        let error = tiles.inclusion(7, 300).await.unwrap_err();
        assert!(matches!(&error, Error::Missing { at } if at == "log/tile/0/000"));
        // A size that was never written has no partial tile.
        assert!(tiles.edge(299).await.is_err());
    });
}

#[test]
fn tiles_are_those_of_tlog_tiles() {
    let mut edge = Edge::default();
    let mut found = BTreeMap::new();
    let mut full = Vec::new();
    for number in 0..70_000 {
        edge.push(leaf(number), &mut full);
    }
    full.extend(edge.partial());
    for (tile, bytes) in full {
        found.insert(tile.path(), bytes);
    }
    let theirs = theirs::tiles(70_000, leaf);
    assert_eq!(found.len(), theirs.len());
    for (path, bytes) in theirs {
        assert_eq!(found[&path], bytes, "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_tree_that_is_stored_and_read_again_at_any_sizes_is_the_same_tree(
        steps in prop::collection::vec(0_u64..700, 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        block_on(async {
            let tiles = tiles();
            let (mut edge, mut frontier) = (Edge::default(), Frontier::default());
            let mut heads = vec![(0, tree::empty_root())];
            for step in steps {
                let size = edge.size() + step;
                // Another process goes on from what lies there.
                edge = tiles.edge(edge.size()).await.unwrap();
                for number in edge.size()..size {
                    frontier.push(leaf(number));
                }
                grow(&tiles, &mut edge, size).await;
                prop_assert_eq!(edge.root(), frontier.root());
                heads.push((size, edge.root()));
            }
            for (size, root) in &heads {
                if *size > 0 {
                    let index = at.index(*size as usize) as u64;
                    let proof = tiles.inclusion(index, *size).await.unwrap();
                    prop_assert!(verify_inclusion(index, *size, &leaf(index), &proof, root).is_ok());
                }
                for (old, old_root) in heads.iter().filter(|(old, _)| old <= size) {
                    let proof = tiles.consistency(*old, *size).await.unwrap();
                    prop_assert!(verify_consistency((*old, old_root), (*size, root), &proof).is_ok());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn any_text_may_come_as_a_path(text in "(tile/)?[0-9x/.p]{0,40}") {
        if let Some(tile) = Tile::parse(&text) {
            prop_assert_eq!(tile.path(), text);
        }
    }
}

/// The same tiles by the crate `tlog_tiles`.
mod theirs {
    use tlog_tiles::{Error, Hash, HashReader, Tile, stored_hashes_for_record_hash};

    struct Stored(Vec<Hash>);

    impl HashReader for Stored {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
            let hashes = indexes.iter().map(|index| self.0[*index as usize]);
            Ok(hashes.collect())
        }
    }

    pub fn tiles(size: u64, leaf: fn(u64) -> [u8; 32]) -> Vec<(String, Vec<u8>)> {
        let mut stored = Stored(Vec::new());
        for number in 0..size {
            let own = stored_hashes_for_record_hash(number, Hash(leaf(number)), &stored);
            stored.0.extend(own.unwrap());
        }
        let tiles = Tile::new_tiles(8, 0, size);
        let named = tiles.iter().map(|tile| {
            // Its paths name the height of a tile, which the specification fixes.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            (path, tile.read_data(&stored).unwrap())
        });
        named.collect()
    }
}
