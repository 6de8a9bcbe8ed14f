use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::{
    checkpoint::Checkpoint,
    note::{Error, Kind, MAX_SIGNATURES, Note, Signature, SigningKey, VerifyingKey},
};

/// RFC 8032, 7.1: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

/// Keys and the note in the documentation of Go's package note, from which the format comes.
const GO_PRIVATE: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n";
const GO_SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// The example of the specification of cosignatures.
const COSIGNED: &str = "example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

fn read(note: &Note) -> Note {
    Note::parse(note.to_string().as_bytes()).unwrap()
}

#[test]
fn signatures_are_those_of_rfc_8032() {
    for [seed, public, message, signature] in RFC_8032 {
        let seed: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
        let key = SigningKey::from_seed("example.com/k", &seed).unwrap();
        let text = key.verifying_key().to_string();
        let bytes = STANDARD
            .decode(text.splitn(3, '+').nth(2).unwrap())
            .unwrap();
        assert_eq!(hex::encode(&bytes[1..]), public);
        let message = hex::decode(message).unwrap();
        let made = key.sign_bytes(&message);
        assert_eq!(hex::encode(made), signature);
        assert!(key.verifying_key().holds(&message, &made));
        let mut other = made;
        other[3] ^= 1;
        assert!(!key.verifying_key().holds(&message, &other));
        assert!(!key.verifying_key().holds(b"another", &made));
        assert!(!key.cosigner().holds(&message, &made));
    }
}

#[test]
fn keys_and_notes_are_those_of_go() {
    let private = SigningKey::parse(GO_PRIVATE).unwrap();
    assert_eq!(*private.to_text(), GO_PRIVATE);
    assert_eq!(private.verifying_key().to_string(), GO_PUBLIC);
    let note = Note::signed(GO_TEXT, &[&private]).unwrap();
    let expected = format!("{GO_TEXT}\n{GO_SIGNATURE}");
    assert_eq!(note.to_string(), expected);
    let public: VerifyingKey = GO_PUBLIC.parse().unwrap();
    let read = Note::parse(expected.as_bytes()).unwrap();
    assert_eq!(read.verified([&public]).unwrap()[0].key, &public);
}

#[test]
fn the_example_of_the_specification_is_read_and_written_alike() {
    let note = Note::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!(note.to_string(), COSIGNED);
    let names: Vec<&str> = note.signatures().iter().map(Signature::name).collect();
    assert_eq!(
        names,
        ["example.com/behind-the-sofa", "witness.example.com/w1"]
    );
    let head: Checkpoint = note.text().parse().unwrap();
    assert_eq!((head.size, head.origin.as_str()), (20_852_163, names[0]));
    assert_eq!(head.to_string(), note.text());
    assert_eq!(note.verified([]), Err(Error::Unknown));
}

#[test]
fn only_signatures_by_trusted_keys_count_and_all_of_those_must_hold() {
    let (log, other, stranger) = (key("log", 1), key("log", 2), key("stranger", 3));
    let text = "one\n\ntwo\n";
    let note = read(&Note::signed(text, &[&log, &stranger]).unwrap());
    assert_eq!(note.text(), text);
    let public = [log.verifying_key(), other.verifying_key()];
    let verified = note.verified(&public).unwrap();
    assert_eq!(verified.len(), 1);
    assert_eq!(verified[0].key, &public[0]);
    // A name alone makes no key known.
    assert_eq!(note.verified([&public[1]]), Err(Error::Unknown));
    let doubled = format!("{note}{}\n", log.sign(text));
    let doubled = Note::parse(doubled.as_bytes()).unwrap();
    assert_eq!(doubled.verified(&public).unwrap().len(), 1);
    // One good signature does not save the note from a bad one.
    let forged = note.to_string().replace("two", "too");
    let mut forged = Note::parse(forged.as_bytes()).unwrap();
    forged.add(other.sign(forged.text()));
    let both = forged.verified(&public).unwrap_err();
    assert!(matches!(both, Error::Signature { key } if key.starts_with("log+")));
}

#[test]
fn a_cosignature_binds_its_time_and_is_no_signature_of_the_text() {
    let (log, witness) = (key("log", 1), key("witness.example/w", 4));
    let head = Checkpoint::new("log", 0, super::tree::empty_root());
    let mut note = head.signed(&[&log]).unwrap();
    note.add(witness.cosign(note.text(), 1_700_000_000));
    let note = read(&note);
    let cosigner = witness.cosigner();
    assert_eq!(cosigner.kind(), Kind::Cosignature);
    let verified = note.verified([&cosigner]).unwrap();
    assert_eq!(verified[0].time, Some(1_700_000_000));
    // The same key as one of texts is another key.
    let as_text = witness.verifying_key();
    assert_eq!(note.verified([&as_text]), Err(Error::Unknown));
    let again: VerifyingKey = cosigner.to_string().parse().unwrap();
    assert_eq!(again, cosigner);
    // Another time is another message.
    let line = note.signatures()[1].to_string();
    let (front, bytes) = line.rsplit_once(' ').unwrap();
    let mut bytes = STANDARD.decode(bytes).unwrap();
    bytes[11] ^= 1;
    let line = format!("{front} {}\n", STANDARD.encode(bytes));
    let moved = Signature::parse_lines(&line).unwrap().remove(0);
    let mut note = head.signed(&[&log]).unwrap();
    note.add(moved);
    assert!(note.verified([&cosigner]).is_err());
}

#[test]
fn malformed_notes_are_refused() {
    let good = Note::signed("text\n", &[&key("log", 1)])
        .unwrap()
        .to_string();
    Note::parse(good.as_bytes()).unwrap();
    let signature = good.rsplit_once("\n\n").unwrap().1;
    let many = |count: usize| format!("text\n\n{}", signature.repeat(count));
    assert!(Note::parse(many(MAX_SIGNATURES).as_bytes()).is_ok());
    let bad = [
        String::new(),
        "\n".to_owned(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        good.trim_end().to_owned(),
        good.replace("text", "te\txt"),
        good.replace("text", "te\rxt"),
        good.replace("log ", "l+g "),
        good.replace("log ", "log\u{a0}x "),
        good.replace("\u{2014} log", "- log"),
        good.replace("\u{2014} log ", "\u{2014} log"),
        good.replace("=\n", "\n"),
        format!("{good}\n"),
        format!("{good}x\n"),
        "text\n\n\u{2014} log AAAAAQ==\n".to_owned(),
        many(MAX_SIGNATURES + 1),
        format!("{}{good}", "x\n".repeat(super::note::MAX_BYTES / 2)),
    ];
    for bad in bad {
        assert!(
            Note::parse(bad.as_bytes()).is_err(),
            "{:?}",
            &bad[..bad.len().min(80)]
        );
    }
    assert!(Note::parse(b"te\xffxt\n\n\xe2\x80\x94 log AAAAAAA=\n").is_err());
    assert!(Note::signed("no end", &[]).is_err());
}

#[test]
fn malformed_keys_are_refused_and_never_shown() {
    let key = key("log", 1);
    let private = key.to_text();
    assert!(!format!("{key:?}").contains(private.splitn(5, '+').nth(4).unwrap()));
    let public = key.verifying_key().to_string();
    let id = key.id().to_string();
    let zero = STANDARD.encode([&[1][..], &[0; 32]].concat());
    let bad = [
        public.replace("log+", "+"),
        public.replace("log+", "l g+"),
        public.replace(&id, "00000000"),
        public.replace(&id, "0000"),
        public.replace("+AY", "+Ag"),
        public[..public.len() - 4].to_owned(),
        "log".to_owned(),
        format!("log+{id}+"),
        // A point of small order: anything would be its signature.
        format!("log+{id}+{zero}"),
    ];
    for bad in bad {
        assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
    }
    for bad in [&private[1..], &private.replace(&id, "00000000"), &public] {
        let error = SigningKey::parse(bad).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("AQEB"));
    }
    assert!(SigningKey::generate("a b").is_err());
    let (one, two) = (
        SigningKey::generate("a").unwrap(),
        SigningKey::generate("a").unwrap(),
    );
    assert_ne!(one.id(), two.id());
}

#[test]
fn malformed_checkpoints_are_refused() {
    let root = STANDARD.encode([7; 32]);
    let good = format!("example.com/log\n12\n{root}\nextension\n");
    let head: Checkpoint = good.parse().unwrap();
    assert_eq!(head.to_string(), good);
    assert_eq!(head.extensions, ["extension"]);
    let bad = [
        good.trim_end().to_owned(),
        good.replace("12", "012"),
        good.replace("12", "+12"),
        good.replace("12", "-1"),
        good.replace("12", ""),
        good.replace("12", "99999999999999999999999"),
        good.replace("example.com/log", ""),
        good.replace("extension", ""),
        good.replace(&root, &root[4..]),
        format!("log\n12\n{}\n", STANDARD.encode([7; 33])),
        "log\n12\n".to_owned(),
        String::new(),
    ];
    for bad in bad {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_may_come_as_a_note(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
        let _ = Note::parse(&bytes);
        let _ = text.parse::<VerifyingKey>();
        let _ = SigningKey::parse(&text);
        let _ = text.parse::<Checkpoint>();
        let _ = Signature::parse_lines(&format!("\u{2014} {text}\n"));
    }

    #[test]
    fn a_note_with_any_byte_changed_is_not_that_of_its_key(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let key = key("log", 1);
        let note = Note::signed("one\n\ntwo\n", &[&key]).unwrap().to_string();
        let mut bytes = note.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let public = key.verifying_key();
        if let Ok(read) = Note::parse(&bytes) {
            prop_assert!(read.verified([&public]).is_err());
        }
    }
}
