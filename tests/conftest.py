"""What tests share: the GPU, opened once, and the folder of golden files where there is one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def gpu() -> Any:
    """The GPU that the wgpu player would use. Without one: skip, or fail where REQUIRE_GPU=1 says it must be there."""
    from tritmark.engine.errors import PlayerError
    from tritmark.engine.players.wgpu_player import open_gpu

    try:
        return open_gpu()
    except PlayerError as error:
        if os.environ.get("REQUIRE_GPU") == "1":
            pytest.fail(f"REQUIRE_GPU=1, but {error}")
        pytest.skip(f"needs a GPU: {error}")


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of small models with known logits, which lies beside a checkout and not in it."""
    folder = ROOT.parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("no golden files beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def no_warm_up_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Players of tests have no clock that rises; a test that is about the least time of a warm-up sets its own."""
    from tritmark.bench import measure

    monkeypatch.setattr(measure, "WARM_UP_S", 0.0)
