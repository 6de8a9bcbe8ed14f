//! Segments written here, byte for byte as a broker writes them, and bytes that nobody wrote.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// A batch of the records at some offsets, with the attributes of a batch.
struct Written<'w> {
    from: i64,
    to: i64,
    attributes: i16,
    producer: i64,
    records: &'w [(i64, &'w [u8], &'w [u8])],
}

fn number(value: i64, out: &mut Vec<u8>) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Written<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut records = Vec::new();
        for (offset, key, value) in self.records {
            let mut record = vec![0];
            number(1_234_567, &mut record);
            number(offset - self.from, &mut record);
            for part in [key, value] {
                number(part.len() as i64, &mut record);
                record.extend(*part);
            }
            number(0, &mut record);
            number(record.len() as i64, &mut records);
            records.extend(record);
        }
        let records = compressed(self.attributes & 7, &records);
        let mut summed = self.attributes.to_be_bytes().to_vec();
        summed.extend(((self.to - self.from - 1) as i32).to_be_bytes());
        summed.extend([0; 16]);
        summed.extend(self.producer.to_be_bytes());
        summed.extend([0; 6]);
        summed.extend((self.records.len() as i32).to_be_bytes());
        summed.extend(records);
        let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &summed) as u32;
        let mut bytes = self.from.to_be_bytes().to_vec();
        bytes.extend((summed.len() as i32 + 9).to_be_bytes());
        bytes.extend([0, 0, 0, 0, 2]);
        bytes.extend(sum.to_be_bytes());
        bytes.extend(summed);
        bytes
    }
}

fn compressed(codec: i16, bytes: &[u8]) -> Vec<u8> {
    match codec {
        1 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        2 => {
            // As Java writes it: in blocks.
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for block in bytes.chunks(50) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                out.extend((block.len() as u32).to_be_bytes());
                out.extend(block);
            }
            out
        }
        3 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        4 => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

const COMMIT: &[u8] = &[0, 0, 0, 1];
const ABORT: &[u8] = &[0, 0, 0, 0];

fn plain(from: i64, values: &[&[u8]], codec: i16) -> Vec<u8> {
    let records: Vec<(i64, &[u8], &[u8])> = (from..)
        .zip(values)
        .map(|(at, own)| (at, &b"k"[..], *own))
        .collect();
    Written {
        from,
        to: from + values.len() as i64,
        attributes: codec,
        producer: -1,
        records: &records,
    }
    .bytes()
}

fn transactional(from: i64, producer: i64, value: &[u8]) -> Vec<u8> {
    Written {
        from,
        to: from + 1,
        attributes: 0x10,
        producer,
        records: &[(from, b"k", value)],
    }
    .bytes()
}

fn mark(at: i64, producer: i64, how: &[u8]) -> Vec<u8> {
    Written {
        from: at,
        to: at + 1,
        attributes: 0x30,
        producer,
        records: &[(at, how, b"\0\0\0\0\0\0")],
    }
    .bytes()
}

/// A folder of one partition, with these segments.
fn partition(files: &[&[u8]]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("documents-0");
    std::fs::create_dir(&own).unwrap();
    for (number, bytes) in files.iter().enumerate() {
        std::fs::write(own.join(format!("{number:020}.log")), bytes).unwrap();
    }
    std::fs::write(own.join("leader-epoch-checkpoint"), "0\n").unwrap();
    folder
}

fn documents() -> Partition {
    Partition {
        topic: "documents".to_owned(),
        number: 0,
    }
}

fn explained(folder: &tempfile::TempDir, from: i64, to: i64) -> Vec<(i64, i64, Class)> {
    let mut source = Segments::new(folder.path());
    let parts = source.explain(&documents(), Gap { from, to }).unwrap();
    let parts = parts.into_iter();
    parts
        .map(|(gap, class)| (gap.from, gap.to, class))
        .collect()
}

fn values(folder: &tempfile::TempDir) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let each = |value: &[u8]| all.push(value.to_vec());
    committed_values(&folder.path().join("documents-0"), each).unwrap();
    all
}

#[test]
fn every_offset_has_its_class() {
    let compacted = Written {
        from: 7,
        to: 12,
        attributes: 4,
        producer: -1,
        records: &[(8, b"k", b"eight"), (10, b"k", b"ten")],
    };
    let first = [
        plain(0, &[b"zero", b"one"], 0),
        transactional(2, 7, b"two"),
        // Another producer between them.
        transactional(3, 8, b"three"),
        mark(4, 7, ABORT),
        mark(5, 8, COMMIT),
        plain(6, &[b"six"], 2),
        compacted.bytes(),
        // Whole batches from 12 to 19 are gone.
        plain(20, &[b"twenty"], 1),
    ]
    .concat();
    // No file answers for 21 to 29.
    let second = [
        plain(30, &[b"thirty"], 3),
        transactional(31, 7, b"not yet"),
        plain(32, &[b"behind it"], 0),
    ]
    .concat();
    let folder = partition(&[&first, &second]);
    use Class::{Aborted, Compacted, Marker, Unknown};
    assert_eq!(
        explained(&folder, 0, 33),
        [
            (0, 2, Unknown),
            (2, 3, Aborted),
            (3, 4, Unknown),
            (4, 6, Marker),
            (6, 7, Unknown),
            (7, 8, Compacted),
            (8, 9, Unknown),
            (9, 10, Compacted),
            (10, 11, Unknown),
            (11, 20, Compacted),
            (20, 33, Unknown),
        ]
    );
    let expected: [&[u8]; 8] = [
        b"zero", b"one", b"three", b"six", b"eight", b"ten", b"twenty", b"thirty",
    ];
    assert_eq!(values(&folder), expected, "up to the open transaction");
}

#[test]
fn holes_of_an_aborted_batch_hide_nothing_of_it() {
    let batch = Written {
        from: 0,
        to: 6,
        attributes: 0x10,
        producer: 7,
        records: &[(1, b"k", b"a"), (4, b"k", b"b")],
    };
    let folder = partition(&[&[batch.bytes(), mark(6, 7, ABORT)].concat()]);
    use Class::{Aborted, Compacted, Marker};
    assert_eq!(
        explained(&folder, 0, 7),
        [
            (0, 1, Compacted),
            (1, 2, Aborted),
            (2, 4, Compacted),
            (4, 5, Aborted),
            (5, 6, Compacted),
            (6, 7, Marker),
        ]
    );
}

#[test]
fn a_copy_that_ends_early_or_in_room_that_was_claimed_is_read_as_far_as_it_goes() {
    let whole = plain(0, &[b"zero"], 0);
    let next = plain(1, &[b"one"], 4);
    let zeros = [whole.clone(), vec![0; 4096]].concat();
    assert_eq!(values(&partition(&[&zeros])), [b"zero"]);
    for cut in 0..next.len() {
        let bytes = [&whole[..], &next[..cut]].concat();
        assert_eq!(values(&partition(&[&bytes])), [b"zero"], "cut at {cut}");
    }
}

#[test]
fn a_damaged_copy_is_refused_with_its_place() {
    let first = plain(0, &[b"zero"], 0);
    let mut bytes = [first.clone(), plain(1, &[b"one"], 0)].concat();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let folder = partition(&[&bytes]);
    let mut source = Segments::new(folder.path());
    let error = source.explain(&documents(), Gap { from: 0, to: 1 });
    let Err(Error::Damaged { at, problem, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((at, problem), (first.len() as u64, Problem::Checksum));
    bytes[last] ^= 1;
    bytes[16] = 1;
    let folder = partition(&[&bytes]);
    let error = Segments::new(folder.path()).explain(&documents(), Gap { from: 0, to: 1 });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("has the format 1 of messages"), "{text}");
    let other = Partition {
        topic: "others".to_owned(),
        number: 3,
    };
    let error = Segments::new(folder.path()).explain(&other, Gap { from: 0, to: 1 });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("no folder others-3"), "{text}");
}

proptest! {
    #[test]
    fn numbers_are_read_as_they_were_written(value in any::<i64>()) {
        let mut bytes = Vec::new();
        number(value, &mut bytes);
        prop_assert_eq!(Bytes(&bytes).number(), Ok(value));
    }

    #[test]
    fn records_of_every_codec_are_read_as_they_were_written(
        codec in 0_i16..5,
        own in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20),
    ) {
        let records: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
        let folder = partition(&[&plain(0, &records, codec)]);
        prop_assert_eq!(values(&folder), own);
    }

    #[test]
    fn bytes_that_no_broker_wrote_are_an_error_or_nothing(
        mut bytes in proptest::collection::vec(any::<u8>(), HEADER..300),
        codec in 0_i16..8,
        count in -2_i32..40,
        is_control in any::<bool>(),
    ) {
        // With the right checksum, so that what is behind it is read.
        let length = (bytes.len() - UNCOUNTED) as i32;
        bytes[..8].copy_from_slice(&7_i64.to_be_bytes());
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let attributes = codec | if is_control { 0x20 } else { 0 };
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&39_i32.to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes[SUMMED..]) as u32;
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());
        let folder = partition(&[&bytes]);
        let _ = Segments::new(folder.path()).explain(&documents(), Gap { from: 0, to: 50 });
        let _ = committed_values(&folder.path().join("documents-0"), |_| {});
    }
}
