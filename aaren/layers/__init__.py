"""Attention layers that train in parallel over time and run token by token.

Ways out, each executed in tests/test_exits.py. A one-step model, made by `layer.step` on `keras.Input`s, goes through
all of them, its state as inputs and outputs (but for AarenBlock to ONNX from PyTorch, where Keras's LayerNormalization
fails). Whole sequences: `model.export` from TensorFlow as SavedModel, of any length; as LiteRT, of a fixed length
(`keras.Input((100, features))`); `jax.export` with symbolic batch and time; `torch.export` with fixed sizes.

ONNX from TensorFlow takes whole sequences of any length, with `forget` and `window` too. It has no exact gelu, in no Keras layer: give AarenBlock another activation, such as "silu". On PyTorch,
ONNX of a scan over a sequence raises an error that says this.
"""

from aaren.layers.aaren import Aaren, AarenCell
from aaren.layers.block import AarenBlock
from aaren.layers.linear import LinearSelfAttention, LinearSelfAttentionCell

__all__ = ["Aaren", "AarenBlock", "AarenCell", "LinearSelfAttention", "LinearSelfAttentionCell"]
