#!/usr/bin/env python3
"""Lays a program that was built already into a Python wheel, and the pack in the box into another.

    scripts/wheels.py WEIR OUT

`maturin build` makes the first of the two from source; this takes the program that the archive holds as well, so that
a release is compiled once. Metadata is that of pyproject.toml and of the pack's manifest. pip puts `data` below the
environment's prefix, where weir searches for its pack. `make wheels` calls it.
"""

import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".weir/wheel"
PACK = ROOT / "models/weir-mini"

# Libraries that every system of a manylinux tag has (PEP 600). OpenSSL is not among them: PyPI does not take a wheel
# that needs the system's, but pip installs it from a folder or an index of one's own.
OF_MANYLINUX = ("libc", "libm", "libdl", "librt", "libpthread", "libgcc_s", "libstdc++", "libz", "ld-linux")


def main() -> None:
    weir, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", last_commit())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    with tempfile.TemporaryDirectory() as folder:
        command(pathlib.Path(folder, "command"), weir, project, cargo["version"], out)
        pack(pathlib.Path(folder, "pack"), project, out)


def command(stage: pathlib.Path, weir: pathlib.Path, project: dict, version: str, out: pathlib.Path) -> None:
    name = project["name"].replace("-", "_")
    data = stage / f"{name}-{version}.data"
    program = data / "scripts/weir"
    copy(weir, program, 0o755)
    subprocess.run(["strip", "--strip-all", str(program)], check=True)
    for shell, path in {
        "bash": "bash-completion/completions/weir",
        "zsh": "zsh/site-functions/_weir",
        "fish": "fish/vendor_completions.d/weir.fish",
    }.items():
        write(data / "data/share" / path, run(program, "completions", shell))
    run(program, "man", str(data / "data/share/man/man1"))
    info = stage / f"{name}-{version}.dist-info"
    copy(ROOT / "LICENSE", info / "licenses/LICENSE")
    write(info / "licenses/THIRD-PARTY.txt", run(ROOT / "scripts/notices.py"))
    metadata = {
        "Name": project["name"],
        "Version": version,
        "Summary": project["description"],
        "Keywords": ",".join(project["keywords"]),
        "License-Expression": project["license"],
        "License-File": ["LICENSE", "THIRD-PARTY.txt"],
        "Requires-Python": project["requires-python"],
        "Requires-Dist": project["dependencies"],
        "Description-Content-Type": "text/markdown",
    }
    finish(stage, info, metadata, (ROOT / project["readme"]).read_text(), tag(program), out)


def pack(stage: pathlib.Path, project: dict, out: pathlib.Path) -> None:
    manifest = tomllib.loads((PACK / "pack.toml").read_text())
    name = manifest["name"].replace("-", "_")
    version = manifest["version"]
    folder = stage / f"{name}-{version}.data/data/share/weir/models" / manifest["name"]
    for file in PACK.iterdir():
        # What `weir model tune` found belongs to the machine on which it was found.
        if not file.name.startswith("tuned"):
            copy(file, folder / file.name)
    info = stage / f"{name}-{version}.dist-info"
    copy(ROOT / "LICENSE", info / "licenses/LICENSE")
    metadata = {
        "Name": manifest["name"],
        "Version": version,
        "Summary": f"The model pack in the box of {project['name']}",
        "License-Expression": manifest["licence"],
        "License-File": ["LICENSE"],
        "Requires-Python": project["requires-python"],
        "Description-Content-Type": "text/markdown",
    }
    finish(stage, info, metadata, (PACK / "CARD.md").read_text(), "py3-none-any", out)


def finish(
    stage: pathlib.Path, info: pathlib.Path, metadata: dict, description: str, tag: str, out: pathlib.Path
) -> None:
    lines = ["Metadata-Version: 2.4"]
    for key, value in metadata.items():
        lines += [f"{key}: {one}" for one in (value if isinstance(value, list) else [value])]
    write(info / "METADATA", "\n".join(lines) + "\n\n" + description)
    is_pure = str(tag.endswith("-any")).lower()
    write(info / "WHEEL", f"Wheel-Version: 1.0\nGenerator: weir\nRoot-Is-Purelib: {is_pure}\nTag: {tag}\n")
    environment = os.environ | {"PYTHONPATH": str(TOOLS)}
    wheel = [sys.executable, "-m", "wheel", "pack", str(stage), "--dest-dir", str(out)]
    subprocess.run(wheel, check=True, env=environment, stdout=subprocess.DEVNULL)
    made = max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)
    print(f"wheels: {made}, {made.stat().st_size // 1_000_000} MB")


def tag(program: pathlib.Path) -> str:
    """`manylinux` if every library that it needs is one of every Linux; otherwise only for a machine like this one."""
    machine = platform.machine()
    if sys.platform == "darwin":
        return f"py3-none-macosx_14_0_{machine}"
    said = run("objdump", "-p", str(program)).splitlines()
    needed = [line.split()[1] for line in said if line.split()[:1] == ["NEEDED"]]
    if all(library.startswith(OF_MANYLINUX) for library in needed):
        glibc = max(
            tuple(map(int, word.removeprefix("GLIBC_").rstrip(")").split(".")))
            for word in run("objdump", "-T", str(program)).replace("(", " ").split()
            if word.startswith("GLIBC_2")
        )
        return f"py3-none-manylinux_{glibc[0]}_{glibc[1]}_{machine}"
    return f"py3-none-linux_{machine}"


def run(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def last_commit() -> str:
    said = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return said.stdout.strip() or "315532800"  # 1980, the first year of zip files


def copy(source: pathlib.Path, target: pathlib.Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def write(target: pathlib.Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


if __name__ == "__main__":
    main()
