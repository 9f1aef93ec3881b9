"""Invitation: the link that a person opens so that their browser's GPU plays, as words and as a QR code."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

HERE = "Open this link in a browser of this computer:"
NEAR = "On a phone in the same network, scan the code or open one of these links:"
TRUST = """\
Once per phone, so that it trusts this computer (until then its browser warns):
  iPhone: open {iphone} and allow it;
    install it in Settings > General > VPN & Device Management, then switch it
    on in Settings > General > About > Certificate Trust Settings.
  Android: open {android}
    and install it in the settings (search them for "CA certificate")."""

WHITE_ON_BLACK, PLAIN = "\033[97;40m", "\033[0m"  # whatever the terminal's colours: readers expect dark on light


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """``links`` lead to one page, each by another address of this computer. ``certificates`` to trust: for an iPhone,
    for Android; None where the page needs none.
    """

    links: tuple[str, ...]
    certificates: tuple[str, str] | None = None


def text(invitation: Invitation, *, code: bool = True) -> str:
    """What to tell a person. ``code``: with a QR code of the first link, for those that a phone can reach."""
    lines = ["", HERE if invitation.certificates is None else NEAR, ""]
    lines += [f"  {link}" for link in invitation.links]
    if invitation.certificates is not None:
        if code:
            lines += ["", _code(invitation.links[0])]
        iphone, android = invitation.certificates
        lines += ["", TRUST.format(iphone=iphone, android=android)]
    return "\n".join(lines) + "\n"


def show(invitation: Invitation) -> None:
    """Tell the person before this computer, on standard error."""
    print(text(invitation, code=sys.stderr.isatty()), file=sys.stderr, flush=True)


def _code(link: str) -> str:
    import segno

    drawn = io.StringIO()
    segno.make(link, error="l").terminal(drawn, compact=True)
    return "\n".join(f"{WHITE_ON_BLACK}{line}{PLAIN}" for line in drawn.getvalue().splitlines())
