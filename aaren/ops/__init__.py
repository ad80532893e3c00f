"""The mathematics, on arrays alone: states and ⊕, sums over blocks, and the two kinds of attention over every prefix."""

from aaren.ops.linear import LinearState, linear_attention
from aaren.ops.softmax import last_state, prefix_attention
from aaren.ops.state import CompensatedState, State, WindowState, empty_state, merge

__all__ = [
    "CompensatedState",
    "LinearState",
    "State",
    "WindowState",
    "empty_state",
    "last_state",
    "linear_attention",
    "merge",
    "prefix_attention",
]
