"""What the reader does on the page: figures to move, components that compute, questions to answer before they open."""

from aaren._book.explore import explore, interact
from aaren._book.live import live
from aaren._book.predict import predict

__all__ = ["explore", "interact", "live", "predict"]
