//! `weir schema`.

use super::{
    args::{Schema, SchemaOf},
    exit::{Exit, Failure},
    out,
};
#[cfg(feature = "kafka")]
use crate::record::avro::Kind;
use crate::{
    config::{self, reference},
    record::{Audit, DeadLetter, Entities, Forget, Redaction, Reveal},
    telemetry::metric,
    tenant,
};

/// Prints the schema.
pub fn execute(args: &Schema) -> Result<Exit, Failure> {
    out::data(&text(args.which))?;
    Ok(Exit::Done)
}

/// The text that is printed, and committed under `schemas/` and `docs/`.
pub fn text(which: SchemaOf) -> String {
    let schema = match which {
        SchemaOf::Config => config::schema().clone(),
        SchemaOf::Tenant => tenant::schema().clone(),
        SchemaOf::Entities => record::<Entities>(),
        SchemaOf::Redaction => record::<Redaction>(),
        SchemaOf::DeadLetter => record::<DeadLetter>(),
        SchemaOf::Audit => record::<Audit>(),
        SchemaOf::Reveal => record::<Reveal>(),
        SchemaOf::Forget => record::<Forget>(),
        #[cfg(feature = "kafka")]
        SchemaOf::EntitiesAvro => return Kind::Entities.text().to_owned(),
        #[cfg(feature = "kafka")]
        SchemaOf::RedactionAvro => return Kind::Redaction.text().to_owned(),
        #[cfg(feature = "kafka")]
        SchemaOf::DeadLetterAvro => return Kind::DeadLetter.text().to_owned(),
        #[cfg(feature = "kafka")]
        SchemaOf::AuditAvro => return Kind::Audit.text().to_owned(),
        SchemaOf::Docs => return reference::markdown(),
        SchemaOf::Metrics => return metric::markdown(),
    };
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema serializes");
    text.push('\n');
    text
}

/// Records are written by weir: their schema says what it writes.
fn record<T: schemars::JsonSchema>() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn committed_schemas_are_those_of_the_code() {
        for which in SchemaOf::value_variants() {
            let name = which
                .to_possible_value()
                .expect("no variant is skipped")
                .get_name()
                .to_owned();
            let file = match which {
                SchemaOf::Docs => "docs/configuration.md".to_owned(),
                SchemaOf::Metrics => "docs/metrics.md".to_owned(),
                _ => match name.strip_suffix("-avro") {
                    Some(record) => format!("schemas/{record}.avsc"),
                    None => format!("schemas/{name}.json"),
                },
            };
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let committed = std::fs::read_to_string(path).unwrap_or_default();
            assert!(
                committed == text(*which),
                "{file} is not what the code says: run `cargo run -- schema {name} > {file}`"
            );
        }
    }
}
