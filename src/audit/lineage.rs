//! What a feed says as an event of OpenLineage: which topics a worker reads and writes, and for each field whether its
//! values are masked. No values.
//!
//! <https://openlineage.io/spec/2-0-2/OpenLineage.json>, facet `columnLineage` 1-2-0, whose transformations say `masking`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Activity, Report, activity::Step};

/// Names of the worker and its topics, as they are configured.
#[derive(Debug, Clone)]
pub struct Names {
    /// `host:port` of the source's brokers, of which the first names them.
    pub source_servers: String,
    /// The same of the sink.
    pub sink_servers: String,
    /// Consumer group.
    pub group: String,
    /// Topic of the redactions; `{tenant}` stands for the tenant.
    pub redactions: Option<String>,
    /// Topic of the entities; the same.
    pub entities: Option<String>,
}

/// Who says so.
const PRODUCER: &str = concat!("urn:weir:", env!("CARGO_PKG_VERSION"));

fn facet(of: &str, content: Value) -> Value {
    let mut facet = content;
    facet["_producer"] = PRODUCER.into();
    facet["_schemaURL"] = format!("https://openlineage.io/spec/facets/{of}").into();
    facet
}

/// The event, of the state that the feed shows. `now`: RFC 3339.
pub fn event(report: &Report, activity: &Activity, names: &Names, now: &str) -> Value {
    let topics: BTreeSet<&str> = report
        .partitions
        .iter()
        .map(|own| &*own.partition.topic)
        .collect();
    let source = namespace(&names.source_servers);
    let inputs = topics
        .iter()
        .map(|topic| json!({"namespace": source, "name": topic}));
    let job_type = facet(
        "2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
        json!({"processingType": "STREAMING", "integration": "WEIR", "jobType": "REDACTION",
            "emissionPattern": {"eventTrigger": "EVENT_BASED", "eventCompleteness": "ACCUMULATIVE"}}),
    );
    json!({
        "eventType": "RUNNING",
        "eventTime": now,
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run_id(report, names)},
        "job": {"namespace": source, "name": names.group, "facets": {"jobType": job_type}},
        "inputs": inputs.collect::<Vec<Value>>(),
        "outputs": outputs(activity, names, &topics),
    })
}

/// How OpenLineage names a cluster: by its first broker.
fn namespace(servers: &str) -> String {
    let first = servers.split(',').next().unwrap_or_default().trim();
    format!("kafka://{first}")
}

/// The same for every report of a feed: of its brokers, its group and its partitions.
fn run_id(report: &Report, names: &Names) -> String {
    let mut digest = Sha256::new();
    digest.update(b"weir/openlineage/1");
    digest.update(names.source_servers.as_bytes());
    digest.update([0]);
    digest.update(names.group.as_bytes());
    for own in &report.partitions {
        digest.update([0]);
        digest.update(own.partition.to_string().as_bytes());
    }
    let digest = digest.finalize();
    let mut bytes: [u8; 16] = *digest.first_chunk().expect("SHA-256 has 32 bytes");
    // Version 8 of RFC 9562: bytes of an application's own.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// The topics that are written, by tenant where their names have it.
fn outputs(activity: &Activity, names: &Names, topics: &BTreeSet<&str>) -> Vec<Value> {
    /// Fields, and records.
    type Output = (Map<String, Value>, u64);
    let mut outputs: BTreeMap<String, Output> = BTreeMap::new();
    let source = namespace(&names.source_servers);
    for (tenant, documents) in &activity.tenants {
        for name in [&names.redactions, &names.entities].into_iter().flatten() {
            let output = outputs.entry(name.replace("{tenant}", tenant));
            output.or_default().1 += documents.delivered;
        }
    }
    // Entities hold what was found, without masking: their fields do not come from one field of a document.
    for (column, steps) in &activity.columns {
        let Some(redactions) = &names.redactions else {
            break;
        };
        let output = outputs.entry(redactions.replace("{tenant}", &column.tenant));
        let (fields, _) = output.or_default();
        let name = column_name(&column.field);
        let input = json!({
            "namespace": source, "name": column.topic, "field": name,
            "transformations": steps.iter().map(transformation).collect::<Vec<Value>>(),
        });
        let field = fields
            .entry(name)
            .or_insert_with(|| json!({"inputFields": []}));
        if let Some(inputs) = field["inputFields"].as_array_mut() {
            inputs.push(input);
        }
    }
    let whole = |topic: &&str| json!({"namespace": source, "name": topic, "field": "*"});
    let outputs = outputs.into_iter().map(|(name, (fields, rows))| {
        let mut facets = json!({});
        if !fields.is_empty() {
            facets["columnLineage"] = facet(
                "1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
                json!({"fields": fields, "dataset": topics.iter().map(whole).collect::<Vec<Value>>()}),
            );
        }
        let statistics = facet(
            "1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet",
            json!({"rowCount": rows}),
        );
        json!({
            "namespace": namespace(&names.sink_servers), "name": name, "facets": facets,
            "outputFacets": {"outputStatistics": statistics},
        })
    });
    outputs.collect()
}

/// A JSON Pointer as OpenLineage names nested fields.
fn column_name(pointer: &str) -> String {
    let name = pointer.strip_prefix('/').unwrap_or(pointer);
    name.replace('/', ".").replace("~1", "/").replace("~0", "~")
}

fn transformation((step, findings): (&Step, &u64)) -> Value {
    let Step {
        label,
        operator,
        basis,
    } = step;
    let is_kept = operator == "keep";
    let basis = basis.as_ref().map(|basis| format!(" ({basis})"));
    let basis = basis.unwrap_or_default();
    json!({
        "type": "DIRECT",
        "subtype": if is_kept { "IDENTITY" } else { "TRANSFORMATION" },
        "description": format!("{operator}: {label}{basis}, {findings} findings"),
        "masking": !is_kept,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::Feed,
        record::{
            Position,
            audit::{Audit, DigestKey, Finding, Kind, Outcome},
        },
    };

    fn finding(field: &str, label: &str, operator: &str) -> Finding {
        Finding {
            field: field.to_owned(),
            start: 0,
            end: 4,
            label: label.to_owned(),
            score: 1.0,
            label_score: Some(1.0),
            threshold: None,
            recognizer: "model".to_owned(),
            operator: operator.to_owned(),
            key_id: None,
            basis: (label == "person").then(|| "Art. 4(5)".to_owned()),
        }
    }

    #[test]
    fn each_field_says_whether_its_values_are_masked() {
        let key = DigestKey::new(b"a secret of the test".to_vec());
        let mut activity = Activity::default();
        for (offset, tenant) in [(0, "acme"), (1, "acme"), (2, "zeta")] {
            let source = Position::Kafka {
                topic: "documents".to_owned(),
                partition: 0,
                offset,
            };
            activity.add(&Audit {
                tenant: Some(tenant.to_owned()),
                outcome: Some(Outcome::Delivered),
                findings: vec![
                    finding("/customer/name", "person", "replace"),
                    finding("/items/3/note", "city", "keep"),
                    finding("/items/17/note", "city", "keep"),
                ],
                ..Audit::new(Kind::Event, source, &key)
            });
        }
        let names = Names {
            source_servers: "kafka-1:9092,kafka-2:9092".to_owned(),
            sink_servers: "kafka-1:9092".to_owned(),
            group: "weir".to_owned(),
            redactions: Some("{tenant}.redacted".to_owned()),
            entities: None,
        };
        let report = Feed::default().close();
        let event = event(&report, &activity, &names, "2026-12-01T00:00:00Z");
        for member in ["eventTime", "run", "job", "producer", "schemaURL"] {
            assert!(!event[member].is_null(), "{member}");
        }
        let id = event["run"]["runId"].as_str().unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(event["outputs"][0]["name"], "acme.redacted");
        assert_eq!(event["outputs"][1]["name"], "zeta.redacted");
        let own = &event["outputs"][0];
        assert_eq!(own["outputFacets"]["outputStatistics"]["rowCount"], 2);
        let fields = &own["facets"]["columnLineage"]["fields"];
        let input = &fields["customer.name"]["inputFields"][0];
        assert_eq!(
            (&input["namespace"], &input["name"], &input["field"]),
            (
                &"kafka://kafka-1:9092".into(),
                &"documents".into(),
                &"customer.name".into()
            )
        );
        let step = &input["transformations"][0];
        assert_eq!(step["masking"], true);
        assert_eq!(
            step["description"],
            "replace: person (Art. 4(5)), 2 findings"
        );
        let step = &fields["items.*.note"]["inputFields"][0]["transformations"][0];
        assert_eq!(
            (&step["masking"], &step["subtype"]),
            (&false.into(), &"IDENTITY".into())
        );
        assert_eq!(step["description"], "keep: city, 4 findings");
    }
}
