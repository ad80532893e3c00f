"""Keras's own harness for layers: config, symbolic shapes, types, masks, saving, training, mixed precision."""

import keras
import pytest

from aaren.layers import Aaren, AarenBlock, AarenCell, LinearSelfAttention, LinearSelfAttentionCell
from aaren.models import AttentionRNN, ScanRNNAttentionModel

pytestmark = [pytest.mark.backends, pytest.mark.slow]
SIZES = {"heads": 2, "dim": 3}
# layer, its arguments, the shape of its outputs for inputs (2, 7, 4), and how many weights it has
LAYERS = {
    "aaren": (Aaren, SIZES, (2, 7, 3), 4),
    "aaren, no bias, concat": (
        Aaren,
        {**SIZES, "use_bias": False, "concat_heads": True},
        (2, 7, 6),
        3,
    ),
    "constant": (Aaren, {**SIZES, "forget": "constant"}, (2, 7, 3), 5),
    "gate, last": (Aaren, {**SIZES, "forget": "gate", "return_sequences": False}, (2, 3), 6),
    "window, backwards": (Aaren, {**SIZES, "window": 3, "go_backwards": True}, (2, 7, 3), 4),
    "linear": (LinearSelfAttention, {**SIZES, "causal": True}, (2, 7, 3), 4),
    "linear, not causal": (LinearSelfAttention, SIZES, (2, 7, 3), 4),
    "block": (AarenBlock, {"heads": 2, "forget": "gate"}, (2, 7, 4), 16),
    "cell": (keras.layers.RNN, {"cell": lambda: AarenCell(2, 3)}, (2, 3), 4),
    "linear cell": (keras.layers.RNN, {"cell": lambda: LinearSelfAttentionCell(2, 3)}, (2, 3), 4),
    "scan model": (ScanRNNAttentionModel, {"heads": [2, 1], "dims": [3, 2]}, (2, 7, 2), 8),
    "loop model": (AttentionRNN, {"heads": [2, 1], "dims": [3, 2]}, (2, 7, 2), 8),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer, arguments, shape, weights", LAYERS.values(), ids=LAYERS)
def test_keras_own_harness(layer, arguments, shape, weights):
    # not public: a later Keras may move it. Cells are made here: TensorFlow must not start before tests configure it
    testing = pytest.importorskip("keras.src.testing")
    case = testing.TestCase()
    case.setUp()
    case.run_layer_test(
        layer,
        {name: value() if callable(value) else value for name, value in arguments.items()},
        input_shape=(2, 7, 4),
        expected_output_shape=shape,
        expected_num_trainable_weights=weights,
        supports_masking=True,
    )
