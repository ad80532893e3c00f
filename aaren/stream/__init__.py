"""A trained model as one file, and the file as a stream: one token at a time, in NumPy alone.

    aaren.stream.save(model, "model.json")      # where Keras is
    stream = aaren.stream.load("model.json")    # where it need not be
    y_t = stream.step(x_t)

The file is JSON, described by `aaren/stream.schema.json`; `aaren/engine.mjs` runs it in node and browsers. Weights are
float32. All is computed in float64, for an attention's sums grow with the stream: in float32 single steps are lost
past 10^7 tokens, in float64 past 10^15. (Sums of two float32 parts would cost more.)

`fold` makes the file's layers of a Keras model; `file` reads, writes and checks them; `layers` and `recurrent` run them.

Shapes: F features, H heads, D head size, T time. A token is (F,), or (B, F): one token for each of B streams.
"""

import copy
import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from aaren.stream.file import check_document, decode, encode, require, schema, write
from aaren.stream.layers import build, with_memory

__all__ = ["Stream", "decode", "encode", "load", "save", "schema"]


def save(model: Any, path: str | PathLike[str], state: list[Any] | None = None) -> None:
    """Write a trained Keras model, and on request a state, as a file for `load`.

    Args:
        model: one of `aaren.models`, or a Sequential or a functional chain of Aaren, AarenBlock,
            LinearSelfAttention(causal=True), Dense, LayerNormalization, causal Conv1D, activations, dropout and the
            like. Where it answers once a sequence (`return_sequences=False`, global pooling), the stream
            answers at every step, for the tokens so far.
        path: of the file.
        state: what `Stream.state` takes; None for a stream that begins anew.

    Raises:
        ValueError: a layer that cannot stream. The message names it and says what to do.

    Example:

    >>> import aaren, keras, numpy as np, tempfile
    >>> model = keras.Sequential([keras.Input((None, 4)), aaren.layers.Aaren(2, 3), keras.layers.Dense(1)])
    >>> path = tempfile.mkdtemp() + "/model.json"
    >>> aaren.stream.save(model, path)
    >>> stream, x = aaren.stream.load(path), np.random.rand(1, 5, 4)
    >>> bool(np.allclose(stream.run(x[0]), model(x)[0], atol=1e-6))
    True
    """
    from aaren.stream.fold import fold

    stream = Stream(fold(model))
    if state is not None:
        stream.state = state
    stream.save(path, with_state=state is not None)


def load(path: str | PathLike[str]) -> "Stream":
    """The stream that a file holds.

    Raises:
        ValueError: the file is damaged, foreign, or of a later version.

    Example, with a file as small as can be:

    >>> import aaren.stream, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.json"
    >>> layers = '[{"kind": "activation", "activation": "relu"}]'
    >>> _ = path.write_text('{"format": "aaren.stream", "version": 1, "features": 2, "layers": %s}' % layers)
    >>> aaren.stream.load(path).step([-1, 2]).tolist()
    [0.0, 2.0]
    """
    try:
        return Stream(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, RecursionError, MemoryError) as error:  # JSON, base64: ValueErrors
        raise ValueError(f"{path} does not hold a stream that can be loaded: {error}") from error


class Stream:
    """A trained model that takes one token at a time.

    Args:
        document: what a file holds.

    Attributes:
        document: the same, without a state.
        features: F, the size of a token.
        size: of an answer.
        state: what each layer with a memory remembers, in order: a list of dicts of arrays, which may be kept,
            changed and set again. For a layer of Aaren or linear attention, what Keras's `step` gives for one
            sequence, a tuple of arrays, may be set too.

    Raises:
        ValueError: the document is not what the schema describes, or its arrays do not fit together.

    Example, an exponential moving average written by hand: one head, equal scores, 10 % forgotten with each token.

    >>> import numpy as np
    >>> from aaren.stream import Stream, encode
    >>> layer = {"kind": "aaren", "concat_heads": True, "activation": "linear"}
    >>> layer |= {"scores": encode(np.zeros((1, 1))), "values": encode(np.ones((1, 1, 1)))}
    >>> layer["forget"] = {"bias": encode(np.log([0.9 / 0.1]))}  # 0.9 = sigmoid(log(0.9 / 0.1))
    >>> stream = Stream({"format": "aaren.stream", "version": 1, "features": 1, "layers": [layer]})
    >>> [round(float(y[0]), 3) for y in stream.run([0, 1, 1])]  # 1 / 1.9, then 1.9 / 2.71
    [0.0, 0.526, 0.701]
    """

    def __init__(self, document: dict[str, Any]) -> None:
        check_document(document)
        self.document = {n: p for n, p in document.items() if n not in ("state", "checksum")}
        self.features: int = document["features"]
        self.layers, self.size = build(document["layers"], self.features)
        self._shape = (self.features,)  # of the last token
        if "state" in document:
            self.state = [{n: decode(a) for n, a in part.items()} for part in document["state"]]

    def step(self, x_t: Any) -> np.ndarray:
        """Take one token (F,), or a number where F is 1; give the answer to the tokens so far."""
        x = np.asarray(x_t, "float64")
        if x.shape != self._shape:
            x = self._other(x)
        with np.errstate(invalid="ignore"):  # a token that is NaN or infinite is answered by NaN
            for layer in self.layers:
                x = layer.step(x)
        return x

    def run(self, x: Any) -> np.ndarray:
        """Take tokens (T, F), or T numbers where F is 1, one by one; give all answers."""
        answers = [self.step(x_t) for x_t in x]
        return np.array(answers) if answers else np.zeros((0, self.size))

    def _other(self, x):
        """A token of another shape than the last: a number, the first of a batch, or one that does not fit."""
        if x.ndim == 0 and self.features == 1:
            return x[None]
        if x.shape[-1:] != (self.features,):
            raise ValueError(f"`x_t` must have {self.features} features; got shape {x.shape}.")
        what = f"have shape {self._shape} as before, until `reset()`"
        require(len(self._shape) == 1 or not self.state, "`x_t`", what, x.shape)
        self._shape = x.shape
        return x

    def reset(self) -> None:
        """Forget all tokens."""
        self._shape = (self.features,)
        for layer in with_memory(self.layers):
            layer.reset()

    @property
    def state(self) -> list[dict[str, np.ndarray]]:
        return copy.deepcopy([layer.memory for layer in with_memory(self.layers)])

    @state.setter
    def state(self, state: Any) -> None:
        layers = list(with_memory(self.layers))
        fits = isinstance(state, (list, tuple)) and len(state) == len(layers)
        what = f"be a list, one entry for each of {len(layers)} layers with a memory"
        require(fits, "`state`", what, state)
        checked = [layer.checked(part) for layer, part in zip(layers, state)]
        batches = {batch for _, batch in checked}
        require(len(batches) < 2, "`state`", "be of one batch", batches)
        for layer, (memory, _) in zip(layers, checked):
            layer.memory = memory
        self._shape = (*next(iter(batches), ()), self.features)

    def save(self, path: str | PathLike[str], with_state: bool = True) -> None:
        """Write the file again, with the state as it is now."""
        state = [{n: encode(a, "float64") for n, a in part.items()} for part in self.state]
        write(self.document | ({"state": state} if with_state else {}), path)
