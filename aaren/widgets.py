"""Figures that the reader moves: with a kernel, on a static page, and as one picture."""

from aaren._book.explore import explore

__all__ = ["explore"]
