//! Objects of a store: those that are read, and where records of them are written.

use super::{
    Error,
    identity::{ids, pointer, tenant},
};
use crate::{
    config::{self, ObjectSink, ObjectSource, limits, sink::DeadLetterFormat},
    record::{audit::DigestKey, commit::AUDIT},
    sink::{self, Formats, Ledger, Redactions},
    source::{self, Columns, Objects},
    store::{self, Compression, Format, Location},
};

/// Opens the place to read.
pub fn source(source: &ObjectSource, limits: &limits::Section) -> Result<Objects, source::Error> {
    Objects::open(options(source, limits))
}

fn options(source: &ObjectSource, limits: &limits::Section) -> source::Options {
    let ObjectSource {
        url,
        options,
        include,
        exclude,
        tenant: tenant_from,
        columns,
        format,
        encoding,
        multiline,
        id,
        ids: treatment,
        follow_links,
        poll: _, // opened.rs
    } = source;
    source::Options {
        url: url.to_string(),
        options: options.clone(),
        include: include.clone(),
        exclude: exclude.clone(),
        format: format.map(|format| match format {
            config::source::Format::Text => Format::Text,
            config::source::Format::Auto => Format::Auto,
            config::source::Format::Log => Format::Lines,
            config::source::Format::Jsonl => Format::JsonLines,
            config::source::Format::Json => Format::Json,
            config::source::Format::Parquet => Format::Parquet,
            config::source::Format::Arrow => Format::Arrow,
        }),
        encoding: *encoding,
        multiline: multiline.clone(),
        tenant: tenant(tenant_from),
        id: Some(pointer(id)),
        ids: ids(treatment),
        follow_links: *follow_links,
        columns: columns.as_ref().map_or_else(Columns::default, table),
        max_record_bytes: limits.max_record_bytes,
    }
}

fn table(columns: &config::Columns) -> Columns {
    let config::Columns { text, id } = columns;
    Columns {
        text: text.clone(),
        id: id.clone(),
        tenant: None, // resolved as `TenantFrom::Column`
    }
}

/// The sink if it is there; `None` is a folder that will be made.
pub fn planned(sink: &ObjectSink) -> Result<Option<Location>, store::Error> {
    Location::planned(sink.url.as_str(), &sink.options)
}

/// What a job writes must not be what it reads. The configuration was checked by its URLs alone; here links
/// are followed, and patterns count.
pub fn apart(objects: &Objects, sink: &ObjectSink, location: &Location) -> Result<(), sink::Error> {
    let audit = sink.audit_key.as_ref().map(|_| AUDIT);
    let kinds = ["entities", "redactions", "dead_letters"];
    for kind in kinds.into_iter().chain(audit) {
        let inside = objects
            .location()
            .relative_of(location)
            .map(|below| format!("{below}/{kind}/x.jsonl"));
        if inside.is_some_and(|path| objects.chooses(path.trim_start_matches('/'))) {
            return Err(sink::Error::Loop {
                sink: sink.url.to_string(),
            });
        }
    }
    Ok(())
}

/// Makes the sink of a job over `objects`. `configuration` is a digest of everything but the object that decides
/// about the outputs.
pub(super) fn ledger(
    objects: &Objects,
    sink: &ObjectSink,
    configuration: String,
) -> Result<Ledger, Error> {
    let ObjectSink {
        url,
        options,
        formats: records,
        compression: algorithm,
        lease,
        roll: _, // topics.rs
        audit_key,
    } = sink;
    let location = Location::create(url.as_str(), options).map_err(sink::Error::from)?;
    apart(objects, sink, &location)?;
    let formats = formats(*records, compression(*algorithm));
    let ledger = Ledger::new(location, formats, *lease, configuration);
    Ok(match audit_key {
        Some(secret) => ledger.audited(digest_key(secret)),
        None => ledger,
    })
}

/// The key of the digests in audit records.
pub(super) fn digest_key(secret: &config::kafka::Secret) -> DigestKey {
    DigestKey::new(secret.expose().as_bytes().to_vec())
}

fn formats(formats: config::sink::Formats, compression: Option<Compression>) -> Formats {
    use config::sink::{EntityFormat, RedactionFormat};
    let config::sink::Formats {
        redactions,
        entities,
        dead_letters: DeadLetterFormat::Jsonl,
    } = formats;
    Formats {
        redactions: match redactions {
            RedactionFormat::Auto => Redactions::Auto,
            RedactionFormat::Jsonl => Redactions::JsonLines,
            RedactionFormat::Parquet => Redactions::Parquet,
            RedactionFormat::Text => Redactions::Text,
        },
        entities_as_parquet: match entities {
            EntityFormat::Jsonl => false,
            EntityFormat::Parquet => true,
        },
        compression,
    }
}

pub(super) fn compression(compression: config::sink::Compression) -> Option<Compression> {
    match compression {
        config::sink::Compression::None => None,
        config::sink::Compression::Gzip => Some(Compression::Gzip),
        config::sink::Compression::Zstd => Some(Compression::Zstd),
    }
}
