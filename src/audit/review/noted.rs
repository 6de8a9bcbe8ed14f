//! Why weir was not given some offsets, as the notary noted it while the source still had them.

use std::{collections::BTreeMap, convert::Infallible};

use super::super::{Class, Gap, Partition, Source, roll};
use crate::record::audit::Committed;

/// Classes of gaps.
#[derive(Debug, Default)]
pub(super) struct Noted(BTreeMap<Partition, BTreeMap<i64, (i64, Class)>>);

impl Noted {
    pub(super) fn add(&mut self, of: &Partition, said: &roll::Partition) {
        for (class, gaps) in &said.gaps {
            let own = self.0.entry(of.clone()).or_default();
            own.extend(gaps.iter().map(|(from, to)| (*from, (*to, *class))));
        }
    }
}

impl Source for Noted {
    type Error = Infallible;

    fn committed(&mut self) -> Result<BTreeMap<Partition, (i64, Committed)>, Infallible> {
        Ok(BTreeMap::new())
    }

    fn explain(&mut self, of: &Partition, gap: Gap) -> Result<Vec<(Gap, Class)>, Infallible> {
        let own = self.0.get(of);
        let mut parts = Vec::new();
        let mut from = gap.from;
        while from < gap.to {
            let before = own.and_then(|own| own.range(..=from).next_back());
            let covered = before.filter(|(_, (to, _))| *to > from);
            let (to, class) = match covered {
                Some((_, (to, class))) => (*to, *class),
                None => {
                    let behind = own.and_then(|own| own.range(from + 1..).next());
                    let to = behind.map_or(gap.to, |(to, _)| *to);
                    (to, Class::Unknown)
                }
            };
            let to = to.min(gap.to);
            parts.push((Gap { from, to }, class));
            from = to;
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_roll_explains_is_unknown() {
        let of = Partition {
            topic: "documents".to_owned(),
            number: 0,
        };
        let own = [(3, (5, Class::Marker)), (8, (20, Class::Aborted))];
        let mut noted = Noted([(of.clone(), own.into())].into());
        let mut explain = |from, to| {
            let parts = noted.explain(&of, Gap { from, to }).unwrap();
            let parts = parts.into_iter();
            parts
                .map(|(gap, class)| (gap.from, gap.to, class))
                .collect::<Vec<_>>()
        };
        assert_eq!(explain(3, 5), [(3, 5, Class::Marker)]);
        assert_eq!(
            explain(2, 10),
            [
                (2, 3, Class::Unknown),
                (3, 5, Class::Marker),
                (5, 8, Class::Unknown),
                (8, 10, Class::Aborted)
            ]
        );
        assert_eq!(
            explain(15, 25),
            [(15, 20, Class::Aborted), (20, 25, Class::Unknown)]
        );
    }
}
