"""Runs notebooks in place: `make run`, `make run-all`.

What is stored is what a reader sees and the tests compare: no times at which cells ran, and the text that a cell
prints in one piece, however many pieces the kernel sent.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

for path in map(Path, sys.argv[1:]):
    print(path, flush=True)
    notebook = nbformat.read(path, as_version=4)
    settings = dict(timeout=600, record_timing=False, coalesce_streams=True)
    folder = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, resources=folder, **settings).execute()
    nbformat.write(notebook, path)
