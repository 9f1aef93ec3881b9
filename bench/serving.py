"""Serving: a person before a page chooses what its GPU does, again and again: measure a workload, or write a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tritmark.devices.base import DeviceError
from tritmark.devices.browser.byhand import ByHand, VisitorError
from tritmark.engine.errors import EngineError, FormatError
from tritmark.engine.formats.model import open_model
from tritmark.engine.ops.sample import Sampling
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.results.record import Record

from .case import Case
from .inquire import Request, generate
from .run import run_matrix
from .verify import verify

CHOOSE_S = 30 * 86400.0  # a person may take their time; a page that goes away is noticed at once
PROMPT_CHARACTERS = 20_000


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a person may choose from. ``writers``: the models that can continue a text; ``tokens``: by how many."""

    models: tuple[str, ...]
    writers: tuple[str, ...]
    formats: tuple[str, ...]
    workloads: tuple[str, ...]
    prompt: str
    tokens: int

    def admits(self, choice: Mapping[str, Any]) -> bool:
        """Whether a page chose what it was offered: nothing else may come from it."""
        if choice.get("format") not in self.formats:
            return False
        if choice.get("workload") is not None:
            return choice.get("model") in self.models and choice["workload"] in self.workloads
        prompt = choice.get("prompt")
        return choice.get("model") in self.writers and isinstance(prompt, str) and 0 < len(prompt) <= PROMPT_CHARACTERS


def can_write(model: str) -> bool:
    """Whether a model has a tokenizer; FormatError or OSError where there is no such model."""
    metadata = open_model(model).metadata
    try:
        load_tokenizer(metadata)
    except FormatError:
        return False
    return True


class Serving:
    """``tell`` hears lines for the person at the computer; ``each`` hears every record and says what the page shows."""

    def __init__(
        self, page: ByHand, offer: Offer, *, tell: Callable[[str], None], each: Callable[[Record], Mapping[str, Any]]
    ) -> None:
        self._page, self._offer, self._tell, self._each = page, offer, tell, each
        self._verdict_of = lru_cache(maxsize=1)(lambda visit: verify(page))

    def turn(self) -> None:
        """One choice of a person and what it asks for. Where no page is open (any more), a person is invited first.

        DeviceError where no link can be offered; a page that fails is told of and no error.
        """
        before = self._page.visits
        try:
            caps = self._page.session().caps
        except VisitorError as error:
            return self._tell(str(error))
        if self._page.visits > before:
            self._tell(f"a page is open: {caps.adapter}, {caps.driver}")
        try:
            self._do(self._choice())
        except (DeviceError, EngineError) as error:
            self._tell(str(error))
            with suppress(DeviceError):  # it may be the page that is gone
                self._show(note=str(error))

    def _choice(self) -> Mapping[str, Any]:
        offer = self._offer
        choice = self._page.ask(
            "choose", within_s=CHOOSE_S, models=offer.models, writers=offer.writers, formats=offer.formats,
            workloads=offer.workloads, prompt=offer.prompt if offer.writers else None,
        )  # fmt: skip
        if not offer.admits(choice):
            raise DeviceError("the page chose something that it was not offered")
        return choice

    def _do(self, choice: Mapping[str, Any]) -> None:
        what = choice["workload"] or "text"
        self._tell(f"{choice['model']} {choice['format']} {what}")
        if choice["workload"] is not None:
            self._measure(choice)
        else:
            self._write(choice)

    def _measure(self, choice: Mapping[str, Any]) -> None:
        axes = {axis: choice[axis] for axis in ("model", "format", "workload")}
        records = run_matrix(
            [Case(**axes, device=self._page.name)],
            tell=lambda case, stage: self._show(note=f"{stage[0].upper()}{stage[1:]}"),
            device_of=lambda spec: self._page,
            check=lambda device: self._verdict_of(self._page.visits),
        )
        for record in records:
            self._show(**self._each(record))

    def _write(self, choice: Mapping[str, Any]) -> None:
        request = Request(
            model=choice["model"], format=choice["format"], prompt=choice["prompt"], tokens=self._offer.tokens,
            sampling=Sampling(),
        )  # fmt: skip
        text = choice["prompt"]
        for piece in generate(self._page, request):
            text += piece.text
            self._show(text=text)
        self._show(note="The text is complete.")

    def _show(self, **fields: Any) -> None:
        self._page.ask("show", **fields)
