"""Lets PyPI's build of PyTorch for Linux on x86 start where the CUDA libraries are not installed.

usage: python scripts/torch-without-cuda.py SITE_PACKAGES

That build links to some 2 GB of NVIDIA's libraries, which a CPU never calls, and does not load without
them. This puts a stand-in beside PyTorch for each one that is missing: a library of the same name whose
functions only say that there is no device. Needs nm, readelf and a C compiler; does nothing elsewhere.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

NVIDIA = re.compile(r"^(_*cu[A-Za-z]|_*nccl|nvrtc|nvJit)")
NO_DEVICE = 100  # cudaErrorNoDevice; the registration of kernels, __cuda…, must not fail


def main() -> None:
    folder = Path(sys.argv[1]) / "torch" / "lib"
    libraries = sorted(folder.glob("*.so*"))
    if not (folder / "libtorch_cuda.so").exists() or (folder.parents[1] / "nvidia").exists():
        return
    present = {path.name for path in libraries}
    needed = sorted({name for path in libraries for name in _needed(path)} - present)
    symbols = _symbols(libraries)
    for name in (name for name in needed if re.match(r"lib(cu(?!da\.so)|nccl|nvrtc|nvJit)", name)):
        _build(folder / name, symbols[name], symbols[""] if name.startswith("libcudnn") else set())


def _needed(path: Path) -> list[str]:
    told = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", told)


def _symbols(libraries: list[Path]) -> dict[str, set[str]]:
    """Undefined symbols of NVIDIA's by version, which is the name of their library or empty."""
    wanted, own = set(), set()
    for path in libraries:
        for line in subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout.splitlines():
            kind, name = line.split()[-2:]
            (wanted if kind in "Uw" else own).add(name)
    defined = {name.split("@")[0] for name in own}
    found: dict[str, set[str]] = defaultdict(set)
    for name, _, version in (symbol.partition("@") for symbol in wanted):
        if NVIDIA.match(name) and name not in defined:
            found[version.lstrip("@")].add(name)
    return found


def _build(path: Path, versioned: set[str], plain: set[str]) -> None:
    functions = [
        f"unsigned long {name}(void) {{ return {0 if name.startswith('__cuda') else NO_DEVICE}; }}\n"
        for name in sorted(versioned | plain)
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, versions = Path(folder) / "stand_in.c", Path(folder) / "versions"
        source.write_text("extern int nothing;\n" + "".join(functions))
        command = ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", "-o", path, f"-Wl,-soname,{path.name}", source]
        if versioned:
            versions.write_text(f"{path.name} {{ global: {' '.join(f'{name};' for name in sorted(versioned))} }};\n")
            command.append(f"-Wl,--version-script={versions}")
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
