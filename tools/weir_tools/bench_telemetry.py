"""What telemetry costs: processor time of `weir run`, and the time that passes, with and without somebody who listens.

usage: python -m weir_tools.bench_telemetry WEIR OUT [--rounds 5] [--records 60000]

The job: records with an address of an e-mail each, patterns only, from files to files. Without a model, so that telemetry is
as large a part of the work as it can be. Modes, in turns: nothing (no listener, no collector), `/metrics`, a collector that
takes everything, `/metrics` and a collector, and a collector that never answers.
"""

import argparse
import http.server
import json
import shutil
import statistics
import threading
from pathlib import Path

from .bench_builds import seconds

CONFIG = """[source]
type = "object_store"
url = "in"
[sink]
type = "object_store"
url = "out"
[tenants]
dir = "tenants"
default = "acme"
[model]
pack = "weir-mini"
[telemetry]
metrics = { interval_secs = 1 }
"""


class Takes(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Hangs(Takes):
    def do_POST(self) -> None:
        threading.Event().wait()


def serve(handler: type[http.server.BaseHTTPRequestHandler]) -> str:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=60_000)
    given = parser.parse_args()
    listen = 'listen = "127.0.0.1:0"\n'
    takes, hangs = (f'otlp = {{ endpoint = "{serve(handler)}" }}\n' for handler in (Takes, Hangs))
    modes = {
        "nothing": "",
        "`/metrics`": listen,
        "a collector": takes,
        "`/metrics` and a collector": listen + takes,
        "a collector that never answers": hangs,
    }
    shutil.rmtree(given.out, ignore_errors=True)
    for number, telemetry in enumerate(modes.values()):
        job = given.out / str(number)
        (job / "in").mkdir(parents=True)
        (job / "tenants").mkdir()
        (job / "tenants/acme.toml").write_text('labels = []\npatterns = ["email", "ipv4", "card"]\n')
        (job / "weir.toml").write_text(CONFIG + telemetry)
        records = (json.dumps({"id": str(at), "text": f"ask user{at}@mail.example about {at}"}) for at in range(given.records))
        (job / "in/records.jsonl").write_text("\n".join(records) + "\n")
    taken: list[list[tuple[float, float]]] = [[] for _ in modes]
    for round_number in range(given.rounds):
        order = range(len(modes)) if round_number % 2 == 0 else reversed(range(len(modes)))
        for number in order:
            taken[number].append(seconds(given.weir.resolve(), given.out / str(number)))
    print("| with | processor time, s | time passed, s | ratio of processor time |\n| --- | --- | --- | --- |")
    base = statistics.median(one[0] for one in taken[0])
    for name, own in zip(modes, taken, strict=True):
        cpu, wall = (statistics.median(one[at] for one in own) for at in (0, 1))
        print(f"| {name} | {cpu:.2f} | {wall:.2f} | {cpu / base:.2f} |")


if __name__ == "__main__":
    main()
