//! Digit groups and what stands between them.

/// Bytes that a gap between two groups of one number has at most (`\r\n` and two spaces).
const MAX_GAP: usize = 4;

/// What stands between two groups of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// One to three spaces.
    Space,
    /// A line break, with the spaces around it.
    Break,
    /// One of `- . / _` or a tab, with or without spaces around it.
    Mark(u8),
}

impl Gap {
    /// Reads a gap, or `None` where the bytes do not hold two groups together.
    fn read(gap: &[u8]) -> Option<Self> {
        let inner = gap.trim_ascii_start().trim_ascii_end();
        match inner {
            [] if gap.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => Some(Self::Break),
            [] if gap.contains(&b'\t') => Some(Self::Mark(b'\t')),
            [] => Some(Self::Space),
            // A dash at the end of a line is where the number was wrapped.
            [b'-'] if gap.contains(&b'\n') => Some(Self::Break),
            [mark @ (b'-' | b'.' | b'/' | b'_')] => Some(Self::Mark(*mark)),
            _ => None,
        }
    }
}

/// A run of digit groups with gaps between them.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// First byte of each group, and the byte after its last.
    pub groups: Vec<(usize, usize)>,
    /// What stands behind each group but the last.
    pub gaps: Vec<Gap>,
}

impl Run {
    /// Digits in the group at `index`.
    pub fn size(&self, index: usize) -> usize {
        self.groups[index].1 - self.groups[index].0
    }
}

/// Calls `each` with every run of digit groups; runs are disjoint, so the pass is linear.
pub(super) fn digit_runs(text: &str, mut each: impl FnMut(&Run)) {
    let bytes = text.as_bytes();
    let mut run = Run::default();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        run.groups.clear();
        run.gaps.clear();
        loop {
            let start = at;
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                at += 1;
            }
            run.groups.push((start, at));
            let Some(gap) = next_gap(bytes, at) else {
                break;
            };
            run.gaps.push(gap.0);
            at = gap.1;
        }
        each(&run);
    }
}

/// The gap at `at` and where the next group begins.
fn next_gap(bytes: &[u8], at: usize) -> Option<(Gap, usize)> {
    let length = bytes[at..]
        .iter()
        .take(MAX_GAP + 1)
        .position(u8::is_ascii_digit)?;
    if length == 0 || length > MAX_GAP {
        return None;
    }
    Some((Gap::read(&bytes[at..at + length])?, at + length))
}

/// The ASCII digits of some groups, one after the other.
pub(super) fn digits(text: &str, groups: &[(usize, usize)]) -> Vec<u8> {
    let bytes = text.as_bytes();
    groups
        .iter()
        .flat_map(|group| &bytes[group.0..group.1])
        .copied()
        .collect()
}
