"""Compares two builds of weir on a real broker, alternately: `make bench-kafka` of each, as far as its first table.

usage: python -m weir_tools.bench_streams BEFORE AFTER [--rounds 8]

BEFORE and AFTER are checkouts with their benchmark, as `cargo bench --bench stream --no-run` names it: FOLDER=PROGRAM. The
table has records a second without a model, with transactions and without; each run of a program gives the median of three
rounds. Who comes first changes with each round.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import tempfile
from pathlib import Path

ROW = re.compile(r"^\| \d+ \| (\d+) \([\d.]+\) \| (\d+) \([\d.]+\) \|")


def rates(folder: Path, program: Path, records: int) -> tuple[float, float]:
    """Records a second with transactions, and without."""
    rows = []
    with tempfile.TemporaryDirectory() as broker:
        own = {"ROUNDS": "3", "RECORDS": str(records), "TMPDIR": broker}
        # A session of its own: the broker is ended with it.
        run = subprocess.Popen(
            [program, "--bench"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **own},
            start_new_session=True,
        )
        assert run.stdout is not None
        for line in run.stdout:
            if found := ROW.match(line):
                rows.append((float(found[1]), float(found[2])))
            if line.startswith("median"):
                break
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    return statistics.median(row[0] for row in rows), statistics.median(row[1] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--records", type=int, default=60_000)
    given = parser.parse_args()
    builds = [own.split("=") for own in (given.before, given.after)]
    taken: list[list[tuple[float, float]]] = [[], []]
    for number in range(given.rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            folder, program = builds[which]
            taken[which].append(rates(Path(folder), Path(program).resolve(), given.records))
    print("| records/s | before | after | ratio of medians | median of ratios |\n| --- | --- | --- | --- | --- |")
    for at, what in enumerate(["transactions", "none"]):
        before, after = ([one[at] for one in own] for own in taken)
        middle = statistics.median(before), statistics.median(after)
        pairs = statistics.median(b / a for a, b in zip(before, after, strict=True))
        print(f"| {what} | {middle[0]:.0f} | {middle[1]:.0f} | {middle[1] / middle[0]:.3f} | {pairs:.3f} |")
        for name, own in zip(("before", "after"), (before, after), strict=True):
            print(f"| {name} | {', '.join(f'{one:.0f}' for one in own)} | | | |")


if __name__ == "__main__":
    main()
