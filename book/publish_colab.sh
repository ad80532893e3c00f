#!/bin/sh
# Pushes the Colab edition to its own branch, as one commit without history. TOKEN, which CI gives, opens the door there;
# at home git's own credentials do.
set -eu
cd "$(dirname "$0")/.."
[ -s _build/colab/README.md ] || { echo "There is no Colab edition in _build/colab: make colab" >&2; exit 1; }
origin=$(git remote get-url origin) || { echo "This clone has no remote named origin to push to" >&2; exit 1; }
commit=$(git rev-parse --short HEAD)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R _build/colab/. "$copy"
cd "$copy"
git init -q -b colab
git add -A
git -c user.name="make publish-colab" -c user.email="noreply@localhost" commit -q -m "The Colab edition of $commit"
if [ -n "${TOKEN:-}" ]; then
  header="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\n')"
  # through the environment: a command line can be read by others
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.${GITHUB_SERVER_URL:-https://github.com}/.extraheader" GIT_CONFIG_VALUE_0="$header"
fi
git push -q --force "$origin" colab
echo "Pushed the edition of $commit to the branch colab of $origin"
