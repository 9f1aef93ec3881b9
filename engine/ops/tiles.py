"""Shapes of the tiled ternary products: which a device can run, and which it gets.

A tile decides nothing but speed: sums of integers are exact in any order, and sums of floats keep theirs in one thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..formats.resident import KINDS
from ..plan import Caps
from ..weights import TILE_ROWS

WORD_QUADS = {"tq1_0": 5, "tq2_0": 4}  # runs of four trits in a word
VECTOR_BYTES = 16
MOST_SHAPES = 8  # that a tuner compares
CORES, FEW_CORES = 132, 16  # of a large GPU, and of one inside a phone or laptop
START_DOTS = 2000  # what a workgroup costs before and after its product, in dots of a quad of each row and token
WAITING_THREADS = 48  # what the loads that nobody hides cost, as threads of a workgroup
PIECE_TURNS = 0.2  # what meeting at the end of a piece costs, in turns
ENOUGH_GROUPS = 120  # workgroups that keep a large GPU busy


@dataclass(frozen=True)
class Tile:
    """A workgroup of the product: ``token_lanes`` * ``row_lanes`` * ``slices`` threads, each with ``token_runs`` runs
    of four tokens times ``row_runs`` runs of four rows. Slices share results and take turns at the ``words`` (of each
    row) that are decoded at once.
    """

    token_lanes: int
    token_runs: int
    row_lanes: int
    row_runs: int
    slices: int
    words: int

    @property
    def tokens(self) -> int:
        return 4 * self.token_lanes * self.token_runs

    @property
    def rows(self) -> int:
        return 4 * self.row_lanes * self.row_runs

    @property
    def threads(self) -> int:
        return self.token_lanes * self.row_lanes * self.slices

    def vectors(self, word_quads: int) -> int:
        """Vectors of workgroup memory: two pieces; or the results of a run of each thread, and what scales them."""
        pieces = 2 * self.words * word_quads * (self.rows + self.tokens) // 4
        return max(pieces, self.token_lanes * self.rows + self.tokens + self.rows // 4)

    def idle(self, kind: str) -> float:
        """Turns of the slices at all words of a block, to those of words without end; a piece costs part of a turn."""
        words = KINDS[kind].words
        pieces = [min(self.words, words - first) for first in range(0, words, self.words)]
        return sum(-(-piece // self.slices) + PIECE_TURNS for piece in pieces) * self.slices / words

    def groups(self, rows: int, tokens: int) -> int:
        return -(-rows // self.rows) * -(-tokens // self.tokens)

    def fits(self, word_quads: int, step: int, floats: bool, caps: Caps) -> bool:
        """``step``: weight tiles that belong together. ``floats``: sums of floats are kept too, which slices cannot
        share and which need registers.
        """
        return (
            self.rows % (TILE_ROWS * step) == 0
            and self.slices <= self.words
            and not (floats and self.slices * self.token_runs > 1)
            and max(self.tokens, self.rows // 4) <= self.threads <= caps.limit("maxComputeInvocationsPerWorkgroup")
            and self.vectors(word_quads) * VECTOR_BYTES <= caps.limit("maxComputeWorkgroupStorageSize")
        )

    def constants(self, word_quads: int, step: int) -> dict[str, int | float | bool]:
        """Constants of ternary_tiled.wgsl."""
        results = -(-self.token_lanes * self.rows // step // self.threads)
        return {
            "TOKEN_LANES": self.token_lanes,
            "TOKEN_RUNS": self.token_runs,
            "ROW_LANES": self.row_lanes,
            "ROW_RUNS": self.row_runs,
            "SLICES": self.slices,
            "WORDS": self.words,
            "STAGED": self.vectors(word_quads),
            "WEIGHT_ITEMS": -(-self.words * self.rows // 4 // self.threads),
            "CODE_ITEMS": -(-self.words * word_quads * self.tokens // 4 // self.threads),
            "RUN_RESULTS": 4 * self.row_runs,
            "TOGETHER": results if step == 1 else 1,  # gates are long
            "FOUR": 4,
        }


TILES = tuple(
    Tile(*lanes, slices, words)
    for lanes, slices in (
        ((8, 2, 16, 2), 2), ((16, 2, 16, 2), 1), ((8, 2, 16, 2), 1), ((8, 2, 8, 2), 4), ((8, 2, 8, 2), 2),
        ((8, 2, 8, 2), 1), ((4, 2, 8, 2), 4), ((4, 2, 8, 2), 1), ((8, 1, 16, 2), 1), ((4, 1, 8, 2), 1),
        ((2, 1, 8, 2), 8), ((2, 1, 8, 2), 1),
    )
    for words in (8, 7, 6, 5, 4, 3, 2)
)  # fmt: skip


def tiles(rows: int, tokens: int, kind: str, step: int, floats: bool, caps: Caps) -> list[Tile]:
    """Those for a product that the device can run, the one that should take least time first.

    As measured on a large GPU (kernels/PERFORMANCE.md) a product takes as many rounds as its cores need for all
    workgroups, each of them the tile's dots and a constant.
    """
    cores = CORES if caps.kind == "discrete" else FEW_CORES

    def cost(tile: Tile) -> float:
        dots = tile.tokens * tile.rows * tile.idle(kind) * (1 + WAITING_THREADS / tile.threads)
        return -(-tile.groups(rows, tokens) // cores) * (dots + START_DOTS)

    return sorted((t for t in TILES if t.fits(WORD_QUADS[kind], step, floats, caps)), key=cost)[:MOST_SHAPES]


@dataclass(frozen=True)
class ColumnTile:
    """A workgroup of the transposed product: a thread has four columns and all limbs of four tokens; slices take turns
    at the ``runs`` of four rows that are decoded at once.
    """

    column_lanes: int
    token_lanes: int
    slices: int
    runs: int

    @property
    def threads(self) -> int:
        return self.column_lanes * self.token_lanes * self.slices

    def vectors(self, limbs: int) -> int:
        """Vectors of workgroup memory: two pieces, or the sums of a slice and limb."""
        lanes = self.column_lanes + limbs * self.token_lanes
        return max(2 * self.runs * lanes, 4 * self.column_lanes * self.token_lanes if self.slices > 1 else 0)

    def groups(self, blocks: int, tokens: int) -> int:
        return blocks * (64 // self.column_lanes) * -(-tokens // (4 * self.token_lanes))

    def fits(self, limbs: int, caps: Caps) -> bool:
        return self.threads <= caps.limit("maxComputeInvocationsPerWorkgroup") and self.vectors(
            limbs
        ) * VECTOR_BYTES <= caps.limit("maxComputeWorkgroupStorageSize")

    def constants(self, limbs: int) -> dict[str, int | float | bool]:
        """Constants of transposed_tiled.wgsl."""
        return {
            "COLUMN_LANES": self.column_lanes,
            "TOKEN_LANES": self.token_lanes,
            "SLICES": self.slices,
            "RUNS": self.runs,
            "TOGETHER": min(4, self.runs // self.slices),
            "STAGED": self.vectors(limbs),
            "WEIGHT_ITEMS": -(-self.runs * self.column_lanes // self.threads),
            "CODE_ITEMS": -(-self.runs * limbs * self.token_lanes // self.threads),
            "FOUR": 4,
        }


# Those that decode least for each product first.
COLUMN_TILES = (
    ColumnTile(16, 8, 2, 32), ColumnTile(32, 4, 2, 16), ColumnTile(16, 8, 2, 16), ColumnTile(16, 4, 4, 16),
    ColumnTile(16, 4, 4, 8), ColumnTile(32, 2, 4, 16), ColumnTile(16, 2, 8, 8),
)  # fmt: skip


def column_tiles(blocks: int, tokens: int, limbs: int, caps: Caps) -> list[ColumnTile]:
    """Those for a product that the device can run: with workgroups enough first, then by their number."""
    fitting = [tile for tile in COLUMN_TILES if tile.fits(limbs, caps)]
    return sorted(fitting, key=lambda tile: -min(tile.groups(blocks, tokens), ENOUGH_GROUPS))
