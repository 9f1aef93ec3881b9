"""Verify: whether a device computes correctly, asked before any number is taken on it.

Phone and desktop drivers that compute wrongly in silence are reported in the wild. A device passes when the exactness
probe and a golden check of a tiny model, in both formats, give the digests that were computed on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritmark.devices.base import Bundle, Device, DeviceError, Session, finished
from tritmark.engine import conformance
from tritmark.engine.errors import EngineError
from tritmark.engine.plan import Caps

from .gauge import Gauge, measured
from .tuning import tuned

GOLDEN_MODEL = "synthetic:tiny"
GOLDEN_FORMATS = ("tq1_0", "tq2_0")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of a device: ``exact`` is None where the probe could not run, ``reason`` where all passed,
    ``gauge`` where nothing could be measured.

    ``settled`` is False where a check could not be made: a phone that was locked may pass the next time.
    """

    caps: Caps | None
    exact: bool | None
    reason: str | None
    settled: bool = True
    gauge: Gauge | None = None


def verify(device: Device) -> Verdict:
    """Run the exactness probe, then the golden checks; a device that passes is gauged while it is open."""
    caps, exact, found = None, None, None
    try:
        with device.session() as session:
            caps = session.caps
            wrong = mismatch(
                session, Bundle(plan=conformance.probe_plan(caps), model=GOLDEN_MODEL, format=GOLDEN_FORMATS[0])
            )
            exact = wrong is None
            failed = f"the exactness probe ({wrong})" if wrong else None
            for format in () if failed else GOLDEN_FORMATS:
                wrong = mismatch(
                    session, Bundle(plan=conformance.golden_plan(caps, format), model=GOLDEN_MODEL, format=format)
                )
                failed = failed or (f"the golden check of {format} ({wrong})" if wrong else None)
            found = None if failed else measured(session)
    except (DeviceError, EngineError) as error:
        return Verdict(caps=caps, exact=exact, reason=str(error), settled=False)
    advice = f"{caps.adapter} failed {failed}: it computes wrongly; update its driver or choose another adapter"
    return Verdict(caps=tuned(caps), exact=exact, reason=advice if failed else None, gauge=found)


def mismatch(session: Session, bundle: Bundle) -> str | None:
    """The first probe of the bundle's plan whose digest is not the expected one."""
    session.load(bundle)
    trace = finished(session.play(0, len(bundle.plan.steps)))
    expected = {probe.name: probe.expect for probe in bundle.plan.probes if probe.expect is not None}
    return next((name for name, digest in expected.items() if trace.digests.get(name) != digest), None)
