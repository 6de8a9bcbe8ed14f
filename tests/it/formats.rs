//! Every format of the outputs through the whole job, each read back with a reader of its own.

use std::{io::Read as _, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef, Int64Array, RecordBatch, StringArray,
    cast::AsArray as _,
    types::{Float32Type, Int64Type, UInt64Type},
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::{
        metadata::{ParquetMetaDataReader, ParquetMetaDataWriter},
        properties::{EnabledStatistics, WriterProperties},
    },
};
use serde_json::json;

use crate::support::job::Job;

fn job(sink: &str) -> Job {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let url = "url = \"out\"\n";
    let job = Job::with(&config.replace(url, &format!("{url}{sink}\n")));
    job.write("in/lines.log", "mail ana@mail.example\nnothing here\n");
    job.write(
        "in/page.txt",
        "first ana@mail.example\nsecond bo@mail.example",
    );
    job.write(
        "in/docs.jsonl",
        "{\"id\":\"j1\",\"text\":\"to cy@mail.example\",\"n\":1.50}\n{\"id\":\"j2\",\"text\":\"none\"}\n",
    );
    job
}

/// Every row of the Parquet files below a folder whose names begin with `stem`.
fn table(job: &Job, folder: &str, stem: &str) -> RecordBatch {
    let files = job.files(folder);
    let (_, bytes) = files
        .iter()
        .find(|(name, _)| name.starts_with(stem) && name.ends_with(".parquet"))
        .unwrap_or_else(|| panic!("{stem} is not among {:?}", files.keys()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone())).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn strings(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).unwrap();
    let column = column.as_string::<i32>();
    column.iter().map(|cell| cell.map(str::to_owned)).collect()
}

#[test]
fn redactions_as_text_are_the_input_with_its_values_replaced() {
    let job = job("formats = { redactions = \"text\" }");
    job.run(&[]).expect(0);
    let files = job.files("out/redactions");
    let named = |stem: &str| {
        let found = files.iter().find(|(name, _)| name.starts_with(stem));
        let (name, bytes) = found.unwrap_or_else(|| panic!("{stem}: {:?}", files.keys()));
        (name.as_str(), std::str::from_utf8(bytes).unwrap())
    };
    let (name, log) = named("lines");
    assert!(name.ends_with(".log"), "{name}");
    assert_eq!(log, "mail [EMAIL]\nnothing here\n");
    let (name, page) = named("page");
    assert!(name.ends_with(".txt"), "{name}");
    assert_eq!(page, "first [EMAIL]\nsecond [EMAIL]");
    let (name, json) = named("docs");
    assert!(name.ends_with(".jsonl"), "{name}");
    assert!(json.contains("\"to [EMAIL]\",\"n\":1.50"), "{json}");
}

#[test]
fn redactions_as_json_lines_hold_tables_too() {
    let job = job("formats = { redactions = \"jsonl\" }");
    job.write(
        "in/table.parquet",
        crate::support::tables::parquet(
            "note",
            &[("p1", Some("at di@mail.example")), ("p2", None)],
        ),
    );
    job.run(&[]).expect(0);
    let records = job.records("out/redactions");
    assert_eq!(records.len(), 7, "{records:?}");
    let of = |id: &str| {
        let found = records
            .iter()
            .find(|record| record["document_id"] == id || record["id"] == id);
        found.unwrap_or_else(|| panic!("{id} is not among {records:?}"))
    };
    assert!(of("p1").to_string().contains("at [EMAIL]"));
    assert!(!of("p1").to_string().contains("di@"));
    assert_eq!(of("j1")["text"], "to [EMAIL]");
    assert_eq!(of("j1")["redactions"][0]["label"], "email");
}

#[test]
fn redactions_as_parquet_hold_every_record() {
    let job = job("formats = { redactions = \"parquet\" }");
    job.run(&[]).expect(0);
    let docs = table(&job, "out/redactions", "docs");
    assert_eq!(
        strings(&docs, "document_id"),
        [Some("j1".to_owned()), Some("j2".to_owned())]
    );
    let record = strings(&docs, "record").swap_remove(0).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["text"], "to [EMAIL]");
    let lines = table(&job, "out/redactions", "lines");
    assert_eq!(lines.num_rows(), 2);
    assert!(
        strings(&lines, "record")[0]
            .as_ref()
            .unwrap()
            .contains("mail [EMAIL]")
    );
}

#[test]
fn entities_as_parquet_say_what_the_json_lines_say() {
    let parquet = job("formats = { entities = \"parquet\" }");
    parquet.run(&[]).expect(0);
    let lines = job("");
    lines.run(&[]).expect(0);
    let mut expected = lines.records("out/entities");
    expected.retain(|record| record["source"]["object"] == "page.txt");
    let [expected] = &expected[..] else {
        panic!("{expected:?}")
    };
    let batch = table(&parquet, "out/entities", "page");
    assert_eq!(batch.num_rows(), 1);
    for name in [
        "document_id",
        "tenant",
        "pack",
        "label_set",
        "policy",
        "weir_version",
    ] {
        assert_eq!(
            strings(&batch, name)[0].as_deref(),
            expected[name].as_str(),
            "{name}"
        );
    }
    let entities = batch.column_by_name("entities").unwrap();
    let entities = entities.as_list::<i32>().value(0);
    let entities = entities.as_struct();
    assert_eq!(entities.len(), 2);
    for at in 0..2 {
        let other = &expected["entities"][at];
        for name in ["start", "end", "start_byte", "end_byte"] {
            let column = entities.column_by_name(name).unwrap();
            let value = column.as_primitive::<UInt64Type>().value(at);
            assert_eq!(json!(value), other[name], "{name}");
        }
        for name in ["label", "field", "recognizer"] {
            let column = entities.column_by_name(name).unwrap();
            assert_eq!(
                json!(column.as_string::<i32>().value(at)),
                other[name],
                "{name}"
            );
        }
        let score = entities.column_by_name("score").unwrap();
        let score = f64::from(score.as_primitive::<Float32Type>().value(at));
        assert!((score - other["score"].as_f64().unwrap()).abs() < 1e-6);
    }
}

#[test]
fn packed_outputs_unpack_to_the_plain_ones() {
    let plain = job("");
    plain.run(&[]).expect(0);
    for (setting, extension) in [("gzip", "gz"), ("zstd", "zst")] {
        let packed = job(&format!("compression = \"{setting}\""));
        packed.run(&[]).expect(0);
        for kind in ["entities", "redactions"] {
            let folder = format!("out/{kind}");
            let unpacked: Vec<String> = packed
                .files(&folder)
                .iter()
                .map(|(name, bytes)| {
                    assert!(name.ends_with(extension), "{name}");
                    let mut text = String::new();
                    match extension {
                        "gz" => flate2::read::MultiGzDecoder::new(&bytes[..])
                            .read_to_string(&mut text)
                            .unwrap(),
                        _ => zstd::Decoder::new(&bytes[..])
                            .unwrap()
                            .read_to_string(&mut text)
                            .unwrap(),
                    };
                    without_versions(&text)
                })
                .collect();
            let expected: Vec<String> = plain
                .files(&folder)
                .values()
                .map(|bytes| without_versions(std::str::from_utf8(bytes).unwrap()))
                .collect();
            assert_eq!(unpacked, expected, "{setting} {kind}");
        }
    }
}

/// A local file's version holds the time it was written.
fn without_versions(lines: &str) -> String {
    let mut out = String::new();
    for line in lines.lines() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(source) = record.get_mut("source").and_then(|s| s.as_object_mut()) {
            source.remove("version");
        }
        out += &record.to_string();
        out.push('\n');
    }
    out
}

/// Rows with a text column, a column that is passed on, and nulls.
fn rows() -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let notes: ArrayRef = Arc::new(StringArray::from(vec![
        Some("ana@mail.example wrote"),
        None,
        Some("nothing"),
    ]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)]));
    let schema = Schema::new_with_metadata(
        vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("note", DataType::Utf8, true),
            Field::new("number", DataType::Int64, true),
        ],
        [("origin".to_owned(), "invented".to_owned())],
    );
    RecordBatch::try_new(Arc::new(schema), vec![ids, notes, numbers]).unwrap()
}

fn check_copy(batch: &RecordBatch) {
    assert_eq!(batch.schema().fields(), rows().schema().fields());
    let notes = ["[EMAIL] wrote", "", "nothing"]
        .map(str::to_owned)
        .map(Some);
    assert_eq!(strings(batch, "note")[0], notes[0]);
    assert_eq!(strings(batch, "note")[1], None);
    assert_eq!(strings(batch, "note")[2], notes[2]);
    let numbers = batch.column_by_name("number").unwrap();
    let numbers = numbers.as_primitive::<Int64Type>();
    assert_eq!(
        numbers.iter().collect::<Vec<_>>(),
        [Some(7), None, Some(-1)]
    );
}

#[test]
fn a_table_gives_a_table_with_its_columns_types_and_order() {
    let job = job("");
    let rows = rows();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    job.write("in/table.parquet", bytes);
    let mut file = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    file.write(&rows).unwrap();
    job.write("in/footer.arrow", file.into_inner().unwrap());
    let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    stream.write(&rows).unwrap();
    job.write("in/stream.arrow", stream.into_inner().unwrap());
    job.run(&[]).expect(0);
    let copy = table(&job, "out/redactions", "table");
    check_copy(&copy);
    assert_eq!(
        copy.schema().metadata().get("origin").map(String::as_str),
        Some("invented")
    );
    let files = job.files("out/redactions");
    let named = |stem: &str| {
        &files
            .iter()
            .find(|(name, _)| name.starts_with(stem))
            .unwrap()
            .1[..]
    };
    let footer =
        arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(named("footer")), None);
    for batch in footer.unwrap() {
        check_copy(&batch.unwrap());
    }
    let stream = arrow_ipc::reader::StreamReader::try_new(named("stream"), None).unwrap();
    for batch in stream {
        check_copy(&batch.unwrap());
    }
}

/// parquet 60.1 sets 6.5 GB aside for such a file before it reads a value.
#[test]
fn a_parquet_dictionary_that_claims_two_billion_values_is_a_dead_letter() {
    let job = job("");
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build();
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let notes: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "one"]));
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("note", DataType::Utf8, false),
    ]));
    let batch = RecordBatch::try_new(schema, vec![ids, notes]).unwrap();
    let mut whole = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut whole, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    job.write("in/whole.parquet", &whole);

    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&Bytes::from(whole.clone()))
        .unwrap();
    let group = metadata.row_group(0);
    let (start, length) = group.column(1).byte_range();
    let chunk = &whole[start as usize..(start + length) as usize];
    // Compact Thrift: field 7 is a struct, whose field 1 is an integer, zigzag: two values are 4.
    let values = chunk
        .windows(3)
        .position(|found| found == [0x4c, 0x15, 4])
        .unwrap()
        + 2;
    let two_billion = [0x80, 0xd0, 0xac, 0xf3, 0x0e];
    let mut hostile = whole[..start as usize + values].to_vec();
    hostile.extend(two_billion);
    hostile.extend(&chunk[values + 1..]);
    // The last chunk of the file: nothing else moves.
    let column = group.column(1).clone().into_builder();
    let column = column
        .set_total_compressed_size(group.column(1).compressed_size() + 4)
        .set_data_page_offset(group.column(1).data_page_offset() + 4)
        .build()
        .unwrap();
    let group = group
        .clone()
        .into_builder()
        .set_column_metadata(vec![group.column(0).clone(), column]);
    let metadata = metadata
        .clone()
        .into_builder()
        .set_row_groups(vec![group.build().unwrap()])
        .build();
    ParquetMetaDataWriter::new(&mut hostile, &metadata)
        .finish()
        .unwrap();
    job.write("in/hostile.parquet", &hostile);

    let mut child = job
        .command(&["--quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let peak = crate::support::job::peak(&mut child);
    crate::support::job::ended(child).expect(0);
    assert_eq!(job.dead_letters(), ["hostile.parquet corrupt"]);
    assert_eq!(table(&job, "out/redactions", "whole").num_rows(), 3);
    assert!(peak < 1 << 30, "peak {} MiB", peak >> 20);
}
