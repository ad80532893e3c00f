#!/bin/sh
# Renews the locks: every version, for every system and for Python 3.11 to 3.13, from pyproject.toml.
# uv resolves them; it lives in a folder that is thrown away. UPGRADE= keeps what is locked and adds what is new.
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --disable-pip-version-check -q uv
lock() {
  UV_CUSTOM_COMPILE_COMMAND="make lock" "$tools/bin/uv" pip compile -q ${UPGRADE---upgrade} --universal \
    --python-version 3.11 pyproject.toml "$@"
}
lock --extra tensorflow --extra data --extra plots --extra widgets --group dev -o requirements.txt
lock --group backends -c requirements.txt -o requirements-backends.txt
git --no-pager diff --stat requirements.txt requirements-backends.txt || true
