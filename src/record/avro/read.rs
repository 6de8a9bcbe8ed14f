//! Avro messages as JSON text.
//!
//! The crate apache-avro parses schemas; this module reads the values, straight into JSON. The
//! crate's own reader (0.22, `decode.rs`) is not made for untrusted bytes: if a message ends inside a
//! string, a boolean or a union, it reads null, which would drop text silently (I1); it recurses as
//! deep as the bytes say; an array takes some fifty bytes of memory for each byte read; and it
//! keeps maps in random order (I10). The tests compare both readers.
//!
//! | Avro | JSON |
//! | --- | --- |
//! | null, boolean, int, long, string, array | the same |
//! | float, double | number; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | bytes, fixed | base64 |
//! | enum | the symbol |
//! | union | the value alone |
//! | map, record | object, in the order of the message |
//! | decimal, big-decimal | number with all its digits |
//! | uuid | text |
//! | date, time, timestamp, local timestamp, duration | ISO 8601 text, so that a date of birth can be found; a number where the calendar ends (year 9999) |

use apache_avro::{
    Schema,
    schema::{
        DecimalSchema, InnerDecimalSchema, NamesRef, NamespaceRef, ResolvedSchema, UuidSchema,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use num_bigint::BigInt;
use serde::Serialize;

use crate::record::{
    Code,
    json::{MAX_DEPTH, quoted},
};

/// Header of a message whose prefix does not name its schema.
pub const SCHEMA_ID_HEADER: &str = "__value_schema_id";

/// What a message names its writer's schema by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// Number in the registry.
    Number(u32),
    /// UUID of the schema, the same in every registry.
    Guid([u8; 16]),
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(id) => write!(f, "{id}"),
            Self::Guid(guid) => f.write_str(&uuid(guid)),
        }
    }
}

/// Why bytes are no message of their schema. Holds counts and places, no values (I7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither prefix nor header names a schema.
    #[error("does not name its schema (byte 0 and an id, or byte 1 and a GUID)")]
    Unmarked,
    /// The values need more bytes than there are.
    #[error("is truncated: its schema needs more bytes")]
    Short,
    /// The values need fewer bytes than there are.
    #[error("has {bytes} bytes after the end of its schema")]
    Long {
        /// Bytes left.
        bytes: usize,
    },
    /// A number, a length, a branch or a symbol that the schema does not allow.
    #[error("does not match its schema at byte {at}")]
    Invalid {
        /// Offset in the values.
        at: usize,
    },
    /// Records, arrays and maps in one another.
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    Deep,
    /// The schema names a type that it does not hold.
    #[error("has an incomplete schema: some of its types are missing")]
    Unresolved,
    /// The JSON text is larger than a record may be.
    #[error("exceeds {limit} bytes as JSON")]
    Large {
        /// Most bytes.
        limit: u64,
    },
}

impl Problem {
    /// Code of the dead letter.
    pub fn code(self) -> Code {
        match self {
            Self::Large { .. } => Code::TooLarge,
            _ => Code::NotAvro,
        }
    }
}

/// The id of a message's schema, and its values. `header` is the value of [`SCHEMA_ID_HEADER`]; with
/// it the payload has no prefix.
///
/// As Confluent's `SchemaId` and `DualSchemaIdDeserializer`: byte 0 and four bytes, big end first,
/// or byte 1 and the sixteen bytes of a GUID, in the header or in front of the values.
pub fn split<'a>(
    header: Option<&[u8]>,
    payload: &'a [u8],
) -> Result<(SchemaId, &'a [u8]), Problem> {
    match header {
        Some(header) => schema_id(header).map(|(id, _)| (id, payload)),
        None => schema_id(payload),
    }
}

fn schema_id(bytes: &[u8]) -> Result<(SchemaId, &[u8]), Problem> {
    let (magic, rest) = bytes.split_first().ok_or(Problem::Unmarked)?;
    let number = || rest.split_first_chunk::<4>();
    let guid = || rest.split_first_chunk::<16>();
    let found = match magic {
        0 => number().map(|(id, rest)| (SchemaId::Number(u32::from_be_bytes(*id)), rest)),
        1 => guid().map(|(id, rest)| (SchemaId::Guid(*id), rest)),
        _ => None,
    };
    found.ok_or(Problem::Unmarked)
}

/// Values of `schema` as JSON text of at most `limit` bytes.
pub fn json(schema: &Schema, bytes: &[u8], limit: u64) -> Result<String, Problem> {
    let resolved = ResolvedSchema::try_from(schema).map_err(|_| Problem::Unresolved)?;
    let mut reader = Reader {
        names: resolved.get_names(),
        all: bytes.len(),
        rest: bytes,
        out: String::new(),
        limit,
        depth: 0,
    };
    reader.value(schema, None)?;
    match reader.rest.len() {
        0 => Ok(reader.out),
        bytes => Err(Problem::Long { bytes }),
    }
}

struct Reader<'a, 's> {
    names: &'a NamesRef<'s>,
    all: usize,
    rest: &'a [u8],
    out: String,
    limit: u64,
    /// Records, arrays and maps that are open. A reference or a union between two of them adds to
    /// the stack, but neither can stand in one of its kind.
    depth: usize,
}

/// Decimals of more bytes are refused: as text they take time that grows with the square.
/// 512 bytes are 1,233 digits; databases end at 38 or 76.
const MAX_DECIMAL_BYTES: usize = 512;

/// Zeros that a decimal is written out with; beyond them it gets an exponent.
const MAX_ZEROS: usize = 64;

impl<'a> Reader<'a, '_> {
    fn value(&mut self, schema: &Schema, namespace: NamespaceRef<'_>) -> Result<(), Problem> {
        match schema {
            Schema::Null => self.put("null"),
            Schema::Boolean => self.boolean(),
            Schema::Int => {
                let number = self.int()?;
                self.put(&number.to_string())
            }
            Schema::Long => {
                let number = self.long()?;
                self.put(&number.to_string())
            }
            Schema::Float => {
                let number = f32::from_le_bytes(*self.chunk()?);
                self.float(number.into(), number)
            }
            Schema::Double => {
                let number = f64::from_le_bytes(*self.chunk()?);
                self.float(number, number)
            }
            Schema::String | Schema::Uuid(UuidSchema::String) => self.string(),
            Schema::Bytes => {
                let bytes = self.prefixed()?;
                self.base64(bytes)
            }
            Schema::Fixed(fixed) => {
                let bytes = self.take(fixed.size)?;
                self.base64(bytes)
            }
            Schema::Enum(schema) => {
                let symbol = self.index(&schema.symbols)?;
                self.put(&quoted(symbol))
            }
            Schema::Union(union) => {
                let branch = self.index(union.variants())?;
                self.value(branch, namespace)
            }
            Schema::Array(array) => self.container('[', ']', |reader, first| {
                reader.items(first, |reader| reader.value(&array.items, namespace))
            }),
            Schema::Map(map) => self.container('{', '}', |reader, first| {
                reader.items(first, |reader| {
                    reader.string()?;
                    reader.put(":")?;
                    reader.value(&map.types, namespace)
                })
            }),
            Schema::Record(record) => {
                let name = record.name.fully_qualified_name(namespace);
                self.container('{', '}', |reader, mut first| {
                    for field in &record.fields {
                        reader.comma(&mut first)?;
                        reader.put(&quoted(&field.name))?;
                        reader.put(":")?;
                        reader.value(&field.schema, name.namespace())?;
                    }
                    Ok(())
                })
            }
            Schema::Ref { name } => {
                let name = name.fully_qualified_name(namespace);
                let named = *self.names.get(&name).ok_or(Problem::Unresolved)?;
                self.value(named, name.namespace())
            }
            logical => self.logical(logical),
        }
    }

    fn logical(&mut self, schema: &Schema) -> Result<(), Problem> {
        match schema {
            Schema::Decimal(DecimalSchema { scale, inner, .. }) => {
                let bytes = match inner {
                    InnerDecimalSchema::Bytes => self.prefixed()?,
                    InnerDecimalSchema::Fixed(fixed) => self.take(fixed.size)?,
                };
                self.decimal(bytes, *scale as i64)
            }
            Schema::BigDecimal => self.big_decimal(),
            Schema::Uuid(schema) => {
                let bytes = match schema {
                    UuidSchema::Fixed(fixed) => self.take(fixed.size)?,
                    UuidSchema::Bytes | UuidSchema::String => self.prefixed()?,
                };
                let bytes = bytes.try_into().map_err(|_| self.invalid())?;
                self.text(&uuid(bytes))
            }
            Schema::Date => {
                let days = self.int()?;
                let since = SignedDuration::from_hours(24 * i64::from(days));
                let date = civil::date(1970, 1, 1).checked_add(since);
                self.calendar(days.into(), date.ok())
            }
            Schema::TimeMillis => {
                let millis = self.int()?.into();
                self.calendar(millis, time_of_day(SignedDuration::from_millis(millis)))
            }
            Schema::TimeMicros => {
                let micros = self.long()?;
                self.calendar(micros, time_of_day(SignedDuration::from_micros(micros)))
            }
            Schema::TimestampMillis => {
                let millis = self.long()?;
                self.calendar(millis, Timestamp::from_millisecond(millis).ok())
            }
            Schema::TimestampMicros => {
                let micros = self.long()?;
                self.calendar(micros, Timestamp::from_microsecond(micros).ok())
            }
            Schema::TimestampNanos => {
                let nanos = self.long()?;
                self.calendar(nanos, Timestamp::from_nanosecond(nanos.into()).ok())
            }
            Schema::LocalTimestampMillis => {
                let millis = self.long()?;
                self.calendar(millis, local(Timestamp::from_millisecond(millis).ok()))
            }
            Schema::LocalTimestampMicros => {
                let micros = self.long()?;
                self.calendar(micros, local(Timestamp::from_microsecond(micros).ok()))
            }
            Schema::LocalTimestampNanos => {
                let nanos = self.long()?;
                self.calendar(nanos, local(Timestamp::from_nanosecond(nanos.into()).ok()))
            }
            Schema::Duration(_) => self.duration(),
            // All types without a logical one are in `value`.
            _ => Err(Problem::Unresolved),
        }
    }

    fn boolean(&mut self) -> Result<(), Problem> {
        match self.take(1)? {
            [0] => self.put("false"),
            [1] => self.put("true"),
            _ => Err(self.invalid()),
        }
    }

    /// JSON has no word for what is not finite. A float is not widened: its digits would grow.
    fn float(&mut self, number: f64, digits: impl Serialize) -> Result<(), Problem> {
        match number {
            number if number.is_finite() => {
                let digits = serde_json::to_string(&digits).expect("a number is JSON");
                self.put(&digits)
            }
            number if number.is_nan() => self.text("NaN"),
            number if number > 0.0 => self.text("Infinity"),
            _ => self.text("-Infinity"),
        }
    }

    fn string(&mut self) -> Result<(), Problem> {
        let bytes = self.prefixed()?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.invalid())?;
        self.text(text)
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.room(bytes.len())?;
        self.text(&BASE64.encode(bytes))
    }

    fn decimal(&mut self, unscaled: &[u8], scale: i64) -> Result<(), Problem> {
        if unscaled.len() > MAX_DECIMAL_BYTES {
            return Err(self.invalid());
        }
        let digits = BigInt::from_signed_bytes_be(unscaled).to_string();
        self.put(&scaled(&digits, scale))
    }

    /// Bytes that hold the unscaled value behind its length, and the scale.
    fn big_decimal(&mut self) -> Result<(), Problem> {
        let bytes = self.prefixed()?;
        let after = std::mem::replace(&mut self.rest, bytes);
        let unscaled = self.prefixed()?;
        let scale = self.long()?;
        if !self.rest.is_empty() {
            return Err(self.invalid());
        }
        self.rest = after;
        self.decimal(unscaled, scale)
    }

    /// Months, days and milliseconds.
    fn duration(&mut self) -> Result<(), Problem> {
        let mut part = || Ok(u32::from_le_bytes(*self.chunk()?));
        let (months, days, millis): (u32, u32, u32) = (part()?, part()?, part()?);
        let (seconds, millis) = (millis / 1000, millis % 1000);
        self.text(&format!("P{months}M{days}DT{seconds}.{millis:03}S"))
    }

    /// A moment as text, or as its number where the calendar has no name for it.
    fn calendar(
        &mut self,
        number: i64,
        moment: Option<impl std::fmt::Display>,
    ) -> Result<(), Problem> {
        match moment {
            Some(moment) => self.text(&moment.to_string()),
            None => self.put(&number.to_string()),
        }
    }

    fn container(
        &mut self,
        open: char,
        close: char,
        content: impl FnOnce(&mut Self, bool) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if self.depth == MAX_DEPTH {
            return Err(Problem::Deep);
        }
        self.depth += 1;
        self.put(open.encode_utf8(&mut [0; 4]))?;
        content(self, true)?;
        self.put(close.encode_utf8(&mut [0; 4]))?;
        self.depth -= 1;
        Ok(())
    }

    /// Blocks of an array or a map. Each item writes at least a byte, so the limit of the text also
    /// bounds items that take none in the message, such as nulls.
    fn items(
        &mut self,
        mut first: bool,
        item: impl Fn(&mut Self) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        loop {
            let count = match self.long()? {
                0 => return Ok(()),
                count if count < 0 => {
                    self.long()?; // bytes of the block, for readers that skip it
                    count.unsigned_abs()
                }
                count => count.unsigned_abs(),
            };
            for _ in 0..count {
                self.comma(&mut first)?;
                item(self)?;
            }
        }
    }

    fn comma(&mut self, first: &mut bool) -> Result<(), Problem> {
        match std::mem::take(first) {
            true => Ok(()),
            false => self.put(","),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Problem> {
        self.room(text.len())?;
        self.put(&quoted(text))
    }

    fn put(&mut self, text: &str) -> Result<(), Problem> {
        self.room(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn room(&self, bytes: usize) -> Result<(), Problem> {
        match (self.out.len() + bytes) as u64 > self.limit {
            true => Err(Problem::Large { limit: self.limit }),
            false => Ok(()),
        }
    }

    fn index<'t, T>(&mut self, of: &'t [T]) -> Result<&'t T, Problem> {
        let index = usize::try_from(self.long()?);
        index
            .ok()
            .and_then(|index| of.get(index))
            .ok_or_else(|| self.invalid())
    }

    fn int(&mut self) -> Result<i32, Problem> {
        i32::try_from(self.long()?).map_err(|_| self.invalid())
    }

    /// Seven bits a byte, the lowest first, the sign in the lowest bit.
    fn long(&mut self) -> Result<i64, Problem> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.chunk()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(self.invalid());
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(self.invalid())
    }

    fn prefixed(&mut self) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(self.long()?).map_err(|_| self.invalid())?;
        self.take(length)
    }

    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Problem> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Problem::Short)?;
        self.rest = rest;
        Ok(chunk)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Problem::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn invalid(&self) -> Problem {
        Problem::Invalid {
            at: self.all.saturating_sub(self.rest.len()),
        }
    }
}

fn time_of_day(since_midnight: SignedDuration) -> Option<civil::Time> {
    civil::Time::midnight().checked_add(since_midnight).ok()
}

/// Without a zone: the same digits as in UTC.
fn local(at: Option<Timestamp>) -> Option<civil::DateTime> {
    at.map(|at| at.to_zoned(TimeZone::UTC).datetime())
}

/// The digits of a whole number with the point `scale` places from their end.
fn scaled(digits: &str, scale: i64) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let places = usize::try_from(scale).ok();
    match places {
        Some(0) => format!("{sign}{digits}"),
        Some(places) if places < digits.len() => {
            let (whole, fraction) = digits.split_at(digits.len() - places);
            format!("{sign}{whole}.{fraction}")
        }
        Some(places) if places - digits.len() <= MAX_ZEROS => {
            let zeros = "0".repeat(places - digits.len());
            format!("{sign}0.{zeros}{digits}")
        }
        _ => format!("{sign}{digits}e{}", -i128::from(scale)),
    }
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex = hex::encode(bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
