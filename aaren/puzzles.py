"""Write the book's functions yourself: `check` says whether they are right, and if not, why.

`aaren.widgets.live("puzzle", name=...)` shows the same puzzles in JavaScript, for a page where there is no Python.
"""

from aaren._book.puzzles import Verdict, answer, check, mistakes, stub

__all__ = ["Verdict", "answer", "check", "mistakes", "stub"]
