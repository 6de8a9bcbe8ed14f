#!/usr/bin/env python3
"""The streaming demo: called by demo-kafka.sh, with the program in WEIR. Python's own library is enough."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

from demo import Style, replaced, show_field, value_at

ROOT = Path(__file__).resolve().parent.parent
LIBS = ROOT / ".weir/kafka/libs"
CONFIG = ROOT / "examples/stream.toml"
TOPICS = {"documents": 3, "documents.entities": 3, "documents.redacted": 3, "dlq.documents": 1}
ROUNDS = 6
PER_SECOND = 150
# Documents that are shown.
SHOWN = ["chat-003", "chat-010", "chat-012", "o-1002", "m-014"]


def main() -> None:
    style = Style()
    # So that a SIGTERM, too, ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="weir-demo-") as folder, Processes() as processes:
        run(Path(folder), processes, style)


def run(folder: Path, processes: "Processes", style: Style) -> None:
    say(style, "A broker: Apache Kafka 4.1.1, one node")
    address = start_broker(folder, processes)
    print(f"  {address}, process {processes.broker.pid}")
    topics = [tool("TopicCommand", address, "--create", "--topic", name, "--partitions", str(count)) for name, count in TOPICS.items()]
    wait_for(topics)
    print("  topics: " + ", ".join(f"{name} ({count})" for name, count in TOPICS.items()))

    say(style, "$ weir run --config examples/stream.toml")
    worker = Worker(folder, address, processes)
    records = documents()
    feed = Feed(address, records, processes)
    killed_at, took = watch(worker, feed, style)
    code = worker.stop()
    print(f"  SIGTERM: drained, exit code {code}")

    say(style, "What a reader with isolation.level=read_committed finds")
    found = read(address)
    show(records, found, style)
    say(style, "The group, as Kafka's own tool tells it")
    describe(address)
    say(style, "Summary")
    summary(found, took, worker, style)
    say(style, "Checks")
    problems = check(records, found)
    if code != 0:
        problems.append(f"the worker ended with code {code}")
    for problem in problems:
        print(style.paint(f"  failed: {problem}", 31))
    if problems:
        sys.exit(1)
    text = f"  {len(records):,} records written, each one once among entities and redactions, or among the dead letters"
    print(style.paint(text, 32))
    print(style.paint(f"  although the worker was killed (kill -9) after {killed_at:.0f} s and started again", 32))


def say(style: Style, text: str) -> None:
    print("\n" + style.bold(text), flush=True)


class Processes:
    """Ends whatever was started, by its process id."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen] = []
        self.broker: subprocess.Popen | None = None

    def __enter__(self) -> "Processes":
        return self

    def start(self, *args: object, **options: object) -> subprocess.Popen:
        self.all.append(subprocess.Popen(*args, **options))
        return self.all[-1]

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.all):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.all):
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def java(*args: str, **options: object) -> subprocess.Popen:
    flags = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    options.setdefault("stdout", subprocess.DEVNULL)
    return subprocess.Popen(["java", *flags, "-cp", f"{LIBS}/*", *args], stderr=subprocess.DEVNULL, **options)


def tool(name: str, address: str, *args: str, **options: object) -> subprocess.Popen:
    return java(f"org.apache.kafka.tools.{name}", "--bootstrap-server", address, *args, **options)


def wait_for(started: list[subprocess.Popen]) -> None:
    for process in started:
        if process.wait() != 0:
            sys.exit(f"error: {' '.join(process.args[6:8])} failed")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_broker(folder: Path, processes: Processes) -> str:
    port, controller = free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={folder / "kafka"}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
""")
    cluster = secrets.token_urlsafe(16)
    wait_for([java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties))])
    log = (folder / "broker.log").open("w")
    processes.broker = java("kafka.Kafka", str(properties), stdout=log)
    processes.all.append(processes.broker)
    for _ in range(1200):
        if processes.broker.poll() is not None:
            sys.exit(f"error: the broker ended:\n{(folder / 'broker.log').read_text()}")
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return f"127.0.0.1:{port}"
        time.sleep(0.05)
    sys.exit("error: the broker does not answer after 60 s")


def documents() -> list[tuple[str, str]]:
    """Key and value of each record: the examples, a few rounds of them, and some that are poison."""
    own = []
    inputs = ROOT / "examples/in"
    for tenant, name in [("acme", "acme/chat/support.jsonl"), ("shop", "shop/orders.jsonl"), ("museum", "museum/catalogue.jsonl")]:
        for line in (inputs / name).read_text(encoding="utf-8").splitlines():
            try:
                own.append((tenant, json.loads(line)["id"], line))
            except ValueError:
                continue
    for number, line in enumerate((inputs / "ops/logs/app.log").read_text(encoding="utf-8").splitlines()):
        own.append(("ops", f"log-{number}", json.dumps({"id": f"log-{number}", "text": line}, ensure_ascii=False)))
    own.append(("nobody", "n-1", '{"id":"n-1","text":"of a tenant that is not there"}'))
    own.append(("acme", "n-2", "no JSON at all"))
    records = []
    for round_ in range(ROUNDS):
        for tenant, name, line in own:
            again = line if round_ == 0 else line.replace(f'"{name}"', f'"{name}~{round_}"', 1)
            records.append((f"{tenant}/{name}~{round_}" if round_ else f"{tenant}/{name}", again))
    return records


class Feed:
    """Writes the records at a steady pace, through Kafka's console producer."""

    def __init__(self, address: str, records: list[tuple[str, str]], processes: Processes) -> None:
        producer = ["--topic", "documents", "--property", "parse.key=true", "--property", "key.separator=\t"]
        options = ["--producer-property", "acks=all", "--producer-property", "linger.ms=20"]
        self.process = tool("ConsoleProducer", address, *producer, *options, stdin=subprocess.PIPE, text=True, encoding="utf-8")
        processes.all.append(self.process)
        self.records = records
        self.sent = 0
        self.ended: float | None = None
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self) -> None:
        for key, value in self.records:
            try:
                self.process.stdin.write(f"{key}\t{value}\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                return
            self.sent += 1
            time.sleep(1 / PER_SECOND)
        self.process.stdin.close()
        self.process.wait()
        self.ended = time.monotonic()

    def ended_for(self, seconds: float) -> bool:
        """Whether the broker has had all records for that long."""
        return self.ended is not None and time.monotonic() - self.ended > seconds


class Worker:
    """`weir run`, and what its metrics add up to over its lives."""

    def __init__(self, folder: Path, address: str, processes: Processes) -> None:
        self.log = folder / "weir.log"
        self.address, self.processes = address, processes
        self.before: Counter[str] = Counter()
        self.now: Counter[str] = Counter()
        self.lag: float | None = None
        self.start()

    def start(self) -> None:
        self.listen = f"127.0.0.1:{free_port()}"
        environment = os.environ | {"WEIR_SOURCE__BOOTSTRAP_SERVERS": self.address, "WEIR_TELEMETRY__LISTEN": self.listen}
        with self.log.open("a") as log:
            command = [os.environ["WEIR"], "run", "--config", str(CONFIG)]
            self.process = self.processes.start(command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.before += self.now
        self.now, self.lag = Counter(), None

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=60)

    def counts(self) -> Counter[str]:
        """Counters so far; those of a life that was killed as they stood at the last look."""
        if self.process.poll() is not None:
            sys.exit(f"error: weir ended with code {self.process.returncode}:\n{self.log.read_text()}")
        try:
            with urllib.request.urlopen(f"http://{self.listen}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return self.before + self.now
        self.now = Counter()
        for name, labels, value in re.findall(r"^(weir_\w+)(\{[^}]*\})? ([-+.\de]+)$", text, re.MULTILINE):
            committed = name != "weir_transactions_total" or "committed" in labels
            if committed and name.endswith("_total"):
                self.now[name] += int(float(value))
            bucket = re.search(r'le="([\d.]+)"', labels)
            if name == "weir_end_to_end_seconds_bucket" and bucket:
                self.now[f"within {bucket[1]}"] += int(value)
        lags = re.findall(r"^weir_consumer_lag\{[^}]*\} ([\d.]+)$", text, re.MULTILINE)
        self.lag = sum(float(lag) for lag in lags) if len(lags) == TOPICS["documents"] else None
        return self.before + self.now


def watch(worker: Worker, feed: Feed, style: Style) -> tuple[float, float]:
    """Shows how far it is until all is done; kills the worker half-way. When that was, and how long all took."""
    total, started, killed_at = len(feed.records), time.monotonic(), None
    last_line, last_done, last_time, rate = 0.0, 0, started, 0.0
    last_seen, took = -1, 0.0
    while True:
        time.sleep(0.25)
        if feed.process.poll():
            sys.exit("error: Kafka's console producer failed")
        counts, now = worker.counts(), time.monotonic()
        # Dead letters are documents of the outcome `dead_lettered`.
        done = counts["weir_documents_total"]
        if now - last_time >= 3:
            rate, last_done, last_time = (done - last_done) / (now - last_time), done, now
        line = progress(style, feed.sent, done, total, rate, counts)
        if sys.stdout.isatty():
            print(f"\r\x1b[K{line}", end="", flush=True)
        elif now - last_line >= 2:
            print(line, flush=True)
            last_line = now
        if killed_at is None and done >= total // 2:
            worker.kill()
            killed_at = now - started
            newline = "\n" if sys.stdout.isatty() else ""
            print(newline + style.paint(f"  kill -9 of the worker after {killed_at:.0f} s; started again", 31), flush=True)
            worker.start()
        if feed.ended_for(6) and worker.lag == 0 and killed_at is not None:
            # What was committed between the last look and the kill is in no counter: the lag tells.
            line = progress(style, total, total, total, total / took, counts)
            print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, flush=True)
            return killed_at, took
        # The lag is told every five seconds.
        if done != last_seen:
            last_seen, took = done, now - started
        if now - started > 300:
            sys.exit(f"error: not done after 300 s:\n{worker.log.read_text()[-2000:]}")


def progress(style: Style, sent: int, done: int, total: int, rate: float, counts: Counter[str]) -> str:
    width = 24
    full, begun = width * min(done, total) // total, width * sent // total
    bar = style.paint("█" * full, 32) + style.dim("▒" * max(begun - full, 0)) + style.dim("·" * (width - max(full, begun)))
    waiting = max(sent - done, 0)
    return (
        f"  {bar} written {sent:,}  done {min(done, total):,}  waiting {waiting:,}  {rate:,.0f}/s  "
        f"{counts['weir_entities_total']:,} entities  {counts['weir_transactions_total']:,} transactions"
    )


Found = dict[str, list[dict]]


def read(address: str) -> Found:
    """The records of each topic, by Kafka's console consumer."""
    names = [name for name in TOPICS if name != "documents"]
    options = ["--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "5000"]
    consumers = [tool("consumer.ConsoleConsumer", address, "--topic", name, *options, stdout=subprocess.PIPE) for name in names]
    # The tool logs on the same stream that it has waited long enough.
    lines = [consumer.communicate()[0].splitlines() for consumer in consumers]
    return {name: [json.loads(line) for line in of_topic if line.startswith(b"{")] for name, of_topic in zip(names, lines, strict=True)}


def show(records: list[tuple[str, str]], found: Found, style: Style) -> None:
    inputs = {}
    for key, value in records:
        inputs[key.partition("/")[2]] = value
    redacted = {record.get("id"): record for record in found["documents.redacted"]}
    for record in found["documents.entities"]:
        name = record["document_id"]
        if name not in SHOWN or name not in redacted:
            continue
        document, after = json.loads(inputs[name]), redacted[name]
        for field in dict.fromkeys(entity["field"] for entity in record["entities"]):
            spans = [entity for entity in record["entities"] if entity["field"] == field]
            texts = value_at(document, field), value_at(after, field)
            places = replaced(texts[0], spans, texts[1], after, field)
            if places and None not in places:
                show_field(style, f"{record['tenant']}/{name}", field, *texts, spans, places)


def describe(address: str) -> None:
    """Offsets and lag of each partition. Markers of transactions are in the outputs, not here."""
    group = tool("consumer.group.ConsumerGroupCommand", address, "--describe", "--group", "weir", stdout=subprocess.PIPE)
    rows = [line.split()[1:6] for line in group.communicate()[0].decode().splitlines() if len(line.split()) > 5]
    for row in rows:
        print("  " + " ".join(f"{column:>15}" for column in row))


def summary(found: Found, took: float, worker: Worker, style: Style) -> None:
    tenants: dict[str, list[dict]] = {}
    for record in found["documents.entities"]:
        tenants.setdefault(record["tenant"], []).append(record)
    print(style.dim(f"  {'tenant':8} {'documents':>9} {'entities':>9}   labels"))
    for tenant, records in sorted(tenants.items()):
        entities = [entity for record in records for entity in record["entities"]]
        labels = ", ".join(f"{label} {count}" for label, count in Counter(e["label"] for e in entities).most_common(5))
        print(f"  {tenant:8} {len(records):9,} {len(entities):9,}   {labels}")
    codes = Counter(letter["code"] for letter in found["dlq.documents"])
    print("  dead letters: " + ", ".join(f"{count} {code}" for code, count in sorted(codes.items())))
    total = sum(map(len, tenants.values())) + len(found["dlq.documents"])
    counts = worker.before + worker.now
    print(f"  {total:,} records in {took:.1f} s, {total / took:,.0f} a second (written at {PER_SECOND} a second);")
    print(f"  {counts['weir_transactions_total']:,} transactions; from written to committed, in the last life of the worker:")
    print(f"  half within {within(worker.now, 0.5)} s, 99% within {within(worker.now, 0.99)} s")


def within(counts: Counter[str], share: float) -> str:
    """The least bound of the histogram that this share of the records is within."""
    bounds = sorted(float(name.split()[1]) for name in counts if name.startswith("within "))
    most = max((counts[f"within {bound:g}"] for bound in bounds), default=0)
    return next((f"{bound:g}" for bound in bounds if counts[f"within {bound:g}"] >= share * most), "60")


def check(records: list[tuple[str, str]], found: Found) -> list[str]:
    """Every record once, in both topics or among the dead letters."""
    problems = []
    poison = [key for key, value in records if key.startswith("nobody/") or not value.startswith("{")]
    expected = Counter(key.partition("/")[2] for key, _ in records) - Counter(key.partition("/")[2] for key in poison)
    for name, field in [("documents.entities", "document_id"), ("documents.redacted", "id")]:
        ids = Counter(record[field] for record in found[name])
        lost, doubled = sum((expected - ids).values()), sum((ids - expected).values())
        if lost or doubled:
            problems.append(f"{name}: {lost} lost, {doubled} too many")
    letters = {(letter["source"]["partition"], letter["source"]["offset"]) for letter in found["dlq.documents"]}
    if not len(letters) == len(found["dlq.documents"]) == len(poison):
        problems.append(f"{len(found['dlq.documents'])} dead letters of {len(letters)} records, {len(poison)} expected")
    return problems


if __name__ == "__main__":
    main()
