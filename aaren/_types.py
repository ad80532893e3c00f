"""The types in signatures: what importers' type checkers read."""

from collections.abc import Callable
from typing import Any

Tensor = Any  # of the backend that Keras runs on; what goes in may be a NumPy array
Activation = str | Callable[[Tensor], Tensor] | None
Setting = (
    Any  # what Keras takes for an initializer or a regularizer: a name, an object, a configuration
)
Shape = tuple[int | None, ...]
