"""How far two results lie apart: the line that the chapters print where two computations should agree."""

from __future__ import annotations

from typing import Any

import numpy as np


def compare(ours: Any, theirs: Any, tolerance: float = 1e-12) -> str:
    """Say how far two results lie apart, and whether that counts as equal.

    Args:
        ours: array or number, or a tuple or list of them.
        theirs: what it should be: of the same form, or broadcast to it.
        tolerance: the largest difference that is taken for rounding. 1e-12 suits float64, 1e-5 float32.

    Returns:
        A line of text. The largest difference is rounded up to a power of ten ("at most"), since another
        processor rounds otherwise. Infinities of one sign are equal; NaN equals nothing.

    Example:
        >>> compare([1.0, 2.0], [1.0, 2.0 + 3e-14])
        'difference at most 1e-13: equal'
        >>> compare((0.5, 2.0), (0.5, 2.2))
        'difference at most 1e+00: not equal'
    """
    if isinstance(ours, (tuple, list)) and isinstance(theirs, (tuple, list)):
        if len(ours) != len(theirs):
            raise ValueError(
                f"`ours` and `theirs` must have the same length; got {len(ours)} and {len(theirs)}."
            )
        size = np.max([difference(a, b) for a, b in zip(ours, theirs)], initial=0.0)
    else:
        size = difference(ours, theirs)
    shown = f"{size:g}"
    if 0 < size < np.inf:
        shown = f"at most {10.0 ** np.ceil(np.log10(size)):.0e}"
    return f"difference {shown}: {'equal' if size <= tolerance else 'not equal'}"


def difference(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.where(ours == theirs, 0, np.subtract(ours, theirs, dtype=float)))
    return float(np.max(apart, initial=0))  # NaN if any is
