/// A stretch of a text in UTF-8 bytes, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSpan {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// A stretch of a text in Unicode code points, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodePointSpan {
    /// First code point.
    pub start: usize,
    /// Code point after the last.
    pub end: usize,
}

impl ByteSpan {
    /// A span; `start <= end`.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end, "a span does not end before it starts");
        Self { start, end }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it covers no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether the two share a byte.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether every byte of `other` lies in this one.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Turns ascending byte offsets of one text into code points in a single pass.
#[derive(Debug, Clone)]
pub struct CodePointCursor<'a> {
    text: &'a str,
    byte: usize,
    code_point: usize,
}

impl<'a> CodePointCursor<'a> {
    /// Starts at the beginning of `text`, which stands `code_point` code points into its field.
    pub fn new(text: &'a str, code_point: usize) -> Self {
        Self {
            text,
            byte: 0,
            code_point,
        }
    }

    /// Code points before byte `byte`; bytes must be asked for in ascending order and lie on
    /// character boundaries.
    pub fn at(&mut self, byte: usize) -> usize {
        debug_assert!(byte >= self.byte, "a cursor only moves forward");
        self.code_point += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.code_point
    }
}
