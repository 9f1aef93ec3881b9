"""Network: under which addresses a phone may reach this computer, and whether it does."""

from __future__ import annotations

import socket
from contextlib import suppress
from types import TracebackType

VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet")  # networks that no phone is in
ROUTE_TO = ("192.0.2.1", 9)  # an address for documentation: nothing is sent there


def addresses() -> list[str]:
    """This computer's addresses in its networks, the one it would use towards the internet first."""
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup and not name.startswith(VIRTUAL)}
    every = [
        address.address
        for name, found in psutil.net_if_addrs().items()
        for address in found
        if name in up and address.family == socket.AF_INET and not address.address.startswith(("127.", "169.254."))
    ]
    first = _routed()
    return sorted(dict.fromkeys(every), key=lambda address: address != first)


def _routed() -> str | None:
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(ROUTE_TO)
        name: str = probe.getsockname()[0]
        return name
    return None


class Doorbell:
    """Listens on a port of its own for as long as it is open, to see whether somebody comes."""

    def __enter__(self) -> Doorbell:
        self._socket = socket.create_server(("0.0.0.0", 0))
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def rang(self, timeout_s: float) -> bool:
        """Whether anybody connects in time."""
        self._socket.settimeout(timeout_s)
        try:
            visitor, _ = self._socket.accept()
        except TimeoutError:
            return False
        visitor.close()
        return True
