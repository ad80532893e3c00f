"""The puzzles: what is asked, the right answers, the mistakes that are known by name, and what is tried.

Whoever wants to solve them reads no further. Each has a file parts/puzzle-NAME.js: the answer and the mistakes once
more, in JavaScript. The inputs stand here alone, and a test compares what both languages say of each mistake.
"""

import contextlib
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

INF = math.inf


class Puzzle(NamedTuple):
    chapter: int
    answer: Callable  # its signature and docstring are the task
    returns: str  # what a right answer returns, in words
    mistakes: dict[str, Callable]  # what goes wrong, and a function that does it
    cases: Callable[[], list]  # pairs (what is special, arguments), the smallest first
    cost: Callable | None = None  # counts what a function does with an example: {"merges": 14, ...}
    example: Callable[[], tuple] | None = None  # its arguments
    limit: dict[str, int] | None = None  # what is counted, and how much is still allowed
    size: str = ""  # of the example, in words
    parts: tuple[str, ...] = ()  # of an answer that is judged part by part
    steps: tuple[str, ...] = ()  # on the way: what may come after those parts,
    more: Callable | None = None  # and what is right there
    sweeps: bool = False  # a wrong answer is told which sweep of the tree fails first
    drawn: int | None = None  # the case of 8 letters, whose merges are shown round by round
    least: dict[str, int] | None = None  # less of what is counted cannot do: not all of it was seen
    # another last argument, that in words, and the most that a recurrence takes, to which it makes no difference
    again: tuple[int, str, int] | None = None


class Triple(NamedTuple):
    m: Any  # maximum of the scores
    u: Any  # sum of exponentials, relative to m: the denominator
    w: Any  # the same sum, weighted by the values: the numerator


class Kept(NamedTuple):
    """What a forward pass keeps for the way back."""

    s: Any  # scores (T, 1)
    v: Any  # values (T, D)
    m: Any  # maximum of each prefix, (T, 1)
    u: Any  # denominator of each prefix, (T, 1)
    o: Any  # output of each prefix, (T, D)


def short(numbers, digits=4):
    """Inputs with few digits: the same on every processor, and in the puzzles' JavaScript."""
    rounded = np.round(numbers, digits)
    return rounded if rounded.shape else float(rounded)


def ln(numbers):
    return short(np.log(numbers), 10)


# What is counted -----------------------------------------------------------------------------


class Piece(str):
    """A stretch of the sequence, by its letters. Joined wrongly, it shows; `chain` counts merges in a row."""

    chain = 0


class Join:
    """The operator of the scans: it joins stretches, left before right, and counts."""

    def __init__(self):
        self.merges, self.pairs = 0, []
        self.rounds = {}  # the pairs by the first round that can merge them

    def __call__(self, left, right):
        self.merges += 1
        self.pairs.append((str(left), str(right)))
        joined = Piece(str.__add__(left, right))
        joined.chain = 1 + max(left.chain, right.chain)
        self.rounds.setdefault(joined.chain, []).append(self.pairs[-1])
        return joined

    def __repr__(self):
        return "op"


def letters(n):
    signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
    return [Piece(sign) for sign in signs[:n]]


def merges(function, args):
    """Count the merges of a scan, and the longest chain in which one waits for another."""
    found = function(*args)
    return {"merges": args[1].merges, "longest chain": max(piece.chain for piece in found)}


EXPONENTIALS = np.exp, np.exp2, np.expm1, np.logaddexp, np.logaddexp2
POWERS = np.power, np.float_power


class Counted(np.ndarray):
    """An array that counts the exponentials which are taken of it and of what is made of it, e ** x too."""

    def __array_finalize__(self, other):
        self.tally = getattr(other, "tally", None)

    def _count(self, result):
        if type(result) is np.ndarray:
            result = result.view(Counted)
        if isinstance(result, Counted):
            result.tally = self.tally
        return result

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **rest):
        bare = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        if out:
            rest["out"] = tuple(x.view(np.ndarray) if isinstance(x, Counted) else x for x in out)
        result = getattr(ufunc, method)(*bare, **rest)
        if ufunc in EXPONENTIALS or ufunc in POWERS and isinstance(inputs[1], Counted):
            self.tally.append(np.size(result))
        return out[0] if out else self._count(result)

    def __array_function__(self, function, types, args, rest):
        result = super().__array_function__(function, types, args, rest)
        return self._count(result)


NAMED = {
    (module, name): getattr(module, name)
    for module, names in ((np, ("exp", "exp2", "expm1")), (math, ("exp", "exp2", "expm1", "pow")))
    for name in names
}


@contextlib.contextmanager
def _named(tally):
    """Count by their names too: single numbers and plain arrays do not know that they are counted."""

    def counts(plain):
        def function(x, *rest, **more):
            result = plain(x, *rest, **more)
            if plain not in EXPONENTIALS or not isinstance(x, Counted):
                tally.append(np.size(result))
            return result

        return function

    for (module, name), plain in NAMED.items():
        setattr(module, name, counts(plain))
    try:
        yield
    finally:
        for (module, name), plain in NAMED.items():
            setattr(module, name, plain)


def exponentials(function, args):
    """Count the exponentials that a function takes. Those of e ** x on single numbers nothing can see."""
    tally = []
    s, v = (part.view(Counted) for part in args[:2])
    s.tally = v.tally = tally
    with _named(tally):
        function(s, v, *args[2:])
    return {"exponentials": sum(tally)}


# Chapter 2 -----------------------------------------------------------------------------------


def softmax(scores):
    """Return the weights of an array of scores: positive, of sum 1, for scores of any size."""
    e = np.exp(scores - np.max(scores))
    return e / e.sum()


def _shifted(shift):
    """A softmax that subtracts another number."""

    def mutant(scores):
        e = np.exp(scores - shift(scores))
        return e / e.sum()

    return mutant


SOFTMAX = {
    "no maximum is subtracted": _shifted(lambda s: 0.0),
    "the minimum is subtracted": _shifted(np.min),
    "the mean is subtracted": _shifted(np.mean),
    "the maximum is started at 0": _shifted(lambda s: np.max(s, initial=0.0)),
    "the size of the largest score is subtracted, without its sign": _shifted(
        lambda s: np.max(np.abs(s))
    ),
    "the weights are not divided by their sum": lambda s: np.exp(s - np.max(s)),
    "the weights are divided by their number": lambda s: np.exp(s - np.max(s)) / np.size(s),
    "the powers are those of 2": lambda s: softmax(s * math.log(2)),
    "the scores themselves are divided by their sum": lambda s: s / s.sum(),
}


def softmax_cases():
    rng = np.random.default_rng(2)
    return [
        ("one score", (np.array([0.0]),)),
        ("one score", (np.array([2.0]),)),
        ("two scores", (ln([1.0, 2.0]),)),
        ("three scores", (ln([1.0, 2.0, 5.0]),)),
        ("negative scores", (np.array([-2.0, -1.0]),)),
        ("a large score", (np.array([0.0, 1000.0]),)),
        ("very negative scores", (np.array([-1000.0, -1001.0]),)),
        ("a very negative score", (np.array([0.0, -1000.0]),)),
        ("scores far apart", (np.array([0.0, 0.0, 0.0, 2000.0]),)),
        *(("many scores", (short(rng.normal(scale=s, size=n)),)) for n, s in ((4, 1), (30, 30))),
    ]


# Chapter 3 -----------------------------------------------------------------------------------


def cell(state, score, value):
    """Return the state (m, u, w) with one token more."""
    return _cell(lambda p: (p.top, p.u * p.old + p.new, p.w * p.old + p.new * p.v))(
        state, score, value
    )


def _cell(pick):
    """A cell made of its parts; they are those of the right one, and `pick` joins them."""

    def function(state, score, value, g=0.0):
        m, u, w = state
        kept = m + g
        top = max(kept, score)
        ruler = 0.0 if top == -INF else top
        p = SimpleNamespace(m=m, u=u, w=w, s=score, v=value, g=g, top=top, kept=kept)
        p.old, p.new = np.exp(kept - ruler), np.exp(score - ruler)
        return pick(p)

    return function


def _ruler(pick):
    """A cell that measures with another maximum."""

    def function(state, score, value):
        m, u, w = state
        top = pick(m, score)
        old, new = np.exp(m - top), np.exp(score - top)
        return top, u * old + new, w * old + new * value

    return function


def _newest(p):
    return p.s, p.u * np.exp(p.m - p.s) + 1, p.w * np.exp(p.m - p.s) + p.v


CELL = {
    "the old sums are not rescaled": _cell(lambda p: (p.top, p.u + p.new, p.w + p.new * p.v)),
    "the old numerator is not rescaled": _cell(
        lambda p: (p.top, p.u * p.old + p.new, p.w + p.new * p.v)
    ),
    "the old denominator is not rescaled": _cell(
        lambda p: (p.top, p.u + p.new, p.w * p.old + p.new * p.v)
    ),
    "the two factors are exchanged": _cell(
        lambda p: (p.top, p.u * p.new + p.old, p.w * p.new + p.old * p.v)
    ),
    "the new term counts 1, whatever its score": _cell(
        lambda p: (p.top, p.u * p.old + 1, p.w * p.old + p.v)
    ),
    "the new value enters without its weight": _cell(
        lambda p: (p.top, p.u * p.old + p.new, p.w * p.old + p.v)
    ),
    "the maximum is the newest score": _ruler(lambda m, s: s),
    "the maximum is not below 0": _ruler(lambda m, s: max(m, s, 0.0)),
    "the smaller score is taken for the maximum": _ruler(min),
    "no maximum is subtracted": _cell(
        lambda p: (p.top, p.u + np.exp(p.s), p.w + np.exp(p.s) * p.v)
    ),
    "the new term is measured by the old maximum": _cell(
        lambda p: (p.top, p.u * p.old + np.exp(p.s - p.m), p.w * p.old + np.exp(p.s - p.m) * p.v)
    ),
}


def cell_cases():
    rng = np.random.default_rng(3)
    empty, two = Triple(-INF, 0.0, np.zeros(2)), np.array([4.0, 0.0])
    one = Triple(0.0, 1.0, np.array([0.0, 8.0]))
    several = [
        ("the first token", (empty, 0.0, np.array([0.0, 8.0]))),
        ("an equal score", (one, 0.0, two)),
        ("a score above the maximum", (one, ln(2), two)),
        ("a score below the maximum", (one, -ln(2), two)),
        ("a masked token", (one, -INF, two)),
        ("a first score below 0", (empty, -1.0, two)),
        ("scores below 0", (Triple(-2.0, 1.5, np.array([1.0, 2.0])), -1.0, two)),
        ("very negative scores", (Triple(-1000.0, 1.0, two), -1001.0, two)),
        ("very large scores", (Triple(1000.0, 1.0, two), 1001.0, two)),
    ]
    for _ in range(6):
        m, s = (short(x) for x in rng.normal(scale=3, size=2))
        state = Triple(m, short(rng.uniform(1, 5)), short(rng.normal(size=2)))
        several.append(("scores of any size", (state, s, short(rng.normal(size=2)))))
    return several


# Chapter 4 -----------------------------------------------------------------------------------


def merge(left, right):
    """Return the triple (m, u, w) of two sets of tokens from their triples; empty: (-inf, 0, 0)."""
    return _merge(lambda p: (p.top, p.f * p.a.u + p.g * p.b.u, p.f * p.a.w + p.g * p.b.w))(
        left, right
    )


def _merge(pick, top=max, ruled=True):
    """⊕ made of its parts: two triples a and b and their factors f and g."""

    def function(left, right):
        a, b = Triple(*left), Triple(*right)
        p = SimpleNamespace(a=a, b=b, top=top(a.m, b.m))
        ruler = 0.0 if ruled and p.top == -INF else p.top
        p.f, p.g = np.exp(a.m - ruler), np.exp(b.m - ruler)
        return pick(p)

    return function


def _both(p):
    return p.top, p.f * p.a.u + p.g * p.b.u, p.f * p.a.w + p.g * p.b.w


MERGE = {
    "two empty sets give NaN: -inf - (-inf) is not a number": _merge(_both, ruled=False),
    "the right-hand sums are not rescaled": _merge(
        lambda p: (p.top, p.f * p.a.u + p.b.u, p.f * p.a.w + p.b.w)
    ),
    "the left-hand sums are not rescaled": _merge(
        lambda p: (p.top, p.a.u + p.g * p.b.u, p.a.w + p.g * p.b.w)
    ),
    "the numerators are not rescaled": _merge(
        lambda p: (p.top, p.f * p.a.u + p.g * p.b.u, p.a.w + p.b.w)
    ),
    "the denominators are not rescaled": _merge(
        lambda p: (p.top, p.a.u + p.b.u, p.f * p.a.w + p.g * p.b.w)
    ),
    "neither sum is rescaled": _merge(lambda p: (p.top, p.a.u + p.b.u, p.a.w + p.b.w)),
    "the two factors are exchanged": _merge(
        lambda p: (p.top, p.g * p.a.u + p.f * p.b.u, p.g * p.a.w + p.f * p.b.w)
    ),
    "the smaller maximum is taken": _merge(_both, top=min),
    "the right-hand maximum is taken": _merge(_both, top=lambda a, b: b),
    "the maximum is not below 0": _merge(_both, top=lambda a, b: max(a, b, 0.0)),
    "m is the logarithm of a sum, not the larger maximum, though w / u is right": _merge(
        _both, top=np.logaddexp
    ),
    "m is the logarithm of a sum, not the larger maximum, and two empty sets give NaN": _merge(
        _both, top=np.logaddexp, ruled=False
    ),
    "the outputs are added, not the sums": _merge(
        lambda p: (p.top, p.f * p.a.u + p.g * p.b.u, p.f * p.a.w / p.a.u + p.g * p.b.w / p.b.u)
    ),
}


def merge_cases():
    rng = np.random.default_rng(4)
    empty, one = Triple(-INF, 0.0, 0.0), Triple(0.0, 1.0, 3.0)
    several = [
        ("one token with another of the same score", (one, Triple(0.0, 1.0, 5.0))),
        ("the larger maximum on the right", (one, Triple(ln(2), 1.0, 5.0))),
        ("the larger maximum on the left", (Triple(ln(2), 1.0, 5.0), one)),
        ("two tokens and one", (Triple(0.0, 1.5, 2.0), one)),
        ("an empty set on the left", (empty, one)),
        ("an empty set on the right", (one, empty)),
        ("two empty sets", (empty, empty)),
        ("scores below 0", (Triple(-2.0, 1.5, 4.0), Triple(-1.0, 1.0, 2.0))),
        ("very large scores", (Triple(1000.0, 1.5, 4.0), Triple(1001.0, 1.0, 2.0))),
    ]
    for _ in range(6):
        m, u, w = rng.normal(scale=3, size=2), rng.uniform(1, 5, size=2), rng.normal(size=2)
        pair = zip(short(m).tolist(), short(u).tolist(), short(w).tolist())
        several.append(("scores of any size", tuple(Triple(*parts) for parts in pair)))
    return several


# Chapter 5 -----------------------------------------------------------------------------------


def hillis_steele(x, op):
    """Return all prefixes of the list x, merged by op, in ⌈log₂ T⌉ rounds."""
    x, d = list(x), 1
    while d < len(x):
        x = x[:d] + [op(x[k - d], x[k]) for k in range(d, len(x))]
        d *= 2
    return x


def sequential(x, op, *_):
    y = list(x[:1])
    for item in x[1:]:
        y.append(op(y[-1], item))
    return y


def _rounds(step, grow=lambda d: 2 * d, stop=1):
    """Hillis and Steele's scan with another round, another next distance or another end."""

    def function(x, op):
        x, d = list(x), 1
        while stop * d < len(x):
            x = step(x, d, op)
            d = grow(d)
        return x

    return function


def _round(x, d, op):
    return x[:d] + [op(x[k - d], x[k]) for k in range(d, len(x))]


def _in_place(x, d, op):
    for k in range(d, len(x)):
        x[k] = op(x[k - d], x[k])
    return x


def _tree(x, op):
    if len(x) == 1:
        return x[0]
    half = 1 << (len(x) - 1).bit_length() - 1
    return op(_tree(x[:half], op), _tree(x[half:], op))


HILLIS_STEELE = {
    "a round reads what the same round has written": _rounds(_in_place),
    "left and right are exchanged": _rounds(
        lambda x, d, op: x[:d] + [op(x[k], x[k - d]) for k in range(d, len(x))]
    ),
    "the distance grows by 1 instead of doubling": _rounds(_round, grow=lambda d: d + 1),
    "the last round is missing": _rounds(_round, stop=2),
    "the prefixes are exclusive: each lacks its own item": lambda x, op: (
        [Piece("")] + hillis_steele(x, op)[:-1]
    ),
    "the positions that have finished are dropped": _rounds(
        lambda x, d, op: [op(x[k - d], x[k]) for k in range(d, len(x))]
    ),
    "each looks to the right": _rounds(
        lambda x, d, op: [op(x[k], x[k + d]) for k in range(len(x) - d)] + x[len(x) - d :]
    ),
    "it is the recurrence: each merge waits for the one before": sequential,
    "each prefix is merged from scratch": lambda x, op: [
        _tree(x[: k + 1], op) for k in range(len(x))
    ],
}


def hillis_cases():
    return [(_items(n), (letters(n), Join())) for n in (1, 2, 3, 4, 5, 7, 8, 16, 33, 64)]


def _items(n):
    kind = " (a power of two)" if n > 2 and n & (n - 1) == 0 else ""
    return "one item" if n == 1 else f"{n} items{kind}"


def blelloch(x, op, identity):
    """Return all prefixes of the list x, merged by op, in at most 2 T merges (T rounded up to a power of two)."""
    return _sweeps()(x, op, identity)


def _up(x, op):
    d = 1
    while d < len(x):
        for k in range(2 * d - 1, len(x), 2 * d):
            x[k] = op(x[k - d], x[k])
        d *= 2
    return x


def _down(x, op, pair):
    d = len(x) // 2
    while d >= 1:
        for k in range(2 * d - 1, len(x), 2 * d):
            x[k - d], x[k] = pair(x[k - d], x[k], op)
        d //= 2
    return x


def _told(left, message, op):
    return message, op(message, left)


def _sweeps(pair=_told, fill=True, clear=True, end=lambda before, total: before[1:] + [total]):
    """Blelloch's scan, with another step of the way down or another end."""

    def function(x, op, identity):
        n = len(x)
        x = list(x) + [identity] * ((1 << (n - 1).bit_length()) - n) * fill
        x = _up(x, op)
        total = x[-1]
        if clear:
            x[-1] = identity
        return end(_down(x, op, pair), total)[:n]

    return function


BLELLOCH = {
    "the message is merged on the wrong side: it came first": _sweeps(
        lambda left, message, op: (message, op(left, message))
    ),
    "the left child is not told the message": _sweeps(
        lambda left, message, op: (left, op(message, left))
    ),
    "the right child is told the message of its parent": _sweeps(
        lambda left, message, op: (message, message)
    ),
    "the root is not cleared to the identity": _sweeps(clear=False),
    "lengths that are no power of two are not filled up": _sweeps(fill=False),
    "the prefixes are exclusive: each lacks its own item": _sweeps(
        end=lambda before, total: before
    ),
    "the total is not appended": _sweeps(end=lambda before, total: before[1:]),
    "only the way up is taken": lambda x, op, identity: _up(
        list(x) + [identity] * ((1 << (len(x) - 1).bit_length()) - len(x)), op
    )[: len(x)],
    "it is the recurrence: each merge waits for the one before": sequential,
    "it is Hillis and Steele's scan, with a merge at almost every position of every round": (
        lambda x, op, identity: hillis_steele(x, op)
    ),
}


def blelloch_cases():
    return [(_items(n), (letters(n), Join(), Piece(""))) for n in (1, 2, 4, 3, 5, 7, 8, 16, 33, 64)]


# Chapter 6 -----------------------------------------------------------------------------------


def blocked(s, v, C):
    """Return the outputs (T, D) of all prefixes of scores s (T, 1) and values v (T, D), in blocks of C."""
    return _blocks()(s, v, C)


def _blocks(carry=None, lower=0, own=False, cut=False, join=None, late=False, local=False):
    """The blocked sums, with another carry, another triangle or another maximum."""

    def function(s, v, C):
        top, past, outputs = -INF, np.zeros((1, 1 + v.shape[1])), []
        ones = np.concatenate([np.ones_like(s), v], axis=1)
        for first in range(0, len(s), C):
            block, x = s[first : first + C], ones[first : first + C]
            if cut and len(block) < C:
                break
            m = np.maximum.accumulate(np.maximum(block, top))
            m = np.full_like(m, m[-1, 0]) if own else m
            weights = _weights(block, m, lower, late)
            factor = np.exp(top - m) if carry is None else carry(top, m)
            alone = weights @ x
            y = alone + factor * past if join is None else join(alone, factor * past)
            top, past = -INF if local else m[-1, 0], (y if join != _before else alone)[-1:]
            outputs.append(y[:, 1:] / y[:, :1])
        return np.concatenate(outputs) if outputs else np.zeros((0, v.shape[1]))

    return function


def _weights(s, m, lower, late):
    """The triangle of weights, row k measured by m[k]; masked late, what overflows above it becomes NaN."""
    seen = np.tri(len(s), k=lower)
    return np.exp(s.T - m) * seen if late else np.exp(np.where(seen > 0, s.T - m, -INF))


def _before(alone, carried):
    return alone + carried


def _numerator_only(alone, carried):
    return alone + np.concatenate([np.zeros_like(carried[:, :1]), carried[:, 1:]], axis=1)


def quadratic(s, v, C):
    m = np.maximum.accumulate(s)
    weights = np.exp(np.where(np.tri(len(s)) > 0, s.T - m, -INF))
    return weights @ v / weights.sum(axis=1, keepdims=True)


def step_by_step(s, v, C):
    m, u, w, outputs = np.array([-INF]), 0.0, 0.0, []
    for score, value in zip(s, v, strict=True):
        before, m = m, np.maximum(m, score)
        keep, add = np.exp(before - m), np.exp(score - m)
        u, w = keep * u + add, keep * w + add * value
        outputs.append(w / u)
    return np.array(outputs)


BLOCKED = {
    "each block begins anew: nothing is carried": _blocks(local=True),
    "the maximum is carried, the sums are not": _blocks(lambda top, m: np.zeros_like(m)),
    "what is carried is not rescaled to the new maximum": _blocks(
        lambda top, m: np.full_like(m, top > -INF)
    ),
    "only the block before is carried, not all before it": _blocks(join=_before),
    "the numerator is carried, the denominator is not": _blocks(join=_numerator_only),
    "one maximum serves a whole block: weights underflow to 0 / 0": _blocks(own=True),
    "masked after the exponential: inf · 0 is NaN": _blocks(late=True),
    "a prefix sees its whole block, later tokens too": _blocks(lower=10**6),
    "token k is missing from its own prefix": _blocks(lower=-1),
    "a last block that is shorter is left out": _blocks(cut=True),
    "all T × T weights are computed: nothing is saved by the blocks": quadratic,
    "it is the recurrence: each token waits for the one before": step_by_step,
}


def tokens(n, scale=4.0, dim=2):
    rng = np.random.default_rng(n)
    return short(rng.normal(scale=scale, size=(n, 1))), short(rng.normal(size=(n, dim)))


def blocked_cases():
    s, v = ln([[1.0], [2.0], [4.0], [1.0]]), np.array([[4.0], [1.0], [3.0], [2.0]])
    several = [
        ("one token", (s[:1], v[:1], 2)),
        ("one block", (s[:2], v[:2], 2)),
        ("a last block that is shorter", (s[:3], v[:3], 2)),
        ("two blocks", (s, v, 2)),
        ("blocks of one", (s, v, 1)),
        ("equal scores", (np.zeros((4, 1)), v, 2)),
        # e^720 overflows, e^-720 does not yet underflow: it tells masking late from one maximum for a block
        ("a ramp", (720.0 * np.arange(4)[:, None], v, 2)),
        ("a steep ramp", (1000.0 * np.arange(4)[:, None], v, 2)),
        ("a steep ramp downwards", (-1000.0 * np.arange(4)[:, None], v, 2)),
    ]
    sizes = ((6, 3), (6, 2), (7, 3), (8, 16), (63, 4))
    return several + [(f"{n} tokens in blocks of {C}", (*tokens(n), C)) for n, C in sizes]


# Chapter 7 -----------------------------------------------------------------------------------


def backward(kept, grad_o):
    """Return the gradients (T, 1) by the scores and (T, D) by the values of all prefixes' outputs.

    kept = (s, v, m, u, o) of the forward pass; grad_o (T, D) is the gradient that arrives at the outputs. Return
    by_s, by_v or by_s, by_v, by_u, by_w: what arrives at the denominators u, (T, 1), and the numerators w, (T, D),
    lies on the way. Begin with by_w; each is judged by itself, and None stands for one that you do not have yet.
    """
    return _backward(lambda p: (p.v * p.by_v).sum(axis=1, keepdims=True) - p.W.T @ p.h)(
        kept, grad_o
    )


def _backward(scores, transpose=True, lower=0, divide=True, late=False):
    """The backward pass, with other gradients of the scores or other weights."""

    def function(kept, g):
        s, v, m, u, o = kept
        W = _weights(s, m, lower, late)
        p = SimpleNamespace(v=v, o=o, u=u, W=W if transpose else W.T, g=g / u if divide else g)
        p.by_v, p.h = p.W.T @ p.g, (p.g * o).sum(axis=1, keepdims=True)
        return scores(p), p.by_v

    return function


def by_the_state(kept, grad_o):
    """The gradients by the denominators u, (T, 1), and by the numerators w, (T, D)."""
    y = grad_o / kept.u
    return -(y * kept.o).sum(axis=1, keepdims=True), y


def _right(p):
    return (p.v * p.by_v).sum(axis=1, keepdims=True) - p.W.T @ p.h


BACKWARD = {
    "the term with the output is missing from the scores' gradient": _backward(
        lambda p: (p.v * p.by_v).sum(axis=1, keepdims=True)
    ),
    "only the term with the output is left of the scores' gradient": _backward(
        lambda p: -p.W.T @ p.h
    ),
    "the term with the output is added to the scores' gradient, not taken off": _backward(
        lambda p: (p.v * p.by_v).sum(axis=1, keepdims=True) + p.W.T @ p.h
    ),
    "the scores' gradient has the wrong sign": _backward(lambda p: -_right(p)),
    "sums run along the rows, over i ≤ k, not down the columns, over k ≥ i": _backward(
        _right, transpose=False
    ),
    "nothing is divided by the denominator": _backward(_right, divide=False),
    "token i is missing from its own output": _backward(_right, lower=-1),
    "a token changes outputs before it too": _backward(_right, lower=10**6),
    "masked after the exponential: inf · 0 is NaN": _backward(_right, late=True),
    "the output of the token itself is taken for that of the prefix": _backward(
        lambda p: ((p.v - p.o) * p.by_v).sum(axis=1, keepdims=True)
    ),
}


def backward_cases():
    s, v = ln([[1.0], [2.0], [4.0]]), np.array([[4.0], [1.0], [3.0]])
    several = [("one token", s[:1], v[:1]), ("two tokens", s[:2], v[:2]), ("three tokens", s, v)]
    several += [("equal scores", np.zeros((3, 1)), v), ("falling scores", s[::-1], v)]
    several += [("a steep ramp", 1000.0 * np.arange(4)[:, None], tokens(4)[1])]
    several += [(f"{n} tokens", *tokens(n)) for n in (4, 7, 33)]
    cases = []
    for about, s, v in several:
        m = np.maximum.accumulate(s)
        u = np.exp(np.where(np.tri(len(s)) > 0, s.T - m, -INF)).sum(axis=1, keepdims=True)
        g = np.zeros_like(v) if len(s) <= 3 else tokens(len(s) + 100, 1, v.shape[1])[1][: len(s)]
        g[-1] += 1
        cases.append((about, (Kept(s, v, m, u, quadratic(s, v, 1)), g)))
    return cases


# Chapter 8 -----------------------------------------------------------------------------------


class Part:
    """A part of a block as an argument: a function of tokens (T, F), with a name and weights of its own."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name

    def __call__(self, y):
        y = np.asarray(y, dtype=float)
        return getattr(self, f"_{self.name}")(y)

    def _norm1(self, y):
        middle = y - y.mean(axis=-1, keepdims=True)
        return middle / np.sqrt((middle**2).mean(axis=-1, keepdims=True) + 1e-5)

    def _norm2(self, y):
        return 2 * self._norm1(y) + 1

    def _attend(self, y):
        F = y.shape[-1]
        seen = np.exp(y @ _weight(F, 1, 2)[:, 0]) * np.tri(len(y))
        return seen @ y @ _weight(F, F, 1) / seen.sum(axis=1, keepdims=True)

    def _net(self, y):
        F = y.shape[-1]
        return np.maximum(y @ _weight(F, 2 * F, 3), 0) @ _weight(2 * F, F, 4)


def _weight(rows, columns, seed):
    i, j = np.ogrid[:rows, :columns]
    return ((3 * i + 5 * j + i * j + seed) % 7 - 3) / 2


def block(x, norm1, attend, norm2, net):
    """Return the outputs (T, F) of the residual block for tokens x (T, F); its parts are functions.

    norm1, norm2: normalise each token; attend: the Aaren layer over all tokens, with W_o; net: the small network,
    for each token. Each takes an array (T, F) and returns one.
    """
    y = x + attend(norm1(x))
    return y + net(norm2(y))


def _block(pick):
    """A block made of its parts; `plus` adds to x what a part makes of it."""
    plus = lambda x, part: x + part(x)  # noqa: E731

    def function(x, norm1, attend, norm2, net):
        p = SimpleNamespace(norm1=norm1, attend=attend, norm2=norm2, net=net, plus=plus)
        p.y = x + attend(norm1(x))  # right, after line 1
        return pick(x, p)

    return function


# also what chapter 8 finds in a Keras layer: no more than sums and the parts
BLOCK = {
    "line 1 is right, line 2 is missing": _block(lambda x, p: p.y),
    "line 2 is right, line 1 is missing": _block(lambda x, p: x + p.net(p.norm2(x))),
    "the norms stand after the sums, not before the parts": _block(
        lambda x, p: p.norm2(p.plus(p.norm1(p.plus(x, p.attend)), p.net))
    ),
    "the norms stand after the parts, not before them": _block(
        lambda x, p: p.plus(p.plus(x, lambda x: p.norm1(p.attend(x))), lambda y: p.norm2(p.net(y)))
    ),
    "both lines have the same norm": _block(lambda x, p: p.y + p.net(p.norm1(p.y))),
    "the two norms are exchanged": _block(
        lambda x, p: p.plus(x + p.attend(p.norm2(x)), lambda y: p.net(p.norm1(y)))
    ),
    "the norms are missing": _block(lambda x, p: p.plus(p.plus(x, p.attend), p.net)),
    "the first norm is missing": _block(
        lambda x, p: p.plus(p.plus(x, p.attend), lambda y: p.net(p.norm2(y)))
    ),
    "the second norm is missing": _block(lambda x, p: p.plus(p.y, p.net)),
    "the normalised x is added to, not x": _block(
        lambda x, p: p.plus(p.norm2(p.plus(p.norm1(x), p.attend)), p.net)
    ),
    "the first line adds to the normalised x, not to x": _block(
        lambda x, p: p.plus(p.plus(p.norm1(x), p.attend), lambda y: p.net(p.norm2(y)))
    ),
    "the second line adds to the normalised x', not to x'": _block(
        lambda x, p: p.plus(p.norm2(p.y), p.net)
    ),
    "the first residual is forgotten": _block(
        lambda x, p: p.plus(p.attend(p.norm1(x)), lambda y: p.net(p.norm2(y)))
    ),
    "the second residual is forgotten": _block(lambda x, p: p.net(p.norm2(p.y))),
    "both residuals are forgotten": _block(lambda x, p: p.net(p.norm2(p.attend(p.norm1(x))))),
    "the second line adds to x, not to x'": _block(lambda x, p: x + p.net(p.norm2(p.y))),
    "the second line reads x, not x'": _block(lambda x, p: p.y + p.net(p.norm2(x))),
    "x is added once more: it is in x' already": _block(
        lambda x, p: x + p.plus(p.y, lambda y: p.net(p.norm2(y)))
    ),
    "the lines are exchanged: net comes before attend": _block(
        lambda x, p: p.plus(x + p.net(p.norm2(x)), lambda y: p.attend(p.norm1(y)))
    ),
    "the parts are exchanged: net stands in line 1, attend in line 2": _block(
        lambda x, p: p.plus(x + p.net(p.norm1(x)), lambda y: p.attend(p.norm2(y)))
    ),
}


def block_cases():
    parts = tuple(map(Part, ("norm1", "attend", "norm2", "net")))
    several = [
        ("one token", [[3.0, 1.0]]),
        ("two tokens", [[3.0, 1.0], [1.0, 2.0]]),
        ("two tokens of three features", [[3.0, 1.0, 2.0], [0.0, 4.0, 1.0]]),
        ("a token of equal features", [[2.0, 2.0, 2.0], [1.0, 0.0, 2.0]]),
    ]
    rng = np.random.default_rng(8)
    several += [(f"{n} tokens", short(rng.normal(size=(n, 4)), 2)) for n in (4, 9)]
    return [(about, (np.array(x), *parts)) for about, x in several]


# Chapter 9 -----------------------------------------------------------------------------------


def linear(q, k, v):
    """Return the outputs (T, D) of causal linear attention from features q, k (T, d) and values v (T, D)."""
    return _linear()(q, k, v)


def _linear(read=lambda q, S, z: q @ S / (q @ z), causal=True, late=False):
    """The recurrence over (S, z), with another way to read or to add."""

    def function(q, k, v):
        S, z = np.zeros((k.shape[1], v.shape[1])), np.zeros(k.shape[1])
        if not causal:
            S, z = k.T @ v, k.sum(axis=0)
        outputs = []
        for t in range(len(v)):
            before = S, z
            if causal:
                S, z = S + np.outer(k[t], v[t]), z + k[t]
            outputs.append(read(q[t], *(before if late else (S, z))))
        return np.array(outputs)

    return function


def _by_softmax(q, k, v):
    weights = np.exp(q @ k.T) * np.tri(len(q))
    return weights @ v / weights.sum(axis=1, keepdims=True)


LINEAR = {
    "every token sees all, later ones too": _linear(causal=False),
    "a token is read before it is added": _linear(late=True),
    "nothing is divided by the normaliser": _linear(lambda q, S, z: q @ S),
    "the normaliser does not know the query": _linear(lambda q, S, z: q @ S / z.sum()),
    "the table is read by columns: S instead of its transpose": _linear(
        lambda q, S, z: S @ q / (q @ z)
    ),
    "queries and keys are exchanged": lambda q, k, v: linear(k, q, v),
    "the weights are those of the softmax": _by_softmax,
    "the query is not used": _linear(lambda q, S, z: S.sum(axis=0) / z.sum()),
}


def linear_cases():
    q, k = (
        np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 3.0]]),
        np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]]),
    )
    v = np.array([[2.0, 4.0], [1.0, 0.0], [0.0, 3.0]])
    cases = [(f"{n} token{'s' * (n > 1)}", (q[:n], k[:n], v[:n])) for n in (1, 2, 3)]
    for n in (4, 17):
        rng = np.random.default_rng(n)
        q, k = short(rng.uniform(0.1, 2, size=(2, n, 3)))
        cases.append((f"{n} tokens", (q, k, short(rng.normal(size=(n, 3))))))
    return cases


# Chapter 10 -----------------------------------------------------------------------------------


def forget(state, score, value, g):
    """Return the state (m, u, w) with one token more; of what came before, the share e^g is kept (g ≤ 0)."""
    return _cell(lambda p: (p.top, p.u * p.old + p.new, p.w * p.old + p.new * p.v))(
        state, score, value, g
    )


def _loose(p):
    top = max(p.m, p.s)
    old, new = np.exp(p.m + p.g - top), np.exp(p.s - top)
    return top, p.u * old + new, p.w * old + new * p.v


FORGET = {
    "nothing is forgotten": lambda state, s, v, g: cell(state, s, v),
    "the new token is forgotten too": lambda state, s, v, g: (lambda m, u, w: (m + g, u, w))(
        *cell(state, s, v)
    ),
    "only the new token is forgotten": lambda state, s, v, g: cell(state, s + g, v),
    "the sums forget, the maximum does not": _cell(_loose),
    "the maximum forgets, the sums do not": _cell(
        lambda p: (
            p.top,
            p.u * np.exp(p.m - p.top) + p.new,
            p.w * np.exp(p.m - p.top) + p.new * p.v,
        )
    ),
    "it forgets twice, in the maximum and in the sums": _cell(
        lambda p: (
            p.top,
            p.u * p.old * np.exp(p.g) + p.new,
            p.w * p.old * np.exp(p.g) + p.new * p.v,
        )
    ),
    "the sign of g is reversed": lambda state, s, v, g: forget(state, s, v, -g),
    "g is taken for the share itself, not for its logarithm": lambda state, s, v, g: forget(
        state, s, v, np.log(np.abs(g))
    ),
    "the denominator forgets, the numerator does not": _cell(
        lambda p: (p.top, p.u * p.old + p.new, p.w * np.exp(p.m - p.top) + p.new * p.v)
    ),
}


def forget_cases():
    cases = [(about, (*args, 0.0)) for about, args in cell_cases()[:2]]
    one, two = Triple(0.0, 1.0, np.array([0.0, 8.0])), np.array([4.0, 0.0])
    half = ln(1 / 2)
    cases += [
        ("half is kept, an equal score", (one, 0.0, two, half)),
        ("half is kept, a lower score", (one, ln(1 / 4), two, half)),
        ("half is kept, a masked score", (one, -INF, two, half)),
        ("a reset: nothing is kept", (one, 0.0, two, -INF)),
    ]
    for (about, args), g in zip(cell_cases()[5:], -np.random.default_rng(9).exponential(size=10)):
        cases.append((f"{about}, with forgetting", (*args, short(g))))
    return cases


def window(x, op, identity, W):
    """Return, for each item of the list x, the merge of the last W items up to it, in at most 3 T merges."""
    ends = []  # of a block, from each of its items to its end
    now, outputs = identity, []
    for k, item in enumerate(x):
        at = k % W
        if at == 0:
            ends, now = list(x[max(k - W, 0) : k]), identity
            for j in range(len(ends) - 2, -1, -1):
                ends[j] = op(ends[j], ends[j + 1])
        now = op(now, item) if at else item
        outputs.append(op(ends[at + 1], now) if at + 1 < len(ends) else now)
    return outputs


def _slices(first, last=lambda k, W: k + 1):
    """Each stretch merged from scratch."""

    def function(x, op, identity, W):
        outputs = []
        for k in range(len(x)):
            total = identity
            for item in x[max(first(k, W), 0) : last(k, W)]:
                total = op(total, item)
            outputs.append(total)
        return outputs

    return function


def _swapped(x, op, identity, W):
    return window(x, lambda left, right: op(right, left), identity, W)


WINDOW = {
    "each window is merged from scratch": _slices(lambda k, W: k + 1 - W),
    "the window is one item too long": _slices(lambda k, W: k - W),
    "the window is one item too short": _slices(lambda k, W: k + 2 - W),
    "nothing leaves the window: it is the prefix": _slices(lambda k, W: 0),
    "the window begins anew at each block": _slices(lambda k, W: k - k % W),
    "the window looks ahead": _slices(lambda k, W: k, lambda k, W: k + W),
    "left and right are exchanged": _swapped,
    "the item itself is missing from its window": _slices(lambda k, W: k - W, lambda k, W: k),
}


def window_cases():
    sizes = (
        (1, 1),
        (2, 1),
        (2, 2),
        (3, 2),
        (3, 3),
        (3, 5),
        (5, 2),
        (7, 3),
        (8, 4),
        (40, 7),
        (20, 64),
    )
    return [(f"{_items(n)}, W = {W}", (letters(n), Join(), Piece(""), W)) for n, W in sizes]


TRIPLE, ITEMS = "the triple (m, u, w)", "a list with as many items as x"
ARRAY, PAIR = "an array of shape (T, D)", "the pair (gradient by s, gradient by v)"

PUZZLES = {
    "softmax": Puzzle(2, softmax, "an array like scores", SOFTMAX, softmax_cases),
    "cell": Puzzle(3, cell, TRIPLE, CELL, cell_cases),
    "merge": Puzzle(4, merge, TRIPLE, MERGE, merge_cases),
    "hillis_steele": Puzzle(
        5,
        hillis_steele,
        ITEMS,
        HILLIS_STEELE,
        hillis_cases,
        merges,
        lambda: (letters(64), Join()),
        {"merges": 64 * 6 - 63, "longest chain": 6},
        "64 items",
        drawn=6,
    ),
    "blelloch": Puzzle(
        5,
        blelloch,
        ITEMS,
        BLELLOCH,
        blelloch_cases,
        merges,
        lambda: (letters(64), Join(), Piece("")),
        {"merges": 2 * 63 + 64, "longest chain": 12},
        "64 items",
        sweeps=True,
        drawn=6,
    ),
    "blocked": Puzzle(
        6,
        blocked,
        ARRAY,
        BLOCKED,
        blocked_cases,
        exponentials,
        # all scores differ, so that none of the ratios e^(s - s') is known to be 1
        lambda: (37.0 * np.arange(128)[:, None] % 128, np.zeros((128, 1)), 4),
        {"exponentials": 128 * 128 // 4},
        "128 tokens in blocks of 4",
        least={"exponentials": 127},
        again=(16, "in blocks of 16", 2 * 128),
    ),
    "backward": Puzzle(
        7,
        backward,
        PAIR,
        BACKWARD,
        backward_cases,
        parts=("gradient by s", "gradient by v"),
        steps=("gradient by u", "gradient by w"),
        more=by_the_state,
    ),
    "block": Puzzle(8, block, "an array of shape (T, F)", BLOCK, block_cases),
    "linear": Puzzle(9, linear, ARRAY, LINEAR, linear_cases),
    "forget": Puzzle(10, forget, TRIPLE, FORGET, forget_cases),
    "window": Puzzle(
        10,
        window,
        ITEMS,
        WINDOW,
        window_cases,
        merges,
        lambda: (letters(64), Join(), Piece(""), 16),
        {"merges": 3 * 64},
        "64 items and W = 16",
    ),
}
