"""A question before its answer, and a wrong choice that is told why."""

import hashlib
import html
import numbers
import re
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aaren._book.explore import _display


def predict(
    question: str,
    answer: Any,
    mistakes: Mapping[str, Any],
    *,
    because: str = "",
    form: str = ".4g",
) -> None:
    """Ask for a prediction: one tap before the answer opens.

    The right answer and the wrong ones are values that the cell computes, from the right code and from
    code with a mistake in it, so that a change of the code changes the choices too. A wrong choice is told
    its mistake, a right one opens the explanation. One output holds the question for every front end: with
    scripts buttons, without them a fold, in a terminal text. Nothing is stored about the reader. The order
    of the choices depends on the question alone, so that it is the same in every run.

    Args:
        question: plain text; `code` stands between backticks.
        answer: the right value, or a function without arguments that returns it. Numbers are printed by
            `form`, sequences and arrays entry by entry, a text as it is.
        mistakes: for each mistake what comes out of it (a value or a function). Its text continues the
            sentence "that comes out when ...", such as "the maximum starts at 0".
        because: why the right answer is right: a sentence or two, shown with it.
        form: the format of numbers that are not whole, as Python's `format` reads it.

    Raises:
        ValueError: for an empty question, for no mistake, and for values that look alike as printed.

    Example:
        >>> scores = [0.0, 2.0, 1.0]
        >>> predict(
        ...     "Scores 0, 2 and 1 have been read. What is `m`?",
        ...     max(scores),
        ...     {"the last score replaces it": scores[-1], "scores are added": sum(scores)},
        ...     because="`m` is the largest score so far.",
        ... )
        Scores 0, 2 and 1 have been read. What is `m`?
          a) 3
          b) 1
          c) 2
        c is right: `m` is the largest score so far. a comes out when scores are added; b comes out when the last score replaces it.
    """
    _check(question, mistakes, because)
    choices = [(_printed(answer, form), "")]
    choices += [(_printed(value, form), mistake) for mistake, value in mistakes.items()]
    _check_different(choices)
    choices.sort(key=lambda choice: hashlib.sha256((question + choice[1]).encode()).digest())
    _display(
        {
            "text/plain": _text(question, choices, because),
            "text/html": _page(question, choices, because),
        }
    )


def _check(question, mistakes, because):
    for name, value, needed in (("question", question, True), ("because", because, False)):
        if not isinstance(value, str) or (needed and not value.strip()):
            raise ValueError(f"`{name}` must be a text; got {value!r}.")
    if not isinstance(mistakes, Mapping) or not mistakes:
        raise ValueError(
            f"`mistakes` must map each mistake to what comes out of it; got {mistakes!r}. "
            'Write for example {"the maximum starts at 0": 0.0}.'
        )
    for mistake in mistakes:
        if not isinstance(mistake, str) or not mistake.strip() or mistake.rstrip().endswith("."):
            raise ValueError(
                "`mistakes` must have names that continue the sentence 'that comes out when ...', "
                f"without a full stop; got {mistake!r}."
            )


def _check_different(choices):
    seen = {}
    for shown, mistake in choices:
        name = f"the mistake {mistake!r}" if mistake else "the answer"
        if shown in seen:
            raise ValueError(
                f"`mistakes` must give values that differ as printed; got {shown} for {seen[shown]} "
                f"and for {name}. Take another example, or print more digits with form=."
            )
        seen[shown] = name


def _printed(value, form):
    """A value as the reader sees it."""
    value = value() if isinstance(value, Callable) else value
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_printed(item, form) for item in value)})"
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        whole = isinstance(value, numbers.Integral)
        shown = f"{value:,d}" if whole else format(float(value), form)
        return "0" if shown == "-0" else shown.replace("inf", "∞").replace("-", "−")
    return str(value)


def _letters(choices):
    return zip(string.ascii_lowercase, choices)


def _text(question, choices, because):
    lines = [question] + [f"  {letter}) {shown}" for letter, (shown, _) in _letters(choices)]
    right = next(letter for letter, (_, mistake) in _letters(choices) if not mistake)
    told = [
        f"{letter} comes out when {mistake}"
        for letter, (_, mistake) in _letters(choices)
        if mistake
    ]
    reason = f": {because}" if because else "."
    return "\n".join([*lines, f"{right} is right{reason} {'; '.join(told)}."])


def _marked(text):
    """Text for HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _page(question, choices, because):
    items, told, answer = [], [], ""
    for shown, mistake in choices:
        plain = html.escape(mistake.replace("`", ""))
        items.append(f'<li data-mistake="{plain}">{html.escape(shown)}</li>')
        if mistake:
            told.append(f"<p>{html.escape(shown)} comes out when {_marked(mistake)}.</p>")
        else:
            answer = f"<b>{html.escape(shown)}</b>{'.' if not because else ': ' + _marked(because)}"
    template = Path(__file__).with_name("predict.html").read_text(encoding="utf-8")
    return string.Template(template).substitute(
        question=_marked(question), choices="".join(items), answer=answer, told="".join(told)
    )
