#!/usr/bin/env python3
"""Checks files of weir's audit records by the rules of docs/audit.md, without weir.

    python3 verify.py [--accept KIND]... [--key KEY]... FILE...

FILE has one record per line, in the order of the audit topic; - is standard input. KEY is the public key of a worker,
as `weir audit keygen` prints it; it needs the package `cryptography`. Exit code 0 if the last line says PROVEN, 1 for
any other result, 2 for wrong arguments, 66 for a file that cannot be read.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path

PROVEN, NOT_PROVABLE, INCOMPLETE, BROKEN = RESULTS = ("PROVEN", "NOT PROVABLE", "INCOMPLETE", "BROKEN")  # best first
MEANS_BROKEN = ("altered", "unlinked", "repeated", "contradicts", "bad_seal")  # all other faults: INCOMPLETE
ACCEPTABLE = ("expired", "skipped", "unknown", "began_again", "no_beginning")
GENESIS = "0" * 64
# Members of all records, and those that may be absent. The schema of a later weir may have more of these: add them.
ALWAYS = "event_id source unit findings digest_key previous hash"
OFTEN = "tenant document_id code pack label_set policy weir_version input_digest output_digest"
ALWAYS_2, OFTEN_2 = "v kind epoch seq", "keys seal"  # the same, since version 2
NUMBERS = ("v", "epoch", "seq", "after", "partition", "offset", "log_start", "from", "skipped")
OBJECTS = {"source": dict, "begin": dict, "seal": dict, "findings": list, "keys": list}
WORDS = {
    "kind": ("begin", "event"),
    "outcome": ("delivered", "dead_letter"),
    "reason": ("new", "upgraded", "metadata_lost", "moved", "topic_recreated", "expired"),
    "delivery": ("exactly_once", "at_least_once"),
}


def members(pairs):
    """An object of JSON, in which no name comes twice."""
    if len(pairs) != len(dict(pairs)):
        raise ValueError
    return dict(pairs)


def require(of, names, optional=""):
    """Raises ValueError unless the members have these names, and each has its type."""
    if not set(names.split()) <= of.keys() <= {*names.split(), *optional.split()}:
        raise ValueError
    for name, value in of.items():
        # Not isinstance: `true` is an int in Python.
        if type(value) is not (int if name in NUMBERS else OBJECTS.get(name, str)):
            raise ValueError
        if name in WORDS and value not in WORDS[name]:
            raise ValueError


def read(line):
    """The record of a line. Raises ValueError if it has not the form and the hash of one."""
    record = json.loads(line.decode("utf-8"), object_pairs_hook=members)
    if not isinstance(record, dict) or record.get("v", 2) != 2:
        raise ValueError
    if "v" not in record:
        require(record, ALWAYS, f"{OFTEN} skipped")
    elif record.get("kind") == "begin":
        require(record, f"{ALWAYS} {ALWAYS_2} begin", f"{OFTEN} {OFTEN_2}")
        require(record["begin"], "reason delivery group log_start from weir_version", "cluster")
    else:
        require(record, f"{ALWAYS} {ALWAYS_2} after outcome", f"{OFTEN} {OFTEN_2}")
        if ("code" in record) != (record["outcome"] == "dead_letter"):
            raise ValueError
    if "v" in record and (record["epoch"] < 1 or (record["seq"] == 0) != (record["kind"] == "begin")):
        raise ValueError
    require(record["source"], "topic partition offset")
    front, _, rest = line.rpartition(b',"hash":"')
    end = '"}'
    if "seal" in record:
        require(record["seal"], "key signature")
        end = '","seal":' + json.dumps(record["seal"], separators=(",", ":"), ensure_ascii=False) + "}"
    digest = hashlib.sha256(front if "v" in record else front + b"}").hexdigest()
    if record["hash"] != digest or rest != (digest + end).encode():
        raise ValueError
    return record


class Chain:
    """What the feed has of one partition of the source, in its order."""

    def __init__(self):
        self.faults = []
        self.records = self.delivered = self.dead_letters = self.version_1 = 0
        self.first = self.next = None  # first offset that is answered for, and the one behind the last
        self.epoch, self.seq, self.hash = 0, 0, None  # of the last record of version 2
        self.old_hash = None  # of the last record of version 1
        self.log_start = 0
        self.begun = set()  # hashes of all `begin`
        self.is_provable, self.is_sealed = True, False

    def add(self, record):
        if "v" not in record:
            if self.hash or self.old_hash not in (None, record["previous"]):
                self.faults.append("unlinked")
            self.old_hash = record["hash"]
            self.version_1 += 1
            self.is_provable = False
            return
        self.records += 1
        self.is_sealed = "seal" in record
        start = self.begin(record, **record["begin"]) if record["kind"] == "begin" else self.event(record)
        if start is not None:
            self.first = start if self.first is None else self.first
            self.next = start + (record["kind"] == "event")
            self.epoch, self.seq, self.hash = record["epoch"], record["seq"], record["hash"]

    def begin(self, record, reason, delivery, log_start, **others):
        start = others["from"]
        is_new = reason in ("new", "metadata_lost") and record["epoch"] == 1 and record["previous"] == GENESIS
        if record["hash"] in self.begun:
            self.faults.append("repeated")
        elif self.hash is None:
            upgrades = reason == "upgraded" and record["epoch"] == 1 and self.old_hash in (None, record["previous"])
            if not upgrades and not (is_new and self.old_hash is None):
                self.faults.append("no_beginning")
        elif is_new:
            self.faults.append("began_again")
        elif reason not in ("moved", "topic_recreated", "expired") or not self.is_followed_by(record):
            self.faults.append("unlinked")
        if self.hash is not None and start > self.next and reason != "topic_recreated":
            self.faults.append("expired" if log_start >= start else "skipped")
        if log_start > start:
            self.faults.append("expired")
        self.begun.add(record["hash"])
        self.log_start = log_start
        self.is_provable &= delivery == "exactly_once"
        return start

    def is_followed_by(self, begin):
        return begin["previous"] == self.hash and begin["epoch"] == self.epoch + 1

    def event(self, record):
        place, after, offset = (record["epoch"], record["seq"]), record["after"], record["source"]["offset"]
        self.delivered += record["outcome"] == "delivered"
        self.dead_letters += record["outcome"] == "dead_letter"
        if self.hash is None:
            self.faults.append("no_beginning")
            return offset
        if place <= (self.epoch, self.seq):
            self.faults.append("repeated")
            return None
        if place != (self.epoch, self.seq + 1):
            self.faults.append("missing")
        elif record["previous"] != self.hash:
            self.faults.append("unlinked")
        elif after != self.next - 1:
            self.faults.append("contradicts")
        if after >= offset:
            self.faults.append("contradicts")
        elif max(after + 1, self.log_start) < offset:
            self.faults.append("unknown")
        return offset

    def result(self, accept):
        found = [BROKEN if fault in MEANS_BROKEN else INCOMPLETE for fault in self.faults if fault not in accept]
        return max([PROVEN if self.is_provable else NOT_PROVABLE, *found], key=RESULTS.index)

    def text(self):
        offsets = "" if self.first is None else f", offsets {self.first} to {self.next - 1}"
        counts = f": {self.records} records, {self.delivered} delivered, {self.dead_letters} dead letters"
        old = f", {self.version_1} of version 1" if self.version_1 else ""
        faults = "".join(f", {self.faults.count(fault)} {fault}" for fault in dict.fromkeys(self.faults))
        return offsets + counts + old + faults


def public_keys(lines):
    """Keys by name and id, from lines NAME+ID+BASE64 (c2sp.org/signed-note)."""
    keys = {}
    for line in lines:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        name, number, text = line.split("+", 2)
        key = base64.b64decode(text, validate=True)
        if key[:1] != b"\x01" or hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] != number:
            raise ValueError("a key is NAME+ID+BASE64 of Ed25519, as `weir audit keygen` prints it")
        keys[f"{name}+{number}"] = Ed25519PublicKey.from_public_bytes(key[1:])
    return keys


def is_signed(record, keys):
    try:
        signature = base64.b64decode(record["seal"]["signature"], validate=True)
        keys[record["seal"]["key"]].verify(signature, b"weir/audit-seal/2\n" + record["hash"].encode())
    except Exception:  # an unknown key, no Base64, another signature
        return False
    return True


def check(lines, accept=(), keys=None):
    """The result of a feed, and the lines to print. `keys`: those of `public_keys`."""
    chains, altered, number = {}, [], 0
    for line in filter(None, (line.rstrip(b" \t\r\n\f") for line in lines)):
        try:
            record = read(line)
        except (ValueError, RecursionError):
            altered.append(number)
        else:
            source = record["source"]
            chain = chains.setdefault((source["topic"], source["partition"]), Chain())
            chain.add(record)
            if keys and "seal" in record and not is_signed(record, keys):
                chain.faults.append("bad_seal")
        number += 1
    results, text = [BROKEN] if altered else [], []
    for (topic, partition), chain in sorted(chains.items()):
        if keys and chain.hash and not chain.is_sealed:
            chain.faults.append("unsealed")
        results.append(chain.result(accept))
        # No name of a feed controls a terminal.
        text.append(f"{results[-1]:<12} {ascii(topic)[1:-1]}/{partition}{chain.text()}")
    text += [f"{BROKEN:<12} altered: record {place} of the feed" for place in altered[:20]]
    result = max(results or [NOT_PROVABLE], key=RESULTS.index)
    plural = "" if len(chains) == 1 else "s"
    return result, [*text, f"{result}: {number} audit records of {len(chains)} partition{plural}"]


def lines_of(paths):
    for path in paths:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
            yield from file


def main():
    parser = argparse.ArgumentParser(description="Checks files of weir's audit records.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="one record per line; - is standard input")
    parser.add_argument("--accept", action="append", default=[], choices=ACCEPTABLE, help="do not count these faults")
    parser.add_argument("--key", action="append", default=[], help="public key of a worker that seals records")
    arguments = parser.parse_args()
    try:
        keys = public_keys(arguments.key)
    except (ValueError, ImportError) as error:
        parser.error(f"--key: {error}")
    try:
        result, text = check(lines_of(arguments.files), arguments.accept, keys)
    except OSError as error:
        print(f"can't read {error.filename}: {error.strerror}", file=sys.stderr)
        return 66
    print("\n".join(text))
    return 0 if result == PROVEN else 1


if __name__ == "__main__":
    sys.exit(main())
