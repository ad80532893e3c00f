"""Runs the Colab edition as Colab would: `make test-colab`.

1. An environment with Colab's versions, in _build/colab-venv: Python 3.13 if there is one, else the Python at hand.
2. The edition, made from this clone's last commit: its first cells install the package from there.
3. Each kind of first cell, run in a kernel. pip must have moved nothing, and the package must be that commit's.
4. A figure with controls, moved by ipywidgets.
5. Every notebook after its first cell, two at a time. An error in a cell is an error here.
"""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "book" / "colab-requirements.txt"
VENV = ROOT / "_build" / "colab-venv"
EDITION = ROOT / "_build" / "colab-test"
PYTHON = VENV / "bin" / "python"
CONTROLS = '''
import ipywidgets
import matplotlib.pyplot as plt
from aaren.widgets import explore

def draw(height, colour, step):
    """A bar."""
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.bar([step], [height], color=colour)
    return figure

explore(draw, height=[1, 2], colour=["red", "blue"], step=range(3))
widgets = list(ipywidgets.Widget.widgets.values())
(picture,) = [w for w in widgets if isinstance(w, ipywidgets.HTML)]
controls = [w for w in widgets if isinstance(w, (ipywidgets.SelectionSlider, ipywidgets.Dropdown))]
assert len(controls) == 3
for control in controls:
    before = picture.value
    control.index = 1
    assert picture.value != before, control.description
'''


def python_at_hand():
    """Colab's Python if it is installed, else this one."""
    found = sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python"))
    for candidate in [os.environ.get("COLAB_PYTHON"), "python3.13", *map(str, found)]:
        if candidate and shutil.which(candidate):
            version = subprocess.run(
                [candidate, "-c", "import venv, ensurepip"], capture_output=True
            )
            if version.returncode == 0:
                return candidate
    return sys.executable


def environment():
    """Colab's packages and nothing else; made again when the list of versions changes."""
    stamp = VENV / ".ready"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"Making Colab's environment in {VENV} (about 2.5 GB; a few minutes)", flush=True)
        subprocess.run([python_at_hand(), "-m", "venv", "--clear", VENV], check=True)
        pip("install", "-q", "-r", str(REQUIREMENTS))
        kernel = ["-m", "ipykernel", "install", "--prefix", VENV, "--name", "colab"]
        subprocess.run([PYTHON, *kernel], check=True, capture_output=True)
        stamp.write_text(wanted, encoding="utf-8")
    # the runs that follow begin where Colab begins
    pip("uninstall", "-q", "-y", "aaren", "aeon", "deprecated")


def pip(*command):
    run = [PYTHON, "-m", "pip", "--disable-pip-version-check", *command]
    return subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout


def versions():
    return {p["name"]: p["version"] for p in json.loads(pip("list", "--format=json"))}


def run(cells, name):
    """Run the cells in a kernel with Colab's packages; return the seconds that they took."""
    notebook = nbformat.v4.new_notebook(cells=cells)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        # nothing of this clone is on the kernel's path, and its widgets are alive
        settings = {
            "IPYTHONDIR": f"{folder}/ipython",
            "JUPYTER_PATH": str(VENV / "share" / "jupyter"),
        }
        left = {k: v for k, v in os.environ.items() if k not in ("AAREN_STATIC", "PYTHONPATH")}
        os.environ.clear()
        os.environ.update({**left, **settings})
        client = nbclient.NotebookClient(
            notebook, kernel_name="colab", timeout=900, resources={"metadata": {"path": folder}}
        )
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as error:
            raise RuntimeError(f"{name}: {error}") from None
    return time.perf_counter() - started


def check_installs(notebooks, commit):
    before = versions()
    for line in sorted({notebook.cells[0].source for notebook in notebooks}):
        run([nbformat.v4.new_code_cell(line)], "the first cell")
        after = versions()
        moved = {
            name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old
        }
        assert not moved, f"the first cell moved Colab's packages: {moved}\n{line}"
        print(
            f"{line.splitlines()[-1]}\n  moved nothing; added {sorted(set(after) - set(before))}",
            flush=True,
        )
    where = "from importlib.metadata import distribution as d; print(d('aaren').read_text('direct_url.json'))"
    text = subprocess.run(
        [PYTHON, "-c", where], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    assert json.loads(text)["vcs_info"]["commit_id"] == commit, text


def main():
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    edition = [sys.executable, "-m", "book.colab", "--output", EDITION]
    subprocess.run([*edition, "--repository", ROOT.as_uri()], check=True, cwd=ROOT)
    environment()
    wanted = sys.argv[1:]
    paths = [p for p in sorted(EDITION.glob("*.ipynb")) if not wanted or p.stem in wanted]
    notebooks = {path: nbformat.read(path, as_version=4) for path in paths}
    check_installs(notebooks.values(), commit)
    run([nbformat.v4.new_code_cell(CONTROLS)], "controls")
    print("controls move their picture", flush=True)
    failed = []
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        jobs = {
            pool.submit(run, nb.cells[1:], path.stem): path.stem for path, nb in notebooks.items()
        }
        for job in concurrent.futures.as_completed(jobs):
            name, error = jobs[job], job.exception()
            print(f"{name}: {'FAILED' if error else f'{job.result():.0f} s'}", flush=True)
            failed += [str(error)] if error else []
    if failed:
        sys.exit("\n\n".join(failed))
    print(f"{len(paths)} notebooks ran, each cell without an error")


if __name__ == "__main__":
    main()
