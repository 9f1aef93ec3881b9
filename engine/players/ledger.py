"""Every GPU buffer of a session, counted exactly by role while it lives."""

from __future__ import annotations

from typing import Any

from ..errors import PlayerError

STAGING_BYTES = 256 << 10


class Ledger:
    """Creates and frees buffers of a wgpu device and knows how many bytes live, by role, and the most there were."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._live: dict[int, tuple[Any, str]] = {}
        self._staging: Any = None
        self.peak_bytes = 0

    def create(self, label: str, size: int, role: str, usage: int | None = None) -> Any:
        """A buffer of ``size`` bytes. Raises PlayerError where the device has no memory for it."""
        import wgpu

        flags = wgpu.BufferUsage
        usage = flags.STORAGE | flags.UNIFORM | flags.COPY_DST | flags.COPY_SRC if usage is None else usage
        try:
            buffer = self._device.create_buffer(label=label, size=size, usage=usage)
        except Exception as error:  # out of memory and validation come as wgpu's own classes
            raise PlayerError(
                f"no GPU memory for {label} ({size:,} bytes, {self.live_bytes:,} in use): {_line(error)}"
            ) from error
        self._live[id(buffer)] = (buffer, role)
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        return buffer

    def destroy(self, buffer: Any) -> None:
        self._live.pop(id(buffer))
        buffer.destroy()

    @property
    def live_bytes(self) -> int:
        return sum(buffer.size for buffer, _ in self._live.values())

    def by_role(self) -> dict[str, int]:
        """Live bytes by role."""
        totals: dict[str, int] = {}
        for buffer, role in self._live.values():
            totals[role] = totals.get(role, 0) + buffer.size
        return totals

    def read(self, buffer: Any, offset: int, size: int) -> bytes:
        """Copy out bytes offset..offset + size, through a staging buffer of at most STAGING_BYTES."""
        import wgpu

        piece = min(STAGING_BYTES, -(-size // 4) * 4)
        usage = wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.MAP_READ
        staging = self.create("staging", piece, "staging", usage)
        parts = []
        try:
            for first in range(0, size, piece):
                count = min(piece, -(-(size - first) // 4) * 4)
                encoder = self._device.create_command_encoder()
                encoder.copy_buffer_to_buffer(buffer, offset + first, staging, 0, count)
                self._device.queue.submit([encoder.finish()])
                staging.map_sync(wgpu.MapMode.READ, 0, count)
                parts.append(bytes(staging.read_mapped(0, count)))
                staging.unmap()
        except Exception as error:  # a lost device shows here first
            raise PlayerError(f"the device stopped answering while reading back: {_line(error)}") from error
        finally:
            self.destroy(staging)
        return b"".join(parts)[:size]

    def check(self) -> None:
        """Raise PlayerError where the device has been lost."""
        lost = getattr(self._device, "lost_info", None)
        if lost:
            raise PlayerError(f"the device was lost: {lost}")

    def close(self) -> None:
        for buffer, _ in list(self._live.values()):
            self.destroy(buffer)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
