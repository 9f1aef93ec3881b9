"""From whatever holds a BitNet model to a GGUF file in TQ1_0 or TQ2_0."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import FormatError
from .blocks import TERNARY
from .gguf_writer import Progress, write_gguf
from .huggingface import HuggingFaceModel
from .model import Model, open_model

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_DOWNLOADED = ["*.safetensors", "*.json", "tokenizer.model", "*.jinja"]


def convert(source: str, out: Path, type: str, progress: Progress | None = None) -> Path:
    """Write ``source`` to ``out`` with ternary tensors of ``type`` ("tq1_0" or "tq2_0") and return ``out``.

    ``source``: a Hugging Face checkpoint folder, a repository name (``owner/name``, downloaded and resumed through
    huggingface_hub), a .gguf file (repacked without loss) or ``synthetic:SIZE``. FormatError leaves no file behind.
    """
    if type not in TERNARY:
        raise FormatError(f"cannot write {type} models; choose one of {', '.join(TERNARY)}")
    return write_gguf(open_source(source), out, type, progress)


def open_source(source: str) -> Model:
    """The Model that ``source`` names, downloaded where it is a repository."""
    path = Path(source)
    if path.is_dir():
        return HuggingFaceModel(path)
    if not path.exists() and path.suffix != ".gguf" and _REPOSITORY.fullmatch(source):
        return HuggingFaceModel(download(source), name=source.partition("/")[2])
    return open_model(source)


def download(repository: str) -> Path:
    """The local folder of a Hugging Face repository; an interrupted download continues where it stopped."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise FormatError("downloads need the packages of tritmark[hub]; pip install 'tritmark[hub]'") from None
    try:
        return Path(snapshot_download(repository, allow_patterns=_DOWNLOADED, ignore_patterns=["*/*"]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise FormatError(f"cannot download {repository}: {reason or type(error).__name__}") from None
