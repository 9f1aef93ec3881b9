"""Plans that tell whether a device computes what the exact kernels rely on.

The probe tries the arithmetic itself; the golden plan runs a tiny model to the end. Both carry the digests they must
give:
the probe's is computed by NumPy on the spot, those of models are committed in digests.json (a test recomputes them).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from .compile import Compiler
from .formats.model import open_model
from .graph import Graph, Value
from .inference import Compiled, Workload, compile_workload, parse_format
from .ops.conformance import Conformance
from .plan import Caps, Plan, Probe
from .steps import StepRow
from .weights import Image

PAIRS = 4096
GOLDEN_MODEL = "synthetic:tiny"
GOLDEN_WORKLOAD = "decode:4@12"
PRESET_TOKENS = (1, 2, 3, 5, 7, 11)
DIGESTS = Path(__file__).parent / "digests.json"


def probe_pairs() -> np.ndarray:
    """Pairs (N, 2) f32 that meet rounding, ties and wide ranges of exponents, without denormals."""
    raw = np.random.Philox(key=1).random_raw(PAIRS * 2)
    mantissa = (raw & np.uint64(0x807FFFFF)).astype(np.uint32)
    exponent = (107 + (raw >> np.uint64(32)) % np.uint64(28)).astype(np.uint32)
    return (mantissa | exponent << np.uint32(23)).view(np.float32).reshape(-1, 2)


def probe_plan(caps: Caps) -> Plan:
    """The exactness probe: one dispatch, one digest."""
    graph = Graph("probe", 1)
    pairs = probe_pairs()
    row = StepRow("probe", 0, 1, 0)
    given = Value("pairs", pairs.shape, role="input", inline=pairs.tobytes())
    results = Value("results", (PAIRS, 8), "u32", "output")
    graph.add(Conformance(), [given], "conformance", [results])
    compiler = Compiler(caps, Image(open_model(GOLDEN_MODEL), "probe"))
    expected = hashlib.sha256(Conformance().reference(row, (pairs,))[0].tobytes()).hexdigest()
    probe = Probe(name="arithmetic", slot="results", offset=0, bytes=results.bytes, expect=expected)
    return compiler.plan({"probe": compiler.program(graph)}, [row], [probe])


def golden_compiled(caps: Caps, format: str) -> Compiled:
    """Prefill and decode of the tiny synthetic model."""
    return compile_workload(open_model(GOLDEN_MODEL), parse_format(format), Workload.parse(GOLDEN_WORKLOAD), caps)


def golden_plan(caps: Caps, format: str) -> Plan:
    """The golden check: the tiny model's tokens and logits must have the committed digests, in either format."""
    plan = golden_compiled(caps, format).plan
    expected = known_digests()[f"{GOLDEN_MODEL} {GOLDEN_WORKLOAD}"]
    return replace(plan, probes=tuple(replace(probe, expect=expected[probe.name]) for probe in plan.probes))


def preset_key(spec: str) -> str:
    """The key of a synthetic preset's logits in digests.json."""
    return f"{spec} logits:{','.join(map(str, PRESET_TOKENS))}"


@cache
def known_digests() -> dict[str, dict[str, str]]:
    """ "model workload" -> probe name -> SHA-256, equal on every exact device."""
    found: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text())
    return found
