"""What Aaren costs beside what one would use instead. Run it: python -m benchmarks (see README.md)."""

BATCH, HEADS, DIM, FEATURES = 4, 8, 32, 64  # of every layer that is measured
