"""Runs the chapters that the cache of executed notebooks does not hold, side by side, before the pages are made.

MyST-NB runs one notebook after another. A chapter keeps about one processor busy, so two of them share two
processors well. What is run here lies in the same cache, under the same key, as if MyST-NB had run it; a chapter
that fails is left to MyST-NB, which runs it again and reports the error.
"""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from sphinx.util import logging

logger = logging.getLogger(__name__)


def run_chapters(app):
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = {}
    for path in sorted(Path(app.srcdir).glob("[0-9]*.ipynb"), reverse=True):  # long ones first
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            waiting[path] = notebook

    def run(notebook):
        return single_nb_execution(
            notebook, cwd=app.srcdir, timeout=app.config.nb_execution_timeout, allow_errors=False
        )

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        running = {pool.submit(run, notebook): path for path, notebook in waiting.items()}
        for future in as_completed(running):
            path, result = running[future], future.result()
            if result.err is None:
                logger.info("%s: ran in %.0f seconds", path.name, result.time)
                join_streams(waiting[path])
                bundle = CacheBundleIn(
                    waiting[path], str(path), data={"execution_seconds": result.time}
                )
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def join_streams(notebook):
    """Put what a cell prints into one piece: MyST-NB would begin a line with each piece that the kernel sent."""
    for cell in notebook.cells:
        pieces, outputs = cell.get("outputs", []), []
        for piece in pieces:
            last = outputs[-1] if outputs else {}
            if "stream" == piece.output_type == last.get("output_type") and piece.name == last.name:
                last.text += piece.text
            else:
                outputs.append(piece)
        pieces[:] = outputs


def setup(app):
    app.connect("builder-inited", run_chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
