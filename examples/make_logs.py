#!/usr/bin/env python3
"""Writes in/ops/logs/app.log and sshd.log.gz: invented system logs, the same on every run.

Addresses are from the documentation ranges (RFC 5737, RFC 3849), hosts end in .example (RFC 2606),
cards and IBANs are the published test numbers, keys are the vendors' own examples or are made here
with the checksum that the recogniser asks for. Real logs repeat themselves: so do these.
"""

import base64
import gzip
import hashlib
import hmac
import json
import random
import zlib
from datetime import datetime, timedelta
from pathlib import Path

LOGS = Path(__file__).parent / "in" / "ops" / "logs"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
USERS = ["maria.santos", "jonas", "fiona.gallagher", "wei.zhang", "ana.ruiz", "chidi", "zoe", "ingrid.solberg"]
HOSTS = ["casa.example", "keller.example", "northwind.example", "yoyu.example", "mail.example", "okafor.example"]
NAMES = ["Maria Santos", "Jonas Keller", "Fiona Gallagher", "Wei Zhang", "Ana Ruiz", "Chidi Okafor"]
CARDS = ["4242 4242 4242 4242", "4111111111111111", "5555555555554444", "378282246310005", "6011111111111117"]
IBANS = ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606"]


def git_token() -> str:
    """GitHub's format: the last six characters are the CRC-32 of the thirty before, in base 62."""
    body = "EXAMPLEexampleEXAMPLEexample01"
    rest, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        check = BASE62[digit] + check
    return f"ghp_{body}{check}"


def web_token(subject: str) -> str:
    """A JSON Web Token signed with the word `example`."""
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":")).encode())
    claims = part(json.dumps({"iss": "id.acme.example", "sub": subject, "exp": 1772440000}, separators=(",", ":")).encode())
    signature = hmac.new(b"example", f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{part(signature)}"


def key_block() -> str:
    """A private-key block of the right shape that holds no key."""
    filler = base64.b64encode(hashlib.sha512(b"no key at all").digest()).decode()
    body = "\\n".join([filler[:44], filler[44:]])
    return f"-----BEGIN PRIVATE KEY-----\\n{body}\\n-----END PRIVATE KEY-----"


def app_lines(random: random.Random) -> list[str]:
    clock, lines = datetime(2026, 3, 2, 8, 0, 0), []

    def say(level: str, service: str, message: str) -> None:
        nonlocal clock
        clock += timedelta(milliseconds=random.randrange(40, 9000))
        lines.append(f"{clock.isoformat(timespec='milliseconds')}Z {level:<5} {service} {message}")

    def address() -> str:
        return f"{random.choice(['192.0.2', '198.51.100', '203.0.113'])}.{random.randrange(1, 255)}"

    seldom = iter([
        ("ERROR", "deploy", f"git push to git.acme.example failed, bad credentials in GITHUB_TOKEN={git_token()}"),
        ("WARN", "deploy", "aws_access_key_id=AKIAIOSFODNN7EXAMPLE aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("ERROR", "mailer", "smtp: 550 mailbox unavailable for <grace.okafor@okafor.example>"),
        ("DEBUG", "vault", "loaded " + key_block()),
        ("WARN", "kyc", "social security number 078-05-1120 of applicant Samuel Whitaker does not match"),
        ("INFO", "payout", "wallet 0x52908400098527886E0F7030069857D2E4169EE7 credited"),
        ("INFO", "ingress", "peer 2001:db8:85a3::8a2e:370:7334 upgraded to h2"),
        ("WARN", "radius", "station 02:1A:7F:33:9C:D4 has no lease"),
        ("ERROR", "shop", 'unhandled {"user":{"name":"Leila Haddad","mail":"leila@haddad.example"},"cause":"null note"}'),
        ("INFO", "crm", "merged contact Tobias Lindgren <tobias@acme.example> into Tobias Lindgren, Malmö"),
    ])
    for number in range(200):
        if number % 20 == 13:
            say(*next(seldom))
            continue
        who = random.randrange(len(NAMES))
        kind = random.randrange(10)
        if kind < 3:
            # The same probe a few times a minute, and a logger that knows whole minutes: equal lines.
            lines.append(f"{clock:%Y-%m-%dT%H:%M}:00.000Z INFO  probe GET /livez 200 0ms from 192.0.2.10")
        elif kind == 3:
            say("INFO", "login", f"user {USERS[who]} signed in from {address()}")
        elif kind == 4:
            say("INFO", "checkout", f"order {88400 + number} of {USERS[who]}@{HOSTS[who]} paid with card {random.choice(CARDS)}")
        elif kind == 5:
            say("INFO", "api", f"authorization: Bearer {web_token(USERS[who])}")
        elif kind == 6:
            say("WARN", "payout", f"transfer to {random.choice(IBANS)} ({NAMES[who]}) waits for approval")
        elif kind == 7:
            say("ERROR", "checkout", f"card {random.choice(CARDS)} declined for {NAMES[who]}, client {address()}")
        elif kind == 8:
            say("INFO", "build", f"version 2.{number}.0.1 ready, 4,112 files, digest {hashlib.sha1(str(number).encode()).hexdigest()}")
        else:
            say("INFO", "mailer", f"receipt sent to {USERS[who]}@{HOSTS[who]} in {random.randrange(20, 400)} ms")
    return lines


def sshd_lines(random: random.Random) -> list[str]:
    clock, lines = datetime(2026, 3, 2, 6, 0, 0), []
    for _ in range(160):
        clock += timedelta(seconds=random.randrange(0, 40))
        stamp = f"Mar  {clock.day} {clock:%H:%M:%S} bastion sshd[{random.choice([2211, 2214, 2230, 2304])}]:"
        client = f"198.51.100.{random.choice([7, 7, 7, 23, 90])}"
        port = random.randrange(40000, 60000)
        lines.append(random.choice([
            f"{stamp} Failed password for invalid user oracle from {client} port {port} ssh2",
            f"{stamp} Failed password for root from {client} port {port} ssh2",
            f"{stamp} Connection closed by {client} [preauth]",
            f"{stamp} pam_unix(sshd:auth): check pass; user unknown",
            f"{stamp} Accepted publickey for {random.choice(USERS)} from 203.0.113.{random.randrange(2, 9)} port {port} ssh2",
        ]))
    return lines


def main() -> None:
    chance = random.Random(1813)
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "app.log").write_text("\n".join(app_lines(chance)) + "\n", encoding="utf-8")
    packed = gzip.compress(("\n".join(sshd_lines(chance)) + "\n").encode(), mtime=0)
    (LOGS / "sshd.log.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
