//! An Arrow file whose strings are read as bytes, because one of them is not UTF-8.
//!
//! arrow-ipc 60.1 checks strings as it reads a batch and gives the batch up at the first invalid one;
//! its readers take the schema from the file. Text and bytes have the same layout in a batch, so weir
//! changes the schema of the temporary copy in place: in its flatbuffer one byte is the type of a field,
//! and neither text nor bytes have other type data.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use arrow_ipc::{Field, Schema, Type, root_as_footer, root_as_message};

/// Bytes behind the footer: its length and the magic.
const TRAILER_BYTES: u64 = 10;

const CONTINUATION: [u8; 4] = [0xFF; 4];

/// Levels of nested fields that are changed: as many as the reader takes.
const MAX_DEPTH: usize = 64;

/// Makes a file's text fields fields of bytes. `false`: the schema was not found, nothing is changed.
pub(super) fn read_as_bytes(file: &mut File, has_footer: bool) -> io::Result<bool> {
    let size = file.seek(SeekFrom::End(0))?;
    let (start, length) = match has_footer {
        true => {
            let Some(end) = size.checked_sub(TRAILER_BYTES) else {
                return Ok(false);
            };
            let length = u64::from(u32::from_le_bytes(read_at(file, end)?));
            let Some(start) = end.checked_sub(length) else {
                return Ok(false);
            };
            (start, length)
        }
        false => match read_at(file, 0)? {
            CONTINUATION => (8, u64::from(u32::from_le_bytes(read_at(file, 4)?))),
            length => (4, u64::from(u32::from_le_bytes(length))),
        },
    };
    if start.saturating_add(length) > size {
        return Ok(false);
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    let mut places = Vec::new();
    let schema = match has_footer {
        true => root_as_footer(&bytes)
            .ok()
            .and_then(|footer| footer.schema()),
        false => root_as_message(&bytes)
            .ok()
            .and_then(|message| message.header_as_schema()),
    };
    let Some(schema) = schema else {
        return Ok(false);
    };
    text_fields(schema, &mut places);
    for (place, kind) in places {
        file.seek(SeekFrom::Start(start + place as u64))?;
        file.write_all(&[kind])?;
    }
    file.rewind()?;
    Ok(true)
}

/// Where in the flatbuffer the types of text fields stand, and what they become.
fn text_fields(schema: Schema<'_>, places: &mut Vec<(usize, u8)>) {
    let mut open: Vec<(Field<'_>, usize)> = Vec::new();
    open.extend(
        schema
            .fields()
            .into_iter()
            .flatten()
            .map(|field| (field, 0)),
    );
    while let Some((field, depth)) = open.pop() {
        let bytes = match field.type_type() {
            Type::Utf8 => Some(Type::Binary),
            Type::LargeUtf8 => Some(Type::LargeBinary),
            Type::Utf8View => Some(Type::BinaryView),
            _ => None,
        };
        let offset = field._tab.vtable().get(Field::VT_TYPE_TYPE);
        if let Some(bytes) = bytes.filter(|_| offset > 0) {
            places.push((field._tab.loc() + usize::from(offset), bytes.0));
        }
        if depth < MAX_DEPTH {
            let children = field.children().into_iter().flatten();
            open.extend(children.map(|child| (child, depth + 1)));
        }
    }
}

fn read_at(file: &mut File, place: u64) -> io::Result<[u8; 4]> {
    let mut bytes = [0; 4];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
