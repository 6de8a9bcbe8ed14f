//! Standard input and standard output.

use super::identity::{ids, pointer, tenant};
use crate::{
    config::{self, StdinSource, StdoutSink, limits, source::LineFormat},
    sink::Printer,
    source::{self, Reader},
    store::Format,
};

/// A reader of standard input.
pub(super) fn reader(
    source: &StdinSource,
    limits: &limits::Section,
) -> Result<Reader, source::Error> {
    let StdinSource {
        format,
        encoding,
        multiline,
        tenant: tenant_from,
        id,
        ids: treatment,
    } = source;
    let format = match format {
        Some(LineFormat::Auto) | None => Format::Auto,
        Some(LineFormat::Log) => Format::Lines,
        Some(LineFormat::Jsonl) => Format::JsonLines,
        Some(LineFormat::Json) => Format::Json,
    };
    let options = source::Options {
        encoding: *encoding,
        multiline: multiline.clone(),
        tenant: tenant(tenant_from),
        id: Some(pointer(id)),
        ids: ids(treatment),
        max_record_bytes: limits.max_record_bytes,
        // The rest is of objects.
        ..source::Options::default()
    };
    Reader::over(tokio::io::stdin(), format, &options)
}

/// A printer on standard output.
pub(super) fn printer(sink: &StdoutSink) -> Printer {
    let StdoutSink { records } = sink;
    Printer {
        entities: match records {
            config::sink::Printed::Redactions => false,
            config::sink::Printed::Entities => true,
        },
    }
}
