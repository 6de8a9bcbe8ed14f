//! Tables as other tools write them, through the whole job: every text that is chosen is redacted,
//! types stay, and what cannot be read or written is a dead letter that says where.

use std::sync::Arc;

use arrow_array::{
    Array as _, ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryArray, Int32Array,
    Int64Array, LargeListArray, ListArray, MapArray, NullArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray, UnionArray,
    builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder},
    cast::AsArray as _,
    types::Int32Type,
};
use arrow_schema::{DataType, Field, Fields, Schema, UnionFields};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::{EnabledStatistics, WriterProperties},
};
use serde_json::json;

use crate::support::job::Job;

/// A job with text columns `columns` and further keys of `[sink]`.
fn job(columns: &str, sink: &str) -> Job {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let url = "url = \"out\"\n";
    Job::with(
        &config
            .replace(url, &format!("{url}{sink}\n"))
            .replace("text = [\"note\"]", &format!("text = {columns}"))
            .replace(", id = \"id\"", ""),
    )
}

const AS_JSON: &str = "formats = { redactions = \"jsonl\" }";

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn arrow(batch: &RecordBatch) -> Vec<u8> {
    let mut file = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    file.write(batch).unwrap();
    file.into_inner().unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

/// The only copy of an input, read back.
fn copy(job: &Job, stem: &str) -> RecordBatch {
    let files = job.files("out/redactions");
    let found = files.iter().find(|(name, _)| name.starts_with(stem));
    let (name, bytes) = found.unwrap_or_else(|| panic!("{stem}: {:?}", files.keys()));
    let (schema, batches): (_, Vec<RecordBatch>) = if name.ends_with(".parquet") {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone()));
        let builder = builder.unwrap();
        let schema = builder.schema().clone();
        (
            schema,
            builder.build().unwrap().map(Result::unwrap).collect(),
        )
    } else {
        let file = std::io::Cursor::new(bytes);
        let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
        (reader.schema(), reader.map(Result::unwrap).collect())
    };
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

fn strings(column: &ArrayRef) -> Vec<Option<String>> {
    let column = arrow_cast::cast(column, &DataType::Utf8).unwrap();
    let column = column.as_string::<i32>();
    column.iter().map(|cell| cell.map(str::to_owned)).collect()
}

#[track_caller]
fn nothing_raw(job: &Job) {
    for (name, bytes) in job.files("out") {
        assert!(
            !String::from_utf8_lossy(&bytes).contains("@mail.example"),
            "{name}"
        );
        // Parquet may be packed.
        if name.ends_with(".parquet") {
            let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
            let metadata = format!("{:?}", builder.metadata());
            assert!(!metadata.contains("@mail.example"), "{name}: {metadata}");
            for batch in builder.build().unwrap() {
                let shown = format!("{:?}", batch.unwrap());
                assert!(!shown.contains("@mail.example"), "{name}: {shown}");
            }
        }
    }
}

#[test]
fn all_columns_of_one_name_are_redacted_in_every_format() {
    let rows = batch(vec![
        ("id", texts(&["a", "b"])),
        ("note", texts(&["to one@mail.example", "-"])),
        ("note", texts(&["to two@mail.example", "-"])),
        ("id", texts(&["three@mail.example", "four@mail.example"])),
    ]);
    // The second `id` is a column like any other, and is chosen here.
    for (columns, sink) in [("[\"note\", \"id\"]", ""), ("[\"note\", \"id\"]", AS_JSON)] {
        let job = job(columns, sink);
        job.write("in/p.parquet", parquet(&rows));
        job.write("in/a.arrow", arrow(&rows));
        job.run(&[]).expect(0);
        nothing_raw(&job);
        assert!(job.dead_letters().is_empty());
        if sink.is_empty() {
            for stem in ["p", "a"] {
                let copy = copy(&job, stem);
                for column in [1, 2] {
                    assert_eq!(
                        strings(copy.column(column))[0].as_deref(),
                        Some("to [EMAIL]")
                    );
                }
            }
        } else {
            let records = job.records("out/redactions");
            assert_eq!(records[0]["note"], "to [EMAIL]");
            assert_eq!(records[0]["note_2"], "to [EMAIL]");
        }
        let entities = &job.records("out/entities")[0]["entities"];
        let fields: Vec<&str> = entities
            .as_array()
            .unwrap()
            .iter()
            .map(|entity| entity["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, ["note", "note#2", "id#2"]);
    }
}

/// A struct, a list, a map, a list of structs, and what an engine writes instead of text.
fn nested() -> RecordBatch {
    let structure = StructArray::from(vec![
        (
            Arc::new(Field::new("name", DataType::Utf8, true)),
            texts(&["s0@mail.example", "s1@mail.example", "s2@mail.example"]),
        ),
        (
            Arc::new(Field::new("n", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef,
        ),
    ]);
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("l0@mail.example"), None, Some("plain")]);
    lists.append_null();
    lists.append_value(Vec::<Option<&str>>::new());
    let lists: ListArray = lists.finish();
    let names = MapFieldNames {
        entry: "entries".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("m0@mail.example");
    maps.values().append_value("m1@mail.example");
    maps.keys().append_value("plain");
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let maps: MapArray = maps.finish();
    let mut items = ListBuilder::new(StringBuilder::new());
    items.append_value([Some("i0@mail.example"), Some("i1@mail.example")]);
    items.append_value(Vec::<Option<&str>>::new());
    items.append_value([Some("i2@mail.example")]);
    let of = |item: DataType| DataType::LargeList(Arc::new(Field::new("item", item, true)));
    let items = arrow_cast::cast(&items.finish(), &of(DataType::LargeUtf8)).unwrap();
    let items = items.as_list::<i64>();
    let note = Arc::new(Field::new("note", DataType::LargeUtf8, true));
    let item = StructArray::from(vec![(note, items.values().clone())]);
    let items = LargeListArray::new(
        Arc::new(Field::new("item", item.data_type().clone(), true)),
        items.offsets().clone(),
        Arc::new(item),
        None,
    );
    let bytes = BinaryArray::from(vec![
        Some(&b"b0@mail.example"[..]),
        None,
        Some(&b"b2@mail.example"[..]),
    ]);
    let dictionary: DictionaryArray<Int32Type> = ["d0@mail.example", "d0@mail.example", "plain"]
        .into_iter()
        .collect();
    let views = StringViewArray::from(vec![
        Some("v0@mail.example is long enough"),
        None,
        Some("plain"),
    ]);
    batch(vec![
        ("customer", Arc::new(structure)),
        ("tags", Arc::new(lists)),
        ("attributes", Arc::new(maps)),
        ("items", Arc::new(items)),
        ("hive", Arc::new(bytes)),
        ("dictionary", Arc::new(dictionary)),
        ("views", Arc::new(views)),
        ("empty", Arc::new(NullArray::new(3))),
        ("service.name", texts(&["n0@mail.example", "-", "-"])),
        ("plain", texts(&["-", "-", "-"])),
    ])
}

const EVERYTHING: &str = "[\"customer.name\", \"tags\", \"attributes\", \"items[].note\", \"hive\", \
                          \"dictionary\", \"views\", \"empty\", \"service.name\"]";

#[test]
fn nested_and_foreign_text_is_redacted_in_place_and_keeps_its_type() {
    let rows = nested();
    let job = job(EVERYTHING, "");
    job.write("in/p.parquet", parquet(&rows));
    job.write("in/a.arrow", arrow(&rows));
    job.run(&[]).expect(0);
    nothing_raw(&job);
    assert!(
        job.dead_letters().is_empty(),
        "{:?}",
        job.records("out/dead_letters")
    );
    for stem in ["p", "a"] {
        let copy = copy(&job, stem);
        assert_eq!(copy.schema().fields(), rows.schema().fields(), "{stem}");
        let mut lines = arrow_json::LineDelimitedWriter::new(Vec::new());
        lines.write(&copy).unwrap();
        let lines = String::from_utf8(lines.into_inner()).unwrap();
        let lines: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let hex = hex::encode("[EMAIL]");
        assert_eq!(
            lines[0],
            json!({
                "customer": {"name": "[EMAIL]", "n": 1},
                "tags": ["[EMAIL]", null, "plain"],
                "attributes": {"[EMAIL]": "[EMAIL]"},
                "items": [{"note": "[EMAIL]"}, {"note": "[EMAIL]"}],
                "hive": hex, "dictionary": "[EMAIL]", "views": "[EMAIL] is long enough",
                "service.name": "[EMAIL]", "plain": "-"
            })
        );
        assert_eq!(lines[1]["customer"]["n"], 2);
        assert_eq!(lines[2]["items"], json!([{"note": "[EMAIL]"}]));
        assert_eq!(lines[2]["tags"], json!([]));
    }
    let entities = job.records("out/entities");
    let first = entities.iter().find(|record| {
        record["source"]["object"] == "p.parquet" && record["source"]["record"] == 0
    });
    let fields: Vec<&str> = first.unwrap()["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entity| entity["field"].as_str().unwrap())
        .collect();
    let expected = [
        "customer.name",
        "tags[0]",
        "attributes[0].key",
        "attributes[0].value",
        "items[0].note",
        "items[1].note",
        "hive",
        "dictionary",
        "views",
        "service.name",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn nested_text_goes_to_json_lines_too_and_a_rule_chooses_parts_of_it() {
    let job = job(EVERYTHING, AS_JSON);
    job.write("in/p.parquet", parquet(&nested()));
    job.run(&[]).expect(0);
    nothing_raw(&job);
    let lines = job.records("out/redactions");
    assert_eq!(lines[0]["items"][1]["note"], "[EMAIL]");
    assert!(lines[1]["hive"].is_null() && lines[1].get("hive").is_some());
    let rules = "[[rules]]\nfields = { whole = [\"items\"] }\n";
    let tenant = format!("{}{rules}", crate::support::job::TENANT);
    job.write("tenants/acme.toml", tenant);
    job.write("in/q.parquet", parquet(&nested()));
    job.run(&[]).expect(0);
    let lines = job.records("out/redactions");
    assert!(
        lines
            .iter()
            .any(|line| line["items"][1]["note"] == "[WHOLE]")
    );
}

#[test]
fn times_with_a_named_zone_have_a_form_in_json() {
    let zoned = |zone: &str| -> ArrayRef {
        let times = TimestampMicrosecondArray::from(vec![Some(1_709_640_000_000_000), None]);
        Arc::new(times.with_timezone(zone))
    };
    let rows = batch(vec![
        ("note", texts(&["a@mail.example", "-"])),
        ("utc", zoned("UTC")),
        ("madrid", zoned("Europe/Madrid")),
        ("offset", zoned("+05:30")),
    ]);
    let job = job("[\"note\"]", AS_JSON);
    job.write("in/p.parquet", parquet(&rows));
    job.run(&[]).expect(0);
    assert!(job.dead_letters().is_empty());
    let lines = job.records("out/redactions");
    assert_eq!(lines[0]["utc"], "2024-03-05T12:00:00Z");
    assert_eq!(lines[0]["madrid"], "2024-03-05T13:00:00+01:00");
    assert_eq!(lines[0]["offset"], "2024-03-05T17:30:00+05:30");
    assert_eq!(lines[1]["note"], "-");
}

#[test]
fn what_has_no_form_in_the_output_is_a_dead_letter_that_names_its_column_and_the_job_goes_on() {
    let union = UnionArray::try_new(
        UnionFields::from_fields(vec![Field::new("n", DataType::Int32, true)]),
        vec![0, 0].into(),
        None,
        vec![Arc::new(Int32Array::from(vec![1, 2]))],
    );
    let rows = batch(vec![
        ("note", texts(&["a@mail.example", "-"])),
        ("choice", Arc::new(union.unwrap())),
    ]);
    // A year that no calendar has: one row of two.
    let odd_times = batch(vec![
        ("note", texts(&["b@mail.example", "c@mail.example"])),
        (
            "seen",
            Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MAX]).with_timezone("UTC")),
        ),
    ]);
    let job = job("[\"note\"]", AS_JSON);
    job.write("in/choice.arrow", arrow(&rows));
    job.write("in/times.parquet", parquet(&odd_times));
    job.write("in/lines.log", "mail ana@mail.example\n");
    job.run(&[]).expect(0);
    nothing_raw(&job);
    assert_eq!(
        job.dead_letters(),
        ["choice.arrow unwritable", "times.parquet unwritable"]
    );
    let letters = job.records("out/dead_letters");
    let reason = |object: &str| {
        let letter = letters
            .iter()
            .find(|letter| letter["source"]["object"] == object);
        letter.unwrap()["reason"].as_str().unwrap().to_owned()
    };
    assert!(
        reason("choice.arrow").contains("column `choice`"),
        "{letters:?}"
    );
    assert!(
        reason("times.parquet").contains("column `seen`"),
        "{letters:?}"
    );
    // The row beside it, and the object behind it.
    assert_eq!(job.records("out/redactions").len(), 2);
    assert_eq!(job.records("out/entities").len(), 2);
    // Nothing is left to do.
    job.run(&[]).expect(0);
}

/// A Parquet file of one text column, `note`, and one that is passed on, with bytes put in the place
/// of others of the same length.
fn patched(notes: &[&str], others: &[&str], from: &str, to: &[u8]) -> Vec<u8> {
    let rows = batch(vec![("note", texts(notes)), ("other", texts(others))]);
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn one_cell_that_is_not_utf8_costs_its_row() {
    let notes = ["a0@mail.example", "XX a1@mail.example", "a2@mail.example"];
    let job = job("[\"note\"]", "");
    job.write(
        "in/note.parquet",
        patched(&notes, &["-"; 3], "XX", b"X\xff"),
    );
    // In a column that is passed on: it can't be written as text either.
    let notes = ["a0@mail.example", "a1@mail.example", "a2@mail.example"];
    job.write(
        "in/other.parquet",
        patched(&notes, &["-", "-", "YY"], "YY", b"\xc3\x28"),
    );
    let rows = batch(vec![(
        "note",
        texts(&["c0@mail.example", "ZZ", "c2@mail.example"]),
    )]);
    let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    stream.write(&rows).unwrap();
    stream
        .write(&batch(vec![("note", texts(&["c3@mail.example"]))]))
        .unwrap();
    for (name, mut bytes) in [
        ("in/file.arrow", arrow(&rows)),
        ("in/stream.arrow", stream.into_inner().unwrap()),
    ] {
        let at = bytes.windows(2).position(|window| window == b"ZZ").unwrap();
        bytes[at] = 0xff;
        job.write(name, bytes);
    }
    job.run(&[]).expect(0);
    nothing_raw(&job);
    assert_eq!(
        job.dead_letters(),
        [
            "file.arrow not_utf8",
            "note.parquet not_utf8",
            "other.parquet not_utf8",
            "stream.arrow not_utf8"
        ]
    );
    let letters = job.records("out/dead_letters");
    for letter in &letters {
        let (row, column) = match letter["source"]["object"].as_str().unwrap() {
            "other.parquet" => (2, "column `other`"),
            _ => (1, "column `note`"),
        };
        assert_eq!(letter["source"]["record"], row);
        assert!(
            letter["reason"].as_str().unwrap().contains(column),
            "{letter}"
        );
    }
    let kept = copy(&job, "note");
    assert_eq!(strings(kept.column(0)), vec![Some("[EMAIL]".to_owned()); 2]);
    assert_eq!(copy(&job, "other").num_rows(), 2);
    assert_eq!(copy(&job, "file").num_rows(), 2);
    assert_eq!(job.records("out/entities").len(), 2 + 2 + 2 + 3);
}

#[test]
fn metadata_of_a_table_passes_only_as_far_as_it_is_structure_or_plain_words() {
    let note = Field::new("note", DataType::Utf8, true).with_metadata([
        ("PARQUET:field_id".to_owned(), "7".to_owned()),
        ("comment".to_owned(), "ask c@mail.example".to_owned()),
    ]);
    let inner = Field::new("inner", DataType::Utf8, true)
        .with_metadata([("owner".to_owned(), "d@mail.example".to_owned())]);
    let structure = StructArray::new(Fields::from(vec![inner]), vec![texts(&["-"])], None);
    let schema = Schema::new_with_metadata(
        vec![
            note,
            Field::new("pass", structure.data_type().clone(), true),
        ],
        [
            (
                "pandas".to_owned(),
                "{\"attrs\": \"e@mail.example\"}".to_owned(),
            ),
            ("owner".to_owned(), "Ana Ruiz".to_owned()),
            ("origin".to_owned(), "crm".to_owned()),
        ],
    );
    let columns: Vec<ArrayRef> = vec![texts(&["f@mail.example"]), Arc::new(structure)];
    let rows = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let job = job("[\"note\"]", "");
    job.write("in/p.parquet", parquet(&rows));
    job.write("in/a.arrow", arrow(&rows));
    job.run(&[]).expect(0);
    nothing_raw(&job);
    for stem in ["p", "a"] {
        let copy = copy(&job, stem);
        let metadata = copy.schema().metadata().clone();
        assert_eq!(metadata.get("origin").map(String::as_str), Some("crm"));
        assert!(metadata.get("owner").is_none() && metadata.get("pandas").is_none());
        let id = copy
            .schema()
            .field(0)
            .metadata()
            .get("PARQUET:field_id")
            .cloned();
        assert_eq!(id.as_deref(), Some("7"), "{stem}");
    }
    for (name, bytes) in job.files("out/redactions") {
        assert!(
            !String::from_utf8_lossy(&bytes).contains("Ana Ruiz"),
            "{name}"
        );
    }
}

#[test]
fn ids_of_other_types_are_read_and_a_null_id_is_the_place() {
    let uuid = FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16], [0x22; 16]].into_iter());
    let id = |ids: ArrayRef| batch(vec![("id", ids), ("note", texts(&["-", "-"]))]);
    let job = job("[\"note\"]", "");
    job.write(
        "in/int.parquet",
        parquet(&id(Arc::new(Int64Array::from(vec![7, 8])))),
    );
    job.write("in/uuid.parquet", parquet(&id(Arc::new(uuid.unwrap()))));
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![None, Some("x")]));
    job.write("in/null.parquet", parquet(&id(nulls)));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"b1"[..], &b"\xff\x01"[..]]));
    job.write("in/bytes.parquet", parquet(&id(bytes)));
    job.run(&[]).expect(0);
    let expected = [
        "11111111-1111-1111-1111-111111111111",
        "22222222-2222-2222-2222-222222222222",
        "7",
        "8",
        "b1",
        "ff01",
        "null.parquet:0",
        "x",
    ];
    assert_eq!(job.delivered(), expected);
}

#[test]
fn a_file_of_another_kind_or_a_part_of_one_is_said_to_be_that() {
    let rows = batch(vec![("note", texts(&["g@mail.example"]))]);
    let (table, file) = (parquet(&rows), arrow(&rows));
    let job = job("[\"note\"]", "");
    job.write("in/cut.parquet", &table[..table.len() - 40]);
    job.write("in/half.parquet", &table[..table.len() / 2]);
    job.write("in/csv.parquet", "id,note\n1,g@mail.example\n");
    job.write("in/arrow.parquet", &file);
    job.write("in/cut.arrow", &file[..file.len() - 40]);
    job.write("in/parquet.arrow", &table);
    job.write("in/one.feather", b"FEA1 and more than that".as_slice());
    let upper = batch(vec![("Note", texts(&["g@mail.example"]))]);
    job.write("in/upper.parquet", parquet(&upper));
    let values = batch(vec![
        ("g@mail.example", texts(&["-"])),
        ("Ana Ruiz", texts(&["-"])),
        ("amount", texts(&["-"])),
    ]);
    job.write("in/values.parquet", parquet(&values));
    job.run(&[]).expect(0);
    nothing_raw(&job);
    let letters = job.records("out/dead_letters");
    let is = |object: &str, part: &str| {
        let letter = letters
            .iter()
            .find(|letter| letter["source"]["object"] == object);
        let reason = letter.unwrap_or_else(|| panic!("{object}: {letters:?}"))["reason"]
            .as_str()
            .unwrap();
        assert!(reason.contains(part), "{object}: {reason}");
        assert!(!reason.contains("Ana"), "{reason}");
    };
    is("cut.parquet", "truncated");
    is("half.parquet", "truncated");
    is("csv.parquet", "does not begin with PAR1");
    is("arrow.parquet", "it is an Arrow file");
    is("cut.arrow", "truncated");
    is("parquet.arrow", "it is a Parquet file");
    is("one.feather", "Feather file of version 1");
    is("upper.parquet", "`Note` is: names are case-sensitive");
    is("values.parquet", "(has: amount, and 2 more)");
}
