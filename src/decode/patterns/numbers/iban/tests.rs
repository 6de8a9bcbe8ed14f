use crate::decode::patterns::numbers::tests::{finds_marked, finds_nothing, pattern};

#[test]
fn national_groups_are_found() {
    finds_marked(
        &pattern("iban", None),
        &[
            "IBAN ⟦FR29 37130 34204 KAP2KAPBS26 07⟧ of Ana",
            "IBAN ⟦ES47 1273 8140 29 6132581462⟧ of Ana",
            "IBAN ⟦DE 89 3359 6591 1476 4195 75⟧ of Ana",
            "IBAN ⟦DE-89-3359-6591-1476-4195-75⟧ of Ana",
            "⟦GB82 WEST 123456 98765432⟧, Ana",
            "⟦GB82-WEST-12-34-56-98765432⟧, Ana",
            "⟦IT60 X 05428 11101 000000123456⟧ intestato",
            "⟦IT60 X054 2811 1010 0000 0123 456⟧ intestato",
            "⟦IT60X 05428 11101 000000123456⟧.",
            "⟦BE68 539-0075470-34⟧",
            "⟦NO93 8601 11 17947⟧",
            "⟦CH93 0076 2011 6238 5295 7⟧",
        ],
    );
}

#[test]
fn separators_and_labels_may_be_any() {
    finds_marked(
        &pattern("iban", None),
        &[
            "⟦DE89.3359.6591.1476.4195.75⟧",
            "⟦DE89/3359/6591/1476/4195/75⟧",
            "⟦DE89_3359_6591_1476_4195_75⟧",
            "⟦DE89  3359  6591  1476  4195  75⟧",
            "⟦DE89\t3359\t6591\t1476\t4195\t75⟧",
            "⟦DE89 3359 6591\n1476 4195 75⟧",
            "⟦DE89 - 3359 - 6591 - 1476 - 4195 - 75⟧",
            "⟦de89 3359 6591 1476 4195 75⟧",
            "iban: ⟦de 89 3359 6591 1476 4195 75⟧",
            "IBAN⟦DE89335965911476419575⟧",
            "iban⟦de89335965911476419575⟧",
            "IBANNr⟦DE89335965911476419575⟧",
            "IBAN:⟦DE89335965911476419575⟧ BIC:X",
            ":59:/⟦DE89335965911476419575⟧ ANA",
        ],
    );
}

#[test]
fn other_words_and_numbers_are_no_ibans() {
    finds_nothing(
        &pattern("iban", None),
        &[
            "DE89335965911476419576",
            "DE8933596591147641957",
            "XDE89335965911476419575",
            "DE89335965911476419575X",
            "at 20 30 40 50 60 70 80 90 10 20",
            "ZZ89335965911476419575",
        ],
    );
}
