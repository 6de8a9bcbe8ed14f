#!/usr/bin/env python3
"""Licences of everything that is compiled into weir, as one text on standard output.

    scripts/notices.py [--target x86_64-unknown-linux-gnu]

`cargo metadata` says which crates the program is made of; their packages, which cargo has downloaded, hold the texts.
cargo-about does the same and takes minutes to compile.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What a licence text or a notice is called. Vendored C code (librdkafka, zstd, AWS-LC) has its own, one folder down.
NAME = re.compile(r"^(licen[sc]es?|copying|copyright|notice|unlicense)([-._].*)?$", re.IGNORECASE)
NOT_TEXT = {".rs", ".toml", ".json", ".py", ".sh", ".spdx", ".html", ".go", ".c", ".h"}

# A text of this length is a licence even of a crate without one: shorter files only point to another.
WHOLE = 400


def metadata(target: str) -> dict:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def compiled_in(found: dict) -> list[dict]:
    """Packages that are linked into the program: neither those of tests nor those of build scripts and macros."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    packages = {package["id"]: package for package in found["packages"]}
    root = found["resolve"]["root"]
    seen, left = {root}, [root]
    while left:
        for dependency in nodes[left.pop()]["deps"]:
            package = packages[dependency["pkg"]]
            is_macro = any("proc-macro" in target["kind"] for target in package["targets"])
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_normal and not is_macro and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                left.append(dependency["pkg"])
    seen.remove(root)
    return sorted((packages[id] for id in seen), key=lambda package: (package["name"], package["version"]))


def texts(package: dict) -> list[tuple[str, str]]:
    """Names and texts of the files of a package that speak of licences."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = set(folder.glob("*")) | set(folder.glob("*/*"))
    if package["license_file"]:
        files.add(folder / package["license_file"])
    found = []
    for path in sorted(files):
        inside = path.relative_to(folder)
        is_named = NAME.match(path.name) or (len(inside.parts) == 2 and NAME.match(inside.parts[0]))
        if path.is_file() and is_named and path.suffix.lower() not in NOT_TEXT:
            found.append((str(inside), path.read_text(encoding="utf-8", errors="replace").strip()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default=host())
    arguments = parser.parse_args()
    packages = compiled_in(metadata(arguments.target))
    if len(packages) < 100:
        sys.exit(f"notices: only {len(packages)} crates: not what weir is made of")
    # A text stands once, with all whose text it is.
    of_text = collections.OrderedDict()
    without = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        found = texts(package)
        if not any(len(text) >= WHOLE for _, text in found):
            without.append(name)
        for file, text in found:
            key = hashlib.sha256(" ".join(text.split()).encode()).digest()
            of_text.setdefault(key, (text, []))[1].append(f"{name} ({file})")
    unknown = [f"{p['name']} {p['version']}" for p in packages if not (p["license"] or p["license_file"])]
    if unknown:
        sys.exit(f"notices: without a licence: {', '.join(unknown)}")

    line = "=" * 100
    print("Third-party software in weir\n\nweir is made with the crates below and with Rust's standard library")
    print("(MIT OR Apache-2.0). ONNX Runtime, which weir loads, has its own notices.\n")
    for package in packages:
        source = package["repository"] or package["homepage"] or ""
        print(f"{package['name']} {package['version']}: {package['license'] or package['license_file']}  {source}".rstrip())
    if without:
        print("\nThese packages hold no text of their licence; it is the text of that name below. Their authors:\n")
        for package in packages:
            if f"{package['name']} {package['version']}" in without:
                authors = ", ".join(package["authors"]) or "the authors of " + package["name"]
                print(f"{package['name']} {package['version']}: {package['license']}, copyright {authors}")
    for text, names in of_text.values():
        print(f"\n{line}\n" + "\n".join(names) + f"\n{line}\n\n{text}")


def host() -> str:
    said = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(line.removeprefix("host: ") for line in said.splitlines() if line.startswith("host: "))


if __name__ == "__main__":
    main()
