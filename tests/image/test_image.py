"""deploy/Dockerfile, built without a container engine, and what is in the image.

The stage that compiles weir is not built: WEIR names a program (default: the debug build), stripped and laid out by
scripts/install.sh as that stage does it. Everything else is the Dockerfile's own, on a base that mmdebstrap makes.
"""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".weir" / "image"
EPOCH = "1700000000"
# Most bytes of the image without the program: Debian slim 140 MB, ONNX Runtime 29, the pack 48.
BUDGET = 225 * 1_000_000


def ran(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return str(done.stdout)


@dataclass
class Image:
    """An image, unpacked."""

    root: Path
    config: dict[str, object]
    digests: list[str]

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "--uts"]
        runner = str(ROOT / "tests" / "image" / "run_in.sh")
        return subprocess.run(
            [*namespaces, runner, str(self.root), *command], input=stdin, capture_output=True, text=True, check=False
        )

    def files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                yield path, path.lstat()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    program = os.environ.get("WEIR", str(ROOT / "target" / "debug" / "weir"))
    assert Path(program).exists(), f"no program at {program}: cargo build, or set WEIR"
    stage = tmp_path_factory.mktemp("stage")
    stripped = tmp_path_factory.mktemp("program") / "weir"
    ran(["strip", "-o", str(stripped), program])
    ran(["scripts/install.sh", "install", str(stripped), "/usr/local", str(stage / "out")])

    # Its own place: nothing of a user's images is touched.
    place = FOLDER / "storage"
    shutil.rmtree(place, ignore_errors=True)
    options = ["--root", str(place / "root"), "--runroot", str(place / "run"), "--storage-driver", "vfs"]

    def buildah(command: str, *args: str) -> str:
        return ran(["buildah", *options, command, *args]).strip()

    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, str(FOLDER / "base.tar"), "/")
    buildah("commit", "--quiet", "--rm", base, "localhost/debian")
    digests = []
    for name in ("first", "second"):
        buildah(
            "build", "--isolation", "chroot", "--layers=false", "--timestamp", EPOCH,
            "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}",
            "--build-arg", "DEBIAN=localhost/debian", "--build-arg", "RUST=localhost/debian",
            "--build-context", f"build={stage}",
            "--file", "deploy/Dockerfile", "--tag", f"localhost/weir:{name}", ".",
        )  # fmt: skip
        # A line for each of its names, and equal images are one image.
        digests.append(buildah("images", "--format", "{{.Digest}}", f"localhost/weir:{name}").split()[0])
    container = buildah("from", "localhost/weir:second")
    inspected = json.loads(buildah("inspect", container))
    yield Image(Path(buildah("mount", container)), inspected["OCIv1"]["config"], digests)
    buildah("rm", "--all")
    shutil.rmtree(place, ignore_errors=True)


def test_two_builds_have_one_digest(image: Image) -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", image.digests[0])
    assert image.digests[0] == image.digests[1]


def test_the_image_says_how_it_runs(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    assert image.config["Entrypoint"] == ["weir"]
    assert image.config["StopSignal"] == "SIGTERM"
    assert "9464" in json.dumps(image.config["ExposedPorts"])
    labels = image.config["Labels"]
    assert isinstance(labels, dict) and labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_runs_as_nobody_that_may_do_anything(image: Image) -> None:
    report = image.run("sh", "-c", "id -u; id -g; touch /a /etc/a /usr/local/a /opt/weir/a; cat /proc/self/status")
    assert report.stdout.startswith("10001\n10001\n")
    assert report.stderr.count("Read-only file system") == 4, report.stderr
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{name}:\t0000000000000000" in report.stdout
    assert "NoNewPrivs:\t1" in report.stdout


def test_no_program_has_its_owners_rights(image: Image) -> None:
    found = [str(path) for path, status in image.files() if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000]
    assert found == []


def test_no_file_of_weir_can_be_changed_by_weir(image: Image) -> None:
    for path, status in image.files():
        if stat.S_ISLNK(status.st_mode) or "proc" in path.relative_to(image.root).parts[:1]:
            continue
        assert status.st_uid != 10001 and status.st_gid != 10001, path
        assert not (status.st_mode & 0o002 and stat.S_ISREG(status.st_mode)), path


def test_every_library_is_found(image: Image) -> None:
    files = ["/usr/local/bin/weir", "/usr/local/lib/weir/libonnxruntime.so"]
    report = image.run("ldd", *files)
    assert report.returncode == 0, report.stderr
    assert "libssl.so.3" in report.stdout and "libstdc++.so.6" in report.stdout
    assert "not found" not in report.stdout


def test_the_version_is_that_of_cargo(image: Image) -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version
    assert image.run("weir", "--version").stdout == f"weir {version.group(1)}\n"


def test_it_redacts_on_a_read_only_root(image: Image) -> None:
    text = "Mail Ana Ruiz, ana@ruiz.example\n"
    report = image.run("weir", "redact", "--label", "person", "--pattern", "email", stdin=text)
    assert (report.returncode, report.stdout) == (0, "Mail [PERSON], [EMAIL]\n"), report.stderr


def test_a_job_runs_on_a_read_only_root(image: Image) -> None:
    commands = "cd /tmp && weir init --preset json job && weir check --config job/weir.toml && \
        weir run --quiet --config job/weir.toml && find job -name '*.jsonl' -path '*entities*'"
    report = image.run("sh", "-c", commands)
    assert report.returncode == 0, report.stderr
    assert ".jsonl" in report.stdout


def test_authorities_for_tls_are_there(image: Image) -> None:
    bundle = image.root / "etc/ssl/certs/ca-certificates.crt"
    assert bundle.read_text().count("BEGIN CERTIFICATE") > 100


def test_nothing_is_left_of_the_build(image: Image) -> None:
    for folder in ("var/lib/apt/lists", "var/cache/apt", "var/log/apt", "tmp", "root/.cache", "src"):
        path = image.root / folder
        assert not path.exists() or not any(file.is_file() for file in path.rglob("*")), folder
    for name in ("cc", "gcc", "cargo", "python3", "curl", "wget"):
        assert not any((image.root / place / name).exists() for place in ("usr/bin", "usr/local/bin")), name


def test_the_size_is_within_the_budget(image: Image) -> None:
    seen: set[int] = set()
    size = program = 0
    for path, status in image.files():
        if status.st_ino in seen or not stat.S_ISREG(status.st_mode):
            continue
        seen.add(status.st_ino)
        size += status.st_size
        if path == image.root / "usr/local/bin/weir":
            program = status.st_size
    print(f"image: {size / 1e6:.0f} MB, of which the program {program / 1e6:.0f} MB")
    assert program > 0
    assert size - program <= BUDGET, f"{(size - program) / 1e6:.0f} MB without the program"
