use crate::decode::patterns::numbers::tests::{finds_marked, finds_nothing, found, pattern};

use super::luhn;

#[test]
fn groups_of_every_issuer_are_found() {
    finds_marked(
        &pattern("card", None),
        &[
            "pan ⟦3790 0278 5413 906⟧",
            "pan ⟦3790-0278-5413-906⟧.",
            "pan ⟦3790 027854 13906⟧",
            "⟦621058 6597852363577⟧",
            "id ⟦621058-6597852363577⟧,",
            "diners ⟦3056 9309 0259 04⟧",
            "diners ⟦3056 930902 5904⟧",
            "⟦4998 1728 9897 4152⟧ 05/28 123",
            "⟦49981728 98974152⟧",
            "⟦499817 2898974152⟧",
            "⟦4998 172898974152⟧",
        ],
    );
}

#[test]
fn separators_of_one_kind_hold_a_card_together() {
    finds_marked(
        &pattern("card", None),
        &[
            "card ⟦4998.1728.9897.4152⟧ ok",
            "card ⟦4998\t1728\t9897\t4152⟧ ok",
            "card ⟦4998/1728/9897/4152⟧ ok",
            "card ⟦4998_1728_9897_4152⟧ ok",
            "card ⟦4998 - 1728 - 9897 - 4152⟧ ok",
            "card ⟦4998  1728  9897  4152⟧ ok",
            "card ⟦4998 1728\n9897 4152⟧ ok",
            "card ⟦4998-1728-\r\n9897-4152⟧ ok",
            "card ⟦4998-1728 9897-4152⟧ ok",
            "card '⟦4998 1728 9897 4152⟧'",
            "a\t⟦4998172898974152⟧\tb",
        ],
    );
}

#[test]
fn labels_and_sentinels_may_be_glued() {
    finds_marked(
        &pattern("card", None),
        &[
            "card⟦4998172898974152⟧",
            "CARD⟦4998 1728 9897 4152⟧",
            "cc⟦4998172898974152⟧",
            "cc#⟦4998172898974152⟧",
            "PAN:⟦4998172898974152⟧",
            "cardNumber⟦4998172898974152⟧exp0528",
            "Kartennummer⟦4998172898974152⟧",
            "card_⟦4998172898974152⟧",
            "%B⟦4998172898974152⟧^RUIZ/ANA^28051010000000000000?",
            ";⟦4998172898974152⟧=28051010000000000?",
            "⟦4998172898974152⟧D28051010000000000",
            "⟦4998172898974152⟧.0",
            "{\"pan\":⟦4998172898974152⟧,\"n\":1}",
            "card=⟦4998172898974152⟧-123",
        ],
    );
}

#[test]
fn every_network_is_known() {
    let cards = pattern("card", None);
    for (network, head, length) in [
        ("visa", "4539", 16),
        ("mastercard", "2221", 16),
        ("amex", "371", 15),
        ("diners", "3056", 14),
        ("diners", "36", 14),
        ("jcb", "3530", 16),
        ("discover", "6011", 16),
        ("unionpay", "6210", 16),
        ("unionpay", "6210", 17),
        ("unionpay", "6210", 18),
        ("unionpay", "6210", 19),
        ("maestro", "5018", 12),
        ("maestro", "6759", 13),
        ("maestro", "6759", 19),
        ("mir", "2200", 16),
        ("mir", "2204", 19),
        ("rupay", "508512", 16),
        ("rupay", "606985", 16),
        ("troy", "979203", 16),
        ("verve", "506105", 18),
        ("verve", "650010", 16),
        ("elo", "636368", 16),
        ("elo", "509040", 16),
        ("hipercard", "606282", 16),
        ("uzcard", "8600", 16),
        ("humo", "9860", 16),
        ("napas", "970436", 19),
    ] {
        let body = format!("{head}{:0<19}", "83920175640");
        let number = (0..10)
            .map(|check| format!("{}{check}", &body[..length - 1]))
            .find(|number| luhn(number.as_bytes()))
            .expect("one digit of ten is the check digit");
        let text = format!("{network} card {number} ok");
        assert_eq!(found(&cards, &text), [number.as_str()], "{text}");
    }
}

#[test]
fn other_numbers_are_no_cards() {
    finds_nothing(
        &pattern("card", None),
        &[
            "4998172898974153",
            "4998 1728 9897 4153",
            "x4998172898974152 job4998172898974152",
            "0.4998172898974152",
            "4998172898974152.25",
            "blk_49981728989741520",
            "4998-1728-9897-4152-1234",
            "4998.1728.9897.4152.1",
            "4998\n1728\n9897\n4152",
            "501800000009 and 358240051111110",
            "4998 1728 98 97 41 52",
        ],
    );
}
