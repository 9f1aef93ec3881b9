"""The process that runs a chat template: a JSON request on standard input, a JSON answer on standard output.

Request ``{"template": text, "variables": [{...}, ...]}``; answer ``{"texts": [...]}`` or ``{"error": "one line"}``.
Time is the parent's to limit; here are the limits on memory and on the length of a text.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

OUTPUT_MAX = 1 << 20  # characters; the longest context of a BitNet model is 4096 tokens
MEMORY_MAX_BYTES = 1 << 30  # Python with jinja2 maps about a tenth of it
ERROR_MAX = 200


def render(template: str, variables: dict[str, Any]) -> str:
    """What the template yields under the settings that Hugging Face's chat templates are written for."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    text = ""
    for part in environment.from_string(template).generate(variables):
        text += part
        if len(text) > OUTPUT_MAX:
            raise ValueError(f"it yields more than {OUTPUT_MAX:,} characters")
    return text


def _raise_exception(message: str) -> None:
    """What templates call to refuse messages, such as two user turns in a row."""
    raise ValueError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)  # Jinja's own escapes <, > and & for HTML


def _limit_memory() -> None:
    """Where the system can (not on Windows, not on every macOS); elsewhere the time limit has to do."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"texts": [render(request["template"], variables) for variables in request["variables"]]}
    except Exception as error:  # a template can raise anything
        line = " ".join(f"{type(error).__name__}: {error}".split())
        return {"error": line[:ERROR_MAX]}


def main() -> None:
    _limit_memory()
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
