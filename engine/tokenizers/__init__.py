"""Text to token ids and back, and the chat format, all from a model file's own metadata."""

from .tokenizer import Tokenizer, load_tokenizer

__all__ = ["Tokenizer", "load_tokenizer"]
