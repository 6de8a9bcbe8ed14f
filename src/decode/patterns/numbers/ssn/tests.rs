use crate::decode::patterns::numbers::tests::{finds_marked, finds_nothing, pattern};

#[test]
fn any_separator_will_do_near_a_word_for_it() {
    finds_marked(
        &pattern("ssn", None),
        &[
            "SSN ⟦512.47.3391⟧",
            "SSN ⟦512 47 3391⟧",
            "SSN ⟦512/47/3391⟧",
            "SSN ⟦512_47_3391⟧",
            "SSN ⟦512 - 47 - 3391⟧",
            "SSN ⟦512-473391⟧",
            "SSN ⟦51247-3391⟧",
            "SSN ⟦512-47 3391⟧",
            "soc. sec. no. ⟦512 47 3391⟧",
            "Soc Sec #⟦512473391⟧",
            "SS# ⟦512473391⟧",
            "SS#⟦512-47-3391⟧",
            "SS No. ⟦512473391⟧",
            "SSN⟦512-47-3391⟧",
            "ssn⟦512473391⟧",
            "SSN#⟦512473391⟧",
            "taxpayer id ⟦512473391⟧",
            "número de seguro social ⟦512473391⟧",
        ],
    );
}

#[test]
fn fields_of_records_are_clues() {
    finds_marked(
        &pattern("ssn", None),
        &[
            "<ssn>⟦512473391⟧</ssn>",
            "{\"ssn\":\"⟦512473391⟧\"}",
            "{\"ssn\":⟦512473391⟧,\"x\":1}",
            "{\"socialSecurityNumber\":\"⟦512473391⟧\"}",
            "PID|1||⟦512-47-3391⟧^^^SS||RUIZ^ANA",
            "PID|1||⟦512473391⟧^^^USA^SS||RUIZ^ANA",
            "ssn,⟦512473391⟧,Ana",
            "id,ssn\n1,⟦512473391⟧",
            "ssn=⟦512473391⟧&x=1",
            "soc_sec_num: ⟦512473391⟧",
            "INSERT INTO u VALUES ('⟦512-47-3391⟧','x')",
        ],
    );
}

#[test]
fn two_side_by_side_are_both_found() {
    finds_marked(
        &pattern("ssn", None),
        &[
            "⟦512-47-3391⟧ ⟦219-09-9999⟧",
            "⟦512-47-3391⟧/⟦219-09-9999⟧",
            "⟦512-47-3391⟧-⟦219-09-9999⟧",
            "⟦512-47-3391⟧,⟦219-09-9999⟧;⟦219-09-9998⟧",
            "⟦512-47-3391⟧\n⟦219-09-9999⟧",
            "SSN ⟦512473391⟧ ⟦219099999⟧",
            "SSN ⟦512 47 3391⟧ ⟦219 09 9999⟧",
            "SSN ⟦512.47.3391⟧ ⟦219.09.9999⟧",
            "17\t⟦512-47-3391⟧\t44",
        ],
    );
}

#[test]
fn other_numbers_are_no_ssns() {
    finds_nothing(
        &pattern("ssn", None),
        &[
            "512473391",
            "512.47.3391",
            "512 47 3391",
            "512-473391",
            "000-12-3456 666-12-3456 900-12-3456 512-00-3456 512-47-0000",
            "ssn 000123456",
            "512-47-3391-5",
            "5-512-47-3391",
            "1512-47-3391",
            "x512-47-3391",
            "512-47-33910",
            "0.512-47-3391",
        ],
    );
}
