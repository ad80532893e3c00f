"""Draws the two pictures that no chapter makes: the README's, and the card that links to the book show.

python -m book.figures        writes chapters/_static/rnn-and-scan.png and card.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from aaren.plots import COLORS

STATIC = Path(__file__).resolve().parent.parent / "chapters" / "_static"
# the eight tokens of chapter 4; a vote is the exponential of a score
VOTES, VALUES = np.array([1, 2, 4, 1, 2, 1, 4, 1]), np.array([3, 1, 2, 5, 4, 0, 1, 8])
TOKENS = len(VOTES)
WIDE, TALL = 0.29, 0.42  # half a state


def number(axes, x, y, text, **more):
    style = dict(color="white", ha="center", va="center", size=13, weight="bold", zorder=4)
    axes.text(x, y, str(text), **style | more)


def name(axes, y, text, size=12):
    axes.text(-0.42, y, text, ha="right", va="center", size=size)


def row(axes, y, text, color, numbers, shape="circle,pad=0.22", **more):
    """Its name, and a number for each token."""
    name(axes, y, text)
    for x, told in enumerate(numbers):
        number(axes, x, y, told, bbox=dict(boxstyle=shape, fc=COLORS[color], ec="none"), **more)


def state(axes, x, y, votes, total):
    """Its two sums: the numerator, and below it the denominator."""
    for low, color, text in ((y, "numerator", total), (y - TALL, "denominator", votes)):
        axes.bar(x, TALL, 2 * WIDE, low, fc=COLORS[color], ec="white", lw=1, zorder=3)
        number(axes, x, low + TALL / 2, text)


def arrow(axes, start, end):
    """Thin where a token keeps its own state, thick where it takes in another's."""
    along = start[0] == end[0]
    color, width = ("#8A8A8A", 1.2) if along else (COLORS["truth"], 2)
    style = dict(arrowstyle="-|>", color=color, lw=width, shrinkA=0, shrinkB=0)
    axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=2)


def draw(axes, levels, hops, in_a_row=False):
    """Votes and values below; at each level a state takes in that `hop` places to its left; outputs above."""
    votes, totals = VOTES, VOTES * VALUES
    row(axes, -0.5, "values", "value", VALUES)
    row(axes, 0, "votes", "score", VOTES)
    out, low = (0.17, 0.1), 0.22  # where arrows leave what stands below: to the right, and up
    for level, (y, hop) in enumerate(zip(levels, hops), 1):
        if in_a_row:
            votes, totals = votes.cumsum(), totals.cumsum()
            out = (WIDE, y)
            name(axes, y + TALL / 2, "$w$", 14)
            name(axes, y - TALL / 2, "$u$", 14)
        else:  # where there is no token to the left, 0 comes in
            votes, totals = (a + np.r_[[0] * hop, a[:-hop]] for a in (votes, totals))
            name(axes, y, f"round\n{level}")
        for x in range(TOKENS):
            state(axes, x, y, votes[x], totals[x])
            arrow(axes, (x, low), (x, y - TALL))
            if x >= hop:
                end = (x - WIDE, y if in_a_row else y - 0.8 * TALL)
                arrow(axes, (x - hop + out[0], out[1]), end)
        out, low = (WIDE, y + TALL), y + TALL
    for x in range(TOKENS):
        arrow(axes, (x, low), (x, low + 0.33))
    fractions = [f"{w}/{u}" for w, u in zip(totals, votes)]
    row(axes, low + 0.55, "output", "output", fractions, "round,pad=0.22", size=12)
    axes.set(xlim=(-1.32, TOKENS - 0.5), ylim=(-0.78, low + 0.85), aspect="equal")
    axes.axis("off")


def scan(axes):
    """Hillis and Steele."""
    draw(axes, [1.2, 2.75, 4.65], [1, 2, 4])


def main():
    plt.style.use("aaren.book")
    figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 7.9), height_ratios=[3.25, 6.7])
    draw(above, [1.2], [1], in_a_row=True)
    scan(below)
    style = dict(loc="left", weight="bold", size=13)
    above.set_title(f"As an RNN: one state travels, {TOKENS - 1} merges in a row", **style)
    below.set_title("As a prefix scan: 3 rounds of merges", **style)
    figure.savefig(STATIC / "rnn-and-scan.png", dpi=200)

    figure = plt.figure(figsize=(14, 7.35), layout="none")
    style = dict(size=72, weight="bold", va="center", linespacing=1.1)
    figure.text(0.05, 0.62, "Attention\nas an RNN", **style)
    words = "From one softmax to a layer that trains\nas a parallel scan and streams\nin constant memory"
    figure.text(0.05, 0.25, words, size=23, va="center", linespacing=1.4)
    scan(figure.add_axes([0.53, 0.04, 0.46, 0.92]))
    figure.savefig(STATIC / "card.png", dpi=1200 / 14)


if __name__ == "__main__":
    main()
