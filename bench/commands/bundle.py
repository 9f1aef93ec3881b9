"""`tritmark bundle` and `tritmark verify`: records in one signed archive, and whether somebody else's can be true."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import TIMEOUT_S, AsJson, Device, Timeout, emit, sized

if TYPE_CHECKING:
    from tritmark.bench.replay import Replay
    from tritmark.results.bundles.bundle import Checked
    from tritmark.results.bundles.faults import Note
    from tritmark.results.record import Record

Sources = Annotated[list[Path], typer.Argument(help="Results folders, or files of records.")]
Out = Annotated[Path, typer.Option(help="The archive to write: NAME.tritmark.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key", help="An Ed25519 key in PEM; without it, yours is used, or made on first use.")
]
KNOWN = "the key that you asked for"
UNKNOWN = "no --key FINGERPRINT was given: nothing changed since it was signed; who signed it is not proven"
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
SHOWN = 12  # values of a line that lists what leaves this machine


def bundle(
    sources: Sources,
    out: Out,
    key: KeyFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write records into one signed archive to share.

    Versions and digests go along; it is said what of this machine is in it."""
    from tritmark.bench.case import CaseError
    from tritmark.bench.provenance import versions
    from tritmark.results.bundles import bundle as bundles
    from tritmark.results.bundles import signing
    from tritmark.results.exchange.joining import joined

    if out.exists() and not force:
        raise CaseError(f"there is a {out} already; choose another --out, or replace it with --force")
    whole = joined(sources)
    own = signing.key_of(key)
    size = bundles.write(whole.records, out, own, versions())
    leaves = _leaving(whole.records)
    if as_json:
        fingerprint = signing.fingerprint(own.public)
        emit({"file": str(out), "bytes": size, "records": len(whole.records), "fingerprint": fingerprint,
              "key": str(own.path), "key_made": own.made, "leaves": leaves, "notes": list(whole.notes)})  # fmt: skip
        return
    for note in whole.notes:
        print(f"tritmark: {note}", file=sys.stderr)
    print(f"{out}: {len(whole.records)} records, {sized(size)}\n")
    print("In it, beside times and digests, and so no longer only here:")
    print("\n".join(_folded(name, values) for name, values in leaves.items()))
    print(f"\nSigned with {own.path}{', made just now: keep it' if own.made else ''}.")
    print(f"Tell people its fingerprint by another way than the file:\n  {signing.fingerprint(own.public)}")


def verify(
    file: Annotated[Path, typer.Argument(help="The archive: NAME.tritmark.")],
    key: Annotated[
        str | None, typer.Option("--key", help="The fingerprint that the signer told you, 64 hex digits.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Compile the smallest records' plans again and play them here.")
    ] = False,
    most: Annotated[int, typer.Option(help="How many records to replay, the smallest first.", min=1)] = 4,
    device: Device = "host",
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Whether a shared archive is what was measured.

    Its members, signature, schema, arithmetic and, with --replay, its plans and outputs.

    Exit status 0: all that was checked holds; 1: something does not, or nothing could be replayed."""
    from tritmark.results.bundles import bundle as bundles

    checked = bundles.check(file, _fingerprint(key))
    again = _replayed(checked.records, device, most, timeout_s) if replay else None
    faults = [*checked.faults, *(again.faults if again else ())]
    held = not faults and (again is None or bool(again.remade or again.played))
    if as_json:
        for each in (*faults, *(again.notes if again else ())):
            emit(each.to_json())
        emit(_result(file, checked, again, held))
    else:
        print(_text(file, checked, again, held))
    if not held:
        raise typer.Exit(1)


def _fingerprint(key: str | None) -> str | None:
    from tritmark.bench.case import CaseError

    found = None if key is None else key.replace(":", "").lower()
    if found is not None and not FINGERPRINT.fullmatch(found):
        raise CaseError(f"--key {key[:20] if key else ''}: a fingerprint was expected, 64 hex digits")
    return found


def _replayed(records: Sequence[Record], spec: str, most: int, timeout_s: float) -> Replay:
    from tritmark.bench import replay
    from tritmark.devices.registry import open_device

    def tell(record: Record, stage: str) -> None:
        if sys.stderr.isatty():
            print(f"{stage}: {record.model} {record.format} {record.workload}", file=sys.stderr)

    return replay.replay(records, open_device(spec, timeout_s=timeout_s), most=most, tell=tell)


def _result(file: Path, checked: Checked, again: Replay | None, held: bool) -> dict[str, Any]:
    faults = len(checked.faults) + (len(again.faults) if again else 0)
    found = {"file": str(file), "held": held, "records": len(checked.records), "faults": faults,
             "fingerprint": checked.signer, "known_key": checked.known, "made_by": dict(checked.made_by)}  # fmt: skip
    return found | ({"recompiled": again.remade, "played": again.played} if again else {})


def _text(file: Path, checked: Checked, again: Replay | None, held: bool) -> str:
    faults = [*checked.faults, *(again.faults if again else ())]
    failed = {fault.check for fault in faults}
    signed = f"signed by {checked.signer}" if checked.signer else "no valid signature"
    revision = str(checked.made_by.get("revision", "unknown"))[:10]
    rows = {
        "members": "records.jsonl, manifest.json, signature.json and nothing else",
        "signature": "" if checked.signer is None else KNOWN if checked.known else UNKNOWN,
        "schema": f"{len(checked.records)} records", "manifest": f"made by revision {revision}",
        "arithmetic": "what the numbers of a record say of each other",
    }  # fmt: skip
    if again is not None:
        rows["replay"] = f"{len(again.remade)} plans compiled again, {len(again.played)} outputs came again"
    lines = [str(file), f"  {signed}", ""]
    lines += [_folded(f"{'no' if name in failed else 'ok':4}{name}", [says]) for name, says in rows.items()]
    if faults:
        lines += ["", f"{len(faults)} faults", *(f"  {fault}" for fault in faults)]
    if again is not None and again.notes:
        lines += ["", "replay says", *(f"  {note}" for note in _in_order(again.notes))]
    return "\n".join([*lines, "", "All that was checked holds." if held else "Not all of it holds."])


def _in_order(notes: Iterable[Note]) -> list[Note]:
    """What somebody should look at first."""
    return sorted(notes, key=lambda note: note.settled)


def _leaving(records: Sequence[Record]) -> Mapping[str, list[str]]:
    """What a bundle tells of the machines and people behind it."""

    def values(of: Iterable[Any]) -> list[str]:
        return sorted({str(value) for value in of if value})

    return {
        "models": values(record.model for record in records),
        "devices": values(record.device for record in records),
        "adapters": values(record.adapter for record in records),
        "drivers": values(record.driver for record in records),
        "engines": values(record.case.get("runner") for record in records),
        "systems": values(record.os for record in records),
        "times": values(f(record.started_at for record in records) for f in (min, max)),
        "conditions": values(name for r in records for side in ("before", "after") for name in _told(r, side)),
        "telemetry": values(name for r in records for name in (r.telemetry or {}).get("methods", ())),
    }


def _told(record: Record, side: str) -> Iterable[str]:
    return (record.conditions or {}).get(side) or ()


def _folded(name: str, values: Sequence[str], width: int = 80) -> str:
    """A name and its values on lines of at most ``width`` columns."""
    import textwrap

    shown = [*values[:SHOWN], *([f"and {len(values) - SHOWN} more"] if len(values) > SHOWN else [])]
    text = "; ".join(shown) or "-"
    return textwrap.fill(text, width, initial_indent=f"  {name:<16}", subsequent_indent=" " * 18)
