"""Kinds of devices: ours, those of other packages, and what is said of unknown ones."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tritmark.devices import registry
from tritmark.devices.base import Bundle, DeviceError
from tritmark.devices.host import Host
from tritmark.devices.registry import Sighting
from tritmark.engine.plan import Plan, Probe, Slot, Step

PLAYER = Path(__file__).with_name("stand_in_player.py")


class Board:
    """A provider as another package would bring it: its player is the stand-in of these tests."""

    @staticmethod
    def open_device(argument: str | None, timeout_s: float) -> Host:
        return Host(argument, command=(sys.executable, str(PLAYER)), timeout_s=timeout_s)

    @staticmethod
    def sightings() -> list[Sighting]:
        return [Sighting(device="board:7", state="asleep", detail="a board", remedy="press its button")]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board, as `importlib.metadata` would show an installed package's entry point."""
    module = type(sys)("board_package")
    module.board = Board
    monkeypatch.setitem(sys.modules, "board_package", module)
    entry = EntryPoint(name="board", value="board_package:board", group=registry.GROUP)

    def found(group: str, name: str | None = None) -> list[EntryPoint]:
        return [entry] if group == registry.GROUP and name in (None, "board") else []

    monkeypatch.setattr(registry, "entry_points", found)


def test_a_plan_plays_on_a_device_of_another_package(plugged: None) -> None:
    plan = Plan(
        modules={},
        slots=(Slot(id="w", bytes=64, role="weight"),),
        programs={"p": ()},
        columns=(),
        steps=(Step(program="p", values=()),),
        probes=(Probe(name="logits", slot="w", offset=0, bytes=4),),
        files={},
    )
    with registry.open_device("board:left", timeout_s=20).session() as session:
        session.load(Bundle(plan=plan, model="m", format="tq2_0"))
        assert session.play(0, 1).status == "ok"


def test_devices_of_other_packages_are_listed_and_sighted(plugged: None) -> None:
    assert registry.kinds()[-1] == "board"
    assert registry.provider("board").sightings()[0].remedy == "press its button"


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        DeviceError, match="unknown device 'toaster'; known: host, chromium, dawn, browser, android, ios"
    ):
        registry.open_device("toaster")


@pytest.mark.parametrize("kind", list(registry.OURS))
def test_looking_for_devices_never_raises(kind: str) -> None:
    for seen in registry.provider(kind).sightings():
        assert seen.device.partition(":")[0] == kind
        assert seen.state == "ready" or seen.remedy, "what is not ready says what to do"
