"""Bundle: records made into a signed archive, and the checks of one that need no device.

The manifest holds the size and SHA-256 of the records, the versions that made the bundle, and for each record its
revision and the hashes of its plan, shaders, model and output: the list by which a replay is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..json_text import parsed
from ..record import SCHEMA, Record, RecordError
from ..store import line_of
from . import archive, arithmetic, signing
from .faults import Fault

FORMAT = 1
HASHES = ("plan_hash", "shader_hash", "model_sha256", "digest")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A bundle as it was read: what it holds and what does not hold. ``signer``: the fingerprint, None without a valid
    signature; ``known``: it is the one that was asked for, None where none was.
    """

    records: tuple[Record, ...]
    faults: tuple[Fault, ...]
    signer: str | None
    known: bool | None
    made_by: Mapping[str, Any]


def write(records: Sequence[Record], path: Path, key: signing.Key, tool: Mapping[str, str]) -> int:
    """Write the bundle of ``records``; its size in bytes. ``tool``: versions of what makes it."""
    lines = b"".join(map(line_of, records))
    manifest = _json(
        {
            "format": FORMAT, "schema": SCHEMA, "tool": dict(tool), "records": [_listed(record) for record in records],
            "members": {archive.RECORDS: {"bytes": len(lines), "sha256": hashlib.sha256(lines).hexdigest()}},
        }
    )  # fmt: skip
    members = {archive.RECORDS: lines, archive.MANIFEST: manifest}
    content = archive.packed({**members, archive.SIGNATURE: _json(signing.signed(key, manifest))})
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    return len(content)


def check(path: Path, fingerprint: str | None = None) -> Checked:
    """Everything that can be said of a bundle without a device. RecordError where it is no bundle at all."""
    members = archive.unpacked(path)
    manifest, signature = (_object(members[name], name) for name in (archive.MANIFEST, archive.SIGNATURE))
    faults = list(_member_faults(manifest, members))
    signer = None
    try:
        signer = signing.signer_of(signature, members[archive.MANIFEST])
    except RecordError as error:
        if str(error) == signing.MISSING:
            raise
        faults.append(Fault(check="signature", field=archive.SIGNATURE, says=str(error)))
    if signer and fingerprint and signer != fingerprint:
        faults.append(Fault(check="signature", field="fingerprint", says=f"another key signed it: {signer}"))
    records = tuple(_records(members[archive.RECORDS], faults))
    faults += _list_faults(manifest, records)
    faults += arithmetic.faults(records)
    known = None if fingerprint is None else signer == fingerprint
    made_by = manifest.get("tool")
    return Checked(records=records, faults=tuple(faults), signer=signer, known=known,
                   made_by=made_by if isinstance(made_by, dict) else {})  # fmt: skip


def _listed(record: Record) -> dict[str, Any]:
    revision = (record.versions or {}).get("revision")
    return {"id": record.id, "revision": revision, **{name: getattr(record, name) for name in HASHES}}


def _member_faults(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> Iterator[Fault]:
    if manifest.get("format") != FORMAT:
        told = f"bundle format {str(manifest.get('format'))[:20]}; this tritmark reads {FORMAT}"
        yield Fault(check="manifest", field="format", says=told)
    content = members[archive.RECORDS]
    found = {archive.RECORDS: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
    if manifest.get("members") != found:
        says = "its size or SHA-256 is not what the manifest says; it was changed after the bundle was made"
        yield Fault(check="members", field=archive.RECORDS, says=says)


def _list_faults(manifest: Mapping[str, Any], records: Sequence[Record]) -> Iterator[Fault]:
    """Where the manifest's list of records is another one than theirs."""
    told = manifest.get("records")
    rows = {row.get("id"): row for row in told if isinstance(row, dict)} if isinstance(told, list) else {}
    for record in records:
        row, own = rows.pop(record.id, {}), _listed(record)
        for name in own:
            if row.get(name) != own[name]:
                says = "the manifest says something else of it" if row else "the manifest does not list it"
                yield Fault(check="manifest", field=name, record_id=record.id, says=says)
                break
    for missing in rows:
        says = "the manifest lists it and the records do not hold it"
        yield Fault(check="manifest", field="id", record_id=str(missing)[:64], says=says)


def _records(content: bytes, faults: list[Fault]) -> Iterator[Record]:
    """Every record that can be read, each id once; what is wrong with the others joins ``faults``."""
    seen: set[str] = set()
    for number, line in enumerate(content.splitlines(), 1):
        field = f"line {number}"
        try:
            record = Record.from_json(parsed(line))
        except RecordError as error:
            faults.append(Fault(check="schema", field=field, says=str(error)))
            continue
        if record.id in seen:
            faults.append(Fault(check="schema", field=field, record_id=record.id, says="the id stands there twice"))
            continue
        seen.add(record.id)
        yield record
    if not seen:
        faults.append(Fault(check="schema", field=archive.RECORDS, says="it holds no record"))


def _object(content: bytes, name: str) -> dict[str, Any]:
    value = parsed(content)
    if not isinstance(value, dict):
        raise RecordError(f"{name} of the bundle is no JSON object; was it made with `tritmark bundle`?")
    return value


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"
