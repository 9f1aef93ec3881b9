"""Chat messages to the one text that a model was trained on, by the Jinja template in its metadata.

A template is a program by whoever made the file. It runs in Jinja's sandbox, in a process of its own, which is stopped
after ``TIMEOUT_S``; that process limits its memory and its output (template_process.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import FormatError

TIMEOUT_S = 10.0  # a template takes milliseconds; the start of Python 0.1 s, more on a busy machine
TOGETHER = 256  # conversations that one process renders
KEY = "tokenizer.chat_template"
COMMAND = [sys.executable, "-P", "-m", "tritmark.engine.tokenizers.template_process"]


def render_chat(template: str, messages: Sequence[Mapping[str, str]], **variables: Any) -> str:
    """The text for ``messages`` (each with ``role`` and ``content``); ``variables`` are what else a template may name.

    FormatError where the template is not valid, refuses these messages, or takes more than it may.
    """
    return _rendered(template, [{"messages": [dict(message) for message in messages], **variables}])[0]


def render_chats(
    template: str, conversations: Sequence[tuple[Sequence[Mapping[str, str]], bool]], **variables: Any
) -> list[str]:
    """The texts of many (messages, add_generation_prompt), by one process for every ``TOGETHER`` of them."""
    each = [
        {"messages": [dict(message) for message in messages], "add_generation_prompt": prompt, **variables}
        for messages, prompt in conversations
    ]
    return [
        text for first in range(0, len(each), TOGETHER) for text in _rendered(template, each[first : first + TOGETHER])
    ]


def _rendered(template: str, variables: Sequence[Mapping[str, Any]]) -> list[str]:
    request = {"template": template, "variables": variables}
    advice = "use a plain prompt"
    try:
        done = subprocess.run(COMMAND, input=json.dumps(request), capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise FormatError(f"{KEY} was stopped after {TIMEOUT_S:g} s, it may loop for ever; {advice}") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise FormatError(f"{KEY} made its process end with exit status {done.returncode}; {advice}") from None
    if "error" in answer:
        raise FormatError(f"{KEY} failed: {answer['error']}")
    return list(answer["texts"])
