"""The command `tritmark`. It parses, calls one function and prints; nothing that computes is imported at start."""

from __future__ import annotations

import sys
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
)

HELP = "Which ternary weight format, TQ1_0 or TQ2_0, to ship and keep resident on this device, measured."
app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, no_args_is_help=True,
                  pretty_exceptions_enable=False)  # fmt: skip

INTERRUPTED = 130  # what typer exits with on Ctrl-C, in silence

COMMANDS = (
    run.run, run.show, model.plan, model.logits, model.generate, serve.serve, machine.devices, probe.probe,
    machine.doctor, convert.convert, finetune.finetune, pretrain.pretrain, adapt.merge,
    adapt.perplexity, audit.audit, recommend.recommend, compare.compare, compare.gate,
    exchange.export, exchange.import_, bundle.bundle, bundle.verify, cost.cost, platforms.platforms,
    report.report, report.view,
)  # fmt: skip
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)  # import is a word of Python


def main() -> None:
    """Entry point: every known error is one line on standard error and exit status 1, or 2 for wrong usage."""
    try:
        app()
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
