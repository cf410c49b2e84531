use proptest::prelude::*;

use super::*;
use crate::log::merkle::leaf_hash;

#[test]
fn paths_have_one_form() {
    for path in [
        "tile/0/000",
        "tile/0/067.p/255",
        "tile/63/x001/x234/067",
        "tile/0/x001/x234/067.p/1",
        "tile/entries/000",
        "tile/entries/x001/000.p/12",
        "tile/0/x018/x446/x744/x073/x709/x551/615",
    ] {
        let parsed: TilePath = path.parse().expect(path);
        assert_eq!(parsed.to_string(), path);
    }
    assert_eq!(
        "tile/0/x001/x234/067".parse(),
        Ok(TilePath::Tile(Tile::new(0, 1_234_067, 256).expect("a tile")))
    );
}

#[test]
fn other_paths_are_refused() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/00a",
        "tile/0/+00",
        "tile/0/000/",
        "tile/0//000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x000/001",
        "tile/0/X001/000",
        "tile/0/xx01/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/x001.p/1/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/00",
        "tile/0/٠٠٠",
    ] {
        assert_eq!(path.parse::<TilePath>(), Err(TileError::Path), "{path}");
    }
    assert_eq!("tile/64/000".parse::<TilePath>(), Err(TileError::Level { level: 64 }));
    assert_eq!(Tile::new(0, 0, 0), Err(TileError::Width { width: 0 }));
    assert_eq!(Tile::new(0, 0, 257), Err(TileError::Width { width: 257 }));
}

#[test]
fn tree_has_the_tiles_of_its_size() {
    let width = |size, level, index| Tile::in_tree(size, level, index).map(Tile::width);
    assert_eq!(width(0, 0, 0), None);
    assert_eq!(width(256, 0, 0), Some(256));
    assert_eq!(width(256, 0, 1), None);
    assert_eq!(width(256, 1, 0), Some(1));
    assert_eq!(width(255, 1, 0), None);
    assert_eq!(width(u64::MAX, 7, 0), Some(255));
    assert_eq!(width(u64::MAX, 8, 0), None);
    assert_eq!(width(u64::MAX, 63, 0), None);
    assert_eq!(width(u64::MAX, 0, u64::MAX), None);
}

#[test]
fn entry_bundle_error_names_the_offset() {
    let mut bundle = Vec::new();
    push_entry(&mut bundle, b"one").expect("short");
    push_entry(&mut bundle, b"").expect("short");
    push_entry(&mut bundle, &[7; 65_535]).expect("just short enough");
    assert_eq!(&bundle[..7], [0, 3, b'o', b'n', b'e', 0, 0]);
    assert_eq!(
        entries(&bundle).map(|entry| entry.expect("whole").len()).collect::<Vec<_>>(),
        [3, 0, 65_535]
    );
    assert_eq!(
        push_entry(&mut bundle, &[7; 65_536]),
        Err(TileError::EntryLength { length: 65_536 })
    );

    let cut: Vec<_> = entries(&bundle[..8]).collect();
    assert_eq!(
        cut,
        [Ok(&b"one"[..]), Ok(&b""[..]), Err(TileError::EntryCut { entry: 2, offset: 7 })]
    );
    let too_many = vec![0; 2 * 257];
    assert_eq!(entries(&too_many).last(), Some(Err(TileError::EntryCount)));
    assert_eq!(entries(&too_many).count(), 257);
}

#[test]
fn tile_bytes_are_whole_hashes() {
    let hashes: Vec<TreeHash> = (0..=255u8).map(|number| leaf_hash(&[number])).collect();
    assert_eq!(encode_hashes(&hashes).len(), 8192);
    assert_eq!(decode_hashes(&encode_hashes(&hashes)), Ok(hashes));
    for length in [0, 1, 31, 33, 8191, 8193, 8224] {
        assert_eq!(decode_hashes(&vec![0; length]), Err(TileError::HashBytes { length }));
    }
}

proptest! {
    #[test]
    fn paths_are_read_back(
        level in 0u8..64,
        index in any::<u64>(),
        shift in 0u32..64,
        width in 1u16..=256,
        entries: bool,
    ) {
        let index = index >> shift;
        let path = if entries {
            TilePath::Entries { index, width }
        } else {
            TilePath::Tile(Tile::new(level, index, width).expect("in range"))
        };
        prop_assert_eq!(path.to_string().parse::<TilePath>(), Ok(path));
    }

    #[test]
    fn what_parses_is_canonical(path in "(tile/)?(0|1|63|entries)/(x[0-9]{3}/){0,8}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(parsed) = path.parse::<TilePath>() {
            prop_assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn bundles_are_read_back(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..=256),
    ) {
        let mut bundle = Vec::new();
        for leaf in &leaves {
            push_entry(&mut bundle, leaf).expect("short");
        }
        let read: Result<Vec<Vec<u8>>, _> =
            entries(&bundle).map(|entry| entry.map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(read, Ok(leaves));
    }

    #[test]
    fn any_bytes_are_a_bundle_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut again = Vec::new();
        let mut whole = true;
        for entry in entries(&bytes) {
            match entry {
                Ok(entry) => push_entry(&mut again, entry).expect("at most 65,535 bytes"),
                Err(_) => whole = false,
            }
        }
        prop_assert_eq!(again == bytes, whole);
    }
}
