"""Instruments: what Apple's developer services tell of a phone while something runs: CPU, memory, GPU, energy.

Part of the worker process. It needs Developer Mode and the developer image on the phone; where they are missing, it
says so and tells nothing. Written after pymobiledevice3's source: no stand-in speaks this protocol, and no real phone
has been asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

INTERVAL_MS = 2000
DEVELOPER_OFF = "Developer Mode is off (Settings > Privacy & Security > Developer Mode)"
NO_IMAGE = "the developer image is not mounted (type `python -m pymobiledevice3 mounter auto-mount` after each restart)"
OURS = ("com.apple.WebKit.", "MobileSafari")  # processes that do the page's work
PROCESS = ("pid", "name", "cpuUsage", "physFootprint")


class Instruments:
    """Samples a phone from now on, in the worker's event loop. ``lockdown``: a paired connection to it."""

    def __init__(self, udid: str, lockdown: Any) -> None:
        self._udid, self._lockdown = udid, lockdown
        self._newest: dict[str, Any] = {}
        self._pids: list[int] = []
        self._reason: str | None = None
        self._task = asyncio.create_task(self._run())

    def newest(self) -> dict[str, Any]:
        """``rows``: the newest of each kind, as the phone tells them; ``reason``: why there are none."""
        return {"rows": dict(self._newest), "reason": self._reason}

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        from pymobiledevice3.exceptions import InvalidServiceError

        try:
            if not await self._lockdown.get_developer_mode_status():
                self._reason = DEVELOPER_OFF
                return
            await self._sample()
        except InvalidServiceError:
            self._reason = NO_IMAGE
        except Exception as error:  # whatever a phone answers: the run goes on without these values
            self._reason = f"Instruments ended: {type(error).__name__} {str(error).partition(chr(10))[0]}".strip()

    async def _sample(self) -> None:
        from pymobiledevice3.remote.userspace_tunnel import UserspaceRsdTunnel
        from pymobiledevice3.services.dvt.instruments.dvt_provider import DvtProvider

        async with AsyncExitStack() as stack:
            tunnel = UserspaceRsdTunnel(serial=self._udid, autopair=False, remotepairing_fallback=False)
            stack.push_async_callback(tunnel.aclose)
            dvt = await stack.enter_async_context(DvtProvider(await tunnel.aopen()))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._system(dvt))
                group.create_task(self._graphics(dvt))
                group.create_task(self._energy(dvt))

    async def _system(self, dvt: Any) -> None:
        from pymobiledevice3.services.dvt.instruments.sysmontap import Sysmontap

        async with await Sysmontap.create(dvt, interval=INTERVAL_MS) as tap:
            names = list(tap.process_attributes_cls.__dataclass_fields__)
            async for row in tap:
                self._keep(row, names)

    def _keep(self, row: Mapping[str, Any], names: list[str]) -> None:
        if "SystemCPUUsage" in row:
            self._newest["system"] = {**row["SystemCPUUsage"], "EnabledCPUs": row.get("EnabledCPUs")}
        if "Processes" in row:
            listed = (dict(zip(names, values, strict=False)) for values in row["Processes"].values())
            ours = [process for process in listed if str(process.get("name", "")).startswith(OURS)]
            self._pids = [int(process["pid"]) for process in ours if "pid" in process]
            self._newest["processes"] = [{name: process.get(name) for name in PROCESS} for process in ours]

    async def _graphics(self, dvt: Any) -> None:
        from pymobiledevice3.services.dvt.instruments.graphics import Graphics

        async with Graphics(dvt) as graphics:
            async for row in graphics:
                if isinstance(row, dict):
                    self._newest["graphics"] = row

    async def _energy(self, dvt: Any) -> None:
        """Of the processes that the system's samples have named; asked for at the same pace."""
        from pymobiledevice3.services.dvt.instruments.energy_monitor import EnergyMonitor

        while not self._pids:
            await asyncio.sleep(INTERVAL_MS / 1000)
        async with EnergyMonitor(dvt, list(self._pids)) as monitor:
            async for row in monitor:
                if isinstance(row, dict):
                    self._newest["energy"] = {str(pid): values for pid, values in row.items()}
                await asyncio.sleep(INTERVAL_MS / 1000)
