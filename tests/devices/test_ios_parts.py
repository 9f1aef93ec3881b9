"""Parts of the way to an iPhone that need none: the player as one script, what raw answers mean, who imports what."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tritmark.devices.base import DeviceError
from tritmark.devices.ios import readings, remedies
from tritmark.devices.ios.bundle import bundle
from tritmark.devices.network import Doorbell, addresses

DEVICES = Path(__file__).resolve().parents[2] / "devices"
WEB = DEVICES.parent / "engine" / "players" / "web"
OWN_PROCESS = {"worker.py", "instruments.py"}


def test_only_the_worker_process_imports_the_library() -> None:
    importers = set()
    for path in DEVICES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "pymobiledevice3" for name in names):
                importers.add(path.name)
    assert importers == OWN_PROCESS


def test_the_library_is_in_no_other_process() -> None:
    code = "import sys; import tritmark.devices.ios.iphone; print(sum('pymobiledevice3' in m for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "0"


def run(script: str) -> object:
    """The value of a JavaScript expression, by Node.js."""
    print_it = f"console.log(JSON.stringify({script}))"
    done = subprocess.run(["node", "-e", print_it], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


FILES = {
    "a.js": 'import { two, Three } from "./b.js";\nimport {\n  four as vier,\n} from "./c.js";\n'
    "const local = 1;\nexport function sum() { return local + two() + new Three().value + vier; }\n",
    "b.js": 'import { four } from "./c.js";\nconst local = 2;\nexport const two = () => local;\n'
    "export class Three { value = four - 1; }\nexport async function* nothing() {}\n",
    "c.js": "const local = 4;\nexport const four = local;\n",
}


def test_modules_keep_their_names_to_themselves() -> None:
    assert run(f"({bundle('a.js', FILES.__getitem__)}).sum()") == 10


def test_every_module_is_there_once() -> None:
    assert bundle("a.js", FILES.__getitem__).count("const local = 4") == 1


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.js": 'import * as all from "./b.js";\n'}, "a.js of the web player cannot be put into a page: import"),
        ({"a.js": "export default 3;\n"}, "cannot be put into a page: export default 3"),
        ({"a.js": 'const b = await import("./b.js");\n'}, "cannot be put into a page"),
        ({"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}, "circle: a.js -> b.js"),
    ],
)
def test_a_module_of_another_form_is_refused(files: dict[str, str], says: str) -> None:
    with pytest.raises(DeviceError, match=says):
        bundle("a.js", files.__getitem__)


def test_the_web_player_can_be_put_into_a_page() -> None:
    script = bundle("client.js", lambda file: (WEB / file).read_text())
    assert run(f"typeof ({script}).runClient") == "function"


def test_a_battery_is_told_in_the_units_of_records() -> None:
    raw = {"CurrentCapacity": 81, "Temperature": 3049, "Voltage": 4188, "InstantAmperage": -352, "IsCharging": 0}
    assert readings.battery(raw) == {
        "battery_percent": 81,
        "battery_celsius": 30.49,
        "battery_microvolts": 4_188_000,
        "battery_microamperes": -352_000,
        "charging": False,
    }
    assert readings.battery({"Temperature": None, "Voltage": "high"}) == {}


def test_instruments_are_told_in_the_units_of_records() -> None:
    """Rows as public reports show them."""
    rows = {
        "system": {"CPU_TotalLoad": 202.08, "EnabledCPUs": 6},
        "processes": [{"physFootprint": 419_430_400}, {"physFootprint": 20_971_520}, {"physFootprint": None}],
        "graphics": {"Device Utilization %": 40, "In use system memory": 53_444_608, "Tiler Utilization %": 9},
        "energy": {"1714": {"energy.cost": 331.25, "energy.gpu.cost": 2, "energy.cpu.cost": 62.5}},
    }
    assert readings.instruments(rows) == {
        "cpu_load_percent": 202.08,
        "footprint_bytes": 440_401_920,
        "gpu_busy_percent": 40,
        "gpu_memory_bytes": 53_444_608,
        "energy_cost": 331.25,
        "energy_gpu_cost": 2,
        "energy_cpu_cost": 62.5,
    }
    assert readings.instruments({"graphics": "nothing", "energy": {"1": None}}) == {}


def test_every_value_has_a_method() -> None:
    numbers = dict.fromkeys(("CurrentCapacity", "Temperature", "Voltage", "InstantAmperage"), 1)
    told = readings.battery({**numbers, "IsCharging": True, "ExternalConnected": True})
    assert len(told) == 6 and set(told) <= set(readings.METHODS)


@pytest.mark.parametrize(
    ("ios", "trusted", "inspector", "expected"),
    [
        ("26.0", True, True, "ready"),
        ("27.1.2", True, None, "ready"),
        ("17.4", True, True, "iOS too old (26 needed for WebGPU)"),
        ("26.1", False, None, "not trusted"),
        ("", False, None, "not trusted"),
        ("26.1", True, False, "Web Inspector off"),
    ],
)
def test_a_state_is_what_is_in_the_way_first(ios: str, trusted: bool, inspector: bool | None, expected: str) -> None:
    state, remedy = remedies.state(ios, trusted, inspector)
    assert state == expected and (remedy is None) == (expected == "ready")


def test_an_error_that_nobody_foresaw_is_one_line() -> None:
    assert remedies.told("ProfileError", "It said no.\nPlease report it") == "the iPhone refused: It said no."
    assert remedies.told("Strange", "") == "the iPhone refused: Strange"


def test_this_computer_s_addresses_are_those_of_networks() -> None:
    assert not [address for address in addresses() if address.startswith("127.")]


def test_a_doorbell_knows_whether_somebody_came() -> None:
    with Doorbell() as bell:
        assert not bell.rang(0.1)
        socket.create_connection(("127.0.0.1", bell.port)).close()
        assert bell.rang(5.0)
