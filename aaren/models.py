"""A stack of Aaren layers in its two forms: a parallel scan for training, an RNN for running.

Both have the same weights in the same order, so `set_weights(get_weights())` moves them either way, and with
dropout off both give the same outputs.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from aaren import _checks
from aaren._types import Activation, Shape, Tensor
from aaren.layers.aaren import Aaren, AarenCell


class _Stack(keras.Model):
    """Arguments and single steps of a stack of attention layers; `_part` makes one of them."""

    built: bool
    _part: Any

    def __init__(
        self,
        heads: Sequence[int],
        dims: Sequence[int],
        activation: Activation = "silu",
        output_activation: Activation = "linear",
        concat_heads: bool = False,
        dropout: float = 0.1,
        recurrent_dropout: float = 0.01,
        seed: int | None = None,
        forget: str | None = None,
        window: int | None = None,
        return_state: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.dims = _sizes(heads, dims)
        self.activation = _checks.activation(activation)
        self.output_activation = _checks.activation(output_activation, "output_activation")
        self.concat_heads = bool(concat_heads)
        self.dropout = _checks.rate(dropout, "dropout")
        self.recurrent_dropout = _checks.rate(recurrent_dropout, "recurrent_dropout")
        self.seed = seed
        self.forget, self.window = forget, window  # the parts check them
        self.return_state = bool(return_state)
        self.supports_masking = True
        self.autocast = False  # the layers cast: scores are made in full precision
        last = len(self.heads) - 1
        self.parts = [
            self._part(
                h,
                d,
                activation=self.output_activation if i == last else self.activation,
                concat_heads=self.concat_heads,
                dropout=self.dropout,
                recurrent_dropout=self.recurrent_dropout,
                seed=None if seed is None else seed + i,
                forget=forget,
                window=window,
                dtype=self.dtype_policy,
                name=f"attention_{i}",
            )
            for i, (h, d) in enumerate(zip(self.heads, self.dims, strict=True))
        ]

    def build(self, input_shape: Shape) -> None:
        if self.built:
            return
        shape = tuple(input_shape)
        if len(shape) not in (2, 3):
            raise ValueError(
                f"{type(self).__name__} takes (batch, time, features), or (batch, time) for one feature; "
                f"got shape {shape}."
            )
        features = shape[2] if len(shape) == 3 else 1
        for part in self.parts:
            part.build(self._part_shape(shape[0], features))
            features = part.output_size
        self.built = True

    def step(
        self, x_t: Tensor, states: Sequence[Any], reset: Tensor | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Take one token: (B, F) and the states of all layers to (B, last size) and the new states.

        Starts from `get_initial_state(batch_size)`. Dropout is off.
        """
        new_states = []
        for part, state in zip(self.parts, self._checked_states(states), strict=True):
            x_t, state = part.step(x_t, state, reset)
            new_states.append(state)
        return ops.cast(x_t, self.compute_dtype), new_states

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states of all layers that have seen nothing: a `State` a layer, the same for both models."""
        return [self._cell(part).empty(batch_size) for part in self.parts]

    def _cell(self, part):
        return part

    def _checked_states(self, states):
        if not isinstance(states, (list, tuple)) or len(states) != len(self.parts):
            count = len(states) if hasattr(states, "__len__") else "none"
            raise ValueError(
                f"`initial_state` must be a list of {len(self.parts)} states, one a layer, as `get_initial_state` "
                f"gives; got {type(states).__name__} of length {count}."
            )
        return [self._cell(p).as_state(list(s)) for p, s in zip(self.parts, states, strict=True)]

    def _with_states(self, y, states):
        """What `call` returns."""
        return (y, states) if self.return_state else y

    def compute_mask(self, inputs, mask=None):
        if not self.return_state:
            return mask
        return mask, [[None] * len(self._cell(part).state_shapes(1)) for part in self.parts]

    def compute_output_shape(self, input_shape, *_, **__):
        shape = tuple(input_shape)
        y = (*shape[:2], self.parts[-1].output_size)
        states = [list(self._cell(part).state_shapes(shape[0])) for part in self.parts]
        return self._with_states(y, states)

    def compute_output_spec(self, x, *_, **__):
        y, states = self.compute_output_shape(x.shape), []
        if self.return_state:
            y, states = y
        specs = [
            self._cell(part).as_state(
                [keras.KerasTensor(shape, self._cell(part).state_dtype) for shape in state]
            )
            for part, state in zip(self.parts, states)
        ]
        return self._with_states(keras.KerasTensor(y, self.compute_dtype), specs)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "trainable": self.trainable,
            "heads": list(self.heads),
            "dims": list(self.dims),
            "activation": keras.activations.serialize(self.activation),
            "output_activation": keras.activations.serialize(self.output_activation),
            "concat_heads": self.concat_heads,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
            "forget": self.forget,
            "window": self.window,
            "return_state": self.return_state,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


@keras.saving.register_keras_serializable("aaren")
class ScanRNNAttentionModel(_Stack):
    """A stack of `Aaren` layers: every prefix's output at once, by parallel scans. Train with this one.

    Args:
        heads: number of heads of each layer, as [10, 5].
        dims: size of each layer's heads, as [5, 2]; the last is the size of the outputs.
        activation: of all layers but the last.
        output_activation: of the last layer.
        concat_heads: False: a layer's output is the mean of its heads; True: the heads side by side.
        dropout: rate for the inputs of each layer, one mask a sequence.
        recurrent_dropout: rate for what each layer reads from its state, one mask a sequence.
        seed: of the dropout masks.
        forget, window: of all layers, as in `Aaren`.
        return_state: also return the list of the layers' final states.
        **kwargs: of `keras.Model`: name, dtype.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this step leaves the states as they are.
        reset: (B, T) bool; True: this token begins anew.
        initial_state: a list of states, one a layer: what `return_state`, `step` or `get_initial_state` gave.
        training: whether to drop; `True` outside training gives Monte-Carlo samples.

    Returns:
        (B, T, dims[-1]), or (B, T, heads[-1]·dims[-1]) with concat_heads.

    Raises:
        ValueError: lists of different lengths, or an argument out of range; the message names it.

    Example:

    >>> import aaren, numpy as np
    >>> model = aaren.models.ScanRNNAttentionModel(heads=[10, 5], dims=[5, 2])
    >>> tuple(model(np.random.rand(3, 20, 2).astype("float32")).shape)
    (3, 20, 2)

    Source: Feng et al. 2024, §3.3.
    """

    _part = Aaren

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for layer in self.parts:
            layer.return_state = self.return_state

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        initial_state: Sequence[Any] | None = None,
        training: bool | None = None,
    ) -> Any:
        given = [None] * len(self.parts)
        if initial_state is not None:
            given = self._checked_states(initial_state)
        states = []
        for layer, state in zip(self.parts, given, strict=True):
            x = layer(x, mask=mask, reset=reset, initial_state=state, training=training)
            if self.return_state:
                x, *parts = x
                states.append(layer.cell.as_state(parts))
        return self._with_states(x, states)

    def _part_shape(self, batch, features):
        return (batch, None, features)

    def _cell(self, part):
        return part.cell


@keras.saving.register_keras_serializable("aaren")
class AttentionRNN(_Stack):
    """The same stack as an RNN: one loop over time, through its `AarenCell` cells. Run with this one.

    Arguments, inputs and outputs are those of `ScanRNNAttentionModel`.

    Example:

    >>> import aaren, numpy as np
    >>> x = np.random.rand(3, 20, 2).astype("float32")
    >>> scan = aaren.models.ScanRNNAttentionModel([10, 5], [5, 2]); rnn = aaren.models.AttentionRNN([10, 5], [5, 2])
    >>> y = scan(x); rnn.build(x.shape); rnn.set_weights(scan.get_weights())
    >>> bool(np.allclose(rnn(x), y, atol=1e-5))
    True

    Source: Feng et al. 2024, §3.1 and §3.3.
    """

    _part = AarenCell

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chain = _Chain(self.parts)
        self.rnn = keras.layers.RNN(
            chain, return_sequences=True, return_state=True, dtype=chain.dtype_policy
        )

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        initial_state: Sequence[Any] | None = None,
        training: bool | None = None,
    ) -> Any:
        x = _checks.sequence(x, self.name)
        _checks.features(x, self.parts[0].features, self.name)
        mask, reset = _checks.by_step(mask, x, "mask"), _checks.by_step(reset, x, "reset")
        batch = ops.shape(x)[0]
        if mask is not None:
            mask = ops.cast(mask, "bool")
            x = ops.where(mask[..., None], x, ops.zeros_like(x))
        if reset is not None:
            x = ops.concatenate([x, ops.cast(reset, x.dtype)[..., None]], axis=-1)
        states = self.get_initial_state(batch) if initial_state is None else initial_state
        states = self._checked_states(states)
        before = self.parts[-1].combine(states[-1].output, self.rnn.compute_dtype)
        first = [before]
        for cell, state in zip(self.parts, states, strict=True):
            first += cell.to_flat(state)
            if training:  # dropout masks are drawn before the loop, one a sequence
                cell.get_dropout_mask(x[:, 0])
                cell.get_recurrent_dropout_mask(x[:, 0])
        y, _, *last = self.rnn(x, initial_state=first, mask=mask, training=bool(training))
        for cell in self.parts:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        if mask is not None:  # RNN gives zeros until the first step that counts
            none_yet = ops.equal(ops.cumsum(ops.cast(mask, "int32"), axis=1), 0)
            y = ops.where(none_yet[..., None], before[:, None], y)
        return self._with_states(ops.cast(y, self.compute_dtype), self.rnn.cell.states(last))

    def _part_shape(self, batch, features):
        return (batch, features)


class _Chain(keras.layers.Layer):
    """Cells one after another, for `keras.layers.RNN`: the last output, then all their states in one list.

    A feature more than the first cell has says where a token begins anew (1), since RNN passes nothing else.
    """

    def __init__(self, cells):
        super().__init__(dtype="float64" if cells[0].compute_dtype == "float64" else "float32")
        self.cells = cells
        self.output_size = cells[-1].output_size
        self.built = True

    @property
    def state_size(self):
        return [self.output_size, *(size for cell in self.cells for size in cell.state_size[1:])]

    def states(self, parts):
        """The cells' states, from the flat list without the output."""
        parts = list(parts)
        return [cell.from_flat([parts.pop(0) for _ in cell.state_size[1:]]) for cell in self.cells]

    def call(self, inputs, states, training=False):
        x, new = inputs[..., : self.cells[0].features], []
        reset = inputs[..., -1] > 0 if inputs.shape[-1] > x.shape[-1] else None
        for cell, state in zip(self.cells, self.states(states[1:]), strict=True):
            noise = (None, None)
            if training:
                noise = cell.get_dropout_mask(x), cell.get_recurrent_dropout_mask(x)
            x, state = cell.step(x, state, reset, noise)
            new += cell.to_flat(state)
        return x, [ops.cast(part, old.dtype) for part, old in zip([x, *new], states, strict=True)]


def _sizes(heads, dims):
    """Two lists of the same length; a single number is a list of one."""
    heads, dims = (
        list(sizes) if isinstance(sizes, (list, tuple)) else [sizes] for sizes in (heads, dims)
    )
    if len(heads) != len(dims) or not heads:
        raise ValueError(
            f"`heads` and `dims` must have one entry a layer each; got {len(heads)} heads {heads} and {len(dims)} dims {dims}."
        )
    for name, sizes in (("heads", heads), ("dims", dims)):
        for i, size in enumerate(sizes):
            sizes[i] = _checks.positive_int(size, f"{name}[{i}]")
    return heads, dims
