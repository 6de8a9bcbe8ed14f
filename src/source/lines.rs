use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// One line, as far as it is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line is in the buffer, without its end.
    Whole,
    /// The line has more bytes than allowed; they were skipped, not kept.
    TooLong {
        /// Its length without the line feed.
        bytes: u64,
    },
    /// There is no further line.
    End,
}

/// Reads one line into `line`, which holds at most `limit` bytes. The last line needs no end.
pub(super) async fn read_line<R: AsyncBufRead + Unpin + ?Sized>(
    reader: &mut R,
    line: &mut Vec<u8>,
    limit: u64,
) -> io::Result<Line> {
    line.clear();
    let mut bytes: u64 = 0;
    let mut ended = false;
    while !ended {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            if bytes == 0 {
                return Ok(Line::End);
            }
            break;
        }
        let found = available.iter().position(|byte| *byte == b'\n');
        ended = found.is_some();
        let piece = &available[..found.unwrap_or(available.len())];
        bytes += piece.len() as u64;
        // One byte more than the limit: it may be the carriage return.
        if bytes <= limit.saturating_add(1) {
            line.extend_from_slice(piece);
        } else {
            // Given back at once: the next lines do not need the room of the longest one.
            *line = Vec::new();
        }
        let used = piece.len() + usize::from(ended);
        reader.consume(used);
        if ended && bytes == 0 {
            return Ok(Line::Whole);
        }
    }
    if line.last() == Some(&b'\r') && ended {
        line.pop();
        bytes -= 1;
    }
    if bytes > limit {
        *line = Vec::new();
        return Ok(Line::TooLong { bytes });
    }
    Ok(Line::Whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn lines(input: &[u8], limit: u64, buffer: usize) -> Vec<Result<Vec<u8>, u64>> {
        futures::executor::block_on(async {
            let mut reader = BufReader::with_capacity(buffer, input);
            let mut line = Vec::new();
            let mut lines = Vec::new();
            loop {
                match read_line(&mut reader, &mut line, limit).await.unwrap() {
                    Line::Whole => lines.push(Ok(line.clone())),
                    Line::TooLong { bytes } => lines.push(Err(bytes)),
                    Line::End => return lines,
                }
            }
        })
    }

    #[test]
    fn line_ends_of_both_kinds_are_cut_and_empty_lines_kept() {
        let ok = |line: &str| Ok(line.as_bytes().to_vec());
        assert_eq!(
            lines(b"a\r\n\r\n\nb\rc\nlast\r", 100, 2),
            [ok("a"), ok(""), ok(""), ok("b\rc"), ok("last\r")]
        );
        assert_eq!(lines(b"", 100, 2), []);
        assert_eq!(lines(b"\n", 100, 2), [ok("")]);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_split_and_long_ones_are_counted(
            input in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..60),
            limit in 0_u64..6,
            buffer in 1_usize..8,
        ) {
            let mut expected: Vec<Result<Vec<u8>, u64>> = Vec::new();
            let mut rest = input.as_slice();
            while !rest.is_empty() {
                let (line, after) = match rest.iter().position(|b| *b == b'\n') {
                    Some(at) => {
                        let line = &rest[..at];
                        (line.strip_suffix(b"\r").unwrap_or(line), &rest[at + 1..])
                    }
                    None => (rest, &rest[rest.len()..]),
                };
                let len = line.len() as u64;
                expected.push(if len > limit { Err(len) } else { Ok(line.to_vec()) });
                rest = after;
            }
            let read = lines(&input, limit, buffer);
            // The length of a skipped line may count the carriage return that was skipped with it.
            prop_assert_eq!(read.len(), expected.len());
            for (read, expected) in read.iter().zip(&expected) {
                match (read, expected) {
                    (Err(read), Err(expected)) => prop_assert!(read - expected <= 1),
                    _ => prop_assert_eq!(read, expected),
                }
            }
        }
    }
}
