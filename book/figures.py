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
    style = dict(color="white", ha="center", va="center", size=12, zorder=4)
    for i in range(TOKENS):
        axes.text(i, y, f"${letter}_{i + 1}$", **style)


def state(axes, x, y):
    """The three numbers of a state."""
    for place, name in enumerate(("maximum", "denominator", "numerator"), -1):
        style = dict(fc=COLORS[name], ec="white", lw=1, zorder=3)
        axes.bar(x + 0.17 * place, 0.44, 0.17, y - 0.22, **style)


def arrow(axes, start, end):
    """Thin where a token keeps its own state, thick where it takes in another's."""
    along = start[0] == end[0]
    color, width = ("#8A8A8A", 1.2) if along else (COLORS["truth"], 2)
    short = 10 if along else 17 if end[1] - start[1] < 1 else 14
    style = dict(arrowstyle="-|>", color=color, lw=width, shrinkA=9, shrinkB=short)
    axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=2)


def draw(axes, levels, hops, in_a_row=False):
    """Scores and values below; at each level a state takes in that `hop` places to its left; outputs above."""
    top = levels[-1] + 1.05
    for y, letter, color in ((-0.5, "v", "value"), (0, "s", "score"), (top, "o", "output")):
        row(axes, y, letter, color)
    for low, high, hop in zip(levels, levels[1:], hops):
        for i in range(TOKENS):
            state(axes, i, high)
            arrow(axes, (i, low), (i, high))
            if i >= hop:
                arrow(axes, (i - hop, high if in_a_row else low), (i, high))
    for i in range(TOKENS):
        arrow(axes, (i, levels[-1]), (i, top))
    axes.set(xlim=(-0.6, TOKENS - 0.4), ylim=(-0.95, top + 0.5))
    axes.axis("off")


def scan(axes):
    """Hillis and Steele."""
    draw(axes, [0, 1.3, 2.6, 4.1], [1, 2, 4])


def main():
    plt.style.use("aaren.book")
    figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 7.0), height_ratios=[3.7, 6.6])
    draw(above, [0, 1.2], [1], in_a_row=True)
    scan(below)
    style = dict(loc="left", weight="bold")
    above.set_title(f"As an RNN: one state travels, {TOKENS} steps in a row", **style)
    below.set_title("As a prefix scan: 3 steps, all tokens at once", **style)
    figure.savefig(STATIC / "rnn-and-scan.png", dpi=200)

    figure = plt.figure(figsize=(12, 6.3), layout="none")
    style = dict(size=62, weight="bold", va="center", linespacing=1.1)
    figure.text(0.05, 0.62, "Attention\nas an RNN", **style)
    words = "From one softmax to a layer that trains\nas a parallel scan and streams\nin constant memory"
    figure.text(0.05, 0.25, words, size=20, va="center", linespacing=1.4)
    scan(figure.add_axes([0.55, 0.08, 0.43, 0.84]))
    figure.savefig(STATIC / "card.png", dpi=100)


if __name__ == "__main__":
    main()
