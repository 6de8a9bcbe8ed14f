"""python3 -m orchard --records N --seed S --out FILE [--language en|es|fr|de|it|pt|nl|all] [--check]"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from pathlib import Path

from . import check, lists
from .press import records


def main() -> int:
    parser = argparse.ArgumentParser(prog="orchard", description="Synthetic records with annotated personal data")
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", help="JSON lines; - for standard output")
    parser.add_argument("--language", choices=[*lists.LANGUAGES, "all"], default="all")
    parser.add_argument("--check", action="store_true", help="examine every record and every frame, and count")
    parser.add_argument("--counts", action="store_true", help="count labels and languages on standard error")
    args = parser.parse_args()
    if not args.out and not args.check:
        parser.error("--out or --check")
    complaints: list[str] = check.frames() if args.check else []
    tally: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    lines: list[str] = []
    for record in records(args.records, args.seed, args.language):
        if args.check:
            complaints += check.record(record)
        if args.check or args.counts:
            check.count(tally, record)
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    if args.out == "-":
        sys.stdout.write("".join(lines))
    elif args.out:
        Path(args.out).write_text("".join(lines), encoding="utf-8")
    if args.check or args.counts:
        check.show(tally)
    for line in complaints[:200]:
        print(line, file=sys.stderr)
    if args.check:
        print(f"{len(complaints)} complaints", file=sys.stderr)
    return 1 if complaints else 0


sys.exit(main())
