"""Runs the Colab edition as Colab would: `make test-colab`.

1. An environment with Colab's versions, in _build/colab-venv: Python 3.13 if there is one, else the Python at hand.
2. The edition, made from this clone's last commit: its first cells install the package from there.
3. Each kind of first cell, run in a kernel. pip must have moved nothing, and the package must be that commit's.
4. A figure that a kernel draws, moved by ipywidgets.
5. Every notebook after its first cell, two at a time. An error in a cell is an error here.
"""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from book import colab
from book.run import run

REQUIREMENTS = Path(__file__).with_name("colab-requirements.txt")
VENV = colab.ROOT / "_build" / "colab-venv"
PYTHON = VENV / "bin" / "python"
CONTROLS = '''
import ipywidgets
import matplotlib.pyplot as plt
from aaren.widgets import interact

def draw(height, colour, step):
    """A bar."""
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.bar([step], [height], color=colour)
    return figure

interact(draw, height=[1, 2], colour=["red", "blue"], step=range(3))
widgets = list(ipywidgets.Widget.widgets.values())
(picture,) = [w for w in widgets if isinstance(w, ipywidgets.HTML)]
controls = [w for w in widgets if isinstance(w, (ipywidgets.SelectionSlider, ipywidgets.Dropdown))]
assert len(controls) == 3
for control in controls:
    before = picture.value
    control.index = 1
    assert picture.value != before, control.description
'''


def out(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def pip(*command):
    return out(PYTHON, "-m", "pip", "--disable-pip-version-check", *command)


def environment():
    """Colab's packages and nothing else; made again when the list of versions changes."""
    stamp, wanted = VENV / ".ready", REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"Making Colab's environment in {VENV} (about 3 GB; a few minutes)", flush=True)
        pyenv = sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python"))
        for python in (os.environ.get("COLAB_PYTHON", "python3.13"), *pyenv, sys.executable):
            make = [python, "-m", "venv", "--clear", VENV]
            if shutil.which(python) and subprocess.run(make, capture_output=True).returncode == 0:
                break
        pip("install", "-q", "-r", REQUIREMENTS)
        out(PYTHON, "-m", "ipykernel", "install", "--prefix", VENV, "--name", "colab")
        stamp.write_text(wanted, encoding="utf-8")
    # the runs that follow begin where Colab begins
    pip("uninstall", "-q", "-y", "aaren", "aeon", "deprecated")


def versions():
    return {p["name"]: p["version"] for p in json.loads(pip("list", "--format=json"))}


def run_cells(cells, name):
    """Run the cells in a kernel with Colab's packages; return the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        # nothing of this clone is on the kernel's path, and its widgets are alive
        for variable in ("AAREN_STATIC", "PYTHONPATH"):
            os.environ.pop(variable, None)
        os.environ |= {"IPYTHONDIR": folder, "JUPYTER_PATH": str(VENV / "share" / "jupyter")}
        notebook = nbformat.v4.new_notebook(cells=cells)
        result = run(notebook, folder, 900, kernel_name="colab")
    if result.err:
        raise RuntimeError(f"{name}: {result.exc_string}")
    return result.time


def check_installs(lines):
    before = versions()
    for line in lines:
        run_cells([nbformat.v4.new_code_cell(line)], "the first cell")
        after = versions()
        moved = {name: (v, after.get(name)) for name, v in before.items() if after.get(name) != v}
        assert not moved, f"the first cell moved Colab's packages: {moved}\n{line}"
        print(f"{line.splitlines()[-1]}\n  moved nothing; added {sorted(set(after) - set(before))}")
    read = "from importlib.metadata import distribution as d; print(d('aaren').read_text('direct_url.json'))"
    installed = json.loads(out(PYTHON, "-c", read))
    assert installed["vcs_info"]["commit_id"] in lines[-1], installed


def main():
    paths = colab.make(colab.ROOT / "_build" / "colab-test", colab.ROOT.as_uri())
    wanted = sys.argv[1:] or [path.stem for path in paths]
    chapters = {path.stem: nbformat.read(path, 4) for path in paths if path.stem in wanted}
    environment()
    check_installs(sorted({notebook.cells[0].source for notebook in chapters.values()}))
    run_cells([nbformat.v4.new_code_cell(CONTROLS)], "controls")
    print("controls move their picture", flush=True)
    failed = []
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        jobs = {pool.submit(run_cells, nb.cells[1:], name): name for name, nb in chapters.items()}
        for job in concurrent.futures.as_completed(jobs):
            result = "FAILED" if job.exception() else f"{job.result():.0f} s"
            print(f"{jobs[job]}: {result}", flush=True)
            failed += [str(job.exception())] if job.exception() else []
    if failed:
        sys.exit("\n\n".join(failed))
    print(f"{len(chapters)} notebooks ran, each cell without an error")


if __name__ == "__main__":
    main()
