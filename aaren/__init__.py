"""Softmax attention as an RNN: trained as a parallel prefix scan, run token by token in constant memory.

Nothing is loaded until it is asked for: `import aaren` needs no Keras, and neither do `aaren.stream`, `aaren.puzzles`
and `aaren.widgets`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aaren import data, estimators, layers, models, ops, plots, puzzles, stream, widgets
    from aaren.ops import State, empty_state, merge, prefix_attention

__version__ = "0.1.0"
__all__ = [
    "State",
    "data",
    "empty_state",
    "estimators",
    "layers",
    "merge",
    "models",
    "ops",
    "plots",
    "prefix_attention",
    "puzzles",
    "stream",
    "widgets",
]
_IN_OPS = ("State", "empty_state", "merge", "prefix_attention")


def __getattr__(name):
    if name in _IN_OPS:
        return getattr(importlib.import_module("aaren.ops"), name)
    if name in __all__:
        return importlib.import_module(f"aaren.{name}")
    raise AttributeError(f"module 'aaren' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
