"""The line with which the chapters report how far two results lie apart."""

import re
from pathlib import Path

import numpy as np
import pytest

from aaren.compare import compare


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (1.0, 1.0, "0: equal"),
        ([1.0, 2.0], [1.0, 2.0 + 3e-14], "at most 1e-13: equal"),
        (np.ones((2, 3)), 1.5, "at most 1e+00: not equal"),
        ((-np.inf, 0.0), (-np.inf, 0.0), "0: equal"),
        (np.inf, -np.inf, "inf: not equal"),
        ([1.0, np.nan], [1.0, np.nan], "nan: not equal"),
        (1, 2, "at most 1e+00: not equal"),
        ((np.ones(3), 2.0), (np.ones(3), 2.0), "0: equal"),
        ((np.ones(3), 2.0), (np.ones(3), np.nan), "nan: not equal"),
        ((np.nan, 1.0), (1.0, 1.0), "nan: not equal"),
        (np.float32(0.1), np.float64(0.1), "at most 1e-08: not equal"),
    ],
)
def test_size_and_verdict(ours, theirs, said):
    assert compare(ours, theirs) == f"difference {said}"


def test_tolerance_decides():
    assert compare(np.float32(0.1), 0.1, 1e-6).endswith(": equal")
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))) == "difference 0: equal"


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="same length; got 2 and 3"):
        compare((1, 2), (1, 2, 3))


def test_notebooks_are_compared_by_the_verdict():
    """On another processor a difference has another size, and the same verdict."""
    nbval = pytest.importorskip("nbval.plugin")
    settings = Path(__file__).with_name("nbval-sanitize.cfg").read_text(encoding="utf-8")

    def shown(line):
        for pattern, replacement in nbval.get_sanitize_patterns(settings):
            line = re.sub(pattern, replacement, line)
        return line

    assert shown(compare(1.0, 1.0)) == shown(compare(1.0, 1 + 1e-14))
    assert shown(compare(1.0, 1.0)) != shown(compare(1.0, 2.0))
