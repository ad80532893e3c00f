"""Runs notebooks: in place, `python -m book.run chapters/….ipynb`; and before pages are made, those that a build lacks.

What is stored is what a reader sees and the tests compare: no times at which cells ran, and the text that a cell
prints in one piece, however many pieces the kernel sent.

MyST-NB runs one notebook after another. A chapter keeps about one processor busy, so as a Sphinx extension this runs
the chapters that the cache of executed notebooks does not hold side by side. They lie in that cache as if MyST-NB had
run them; a chapter that fails is left to MyST-NB, which runs it again and reports the error. jupyter-cache's own
parallel executor starts a kernel for every processor, and says nothing until the last is done.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from sphinx.util import logging

logger = logging.getLogger(__name__)


def run(notebook, folder, timeout=600, **settings):
    """Run a notebook; what went wrong is in the result."""
    settings |= dict(timeout=timeout, allow_errors=False, coalesce_streams=True)
    return single_nb_execution(notebook, cwd=str(folder), **settings)


def fill_cache(app):
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
    timeout = app.config.nb_execution_timeout
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        running = {pool.submit(run, nb, app.srcdir, timeout): path for path, nb in waiting.items()}
        for future in as_completed(running):
            path, result = running[future], future.result()
            if result.err is None:
                logger.info("%s: ran in %.0f seconds", path.name, result.time)
                data = {"execution_seconds": result.time}
                bundle = CacheBundleIn(waiting[path], str(path), data=data)
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def setup(app):
    app.connect("builder-inited", fill_cache)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        print(path, flush=True)
        notebook = nbformat.read(path, as_version=4)
        if error := run(notebook, path.parent).err:
            sys.exit(str(error))
        nbformat.write(notebook, path)
