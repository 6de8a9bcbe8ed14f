//! The first three digits of ZIP codes in which more than 20,000 people live.

/// Areas that may be named, as ranges with both ends.
///
/// These are the areas of three digits (ZCTA3) of the census of 2020, without those of 20,000 people or
/// fewer in the census of 2000 (the 17 of the guidance of the US Department of Health and Human Services on
/// 45 CFR 164.514(b): 036, 059, 063, 102, 203, 556, 692, 790, 821, 823, 830, 831, 878, 879, 884, 890, 893) or
/// in that of 2010 (in addition 205, 369, 753, 772), and without 202 and 204, which serve offices in
/// Washington. An area that a later census adds is missing until the list is made again: its codes become
/// `000`, which is safe.
#[rustfmt::skip]
const POPULATED: &[(u16, u16)] = &[
    (6, 35), (37, 54), (56, 58), (60, 62), (64, 89), (100, 101), (103, 191), (193, 201),
    (206, 212), (214, 268), (270, 310), (312, 331), (333, 339), (341, 342), (344, 344), (346, 347),
    (349, 352), (354, 368), (370, 374), (376, 398), (400, 418), (420, 427), (430, 458), (460, 508),
    (510, 516), (520, 528), (530, 532), (534, 535), (537, 551), (553, 554), (557, 567), (570, 577),
    (580, 588), (590, 620), (622, 631), (633, 641), (644, 648), (650, 658), (660, 662), (664, 681),
    (683, 691), (693, 693), (700, 701), (703, 708), (710, 714), (716, 731), (734, 741), (743, 752),
    (754, 770), (773, 789), (791, 816), (820, 820), (822, 822), (824, 829), (832, 838), (840, 841),
    (843, 847), (850, 853), (855, 857), (859, 860), (863, 865), (870, 871), (873, 875), (877, 877),
    (880, 883), (891, 891), (894, 895), (897, 898), (900, 900), (902, 908), (910, 928), (930, 937),
    (939, 941), (943, 961), (967, 986), (988, 999),
];

/// Whether more than 20,000 people live in an area of three digits.
pub(super) fn is_populated(area: u16) -> bool {
    let after = POPULATED.partition_point(|(first, _)| *first <= area);
    POPULATED[..after]
        .last()
        .is_some_and(|(_, last)| area <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_few_people_and_areas_that_do_not_exist_are_left_out() {
        let of_2000 = [
            36, 59, 63, 102, 203, 556, 692, 790, 821, 823, 830, 831, 878, 879, 884, 890, 893,
        ];
        let of_2010 = [
            36, 59, 102, 203, 205, 369, 556, 692, 753, 772, 821, 823, 878, 879, 884, 893,
        ];
        // Never given out, for the military, or for offices alone.
        let nobody = [
            0, 1, 5, 99, 90, 192, 202, 204, 213, 269, 340, 343, 399, 569, 888, 987,
        ];
        for area in of_2000.into_iter().chain(of_2010).chain(nobody) {
            assert!(!is_populated(area), "{area:03}");
        }
        for area in [6, 10, 100, 191, 200, 606, 787, 900, 941, 999] {
            assert!(is_populated(area), "{area:03}");
        }
        let named = (0..1000).filter(|area| is_populated(*area)).count();
        assert_eq!(named, 873);
    }

    #[test]
    fn ranges_are_in_order_and_apart() {
        for pair in POPULATED.windows(2) {
            assert!(
                pair[0].0 <= pair[0].1 && pair[0].1 + 1 < pair[1].0,
                "{pair:?}"
            );
        }
    }
}
