"""Attention layers that train in parallel over time and run token by token."""

from aaren.layers.aaren import Aaren, AarenCell
from aaren.layers.block import AarenBlock
from aaren.layers.linear import LinearSelfAttention, LinearSelfAttentionCell

__all__ = ["Aaren", "AarenBlock", "AarenCell", "LinearSelfAttention", "LinearSelfAttentionCell"]
