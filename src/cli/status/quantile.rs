//! Quantiles of a histogram's buckets, as Prometheus's `histogram_quantile` computes them.

use serde::Serialize;

use super::exposition::Page;

/// Cumulative counts by upper bound, in rising order, over all series of a histogram.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Buckets(Vec<(f64, f64)>);

/// A quantile in the unit of its histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantile {
    pub seconds: f64,
    /// It is above the largest bound, which stands for it.
    pub beyond: bool,
}

impl Buckets {
    /// Buckets of a histogram since its start.
    pub fn of(page: &Page, histogram: &str) -> Self {
        Self::sum(page, &format!("{histogram}_bucket"), |value, _| value)
    }

    /// Of what came between two pages. A series that fell began again, as counters do.
    pub fn between(before: &Page, after: &Page, histogram: &str) -> Self {
        let name = format!("{histogram}_bucket");
        let earlier: std::collections::HashMap<_, f64> = before
            .numbers(&name)
            .map(|(series, value)| (&series.labels, value))
            .collect();
        Self::sum(after, &name, |now, labels| {
            let then = earlier.get(labels).copied().unwrap_or(0.0);
            if now >= then { now - then } else { now }
        })
    }

    fn sum(
        page: &Page,
        name: &str,
        value: impl Fn(f64, &super::exposition::Labels) -> f64,
    ) -> Self {
        let mut sums: Vec<(f64, f64)> = Vec::new();
        for (series, now) in page.numbers(name) {
            let Ok(bound) = series.label("le").parse::<f64>() else {
                continue;
            };
            let count = value(now, &series.labels);
            match sums.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count,
                None if bound.is_nan() => {}
                None => sums.push((bound, count)),
            }
        }
        sums.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        // Counts that were not read at one moment may fall from one bucket to the next; they may not.
        let mut least = 0.0_f64;
        for (_, count) in &mut sums {
            least = least.max(*count);
            *count = least;
        }
        Self(sums)
    }

    /// How many values there are.
    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value below which the share `q` of all is. Inside a bucket values are taken to be spread evenly; the
    /// first one begins at 0. `None` without values, or without a bucket that has no bound.
    pub fn quantile(&self, q: f64) -> Option<Quantile> {
        let ((last, count), bounded) = self.0.split_last()?;
        if *last != f64::INFINITY || bounded.is_empty() || *count <= 0.0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * count;
        let Some(at) = bounded.iter().position(|(_, below)| *below >= rank) else {
            return Some(Quantile {
                seconds: bounded[bounded.len() - 1].0,
                beyond: true,
            });
        };
        let (end, below) = bounded[at];
        let (start, before) = match at.checked_sub(1) {
            Some(previous) => bounded[previous],
            None if end <= 0.0 => return Some(Quantile::within(end)),
            None => (0.0, 0.0),
        };
        // Nothing is in the bucket only if the rank is 0.
        let share = if below > before {
            (rank - before) / (below - before)
        } else {
            0.0
        };
        Some(Quantile::within(start + (end - start) * share))
    }
}

impl Quantile {
    fn within(seconds: f64) -> Self {
        Self {
            seconds,
            beyond: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(series: &[(&str, &str, u32)]) -> Page {
        let lines = series.iter().map(|(stage, le, count)| {
            format!("h_seconds_bucket{{stage=\"{stage}\",le=\"{le}\"}} {count}\n")
        });
        Page::parse(&lines.collect::<String>()).unwrap()
    }

    fn seconds(buckets: &Buckets, q: f64) -> f64 {
        buckets.quantile(q).unwrap().seconds
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        // The tenth of 20 values is the fifth of ten in the bucket from 0.1 to 0.2, and so on.
        let read = page(&[
            ("a", "0.1", 5),
            ("a", "0.2", 15),
            ("a", "0.3", 20),
            ("a", "+Inf", 20),
        ]);
        let buckets = Buckets::of(&read, "h_seconds");
        assert_eq!(buckets.count(), 20.0);
        for (q, expected) in [
            (0.5, 0.15),
            (0.9, 0.26),
            (0.2, 0.08),
            (0.25, 0.1),
            (1.0, 0.3),
            (0.0, 0.0),
        ] {
            let found = seconds(&buckets, q);
            assert!((found - expected).abs() < 1e-12, "{q}: {found}");
        }
    }

    #[test]
    fn what_is_above_the_largest_bound_is_said_to_be() {
        let read = page(&[("a", "1", 1), ("a", "60", 2), ("a", "+Inf", 10)]);
        let buckets = Buckets::of(&read, "h_seconds");
        let beyond = Quantile {
            seconds: 60.0,
            beyond: true,
        };
        assert_eq!(buckets.quantile(0.5), Some(beyond));
        assert_eq!(buckets.quantile(0.1), Some(Quantile::within(1.0)));
    }

    #[test]
    fn series_are_added_and_only_what_came_since_counts() {
        let before = page(&[("a", "1", 100), ("a", "2", 100), ("a", "+Inf", 100)]);
        let after = page(&[
            ("a", "1", 100),
            ("a", "2", 102),
            ("a", "+Inf", 102),
            ("b", "1", 2),
            ("b", "2", 2),
            ("b", "+Inf", 2),
        ]);
        let between = Buckets::between(&before, &after, "h_seconds");
        assert_eq!(between.count(), 4.0);
        assert_eq!(
            (seconds(&between, 0.5), seconds(&between, 0.75)),
            (1.0, 1.5)
        );
        // A restart: everything that it has now came since.
        let again = page(&[("a", "1", 1), ("a", "2", 3), ("a", "+Inf", 3)]);
        assert_eq!(Buckets::between(&after, &again, "h_seconds").count(), 3.0);
    }

    #[test]
    fn without_values_or_bounds_there_is_no_quantile() {
        for series in [
            &[][..],
            &[("a", "+Inf", 3)],
            &[("a", "1", 3)],
            &[("a", "1", 0), ("a", "+Inf", 0)],
            &[("a", "wide", 3), ("a", "NaN", 3)],
        ] {
            let read = page(series);
            assert_eq!(
                Buckets::of(&read, "h_seconds").quantile(0.5),
                None,
                "{series:?}"
            );
        }
    }

    proptest! {
        /// Whatever the buckets: quantiles rise, and each is in the bucket that holds its rank.
        #[test]
        fn a_quantile_is_in_the_bucket_of_its_rank(counts in prop::collection::vec(0u32..50, 2..12), q in 0.0..=1.0) {
            let mut cumulative = 0;
            let mut lines = String::new();
            for (at, count) in counts.iter().enumerate() {
                cumulative += count;
                let bound = match at + 1 == counts.len() {
                    true => "+Inf".to_owned(),
                    false => (at + 1).to_string(),
                };
                lines += &format!("h_seconds_bucket{{le=\"{bound}\"}} {cumulative}\n");
            }
            let buckets = Buckets::of(&Page::parse(&lines).unwrap(), "h_seconds");
            let Some(found) = buckets.quantile(q) else {
                prop_assert_eq!(cumulative, 0);
                return Ok(());
            };
            let rank = q * f64::from(cumulative);
            let mut below = 0.0;
            let holds = counts.iter().position(|count| { below += f64::from(*count); below >= rank });
            let holds = holds.unwrap() as f64;
            if found.beyond {
                prop_assert_eq!(holds, (counts.len() - 1) as f64);
            } else {
                prop_assert!((holds..=holds + 1.0).contains(&found.seconds), "{:?} of {:?}", found, counts);
            }
            prop_assert!(buckets.quantile(q / 2.0).unwrap().seconds <= found.seconds);
        }
    }
}
