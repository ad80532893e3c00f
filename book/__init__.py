"""The book's tools: run as `python -m book.run`, `python -m book.colab` and so on."""
