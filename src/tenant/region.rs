//! The country of phone numbers without a country code, and other names that people use for it.

use phonenumber::{country::Id, metadata::DATABASE};

/// What else a country is called: codes of three letters (ISO 3166-1 alpha-3), codes of vehicles and of
/// languages, names. One that is itself a two-letter code of another country is not here.
const CALLED: &[(&str, &[&str])] = &[
    ("AE", &["ARE", "UAE", "UNITED ARAB EMIRATES"]),
    ("AR", &["ARG", "ARGENTINA"]),
    ("AT", &["AUT", "AUSTRIA", "ÖSTERREICH", "OESTERREICH"]),
    ("AU", &["AUS", "AUSTRALIA"]),
    ("BE", &["BEL", "BELGIUM", "BELGIQUE", "BELGIË"]),
    ("BG", &["BGR", "BULGARIA"]),
    ("BR", &["BRA", "BRAZIL", "BRASIL"]),
    ("CA", &["CAN", "CANADA"]),
    (
        "CH",
        &["CHE", "SWITZERLAND", "SCHWEIZ", "SUISSE", "SVIZZERA"],
    ),
    ("CL", &["CHL", "CHILE"]),
    ("CN", &["CHN", "ZH", "CHINA", "中国"]),
    ("CO", &["COL", "COLOMBIA"]),
    ("CZ", &["CZE", "CS", "CZECHIA", "CZECH REPUBLIC", "ČESKO"]),
    ("DE", &["DEU", "GER", "GERMANY", "DEUTSCHLAND"]),
    ("DK", &["DNK", "DA", "DENMARK", "DANMARK"]),
    ("EE", &["EST", "ESTONIA"]),
    ("EG", &["EGY", "EGYPT"]),
    ("ES", &["ESP", "SP", "SPAIN", "ESPAÑA", "ESPANA"]),
    ("FI", &["FIN", "FINLAND", "SUOMI"]),
    ("FR", &["FRA", "FRANCE"]),
    (
        "GB",
        &[
            "UK",
            "GBR",
            "EN",
            "ENG",
            "ENGLAND",
            "SCOTLAND",
            "WALES",
            "BRITAIN",
            "GREAT BRITAIN",
            "UNITED KINGDOM",
        ],
    ),
    ("GR", &["GRC", "EL", "GREECE", "ΕΛΛΆΔΑ"]),
    ("HK", &["HKG", "HONG KONG"]),
    ("HR", &["HRV", "CRO", "CROATIA", "HRVATSKA"]),
    ("HU", &["HUN", "HUNGARY", "MAGYARORSZÁG"]),
    ("ID", &["IDN", "INDONESIA"]),
    ("IE", &["IRL", "IRELAND", "EIRE", "ÉIRE"]),
    ("IL", &["ISR", "HE", "ISRAEL"]),
    ("IN", &["IND", "HI", "INDIA"]),
    ("IS", &["ISL", "ICELAND"]),
    ("IT", &["ITA", "ITALY", "ITALIA"]),
    ("JP", &["JPN", "JA", "JAP", "JAPAN", "日本"]),
    ("KE", &["KEN", "KENYA"]),
    ("KR", &["KOR", "KO", "SOUTH KOREA", "KOREA", "한국"]),
    ("LT", &["LTU", "LITHUANIA"]),
    ("LU", &["LUX", "LUXEMBOURG"]),
    ("LV", &["LVA", "LATVIA"]),
    ("MX", &["MEX", "MEXICO", "MÉXICO"]),
    ("MY", &["MYS", "MALAYSIA"]),
    ("NG", &["NGA", "NIGERIA"]),
    ("NL", &["NLD", "NETHERLANDS", "HOLLAND", "NEDERLAND"]),
    ("NO", &["NOR", "NB", "NN", "NORWAY", "NORGE"]),
    ("NZ", &["NZL", "NEW ZEALAND"]),
    ("PE", &["PER", "PERU", "PERÚ"]),
    ("PH", &["PHL", "PHILIPPINES"]),
    ("PK", &["PAK", "UR", "PAKISTAN"]),
    ("PL", &["POL", "POLAND", "POLSKA"]),
    ("PT", &["PRT", "POR", "PORTUGAL"]),
    ("RO", &["ROU", "ROM", "ROMANIA", "ROMÂNIA"]),
    ("RS", &["SRB", "SERBIA"]),
    ("RU", &["RUS", "SU", "RUSSIA", "РОССИЯ"]),
    ("SA", &["SAU", "SAUDI ARABIA"]),
    ("SE", &["SWE", "SW", "SWEDEN", "SVERIGE"]),
    ("SG", &["SGP", "SINGAPORE"]),
    ("SI", &["SVN", "SLO", "SLOVENIA"]),
    ("SK", &["SVK", "SLOVAKIA"]),
    ("TH", &["THA", "THAILAND"]),
    ("TR", &["TUR", "TURKEY", "TÜRKIYE"]),
    ("TW", &["TWN", "TAIWAN"]),
    ("UA", &["UKR", "UKRAINE"]),
    (
        "US",
        &[
            "USA",
            "AMERICA",
            "UNITED STATES",
            "UNITED STATES OF AMERICA",
        ],
    ),
    ("VN", &["VNM", "VIETNAM"]),
    ("ZA", &["ZAF", "RSA", "SOUTH AFRICA"]),
];

/// The code of a country that has phone numbers, in capitals.
pub(super) fn known(region: &str) -> Option<String> {
    let region = region.trim().to_uppercase();
    region.parse::<Id>().is_ok().then_some(region)
}

/// What to write in place of something that is no such code.
pub(super) fn fix(region: &str) -> String {
    let wanted = region.trim().to_uppercase();
    let called = CALLED
        .iter()
        .find(|(_, names)| names.contains(&wanted.as_str()));
    if let Some((code, _)) = called {
        return format!("\"{code}\"");
    }
    // `+44` or `0044`: the main country comes first.
    let digits = wanted.trim_start_matches('+').trim_start_matches("00");
    if let Ok(code) = digits.parse::<u16>()
        && let Some(regions) = DATABASE.region(&code)
        && let Some(main) = regions.first().filter(|main| known(main).is_some())
    {
        return format!("\"{main}\"");
    }
    // `en-GB`, `de_AT`: the country of a locale.
    if let Some((_, country)) = wanted.rsplit_once(['-', '_'])
        && let Some(country) = known(country)
    {
        return format!("\"{country}\"");
    }
    let names = CALLED.iter().flat_map(|(_, names)| names.iter().copied());
    let names: Vec<&str> = names.filter(|name| name.chars().count() > 3).collect();
    if wanted.chars().count() > 3
        && let Some(near) = names
            .into_iter()
            .max_by(|a, b| {
                strsim::jaro_winkler(a, &wanted).total_cmp(&strsim::jaro_winkler(b, &wanted))
            })
            .filter(|near| strsim::jaro_winkler(near, &wanted) >= 0.85)
    {
        return fix(near);
    }
    // A letter that slipped: the codes that have the first one in common.
    let first = wanted.chars().next().filter(char::is_ascii_uppercase);
    let mut near: Vec<&str> = first.map_or_else(Vec::new, |first| {
        let codes = CALLED.iter().map(|(code, _)| *code);
        codes.filter(|code| code.starts_with(first)).collect()
    });
    if wanted.chars().count() != 2 || near.is_empty() {
        near = vec!["US", "ES"];
    }
    let near: Vec<String> = near.iter().map(|code| format!("\"{code}\"")).collect();
    format!("two letters (ISO 3166-1), such as {}", near.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_table_is_known_and_every_other_name_is_not() {
        for (code, names) in CALLED {
            assert_eq!(known(code).as_deref(), Some(*code));
            for name in *names {
                assert_eq!(known(name), None, "{name} is a country's own code");
                assert_eq!(fix(name), format!("\"{code}\""));
            }
        }
    }

    #[test]
    fn what_is_meant_is_proposed() {
        for (written, meant) in [
            ("UK", "\"GB\""),
            ("uk", "\"GB\""),
            ("+44", "\"GB\""),
            ("0049", "\"DE\""),
            ("1", "\"US\""),
            ("en-GB", "\"GB\""),
            ("de_AT", "\"AT\""),
            ("Germny", "\"DE\""),
            ("Unted Kingdom", "\"GB\""),
        ] {
            assert_eq!(fix(written), meant, "{written}");
        }
        assert!(
            fix("UX").contains("\"US\"") && fix("UX").contains("\"UA\""),
            "{}",
            fix("UX")
        );
        assert!(fix("Mars").contains("\"US\""));
    }
}
