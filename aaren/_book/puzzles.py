"""Puzzles: the reader writes a function of the book, and is told whether it is right, and if not, why."""

import contextlib
import copy
import ctypes
import inspect
import io
import itertools
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aaren._book.answers import PUZZLES, Piece

SECONDS = 5.0  # for one call


@dataclass(frozen=True)
class Verdict:
    """What `check` found; true if the answer is right."""

    name: str
    # "right", "wrong", "costly", "uncounted", "raised", "endless", "changed" or "not yet"
    kind: str
    text: str
    mistake: str | None = None  # its name, where it is known
    cost: dict[str, int] = field(default_factory=dict)
    stages: dict[str, str] = field(
        default_factory=dict
    )  # of an answer that is wrong or not complete

    def __bool__(self) -> bool:
        return self.kind == "right"

    def __str__(self) -> str:
        return self.text

    def _ipython_display_(self):
        """Show nothing: `check` has printed it."""


def check(function: Callable[..., Any]) -> Verdict:
    """Try a puzzle's answer, print the verdict and return it.

    The puzzle is found by the function's name. Small inputs come first, so the input that is shown is the
    smallest that fails. Every known mistake is a function too: one that answers all inputs as yours does
    names the mistake. A call may take five seconds. Under the verdict on `hillis_steele` and `blelloch` stand the
    merges that yours makes of 8 letters, round by round.

    Args:
        function: your answer, under the name of the puzzle. `stub(name)` says what it takes and returns.

    Returns:
        A `Verdict`: true if right, with `text`, `kind`, `mistake`, `cost` (what was counted) and `stages`: which
        of the gradients, or which sweep of a tree, is right by itself.

    Raises:
        ValueError: for a name that is no puzzle's, or arguments that do not fit.

    Example:
        >>> def merge(left, right):
        ...     m = max(left.m, right.m)
        ...     return m, left.u + right.u, left.w + right.w
        >>> verdict = check(merge)
        merge: not right. The smallest input that fails (the larger maximum on the right):
          merge((0, 1, 3), (0.6931, 1, 5))
          yours: (0.6931, 2, 8)
          right: (0.6931, 1.5, 6.5)
        The mistake: neither sum is rescaled.
        >>> bool(verdict)
        False
    """
    name, puzzle = _find(function)
    verdict = _judge(name, puzzle, function)
    print(verdict.text)
    return verdict


def stub(name: str) -> str:
    """Return the empty function of a puzzle: its arguments, and what it returns.

    Example:
        >>> print(stub("cell"))
        def cell(state, score, value):
            \"\"\"Return the state (m, u, w) with one token more.\"\"\"
            ...
    """
    puzzle = _known(name)
    doc = inspect.cleandoc(puzzle.answer.__doc__)
    text = f'"""{doc}{chr(10) if chr(10) in doc else ""}"""'.replace("\n", "\n    ")
    return f"def {name}{inspect.signature(puzzle.answer)}:\n    {text}\n    ..."


def mistakes(name: str) -> dict[str, Callable[..., Any]]:
    """Return the known mistakes of a puzzle: a function for each, by what goes wrong in it.

    Example:
        >>> wrong = mistakes("cell")["the two factors are exchanged"]
        >>> [float(part) for part in wrong((0.0, 1.0, 3.0), 0.0, 5.0)]
        [0.0, 2.0, 8.0]
    """
    quiet = np.errstate(all="ignore")  # what overflows or divides 0 by 0 does so on purpose
    return {mistake: quiet(mutant) for mistake, mutant in _known(name).mistakes.items()}


def answer(name: str) -> Callable[..., Any]:
    """Return the right answer of a puzzle, as a function.

    Example:
        >>> [float(weight) for weight in answer("softmax")(np.log([1.0, 3.0])).round(2)]
        [0.25, 0.75]
    """
    return _known(name).answer


def _known(name):
    if name not in PUZZLES:
        raise ValueError(f"`name` must be one of {', '.join(PUZZLES)}; got {name!r}.")
    return PUZZLES[name]


def _find(function):
    name = getattr(function, "__name__", None)
    if not callable(function) or name not in PUZZLES:
        raise ValueError(
            f"`function` must bear the name of a puzzle: {', '.join(PUZZLES)}; got {name or function!r}. "
            "Write `def cell(state, score, value):` and give check(cell)."
        )
    puzzle = PUZZLES[name]
    wanted = inspect.signature(puzzle.answer)
    try:
        inspect.signature(function).bind(*wanted.parameters)
    except TypeError:
        raise ValueError(
            f"`{name}` must take the arguments {wanted}; got {inspect.signature(function)}."
        ) from None
    return name, puzzle


def _judge(name, puzzle, function):
    """The verdict: the first case that fails decides, then the cost."""
    cases, every = puzzle.cases(), []
    for number, (about, args) in enumerate(cases):
        found = _call(function, args)
        expected = _expected(puzzle, args, found)
        every.append((args, found, expected))
        trouble = _trouble(name, puzzle, args, found, expected)
        if trouble is None:
            continue
        kind, text = trouble
        if kind == "not yet":
            return Verdict(name, kind, text)
        mistake, stages, drawn = None, {}, []
        if kind in ("wrong", "raised"):
            every = _finished(puzzle, function, every, cases)
            mistake, stages = _mistake(puzzle, every), _stages(puzzle, every, number)
            drawn = _rounds(puzzle, every)
        shown = f"{name}({', '.join(map(_show, args))})"
        lines = [text.format(about=about, call=shown), *_lines(stages)]
        lines += [f"The mistake: {mistake}."] if mistake else []
        return Verdict(name, kind, "\n".join(lines + drawn), mistake, stages=stages)
    stages = _stages(puzzle, every, 0) if puzzle.parts else {}
    if "missing" in map(stages.get, puzzle.parts):
        lines = [f"{name}: not yet, for {len(cases)} inputs:", *_lines(stages)]
        return Verdict(name, "not yet", "\n".join(lines), stages=stages)
    verdict = _cost(name, puzzle, function, len(cases))
    return replace(verdict, text="\n".join([verdict.text, *_rounds(puzzle, every)]))


def _rounds(puzzle, every):
    """The merges of 8 letters, a line for each round: whatever could be done at once stands side by side."""
    found = every[puzzle.drawn][1] if puzzle.drawn and every else None
    rounds = sorted(found.args[1].rounds.items()) if found and found.error is None else []
    if not rounds:
        return []
    lines = [
        f"  round {number}: {_row(['·'.join(map(_letters, pair)) for pair in pairs], '  ')}"
        for number, pairs in rounds
    ]
    spared = any("" in pair for _, pairs in rounds for pair in pairs)
    return [
        "Your merges on 8 letters, each in the first round that can make it"
        + (" (E: the identity):" if spared else ":"),
        *_row(lines, "\n", "  ").split("\n"),
    ]


def _row(items, between, before=""):
    rest = [f"{before}and {len(items) - 8} more"] if len(items) > 8 else []
    return between.join(items[:8] + rest)


def _letters(text):
    return text[:8] + "…" if len(text) > 8 else text or "E"


def _lines(stages):
    return [f"  {stage}: {state}" for stage, state in stages.items()]


def _trouble(name, puzzle, args, found, expected):
    """What is wrong with one answer, as (kind, text), or None."""
    where = "({about}):\n  {call}"
    unfinished = found.error is not None and isinstance(found.error, NotImplementedError)
    empty = found.ended and found.error is None and (found.value is None or found.value is ...)
    if unfinished or empty:
        return "not yet", (
            f"{name}: not yet.\n  Write it so that it returns {puzzle.returns}."
            + ("" if unfinished else "\n  It returned nothing: is there a `return`?")
        )
    if not found.ended:
        return "endless", (
            f"{name}: no answer after {SECONDS:g} seconds. Does its loop end? It was stopped at {where}"
        )
    if found.error is not None:
        line = traceback.extract_tb(found.error.__traceback__)[-1].line
        at = f"\n  in the line: {line}" if line else ""
        said = f"{type(found.error).__name__}: {found.error}".rstrip(": ") + at
        return "raised", f"{name}: it failed at {where}\n  {_braced(said)}"
    if not _same(found.args, args):
        changed = [
            parameter
            for parameter, now, then in zip(
                inspect.signature(puzzle.answer).parameters, found.args, args
            )
            if not _same(now, then)
        ]
        return "changed", (
            f"{name}: it changed its argument `{changed[0]}`, which its caller still needs. Work on a copy. "
            f"It happened at {where}"
        )
    value, wanted = _given(puzzle, found.value, expected)
    misfit = _misfit(puzzle, value, wanted)
    if misfit is None and _same(value, wanted):
        return None
    yours, right = _show(found.value), _show(expected)
    if yours == right:
        yours, right = repr(found.value), repr(expected)
    reason = f"\n  It must return {puzzle.returns}; {misfit}." if misfit else ""
    return "wrong", (
        f"{name}: not right. The smallest input that fails {where}\n"
        f"  yours: {_braced(yours)}\n  right: {_braced(right)}{_braced(reason)}"
    )


def _braced(text):
    return text.replace("{", "{{").replace("}", "}}")


def _misfit(puzzle, value, expected):
    """How the form of an answer differs from the right one's: type, length or shape."""
    if isinstance(expected, (tuple, list)):
        if not isinstance(value, (tuple, list)):
            return f"yours is of type {type(value).__name__}"
        if len(value) != len(expected):
            return f"yours has {len(value)} instead of {len(expected)} parts"
        return next(filter(None, map(_misfit, itertools.repeat(puzzle), value, expected)), None)
    if isinstance(expected, Piece):
        return (
            None
            if isinstance(value, Piece)
            else "its items must come from x, identity and op alone"
        )
    try:
        got = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return f"yours holds {type(value).__name__} where numbers belong"
    if got.shape != np.shape(expected):
        return f"yours has the shape {got.shape} instead of {np.shape(expected)}"
    return None


def _same(one, other):
    """Equal up to rounding, NaN where NaN is; for answers and for arguments."""
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(other, str) or callable(other):
        return type(one) is type(other) and (callable(other) or one == other)
    try:
        one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    except (TypeError, ValueError):
        return False
    close = {"rtol": 1e-9, "atol": 1e-12, "equal_nan": True}
    return one.shape == other.shape and np.allclose(one, other, **close)


def _expected(puzzle, args, found):
    """The right answer, with as many parts as the one that was found, if those may be there."""
    right, value = puzzle.answer(*copy.deepcopy(args)), found.value
    if isinstance(value, (tuple, list)) and len(right) < len(value) <= len(
        puzzle.parts + puzzle.steps
    ):
        return (*right, *puzzle.more(*copy.deepcopy(args)))[: len(value)]
    return right


def _given(puzzle, value, expected):
    """An answer and what it should be, both without the parts that are missing."""
    if not puzzle.parts or not isinstance(value, (tuple, list)) or len(value) != len(expected):
        return value, expected
    pairs = [(part, right) for part, right in zip(value, expected) if not _empty(part)]
    return tuple(part for part, _ in pairs), tuple(right for _, right in pairs)


def _empty(part):
    return part is None or part is ...


def _finished(puzzle, function, every, cases):
    """What the function does with each input: (arguments, found, expected); nothing where it does not end."""
    every = list(every)
    with contextlib.redirect_stdout(io.StringIO()):  # what it prints was read up to here
        for _, args in cases[len(every) :]:
            found = _call(function, args)
            if not found.ended:
                return []
            every.append((args, found, _expected(puzzle, args, found)))
    return every


def _stages(puzzle, every, number):
    """Which stages are right by themselves, for a wrong answer or one that is not complete."""
    if puzzle.sweeps and every:
        args, found, _ = every[max(number, 2)]  # the first tree in which both sweeps merge
        return _sweeps("".join(args[0]), found.args[1].pairs)
    stages = {}
    for _, found, expected in every if puzzle.parts else ():
        value = found.value
        if not isinstance(value, (tuple, list)) or len(value) != len(expected):
            return {}
        for stage, part, right in zip(puzzle.parts + puzzle.steps, value, expected):
            state = "right" if _same(part, right) else "not right"
            if stages.get(stage, "right") == "right":
                stages[stage] = "missing" if _empty(part) else state
    return dict(reversed(stages.items()))


def _sweeps(letters, pairs):
    """Which sweep of Blelloch's tree fails first, by the merges that were made of these letters."""
    made = [pair for pair in pairs if all(pair)]  # others have the identity on a side
    tree, d = [], 1
    while d < len(letters):
        halves = [letters[k : k + d] for k in range(0, len(letters), d)]
        tree += zip(halves[::2], halves[1::2])
        d *= 2
    for pair in tree:
        if pair not in made:
            return {"up-sweep": f"not right; op{pair} is missing"} if made else {}
    for pair in tree:
        made.remove(pair)
    stray = next((pair for pair in made if not letters.startswith("".join(pair))), None)
    reason = "it makes no merge" if not made else "its merges are, what it returns is not"
    if stray:
        reason = f"op{stray} makes no prefix"
    return {"up-sweep": "right", "down-sweep": f"not right; {reason}"}


def _mistake(puzzle, every):
    """The name of the known mistake that answers every case as the function does."""
    for name, mutant in puzzle.mistakes.items():
        if every and all(_alike(puzzle, found, _call(mutant, args)) for args, found, _ in every):
            return name
    return None


def _alike(puzzle, one, other):
    if one.error is not None or other.error is not None:
        return type(one.error) is type(other.error)
    value = one.value
    if puzzle.parts and isinstance(
        value, (tuple, list)
    ):  # some may be missing, others come after them
        value = value[: len(other.value)]
        if all(map(_empty, value)):
            return False
    return _same(*_given(puzzle, value, other.value))


def _cost(name, puzzle, function, count):
    """The verdict on a function that answers every case rightly."""
    text, cost = f"{name}: right, for {count} inputs.", _counted(puzzle, function)
    if not cost:
        return Verdict(name, "right", text)
    used, best = _list(cost), _counted(puzzle, puzzle.answer)
    for what, least in (puzzle.least or {}).items():
        if cost[what] < least:
            text = (
                f"{name}: every answer is right, but not all that it takes is seen. For {puzzle.size}: {used}; "
                f"so many scores need {least} at least. Take exponentials with np.exp or math.exp, by these names."
            )
            return Verdict(name, "uncounted", text, cost=cost)
    wasteful = any(cost[what] > most for what, most in puzzle.limit.items())
    idle = not wasteful and _idle(puzzle, function, cost)
    if not (wasteful or idle):
        compared = "as the book's own does" if cost == best else f"the book's own: {_list(best)}"
        return Verdict(name, "right", f"{text} For {puzzle.size}: {used} ({compared}).", cost=cost)
    costs = ((name, mutant, _counted(puzzle, mutant)) for name, mutant in puzzle.mistakes.items())
    same = [
        name
        for name, mutant, other in costs
        if (_idle(puzzle, mutant, other) if idle else other == cost) and _right(puzzle, mutant)
    ]
    mistake = next(iter(same), None)
    but = f"it takes too much. For {puzzle.size}: {used}; the book's own: {_list(best)}."
    if idle:
        last = list(inspect.signature(puzzle.answer).parameters)[-1]
        but = f"{last} makes no difference. For {puzzle.size}: {used}; {puzzle.again[1]} as many."
    text = f"{name}: every answer is right, but {but}"
    text += f"\nThe mistake: {mistake}." if mistake else ""
    return Verdict(name, "costly", text, mistake, cost)


def _idle(puzzle, function, cost):
    """Whether the last argument makes no difference to a function that takes no more than a recurrence."""
    if not puzzle.again or sum(cost.values()) > puzzle.again[2]:
        return False
    return cost == _counted(puzzle, function, puzzle.again[0])


def _counted(puzzle, function, *last):
    """What a function costs, or nothing where that cannot be counted; with another last argument, if one is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        if puzzle.cost is None:
            return {}
        example = puzzle.example()
        sent = (*example[: len(example) - len(last)], *last)
        cost = _call(puzzle.cost, (function, sent)).value or {}
        return {what: cost[what] for what in puzzle.limit if what in cost}


def _right(puzzle, mutant):
    """Whether a mistake is one of cost alone."""
    return all(_same(_call(mutant, args).value, puzzle.answer(*args)) for _, args in puzzle.cases())


def _list(cost):
    return ", ".join(f"{what} {count:,d}" for what, count in cost.items())


def _show(value):
    """A value as the reader would write it, to four digits."""
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, np.ndarray) and value.size > 40:
        return f"<array of shape {value.shape}>"
    if isinstance(value, np.ndarray):
        return _show(value.tolist())
    if isinstance(value, tuple):
        return f"({', '.join(map(_show, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(_show, value))}]"
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.4g}"
    return repr(value)


# Calls that may not end ------------------------------------------------------------------------


@dataclass
class _Found:
    """What a call came to."""

    args: Any
    value: Any = None
    error: BaseException | None = None
    ended: bool = False


class _TooLong(BaseException):
    """Raised inside a call that is to stop; no `except Exception` holds it up."""


def _call(function, args):
    """Call with copies of the arguments, on a thread of its own: it can be left behind on any system."""
    found = _Found(copy.deepcopy(args))

    def work():
        with np.errstate(all="ignore"), contextlib.suppress(_TooLong):
            try:
                found.value = function(*found.args)
            except _TooLong:
                return
            except BaseException as error:  # SystemExit too: it would end the thread without a word
                found.error = error
            found.ended = True

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS)
    for _ in range(20):
        if not thread.is_alive():
            break
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(_TooLong)
        )
        thread.join(0.1)
    return found
