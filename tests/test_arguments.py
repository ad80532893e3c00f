"""Every constructor argument does something, and what it does survives saving.

An argument that is ignored, or missing in `get_config`, fails here; so does one that this table does not know.
"""

import functools
import inspect

import keras
import numpy as np
import pytest
from oracle import numpy

from aaren.layers import Aaren, AarenBlock, AarenCell, LinearSelfAttention, LinearSelfAttentionCell
from aaren.models import AttentionRNN, ScanRNNAttentionModel

CELL = dict(
    heads=3,
    dim=3,
    activation="tanh",
    concat_heads=True,
    dropout=0.5,
    recurrent_dropout=0.5,
    use_bias=False,
    kernel_initializer="ones",
    bias_initializer="ones",
    kernel_regularizer="l2",
    seed=8,
)
FORGETTING = dict(forget=["constant", "gate"], window=2)
LAYER = dict(return_sequences=False, return_state=True, stateful=True, go_backwards=True)
BLOCK = {
    name: CELL[name]
    for name in ("heads", "dim", "activation", "dropout", "recurrent_dropout", "seed")
}
MODEL = dict(
    heads=[3, 2],
    dims=[3, 2],
    activation="tanh",
    output_activation="tanh",
    concat_heads=True,
    dropout=0.5,
    recurrent_dropout=0.5,
    seed=8,
    return_state=True,
    **FORGETTING,
)
# what it is made with, and another value for each argument
TABLE = {
    Aaren: (dict(heads=2, dim=4, seed=7), {**CELL, **LAYER, **FORGETTING}),
    AarenCell: (dict(heads=2, dim=4, seed=7), {**CELL, **FORGETTING}),
    LinearSelfAttention: (dict(heads=2, dim=4, seed=7), {**CELL, **LAYER, "causal": True}),
    LinearSelfAttentionCell: (dict(heads=2, dim=4, seed=7), CELL),
    AarenBlock: (
        dict(heads=2, dim=4, seed=7),
        {**BLOCK, **FORGETTING}
        | dict(feed_forward=3, epsilon=0.5, return_state=True, go_backwards=True),
    ),
    ScanRNNAttentionModel: (
        dict(heads=[2, 2], dims=[4, 2], dropout=0.0, recurrent_dropout=0.0, seed=7),
        MODEL,
    ),
    AttentionRNN: (
        dict(heads=[2, 2], dims=[4, 2], dropout=0.0, recurrent_dropout=0.0, seed=7),
        MODEL,
    ),
}
# without dropout a seed has nothing to do
NEEDS = {"seed": dict(dropout=0.5)}
CASES = [
    pytest.param(
        *(make, name, value),
        id=f"{make.__name__}-{name}={value}",
        # loops over time and stacks take longer
        marks=[] if make in (Aaren, LinearSelfAttention) else [pytest.mark.slow],
    )
    for make, (_, others) in TABLE.items()
    for name, values in others.items()
    for value in (values if name == "forget" else [values])
]


def observed(make):
    """All that a user can see of a layer: what it starts from, its outputs with and without dropout, its states."""
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32") * 2
    keras.utils.set_random_seed(1)
    layer = make()
    model = (
        keras.layers.RNN(layer, return_sequences=True)
        if isinstance(layer, keras.layers.Layer) and hasattr(layer, "state_size")
        else layer
    )
    model.build(x.shape)
    start = [np.abs(w).mean() for w in model.get_weights()]
    shapes = [w.shape for w in model.get_weights()]
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(size=shape) for shape in shapes])
    mask = np.array([[True] * 4, [False, True, True, False]])
    seen = [model(x, mask=mask, training=True)]  # dropout is 0 where it is not what is changed
    if getattr(model, "stateful", False):
        seen.append(model(x))
    if hasattr(model, "reset_state"):
        model.reset_state()
    return dict(
        start=np.array(start),
        shapes=str(shapes),
        losses=np.array([float(numpy(loss)) for loss in model.losses]),
        mask=str(
            keras.tree.map_structure(
                lambda m: None if m is None else "mask", model.compute_mask(x, mask)
            )
        ),
        **{f"output {i}": part for i, part in enumerate(map(numpy, keras.tree.flatten(seen)))},
    )


@functools.cache
def plain(make, needed):
    """What is observed without the argument."""
    return observed(lambda: make(**(TABLE[make][0] | NEEDS.get(needed, {}))))


def same(a, b):
    return a.keys() == b.keys() and all(
        np.shape(a[k]) == np.shape(b[k])
        and (a[k] == b[k] if isinstance(a[k], str) else np.allclose(a[k], b[k], atol=1e-6))
        for k in a
    )


@pytest.mark.parametrize("make, name, value", CASES)
def test_an_argument_does_something_and_survives_saving(make, name, value):
    base, _ = TABLE[make]
    base = base | NEEDS.get(name, {})
    wanted = observed(lambda: make(**(base | {name: value})))
    assert not same(plain(make, name in NEEDS and name), wanted), f"{name}={value} changes nothing"
    config = make(**(base | {name: value})).get_config()
    again = observed(lambda: make.from_config(config))
    assert same(again, wanted), f"{name}={value} is lost in get_config"


@pytest.mark.parametrize("make", TABLE, ids=lambda make: make.__name__)
def test_no_argument_is_missing_here(make):
    of = ScanRNNAttentionModel.__mro__[1] if make in (ScanRNNAttentionModel, AttentionRNN) else make
    signature = inspect.signature(of.__init__ if of is not make else make)
    names = {
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    if make is LinearSelfAttentionCell:
        names = {n for n in inspect.signature(make.__mro__[1]).parameters} - {"kwargs"}
    assert names == set(TABLE[make][1])


@pytest.mark.parametrize("make", [ScanRNNAttentionModel, AttentionRNN])
def test_each_layer_of_a_model_has_a_seed_of_its_own(make):
    model = make([2, 2, 2], [3, 3, 3], seed=5)
    assert len({part.seed for part in model.parts}) == 3
