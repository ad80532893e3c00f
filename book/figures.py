"""Draws the two pictures that no chapter makes: the README's, and the card that links to the book show.

python -m book.figures        writes chapters/_static/rnn-and-scan.png and card.png
"""

from pathlib import Path

import matplotlib.pyplot as plt

from aaren.plots import COLORS

STATIC = Path(__file__).resolve().parent.parent / "chapters" / "_static"
TOKENS = 8


def row(axes, y, letter, color):
    """A dot for each token, with its letter."""
    axes.scatter(range(TOKENS), [y] * TOKENS, s=330, c=COLORS[color], zorder=3)
    for i in range(TOKENS):
        name = f"${letter}_{i + 1}$"
        axes.text(i, y, name, color="white", ha="center", va="center", size=12, zorder=4)


def tokens(axes):
    """Scores, and the values below them."""
    row(axes, -0.5, "v", "value")
    row(axes, 0, "s", "score")


def states(axes, y):
    """The three numbers of a state: maximum, denominator, numerator."""
    for i in range(TOKENS):
        for place, color in zip((-1, 0, 1), ("maximum", "denominator", "numerator"), strict=True):
            axes.bar(
                i + 0.17 * place, 0.44, 0.17, y - 0.22, fc=COLORS[color], ec="white", lw=1, zorder=3
            )


def arrow(axes, start, end):
    """Thin where a token keeps its own state, thick where it takes in another's."""
    along = start[0] == end[0]
    color, width = ("#8A8A8A", 1.2) if along else (COLORS["truth"], 2)
    short = 10 if along else 17 if end[1] - start[1] < 1 else 14
    style = dict(arrowstyle="-|>", color=color, lw=width, shrinkA=9, shrinkB=short)
    axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=2)


def outputs(axes, y):
    """Read off the states below them."""
    row(axes, y + 1.05, "o", "output")
    for i in range(TOKENS):
        arrow(axes, (i, y), (i, y + 1.05))


def rnn(axes):
    """One state travels: each place waits for the one before it."""
    tokens(axes)
    states(axes, 1.2)
    outputs(axes, 1.2)
    for i in range(TOKENS):
        arrow(axes, (i, 0), (i, 1.2))
        if i:
            arrow(axes, (i - 1, 1.2), (i, 1.2))


def scan(axes):
    """Hillis and Steele: at each level every state takes in the one 1, 2, 4 places to its left."""
    tokens(axes)
    levels = [0, 1.3, 2.6, 4.1]
    for level in range(3):
        low, high = levels[level : level + 2]
        states(axes, high)
        for i in range(TOKENS):
            arrow(axes, (i, low), (i, high))
            if i >= 2**level:
                arrow(axes, (i - 2**level, low), (i, high))
    outputs(axes, levels[-1])


def finish(axes, height):
    axes.set(xlim=(-0.6, TOKENS - 0.4), ylim=(-0.95, height + 0.5))
    axes.axis("off")


def main():
    plt.style.use("aaren.book")
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 7.0), height_ratios=[3.7, 6.6])
    rnn(top)
    top.set_title(
        f"As an RNN: one state travels, {TOKENS} steps in a row", loc="left", weight="bold"
    )
    scan(bottom)
    bottom.set_title("As a prefix scan: 3 steps, all tokens at once", loc="left", weight="bold")
    finish(top, 2.25)
    finish(bottom, 5.15)
    figure.savefig(STATIC / "rnn-and-scan.png", dpi=200)
    plt.close(figure)

    figure = plt.figure(figsize=(12, 6.3), layout="none")
    figure.text(
        0.05, 0.62, "Attention\nas an RNN", size=62, weight="bold", va="center", linespacing=1.1
    )
    figure.text(
        0.05, 0.25, "From one softmax to a layer that trains\nas a parallel scan and streams\nin constant memory",
        size=20, va="center", linespacing=1.4,
    )  # fmt: skip
    axes = figure.add_axes([0.55, 0.08, 0.43, 0.84])
    scan(axes)
    finish(axes, 5.15)
    figure.savefig(STATIC / "card.png", dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
