//! JSON values in a row, or those of a top-level array, each as received.
//!
//! In:  UTF-8, or bytes that should be: one value, pretty-printed or not, several, or an array of
//!      them.
//! Out: each value with what stands before and after it, so that all in a row are the input.
//! Holds: at most the limit of one value is in memory (I9). Between values there is white space and
//!        what an array has; anything else is an error, and nothing behind it is read.
//! Does not know: the content of a value. [`crate::record::json`] checks whether it is JSON.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A value, and the bytes around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// White space, and the bracket of an array before its first value.
    pub(super) before: String,
    /// White space, the comma of an array, and its bracket after its last value.
    pub(super) after: String,
    /// As received, or its length if it is over the limit.
    pub(super) content: Result<Vec<u8>, u64>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Value(Value),
    /// What is no JSON stands between values, or the input ends within an array.
    Broken,
    End,
}

/// White space that is kept between two values. More is let go: it may have no end.
const GAP_BYTES: usize = 64 << 10;

/// Reads values.
pub(super) struct Values<R> {
    bytes: R,
    limit: u64,
    array: Array,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Array {
    /// No value was met yet.
    Unknown,
    /// Values stand by themselves.
    None,
    /// A value is due.
    Due,
    /// A comma or the end is due.
    Read,
    Closed,
}

impl<R: AsyncBufRead + Unpin> Values<R> {
    pub(super) fn new(bytes: R, limit: u64) -> Self {
        Self {
            bytes,
            limit,
            array: Array::Unknown,
            ended: false,
        }
    }

    pub(super) async fn next(&mut self) -> io::Result<Next> {
        if self.ended {
            return Ok(Next::End);
        }
        let mut before = String::new();
        loop {
            let Some(byte) = self.peek().await? else {
                self.ended = true;
                return Ok(match self.array {
                    Array::Due | Array::Read => Next::Broken,
                    Array::Unknown | Array::None | Array::Closed => Next::End,
                });
            };
            let next = match (byte, self.array) {
                (b' ' | b'\t' | b'\n' | b'\r', array) => array,
                (b'[', Array::Unknown) => Array::Due,
                // An array without values.
                (b']', Array::Due) if before.contains('[') => Array::Closed,
                (
                    b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'[',
                    Array::Unknown | Array::None | Array::Due,
                ) => {
                    break;
                }
                _ => {
                    self.ended = true;
                    return Ok(Next::Broken);
                }
            };
            self.array = next;
            self.bytes.consume(1);
            keep(&mut before, byte);
        }
        let content = self.value().await?;
        self.array = match self.array {
            Array::Due => Array::Read,
            _ => Array::None,
        };
        let after = self.gap().await?;
        Ok(Next::Value(Value {
            before,
            after,
            content,
        }))
    }

    async fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.bytes.fill_buf().await?.first().copied())
    }

    /// What stands behind a value: to the end of its line, or as far as an array goes on.
    async fn gap(&mut self) -> io::Result<String> {
        let mut gap = String::new();
        loop {
            if self.array == Array::None && gap.ends_with('\n') {
                // The next value of a stream may come much later.
                return Ok(gap);
            }
            let Some(byte) = self.peek().await? else {
                return Ok(gap);
            };
            match (byte, self.array) {
                (b' ' | b'\t' | b'\n' | b'\r', _) => {}
                (b',', Array::Read) => self.array = Array::Due,
                (b']', Array::Read) => self.array = Array::Closed,
                _ => return Ok(gap),
            }
            self.bytes.consume(1);
            keep(&mut gap, byte);
            if byte == b',' {
                return Ok(gap);
            }
        }
    }

    /// The bytes of one value: to where its brackets close, its string ends, or its word does.
    async fn value(&mut self) -> io::Result<Result<Vec<u8>, u64>> {
        let mut content = Vec::new();
        let mut bytes: u64 = 0;
        let mut depth = 0_usize;
        let (mut in_string, mut escaped) = (false, false);
        let mut is_word = false;
        loop {
            let available = self.bytes.fill_buf().await?;
            let mut used = 0;
            let mut ended = available.is_empty();
            for byte in available.iter().copied() {
                if in_string {
                    used += 1;
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_string = false,
                        _ => continue,
                    }
                    ended = !in_string && depth == 0;
                } else {
                    match byte {
                        b'{' | b'[' if !is_word => depth += 1,
                        b'"' if !is_word => in_string = true,
                        b'}' | b']' if depth > 0 => depth -= 1,
                        _ if depth > 0 => {
                            used += 1;
                            continue;
                        }
                        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.' => {
                            is_word = true;
                            used += 1;
                            continue;
                        }
                        _ => {
                            // The end of a word; it is no part of it.
                            ended = true;
                            break;
                        }
                    }
                    used += 1;
                    ended = depth == 0 && !in_string;
                }
                if ended {
                    break;
                }
            }
            bytes += used as u64;
            if bytes <= self.limit {
                content.extend_from_slice(&available[..used]);
            } else {
                content = Vec::new();
            }
            self.bytes.consume(used);
            if ended {
                return Ok(if bytes > self.limit {
                    Err(bytes)
                } else {
                    Ok(content)
                });
            }
        }
    }
}

fn keep(gap: &mut String, byte: u8) {
    if gap.len() < GAP_BYTES || matches!(byte, b'[' | b']' | b',') {
        gap.push(char::from(byte));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn read(input: &[u8], limit: u64, buffer: usize) -> Vec<Next> {
        futures::executor::block_on(async {
            let mut values = Values::new(BufReader::with_capacity(buffer, input), limit);
            let mut all = Vec::new();
            loop {
                let next = values.next().await.unwrap();
                if next == Next::End {
                    return all;
                }
                all.push(next);
            }
        })
    }

    fn contents(input: &str) -> Vec<String> {
        let each = |next| match next {
            Next::Value(value) => String::from_utf8(value.content.unwrap()).unwrap(),
            Next::Broken => "broken".to_owned(),
            Next::End => unreachable!(),
        };
        read(input.as_bytes(), 1 << 20, 5)
            .into_iter()
            .map(each)
            .collect()
    }

    #[test]
    fn values_by_themselves_and_those_of_an_array_are_told_apart() {
        assert_eq!(
            contents("{\n \"a\": \"}\\\"\"\n}\n"),
            ["{\n \"a\": \"}\\\"\"\n}"]
        );
        assert_eq!(
            contents("{\"a\":1}{\"b\":[2]} {}"),
            ["{\"a\":1}", "{\"b\":[2]}", "{}"]
        );
        assert_eq!(
            contents(" [ {\"a\":1} , {\"b\":[{}]}, 7, \"x\" ]\n"),
            ["{\"a\":1}", "{\"b\":[{}]}", "7", "\"x\""]
        );
        assert_eq!(contents("[]\n"), [""; 0]);
        assert_eq!(contents("[[1],[2]]"), ["[1]", "[2]"]);
        assert_eq!(contents(" \n"), [""; 0]);
        for broken in [
            "[{}", "[{},", "[{} {}]", "[{}] {}", "[,]", "]", "yes", "[{},]", "{} x",
        ] {
            assert_eq!(
                contents(broken).last().map(String::as_str),
                Some("broken"),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_value_over_the_limit_is_counted_and_the_next_one_is_read() {
        let long = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "]}".repeat(50));
        let all = read(long.as_bytes(), 20, 8);
        assert!(
            matches!(&all[0], Next::Value(value) if value.content == Err(108)),
            "{all:?}"
        );
        assert!(
            matches!(&all[1], Next::Value(value) if value.content.is_ok()),
            "{all:?}"
        );
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[\\[\\]{},:\"\\\\a\\n é]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a\"\\\\}]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_parts_in_a_row_are_the_input_and_the_values_are_those_of_serde(
            values in prop::collection::vec(json(), 1..5),
            pretty in any::<bool>(),
            array in any::<bool>(),
            buffer in 1_usize..40,
        ) {
            let write = |value: &serde_json::Value| match pretty {
                true => serde_json::to_string_pretty(value).unwrap(),
                false => value.to_string(),
            };
            // One array in a row is an array of values.
            let array = array || values[0].is_array();
            let input = match array {
                true => write(&values.clone().into()) + "\n",
                false => values.iter().map(write).collect::<Vec<_>>().join(" \n"),
            };
            let found = read(input.as_bytes(), 1 << 20, buffer);
            let mut again = String::new();
            let mut read_values = Vec::new();
            for next in &found {
                let Next::Value(value) = next else { panic!("{next:?}") };
                let text = std::str::from_utf8(value.content.as_ref().unwrap()).unwrap();
                read_values.push(serde_json::from_str::<serde_json::Value>(text).unwrap());
                again += &format!("{}{text}{}", value.before, value.after);
            }
            prop_assert_eq!(again, input);
            prop_assert_eq!(read_values, values);
        }

        #[test]
        fn any_bytes_come_to_an_end(input in "[\\[\\]{},:\"\\\\a1 \\n]{0,40}", buffer in 1_usize..9) {
            let found = read(input.as_bytes(), 10, buffer);
            prop_assert!(found.len() <= input.len() + 1);
        }
    }
}
