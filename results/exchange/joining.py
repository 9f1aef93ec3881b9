"""Records of many folders and files as one list, each id once; and that list into a results folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..record import Record, RecordError
from ..store import FILE_NAME, Store
from . import sources
from .foreign import copied_from


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a source gave to the whole."""

    source: Path
    records: int  # that it holds
    added: int  # of these, ones that no source before it holds, and no source in full where this one has a copy


@dataclass(frozen=True, kw_only=True)
class Joined:
    """All records in the order of their sources, and where they came from."""

    records: tuple[Record, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """Records that are in the whole through another source already."""
        return sum(part.records - part.added for part in self.parts)


def joined(paths: Sequence[Path]) -> Joined:
    """The union of sources. RecordError where two hold different records of one id, or all of them none."""
    contents = [(path, sources.read(path)) for path in paths]
    everywhere = {record.id for _, found in contents for record in found.records}
    known: dict[str, tuple[Record, Path]] = {}
    parts = []
    for path, found in contents:
        before = len(known)
        for record in found.records:
            if copied_from(record) in everywhere:
                continue
            other, where = known.setdefault(record.id, (record, path))
            if other is not record and other != record:
                raise RecordError(
                    f"{where} and {path} hold two different records of the id {record.id}; remove one of them"
                )
        parts.append(Part(source=path, records=len(found.records), added=len(known) - before))
    notes = [note for _, found in contents for note in found.notes]
    if not known:
        raise RecordError(f"no record in {', '.join(map(str, paths))}")
    return Joined(records=tuple(record for record, _ in known.values()), parts=tuple(parts), notes=tuple(notes))


def import_into(folder: Path, paths: Sequence[Path]) -> Joined:
    """Add to ``folder`` the records of ``paths`` that it does not hold. After RecordError it is as it was before; of a
    folder that holds records already, those count as the first part.
    """
    if not (folder / FILE_NAME).exists():
        whole = joined(paths)  # before anything is made
        _create(folder, whole)
        return whole
    with Store(folder) as store:
        whole = joined([folder, *paths])
        store.extend(whole.records[whole.parts[0].added :])
    return whole


def _create(folder: Path, whole: Joined) -> None:
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    with Store(folder) as store:
        try:
            store.extend(whole.records)
        except RecordError:
            with suppress(OSError):  # of a folder that somebody used meanwhile
                (folder / FILE_NAME).unlink()
                for parent in made:
                    parent.rmdir()
            raise
