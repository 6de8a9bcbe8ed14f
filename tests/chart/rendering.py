"""helm, and what it renders.

HELM names another program than that of tests/setup-chart.sh: `make chart` runs everything with Helm 3 too.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from unpack import VERSIONS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "weir"
TOOLS = ROOT / ".weir" / "chart"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
sys.path.insert(0, str(TOOLS / "python"))

Objects = list[dict[str, Any]]


class Refused(Exception):
    """What helm says about values that it does not take."""


def helm(command: str, *args: str) -> str:
    program = os.environ.get("HELM", str(TOOLS / "bin" / "helm"))
    # A helm that was built without the flags of its releases takes its cluster for Kubernetes 1.20.
    ran = subprocess.run(
        [program, command, "--kube-version", VERSIONS[-1], *args], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if ran.returncode:
        raise Refused(ran.stdout + ran.stderr)
    return ran.stdout


def objects(text: str) -> Objects:
    return [document for document in yaml.safe_load_all(text) if document]


def render(*values: Path | dict[str, Any], name: str = "weir", args: tuple[str, ...] = ()) -> Objects:
    """The objects that values make: files and maps, in rising order of precedence."""
    with tempfile.TemporaryDirectory() as folder:
        flags = []
        for number, value in enumerate(values):
            if isinstance(value, dict):
                file = Path(folder, f"{number}.yaml")
                file.write_text(yaml.safe_dump(value, allow_unicode=True))
            else:
                file = value
            flags += ["--values", str(file)]
        return objects(helm("template", name, str(CHART), "--namespace", "data", *flags, *args))


def one(found: Objects, kind: str, name: str | None = None) -> dict[str, Any]:
    of_kind = [item for item in found if item["kind"] == kind and (name is None or item["metadata"]["name"] == name)]
    assert len(of_kind) == 1, f"{len(of_kind)} objects of kind {kind}, name {name}"
    return of_kind[0]


def pods(found: Objects) -> list[tuple[str, dict[str, Any]]]:
    """The specification of every pod, by the object that makes it."""
    specifications = []
    for item in found:
        spec = item.get("spec", {})
        if item["kind"] == "Pod":
            specifications.append((item["kind"], spec))
        elif item["kind"] in ("StatefulSet", "Job"):
            specifications.append((item["kind"], spec["template"]["spec"]))
        elif item["kind"] == "CronJob":
            specifications.append((item["kind"], spec["jobTemplate"]["spec"]["template"]["spec"]))
    return specifications
