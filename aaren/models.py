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
from aaren.layers.base import as_sequence


class _Stack(keras.Model):
    """Arguments and single steps of a stack of attention layers; `_part` makes one of them."""

    built: bool

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
        self.supports_masking = True
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

    def step(self, x_t: Tensor, states: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        """Take one token: (B, F) and the states of all layers to (B, last size) and the new states.

        Starts from `get_initial_state(batch_size)`. Dropout is off.
        """
        new_states = []
        for part, state in zip(self.parts, states, strict=True):
            x_t, state = self._part_step(part, x_t, state)
            new_states.append(state)
        return x_t, new_states

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states of all layers that have seen nothing."""
        return [part.get_initial_state(batch_size) for part in self.parts]

    def compute_mask(self, inputs, mask=None):
        return mask

    def compute_output_shape(self, input_shape, *_, **__):
        return (*tuple(input_shape)[:2], self.parts[-1].output_size)

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
        **kwargs: of `keras.Model`: name, dtype.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this step leaves the states as they are.
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

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        for layer in self.parts:
            x = layer(x, mask=mask, training=training)
        return x

    def _part_shape(self, batch, features):
        return (batch, None, features)

    def _part_step(self, layer, x_t, state):
        return layer.step(x_t, state)


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
        self.rnn = keras.layers.RNN(
            _MaskedCells(self.parts), return_sequences=True, dtype=self.dtype_policy
        )

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        x = as_sequence(x, self.name)
        keep = ops.ones_like(x[..., :1]) if mask is None else ops.cast(mask, x.dtype)[..., None]
        for cell in self.parts:  # dropout masks are drawn before the loop, one a sequence
            cell.get_dropout_mask(x[:, 0])
            cell.get_recurrent_dropout_mask(x[:, 0])
        y = self.rnn(ops.concatenate([x, keep], axis=-1), training=training)
        for cell in self.parts:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        return y

    def _part_shape(self, batch, features):
        return (batch, features)

    def _part_step(self, cell, x_t, state):
        return cell(x_t, state)


class _MaskedCells(keras.layers.Layer):
    """Cells one after another; the last feature of the input says whether the step counts (1) or is masked (0).

    `keras.layers.RNN` takes a mask itself, but on JAX only for cells whose output is their first state.
    """

    def __init__(self, cells):
        super().__init__(dtype="float64" if cells[0].compute_dtype == "float64" else "float32")
        self.cells = cells
        self.built = True

    @property
    def state_size(self):
        return [size for cell in self.cells for size in cell.state_size]

    @property
    def output_size(self):
        return self.cells[-1].output_size

    def get_initial_state(self, batch_size=None):
        return [part for cell in self.cells for part in cell.get_initial_state(batch_size)]

    def call(self, inputs, states, training=False):
        x, keep = inputs[..., :-1], inputs[..., -1:] > 0
        states, new_states = list(states), []
        for cell in self.cells:
            old = [states.pop(0) for _ in cell.state_size]
            x, new = cell(x, old, training=training, keep=keep)
            new_states += new
        return x, new_states


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
