"""A run: what one nonce gives access to. Its mailbox, and the bundle that the page is to load."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field

from ...plan import Plan
from .mailbox import Mailbox
from .weights import WeightImage


class Bundle:
    """A Plan as the page fetches it, and its weights."""

    def __init__(self, plan: Plan, image: WeightImage) -> None:
        self.hash, self.image = plan.hash, image
        self.text = json.dumps(plan.to_json(), separators=(",", ":")).encode()


@dataclass
class Run:
    """One page's stay. The nonce is made here, used for this run and never again."""

    mailbox: Mailbox
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    bundle: Bundle | None = None

    @property
    def path(self) -> str:
        return f"/r/{self.nonce}/"
