//! US social security numbers: never issued ones are none, and what is not written with two dashes
//! needs a word for it nearby.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::{
    clue::{is_label, word_before},
    groups::{Gap, digit_runs, digits},
};
use crate::{
    decode::patterns::borders::{around, closes, continues_after, continues_before, opens},
    text::ByteSpan,
};

/// Social security numbers by the rules of issue (area not 000, 666 or 9xx; group not 00; serial
/// not 0000): with two dashes anywhere; with other separators, one dash or bare only near a clue.
pub(in crate::decode::patterns) fn ssn(text: &str, found: &mut Vec<ByteSpan>) {
    digit_runs(text, |run| {
        let mut first = 0;
        // End of the number before, so that two of them side by side do not hide each other.
        let mut done = usize::MAX;
        while first < run.groups.len() {
            let most = run.groups.len() - first;
            let size = |index: usize| match index < most {
                true => run.size(first + index),
                false => 0,
            };
            let count = match (size(0), size(1), size(2)) {
                (3, 2, 4) => Some(3),
                (3, 6, _) | (5, 4, _) => Some(2),
                (9, ..) => Some(1),
                _ => None,
            };
            let count = count.filter(|count| stands(text, run, first, *count, done));
            match count {
                Some(count) => {
                    let span = ByteSpan::new(run.groups[first].0, run.groups[first + count - 1].1);
                    found.push(span);
                    done = span.end;
                    first += count;
                }
                None => first += 1,
            }
        }
    });
}

fn stands(text: &str, run: &super::groups::Run, first: usize, count: usize, done: usize) -> bool {
    let groups = &run.groups[first..first + count];
    let gaps = &run.gaps[first..first + count - 1];
    let (start, end) = (groups[0].0, groups[count - 1].1);
    if !is_issued(&digits(text, groups)) || gaps.contains(&Gap::Break) && gaps.len() < 2 {
        return false;
    }
    let label = word_before(text, start);
    let labelled = is_label(
        &label,
        &["ssn", "ss", "no", "nr", "num", "number", "security"],
    );
    if !(opens(text, start) || labelled) || !closes(text, end) {
        return false;
    }
    let follows = first > 0 && run.groups[first - 1].1 == done;
    let part_of_longer = |mark: u8| {
        continues_before(text, start, mark) && !follows
            || continues_after(text, end, mark) && !another(text, run, first + count)
    };
    if part_of_longer(b'.') {
        return false;
    }
    let dashed = matches!(gaps, [Gap::Mark(b'-'), Gap::Mark(b'-')]);
    if (dashed || count == 1) && part_of_longer(b'-') {
        return false;
    }
    dashed || near_clue(text, start, end)
}

/// Whether another number in the usual groups follows at `first`.
fn another(text: &str, run: &super::groups::Run, first: usize) -> bool {
    first + 3 <= run.groups.len()
        && [3, 2, 4] == [run.size(first), run.size(first + 1), run.size(first + 2)]
        && is_issued(&digits(text, &run.groups[first..first + 3]))
        && closes(text, run.groups[first + 2].1)
        && !continues_after(text, run.groups[first + 2].1, b'-')
}

fn is_issued(digits: &[u8]) -> bool {
    let (area, group, serial) = (&digits[..3], &digits[3..5], &digits[5..]);
    area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000"
}

static CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "ssn",
            "social",
            "soc. sec",
            "soc sec",
            "soc.sec",
            "socsec",
            "soc_sec",
            "soc-sec",
            "ss#",
            "ss #",
            "ss no",
            "ss_no",
            "ss-no",
            "ssno",
            "ss num",
            "ss_num",
            "ssnum",
            "ss number",
            "s.s.n",
            "s.s.",
            "^ss",
            "taxpayer",
            "tax id",
            "tax_id",
            "taxid",
            "tax-id",
            "seguro soc",
        ])
        .expect("a few short literals")
});

/// Also inside a word: keys are written `employeeSsn`. Behind the number too: HL7 writes
/// `512473391^^^SS`.
fn near_clue(text: &str, start: usize, end: usize) -> bool {
    let (left, right) = around(text, start, end, 30);
    CLUES.is_match(left) || CLUES.is_match(right)
}

#[cfg(test)]
mod tests;
