#!/bin/sh
# Makes the environment, or completes a half-made one:   book/environment.sh FOLDER
# Every line of progress goes to standard error. What goes wrong ends in one line on standard
# output that says what to do: the Makefile shows it as its error.
set -u
venv=$1
stop() { echo "$*"; exit 1; }
in_range='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

# An environment that runs is completed in place, with the Python it was made with.
python=$venv/bin/python
if "$python" -c 'import pip' >/dev/null 2>&1; then
  "$python" -c "$in_range" >/dev/null 2>&1 ||
    stop "$venv holds $("$python" --version), not Python 3.11 to 3.13: remove that folder and run the same command again"
else
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c "$in_range" >/dev/null 2>&1; then found=$candidate; break; fi
  done
  [ -n "${found:-}" ] || stop "No Python 3.11 to 3.13 with venv found${PYTHON:+ (PYTHON=$PYTHON)}:\
 install one (Debian and Ubuntu: the packages python3 and python3-venv), or name it with PYTHON=/path/to/python3"
  echo "Making the environment in $venv with $("$found" --version) (about 4 GB; a few minutes)" >&2
  out=$("$found" -m venv --clear "$venv" 2>&1) || case $out in
    *"No space left"*) stop "The disk is full: free about 5 GB, then run the same command again" ;;
    *) stop "Python could not make the folder $venv: $(echo "$out" | tail -n 1)" ;;
  esac
fi

log=$venv/pip.log
install() {
  "$python" -m pip install --disable-pip-version-check --retries 2 "$@" >"$log" 2>&1 && return
  if grep -q "No space left" "$log"; then
    stop "The disk is full: free about 5 GB, then run the same command again"
  elif grep -qE "NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Network is unreachable" "$log"; then
    stop "pip could not reach its package index: check the network (or the proxy), then run the same command again"
  fi
  stop "pip stopped: $(grep -m 1 '^ERROR' "$log" || tail -n 1 "$log") (all of it in $log)"
}
echo "Installing the locked versions" >&2
install --no-deps -r requirements.txt -e . || exit 1 # the lock is complete
touch "$venv/.ready"
