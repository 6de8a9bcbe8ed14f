use std::net::Ipv6Addr;

use proptest::{prelude::*, sample::select};

use super::*;
use crate::text::ByteSpan;

type Recogniser = fn(&str, &mut Vec<ByteSpan>);

fn found(recogniser: Recogniser, text: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    recogniser(text, &mut spans);
    spans
        .iter()
        .map(|span| &text[span.start..span.end])
        .collect()
}

/// Each text and all that is found in it, in the order of the text.
fn check(recogniser: Recogniser, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let mut spans = Vec::new();
        recogniser(text, &mut spans);
        spans.sort();
        let values: Vec<&str> = spans
            .iter()
            .map(|span| &text[span.start..span.end])
            .collect();
        assert_eq!(values, *expected, "{text}");
    }
}

fn check_none(recogniser: Recogniser, texts: &[&str]) {
    for text in texts {
        assert_eq!(found(recogniser, text), Vec::<&str>::new(), "{text}");
    }
}

/// What may stand around a value, without white space at all in some.
const CONTEXTS: [(&str, &str); 9] = [
    ("", ""),
    ("see ", ", then"),
    ("{\"k\":\"", "\"}"),
    ("{\"k\":\"", "\",\"m\":\"on\"}"),
    ("('", "')"),
    ("<", ">"),
    ("url=", " mail=none"),
    ("at ", "\n"),
    ("`", "`"),
];

fn whole_everywhere(recogniser: Recogniser, value: &str) {
    for (before, after) in CONTEXTS {
        let text = format!("{before}{value}{after}");
        assert_eq!(found(recogniser, &text), [value], "in {text}");
    }
}

#[test]
fn local_parts_are_found_whole() {
    for address in [
        "\"ana ruiz\"@mail.example",
        "\"ana.ruiz\"@mail.example",
        "\"a\\\"b c\"@mail.example",
        "lists+ana.ruiz=mail.example@bounce.example",
        "bounce-ana=mail.example@lists.example",
        "ana.ruiz=mail.example@lists.example",
        "ana=mail.example@lists.example",
        "SRS0=HHH=TT=mail.example=ana@fwd.example",
        "prvs=0123abc=ana@mail.example",
        "dept/ana@mail.example",
        "HTTP/web1.corp.example@CORP.EXAMPLE",
        "r&d@mail.example",
        "relay!ana@mail.example",
        "o’neil@mail.example",
        "ana+tag@mail.example",
        "_ana_@mail.example",
    ] {
        check(
            emails,
            &[
                (&format!("Mail {address} now"), &[address]),
                (&format!("<{address}>"), &[address]),
                (&format!("{address}, {address}"), &[address, address]),
            ],
        );
    }
}

#[test]
fn what_stands_before_an_address_is_left_out() {
    let address: &[&str] = &["ana@mail.example"];
    for before in [
        "user=",
        "reply-to=",
        "?a=1&",
        "/home/",
        "x/users/",
        "mail.example/",
        "https://a.example/",
        "{\"to\":\"",
        "mailto:",
        "a|",
        "- ",
        "…",
    ] {
        let text = format!("{before}ana@mail.example");
        check(emails, &[(&text, address)]);
    }
    check(
        emails,
        &[
            (
                "ana@mail.example,bob@mail.example;eve@mail.example|x@mail.example/y@mail.example",
                &[
                    "ana@mail.example",
                    "bob@mail.example",
                    "eve@mail.example",
                    "x@mail.example",
                    "y@mail.example",
                ],
            ),
            (
                "from-addr=ana.ruiz@mail.example",
                &["ana.ruiz@mail.example"],
            ),
            (
                "to=mail.example@bounce.example",
                &["mail.example@bounce.example"],
            ),
        ],
    );
}

#[test]
fn domains_are_found_whole() {
    for address in [
        "ana@[203.0.113.7]",
        "ana@[IPv6:2001:db8::7]",
        "ana@corp.acme",
        "ana@intra.acme-net",
        "ana@my_host.example",
        "ana@1.0.com",
        "ana@163.com",
        "ana@3f2a1b.example",
        "ana@2x.agency",
        "ana@mail.close",
        "ana@host.service.consul",
        "ana@mail.xn--p1ai",
        "ana@MAIL.EXAMPLE",
        "git@github.com",
    ] {
        check(
            emails,
            &[
                (&format!("Mail {address} now"), &[address]),
                (&format!("<{address}>: ok"), &[address]),
            ],
        );
    }
    for after in ["-old", "_2024", ".csv", ".tar.gz", "1", ".", "/x", ":22"] {
        let text = format!("ana@mail.example{after}");
        check(emails, &[(&text, &["ana@mail.example"])]);
    }
}

#[test]
fn images_units_versions_and_objects_are_no_addresses() {
    check_none(
        emails,
        &[
            "logo@2x.png loaded",
            "logo@3x.webp",
            "logo@1.5x.jpg",
            "logo@2x.min.png",
            "logo@2x-dark.png",
            "icons@2x.zip",
            "Started user@1000.service - User Manager",
            "getty@tty1.service",
            "serial-getty@ttyS0.service",
            "sshd@203.0.113.7:22.socket",
            "fstrim@home.timer",
            "hibernate@5.4.2.Final",
            "spring@1.2.3.RELEASE",
            "foo@1.0.0-beta.rc",
            "foo@1.0.0-beta.dev",
            "react@18.3.0-rc.next",
            "left-pad@1.3.0-next.canary",
            "golang.org/x/net@v0.17.0-rc.alpha",
            "vue@2.6.14.min.js",
            "pkg@1.0-SNAPSHOT.jar",
            "@scope/pkg@1.2.3",
            "Connection@3f2a1b.close",
            "com.acme.Pool@1b6d3586.toString",
            "[Ljava.lang.String;@1b6d3586.get",
            "<obj@0x7f31.run>",
            "printf@GLIBC_2.2.5",
            "@Override",
            "ana@203.0.113.7",
            "{\"user\":\"ana\",\"to\":\"@x.example\"}",
        ],
    );
}

#[test]
fn passwords_end_at_the_at_sign() {
    for url in [
        "postgres://app:pa\"ss@db.example/app",
        "postgres://app:hun{ter}2secret@db.example/app",
        "amqp://app:hunter2#secret@mq.example/vh",
        "redis://:hunter2secret@cache.example:6379/0",
        "redis://:P\"W{O}R|D<x^y`z@cache.example:6379/0",
        "mysql://app:p^w|d<e@db.example",
        "https://app:p/w?x\"y@db.example/x",
        "postgres://app:p@s\"s@db.example/app",
        "postgres://app:p\\w@db.example/app",
        "https://app:12{34@db.example/app",
        "smb://CORP\\ana:p\"w@files.example/x",
        "https://$USER:hunter2@db.example",
        "redis://:p\"w@[2001:db8::1]:6379",
        "postgresql://ana:se|cret@/db?host=/tmp",
        "app:hun\"ter@tcp(db.example:3306)/app?parseTime=true",
        "jdbc:oracle:thin:ana/p\"w@//db.example:1521/x",
    ] {
        for (before, after) in CONTEXTS {
            // The quote that stands before closes the URL where punctuation follows it.
            let text = format!("{before}{url}{after}");
            assert_eq!(found(urls, &text), [url], "in {text}");
        }
    }
}

#[test]
fn urls_of_every_form_are_found_whole() {
    for url in [
        "postgresql:///app?user=ana&password=s3cr3t",
        "hdfs:///user/ana/x.parquet",
        "file:///home/ana",
        "sqlite:////srv/ana.db",
        "s3://bucket/ana/x.csv",
        "postgres://app:pw@h1.example:5432,h2.example:5432/app?x=1",
        "mongodb://app:pw@[fe80::1%eth0]:27017/x",
        "http://[2001:db8::1]:80/x",
        "HTTPS://Mail.Example/U",
        "WWW.mail.example/u/ana",
        "Www.mail.example",
        "https://*.example.com/x",
        "app:hunter2secret@tcp(db.example:3306)/app?parseTime=true",
        "app:hunter2secret@unix(/run/db.sock)/app",
        "app:hunter2secret@db.example:3306/app",
        "jdbc:postgresql://db.example/app?user=ana&password=x",
        "jdbc:oracle:thin:ana/pw@db.example:1521:orcl",
        "jdbc:sqlserver://h:1433;user=ana;password={pa;s|s};x=1",
        "jdbc:sqlite:/home/ana/x.db",
        "mailto:ana@mail.example?subject=x",
    ] {
        whole_everywhere(urls, url);
    }
}

#[test]
fn a_url_ends_before_what_is_beside_it() {
    check(
        urls,
        &[
            (
                "see https://a.example/, mail x@y.example",
                &["https://a.example/"],
            ),
            (
                "{\"dsn\":\"postgres://app:pw@db.example\",\"mail\":\"ana@mail.example\"}",
                &["postgres://app:pw@db.example"],
            ),
            (
                "{\"u\":\"https://a.example:8080\",\"m\":\"x@y.example\"}",
                &["https://a.example:8080"],
            ),
            ("{\"u\":\"http://h\",\"m\":\"x@y.example\"}", &["http://h"]),
            (
                "<a href=\"https://a.example/\">ana@mail.example</a>",
                &["https://a.example/"],
            ),
            (
                "<a href=\"https://u:p@a.example/\">ana@mail.example</a>",
                &["https://u:p@a.example/"],
            ),
            (
                "url=https://x.example/?t=1^mail=ana:x@y.example",
                &["https://x.example/?t=1"],
            ),
            (
                "http://a.example:80|mail:x@y.example",
                &["http://a.example:80"],
            ),
            (
                "'mysql://app:pw@h/x','y@z.example'",
                &["mysql://app:pw@h/x"],
            ),
        ],
    );
    check_none(
        urls,
        &[
            "a://b",
            "x:///",
            "://",
            "www.",
            "www.example",
            "[LeaseRenewer:ana@node-41:9000]",
            "to:ana@mail.example",
            "jdbc: driver",
            "mailto: me",
            "ana@tcp",
        ],
    );
}

#[test]
fn ipv4_addresses_are_found_in_their_surroundings() {
    check(
        ipv4,
        &[
            ("{\"k\":\"ip\",\"v\":\"203.0.113.77\"}", &["203.0.113.77"]),
            ("v=203.0.113.77", &["203.0.113.77"]),
            (
                "IP 203.0.113.77.443 > 10.0.0.1.53211: Flags [P.]",
                &["203.0.113.77", "10.0.0.1"],
            ),
            (
                "IP 203.0.113.77.https > 10.0.0.1.domain: Flags [P.]",
                &["203.0.113.77", "10.0.0.1"],
            ),
            (
                "tcp4 0 0 10.0.0.1.53212 203.0.113.77.53211 ESTABLISHED",
                &["10.0.0.1", "203.0.113.77"],
            ),
            (
                "client @0x7f1 203.0.113.77#53211 (mail.example)",
                &["203.0.113.77"],
            ),
            (
                "203.0.113.0/24 203.000.113.077",
                &["203.0.113.0", "203.000.113.077"],
            ),
            (
                "localhost/127.0.0.1:8080 redis/172.18.0.3 outside/203.0.113.7 session-203.0.113.77",
                &["127.0.0.1", "172.18.0.3", "203.0.113.7", "203.0.113.77"],
            ),
            (
                "server 203.0.113.7 observer=203.0.113.7",
                &["203.0.113.7", "203.0.113.7"],
            ),
            ("nginx 203.0.113.7 - - GET", &["203.0.113.7"]),
            (
                "10.0.0.1-10.0.0.9 10.0.0.1..10.0.0.9",
                &["10.0.0.1", "10.0.0.9", "10.0.0.1", "10.0.0.9"],
            ),
            (
                "{\"packageVersion\":\"1.2.3.4\",\"ip\":\"203.0.113.7\"}",
                &["203.0.113.7"],
            ),
            (
                "upgraded foo from 1.2.3.4 to 1.2.3.5 on 203.0.113.7",
                &["203.0.113.7"],
            ),
        ],
    );
}

#[test]
fn host_names_that_are_addresses_are_found_whole() {
    for name in [
        "77.113.0.203.in-addr.arpa",
        "203.0.113.77.static.isp.example",
        "mail.203.0.113.77.nip.io",
        "ip-203-0-113-77.ec2.internal",
        "ip-203-0-113-77",
        "ec2-203-0-113-77.compute-1.amazonaws.com",
        "203-0-113-77.static.isp.example",
        "pool203-0-113-77-dsl.isp.example",
    ] {
        for (before, after) in [("host ", " up"), ("(", ")"), ("", ": x"), ("to=", ".")] {
            let text = format!("{before}{name}{after}");
            assert_eq!(found(ipv4, &text), [name], "in {text}");
        }
    }
    check_none(
        ipv4,
        &[
            "203-0-113-77",
            "1-2-3-4 of 10",
            "backup-24-03-05-10.log.gz",
            "job-10-20-30-400.example.com",
            "1.0.0.0.f.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        ],
    );
}

#[test]
fn versions_sections_and_identifiers_are_no_ipv4() {
    check_none(
        ipv4,
        &[
            "Chrome 121.0.61.85",
            "Chrome/121.0.61.85 Safari/115.0.0.0",
            "SamsungBrowser/23.0.1.1",
            "nginx/1.25.3.1",
            "curl/7.88.1.2",
            "openssl-1.1.1.10",
            "foobar-1.2.3.4",
            "foo-1.1.1.10.tar.gz",
            "foo_1.2.3.4_amd64.deb",
            "foo 1.2.3.4-1ubuntu2",
            "“1.2.3.4-1ubuntu2”",
            "foo==1.2.3.4 bar>=1.2.3.5",
            "registry/app:1.2.3.4",
            "ISO 8601-1.2.3.4",
            "libfoo 4.8.4.4 installed",
            "Setting up foo (1.2.3.4) ...",
            "apt install foo 1.2.3.4",
            "packageVersion: 1.2.3.4",
            "pkg_version=203.0.113.7",
            "\"versionName\": \"1.2.3.4\"",
            "<version>1.2.3.4</version>",
            "version is 1.2.3.4",
            "Version number: 1.2.3.4",
            "versions 1.2.3.4, 1.2.3.5 and 1.2.3.6",
            "Ver. 1.2.3.4 v 1.2.3.4 v1.2.3.4",
            "section 1.2.3.4",
            "§ 1.2.3.4",
            "oid 1.3.6.1",
            "1.3.6.1.4.1.2021",
            "OID.2.5.4.3",
            "1.2.3.4.jar 1.2.3.4.Final",
        ],
    );
}

#[test]
fn ipv6_addresses_are_found_in_their_surroundings() {
    check(
        ipv6,
        &[
            (
                "www.shop.example:443 2001:db8::7f:1 - - [05/Mar/2026:10:11:12 +0100]",
                &["2001:db8::7f:1"],
            ),
            ("2001:db8::7f:1 GET", &["2001:db8::7f:1"]),
            (
                "fe80::1%eth0 [2001:DB8::7F:1]:443",
                &["fe80::1", "2001:DB8::7F:1"],
            ),
            ("::ffff:203.0.113.7", &["::ffff:203.0.113.7"]),
            (
                "IP6 2001:db8::7f:1.443 > fe80::1.mdns: x",
                &["2001:db8::7f:1", "fe80::1"],
            ),
            ("listen[::1]:80 [::1]", &["::1", "::1"]),
            ("addr 3::16 1::2/64", &["3::16", "1::2"]),
            (
                "1.0.0.0.f.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
                &["1.0.0.0.f.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa"],
            ),
        ],
    );
    check_none(
        ipv6,
        &[
            "x[1::2]",
            "a[::2] a[::1] a[b::2]",
            "d[\"a\"][::2] f(x)[1::3]",
            "John 3::16",
            "12::30",
            "std::chrono std::1 dead::beef",
            "12:30:45 2026:03:05",
            "x.ip6.arpa",
        ],
    );
}

#[test]
fn mac_addresses_of_every_form_are_found_whole() {
    check(
        mac,
        &[
            (
                "MAC=a4:83:e7:12:9b:0c:00:1b:21:3c:4d:5e:08:00 SRC=203.0.113.77",
                &["a4:83:e7:12:9b:0c:00:1b:21:3c:4d:5e:08:00"],
            ),
            (
                "dhcp client-id 01:a4:83:e7:12:9b:0c",
                &["01:a4:83:e7:12:9b:0c"],
            ),
            (
                "client identifier 1:a4:83:e7:2:9b:c",
                &["1:a4:83:e7:2:9b:c"],
            ),
            (
                "DUID 00:01:00:01:2a:bc:de:f0:a4:83:e7:12:9b:0c",
                &["00:01:00:01:2a:bc:de:f0:a4:83:e7:12:9b:0c"],
            ),
            (
                "00-03-00-01-A4-83-E7-12-9B-0C",
                &["00-03-00-01-A4-83-E7-12-9B-0C"],
            ),
            ("arp a4:83:e7:2:9b:c on en0", &["a4:83:e7:2:9b:c"]),
            ("h3c a483-e712-9b0c up", &["a483-e712-9b0c"]),
            (
                "a483.e712.9b0c a483.e7ff.fe12.9b0c",
                &["a483.e712.9b0c", "a483.e7ff.fe12.9b0c"],
            ),
            ("a4 83 e7 12 9b 0c", &["a4 83 e7 12 9b 0c"]),
            ("mac: A4 83 E7 12 9B 0C up", &["A4 83 E7 12 9B 0C"]),
            ("mac=a483e7129b0c", &["a483e7129b0c"]),
            ("{\"macAddress\": \"A483E7129B0C\"}", &["A483E7129B0C"]),
            (
                "duid 000100012abcdef0a483e7129b0c",
                &["000100012abcdef0a483e7129b0c"],
            ),
            (
                "link/infiniband 80:00:00:48:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1 brd",
                &["80:00:00:48:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1"],
            ),
            ("node:a4:83:e7:12:9b:0c", &["a4:83:e7:12:9b:0c"]),
        ],
    );
    check_none(
        mac,
        &[
            "24-03-05-10-11-12",
            "05:03:24:10:11:12",
            "2024-03-05-10-11-12",
            "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
            "SHA1 A4:83:E7:12:9B:0C:A4:83:E7:12:9B:0C:A4:83:E7:12:9B:0C:A4:83",
            "1:2:3:4:5:6",
            "dead-beef-cafe 1234-5678-9012 12ab-34cd-56ef-78ab",
            "00000000: 48 65 6c 6c 6f 0a 48 65 6c 6c",
            "00000010: 48 65 6c 6c 6f 0a",
            "12 34 56 78 90 12",
            "commit a483e7129b0c macOS 202403051011",
            "9aecd797-926b-4559-a2cc-9c66b3e749e9",
        ],
    );
}

#[test]
fn uuids_of_every_form_are_found_whole() {
    let uuid_text = "9aecd797-926b-4559-a2cc-9c66b3e749e9";
    for (before, after) in [
        ("id", ""),
        ("user", ".txt"),
        ("{", "}"),
        ("urn:uuid:", ""),
        ("é", "é"),
        ("_", "_x"),
        ("x/", "Z"),
    ] {
        let text = format!("{before}{uuid_text}{after}");
        check(uuid, &[(&text, &[uuid_text])]);
    }
    check(
        uuid,
        &[
            (
                "9aecd797-926b-4559-a2cc-9c66b3e749e99aecd797-926b-4559-a2cc-9c66b3e749e9",
                &[uuid_text, uuid_text],
            ),
            (
                "9AECD797_926B_4559_A2CC_9C66B3E749E9",
                &["9AECD797_926B_4559_A2CC_9C66B3E749E9"],
            ),
            (
                "uuid=9aecd797926b4559a2cc9c66b3e749e9",
                &["9aecd797926b4559a2cc9c66b3e749e9"],
            ),
            (
                "{\"deviceGuid\": \"9AECD797926B4559A2CC9C66B3E749E9\"}",
                &["9AECD797926B4559A2CC9C66B3E749E9"],
            ),
        ],
    );
    check_none(
        uuid,
        &[
            "a9aecd797-926b-4559-a2cc-9c66b3e749e9",
            "9aecd797-926b-4559-a2cc-9c66b3e749e90",
            "9aecd797-926b-4559_a2cc-9c66b3e749e9",
            "trace=9aecd797926b4559a2cc9c66b3e749e9",
            "uuid 9aecd797926b4559a2cc9c66b3e749e90",
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_password_without_white_space_is_covered(
        user in select(vec!["", "app", "ana.ruiz", "ana%40mail"]),
        password in "[a-zA-Z][a-zA-Z0-9!#$%&*+,./:;<=>?^_{|}~-]{0,20}[\"'`]?[a-zA-Z0-9]{1,6}",
        host in select(vec!["db.example", "localhost", "h", "[2001:db8::1]"]),
        rest in select(vec!["", ":5432", "/app", ":5432/app?x=1"]),
    ) {
        let url = format!("postgres://{user}:{password}@{host}{rest}");
        for (before, after) in [("", ""), ("dsn ", " ok"), ("dsn=", "\n"), ("(see ", ") x@y.example")] {
            let text = format!("{before}{url}{after}");
            prop_assert_eq!(found(urls, &text), vec![url.as_str()], "in {}", text);
        }
    }

    #[test]
    fn a_url_ends_before_the_next_value_of_its_object(
        user in select(vec!["", "app:pw@", ":pw@", "ana@"]),
        host in "[a-z]{1,6}(\\.[a-z]{2,6}){0,2}",
        port in select(vec!["", ":80", ":5432"]),
        path in select(vec!["", "/", "/a/b?x=1#y"]),
    ) {
        let url = format!("https://{user}{host}{port}{path}");
        let text = format!("{{\"u\":\"{url}\",\"mail\":\"ana@mail.example\"}}");
        prop_assert_eq!(found(urls, &text), vec![url.as_str()]);
    }

    #[test]
    fn every_quoted_local_part_is_found_whole(local in "[a-z0-9]([a-z0-9 ,;:<>()@.]{0,20}[a-z0-9])?") {
        let address = format!("\"{local}\"@mail.example");
        let text = format!("to {address}; next");
        prop_assert_eq!(found(emails, &text), vec![address.as_str()]);
    }

    #[test]
    fn every_packet_has_two_addresses(a: [u8; 4], b: [u8; 4], port: u16, service in select(vec!["https", "domain", "53211"])) {
        let dotted = |octets: [u8; 4]| octets.map(|octet| octet.to_string()).join(".");
        let text = format!("IP {}.{port} > {}.{service}: UDP", dotted(a), dotted(b));
        prop_assert_eq!(found(ipv4, &text), vec![dotted(a), dotted(b)]);
    }

    #[test]
    fn every_reverse_name_is_found_whole(octets: [u8; 4], groups: [u16; 8]) {
        let name = octets.map(|octet| octet.to_string()).join(".") + ".in-addr.arpa";
        let text = format!("PTR {name}.");
        prop_assert_eq!(found(ipv4, &text), vec![name.as_str()]);
        let nibbles: Vec<String> = groups.iter().flat_map(|group| format!("{group:04x}").chars().map(String::from).collect::<Vec<_>>()).rev().collect();
        let name = nibbles.join(".") + ".ip6.arpa";
        let text = format!("PTR {name}.");
        prop_assert_eq!(found(ipv6, &text), vec![name.as_str()]);
    }

    #[test]
    fn every_address_before_a_zone_or_port_is_found(groups: [u16; 8]) {
        let address = Ipv6Addr::from(groups).to_string();
        for (before, after) in [("", "%eth0"), ("[", "]:443"), ("[", "%eth0]:443"), ("IP6 ", ".443 > x")] {
            let text = format!("{before}{address}{after}");
            prop_assert_eq!(found(ipv6, &text), vec![address.as_str()], "in {}", text);
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\PC|[@:/.+\\-0-9a-f(){}\\[\\]'\" =&#_\\\\|<>^`]|://|www\\.|jdbc:a:|mailto:|a:b@c\\(|é|用|mac=|uuid=|\\.ip6\\.arpa|1\\.2\\.3\\.4|1-2-3-4|xn--){0,40}") {
        for recogniser in [emails, urls, ipv4, ipv6, mac, uuid] {
            let mut spans = Vec::new();
            recogniser(&text, &mut spans);
            for span in spans {
                prop_assert!(span.start < span.end && text.get(span.start..span.end).is_some());
            }
        }
    }
}
