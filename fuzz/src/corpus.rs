//! The items of the corpus that no editor writes: tables, packed lines, weights. Invented text only.

use std::{fs, io::Write as _, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray,
    types::{Int32Type, Int64Type},
};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use ndarray_npy::NpzWriter;
use parquet::{arrow::ArrowWriter, basic, file::properties::WriterProperties};

/// Writes them below `corpus`.
pub fn write(corpus: &Path) {
    let put = |target: &str, name: &str, bytes: Vec<u8>| {
        fs::create_dir_all(corpus.join(target)).expect("a folder");
        fs::write(corpus.join(target).join(name), bytes).expect("a file");
    };
    for (target, name, bytes) in crate::targets::audit::seeds() {
        put(target, name, bytes);
    }
    let table = table();
    for (name, codec) in [
        ("plain", basic::Compression::UNCOMPRESSED),
        ("snappy", basic::Compression::SNAPPY),
        (
            "zstd",
            basic::Compression::ZSTD(basic::ZstdLevel::default()),
        ),
    ] {
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_max_row_group_row_count(Some(2));
        let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties.build()))
            .expect("a schema");
        writer.write(&table).expect("memory takes rows");
        put(
            "parquet",
            name,
            writer.into_inner().expect("memory takes a footer"),
        );
    }
    let mut writer = FileWriter::try_new(Vec::new(), &table.schema()).expect("a schema");
    writer.write(&table).expect("memory takes rows");
    put(
        "arrow",
        "file",
        writer.into_inner().expect("memory takes a footer"),
    );
    for (name, codec) in [
        ("stream", None),
        ("stream_lz4", Some(arrow_ipc::CompressionType::LZ4_FRAME)),
    ] {
        let options = IpcWriteOptions::default()
            .try_with_compression(codec)
            .expect("a codec of Arrow");
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &table.schema(), options)
            .expect("a schema");
        writer.write(&table).expect("memory takes rows");
        put(
            "arrow",
            name,
            writer.into_inner().expect("memory takes an end"),
        );
    }

    let lines = b"Jun 01 host sshd[12]: session of ana\nwrote to ana@mail.example\r\n\n\xFF broken CANARY-9f31c7-PLANTED-VALUE\nlast";
    let mut gzip = flate2::GzBuilder::new()
        .filename("a.log")
        .write(Vec::new(), flate2::Compression::best());
    gzip.write_all(lines).expect("memory takes bytes");
    let gzip = gzip.finish().expect("memory takes bytes");
    let zstandard = zstd::encode_all(&lines[..], 3).expect("memory takes bytes");
    for (target, packed) in [("gzip", gzip), ("zstandard", zstandard)] {
        put(target, "two_members", packed.repeat(2));
        put(target, "cut", packed[..packed.len() - 6].to_vec());
        put(target, "one", packed);
        put(target, "not_packed", lines.to_vec());
    }

    let mut plain = std::io::Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut plain);
    archive
        .add_array("o_embed", &ndarray::Array1::<f32>::zeros(16))
        .expect("memory takes numbers");
    archive.finish().expect("memory takes an end");
    put("projection", "o_embed", plain.into_inner());
    let mut linear = std::io::Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut linear);
    archive
        .add_array("o_embed", &ndarray::Array1::<f32>::zeros(16))
        .expect("memory takes numbers");
    archive
        .add_array("proj_w", &ndarray::Array2::<f32>::zeros((16, 4)))
        .expect("memory takes numbers");
    archive
        .add_array("proj_b", &ndarray::Array1::<f32>::zeros(16))
        .expect("memory takes numbers");
    archive.finish().expect("memory takes an end");
    put("projection", "linear", linear.into_inner());

    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::tiny_pack::write(folder.path(), &crate::tiny_pack::Options::default());
    for (target, file) in [("pack", "pack.toml"), ("tokenizer", "tokenizer.json")] {
        put(
            target,
            "tiny",
            fs::read(folder.path().join(file)).expect("a file of the tiny pack"),
        );
    }
    let scores: Vec<u8> = (0..900_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    put("viterbi", "noise", scores);
    put("viterbi", "level", vec![3; 400]);
}

fn table() -> RecordBatch {
    let text = StringArray::from(vec![
        Some("Write to ana@mail.example"),
        None,
        Some("CANARY-9f31c7-PLANTED-VALUE"),
        Some(""),
        Some("é日本 \u{1F468}\u{200D}\u{1F469}"),
    ]);
    let id = Int64Array::from(vec![1, 2, 3, 4, 5]);
    let tenant: DictionaryArray<Int32Type> = ["acme", "shop", "acme", "acme", "shop"]
        .into_iter()
        .collect();
    let view = StringViewArray::from(vec![
        "a",
        "a string of more than twelve bytes",
        "",
        "b",
        "c",
    ]);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(3)]),
        None,
    ]);
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(id)),
        ("text", Arc::new(text)),
        ("tenant", Arc::new(tenant)),
        ("view", Arc::new(view)),
        ("list", Arc::new(list)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("five rows each")
}
