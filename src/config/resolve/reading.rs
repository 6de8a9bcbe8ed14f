//! `[source]`, as it is meant.

use super::{
    Columns, Ids, ObjectSource, PathPattern, Resolver, Source, StdinSource, TenantFrom, word,
};
use crate::{config::source, diagnose::Kind, record::IdKey};

impl Resolver<'_> {
    pub(super) fn source(&mut self, section: &source::Section) -> Option<Source> {
        match section {
            source::Section::Kafka { .. } => self.kafka_source(section).map(Source::Kafka),
            source::Section::ObjectStore { .. } => self.objects(section).map(Source::ObjectStore),
            source::Section::Stdin { .. } => self.stdin(section).map(Source::Stdin),
        }
    }

    fn objects(&mut self, section: &source::Section) -> Option<ObjectSource> {
        let source::Section::ObjectStore {
            url,
            include,
            exclude,
            options,
            tenant,
            columns,
            format,
            encoding,
            multiline,
            id,
            follow_links,
            poll_secs,
        } = section
        else {
            return None;
        };
        self.tenant_of_an_object(tenant.as_ref(), columns.as_ref());
        let columns_used = columns.is_some() || matches!(tenant, Some(source::Tenant::Column(_)));
        if let (Some(format), true) = (format, columns_used)
            && !matches!(format, source::Format::Parquet | source::Format::Arrow)
        {
            self.no_columns(word(format));
        }
        if let (Some(format), Some(_)) = (format, multiline)
            && !matches!(format, source::Format::Auto | source::Format::Log)
        {
            self.no_lines(word(format));
        }
        let encoding = self.encoding(encoding.as_deref());
        let multiline = self.multiline(multiline.as_ref());
        let url = self.url("source.url", url);
        let (id, ids) = self.id(id);
        let options = url
            .as_ref()
            .and_then(|url| self.options("source.options", url, options));
        let globs = [
            self.globs("source.include", include),
            self.globs("source.exclude", exclude),
        ];
        let [Some(_), Some(_)] = globs else {
            return None;
        };
        let tenant = match columns.as_ref().and_then(|columns| columns.tenant.clone()) {
            Some(column) => Some(TenantFrom::Column(column)),
            None => self.tenant(tenant.as_ref()),
        };
        Some(ObjectSource {
            url: url?,
            options: options?,
            include: include.clone(),
            exclude: exclude.clone(),
            tenant: tenant?,
            columns: columns.as_ref().map(|columns| Columns {
                text: columns.text.clone(),
                id: columns.id.clone(),
            }),
            format: *format,
            encoding: encoding?,
            multiline: multiline?,
            id,
            ids: ids?,
            follow_links: *follow_links,
            poll: poll_secs.map(|secs| std::time::Duration::from_secs(secs.get())),
        })
    }

    fn tenant_of_an_object(
        &mut self,
        tenant: Option<&source::Tenant>,
        columns: Option<&source::Columns>,
    ) {
        let column = columns.and_then(|columns| columns.tenant.as_ref());
        if let (Some(_), Some(column)) = (tenant, column) {
            let at = self.written.place("source.tenant");
            let kind = Kind::Conflict(format!(
                "source.tenant and source.columns.tenant (\"{column}\") both name the tenant"
            ));
            self.problems.push(kind, &at, "keep one of them");
        }
        let of_kafka = match tenant {
            Some(source::Tenant::Key(_)) => Some("key"),
            Some(source::Tenant::Header(_)) => Some("header"),
            _ => None,
        };
        if let Some(kind) = of_kafka {
            let message = format!("an object has no `{kind}`, so it cannot name the tenant");
            let fix = "tenant = { value = \"…\" }, { field = \"…\" }, { column = \"…\" } or \
                       { path = \"…\" }";
            self.invalid("source.tenant", message, fix);
        }
    }

    /// Columns of what is not a table.
    fn no_columns(&mut self, format: String) {
        let at = self.written.place("source.columns");
        let kind = Kind::Conflict(format!(
            "source.columns needs a table, but source.format is {format}"
        ));
        self.problems.push(
            kind,
            &at,
            "format = \"parquet\" or \"arrow\", or leave columns out",
        );
    }

    fn stdin(&mut self, section: &source::Section) -> Option<StdinSource> {
        let source::Section::Stdin {
            format,
            encoding,
            multiline,
            tenant,
            id,
        } = section
        else {
            return None;
        };
        if let (Some(format), Some(_)) = (format, multiline)
            && !matches!(format, source::LineFormat::Auto | source::LineFormat::Log)
        {
            self.no_lines(word(format));
        }
        let encoding = self.encoding(encoding.as_deref());
        let multiline = self.multiline(multiline.as_ref());
        let kind = match tenant {
            Some(source::Tenant::Column(_)) => Some("column"),
            Some(source::Tenant::Path(_)) => Some("path"),
            Some(source::Tenant::Key(_)) => Some("key"),
            Some(source::Tenant::Header(_)) => Some("header"),
            _ => None,
        };
        if let Some(kind) = kind {
            let message = format!("standard input has no `{kind}`, so it cannot name the tenant");
            self.invalid(
                "source.tenant",
                message,
                "tenant = { value = \"…\" } or { field = \"…\" }",
            );
        }
        let (id, ids) = self.id(id);
        Some(StdinSource {
            format: *format,
            encoding: encoding?,
            multiline: multiline?,
            tenant: self.tenant(tenant.as_ref())?,
            id,
            ids: ids?,
        })
    }

    /// Where the id is, and what becomes of it.
    pub(super) fn id(&mut self, id: &source::Id) -> (String, Option<Ids>) {
        let default = || "id".to_owned();
        match id {
            source::Id::Field(field) => (field.clone(), Some(Ids::default())),
            source::Id::Rules(rules) => (
                rules.field.clone().unwrap_or_else(default),
                self.ids(
                    rules.hash,
                    rules.keep,
                    rules.hash_key_file.as_deref(),
                    rules.hash_key_env.as_deref(),
                ),
            ),
        }
    }

    pub(in crate::config) fn ids(
        &mut self,
        hash: bool,
        keep: bool,
        key_file: Option<&str>,
        key_env: Option<&str>,
    ) -> Option<Ids> {
        if hash && keep {
            let message = "`hash` and `keep` are both given".to_owned();
            self.invalid("source.id", message, "keep one of them");
        }
        let key = self.secret("source.id.hash_key", key_file, key_env)?;
        let length = key.as_ref().map(|key| key.expose().len());
        if let Some(length) = length.filter(|length| *length < IdKey::MIN_BYTES) {
            let least = IdKey::MIN_BYTES;
            let message = format!(
                "the key of hashed ids is {length} bytes long; at least {least} are required"
            );
            let fix = "such as `openssl rand -hex 32`";
            self.invalid("source.id", message, fix);
        }
        Some(Ids { hash, keep, key })
    }

    pub(super) fn no_lines(&mut self, format: String) {
        let at = self.written.place("source.multiline");
        let kind = Kind::Conflict(format!(
            "source.multiline groups lines of text, but source.format is {format}"
        ));
        let fix = "format = \"auto\" or \"log\", or leave multiline out";
        self.problems.push(kind, &at, fix);
    }

    /// `None` if it is not usable.
    pub(super) fn encoding(
        &mut self,
        label: Option<&str>,
    ) -> Option<Option<crate::source::Encoding>> {
        let Some(label) = label else {
            return Some(None);
        };
        let encoding = crate::source::Encoding::of_label(label);
        if encoding.is_none() {
            let message = format!("`{label}` is not an encoding that weir reads");
            let fix = "a name of https://encoding.spec.whatwg.org/#names-and-labels, such as \
                       \"windows-1252\", \"shift_jis\" or \"utf-16le\"; or \"utf-32le\"";
            self.invalid("source.encoding", message, fix);
        }
        encoding.map(Some)
    }

    /// `None` if it is not usable.
    pub(super) fn multiline(
        &mut self,
        multiline: Option<&source::Multiline>,
    ) -> Option<Option<crate::source::Multiline>> {
        let Some(multiline) = multiline else {
            return Some(None);
        };
        let start_pattern = self.regex("start_pattern", &multiline.start_pattern);
        let condition_pattern = match &multiline.condition_pattern {
            Some(pattern) => self.regex("condition_pattern", pattern),
            None => start_pattern.clone(),
        };
        Some(Some(crate::source::Multiline {
            start_pattern: start_pattern?,
            condition_pattern: condition_pattern?,
            mode: match multiline.mode {
                source::MultilineMode::ContinueThrough => crate::source::Mode::ContinueThrough,
                source::MultilineMode::ContinuePast => crate::source::Mode::ContinuePast,
                source::MultilineMode::HaltBefore => crate::source::Mode::HaltBefore,
                source::MultilineMode::HaltWith => crate::source::Mode::HaltWith,
            },
            timeout: std::time::Duration::from_millis(multiline.timeout_ms.get()),
        }))
    }

    pub(super) fn regex(&mut self, key: &str, pattern: &str) -> Option<regex::bytes::Regex> {
        let compiled = regex::bytes::Regex::new(pattern);
        if compiled.is_err() {
            let message = format!("source.multiline.{key} is not a regular expression");
            let fix = "such as '^\\d{4}-'; see https://docs.rs/regex/latest/regex/#syntax";
            self.invalid(&format!("source.multiline.{key}"), message, fix);
        }
        compiled.ok()
    }

    pub(in crate::config) fn tenant(
        &mut self,
        tenant: Option<&source::Tenant>,
    ) -> Option<TenantFrom> {
        Some(match tenant {
            None => TenantFrom::Record,
            Some(source::Tenant::Value(value)) => TenantFrom::Value(value.clone()),
            Some(source::Tenant::Field(field)) => TenantFrom::Field(field.clone()),
            Some(source::Tenant::Column(column)) => TenantFrom::Column(column.clone()),
            Some(source::Tenant::Header(header)) => TenantFrom::Header(header.clone()),
            Some(source::Tenant::Path(pattern)) => TenantFrom::Path(self.pattern(
                "source.tenant.path",
                pattern,
                "tenant",
                "raw/{tenant}/**",
            )?),
            Some(source::Tenant::Key(pattern)) => {
                TenantFrom::Key(self.pattern("source.tenant.key", pattern, "tenant", "{tenant}")?)
            }
        })
    }

    pub(in crate::config) fn pattern(
        &mut self,
        key: &str,
        pattern: &str,
        name: &str,
        example: &str,
    ) -> Option<PathPattern> {
        match PathPattern::new(pattern, name) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let message = format!("`{key}` is not usable: {why}");
                self.invalid(key, message, format!("such as \"{example}\""));
                None
            }
        }
    }
}
