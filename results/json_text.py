"""JSON text of records: compact and plain ASCII when written, strict when read."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from .record import RecordError


def written(value: Any) -> str:
    """``value`` on one line, keys in their order; RecordError where it holds NaN or infinity."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=dict)
    except ValueError as error:
        raise RecordError("a record holds NaN or infinity, which JSON cannot say; write null for nothing") from error


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text; RecordError says in one line why it is none."""
    try:
        return json.loads(text.decode() if isinstance(text, bytes) else text, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise RecordError("not UTF-8 text; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RecordError("not JSON; was the file edited by hand?") from error


def _refuse(constant: str) -> NoReturn:
    raise RecordError(f"holds {constant}, which is no number; write null for nothing")
