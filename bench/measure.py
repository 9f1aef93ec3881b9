"""Arm: one case while it is measured; its player, its warm-up and what was observed so far.

Timed regions, after `results.record.Record`: a prefill play covers the prompt up to the first sampled token; a decode
play covers the steps after it. Speed comes from plays that nothing interrupts, each token's time from a play of its
own.
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tritmark.devices.base import Bundle, Device, DeviceError, Loaded, Session, Telemetry, finished
from tritmark.engine.errors import EngineError
from tritmark.engine.plan import Trace
from tritmark.engine.training import slot_of

from . import profile
from .case import Case
from .prepare import Prepared
from .runners.base import RunnerError

WARM_UPS = 6  # at most, where these take long enough
WARM_UP_S = 0.5  # at least: a GPU that idled runs at a fraction of its clock, steadily
STEADY_SAMPLES = 3
STEADY_SPREAD = 0.05

Tell = Callable[[Case, str], None]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One prefill and, where the workload has one, one decode; or some steps of fine-tuning."""

    wall_ns: int  # of the timed region
    encode_ns: int  # the player's own part of it
    ttft_ns: int | None


def steady(samples_ns: Sequence[int]) -> bool:
    """Whether warm-up may end: the last samples differ by less than 5 % of their median, or patience is at its end."""
    last = samples_ns[-STEADY_SAMPLES:]
    settled = len(last) == STEADY_SAMPLES and max(last) - min(last) < STEADY_SPREAD * statistics.median(last)
    return settled or len(samples_ns) >= WARM_UPS


def combined_digest(digests: Mapping[str, str]) -> str:
    """One digest of all probes: SHA-256 of their lines ``name digest``, sorted."""
    return hashlib.sha256("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def joined(before: Telemetry, after: Telemetry) -> Telemetry:
    """One series from two players: the second's times run on from the first's last."""
    start_ns = before.samples[-1][0] if before.samples else 0
    shifted = tuple((start_ns + t_ns, values) for t_ns, values in after.samples)
    return Telemetry(samples=before.samples + shifted, methods={**before.methods, **after.methods})


def telemetry_json(telemetry: Telemetry) -> dict[str, Any] | None:
    """As records keep it; None where nothing was told."""
    if not telemetry.samples and not telemetry.methods:
        return None
    samples = [[t_ns, dict(values)] for t_ns, values in telemetry.samples]
    return {"samples": samples, "methods": dict(telemetry.methods)}


def reason_of(error: Exception) -> str:
    """One line for a record: a matrix outlives every case, even one that meets a bug, and the bug is named."""
    known = isinstance(error, DeviceError | EngineError | RunnerError | OSError)
    return " ".join(f"{error}".split() if known else f"{type(error).__name__}, a bug in tritmark: {error}".split())


@dataclass(kw_only=True)
class Arm:
    """A case, its device and its observations. `attempt` turns whatever goes wrong into ``failure``."""

    case: Case
    prepared: Prepared
    device: Device
    tell: Tell
    failure: str | None = None
    session: Session | None = None
    loads: dict[str, list[Loaded]] = field(default_factory=lambda: {"cold": [], "warm": []})
    warmup_ns: list[int] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    token_ns: list[tuple[int, ...]] = field(default_factory=list)
    busy_ns: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    telemetry: Telemetry = field(default_factory=Telemetry)
    digests: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[float, ...] = ()  # of fine-tuning, before each step; every repetition's, as their digest says
    player: str | None = None
    token_timing: str | None = None
    kernels: tuple[Mapping[str, Any], ...] = ()

    def attempt(self, action: Callable[..., None], *arguments: Any) -> None:
        """Run ``action`` unless this arm has failed; an error fails it and ends its player."""
        if self.failure is None:
            try:
                action(*arguments)
            except Exception as error:
                self.failure = reason_of(error)
                self.close()

    def ready(self) -> None:
        """Open a warmed-up player. The first time another one before it takes the cold load and is closed."""
        bundle = Bundle(plan=self.prepared.plan, model=self.case.model, format=self.case.format)
        if not self.loads["cold"]:
            self.tell(self.case, "cold load")
            self.device.forget(self.case.model)
            with self.device.session() as session:
                self.loads["cold"].append(session.load(bundle))
        self.tell(self.case, "load")
        self.session = self.device.session()
        self.loads["warm"].append(self.session.load(bundle))
        self.warm_up()

    def warm_up(self) -> None:
        """Samples that do not count, until they are alike and the device has worked for a while."""
        warmup_ns: list[int] = []
        enough = time.monotonic() + WARM_UP_S
        while not steady(warmup_ns) or time.monotonic() < enough:
            self.tell(self.case, f"warm-up {len(warmup_ns) + 1}")
            warmup_ns.append(self.sample().wall_ns)
            self.warmup_ns.append(warmup_ns[-1])

    def repeat(self, turn: int) -> None:
        """One repetition: a sample, and for decode the time of every token."""
        self.tell(self.case, f"repetition {len(self.samples) + 1}")
        sample = self.sample()
        if self.prepared.decodes:
            self.token_ns.append(self._token_times())
        self.samples.append(sample)
        self.turns.append(turn)
        if self.prepared.training and not self.losses and self.session is not None:
            data = self.session.read(slot_of("losses"), 0, 4 * self.prepared.training["steps"])
            self.losses = struct.unpack(f"<{len(data) // 4}f", data)
        if len(self.samples) == self.case.repetitions:
            self._profile()

    def close(self) -> None:
        """End the player and keep what was seen of it, times running on from the player before."""
        if self.session is not None:
            start_ns = self.memory[-1][0] if self.memory else 0
            self.memory += [(start_ns + t_ns, size) for t_ns, size in self.session.memory()]
            self.telemetry = joined(self.telemetry, self.session.telemetry())
            self.session.close()
            self.session = None

    def sample(self) -> Sample:
        """One sample of the loaded plan."""
        first, last = self.prepared.first_decode, len(self.prepared.plan.steps)
        if self.prepared.training:
            self._play(0, self.prepared.opening, "wall", digests=False)
            steps = self._play(self.prepared.opening, last, "wall")
            return Sample(wall_ns=steps.wall_ns, encode_ns=steps.encode_ns, ttft_ns=None)
        prefill = self._play(0, first, "wall", digests=not self.prepared.decodes)
        timed = self._play(first, last, "wall") if self.prepared.decodes else prefill
        return Sample(wall_ns=timed.wall_ns, encode_ns=timed.encode_ns, ttft_ns=prefill.wall_ns)

    def _token_times(self) -> tuple[int, ...]:
        """When each decoded token was complete: by GPU timestamps, or by playing step by step where there are none."""
        assert self.session is not None
        steps = range(self.prepared.first_decode, len(self.prepared.plan.steps))
        if "timestamp-query" in self.session.caps.features:
            self.token_timing = "step"
            trace = self._play(steps.start, steps.stop, "step")
            if all(step.gpu_ns is not None for step in trace.steps):
                self.busy_ns.append(sum(step.gpu_ns or 0 for step in trace.steps))
            return tuple(step.end_ns for step in trace.steps if step.end_ns is not None)
        self.token_timing = "wall"
        walls_ns = (self._play(step, step + 1, "wall", digests=step + 1 == steps.stop).wall_ns for step in steps)
        return tuple(itertools.accumulate(walls_ns))

    def _profile(self) -> None:
        """Time every kernel of a step, after all that counts, where the device has a clock for it."""
        assert self.session is not None
        dispatches, steps = list(profile.dispatches_of(self.prepared)), profile.steps_of(self.prepared)
        too_many = self.player == "web" and len(dispatches) > profile.MOST_LAUNCHES
        if "timestamp-query" in self.session.caps.features and not too_many:
            self.tell(self.case, "profile")
            trace = self._play(steps.start, steps.stop, "dispatch", digests=False)
            self.kernels = profile.kernels(dispatches, trace.dispatches)

    def _play(self, first: int, last: int, timing: str, *, digests: bool = True) -> Trace:
        """Play and, with ``digests``, hold the output against that of every earlier play."""
        assert self.session is not None
        trace = finished(self.session.play(first, last, timing))
        self.player = trace.player
        if digests:
            for name, digest in trace.digests.items():
                if self.digests.get(name, digest) != digest:
                    raise DeviceError(
                        f"the device gave two different outputs for the same plan (digest of {name}); "
                        "its numbers are worth nothing until that is explained"
                    )
            self.digests = trace.digests
        return trace

    def _training(self) -> dict[str, Any] | None:
        """What the steps of fine-tuning were about, and the loss before each of them."""
        if not self.prepared.training:
            return None
        return {**self.prepared.training, "losses": list(self.losses)}

    def observed(self) -> dict[str, Any]:
        """The record's fields that come from this arm."""
        plan, warm = self.prepared.plan, self.loads["warm"]
        samples = self.samples
        return {
            "model_sha256": self.prepared.model_sha256,
            "plan_hash": plan.hash,
            "shader_hash": plan.shader_hash,
            "player": self.player,
            "digest": combined_digest(self.digests) if self.digests else None,
            "prompt_tokens": self.prepared.prompt_tokens,
            "generated_tokens": self.prepared.generated_tokens,
            "timing": "wall" if samples else None,
            "token_timing": self.token_timing,
            "turns": tuple(self.turns),
            "warmup_ns": tuple(self.warmup_ns),
            "samples_ns": tuple(sample.wall_ns for sample in samples),
            "ttft_ns": tuple(sample.ttft_ns for sample in samples if sample.ttft_ns is not None),
            "training": self._training(),
            "busy_ns": tuple(self.busy_ns),
            "encode_ns": tuple(sample.encode_ns for sample in samples),
            "dispatches": self.prepared.dispatches,
            "kernels": self.kernels,
            "shape": self.prepared.shape,
            "token_ns": tuple(self.token_ns),
            "load_ns": {how: tuple(load.load_ns for load in loads) for how, loads in self.loads.items()},
            "compile_ns": {how: tuple(load.compile_ns for load in loads) for how, loads in self.loads.items()},
            "ledger": dict(warm[-1].ledger) if warm else None,
            "ledger_peak_bytes": max(load.ledger_peak_bytes for load in warm) if warm else None,
            "predicted_peak_bytes": plan.peak_gpu_bytes,
            "process_memory": tuple(self.memory),
            "telemetry": telemetry_json(self.telemetry),
        }
