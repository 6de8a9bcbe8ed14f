"""Compares two builds of weir: processor time of `weir run`, and the time that passes, alternately.

usage: python -m weir_tools.bench_builds BEFORE AFTER OUT [--rounds 6]

The job: 700 passages of tools/corpora as JSON lines, four labels and four patterns, from files to files with default settings
and the pack in the box. Both programs find it by WEIR_MODELS and ONNX Runtime by ORT_DYLIB_PATH. Who comes first changes with
each round.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from .bench_gliner import CONFIG, passages

TENANT = """labels = ["person", "phone number", "street address", "organization"]
patterns = ["email", "card", "iban", "ipv4"]
"""


def seconds(program: Path, job: Path) -> tuple[float, float]:
    """Of the processor, and passed."""
    shutil.rmtree(job / "out", ignore_errors=True)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([program, "run", "--config", "weir.toml"], cwd=job, check=True, capture_output=True)
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    (given.out / "in").mkdir(parents=True)
    (given.out / "tenants").mkdir()
    records = [json.dumps({"id": str(at), "text": text}) + "\n" for at, text in enumerate(passages()[:700])]
    (given.out / "in/passages.jsonl").write_text("".join(records))
    (given.out / "tenants/acme.toml").write_text(TENANT)
    (given.out / "weir.toml").write_text(CONFIG.format(pack="weir-mini"))
    programs = [given.before.resolve(), given.after.resolve()]
    taken: list[list[tuple[float, float]]] = [[], []]
    for number in range(given.rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            taken[which].append(seconds(programs[which], given.out))
    print("| | before | after | ratio |\n| --- | --- | --- | --- |")
    for at, what in enumerate(["processor time", "time passed"]):
        before, after = (statistics.median(one[at] for one in own) for own in taken)
        print(f"| {what}, s | {before:.1f} | {after:.1f} | {after / before:.2f} |")
        for name, own in zip(("before", "after"), taken, strict=True):
            print(f"| {name} | {', '.join(f'{one[at]:.1f}' for one in own)} | | |")


if __name__ == "__main__":
    main()
