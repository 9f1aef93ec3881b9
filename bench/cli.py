"""The command `tritmark`. It parses, calls one function and prints; nothing that computes is imported at start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from .commands import (
    adapt,
    audit,
    bundle,
    compare,
    convert,
    cost,
    exchange,
    finetune,
    machine,
    model,
    platforms,
    pretrain,
    probe,
    recommend,
    report,
    run,
    serve,
    tune,
)

HELP = "Which ternary weight format, TQ1_0 or TQ2_0, to ship and keep resident on this device, measured."
INTERRUPTED = 130  # what typer exits with on Ctrl-C, in silence

COMMANDS = (
    run.run, run.show, recommend.recommend, report.report, report.view, probe.probe, tune.tune, model.plan,
    machine.devices, machine.doctor, serve.serve, compare.compare, compare.gate, cost.cost, audit.audit,
    platforms.platforms, exchange.export, exchange.import_, bundle.bundle, bundle.verify, convert.convert,
    model.generate, model.logits, adapt.perplexity, finetune.finetune, adapt.merge, pretrain.pretrain,
)  # fmt: skip
NAMES = {command.__name__.rstrip("_"): command for command in COMMANDS}  # import is a word of Python


def app(arguments: Sequence[str]) -> typer.Typer:
    """The command line. Only the command that ``arguments`` begin with gets its options: reading those of all commands
    takes as long as everything else in `tritmark --help`, which does not show them.
    """
    app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, no_args_is_help=True,
                      pretty_exceptions_enable=False)  # fmt: skip
    for name, command in NAMES.items():
        asked = name == next(iter(arguments), None)
        app.command(name, help=command.__doc__)(command if asked else _unread)
    return app


def _unread() -> None:
    """Stands for a command that was not asked for."""


def main() -> None:
    """Entry point: every known error is one line on standard error and exit status 1, or 2 for wrong usage."""
    try:
        app(sys.argv[1:])()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("tritmark: interrupted", file=sys.stderr)
            sys.exit(1)
        raise
    except Exception as error:
        _report(error)


def _report(error: Exception) -> NoReturn:
    from tritmark.devices.base import DeviceError
    from tritmark.engine.errors import EngineError
    from tritmark.results.record import RecordError

    from .case import CaseError
    from .runners.base import RunnerError

    known = EngineError | DeviceError | RecordError | CaseError | RunnerError | OSError | MemoryError
    if not isinstance(error, known):
        raise error
    text = str(error) or "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print("tritmark: " + " ".join(text.split()), file=sys.stderr)
    sys.exit(2 if isinstance(error, CaseError) else 1)


if __name__ == "__main__":
    main()
