"""Runs the Colab edition as Colab would: `make test-colab`.

1. An environment with Colab's versions, in _build/colab-venv: Python 3.13 (or COLAB_PYTHON) if there is one, else the
   Python at hand.
2. The edition, made from this clone's last commit: its first cells install the package from there.
3. What each kind of first cell asks of pip. pip must move nothing, and the package must be that commit's.
4. Every notebook after its first cell, and a figure that a kernel draws, moved by ipywidgets; two at a time. An error in
   a cell is an error here.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from book import colab

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
        for python in (os.environ.get("COLAB_PYTHON", "python3.13"), sys.executable):
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


def install(cells):
    """Do what the first cells ask of pip."""
    before = versions()
    for cell in cells:
        for line in re.findall(r"^%pip (.+)$", cell, re.M):
            pip(*shlex.split(line))
        after = versions()
        moved = {name: (v, after.get(name)) for name, v in before.items() if after.get(name) != v}
        assert not moved, f"the first cell moved Colab's packages: {moved}\n{cell}"
        print(f"{cell.splitlines()[-1]}\n  moved nothing; added {sorted(set(after) - set(before))}")
    read = "from importlib.metadata import distribution as d; print(d('aaren').read_text('direct_url.json'))"
    installed = json.loads(out(PYTHON, "-c", read))
    assert installed["vcs_info"]["commit_id"] == colab.commit(), installed


def main(wanted):
    environment()
    # elsewhere, so that nothing of this clone is on the kernels' path
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        first = set()
        for path in colab.make(folder / "edition", colab.ROOT.as_uri()):
            notebook = nbformat.read(path, as_version=4)
            if wanted and path.stem not in wanted:
                path.unlink()
                continue
            first.add(notebook.cells.pop(0).source)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs = []
            nbformat.write(notebook, path)
        install(sorted(first))
        cells = [nbformat.v4.new_code_cell(CONTROLS)]
        controls = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(controls, folder / "edition" / "controls.ipynb")
        settings = ["-c", os.devnull, "-p", "no:cacheprovider", "-n", "2", "--dist", "loadscope"]
        settings += ["--nbval-lax", "--nbval-kernel-name=colab", "--nbval-cell-timeout=900"]
        environ = {
            name: os.environ[name] for name in os.environ.keys() - {"AAREN_STATIC", "PYTHONPATH"}
        }
        environ |= {"IPYTHONDIR": str(folder), "JUPYTER_PATH": str(VENV / "share" / "jupyter")}
        command = [sys.executable, "-m", "pytest", *settings, "edition"]
        sys.exit(subprocess.run(command, cwd=folder, env=environ).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
