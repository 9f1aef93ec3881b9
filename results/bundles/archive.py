"""Archive: the zip file of a bundle, written the same for the same records and key, read with suspicion.

Three members: records.jsonl, manifest.json, signature.json. Nothing is ever extracted to disk; what is larger, more or
other than expected is refused before it is unpacked.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from ..record import RecordError

RECORDS, MANIFEST, SIGNATURE = "records.jsonl", "manifest.json", "signature.json"
MOST_BYTES: Mapping[str, int] = {RECORDS: 256 << 20, MANIFEST: 32 << 20, SIGNATURE: 16 << 10}
MOST_ARCHIVE_BYTES = sum(MOST_BYTES.values())
MOST_RATIO = 200  # records deflate to about a fifth; zip bombs to a thousandth
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that zip knows
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


def packed(members: Mapping[str, bytes]) -> bytes:
    """The archive: no times, no owners, members in the order given."""
    for name, content in members.items():
        if len(content) > MOST_BYTES[name]:
            raise RecordError(
                f"{name} would be {len(content):,} bytes, above {MOST_BYTES[name]:,}; bundle fewer records"
            )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=EPOCH)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, content)
    return target.getvalue()


def unpacked(path: Path) -> dict[str, bytes]:
    """The three members of an archive; RecordError, naming what is wrong, for anything else."""
    try:
        size = path.stat().st_size
        if size > MOST_ARCHIVE_BYTES:
            raise RecordError(f"{path} is {size:,} bytes; a bundle has at most {MOST_ARCHIVE_BYTES:,}")
        with zipfile.ZipFile(path) as archive:
            _refuse_odd(archive, path)
            return {name: archive.read(name) for name in MOST_BYTES}
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise RecordError(f"{path} is no bundle, or a damaged one: {error}") from error


def _refuse_odd(archive: zipfile.ZipFile, path: Path) -> None:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if extra := [name for name in names if name not in MOST_BYTES]:
        raise RecordError(f"{path} has the member {extra[0][:80]!r}; a bundle has {', '.join(MOST_BYTES)} alone")
    if len(names) != len(set(names)):
        raise RecordError(f"{path} has a member twice; readers could disagree which one counts")
    if missing := [name for name in MOST_BYTES if name not in names]:
        raise RecordError(f"{path} lacks the member {missing[0]}; was it made with `tritmark bundle`?")
    if archive.comment or min(info.header_offset for info in infos):
        raise RecordError(f"{path} has bytes beside its members; a bundle has none")
    for info in infos:
        if info.flag_bits & ENCRYPTED or info.compress_type not in COMPRESSIONS:
            raise RecordError(f"{path}: {info.filename} is encrypted or packed in an unknown way")
        if info.file_size > MOST_BYTES[info.filename] or info.file_size > MOST_RATIO * max(info.compress_size, 64):
            raise RecordError(f"{path}: {info.filename} claims {info.file_size:,} bytes, more than a bundle may unpack")
