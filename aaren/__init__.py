"""Softmax attention as an RNN: trained as a parallel prefix scan, run token by token in constant memory."""

from aaren import data, layers, models, plots, widgets
from aaren.scan import State, empty_state, merge, prefix_attention

__version__ = "0.1.0"
__all__ = [
    "State",
    "data",
    "empty_state",
    "layers",
    "merge",
    "models",
    "plots",
    "prefix_attention",
    "widgets",
]
