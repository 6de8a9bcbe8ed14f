//! Private keys within lines: a key that a log spreads over lines is one record.

use memchr::memmem;

/// A private key whose end line has not come yet.
#[derive(Debug)]
pub(super) struct KeyBlock {
    /// Lines in a row that do not look like a part of a key.
    strange: u8,
}

/// What a line is to a key.
pub(super) enum KeyLine {
    Inside,
    /// Holds the end of the key.
    Last,
    /// Is no part of it: the key has no end.
    Outside,
}

/// Lines that look like no part of a key may stand in it once in a row: its last line is short.
const STRANGE_LINES: u8 = 1;

impl KeyBlock {
    /// A key that the line begins and does not end.
    pub(super) fn opened_by(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let mut open = false;
        while let Some(at) = memmem::find(rest, b"-----BEGIN ") {
            rest = &rest[at + 11..];
            open = is_private_key(rest) && !holds_end(rest);
        }
        open.then_some(Self { strange: 0 })
    }

    pub(super) fn next(&mut self, line: &[u8]) -> KeyLine {
        if holds_end(line) {
            return match Self::opened_by(line) {
                Some(next) => {
                    *self = next;
                    KeyLine::Inside
                }
                None => KeyLine::Last,
            };
        }
        self.strange = if is_of_a_key(line) {
            0
        } else {
            self.strange + 1
        };
        if self.strange > STRANGE_LINES {
            return KeyLine::Outside;
        }
        KeyLine::Inside
    }
}

/// Whether what follows `-----BEGIN ` or `-----END ` names a private key.
fn is_private_key(rest: &[u8]) -> bool {
    let name = &rest[..rest.len().min(64)];
    let Some(end) = memmem::find(name, b"-----") else {
        return false;
    };
    let name = &name[..end];
    name.ends_with(b"PRIVATE KEY") || name.ends_with(b"PRIVATE KEY BLOCK")
}

fn holds_end(line: &[u8]) -> bool {
    memmem::find_iter(line, b"-----END ").any(|at| is_private_key(&line[at + 9..]))
}

/// Whether a line holds key material or a header, whatever a log puts around it.
fn is_of_a_key(line: &[u8]) -> bool {
    const MATERIAL: usize = 40;
    const HEADERS: [&[u8]; 6] = [
        b"Proc-Type:",
        b"DEK-Info:",
        b"Version:",
        b"Comment:",
        b"Hash:",
        b"Charset:",
    ];
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    line.trim_ascii().is_empty()
        || line
            .split(|byte| !base64(byte))
            .any(|run| run.len() >= MATERIAL)
        || HEADERS
            .iter()
            .any(|header| memmem::find(line, header).is_some())
}
