"""The two data sets of the book: sine waves made on the spot, and the ECG200 heartbeats."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aaren import _checks

FOLDER = Path(__file__).parent
"""The folder to give to `aeon.datasets.load_classification("ECG200", extract_path=...)`."""

# SHA-256 of each split's values (float32, little-endian) followed by its labels (int8)
_ECG200_DIGESTS = {
    "train": "219c7bcc01122d7d4184a8f4489f7eb0e670a8cc951b65a6cae76435b4c920c4",
    "test": "65846579743e306bb461b344cb07e01c3aebe2f232e22170e85f1e3d75861172",
}


def generate_sin(
    thetas: Sequence[float] = (0.1, 1),
    length: int = 100,
    samples: int = 50,
    noise: float = 0.01,
    seed: int | None = None,
) -> np.ndarray:
    """Makes noisy sine waves, `sin(theta * t + phase) + noise * e`.

    `t` counts 0, 1, ..., `length` - 1. Each sample has one phase, uniform in [0, 2π), which its
    waves share. Each value has its own standard normal `e`.

    Args:
        thetas: angular frequencies, in radians a step. One wave each.
        length: number of time steps.
        samples: number of samples.
        noise: standard deviation of the noise.
        seed: an integer, to get the same waves again. `None` gives new ones at every call.

    Returns:
        A float32 array of shape `(length, len(thetas), samples)`. Keras wants
        `(samples, length, len(thetas))`: `x.transpose(2, 0, 1)`.

    Example:
        >>> generate_sin(seed=0).shape
        (100, 2, 50)
    """
    angles = _frequencies(thetas)
    length = _checks.positive_int(length, "length")
    samples = _checks.positive_int(samples, "samples")
    noise = _deviation(noise)
    rng = np.random.default_rng(None if seed is None else _checks.positive_int(seed, "seed", 0))
    phase = rng.uniform(0, 2 * np.pi, samples)
    waves = np.sin(np.arange(length)[:, None, None] * angles[:, None] + phase)
    return (waves + noise * rng.standard_normal(waves.shape)).astype("float32")


def load_ecg200(split: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Loads the ECG200 heartbeats from the files inside the package; no network is needed.

    The archive's labels keep their order: -1 (ischemia) becomes 0 and 1 (normal) becomes 1. A model
    with one sigmoid output therefore gives the probability of a *normal* beat, and 1 minus it is
    that of ischemia.

    Args:
        split: `"train"` or `"test"`, 100 beats each, or `None` for both, the training beats first.

    Returns:
        `(x, y)`: `x` of shape `(n, 96, 1)`, float32, and `y` of shape `(n,)`, integers 0 and 1.

    Raises:
        ValueError: `split` is unknown, or a file does not hold what the archive published.
        FileNotFoundError: a file is missing. It is not downloaded.
        ImportError: aeon is not installed: `pip install "aaren[data]"`.

    Example:
        >>> X, y = load_ecg200("train")
        >>> X.shape, y.shape
        ((100, 96, 1), (100,))

    Reference:
        Olszewski (2001); UCR time series archive, Dau and others (2019).
    """
    if split is not None and split not in ("train", "test"):
        raise ValueError(f'`split` must be "train", "test" or None (both); got split={split!r}.')
    load_classification = _checks.optional(
        "aeon.datasets", "load_ecg200", "data"
    ).load_classification
    # aeon downloads, over what is there, when either file is missing: look before it does
    for name in ("train", "test"):
        if not _ecg200_file(name).is_file():
            raise FileNotFoundError(f"{_ecg200_file(name)} is missing. {_WAY_OUT}")
    splits = ("train", "test") if split is None else (split,)
    parts = [_read_ecg200(load_classification, name) for name in splits]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


_WAY_OUT = (
    "Nothing was changed or downloaded. Restore the file with "
    "`pip install --force-reinstall --no-deps aaren`, "
    "or, in a clone, `git checkout -- aaren/data/ECG200`."
)


def _ecg200_file(split):
    return FOLDER / "ECG200" / f"ECG200_{split.upper()}.ts"


def _read_ecg200(load_classification, split):
    file = _ecg200_file(split)
    try:
        x, labels = load_classification("ECG200", split=split, extract_path=str(FOLDER))
    except Exception as error:  # a broken file fails anywhere in aeon's parser, in many ways
        raise ValueError(
            f"{file} cannot be read ({type(error).__name__}: {error}). {_WAY_OUT}"
        ) from error

    def damaged(what):
        return ValueError(f"{file} is damaged: {what}. {_WAY_OUT}")

    if len(x) != 100:
        raise damaged(f"it should hold 100 beats and holds {len(x)}")
    if np.shape(x) != (100, 1, 96):
        raise damaged(f"a beat should be (1, 96) values and is {np.shape(x)[1:]}")
    if unknown := sorted(set(labels.tolist()) - {"-1", "1"}):
        raise damaged(f"the labels should be -1 and 1, and {unknown} came too")
    if not np.isfinite(x).all():
        raise damaged("some values are not finite numbers")
    x, labels = x.transpose(0, 2, 1).astype("<f4"), labels.astype("int8")
    if hashlib.sha256(x.tobytes() + labels.tobytes()).hexdigest() != _ECG200_DIGESTS[split]:
        raise damaged("its values or labels are not those that were published")
    return x.astype("float32"), (labels == 1).astype("int64")


def _frequencies(thetas):
    try:
        array = np.asarray(thetas, "float64")
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"`thetas` must be a list of one or more finite frequencies; got thetas={thetas!r}."
        )
    return array


def _deviation(noise):
    try:
        deviation = float(noise)
    except (TypeError, ValueError):
        deviation = math.nan
    if not 0 <= deviation < math.inf:
        raise ValueError(
            f"`noise` must be a standard deviation, a number from 0 up; got noise={noise!r}."
        )
    return deviation
