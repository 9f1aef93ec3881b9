"""The bytes of a Plan's weight slots, made from a model when a player asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from ..formats.blocks import dense
from ..formats.model import Model, open_model, tensor_info
from ..ops.rope_cache import rope_table
from ..plan import Slot
from ..weights import Piece, Weight, as_bytes
from .bitnet import BitNet
from .config import read_config


@dataclass(frozen=True)
class Source:
    """Weights of ``model`` held as ``resident`` ("tq1_0" or "tq2_0"), by slot; and f32 tensors of ``files``.

    The slot "PREFIX/TENSOR" is that tensor of the file with that prefix: adapters, and the state of a checkpoint.
    """

    model: Model
    resident: str
    files: Mapping[str, Model] = field(default_factory=dict)

    @cached_property
    def _net(self) -> BitNet:
        return BitNet(self.model, read_config(self.model), self.resident, longest=0)

    def parts(self, slot: Slot) -> Iterator[npt.NDArray[np.uint8]]:
        """The content of a weight slot, in order."""
        return (piece.make() for piece in self.pieces(slot))

    def pieces(self, slot: Slot) -> Sequence[Piece]:
        """The content of a weight slot, in order, for threads to make."""
        prefix, slash, tensor = slot.id.partition("/")
        if slash and prefix in self.files:
            return [self._floats(self.files[prefix], tensor)]
        if slot.id == "rope":
            return [Piece(slot.bytes, lambda: as_bytes(self._rope(slot.bytes)))]
        if slot.id.endswith(".scales"):
            weight = self._weight(slot.id.removesuffix(".scales"))
            return [Piece(weight.scale_bytes, lambda: as_bytes(weight.scales()))]
        if self._is_vector(slot.id):
            return [self._floats(self.model, f"{slot.id}.weight")]
        return self._weight(slot.id).pieces()

    def _floats(self, model: Model, tensor: str) -> Piece:
        """A whole tensor as f32."""
        info = tensor_info(model, tensor)
        return Piece(info.rows * info.cols * 4, lambda: as_bytes(dense(model.packed(tensor), info.type, info.cols)))

    def array(self, slot: Slot) -> npt.NDArray[np.float32]:
        """A small constant as f32: the rotary table (positions, D / 2, 2) or a norm's weights."""
        return np.concatenate(list(self.parts(slot))).view(np.float32)

    def _rope(self, size: int) -> npt.NDArray[np.float32]:
        c = self._net.config
        return rope_table(size // (c.head * 4), c.head, c.rope_base, c.rope_scale)

    def _is_vector(self, name: str) -> bool:
        info = self.model.tensors.get(f"{name}.weight")
        return info is not None and len(info.shape) == 1

    def _weight(self, name: str) -> Weight:
        blk, _, last = name.rpartition(".")
        if "+" not in last:
            return self._net.matrix(name)
        weight = self._net.joined(blk, tuple(last.split("+")), pair=last == "ffn_gate+ffn_up")
        if weight is None:
            raise FormatError(f"{self.model.name} cannot fill the slot {name}; the plan was made for another model")
        return weight


def open_files(paths: Mapping[str, str]) -> dict[str, Model]:
    """The GGUF files that slots beside the model's are filled from, by prefix."""
    return {prefix: open_model(str(Path(path))) for prefix, path in paths.items()}
