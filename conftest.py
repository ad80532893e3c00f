"""Kernels that the tests start have the same settings as those of `make book`."""

import os
from pathlib import Path

os.environ["IPYTHONDIR"] = str(Path(__file__).parent / ".ipython")
os.environ["AAREN_STATIC"] = "1"
