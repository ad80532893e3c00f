"""The gatekeeper: what each message says, word for word."""

import re

import keras
import numpy as np
import pytest

import aaren
from aaren import _checks
from aaren.layers import Aaren, AarenBlock, LinearSelfAttention
from aaren.models import AttentionRNN, ScanRNNAttentionModel

pytestmark = pytest.mark.backends


def attend(**change):
    given = dict(scores=np.zeros((2, 5, 3)), values=np.zeros((2, 5, 3, 4))) | change
    return aaren.prefix_attention(given.pop("scores"), given.pop("values"), **given)


def state(*shapes):
    return tuple(map(np.zeros, shapes))


RIGHT = (2, 3), (2, 3), (2, 3, 4)
ATTENTION = [
    (
        dict(scores=np.zeros((2, 5))),
        "`scores` must have shape (batch, time, heads) = (any, any, any); got shape (2, 5).",
    ),
    (
        dict(values=np.zeros((2, 5, 3))),
        "`values` must have shape (batch, time, heads, dim) = (any, any, any, any); got shape (2, 5, 3).",
    ),
    (
        dict(values=np.zeros((2, 6, 3, 4))),
        "`values` must have shape (batch, time, heads, dim), the first three as in `scores`, = (2, 5, 3, any); "
        "got shape (2, 6, 3, 4).",
    ),
    (
        dict(mask=np.ones((2, 6), bool)),
        "`mask` must have shape (batch, time) = (2, 5); got shape (2, 6).",
    ),
    (
        dict(reset=np.ones((1, 5), bool)),
        "`reset` must have shape (batch, time) = (2, 5); got shape (1, 5).",
    ),
    (
        dict(log_decay=np.zeros(4)),
        "`log_decay` must have shape (heads,) or (batch, time, heads) = (3); got shape (4,).",
    ),
    (
        dict(log_decay=np.zeros((2, 4, 3))),
        "`log_decay` must have shape (heads,) or (batch, time, heads) = (2, 5, 3); got shape (2, 4, 3).",
    ),
    (
        dict(log_decay=np.array([0.0, 0.5, -1.0])),
        "`log_decay` must be at most 0, the logarithm of a share that is kept; got 0.5. "
        "Give log(share), such as -0.1 for 90 %.",
    ),
    (dict(window=0), "`window` must be an integer of at least 1; got window=0."),
    (dict(window=True), "`window` must be an integer of at least 1; got window=True."),
    (
        dict(initial_state=(1, 2)),
        "`initial_state` must be a State: the 3 arrays (maximum, denominator, numerator); got tuple of length 2.",
    ),
    (
        dict(initial_state=7),
        "`initial_state` must be a State: the 3 arrays (maximum, denominator, numerator); got int.",
    ),
    (
        dict(initial_state=state((2, 1), *RIGHT[1:])),
        "`initial_state.maximum` must have shape (batch, heads) = (2, 3); got shape (2, 1).",
    ),
    (
        dict(initial_state=state((2, 3), (3, 3), (2, 3, 4))),
        "`initial_state.denominator` must have shape (batch, heads) = (2, 3); got shape (3, 3).",
    ),
    (
        dict(initial_state=state((2, 3), (2, 3), (2, 3, 5))),
        "`initial_state.numerator` must have shape (batch, heads, dim) = (2, 3, 4); got shape (2, 3, 5).",
    ),
    (
        dict(window=2, initial_state=state(*RIGHT)),
        "`initial_state` must be a WindowState: the 2 arrays (scores, values); got tuple of length 3.",
    ),
    (
        dict(window=2, initial_state=state((2, 3, 3), (2, 2, 3, 4))),
        "`initial_state.scores` must have shape (batch, window, heads) = (2, 2, 3); got shape (2, 3, 3).",
    ),
    (
        dict(window=2, initial_state=state((2, 2, 3), (2, 2, 3, 5))),
        "`initial_state.values` must have shape (batch, window, heads, dim) = (2, 2, 3, 4); got shape (2, 2, 3, 5).",
    ),
]


@pytest.mark.parametrize("change, message", ATTENTION)
def test_inputs_of_attention(change, message):
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        attend(**change)


@pytest.mark.parametrize("name", ["scores", "values", "mask", "reset", "log_decay"])
def test_what_is_no_array(name):
    with pytest.raises(ValueError, match=f"^`{name}` must be an array of numbers; got str: "):
        attend(**{name: "high"})


@pytest.mark.parametrize(
    "left, right, message",
    [
        ((1,), state(*RIGHT), "`left` must be a State: the 3 arrays (maximum, .*); got tuple of"),
        (state(*RIGHT), [1], "`right` must be a State: the 3 arrays (maximum, .*); got list of"),
        (
            state(*RIGHT),
            state((2, 3), (2, 3), (2, 3, 5)),
            "`right.numerator` must have shape that of left.numerator = (2, 3, 4); got shape (2, 3, 5).",
        ),
        (
            state((2, 3), (2, 1), (2, 3, 4)),
            state((2, 3), (2, 1), (2, 3, 4)),
            "`left.denominator` must have shape that of left.maximum = (2, 3); got shape (2, 1).",
        ),
        (
            state((2, 3), (2, 3), (2, 4, 4)),
            state((2, 3), (2, 3), (2, 4, 4)),
            "`left.numerator` must have shape that of left.maximum and one axis more, = (2, 3, any); "
            "got shape (2, 4, 4).",
        ),
    ],
)
def test_states_to_merge(left, right, message):
    words = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=f"^{words}"):
        aaren.merge(left, right)


def test_a_decay_between_states():
    empty = aaren.empty_state(2, 3, 4)
    with pytest.raises(
        ValueError, match=r"^`log_decay` must have shape that of left.maximum = \(2, 3\); got"
    ):
        aaren.merge(empty, empty, log_decay=np.zeros((3, 2)))
    aaren.merge(empty, empty, log_decay=np.zeros((2, 3)))  # 0 keeps all


def test_numbers_and_names():
    for good in (1, np.int64(3)):
        assert _checks.positive_int(good, "n") == good
    for bad in (0, -1, True, 1.0, "1", None):
        with pytest.raises(ValueError, match=f"`n` must be .* least 1; got n={bad!r}"):
            _checks.positive_int(bad, "n")
    assert _checks.positive_int(2, "n", at_least=2) == 2
    with pytest.raises(ValueError, match="at least 2; got n=1"):
        _checks.positive_int(1, "n", at_least=2)
    assert [_checks.rate(r, "p") for r in (0, 0.5, 1)] == [0.0, 0.5, 1.0]
    assert isinstance(_checks.rate(1, "p"), float)
    for bad in (-0.1, 1.1, True, "0.5", None):
        with pytest.raises(ValueError, match=r"^`p` must be a number from 0 to 1; got p="):
            _checks.rate(bad, "p")
    assert _checks.choice("a", "kind", ("a", None)) == "a"
    with pytest.raises(ValueError, match=r"^`kind` must be one of 'a', None; got kind='b'\.$"):
        _checks.choice("b", "kind", ("a", None))
    with pytest.raises(
        ValueError,
        match=re.escape(
            "`activation` must be the name of a Keras activation (such as 'silu' or 'linear'), a function or None; "
            "got activation='swoosh'."
        ),
    ):
        _checks.activation("swoosh")
    with pytest.raises(ValueError, match="^`name` must be an array of numbers; got str: "):
        _checks.sequence("high", "name")
    with pytest.raises(ValueError, match="^name was built for 4 features; got an input with 3, of"):
        _checks.features(keras.KerasTensor((2, None, 3)), 4, "name")
    assert _checks.optional("json", "it", "data").dumps(1) == "1"
    with pytest.raises(ImportError) as error:
        _checks.optional("aaren_no.such", "`it`", "data")
    assert str(error.value) == '`it` needs aaren_no, which is missing: pip install "aaren[data]"'


LAYERS = {
    "aaren": lambda: Aaren(1, 4, name="name"),
    "linear": lambda: LinearSelfAttention(1, 4, name="name"),
    "block": lambda: AarenBlock(1, name="name"),
    "scan": lambda: ScanRNNAttentionModel([1], [4], name="name"),
    "rnn": lambda: AttentionRNN([1], [4], name="name"),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layers_say_who_they_are_and_what_was_wrong(make):
    layer, x = make(), np.zeros((2, 5, 4), "float32")
    layer(x)
    of = "attention_0" if isinstance(layer, ScanRNNAttentionModel) else "name"
    words = re.escape(
        f"{of} was built for 4 features; got an input with 3, of shape (2, 5, 3). "
        "Send inputs of the first size, or make a new layer."
    )
    with pytest.raises(ValueError, match=words):
        layer(x[..., :3])
    with pytest.raises(ValueError, match=f"input of {of} must have shape .*; got shape"):
        layer(np.zeros((2, 5, 4, 1), "float32"))
    with pytest.raises(ValueError, match=r"`mask` must have shape \(batch, time\)"):
        layer(x, mask=np.ones((2, 4), bool))
    with pytest.raises(ValueError, match=r"`reset` must have shape \(batch, time\)"):
        layer(x, reset=np.ones((2, 4), bool))


def test_steps_say_what_was_wrong():
    block = AarenBlock(1, name="name")
    with pytest.raises(ValueError, match=r"^name is not built yet: call it once, or build it with"):
        block.get_initial_state(2)
    block.build((None, None, 4))
    state = block.get_initial_state(2)
    with pytest.raises(ValueError, match=r"`x_t` must have shape \(batch, features\)"):
        block.step(np.zeros((2, 3), "float32"), state)
    layer = Aaren(1, 4)
    layer.build((None, None, 4))
    with pytest.raises(ValueError, match=r"`x_t` must have shape \(batch, features\)"):
        layer.step(np.zeros((2, 3), "float32"), state)
    with pytest.raises(
        ValueError, match=r"^`state` must be the 3 arrays .* got list of length 1\."
    ):
        layer.step(np.zeros((2, 4), "float32"), [1])
    with pytest.raises(ValueError, match=r"`initial_state` must be the 3 arrays .* got int\."):
        layer(np.zeros((2, 3, 4), "float32"), initial_state=3)
    with pytest.raises(ValueError, match=r"`feed_forward` must be an integer"):
        AarenBlock(1, feed_forward=0)
    model = ScanRNNAttentionModel([1, 1], [4, 4])
    with pytest.raises(ValueError, match="list of 2 states, one a layer, .* got list of length 1"):
        model.step(np.zeros((2, 4), "float32"), [state])
    with pytest.raises(ValueError, match="got int of length none"):
        model.step(np.zeros((2, 4), "float32"), 3)


def test_what_a_layer_cannot_do_is_said_with_what_to_do():
    x = np.zeros((2, 3, 4), "float32")
    with pytest.raises(ValueError, match="`x_t` must be an array of numbers; got str: "):
        Aaren(1, 4).step("high", [])
    with pytest.raises(
        ValueError,
        match=r"^stateful=True needs a batch size that is known when the layer is built: give it with keras.Input\(",
    ):
        Aaren(1, 4, stateful=True).build((None, 3, 4))
    linear = LinearSelfAttention(1, 4)
    with pytest.raises(
        ValueError,
        match="LinearSelfAttention takes no `reset` over a whole sequence; give each episode a row of its own, or use",
    ):
        linear(x, reset=np.zeros((2, 3), bool))
    with pytest.raises(
        ValueError,
        match=r"^step\(\) takes tokens one at a time, but .* depends on later tokens\. Make the layer with causal=True\.$",
    ):
        linear.step(x[:, 0], linear.get_initial_state(2))


def test_symbols_and_tensors_pass_as_they_are():
    symbol = keras.Input((None, 2))
    assert _checks.tensor(symbol, "x") is symbol
    assert _checks.decay(symbol) is symbol  # its numbers are not known yet
    inputs = keras.Input((5, 3)), keras.Input((5, 3, 4)), keras.Input((5, 3))
    outputs = aaren.prefix_attention(inputs[0], inputs[1], log_decay=inputs[2])
    assert tuple(outputs.shape) == (None, 5, 3, 4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch")
def test_compiled_code_takes_no_numbers_out_of_a_decay():
    import torch

    double = torch.compile(lambda g: _checks.decay(g) * 2, fullgraph=True, backend="eager")
    g = -torch.rand(3)
    assert torch.equal(double(g), g * 2)
