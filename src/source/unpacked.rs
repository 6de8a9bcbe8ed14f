//! How much the batches of an Arrow file say they unpack to, read before anything is unpacked.
//!
//! arrow-ipc 60.1 reserves the length in front of a compressed buffer before it reads
//! the bytes behind it (`CompressionCodec::decompress`): a length of 2^61 aborts the process, and
//! no panic handler runs. Found by the fuzz target `arrow`.

use std::io::{self, Read, Seek, SeekFrom};

use arrow_ipc::{Message, RecordBatch, root_as_footer, root_as_message};

/// Most bytes that the compressed buffers of one batch may unpack to: far above the batches that
/// writers make (64 Ki rows are usual), and small enough for a worker's memory (I9).
pub(super) const MAX_BATCH_BYTES: u64 = 1 << 30;

/// Bytes in front of a compressed buffer: its length when unpacked, or -1 where it is not packed.
const PREFIX_BYTES: u64 = 8;

/// What the largest batch says it unpacks to. Ends without an error at the first place that makes
/// no sense: the reader refuses the file there.
pub(super) fn largest_batch<R: Read + Seek>(file: &mut R, has_footer: bool) -> io::Result<u64> {
    if has_footer {
        by_footer(file)
    } else {
        by_messages(file)
    }
}

fn by_footer<R: Read + Seek>(file: &mut R) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0))?;
    let Some(end) = size.checked_sub(10) else {
        return Ok(0);
    };
    file.seek(SeekFrom::Start(end))?;
    let length = u64::from(read_u32(file)?);
    let Some(start) = end.checked_sub(length) else {
        return Ok(0);
    };
    file.seek(SeekFrom::Start(start))?;
    let bytes = read_bytes(file, length)?;
    let Ok(footer) = root_as_footer(&bytes) else {
        return Ok(0);
    };
    let mut largest = 0;
    let blocks = [footer.dictionaries(), footer.recordBatches()];
    for block in blocks.into_iter().flatten().flatten() {
        let places = (
            u64::try_from(block.offset()),
            u64::try_from(block.metaDataLength()),
        );
        let (Ok(start), Ok(length)) = places else {
            return Ok(largest);
        };
        if start.saturating_add(length) > size {
            return Ok(largest);
        }
        file.seek(SeekFrom::Start(start))?;
        let bytes = read_bytes(file, length)?;
        // As the reader does it: what follows the marker or the length is the message.
        let head = if bytes.starts_with(&CONTINUATION) {
            8
        } else {
            4
        };
        let Some(Ok(message)) = bytes.get(head..).map(root_as_message) else {
            return Ok(largest);
        };
        largest = largest.max(unpacked(file, message, start + length, size)?);
    }
    Ok(largest)
}

const CONTINUATION: [u8; 4] = [0xFF; 4];

fn by_messages<R: Read + Seek>(file: &mut R) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    let mut largest = 0;
    while at + 8 <= size {
        file.seek(SeekFrom::Start(at))?;
        let mut length = read_u32(file)?;
        at += 4;
        if length.to_le_bytes() == CONTINUATION {
            length = read_u32(file)?;
            at += 4;
        }
        let body = at + u64::from(length);
        if length == 0 || body > size {
            break;
        }
        let bytes = read_bytes(file, u64::from(length))?;
        let Ok(message) = root_as_message(&bytes) else {
            break;
        };
        let Ok(body_length) = u64::try_from(message.bodyLength()) else {
            break;
        };
        largest = largest.max(unpacked(file, message, body, size)?);
        at = body.saturating_add(body_length);
    }
    Ok(largest)
}

/// Bytes that the compressed buffers of one message unpack to.
fn unpacked<R: Read + Seek>(
    file: &mut R,
    message: Message<'_>,
    body: u64,
    size: u64,
) -> io::Result<u64> {
    let batch: Option<RecordBatch<'_>> = message
        .header_as_record_batch()
        .or_else(|| message.header_as_dictionary_batch()?.data());
    let Some(buffers) = batch
        .filter(|b| b.compression().is_some())
        .and_then(|b| b.buffers())
    else {
        return Ok(0);
    };
    let mut total: u64 = 0;
    for buffer in buffers {
        let Ok(offset) = u64::try_from(buffer.offset()) else {
            continue;
        };
        let start = body.saturating_add(offset);
        if buffer.length() == 0 || start.saturating_add(PREFIX_BYTES) > size {
            continue;
        }
        file.seek(SeekFrom::Start(start))?;
        let mut prefix = [0; PREFIX_BYTES as usize];
        file.read_exact(&mut prefix)?;
        // Less than 0: not packed, or refused by the reader.
        total = total.saturating_add(u64::try_from(i64::from_le_bytes(prefix)).unwrap_or(0));
    }
    Ok(total)
}

fn read_u32<R: Read>(file: &mut R) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// `length` is checked against the size of the file.
fn read_bytes<R: Read>(file: &mut R, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, sync::Arc};

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use arrow_ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    };

    use super::*;

    fn written(codec: Option<CompressionType>, file_form: bool) -> Vec<u8> {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(5000); 3]));
        let batch = RecordBatch::try_from_iter([("text", text)]).unwrap();
        let options = IpcWriteOptions::default()
            .try_with_compression(codec)
            .unwrap();
        if file_form {
            let schema = batch.schema();
            let mut writer =
                FileWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
            writer.write(&batch).unwrap();
            return writer.into_inner().unwrap();
        }
        let schema = batch.schema();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn both_forms_and_codecs_say_what_they_unpack_to() {
        for file_form in [true, false] {
            for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
                let mut file = Cursor::new(written(Some(codec), file_form));
                let bytes = largest_batch(&mut file, file_form).unwrap();
                assert!((15_000..15_100).contains(&bytes), "{bytes}");
            }
            let mut file = Cursor::new(written(None, file_form));
            assert_eq!(largest_batch(&mut file, file_form).unwrap(), 0);
        }
    }

    #[test]
    fn a_length_that_no_memory_holds_is_seen() {
        for file_form in [true, false] {
            let mut bytes = written(Some(CompressionType::LZ4_FRAME), file_form);
            let prefix = 15_000_i64.to_le_bytes();
            // The last one: the offsets before it hold the same number.
            let at = bytes
                .windows(8)
                .rposition(|window| window == prefix)
                .unwrap();
            bytes[at + 7] = 0x31;
            assert!(largest_batch(&mut Cursor::new(bytes), file_form).unwrap() > MAX_BATCH_BYTES);
        }
    }
}
