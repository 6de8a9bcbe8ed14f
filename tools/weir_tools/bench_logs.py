"""Measures `reuse = "digits"` on growing logs: lines per second of `weir run`, with it and without.

usage: python -m weir_tools.bench_logs LOGS OUT --weir PROGRAM [--copies 10] [--only Apache,Spark]

LOGS has files of real logs (`NAME_2k.log` or `.log.gz`, such as LogHub's). A growing log is a file and copies of it in which
every digit is drawn anew: times, ids and numbers differ from line to line, as in the file itself. Without reuse each line
costs the same, so the file alone is measured; with it the file and all copies. Both are `weir run` with what
`weir init --preset logs` writes, from a file to files; the model's loading is included.
"""

import argparse
import gzip
import random
import shutil
import subprocess
import time
from pathlib import Path


def lines(path: Path) -> list[str]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return raw.decode("utf-8", "replace").splitlines()


def grown(own: list[str], copies: int, seed: str) -> list[str]:
    rng = random.Random(seed)
    draw = lambda line: "".join(rng.choice("0123456789") if c in "0123456789" else c for c in line)  # noqa: E731
    return own + [draw(line) for _ in range(copies - 1) for line in own]


def speed(weir: Path, job: Path, name: str, given: list[str]) -> float:
    for folder in ("in", "out"):
        shutil.rmtree(job / folder, ignore_errors=True)
    (job / "in").mkdir()
    (job / "in" / f"{name}.log").write_text("\n".join(given) + "\n")
    began = time.perf_counter()
    done = subprocess.run([str(weir), "run"], cwd=job, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name}: weir ended with {done.returncode}: {done.stderr[-2000:]}")
    return len(given) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weir", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    weir, out = given.weir.resolve(), given.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([str(weir), "init", "--preset", "logs", str(out)], check=True, capture_output=True)
    tenant = out / "tenants/acme.toml"
    folded = tenant.read_text()
    assert 'reuse = "digits"' in folded, "the preset folds digits"
    plain = folded.replace('reuse = "digits"', 'reuse = "equal"')
    print("| log | different lines, folded | lines/s | with reuse | ratio |\n| --- | --- | --- | --- | --- |")
    seconds = [0.0, 0.0]
    total = 0
    for path in sorted(given.logs.glob("*.log*")):
        name = path.name.split("_")[0].split(".")[0]
        if given.only and name not in given.only.split(","):
            continue
        own = lines(path)
        zeros = str.maketrans("123456789", "0" * 9)
        forms = len({line.translate(zeros) for line in own})
        tenant.write_text(plain)
        before = speed(weir, out, name, own)
        tenant.write_text(folded)
        after = speed(weir, out, name, grown(own, given.copies, name))
        print(f"| {name} | {forms} of {len(own)} | {before:.0f} | {after:.0f} | {after / before:.1f} |", flush=True)
        seconds = [seconds[0] + len(own) / before, seconds[1] + given.copies * len(own) / after]
        total += len(own)
    before, after = total / seconds[0], given.copies * total / seconds[1]
    print(f"| all | | {before:.0f} | {after:.0f} | {after / before:.1f} |")


if __name__ == "__main__":
    main()
