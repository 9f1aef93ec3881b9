"""What a training run leaves for eyes and programs while it goes on: a JSON line a step, and a plot of its losses."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritmark.engine.formats.whole_file import written_whole

PLOT_INTERVAL_S = 5.0


@dataclass
class Metrics:
    """The lines of ``path`` (.jsonl) and the plot beside it (.svg). A resumed run goes on after its step ``done``."""

    path: Path
    done: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    _drawn_s: float = 0.0

    def __post_init__(self) -> None:
        kept = [line for line in self._lines() if line["step"] <= self.done] if self.done else []
        for line in kept:
            self._take(line)
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def add(self, line: dict[str, Any]) -> None:
        """Append a line: ``step``, its ``loss``, and ``held_out_loss`` where it was evaluated; step 0 has no loss."""
        self._take(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if time.monotonic() - self._drawn_s > PLOT_INTERVAL_S:
            self.draw()

    def draw(self) -> None:
        """Write the plot of what is known."""
        if len(self.losses) > 1:
            written_whole(self.path.with_suffix(".svg"), self._write_plot)
        self._drawn_s = time.monotonic()

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        found = []
        for text in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(text))
            except ValueError:
                break  # the line that a killed run was writing
        return found

    def _take(self, line: dict[str, Any]) -> None:
        if "loss" in line:
            self.losses.append((line["step"], line["loss"]))
        if "held_out_loss" in line:
            self.held_out.append((line["step"], line["held_out_loss"]))

    def _write_plot(self, path: Path) -> None:
        import matplotlib

        matplotlib.use("svg")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="optimiser step", ylabel="loss (nats a token)")
        axes.plot(*zip(*self.losses, strict=True), color="0.6", linewidth=1, label="each step")
        if len(self.losses) > 20:
            axes.plot(*zip(*smoothed(self.losses), strict=True), color="C0", label="mean of the last twentieth")
        if self.held_out:
            axes.plot(*zip(*self.held_out, strict=True), "o-", color="C1", label="held out")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, format="svg")


def smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The mean of each point and those before it, a twentieth of all."""
    window = max(2, len(points) // 20)
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    return [
        (step, (sums[at + 1] - sums[max(0, at + 1 - window)]) / min(at + 1, window))
        for at, (step, _) in enumerate(points)
    ]
