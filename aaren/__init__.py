"""Softmax attention as an RNN: trained as a parallel prefix scan, run token by token in constant memory."""

from aaren.scan import State, empty_state, merge, prefix_attention

__version__ = "0.1.0"
__all__ = ["State", "empty_state", "merge", "prefix_attention"]
