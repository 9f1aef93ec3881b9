"""Arithmetic: what the numbers of a record say of each other, so that one of them cannot be changed alone.

Integers that follow from each other must agree exactly. Times must agree within a factor: the same work was timed
undisturbed (samples), token by token (token_ns) and while it warmed up. A changed time within that factor cannot be
told from noise by arithmetic; the signature is for that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from ..record import Record, case_key
from .faults import Fault

FACTOR = 3.0  # between times of the same work; of 56 measured records the largest was 1.9, on a busy software GPU
LAST = 3  # warm-up samples, those that ended it
PREDICTED = 0.05  # between the peak that a plan announced and the ledger's
SLACK_NS, SLACK_SHARE = 1e9, 0.1  # of the clock over a player's memory, which is read now and then
BITS = {"tq1_0": 1.6875, "tq2_0": 2.0625}  # a ternary weight in memory, llama.cpp's ggml-common.h
ROOF = 2.0  # reading alone may be this much faster than the copy kernel of the gauge
CACHED_BYTES = 256 << 20  # what a cache may hold, and no bandwidth bounds
SHA256 = re.compile(r"[0-9a-f]{64}")

Found = Iterator[tuple[str, str]]  # field, what is wrong


def faults(records: Sequence[Record]) -> list[Fault]:
    """What does not hold within each record, and between records of the same work."""
    found = [_fault(record, *each) for record in records for each in _problems_of(record)]
    return found + list(_rivals(records))


def _fault(record: Record, field: str, says: str) -> Fault:
    return Fault(check="arithmetic", field=field, record_id=record.id, says=says)


def _problems_of(record: Record) -> list[tuple[str, str]]:
    """Maps inside a record may hold anything where somebody edited them; that is a problem like others."""
    try:
        return list(_problems(record))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [("record", f"a part of it has another form than was ever written ({type(error).__name__}: {error})")]


def _problems(record: Record) -> Found:
    if record.kind != "published":
        yield from _names(record)
    if record.kind != "measured" or record.status != "ok":
        return
    yield from _times(record)
    if record.runner is None:
        yield from _hashes(record)
        yield from _counts(record)
        yield from _memory(record)
        yield from _agreement(record)
        yield from _training(record)
        yield from _roof(record)


def _names(record: Record) -> Found:
    if record.case_key != case_key(record.case):
        yield "case_key", "it is not the key of the case"
    for name in ("model", "format", "workload", "device"):
        if record.case.get(name, getattr(record, name)) != getattr(record, name):
            yield name, f"{getattr(record, name)!r}, and {record.case[name]!r} in the case"
    for name in ("adapter", "driver"):
        if record.caps and record.caps.get(name) != getattr(record, name):
            yield name, f"{getattr(record, name)!r}, and {record.caps.get(name)!r} among the caps"


def _times(record: Record) -> Found:
    if not record.samples_ns and record.kind == "measured":
        yield "samples_ns", "a case that went well has samples"
    for name in ("samples_ns", "ttft_ns", "warmup_ns"):
        if any(ns <= 0 for ns in getattr(record, name)):
            yield name, "a time that is not above zero"
    for times in record.token_ns:
        if any(after < before for before, after in pairwise((0, *times))):
            yield "token_ns", "a token that was complete before the one it follows"
            return


def _hashes(record: Record) -> Found:
    for name in ("model_sha256", "plan_hash", "shader_hash", "digest"):
        if not SHA256.fullmatch(getattr(record, name) or ""):
            yield name, "no SHA-256"
    if record.exact is not True:
        yield "exact", "a device that did not pass the exactness probe has no case that went well"


def _counts(record: Record) -> Found:
    count = len(record.samples_ns)
    if count != record.case.get("repetitions", count):
        yield "samples_ns", f"{count} samples of {record.case['repetitions']} repetitions"
    for name in ("turns", "busy_ns", "encode_ns", "ttft_ns", "token_ns"):
        if len(getattr(record, name)) not in (0, count):
            yield name, f"{len(getattr(record, name))} entries beside {count} samples"
    if list(record.turns) != sorted(set(record.turns)):
        yield "turns", "repetitions have their turns one after another"
    decoded = (record.generated_tokens or 1) - 1
    if any(len(times) != decoded for times in record.token_ns):
        yield "token_ns", f"not the {decoded} tokens that were decoded after the first"
    steps = record.training["steps"] if record.training else decoded
    launches = sum(int(row["count"]) for row in record.kernels) * steps
    if launches and record.dispatches is not None and launches != record.dispatches:
        yield "dispatches", f"{record.dispatches:,}, and {launches:,} by the profile of a step"


def _memory(record: Record) -> Found:
    peak, predicted = record.ledger_peak_bytes, record.predicted_peak_bytes
    if record.ledger and sum(record.ledger.values()) != peak:
        yield "ledger", f"{sum(record.ledger.values()):,} bytes in all, and a peak of {peak or 0:,}"
    if peak and predicted and abs(predicted / peak - 1) > PREDICTED:
        yield "ledger_peak_bytes", f"{peak:,}, and the plan announced {predicted:,}"
    bits, ternary = BITS.get(record.format.rpartition(">")[2]), (record.shape or {}).get("ternary_weights")
    if record.ledger and bits and ternary and record.ledger.get("weight", 0) < ternary * bits / 8:
        yield "ledger", f"weights in {record.ledger.get('weight', 0):,} bytes, below {ternary:,} of {bits} bits"


def _agreement(record: Record) -> Found:
    """Times of the same work against each other."""
    if not record.samples_ns or min(record.samples_ns) <= 0:
        return
    middle = median(record.samples_ns)
    if record.workload.startswith("prefill") and record.ttft_ns and record.ttft_ns != record.samples_ns:
        yield "samples_ns", "a prefill's sample is its time to the first token, and these differ"
    if record.warmup_ns:
        yield from _alike("samples_ns", middle, "the last warm-up samples", median(record.warmup_ns[-LAST:]), FACTOR)
    if record.token_ns and all(record.token_ns):
        most = FACTOR if record.token_timing == "step" else math.inf  # a play a step waits at every token
        yield from _alike("samples_ns", middle, "the token times", median([t[-1] for t in record.token_ns]), most)
    if any(own > whole for own, whole in zip(record.encode_ns, record.samples_ns, strict=False)):
        yield "encode_ns", "the player's own work in a sample took longer than the sample"
    yield from _within_its_process(record)


def _alike(field: str, ns: float, other: str, other_ns: float, most: float) -> Found:
    if other_ns > most * ns or other_ns * FACTOR < ns:
        yield field, f"a median of {ns / 1e6:,.4g} ms, and {other_ns / 1e6:,.4g} ms by {other}"


def _within_its_process(record: Record) -> Found:
    """All that was timed fits into the time for which the player's memory was watched."""
    if record.player != "wgpu" or not record.process_memory:
        return
    tokens = sum(times[-1] for times in record.token_ns if times)
    first = 0 if record.workload.startswith("prefill") else sum(record.ttft_ns)
    timed, watched = sum(record.samples_ns) + sum(record.warmup_ns) + tokens + first, record.process_memory[-1][0]
    if timed > watched * (1 + SLACK_SHARE) + SLACK_NS:
        yield "samples_ns", f"{timed / 1e9:,.3g} s were timed in a player that lived for {watched / 1e9:,.3g} s"


def _training(record: Record) -> Found:
    told: Mapping[str, Any] = record.training or {}
    if not told:
        return
    losses = told.get("losses", ())
    if len(losses) != told["steps"]:
        yield "training.losses", f"{len(losses)} losses of {told['steps']} steps"
    if not all(isinstance(loss, float | int) and math.isfinite(loss) and loss > 0 for loss in losses):
        yield "training.losses", "a loss is a number above zero"
    for part in ("", "epoch_"):
        row = [told.get(f"{part}{name}", 0) for name in ("supervised_tokens", "tokens", "slots")]
        if row != sorted(row):
            yield f"training.{part}tokens", "supervised tokens are tokens, and tokens stand in slots"


def _roof(record: Record) -> Found:
    """Every decoded token reads every ternary weight: that needs a memory which is fast enough."""
    bits, shape, gauge = BITS.get(record.format.rpartition(">")[2]), record.shape, record.gauge
    if not (bits and shape and gauge and record.workload.startswith("decode") and record.samples_ns):
        return
    size = shape["ternary_weights"] * bits / 8
    rate = size * ((record.generated_tokens or 1) - 1) * 1e9 / max(1, median(record.samples_ns))
    if size > CACHED_BYTES and rate > ROOF * gauge["copy_bytes_per_s"]:
        yield (
            "samples_ns",
            (f"weights read at {rate / 1e9:,.4g} GB/s; the gauge copied {gauge['copy_bytes_per_s'] / 1e9:,.4g} GB/s"),
        )


def _rivals(records: Sequence[Record]) -> Iterator[Fault]:
    """The same work gives the same bits in every format and on every device."""
    groups: dict[Hashable, Record] = {}
    for record in records:
        if record.status != "ok" or record.kind != "measured" or record.runner is not None or record.digest is None:
            continue
        options, revision = record.case.get("options", {}), (record.versions or {}).get("revision")
        same = (record.model_sha256, record.workload, case_key(options), revision)
        other = groups.setdefault(same, record)
        if other.digest != record.digest:
            says = f"another output than {other.id} of the same work; one of the two is wrong"
            yield _fault(record, "digest", says)
        if (other.training or {}).get("losses") != (record.training or {}).get("losses"):
            says = f"other losses than {other.id} of the same work; one of the two is wrong"
            yield _fault(record, "training.losses", says)
