use std::collections::BTreeMap;

use crate::decode::patterns::numbers::tests::{finds_marked, finds_nothing, found, pattern};

/// Region, kind, national, international and E.164 form; written by tools/phone_numbers.py.
const NUMBERS: &str = include_str!("../../../../../tests/fixtures/phone_numbers.tsv");

/// Asserts that at least 95% of each region's numbers are found whole in what `write` makes of them.
fn recall(with_region: bool, write: impl Fn(&[&str]) -> (String, String)) {
    let mut regions: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for line in NUMBERS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        regions.entry(fields[0]).or_default().push(write(&fields));
    }
    assert!(regions.len() >= 35);
    let mut low = Vec::new();
    let (mut all, mut whole) = (0, 0);
    for (region, numbers) in regions {
        let phones = pattern("phone", with_region.then_some(region));
        let missed: Vec<&String> = numbers
            .iter()
            .filter(|(text, number)| found(&phones, text) != [number.as_str()])
            .map(|(text, _)| text)
            .collect();
        let shown = &missed[..missed.len().min(5)];
        all += numbers.len();
        whole += numbers.len() - missed.len();
        if missed.len() * 20 > numbers.len() {
            low.push(format!(
                "{region}: {} of {} missed: {shown:?}",
                missed.len(),
                numbers.len()
            ));
        }
    }
    println!("{whole} of {all} found whole");
    assert!(low.is_empty(), "{}", low.join("\n"));
}

#[test]
fn national_numbers_are_found_in_a_sentence() {
    recall(true, |fields| {
        (
            format!("Ana said {} and left", fields[2]),
            fields[2].to_owned(),
        )
    });
}

#[test]
fn national_numbers_are_found_in_a_field() {
    recall(true, |fields| {
        (format!("a;{};b", fields[2]), fields[2].to_owned())
    });
}

#[test]
fn national_numbers_are_found_behind_a_clue() {
    recall(true, |fields| {
        (
            format!("telephone: {}, thanks", fields[2]),
            fields[2].to_owned(),
        )
    });
}

#[test]
fn bare_national_numbers_are_found_behind_a_clue() {
    recall(true, |fields| {
        let digits: String = fields[2].chars().filter(char::is_ascii_digit).collect();
        (format!("mobile {digits} now"), digits)
    });
}

#[test]
fn national_numbers_are_found_behind_a_noun_without_a_region() {
    recall(false, |fields| {
        (format!("Tel. {}, thanks", fields[2]), fields[2].to_owned())
    });
}

#[test]
fn international_numbers_are_found() {
    recall(false, |fields| {
        (
            format!("Ana said {} and left", fields[3]),
            fields[3].to_owned(),
        )
    });
    recall(false, |fields| {
        (format!("<{}>", fields[4]), fields[4].to_owned())
    });
}

#[test]
fn dialled_numbers_are_found() {
    recall(false, |fields| {
        let number = fields[3].replace('+', "00");
        (format!("Ana said {number} and left"), number)
    });
    recall(false, |fields| {
        let number = fields[3].replace('+', "011 ");
        (format!("Ana said {number} and left"), number)
    });
}

#[test]
fn calling_codes_are_written_in_many_ways() {
    finds_marked(
        &pattern("phone", None),
        &[
            "⟦(+1) 202-555-0143⟧",
            "⟦(+44) 20 7946 0958⟧",
            "⟦+(44) 20 7946 0958⟧",
            "⟦+ 44 20 7946 0958⟧",
            "⟦+44 (0)20 7946 0958⟧",
            "⟦+44(0)2079460958⟧",
            "⟦+49 (0) 30 901820⟧",
            "⟦+49 030 901820⟧",
            "⟦0049 30 901820⟧",
            "⟦00 49 30 901820⟧",
            "⟦(0049) 30 901820⟧",
            "⟦011 44 20 7946 0958⟧",
            "⟦+1 202 - 555 - 0143⟧",
            "⟦+1.202.555.0143⟧",
            "tel:⟦+1-202-555-0143⟧",
            "tel⟦+12025550143⟧",
            "(⟦+12025550143⟧)",
            "whatsapp:⟦+12025550143⟧",
            "Tel ⟦004930901820⟧",
            "msisdn=⟦447911123456⟧",
            "17\t⟦+1 202 555 0143⟧\t203.0.113.77",
        ],
    );
}

#[test]
fn extensions_belong_to_the_number() {
    finds_marked(
        &pattern("phone", Some("US")),
        &[
            "⟦+1 202 555 0143 ext. 12⟧",
            "⟦+1 202 555 0143x12⟧",
            "⟦+1 202 555 0143 x 12⟧",
            "⟦(202) 555-0143, ext 4001⟧.",
            "tel:⟦+1-202-555-0143;ext=12⟧",
            "⟦202-555-0143 extension 7⟧",
            "⟦202-555-0143⟧ exit 7",
            "⟦+49 30 901820 Durchwahl 12⟧",
            "⟦+33 1 42 68 53 00 poste 12⟧",
        ],
    );
}

#[test]
fn words_of_many_languages_are_clues() {
    finds_marked(
        &pattern("phone", None),
        &[
            "Fon ⟦030901820⟧",
            "Fon: ⟦030 901820⟧",
            "Mobil: ⟦0171 2345678⟧",
            "Handynummer ⟦01712345678⟧",
            "tél ⟦0142685300⟧",
            "Tél. : ⟦01 42 68 53 00⟧",
            "TÉL ⟦0142685300⟧",
            "portable ⟦06.12.34.56.78⟧",
            "movil ⟦612345678⟧",
            "móvil: ⟦612 34 56 78⟧",
            "Teléfono ⟦912 345 678⟧",
            "celular ⟦(11) 91234-5678⟧",
            "telefone ⟦11 91234-5678⟧",
            "telemóvel ⟦912 345 678⟧",
            "手机 ⟦13800138000⟧",
            "手机号码:⟦138 0013 8000⟧",
            "电话⟦13800138000⟧",
            "電話番号は⟦090-1234-5678⟧です",
            "휴대폰 ⟦010-1234-5678⟧",
            "тел. ⟦8 (912) 345-67-89⟧",
            "Тел.: ⟦89123456789⟧",
            "телефон ⟦8 912 345 67 89⟧",
            "puhelin ⟦040 1234567⟧",
            "puh. ⟦0401234567⟧",
            "tlf ⟦32 12 34 56⟧",
            "Tlf.: ⟦22 33 44 55⟧",
            "telefoon ⟦06-12345678⟧",
            "cep ⟦0532 123 45 67⟧",
            "τηλ. ⟦210 123 4567⟧",
            "โทร ⟦081 234 5678⟧",
            "هاتف ⟦0501234567⟧",
            "fax ⟦020 7946 0958⟧",
            "WhatsApp ⟦4915112345678⟧",
            "{\"phoneNumber\":\"⟦2025550143⟧\"}",
            "{\"homePhone\": \"⟦(202) 555-0143⟧\"}",
            "<phone type=\"home\">⟦2025550143⟧</phone>",
            "phone_1=⟦2025550143⟧",
            "{\"k\":\"phone\",\"v\":\"⟦2025550143⟧\"}",
            "tel⟦2025550143⟧",
        ],
    );
}

#[test]
fn a_list_has_one_clue() {
    finds_marked(
        &pattern("phone", None),
        &[
            "Tel: ⟦030 901820⟧, ⟦0171 2345678⟧",
            "phone ⟦202-555-0143⟧ or ⟦202-555-0144⟧",
            "PID||⟦(202)555-0143⟧^PRN^PH^ana",
        ],
    );
}

#[test]
fn national_numbers_stand_out_by_their_groups() {
    for (region, texts) in [
        (
            "DE",
            &[
                "⟦030 901820⟧ oder ⟦030/901820⟧",
                "⟦(030) 90 18 20⟧ und ⟦0171 / 234 56 78⟧",
                "⟦0151 23456789⟧",
                "Fon ⟦030901820⟧",
                "am ⟦01712345678⟧ an",
            ][..],
        ),
        (
            "FR",
            &[
                "ring ⟦06.12.34.56.78⟧ now",
                "le ⟦06 12 34 56 78⟧ ou ⟦06-12-34-56-78⟧",
                "tél ⟦0142685300⟧",
                "au ⟦0612345678⟧",
            ],
        ),
        (
            "ES",
            &[
                "movil ⟦612345678⟧",
                "Juan: ⟦612 34 56 78⟧",
                "⟦612 345 678⟧ de Ana",
                "⟦91 234 56 78⟧ de Ana",
            ],
        ),
        ("BR", &["ring ⟦11 91234-5678⟧ now", "⟦(11) 91234-5678⟧"]),
        (
            "IN",
            &[
                "ring ⟦09876543210⟧ now",
                "at ⟦98765 43210⟧ and ⟦098765 43210⟧",
            ],
        ),
        (
            "CN",
            &[
                "手机 ⟦13800138000⟧",
                "我是⟦138 0013 8000⟧",
                "⟦010 6552 9988⟧",
            ],
        ),
        ("NO", &["hos ⟦22 33 44 55⟧ i dag", "hos ⟦406 12 345⟧ i dag"]),
        ("DK", &["hos ⟦32 12 34 56⟧ i dag"]),
        (
            "SE",
            &[
                "hos ⟦070-123 45 67⟧ idag",
                "hos ⟦08-123 456 78⟧ idag",
                "⟦0701 23 45 67⟧",
            ],
        ),
        (
            "BE",
            &[
                "chez ⟦0470 12 34 56⟧",
                "chez ⟦0470/12.34.56⟧",
                "chez ⟦02/345.45.67⟧",
            ],
        ),
        ("SG", &["at ⟦9123 4567⟧ now"]),
        (
            "US",
            &["at ⟦202-555-0143⟧, ⟦(202)555-0143⟧ or ⟦1-202-555-0143⟧"],
        ),
        ("GB", &["at ⟦020 7946 0958⟧ or ⟦07700 900123⟧"]),
    ] {
        finds_marked(&pattern("phone", Some(region)), texts);
    }
}

/// Numbers of other kinds; none is a phone number of any region.
const OTHERS: &[&str] = &[
    "2024-03-05 10:22:33,123 INFO started",
    "2024-03-05T10:22:33.123456Z 05/03/2024 5.3.2024 05.03.2024 10:22",
    "05-03-2024 03/05/2024 2024/03/05 20240305 20240305101112 20240305-22:15:29:606",
    "081109 203615 148 INFO dfs.DataNode",
    "1700000000 1700000000123 1700000000.123456",
    "1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.675872",
    "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: uid=0 euid=0",
    "openssl 3.0.13 kernel 5.15.0-91-generic v1.2.3.4567 build 20240305.1",
    "EUR 1.234.567,89 and $1,234,567.89 and 1 234 567,89 €",
    "10.250.10.7:50010 203.0.113.77 82-68-222-195",
    "9aecd797-926b-4559-a2cc-9c66b3e749e9 00000000-0000-0000-0000-000000000000",
    "ISBN 978-3-16-148410-0 ISBN 0-19-852663-6 ISSN 0317-8471",
    "52.520008, 13.404954 and -33.868820,151.209290 0.38137424",
    "order 48213-7712 invoice INV-2024-000123 sku 00-1234-5678 #100200300",
    "00001234567 000000012 0000-0000 id=00000000000000000000",
    "3552 3534 3375 3-2 100-200-3000 10-20-30",
    "DE89 3704 0044 0532 0130 00",
    "page 12 of 345, rows 1000 2000 3000, 2019-2024",
    "ratio 16:9, 1920x1080, 4.5/5, 12/31",
    "0301 2024",
];

#[test]
fn other_numbers_are_no_phone_numbers() {
    let regions: std::collections::BTreeSet<&str> = NUMBERS
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    let mut wrong = Vec::new();
    for region in regions.into_iter().map(Some).chain([None]) {
        let phones = pattern("phone", region);
        for text in OTHERS {
            for hit in found(&phones, text) {
                wrong.push(format!("{region:?} {hit:?} in {text:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_word_for_phones_makes_no_phone_of_dates_and_versions() {
    finds_nothing(
        &pattern("phone", None),
        &[
            "phone 2024-03-05",
            "fax 05.03.2024 10:22",
            "Handy 20240305",
            "mobile 1.2.3.4",
            "phone 203.0.113.77",
            "cell 52.520008",
            "phone_ts=1700000000123",
            "phone: 123456",
            "recall 2125550142",
            "order 2125550142",
        ],
    );
}

#[test]
fn amounts_and_rows_of_numbers_are_none() {
    for (region, texts) in [
        (
            "PL",
            &["512 345 678 zł", "PLN 512 345 678", "512 345 678,90"][..],
        ),
        ("CZ", &["602 345 678 Kč"]),
        ("DK", &["40 44 48 52 56 60", "12 40 44 48 52"]),
        ("US", &["40 44 48 52 56, 60 64 100 104"]),
        ("HK", &["2024 2025"]),
        ("DE", &["0301 2024", "081109 203615 148", "0.38137424"]),
    ] {
        finds_nothing(&pattern("phone", Some(region)), texts);
    }
}
