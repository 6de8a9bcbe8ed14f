"""weir, to check what the chart renders: WEIR names it, or the debug build is taken."""

import os
from pathlib import Path

import pytest
from rendering import ROOT


@pytest.fixture(scope="session")
def weir() -> str:
    chosen = os.environ.get("WEIR", str(ROOT / "target" / "debug" / "weir"))
    if not Path(chosen).exists():
        pytest.fail(f"no program at {chosen}: cargo build, or set WEIR")
    return chosen
