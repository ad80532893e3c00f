"""The puzzles: right answers pass, each known mistake is told apart, and no answer does harm."""

import doctest
import inspect
import math
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from aaren import puzzles
from aaren._book import puzzles as inside
from aaren._book.answers import PUZZLES, Piece
from aaren.puzzles import check

KNOWN = [(name, mistake) for name, puzzle in PUZZLES.items() for mistake in puzzle.mistakes]


def named(name):
    """Give a function the name of a puzzle."""

    def rename(function):
        function.__name__ = name
        return function

    return rename


@pytest.mark.parametrize("name", PUZZLES)
def test_the_answer_is_right(name, capsys):
    verdict = check(puzzles.answer(name))
    assert verdict and verdict.kind == "right" and verdict.mistake is None
    assert capsys.readouterr().out == verdict.text + "\n" == f"{verdict}\n"
    assert bool(PUZZLES[name].cost) == ("as the book's own" in verdict.text) == bool(verdict.cost)


@pytest.mark.parametrize("name", PUZZLES)
def test_the_stub_says_not_yet(name, capsys):
    scope = {}
    exec(puzzles.stub(name), scope)
    verdict = check(scope[name])
    assert not verdict and verdict.kind == "not yet" and "not yet" in verdict.text
    assert PUZZLES[name].returns in verdict.text


def test_the_stub_of_backward_names_the_steps_in_their_order():
    assert list(gradients(*4 * [None]).stages) == [f"gradient by {part}" for part in "wuvs"]
    assert "by_s, by_v, by_u, by_w" in puzzles.stub("backward")
    assert "Begin with by_w" in puzzles.stub("backward")


@pytest.mark.parametrize("name", PUZZLES)
def test_five_mistakes_or_more_are_known(name):
    texts = [check(named(name)(f)).text for f in puzzles.mistakes(name).values()]
    assert len(set(texts)) == len(texts) >= 5


@pytest.mark.parametrize(("name", "mistake"), KNOWN)
def test_a_known_mistake_is_named(name, mistake):
    verdict = check(named(name)(puzzles.mistakes(name)[mistake]))
    assert not verdict
    assert verdict.mistake == mistake and mistake in verdict.text
    assert verdict.kind in ("wrong", "raised", "costly")


MASKED_LATE = "masked after the exponential: inf · 0 is NaN"


def blocks(local, mask):
    """`blocked` as a reader writes it: the sums of each block, and of those before it unless it is `local`."""

    def blocked(s, v, C):
        top, u, w, outputs = -np.inf, 0.0, 0.0, []
        for first in range(0, len(s), C):
            sb, vb = s[first : first + C], v[first : first + C]
            if local:
                top, u, w = -np.inf, 0.0, 0.0
            m = np.maximum(np.maximum.accumulate(sb), top)
            W, old = mask(sb.T - m), np.exp(top - m)
            us, ws = W.sum(axis=1, keepdims=True) + old * u, W @ vb + old * w
            outputs.append(ws / us)
            top, u, w = m[-1], us[-1], ws[-1]
        return np.concatenate(outputs)

    return blocked


def early(x):
    return np.exp(np.where(np.tri(len(x)) > 0, x, -np.inf))


def late(x):
    return np.exp(x) * np.tri(len(x))


@pytest.mark.parametrize(
    ("local", "mask", "mistake", "shown"),
    [
        (False, early, None, None),
        (False, late, MASKED_LATE, "(a ramp)"),
        (True, early, "each block begins anew: nothing is carried", "(a last block that is shor"),
    ],
)
def test_blocked_is_told_what_went_wrong_and_nothing_else(local, mask, mistake, shown):
    verdict = check(blocks(local, mask))
    assert verdict.mistake == mistake and bool(verdict) == (mistake is None)
    assert mistake is None or shown in verdict.text


def recurrence(exp, number=lambda x: x):
    def blocked(s, v, C):
        m, u, w, outputs = -np.inf, 0.0, np.zeros(v.shape[1]), []
        for score, value in zip(s[:, 0], v):
            top = max(m, number(score))
            old, new = exp(m - top), exp(number(score) - top)
            m, u, w = top, u * old + new, w * old + new * value
            outputs.append(w / u)
        return np.array(outputs)

    return blocked


def with_exp(exp, take=lambda x: x):
    def blocked(s, v, C):
        s, v = take(s), take(v)
        m = np.maximum.accumulate(s)
        W = exp(np.where(np.tri(len(s)) > 0, s.T - m, -np.inf))
        return W @ v / W.sum(axis=1, keepdims=True)

    return blocked


@pytest.mark.parametrize(
    ("blocked", "kind", "count"),
    [
        (with_exp(lambda x: np.exp(x)), "costly", 128 * 128),
        (with_exp(np.exp), "costly", 128 * 128),  # a name of its own
        (with_exp(lambda x: np.e**x), "costly", 128 * 128),
        (with_exp(lambda x: np.power(np.e, x)), "costly", 128 * 128),
        (with_exp(lambda x: np.exp(x), np.array), "costly", 128 * 128),  # no longer the array given
        (with_exp(lambda x: np.e**x, np.array), "uncounted", 0),
        (recurrence(lambda x: math.exp(x)), "costly", 256),
        (recurrence(lambda x: np.exp(x)), "costly", 256),
        (recurrence(math.exp), "uncounted", 0),
        (recurrence(lambda x: math.e**x, float), "uncounted", 0),
    ],
)
def test_exponentials_are_counted_however_written_or_the_answer_does_not_pass(blocked, kind, count):
    verdict = check(blocked)
    assert (verdict.kind, verdict.cost) == (kind, {"exponentials": count})
    assert ("need 127 at least. Take exponentials with np.exp or math.exp" in verdict.text) == (
        kind == "uncounted"
    )
    assert bool(verdict) == (kind == "right")
    assert isinstance(np.exp, np.ufunc) and math.exp.__module__ == "math"  # as before


def test_squares_and_other_powers_are_no_exponentials():
    def blocked(s, v, C):
        return puzzles.answer("blocked")(s + 0 * s**2, v + 0 * v**3.0, C)

    assert check(blocked).cost == {"exponentials": 640}


RECURRENCE = "it is the recurrence: each token waits for the one before"


def side_by_side(s, v, C):
    """All blocks take one step of the recurrence at once; then their ends, then the other places."""
    T, N = len(s), -(-len(s) // C)

    def pad(x):
        return np.concatenate([x, np.tile(x[-1:], (N * C - T, 1))]).reshape(N, C, -1)

    x, s = pad(np.concatenate([np.ones_like(s), v], axis=1)), pad(s)
    m, y = s.copy(), x.copy()
    for k in range(1, C):
        m[:, k] = np.maximum(m[:, k - 1], s[:, k])
        y[:, k] = np.exp(m[:, k - 1] - m[:, k]) * y[:, k - 1] + np.exp(s[:, k] - m[:, k]) * x[:, k]
    for n in range(1, N):
        top = np.maximum(m[n], m[n - 1, -1:])
        y[n] = np.exp(m[n] - top) * y[n] + np.exp(m[n - 1, -1:] - top) * y[n - 1, -1:]
        m[n] = top
    y = y.reshape(N * C, -1)[:T]
    return y[:, 1:] / y[:, :1]


def rows_one_by_one(s, v, C):
    """The recurrence as a reader may write it: the maxima first, then token by token."""
    m, y, outputs = np.maximum.accumulate(s), np.zeros(1 + v.shape[1]), []
    for k in range(len(s)):
        y = y * np.exp(m[max(k - 1, 0)] - m[k]) + np.exp(s[k] - m[k]) * np.append(1, v[k])
        outputs.append(y[1:] / y[0])
    return np.array(outputs)


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [(rows_one_by_one, RECURRENCE), (side_by_side, None), (blocks(False, early), None)],
)
def test_a_recurrence_over_the_tokens_is_no_answer_to_blocked(answer, mistake):
    verdict = check(named("blocked")(answer))
    assert (verdict.kind, verdict.mistake) == ("costly" if mistake else "right", mistake)
    assert ("C makes no difference" in verdict.text) == bool(mistake)


def test_backward_is_told_that_it_masks_late():
    def backward(kept, grad_o):
        s, v, m, u, o = kept
        y, W = grad_o / u, late(s.T - m)
        h = (y * o).sum(axis=1, keepdims=True)
        by_v = W.T @ y
        return (v * by_v).sum(axis=1, keepdims=True) - W.T @ h, by_v

    verdict = check(backward)
    assert verdict.mistake == MASKED_LATE and "(a steep ramp)" in verdict.text


@pytest.mark.parametrize(("guarded", "end"), [(True, "though w / u is right"), (False, "give NaN")])
def test_merge_is_told_that_its_maximum_is_the_logarithm_of_a_sum(guarded, end):
    def merge(left, right):
        m = np.logaddexp(left.m, right.m)
        f, g = np.exp(np.array([left.m, right.m]) - (0 if guarded and np.isinf(m) else m))
        return m, f * left.u + g * right.u, f * left.w + g * right.w

    found = check(merge).mistake
    assert found.startswith("m is the logarithm of a sum, not the larger") and found.endswith(end)


def test_mistakes_are_made_without_warnings():
    """A warning would print the path of this package into a notebook."""
    with np.errstate(all="raise"):
        late = puzzles.mistakes("linear")["a token is read before it is added"]
        assert np.isnan(late(np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2)))).all()


def test_the_smallest_input_is_shown_with_both_answers():
    def merge(left, right):
        return left.m, left.u + right.u, left.w + right.w  # no mistake that is known

    verdict = check(merge)
    assert verdict.kind == "wrong" and verdict.mistake is None
    assert verdict.text == (
        "merge: not right. The smallest input that fails (the larger maximum on the right):\n"
        "  merge((0, 1, 3), (0.6931, 1, 5))\n"
        "  yours: (0, 2, 8)\n"
        "  right: (0.6931, 1.5, 6.5)"
    )


def test_answers_that_look_alike_are_shown_to_the_last_digit():
    def softmax(scores):
        return puzzles.answer("softmax")(scores) * (1 + 1e-7)

    text = check(softmax).text
    assert "1.0000001" in text and text.count("array(") == 2


def test_a_right_answer_of_another_kind_is_right():
    """Lists for triples, an array of another library's kind, fewer merges than the book's own."""

    def cell(state, score, value):
        return list(puzzles.answer("cell")(state, score, value))

    def blelloch(x, op, identity):
        if len(x) == 1:
            return x
        pairs = blelloch([op(*pair) for pair in zip(x[::2], x[1::2])], op, identity)
        odd = [op(pairs[k // 2 - 1], x[k]) for k in range(2, len(x), 2)]
        y = [x[0]] + [None] * (len(x) - 1)
        y[1::2], y[2::2] = pairs, odd
        return y

    assert check(cell)
    verdict = check(blelloch)
    assert verdict and verdict.cost["merges"] < 126 and "the book's own: merges 126" in verdict.text


def test_a_scan_that_takes_too_much_is_not_right():
    def hillis_steele(x, op):
        y = list(x[:1])
        for item in x[1:]:
            y.append(op(y[-1], op(item, Piece(""))))
        return y

    verdict = check(hillis_steele)
    assert verdict.kind == "costly" and verdict.mistake is None
    assert "longest chain" in verdict.text and "The mistake" not in verdict.text


def gradients(by_s, by_v, *more):
    """An answer to `backward` from functions of (s, v, m, u, o, grad_o); None for one that is missing."""

    def backward(kept, grad_o):
        return tuple(part and part(*kept, grad_o) for part in (by_s, by_v, *more))

    return check(backward)


def right_part(i):
    return lambda *kept: puzzles.answer("backward")(kept[:5], kept[5])[i]


def test_each_gradient_is_judged_by_itself():
    by_s, by_v = right_part(0), right_part(1)
    by_u, by_w, wrong = (
        lambda s, v, m, u, o, g: -(g / u * o).sum(axis=1, keepdims=True),
        lambda s, v, m, u, o, g: g / u,
        lambda s, v, m, u, o, g: 0 * s,
    )
    told = [
        ((by_s, by_v, by_u, by_w), "right", []),
        ((by_s, by_v, None, None), "right", []),
        ((None, by_v), "not yet", ["right", "missing"]),
        ((by_s, None), "not yet", ["missing", "right"]),
        ((None, None), "not yet", ["missing", "missing"]),
        ((None, None, None, by_w), "not yet", ["right", "missing", "missing", "missing"]),
        ((wrong, by_v), "wrong", ["right", "not right"]),
        ((wrong, None), "wrong", ["missing", "not right"]),
        ((by_s, by_v, wrong), "wrong", ["not right", "right", "right"]),
        ((None, None, wrong, by_w), "wrong", ["right", "not right", "missing", "missing"]),
    ]
    for given, kind, states in told:
        verdict = gradients(*given)
        names = [f"gradient by {part}" for part in "svuw"[: len(given)]][::-1]
        assert (verdict.kind, verdict.stages) == (kind, dict(zip(names, states)))
        assert verdict.mistake is None
        lines = verdict.text.split("\n")
        for name, state in verdict.stages.items():
            assert f"  {name}: {state}" in lines
    assert gradients(by_s, by_v, by_u, by_w, by_w).stages == {}
    assert gradients(None, lambda s, v, m, u, o, g: by_v(s, v, m, u / u, o, g)).mistake == (
        "nothing is divided by the denominator"
    )


@pytest.mark.parametrize(
    ("mistake", "up", "down"),
    [
        ("the message is merged on the wrong side: it came first", "", "op('c', 'ab') makes no pr"),
        ("the left child is not told the message", "", "op('ab', 'a') makes no prefix"),
        ("the right child is told the message of its parent", "", "it makes no merge"),
        ("the root is not cleared to the identity", "", "op('abcd', 'ab') makes no prefix"),
        ("the total is not appended", "", "its merges are, what it returns is not"),
        ("only the way up is taken", "", "it makes no merge"),
        ("lengths that are no power of two are not filled up", "op('ab', 'c') is missing", None),
    ],
)
def test_a_tree_is_told_which_sweep_fails_first(mistake, up, down):
    stages = check(named("blelloch")(puzzles.mistakes("blelloch")[mistake])).stages
    assert stages["up-sweep"] == (f"not right; {up}" if up else "right")
    assert (down is None) == ("down-sweep" not in stages)
    assert down is None or stages["down-sweep"].startswith(f"not right; {down}")


def test_a_sweep_that_fails_is_shown_where_it_fails():
    def blelloch(x, op, identity):
        x, d = list(x), 1
        while d < len(x):
            for k in range(2 * d - 1, len(x), 2 * d):
                x[k] = op(x[k], x[k - d])  # turned round
            d *= 2
        return x

    verdict = check(blelloch)
    assert verdict.stages == {"up-sweep": "not right; op('a', 'b') is missing"}
    assert "\n  up-sweep: not right; op('a', 'b') is missing" in verdict.text


def merged(verdict):
    """The lines under a verdict that show the reader's merges."""
    lines = verdict.text.split("\n")
    starts = [n for n, line in enumerate(lines) if line.startswith("Your merges on 8 letters")]
    return lines[starts[0] :] if starts else []


def test_merges_of_eight_letters_are_shown_by_rounds():
    head = "Your merges on 8 letters, each in the first round that can make it"
    assert merged(check(puzzles.answer("hillis_steele"))) == [
        f"{head}:",
        "  round 1: a·b  b·c  c·d  d·e  e·f  f·g  g·h",
        "  round 2: a·bc  ab·cd  bc·de  cd·ef  de·fg  ef·gh",
        "  round 3: a·bcde  ab·cdef  abc·defg  abcd·efgh",
    ]
    assert merged(check(puzzles.answer("blelloch"))) == [
        f"{head} (E: the identity):",
        "  round 1: a·b  c·d  e·f  g·h  E·a",
        "  round 2: ab·cd  ef·gh  E·ab",
        "  round 3: abcd·efgh  E·abcd  ab·c",
        "  round 4: abcd·ef  abcd·e",
        "  round 5: abcdef·g",
    ]
    assert [len(PUZZLES[name].cases()[6][1][0]) for name in ("hillis_steele", "blelloch")] == [8, 8]


def test_merges_are_shown_of_wrong_answers_too_and_of_few_letters():
    wrong = puzzles.mistakes("hillis_steele")
    lines = merged(check(named("hillis_steele")(wrong["left and right are exchanged"])))
    assert lines[1] == "  round 1: b·a  c·b  d·c  e·d  f·e  g·f  h·g"
    lines = merged(check(named("hillis_steele")(wrong["each prefix is merged from scratch"])))
    assert lines[1] == "  round 1: a·b  a·b  a·b  c·d  a·b  c·d  a·b  c·d  and 8 more"
    in_place = wrong["a round reads what the same round has written"]
    lines = merged(check(named("hillis_steele")(in_place)))
    assert lines[8:] == ["  round 8: ababcdab…·abcdefgh  aabc·aabcabcd…", "  and 1 more"]


def test_no_merges_are_shown_where_none_were_made_of_eight_letters():
    def hillis_steele(x, op):
        prefixes = puzzles.answer("hillis_steele")(x, op)
        if len(x) > 7:
            raise ValueError("too long")
        return prefixes

    assert merged(check(hillis_steele)) == []
    assert merged(check(named("hillis_steele")(lambda x, op: x))) == []
    assert merged(check(named("hillis_steele")(lambda x, op: None))) == []
    assert merged(check(puzzles.answer("window"))) == []


# Answers that are none ------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(inside, "SECONDS", 0.3)


def for_ever(state, score, value):
    while True:
        pass


def deaf(state, score, value):
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass


def asleep(state, score, value):
    time.sleep(3)


@pytest.mark.parametrize("function", [for_ever, deaf, asleep], ids=lambda f: f.__name__)
def test_answers_that_do_not_end_are_left(hurried, function):
    started, threads = time.perf_counter(), threading.active_count()
    verdict = check(named("cell")(function))
    assert time.perf_counter() - started < 5
    assert not verdict and verdict.kind == "endless" and "Does its loop end?" in verdict.text
    if function is not asleep:  # what waits inside C ends later
        assert threading.active_count() == threads


def test_a_loop_that_ends_for_small_inputs_only(hurried):
    def hillis_steele(x, op):
        d = 1
        while d < len(x):
            x = [op(x[k - d], x[k]) if k >= d else x[k] for k in range(len(x))]
            d = 2 * d if d < 4 else d
        return x

    assert check(hillis_steele).kind == "endless"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cell", {"m": 1}, "yours is of type dict"),
        ("cell", (1.0, 2.0), "yours has 2 instead of 3 parts"),
        ("cell", (0.0, 1.0, "much"), "yours holds str where numbers belong"),
        ("cell", (0.0, 1.0, 8.0), "yours has the shape () instead of (2,)"),
        ("softmax", 1.0, "yours has the shape () instead of (1,)"),
        ("softmax", {1.0}, "yours holds set where numbers belong"),
        ("blelloch", (piece for piece in "a"), "yours is of type generator"),
        ("blelloch", "a", "yours is of type str"),
        ("blelloch", ["a"], "its items must come from x, identity and op alone"),
        ("blelloch", [], "yours has 0 instead of 1 parts"),
        ("blocked", "%s {0}", "yours holds str where numbers belong"),
        ("backward", np.zeros((2, 1)), "yours is of type ndarray"),
    ],
)
def test_answers_of_another_type(name, value, said):
    function = named(name)(lambda *args: value)
    function.__signature__ = inspect.signature(puzzles.answer(name))
    verdict = check(function)
    assert not verdict and verdict.kind == "wrong"
    assert f"It must return {PUZZLES[name].returns}; {said}" in verdict.text


def test_answers_that_change_their_input():
    def hillis_steele(x, op):
        x[:] = puzzles.answer("hillis_steele")(x, op)
        return x

    def softmax(scores):
        scores -= scores.max()
        return puzzles.answer("softmax")(scores)

    def backward(kept, grad_o):
        grad_o /= kept[3]
        return puzzles.answer("backward")(kept, grad_o * kept[3])

    for function, argument in ((hillis_steele, "x"), (softmax, "scores"), (backward, "grad_o")):
        verdict = check(function)
        assert not verdict and verdict.kind == "changed"
        assert f"it changed its argument `{argument}`" in verdict.text


def test_answers_that_fail():
    def cell(state, score, value):
        return state.q

    def merge(left, right):
        raise SystemExit

    verdict = check(cell)
    assert verdict.kind == "raised" and "AttributeError" in verdict.text
    assert "in the line: return state.q" in verdict.text and "the first token" in verdict.text
    assert "SystemExit" in check(merge).text


def test_an_answer_not_written_yet():
    def cell(state, score, value):
        raise NotImplementedError

    def merge(left, right): ...

    def softmax(scores):
        return ...

    assert {check(f).kind for f in (cell, merge, softmax)} == {"not yet"}


def test_an_unknown_name_is_told_the_names():
    for wrong in (lambda x: x, 3, named("cells")(lambda: 0)):
        with pytest.raises(ValueError, match="`function` must .*: softmax, cell, merge, .*; got"):
            check(wrong)
    for reads in (puzzles.stub, puzzles.mistakes, puzzles.answer):
        with pytest.raises(ValueError, match="`name` must be one of softmax, .*; got 'cells'"):
            reads("cells")


def test_other_arguments_are_refused():
    def cell(state, token):
        return state

    with pytest.raises(ValueError, match=r"must take the arguments \(state, score, value\); got"):
        check(cell)


def test_what_an_answer_prints_is_seen_up_to_where_it_fails(capsys):
    def cell(state, score, value):
        print("called")
        return 0.0, 1.0, np.array([0.0, 8.0])

    check(cell)
    assert capsys.readouterr().out.count("called") == 2


def test_a_notebook_shows_the_verdict_once(capsys):
    from IPython.core.formatters import DisplayFormatter

    def cell(state, score, value): ...

    verdict = check(cell)
    assert DisplayFormatter().format(verdict) == ({}, {})


@pytest.mark.parametrize("module", [inside, puzzles], ids=lambda module: module.__name__)
def test_examples_run(module):
    assert doctest.testmod(module).failed == 0


def test_puzzles_need_numpy_alone():
    code = "import sys, aaren.puzzles; assert {'keras', 'IPython', 'matplotlib'}.isdisjoint(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
