use proptest::prelude::*;

use super::{
    link::{self, Link},
    note::SigningKey,
    proof::Proof,
    roll::Roll,
    trust::{self, Trust},
};

const ROLL: &str = r#"{"v":1,"origin":"o","number":0,"time":"2026-01-01T00:00:00Z","feed":"audit","read":{"0":3},"partitions":[PARTITIONS]}"#;

fn partition(topic: &str, number: i32) -> String {
    let hash = "0a".repeat(32);
    format!(
        r#"{{"topic":"{topic}","partition":{number},"size":1,"root":"{hash}","head":"{hash}","epoch":1,"seq":0}}"#
    )
}

fn roll(partitions: &[String]) -> String {
    ROLL.replace("PARTITIONS", &partitions.join(","))
}

#[test]
fn a_roll_names_each_partition_once_and_has_no_member_that_nobody_knows() {
    let (one, two, ten) = (partition("a", 1), partition("a", 2), partition("a", 10));
    let good = roll(&[one.clone(), two.clone(), ten.clone(), partition("b", 0)]);
    let read = Roll::parse(good.as_bytes()).unwrap();
    assert_eq!(read.to_bytes(), good.as_bytes());
    assert_eq!(read.partition("a", 10).unwrap().size, 1);
    assert_eq!(read.partition("b", 1), None);
    let bad = [
        roll(&[one.clone(), one.clone()]),
        roll(&[two, one.clone()]),
        roll(&[partition("b", 0), one]),
        good.replace("\"v\":1", "\"v\":2"),
        good.replace("\"v\":1", "\"v\":1,\"w\":1"),
        good.replace("0a0a", "0A0a"),
        good.replace("0a0a", "0a"),
        String::new(),
    ];
    for bad in bad {
        assert!(Roll::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn what_is_no_record_of_version_2_is_refused_by_its_kind() {
    let of = |text: &str| Link::parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        of(r#"{"event_id":"x","previous":"","hash":""}"#),
        link::Error::Version
    );
    assert_eq!(of(r#"{"v":3,"previous":""}"#), link::Error::Version);
    assert_eq!(of(r#"{"v":2,"previous":""}"#), link::Error::Form);
    assert_eq!(of("{}"), link::Error::Form);
    assert_eq!(of("{\"v\":1,\n\"previous\":\"\"}"), link::Error::Form);
    assert_eq!(Link::parse(b"\xff"), Err(link::Error::Form));
}

#[test]
fn trust_is_read_from_a_file_and_keeps_kinds_of_keys_apart() {
    let key = |name: &str, seed: u8| SigningKey::from_seed(name, &[seed; 32]).unwrap();
    let (notary, witness) = (key("notary", 1), key("witness", 2));
    let (public, cosigner) = (notary.verifying_key(), witness.cosigner());
    let file = |quorum: usize| {
        format!(
            "origin = \"o\"\nnotaries = [\"{public}\"]\nwitnesses = [\"{cosigner}\"]\nquorum = {quorum}\n"
        )
    };
    let trust: Trust = toml::from_str(&file(1)).unwrap();
    assert_eq!((trust.origin(), trust.quorum()), ("o", 1));
    let again: Trust = toml::from_str(&toml::to_string(&trust).unwrap()).unwrap();
    assert_eq!(again.quorum(), 1);
    // More than there are would never be reached.
    assert!(toml::from_str::<Trust>(&file(2)).is_err());
    let swapped = format!("origin = \"o\"\nnotaries = [\"{cosigner}\"]\n");
    assert!(toml::from_str::<Trust>(&swapped).is_err());
    assert!(toml::from_str::<Trust>("origin = \"o\"\nnotaries = []\n").is_err());
    assert!(toml::from_str::<Trust>(&(file(1) + "notary = 1\n")).is_err());
    let error = Trust::new("o", Vec::new()).unwrap_err();
    assert!(matches!(error, trust::Error::NoNotary));
}

proptest! {
    #[test]
    fn any_bytes_may_come_as_a_record_a_roll_or_a_proof(bytes in prop::collection::vec(any::<u8>(), 0..120), text in "[{}\"\\[\\]:,a-z0-9]{0,80}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let _ = Link::parse(bytes);
            let _ = Roll::parse(bytes);
            let _ = Proof::parse(bytes);
        }
    }
}

#[test]
fn a_trust_file_names_keys_that_were_revoked() {
    let key = SigningKey::from_seed("worker", &[1; 32]).unwrap();
    let key = key.verifying_key();
    let file = |workers: &str, since: &str| {
        format!(
            "origin = \"o\"\nnotaries = [\"{key}\"]\nworkers = [{workers}]\n[[revoked]]\nkey = \"{key}\"\n\
             since = \"{since}\"\n"
        )
    };
    let good = file(&format!("\"{key}\""), "2026-12-01T09:30:00Z");
    let read: trust::Trust = toml::from_str(&good).unwrap();
    let since = read.revoked(&key).unwrap().to_string();
    assert_eq!(since, "2026-12-01T09:30:00Z");
    let again: trust::Trust = toml::from_str(&toml::to_string(&read).unwrap()).unwrap();
    assert_eq!(again.revoked(&key), read.revoked(&key));
    let other = SigningKey::from_seed("worker", &[2; 32]).unwrap();
    assert_eq!(read.revoked(&other.verifying_key()), None);
    let bad = good.replace("2026-12-01T09:30:00Z", "last week");
    let error = toml::from_str::<trust::Trust>(&bad).unwrap_err();
    assert!(error.to_string().contains("is not a time"), "{error}");
}
