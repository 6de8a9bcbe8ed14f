#!/usr/bin/env python3
"""Verifies a feed of weir's audit records by the rules of docs/audit.md. Its author read that page and the schema alone.

    python3 verify.py [--accept KIND]... [--key KEY]... FILE...

FILE has one audit record in each line, in the order of the audit topic; `-` is standard input. Several files are read as one
feed. KEY is a worker's public key, NAME+ID+BASE64: with keys every seal is checked (needs the package `cryptography`).
KIND is a fault to report without counting it. No broker is asked, so the end of the feed is not checked.

Exit code: 0 PROVEN, 1 any other result, 2 wrong arguments, 66 a file can't be read.
"""

import argparse
import base64
import hashlib
import json
import re
import sys

ACCEPTABLE = ["expired", "skipped", "unknown", "began_again", "no_beginning"]
BREAKING = {"altered", "unlinked", "repeated", "contradicts", "bad_seal"}
RESULTS = ["PROVEN", "NOT PROVABLE", "INCOMPLETE", "BROKEN"]  # from best to worst
ZEROS = "0" * 64
TAIL = re.compile(rb'([0-9a-f]{64})"(,"seal":\{"key":"(?:[^"\\]|\\.)*","signature":"(?:[^"\\]|\\.)*"\})?\}')


# The schema: a check is a function that says whether a value is of the right type.
def text(value):
    return type(value) is str and not re.search("[\ud800-\udfff]", value)

def number(value):
    return type(value) in (int, float) and abs(value) < float("inf")

def whole(low, high):
    return lambda value: type(value) is int and low <= value <= high

def one_of(names):
    return lambda value: type(value) is str and value in names.split()

def list_of(check):
    return lambda value: type(value) is list and all(map(check, value))

def members(required, optional):
    checks = required | optional
    return lambda value: (type(value) is dict and required.keys() <= value.keys() <= checks.keys()
                          and all(checks[name](value[name]) for name in value))

U64, I64 = whole(0, 2**64 - 1), whole(-2**63, 2**63 - 1)
SOURCE = members({"topic": text, "partition": whole(-2**31, 2**31 - 1), "offset": I64}, {})
CODE = one_of("not_json not_utf8 unknown_encoding compressed not_avro unknown_schema too_large truncated corrupt missing_column "
              "missing_text unknown_tenant model_failed redact_failed panicked changed unwritable")
FINDING = members({"field": text, "start": U64, "end": U64, "label": text, "score": number, "recognizer": text, "operator": text},
                  {"label_score": number, "threshold": number, "key_id": text, "basis": text})
BEGIN = members({"reason": one_of("new upgraded metadata_lost moved topic_recreated expired"), "group": text, "log_start": I64,
                 "delivery": one_of("exactly_once at_least_once"), "from": I64, "weir_version": text}, {"cluster": text})
REQUIRED = {"event_id": text, "source": SOURCE, "unit": one_of("code_point"), "findings": list_of(FINDING), "digest_key": text,
            "previous": text, "hash": text}
OPTIONAL = dict.fromkeys(["tenant", "document_id", "pack", "label_set", "policy", "weir_version", "input_digest",
                          "output_digest"], text) | {"code": CODE, "keys": list_of(members({"id": text, "fingerprint": text}, {}))}
REQUIRED_2 = REQUIRED | {"v": whole(2, 2), "kind": one_of("begin event"), "epoch": whole(1, 2**64 - 1), "seq": U64}
OPTIONAL_2 = OPTIONAL | {"after": I64, "outcome": one_of("delivered dead_letter"), "begin": BEGIN,
                         "seal": members({"key": text, "signature": text}, {})}
VERSION_1 = members(REQUIRED, OPTIONAL | {"skipped": U64})
VERSION_2 = members(REQUIRED_2, OPTIONAL_2)


def once(pairs):
    """An object of JSON whose members are there once."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a member is there twice")
    return dict(pairs)

def no_constant(name):
    raise ValueError(name + " is not JSON")

def parse(line):
    """The JSON of a line, or None."""
    try:
        return json.loads(line.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError):
        return None

def follows_rules(line, record):
    """Whether the record of a line follows rules 2 to 4."""
    if type(record) is not dict:
        return False
    old = "v" not in record
    if not (VERSION_1 if old else VERSION_2)(record):
        return False
    if not old and record["kind"] == "begin":
        if "begin" not in record or record["seq"] != 0 or record.keys() & {"after", "outcome", "code"}:
            return False
    elif not old:
        if not {"after", "outcome"} <= record.keys() or "begin" in record or record["seq"] == 0:
            return False
        if ("code" in record) != (record["outcome"] == "dead_letter"):
            return False
    front, _, tail = line.rpartition(b',"hash":"')
    match = TAIL.fullmatch(tail)
    return bool(match) and hashlib.sha256(front + b"}" * old).hexdigest().encode() == match[1]


class Chain:
    """What was read of one partition. `end` is the last record that counts; `next` and `log_start` belong to it."""

    def __init__(self):
        self.faults = {}  # kind: [how many, of what, first place]
        self.end = self.old = self.next = self.log_start = None  # old: the last record of version 1
        self.provable = True
        self.begun = set()  # hashes of `begin`s
        self.lost = False  # the record in front was altered
        self.records = self.delivered = self.dead_letters = 0
        self.offsets = []

    def fault(self, kind, place, count=1, what="records"):
        self.faults.setdefault(kind, [0, what, place])[0] += count

    def add(self, record, place, keys):
        offset = record["source"]["offset"]
        self.records += 1
        if record.get("kind") != "begin":
            self.offsets = [min([offset] + self.offsets), max([offset] + self.offsets)]
            self.dead_letters += "code" in record
            self.delivered += "code" not in record
        if keys and "seal" in record and not seal_holds(record, keys):
            self.fault("bad_seal", place)
        if "v" not in record:
            self.provable = False
            if self.end or self.old and record["previous"] != self.old["hash"]:
                self.fault("unlinked", place)
            self.old = record
        elif record["kind"] == "begin":
            self.add_begin(record, record["begin"], place)
        else:
            self.add_event(record, offset, place)

    def add_begin(self, record, begin, place):
        reason, first, log_start = begin["reason"], begin["from"], begin["log_start"]
        if record["hash"] in self.begun:
            return self.fault("repeated", place)
        self.begun.add(record["hash"])
        fresh = reason in ("new", "metadata_lost") and record["epoch"] == 1 and record["previous"] == ZEROS
        if not self.end:
            upgraded = reason == "upgraded" and record["epoch"] == 1
            fits = upgraded and record["previous"] == self.old["hash"] if self.old else upgraded or fresh
            if not fits and not self.lost:
                self.fault("no_beginning", place)
        else:
            if fresh:
                self.fault("began_again", place)
            elif not self.lost and (reason in ("new", "metadata_lost", "upgraded") or
                                    (record["previous"], record["epoch"]) != (self.end["hash"], self.end["epoch"] + 1)):
                self.fault("unlinked", place)
            if first > self.next and reason != "topic_recreated":
                self.fault("expired" if log_start >= first else "skipped", place, first - self.next, "offsets")
        if log_start > first:
            self.fault("expired", place, log_start - first, "offsets")
        if begin["delivery"] == "at_least_once":
            self.provable = False
        self.end, self.next, self.log_start, self.lost = record, first, log_start, False

    def add_event(self, record, offset, place):
        if not self.end:
            self.fault("no_beginning", place)
        else:
            number, end = (record["epoch"], record["seq"]), (self.end["epoch"], self.end["seq"])
            if number <= end:
                return self.fault("repeated", place)
            contradicts = record["after"] >= offset
            if self.lost and number[0] == end[0]:
                pass
            elif number != (end[0], end[1] + 1):
                self.fault("missing", place)
            elif record["previous"] != self.end["hash"]:
                self.fault("unlinked", place)
            elif record["after"] != self.next - 1:
                contradicts = True
            if contradicts:
                self.fault("contradicts", place)
            if number[0] != end[0]:
                self.log_start = None  # the `begin` of this epoch is not in the feed
            first = record["after"] + 1
            if self.log_start is not None:
                first = max(first, self.log_start)
            if first < offset:
                self.fault("unknown", place, offset - first, "offsets")
        self.end, self.next, self.lost = record, offset + 1, False

    def result(self, accepted):
        if self.faults.keys() & BREAKING:
            return "BROKEN"
        if self.faults.keys() - accepted:
            return "INCOMPLETE"
        return "PROVEN" if self.provable else "NOT PROVABLE"


def strict_base64(digits):
    data = base64.b64decode(digits, validate=True)
    if base64.b64encode(data).decode() != digits:
        raise ValueError("not the only Base64 of its bytes")
    return data

def public_key(line):
    """The pair of NAME+ID and key of a line NAME+ID+BASE64 (https://c2sp.org/signed-note)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    name, key_id, digits = line.split("+", 2)
    data = strict_base64(digits)
    if not name or len(data) != 33 or data[0] != 1 or hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] != key_id:
        raise ValueError("no public key of Ed25519, or its id is wrong")
    return name + "+" + key_id, Ed25519PublicKey.from_public_bytes(data[1:])

def seal_holds(record, keys):
    from cryptography.exceptions import InvalidSignature
    try:
        key = keys[record["seal"]["key"]]
        key.verify(strict_base64(record["seal"]["signature"]), b"weir/audit-seal/2\n" + record["hash"].encode())
    except (KeyError, ValueError, InvalidSignature):
        return False
    return True

def read(files):
    """Each line that is not empty, with its place."""
    for name in files:
        with open(0 if name == "-" else name, "rb", closefd=name != "-") as file:
            for count, line in enumerate(file, 1):
                if line := line.rstrip(b" \t\r\n\f"):
                    yield line, f"{name}:{count}"

def read_all(lines, keys):
    """The chains of a feed, whose lines come with their places."""
    chains = {}
    for line, place in lines:
        record = parse(line)
        source = record.get("source") if type(record) is dict else None
        name = (source["topic"], source["partition"]) if SOURCE(source) else ("", -1)
        chain = chains.setdefault(name, Chain())
        if follows_rules(line, record):
            chain.add(record, place, keys)
        else:
            chain.records += 1
            chain.lost = True
            chain.fault("altered", place, what="lines")
    for chain in chains.values():
        if keys and chain.end and "seal" not in chain.end:
            chain.fault("unsealed", "the end")
    return chains

def worst_of(chains, accepted):
    results = [chain.result(accepted) for chain in chains.values()]
    return max(results, key=RESULTS.index, default="NOT PROVABLE")

def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description="Verifies a feed of audit records.")
    parser.add_argument("--accept", metavar="KIND", action="append", default=[], choices=ACCEPTABLE)
    parser.add_argument("--key", metavar="KEY", action="append", default=[])
    parser.add_argument("files", metavar="FILE", nargs="+")
    arguments = parser.parse_args()
    try:
        keys = dict(map(public_key, arguments.key))
    except (ValueError, ImportError) as error:
        parser.error(f"--key: {error}")
    try:
        chains = read_all(read(arguments.files), keys)
    except OSError as error:
        print(f"verify.py: {error}", file=sys.stderr)
        return 66
    for (topic, partition), chain in sorted(chains.items()):
        result = chain.result(set(arguments.accept))
        name = f"{json.dumps(topic)[1:-1]}/{partition}" if topic else "lines that name no partition"
        if chain.offsets:
            name += ", offsets {} to {}".format(*chain.offsets)
        print(f"{result:<12} {name}: {chain.records} records, {chain.delivered} delivered, {chain.dead_letters} dead letters")
        for kind, (count, what, place) in sorted(chain.faults.items()):
            print(f"  {kind}: {count} {what}, first at {place}" + ", accepted" * (kind in arguments.accept))
    worst = worst_of(chains, set(arguments.accept))
    records, partitions = sum(chain.records for chain in chains.values()), sum(topic != "" for topic, _ in chains)
    print(f"{worst}: {records} audit records of {partitions} partition{'s' * (partitions != 1)}")
    return RESULTS.index(worst) > 0


if __name__ == "__main__":
    sys.exit(main())
