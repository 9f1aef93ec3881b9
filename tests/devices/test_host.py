"""The host device against a stand-in player: what goes wrong in a child becomes one line."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tritmark.devices.base import Bundle, DeviceError
from tritmark.devices.host import Host
from tritmark.devices.registry import open_device
from tritmark.engine.plan import Plan, Probe, Slot, Step

PLAYER = Path(__file__).with_name("stand_in_player.py")
PLAN = Plan(
    modules={},
    slots=(Slot(id="w", bytes=64, role="weight"),),
    programs={"p": ()},
    columns=(),
    steps=(Step(program="p", values=()),) * 3,
    probes=(Probe(name="logits", slot="w", offset=0, bytes=4),),
    files={},
)
BUNDLE = Bundle(plan=PLAN, model="m", format="tq2_0")


def host(*options: str, timeout_s: float = 20.0) -> Host:
    return Host(command=(sys.executable, str(PLAYER), *options), timeout_s=timeout_s)


@pytest.fixture(autouse=True)
def no_child_is_left():
    yield
    assert not psutil.Process().children(recursive=True)


def test_a_session_loads_plays_and_reads():
    with host().session() as session:
        loaded = session.load(BUNDLE)
        trace = session.play(0, 3, "step")
        assert session.caps.adapter == "stand-in"
        assert (loaded.load_ns, loaded.ledger, loaded.ledger_peak_bytes) == (1000, {"weight": 64}, 64)
        assert [step.end_ns for step in trace.steps] == [200_000, 400_000, 600_000]
        assert session.read("w", 0, 8) == bytes(8)


def test_memory_of_the_child_is_sampled_from_its_start():
    with host("--play-ms", "100").session() as session:
        session.load(BUNDLE)
        session.play(0, 3)
        samples = session.memory()
    assert len(samples) >= 3 and max(size for _, size in samples) > 1_000_000
    assert [t for t, _ in samples] == sorted(t for t, _ in samples)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("exit", r"died during play: exit code 134 \(wgpu error: device lost\)"),
        ("signal", r"signal 9 \(SIGKILL\)"),
        ("babble", "no JSON object: hello"),
        ("refuse", "^no such thing$"),
    ],
)
def test_a_child_that_goes_wrong_becomes_one_line(how, says):
    with host("--fail", f"play:{how}").session() as session:
        session.load(BUNDLE)
        with pytest.raises(DeviceError, match=says) as caught:
            session.play(0, 1)
    assert "\n" not in str(caught.value)


def test_a_silent_child_is_ended_after_the_timeout():
    with host("--fail", "play:hang", timeout_s=1.0).session() as session:
        session.load(BUNDLE)
        with pytest.raises(DeviceError, match="more than 1 s to play"):
            session.play(0, 1)


def test_asking_a_dead_child_again_is_an_error_and_not_a_wait():
    with host("--fail", "play:signal").session() as session:
        session.load(BUNDLE)
        for _ in range(2):
            with pytest.raises(DeviceError, match="died during play"):
                session.play(0, 1)


def test_a_player_that_cannot_open_leaves_no_process():
    with pytest.raises(DeviceError, match="no such thing"):
        host("--fail", "open:refuse").session()


def test_a_missing_player_is_named():
    with pytest.raises(DeviceError, match="cannot start the player /nowhere/player"):
        Host(command=("/nowhere/player",)).session()


def test_an_unknown_device_is_refused_with_what_is_known():
    with pytest.raises(DeviceError, match="unknown device 'toaster'; known: host"):
        open_device("toaster")


def test_conditions_tell_memory_and_load():
    conditions = host().conditions()
    assert conditions["available_memory_bytes"] > 0 and conditions["load_1min"] >= 0
