"""The engine's errors, one class a layer. Every message names the object, the limit it met and what to do about it."""


class EngineError(Exception):
    """Base of what the engine raises on bad input; commands print it as one line."""


class FormatError(EngineError):
    """A model file, checkpoint or tokenizer cannot be read as what it claims to be."""


class PlanError(EngineError):
    """A Plan cannot be built, or is not valid for a device's Caps."""


class PlayerError(EngineError):
    """A player could not load or run a Plan."""


class DataError(EngineError):
    """A file to learn from cannot be read, or holds nothing that can be learnt."""


class TrainingError(EngineError):
    """A training run cannot go on; what was learnt before is kept."""
