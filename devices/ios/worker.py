"""The process that speaks to iPhones: one JSON request a line on stdin, one JSON answer a line on stdout.

Only this process, and the command line of the same package, imports pymobiledevice3: it is under the GPL, and heavy.
Requests name a phone by ``udid``:

``list``; ``info``; ``pair`` (wait_s); ``battery``; ``inspector``; ``open_safari``; ``keep_awake`` (timeout_s);
``profiles``; ``install_profile`` (base64); ``samples``; ``close``. A refusal is ``{"ok": false, "error": one line}``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, TextIO

from .remedies import LOCKED, MISSING, told

if TYPE_CHECKING:
    from .instruments import Instruments

Answer = dict[str, Any]
ANSWER_S = 30.0
TOLD = ("DeviceName", "ProductType", "ProductVersion", "BuildVersion", "DeviceClass", "PasswordProtected")
BATTERY = (
    "CurrentCapacity", "Temperature", "Voltage", "InstantAmperage", "IsCharging", "ExternalConnected", "FullyCharged",
    "CycleCount", "NominalChargeCapacity",
)  # fmt: skip
ASSERTION = "PreventUserIdleSystemSleep"


class Worker:
    """The connections that are kept open between requests, by phone."""

    def __init__(self) -> None:
        self._lockdowns: dict[str, Any] = {}
        self._instruments: dict[str, Instruments] = {}
        self._awake: dict[str, AsyncExitStack] = {}
        self.closed = False

    async def answer(self, line: str) -> Answer:
        """Do what the JSON object ``line`` asks; whatever goes wrong becomes one line."""
        request: Mapping[str, Any] = {}
        try:
            request = json.loads(line)
            handler = getattr(self, f"_on_{request['op']}", None)
            if handler is None:
                return {"ok": False, "error": f"unknown request {request['op']}"}
            limit_s = ANSWER_S + float(request.get("wait_s", 0))
            return {"ok": True, **await asyncio.wait_for(handler(request), limit_s)}
        except ImportError as error:
            return {"ok": False, "error": f"{MISSING} ({error})"}
        except TimeoutError:
            return {"ok": False, "error": f"the iPhone did not answer within {ANSWER_S:g} s: {LOCKED}"}
        except Exception as error:  # of a hundred classes, none of which this process must die of
            await self._drop(str(request.get("udid")))
            return {"ok": False, "error": told(type(error).__name__, str(error))}

    async def close(self) -> None:
        for udid in list(self._lockdowns):
            await self._drop(udid)
        for udid in list(self._awake):
            await self._let_sleep(udid)

    async def _on_list(self, request: Mapping[str, Any]) -> Answer:
        from pymobiledevice3.usbmux import list_devices

        found = {device.serial: device.is_usb for device in sorted(await list_devices(), key=lambda each: each.is_usb)}
        return {"phones": [{"udid": udid, "usb": usb} for udid, usb in found.items()]}

    async def _on_info(self, request: Mapping[str, Any]) -> Answer:
        """What lockdownd tells; without a pairing too. Never makes the phone ask whether to trust."""
        lockdown = await self._lockdown(request["udid"])
        await lockdown.get_value()
        developer = await lockdown.get_developer_mode_status() if lockdown.paired else None
        values = {name: lockdown.all_values[name] for name in TOLD if name in lockdown.all_values}
        return {"values": values, "paired": lockdown.paired, "developer": developer}

    async def _on_pair(self, request: Mapping[str, Any]) -> Answer:
        """Make the phone ask its owner whether to trust this computer, and wait for the answer."""
        from pymobiledevice3.lockdown import create_using_usbmux

        await self._drop(request["udid"])
        made = await create_using_usbmux(serial=request["udid"], autopair=True, pair_timeout=request.get("wait_s", 0))
        self._lockdowns[request["udid"]] = made
        return {"paired": made.paired}

    async def _on_battery(self, request: Mapping[str, Any]) -> Answer:
        from pymobiledevice3.services.diagnostics import DiagnosticsService

        async with DiagnosticsService(await self._lockdown(request["udid"])) as diagnostics:
            battery = await diagnostics.get_battery() or {}
        return {"battery": {name: battery[name] for name in BATTERY if name in battery}}

    async def _on_inspector(self, request: Mapping[str, Any]) -> Answer:
        """Whether Web Inspector is switched on."""
        from pymobiledevice3.exceptions import WebInspectorNotEnabledError
        from pymobiledevice3.services.webinspector import WebinspectorService

        service = WebinspectorService(await self._lockdown(request["udid"]))
        try:
            await service.connect()
        except WebInspectorNotEnabledError:
            return {"on": False}
        finally:
            await service.close()
        return {"on": True}

    async def _on_open_safari(self, request: Mapping[str, Any]) -> Answer:
        from pymobiledevice3.services.webinspector import SAFARI, WebinspectorService

        service = WebinspectorService(await self._lockdown(request["udid"]))
        try:
            await service.connect()
            await service.open_app(SAFARI)
        finally:
            await service.close()
        return {}

    async def _on_keep_awake(self, request: Mapping[str, Any]) -> Answer:
        """Held until this process ends or asks anew, or for ``timeout_s``."""
        from pymobiledevice3.services.power_assertion import PowerAssertionService

        udid = request["udid"]
        await self._let_sleep(udid)
        service = PowerAssertionService(await self._lockdown(udid))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(service)
            made = service.create_power_assertion(ASSERTION, "tritmark", float(request["timeout_s"]))
            await stack.enter_async_context(made)
            self._awake[udid] = stack.pop_all()
        return {}

    async def _on_profiles(self, request: Mapping[str, Any]) -> Answer:
        from pymobiledevice3.services.mobile_config import MobileConfigService

        async with MobileConfigService(await self._lockdown(request["udid"])) as service:
            return {"profiles": list((await service.get_profile_list()).get("ProfileMetadata", {}))}

    async def _on_install_profile(self, request: Mapping[str, Any]) -> Answer:
        from pymobiledevice3.services.mobile_config import MobileConfigService

        async with MobileConfigService(await self._lockdown(request["udid"])) as service:
            await service.install_profile(base64.b64decode(request["base64"]))
        return {}

    async def _on_samples(self, request: Mapping[str, Any]) -> Answer:
        """The newest of what Apple's Instruments tell; the first request starts them."""
        from .instruments import Instruments

        udid = request["udid"]
        if udid not in self._instruments:
            self._instruments[udid] = Instruments(udid, await self._lockdown(udid))
        return self._instruments[udid].newest()

    async def _on_close(self, request: Mapping[str, Any]) -> Answer:
        self.closed = True
        return {}

    async def _lockdown(self, udid: str) -> Any:
        """A connection to lockdownd that has been paired where that has been done before; asks nobody for trust."""
        from pymobiledevice3.lockdown import create_using_usbmux

        if udid not in self._lockdowns:
            self._lockdowns[udid] = await create_using_usbmux(serial=udid, autopair=False)
        return self._lockdowns[udid]

    async def _let_sleep(self, udid: str) -> None:
        """A phone that is gone has let go by itself."""
        held = self._awake.pop(udid, None)
        with suppress(Exception):
            if held:
                await held.aclose()

    async def _drop(self, udid: str) -> None:
        """Forget a phone's connections; the next request makes new ones."""
        instruments, lockdown = self._instruments.pop(udid, None), self._lockdowns.pop(udid, None)
        with suppress(Exception):  # closing what has failed already
            if instruments:
                await instruments.close()
            if lockdown:
                await lockdown.close()


async def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end or ask to close."""
    worker, loop = Worker(), asyncio.get_running_loop()
    while not worker.closed and (line := await loop.run_in_executor(None, requests.readline)):
        print(json.dumps(await worker.answer(line), default=str), file=answers, flush=True)
    await worker.close()


if __name__ == "__main__":
    # The library logs what it thinks of phones that are gone; answers keep a descriptor of their own.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    asyncio.run(serve(sys.stdin, channel))
