//! A Confluent-compatible Schema Registry: ids of the schemas that weir writes, and the schemas of
//! the messages that it reads.
//!
//! The crate schema_registry_converter makes the requests. weir does not use its caches: they keep
//! every schema and every failure for the life of the process, even for an unknown id whose schema may
//! arrive a moment later. Here both lists are bounded, and weir asks again for an unknown id.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use apache_avro::{Schema, schema::ResolvedSchema};
use hashlink::LruCache;
use schema_registry_converter::{
    async_impl::{
        avro::get_avro_schema,
        schema_registry::{
            SrSettings, get_all_subjects, get_schema_by_guid, get_schema_by_id, perform_sr_call,
            post_schema,
        },
    },
    error::SRCError,
    schema_registry_common::{RawError, SchemaType, SrCall, SubjectNameStrategy, SuppliedSchema},
};
use zeroize::Zeroizing;

use super::{Kind, SchemaId, Writer};
use crate::record::Code;

/// How a registry is reached, and how weir's schemas are named there.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses, tried in order.
    pub urls: Vec<String>,
    /// Basic authentication.
    pub credentials: Option<Credentials>,
    /// Names of the subjects that weir's schemas stand under.
    pub subjects: Subjects,
    /// Whether weir registers a schema that is not there.
    pub auto_register: bool,
    /// Longest time for one request.
    pub timeout: Duration,
}

/// Basic authentication.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Name of the user, or of an API key.
    pub username: String,
    /// Its secret.
    pub password: Password,
}

/// A secret: never printed, and wiped from memory at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl From<String> for Password {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// How the subject of a schema is made of topic and record, by the names that Confluent's
/// serializers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subjects {
    /// `TOPIC-value`.
    #[default]
    TopicName,
    /// `weir.v1.Entities`.
    RecordName,
    /// `TOPIC-weir.v1.Entities`.
    TopicRecordName,
}

/// Topics of weir's records.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Topics<'a> {
    pub entities: &'a str,
    pub redactions: &'a str,
    pub dead_letters: &'a str,
}

/// Writers of weir's records, their ids looked up.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Writers {
    pub entities: Writer,
    pub redactions: Writer,
    pub dead_letters: Writer,
}

/// Why a schema or its id can't be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The client can't be made of its options.
    #[error("can't create the client of the schema registry: {why}")]
    Options {
        /// The client's words.
        why: String,
    },
    /// No answer, or none that says whether the schema is there: trying again may help.
    #[error("the schema registry did not answer about {about}: {why}")]
    Unavailable {
        /// A schema or a subject.
        about: String,
        /// Status and code of the answer, or why there was none.
        why: String,
    },
    /// The schema of weir's records is not registered, and weir may not do it.
    #[error("subject {subject} does not contain this version of the schema of {name}")]
    NotRegistered {
        /// Subject.
        subject: String,
        /// Record.
        name: &'static str,
        /// What `weir schema` calls it.
        command: &'static str,
    },
    /// The registry does not take weir's schema.
    #[error("subject {subject} does not accept the schema of {name}: {why}")]
    Refused {
        /// Subject.
        subject: String,
        /// Record.
        name: &'static str,
        /// Code of the answer.
        why: String,
    },
    /// A message names a schema that the registry does not know.
    #[error("the schema registry does not know schema {id}")]
    Unknown {
        /// Id in the message.
        id: SchemaId,
    },
    /// A message names a schema that is not Avro, or not whole.
    #[error("can't read schema {id} of the registry as Avro")]
    Unusable {
        /// Id in the message.
        id: SchemaId,
    },
}

impl Error {
    /// Code of the dead letter of a message that can't be read for this; `None` if it is not the
    /// message's fault and has to be tried again.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Unknown { .. } => Some(Code::UnknownSchema),
            Self::Unusable { .. } => Some(Code::NotAvro),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Options { .. } => Some("check the registry's url".to_owned()),
            Self::Unavailable { .. } => {
                Some("check the registry's url, username and password".to_owned())
            }
            Self::NotRegistered { command, .. } => Some(format!(
                "register the output of `weir schema {command}` there, or set auto_register = true"
            )),
            Self::Refused { .. } => Some(
                "check the subject's compatibility and weir's permissions, or name another topic"
                    .to_owned(),
            ),
            Self::Unknown { .. } | Self::Unusable { .. } => None,
        }
    }
}

/// A client of a registry.
pub struct Registry {
    settings: SrSettings,
    subjects: Subjects,
    auto_register: bool,
    read: Mutex<Read>,
    /// Of topics and kinds that were asked for.
    writers: Mutex<HashMap<(Kind, String), Writer>>,
}

/// What the registry said about the schemas of messages.
struct Read {
    schemas: LruCache<SchemaId, Arc<Schema>>,
    refused: LruCache<SchemaId, (Error, Instant)>,
}

/// Schemas that are kept. A topic has a handful; each takes some kilobytes.
const SCHEMAS: usize = 1024;

/// How long the registry is not asked again for an id that it did not know. Shorter: a topic full
/// of such messages becomes a flood of requests. Longer: a schema that reaches a replica late costs
/// more dead letters.
const REFUSED_FOR: Duration = Duration::from_secs(10);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("subjects", &self.subjects)
            .field("auto_register", &self.auto_register)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Makes a client; sends nothing.
    pub fn build(self) -> Result<Registry, Error> {
        let mut urls = self.urls.iter().map(|url| url.trim_end_matches('/'));
        let first = urls.next().ok_or_else(|| Error::Options {
            why: "no url".to_owned(),
        })?;
        let mut settings = SrSettings::new_builder(first.to_owned());
        for url in urls {
            settings.add_url(url.to_owned());
        }
        if let Some(Credentials { username, password }) = &self.credentials {
            settings.set_basic_authorization(username, Some(&password.0));
        }
        let settings = settings.set_timeout(self.timeout).build();
        let settings = settings.map_err(|error| Error::Options { why: error.error })?;
        Ok(Registry {
            settings,
            subjects: self.subjects,
            auto_register: self.auto_register,
            read: Mutex::new(Read {
                schemas: LruCache::new(SCHEMAS),
                refused: LruCache::new(SCHEMAS),
            }),
            writers: Mutex::default(),
        })
    }
}

impl Registry {
    /// Looks the ids of weir's schemas up, or registers the schemas if that is allowed.
    pub async fn writers(&self, topics: Topics<'_>) -> Result<Writers, Error> {
        let Topics {
            entities,
            redactions,
            dead_letters,
        } = topics;
        Ok(Writers {
            entities: self.writer(Kind::Entities, entities).await?,
            redactions: self.writer(Kind::Redaction, redactions).await?,
            dead_letters: self.writer(Kind::DeadLetter, dead_letters).await?,
        })
    }

    /// Whether the registry answers at all. Blocks no thread.
    pub async fn reach(&self) -> Result<(), Error> {
        let answer = get_all_subjects(&self.settings).await;
        let answer = answer.map_err(|error| unavailable("its subjects".to_owned(), &error));
        answer.map(|_| ())
    }

    /// A writer of records of `kind` to `topic`; asks the registry once for each.
    pub async fn writer(&self, kind: Kind, topic: &str) -> Result<Writer, Error> {
        let key = (kind, self.subjects.of(kind, topic));
        if let Some(writer) = self.known_writers().get(&key).copied() {
            return Ok(writer);
        }
        let writer = self.look_up(kind, &key.1).await?;
        self.known_writers().insert(key, writer);
        Ok(writer)
    }

    fn known_writers(&self) -> std::sync::MutexGuard<'_, HashMap<(Kind, String), Writer>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(&self, kind: Kind, subject: &str) -> Result<Writer, Error> {
        let subject = subject.to_owned();
        if let Some(id) = self.registered(kind, &subject).await? {
            return Ok(Writer::new(kind, id));
        }
        if !self.auto_register {
            return Err(Error::NotRegistered {
                subject,
                name: kind.name(),
                command: kind.command(),
            });
        }
        let schema = SuppliedSchema::new(
            Some(kind.name().to_owned()),
            SchemaType::Avro,
            kind.text().to_owned(),
        );
        let registered = post_schema(&self.settings, subject.clone(), schema).await;
        let registered = registered.map_err(|error| match answer(&error) {
            // 409 incompatible, 422 not valid, 403 not allowed: another attempt changes nothing.
            Some(409 | 403 | 40300..=40399 | 42200..=42299) => Error::Refused {
                subject,
                name: kind.name(),
                why: said(&error),
            },
            _ => unavailable(format!("subject {subject}"), &error),
        })?;
        Ok(Writer::new(kind, registered.id))
    }

    /// Id of the schema of `kind` if `subject` holds it. The crate's encoders register what they
    /// write or take whatever is the latest; asking for one schema is a call of its lower layer.
    async fn registered(&self, kind: Kind, subject: &str) -> Result<Option<u32>, Error> {
        let body = serde_json::json!({"schema": kind.text(), "schemaType": "AVRO"}).to_string();
        let call = SrCall::PostForVersion(subject, &body);
        match perform_sr_call(&self.settings, call).await {
            Ok(found) => Ok(found.id),
            Err(error) => match answer(&error) {
                // No such subject; the subject holds other schemas.
                Some(40401 | 40403) => Ok(None),
                _ => Err(unavailable(format!("subject {subject}"), &error)),
            },
        }
    }

    /// The schema of a message.
    pub async fn schema(&self, id: SchemaId) -> Result<Arc<Schema>, Error> {
        if let Some(known) = self.read().known(&id) {
            return known;
        }
        let found = self.ask(id).await;
        self.read().remember(id, &found);
        found
    }

    async fn ask(&self, id: SchemaId) -> Result<Arc<Schema>, Error> {
        let registered = match id {
            SchemaId::Number(number) => get_schema_by_id(number, &self.settings).await,
            SchemaId::Guid(_) => get_schema_by_guid(&id.to_string(), &self.settings).await,
        };
        let registered = registered.map_err(|error| match answer(&error) {
            Some(40403) => Error::Unknown { id },
            _ => unavailable(format!("schema {id}"), &error),
        })?;
        if registered.schema_type != SchemaType::Avro {
            return Err(Error::Unusable { id });
        }
        // Asks for the schemas that this one refers to.
        let schema = get_avro_schema(&self.settings, registered).await;
        let schema = schema.map_err(|error| match (error.retriable, answer(&error)) {
            (false, None) => Error::Unusable { id },
            _ => unavailable(format!("the references of schema {id}"), &error),
        })?;
        match ResolvedSchema::try_from(&schema.parsed) {
            Ok(_) => Ok(Arc::new(schema.parsed.clone())),
            Err(_) => Err(Error::Unusable { id }),
        }
    }

    fn read(&self) -> std::sync::MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read {
    fn known(&mut self, id: &SchemaId) -> Option<Result<Arc<Schema>, Error>> {
        if let Some(schema) = self.schemas.get(id) {
            return Some(Ok(schema.clone()));
        }
        let (error, since) = self.refused.get(id)?;
        (since.elapsed() < REFUSED_FOR).then(|| Err(error.clone()))
    }

    fn remember(&mut self, id: SchemaId, found: &Result<Arc<Schema>, Error>) {
        match found {
            Ok(schema) => {
                self.schemas.insert(id, schema.clone());
            }
            Err(error) if error.code().is_some() => {
                self.refused.insert(id, (error.clone(), Instant::now()));
            }
            Err(_) => {}
        }
    }
}

impl Subjects {
    /// The subject of a schema.
    pub fn of(self, kind: Kind, topic: &str) -> String {
        let (topic, name) = (topic.to_owned(), kind.name().to_owned());
        let strategy = match self {
            Self::TopicName => SubjectNameStrategy::TopicNameStrategy(topic, false),
            Self::RecordName => SubjectNameStrategy::RecordNameStrategy(name),
            Self::TopicRecordName => SubjectNameStrategy::TopicRecordNameStrategy(topic, name),
        };
        strategy.get_subject().expect("the strategies hold a name")
    }
}

/// The registry's `error_code`, if it answered with one.
fn answer(error: &SRCError) -> Option<u32> {
    let source = std::error::Error::source(error)?;
    let code = source.downcast_ref::<RawError>()?.error_code;
    // The crate's word for an answer that is not the registry's, such as a proxy's page.
    (code != 0).then_some(code)
}

/// What went wrong, in the words of crate and registry. Requests hold ids and weir's own schemas, so
/// no answer can repeat a value (I7).
fn said(error: &SRCError) -> String {
    match &error.cause {
        Some(cause) => format!("{} ({cause})", error.error),
        None => error.error.clone(),
    }
}

fn unavailable(about: String, error: &SRCError) -> Error {
    Error::Unavailable {
        about,
        why: said(error),
    }
}

impl Writers {
    /// Of schemas whose ids are known.
    pub fn of(entities: u32, redactions: u32, dead_letters: u32) -> Self {
        Self {
            entities: Writer::new(Kind::Entities, entities),
            redactions: Writer::new(Kind::Redaction, redactions),
            dead_letters: Writer::new(Kind::DeadLetter, dead_letters),
        }
    }
}
