//! Prometheus's text format: a page of metrics, read into series.
//!
//! Written here: the crates that read it are no longer kept, and take labels apart with an expression that fails on
//! escaped quotes and on commas in values. The format is one line for each series (`name{label="value"} 1.5`), and
//! comments.

use std::{collections::HashMap, iter::Peekable, str::Chars};

/// Labels of a series, sorted by name.
pub(super) type Labels = Vec<(String, String)>;

/// A page of metrics: the series of each name, in the order of the page.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page(HashMap<String, Vec<Series>>);

/// One line of a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub labels: Labels,
    pub value: f64,
}

/// A line that is not of this format. It does not hold the line: who answered is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the answer is not a metric")]
pub(super) struct Malformed {
    /// From 1 on.
    pub line: usize,
}

impl Series {
    /// The value of a label; empty if the series is without it, as in Prometheus.
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Page {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut page = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, series) = sample(line).ok_or(Malformed { line: at + 1 })?;
            page.0.entry(name).or_default().push(series);
        }
        Ok(page)
    }

    /// Series of a metric; none if the page is without it.
    pub fn of(&self, name: &str) -> &[Series] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Values of a metric that are numbers: a gauge of a partition that went away may be NaN.
    pub fn numbers(&self, name: &str) -> impl Iterator<Item = (&Series, f64)> {
        let series = self.of(name).iter().map(|series| (series, series.value));
        series.filter(|(_, value)| value.is_finite())
    }

    /// Sum over all series; `None` if there are none.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let mut values = self.numbers(name).map(|(_, value)| value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// The largest value; `None` if there are none.
    pub fn largest(&self, name: &str) -> Option<f64> {
        self.numbers(name).map(|(_, value)| value).reduce(f64::max)
    }

    /// Sums by the values of a label, in the order of the values.
    pub fn by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let mut sums: std::collections::BTreeMap<&str, f64> = Default::default();
        for (series, value) in self.numbers(name) {
            *sums.entry(series.label(label)).or_default() += value;
        }
        let owned = |(value, sum): (&str, f64)| (value.to_owned(), sum);
        sums.into_iter().map(owned).collect()
    }

    /// How much the series of a counter grew since an earlier page, those that `counts` lets pass. A series that fell
    /// began again at 0, as `increase()` of Prometheus has it: the worker was restarted. One that is new began at 0.
    pub fn increase(&self, before: &Self, name: &str, counts: impl Fn(&Series) -> bool) -> f64 {
        let earlier: HashMap<&Labels, f64> = before
            .numbers(name)
            .map(|(series, value)| (&series.labels, value))
            .collect();
        let counted = self.numbers(name).filter(|(series, _)| counts(series));
        let grown = counted.map(|(series, now)| {
            let then = earlier.get(&series.labels).copied().unwrap_or(0.0);
            if now >= then { now - then } else { now }
        });
        // Not `sum`, which is -0 for nothing.
        grown.fold(0.0, |sum, more| sum + more)
    }
}

/// `name{label="value",…} value [time]`; what an OpenMetrics page has behind it (exemplars) is left.
fn sample(line: &str) -> Option<(String, Series)> {
    let mut rest = line.chars().peekable();
    let name = word(&mut rest, |sign| sign == ':')?;
    skip_space(&mut rest);
    let mut labels = match rest.next_if_eq(&'{') {
        Some(_) => labels(&mut rest)?,
        None => Labels::new(),
    };
    labels.sort();
    let rest: String = rest.collect();
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Series { labels, value }))
}

/// Labels up to the closing brace. A comma behind the last one is allowed.
fn labels(rest: &mut Peekable<Chars<'_>>) -> Option<Labels> {
    let mut labels = Labels::new();
    loop {
        skip_space(rest);
        if rest.next_if_eq(&'}').is_some() {
            return Some(labels);
        }
        let name = word(rest, |_| false)?;
        skip_space(rest);
        rest.next_if_eq(&'=')?;
        skip_space(rest);
        rest.next_if_eq(&'"')?;
        labels.push((name, quoted(rest)?));
        skip_space(rest);
        if rest.next_if_eq(&',').is_none() && rest.peek() != Some(&'}') {
            return None;
        }
    }
}

/// A value up to its closing quote. `\\`, `\"` and `\n` are escaped; another backslash is itself.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                sign @ ('\\' | '"') => value.push(sign),
                other => value.extend(['\\', other]),
            },
            sign => value.push(sign),
        }
    }
}

/// Letters, digits and underscores, and what else is allowed; not a digit first.
fn word(rest: &mut Peekable<Chars<'_>>, also: impl Fn(char) -> bool) -> Option<String> {
    let mut name = String::new();
    while let Some(sign) =
        rest.next_if(|sign| sign.is_ascii_alphanumeric() || *sign == '_' || also(*sign))
    {
        name.push(sign);
    }
    let begins = name.chars().next()?;
    (!begins.is_ascii_digit()).then_some(name)
}

fn skip_space(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|sign| matches!(sign, ' ' | '\t')).is_some() {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str) -> Page {
        Page::parse(text).unwrap()
    }

    #[test]
    fn a_page_is_read_with_its_comments_escapes_and_odd_numbers() {
        let read = page(
            "# HELP a_total What\n# TYPE a_total counter\n\
             a_total{tenant=\"ac\\\"me, }\",outcome=\"x\\\\n\\n\"} 3 1700000000000\n\
             \n  b  7.5e3\n c { } +Inf\nd{e=\"f\",} NaN # {trace_id=\"1\"} 2\n:e_bucket{le=\"+Inf\"} 1",
        );
        let a = &read.of("a_total")[0];
        assert_eq!(
            (a.label("tenant"), a.label("outcome")),
            ("ac\"me, }", "x\\n\n")
        );
        assert_eq!((a.value, a.label("other")), (3.0, ""));
        assert_eq!(read.sum("b"), Some(7500.0));
        assert_eq!(read.of("c")[0].value, f64::INFINITY);
        assert!(read.of("d")[0].value.is_nan());
        assert_eq!(read.sum("d"), None, "NaN is no number to add");
        assert_eq!(read.of(":e_bucket")[0].label("le"), "+Inf");
        assert_eq!((read.sum("none"), read.largest("none")), (None, None));
    }

    #[test]
    fn what_is_not_of_the_format_is_named_by_its_line() {
        for bad in [
            "<html>",
            "a",
            "a{b=\"c\" 1",
            "a{b=\"c} 1",
            "a{b=c} 1",
            "a{b=\"c\"d=\"e\"} 1",
            "a{=\"c\"} 1",
            "1a 1",
            "a one",
            "a{b=\"c\\",
            "{\"status\":\"ok\"}",
        ] {
            let text = format!("ok 1\n# fine\n{bad}\n");
            assert_eq!(Page::parse(&text), Err(Malformed { line: 3 }), "{bad}");
        }
    }

    #[test]
    fn counters_grow_by_series_and_begin_again_at_0() {
        let before = page("c{t=\"a\"} 10\nc{t=\"b\"} 5\nc{t=\"gone\"} 9\n");
        let after = page("c{t=\"b\"} 2\nc{t=\"a\"} 14\nc{t=\"new\"} 3\n");
        let all = |_: &Series| true;
        assert_eq!(after.increase(&before, "c", all), 4.0 + 2.0 + 3.0);
        assert_eq!(after.increase(&before, "d", all), 0.0);
        assert_eq!(page("").increase(&before, "c", all), 0.0);
        let a = |series: &Series| series.label("t") == "a";
        assert_eq!(after.increase(&before, "c", a), 4.0);
        assert_eq!(
            after.by("c", "t"),
            [("a", 14.0), ("b", 2.0), ("new", 3.0)].map(|(t, n)| (t.to_owned(), n))
        );
        assert_eq!(after.largest("c"), Some(14.0));
    }

    proptest! {
        #[test]
        fn any_label_comes_back_and_no_text_panics(
            values in prop::collection::vec("\\PC*|[\\\\\"\n,{}= ]*", 0..4),
            number in any::<f64>(),
            any in "\\PC*",
        ) {
            let escaped = values.iter().enumerate().map(|(at, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("l{at}=\"{value}\"")
            });
            let escaped: Vec<String> = escaped.collect();
            let read = page(&format!("m{{{}}} {number}\n", escaped.join(",")));
            let series = &read.of("m")[0];
            for (at, value) in values.iter().enumerate() {
                prop_assert_eq!(series.label(&format!("l{at}")), value);
            }
            prop_assert!(series.value == number || number.is_nan());
            let _ = Page::parse(&any);
        }
    }
}
