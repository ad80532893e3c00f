"""The record: a JSON file of runs, each an environment and its results, written as they are finished."""

import datetime
import json
import os

# a newer run that has these in common takes an older one's place
SAME = ("processor", "device", "threads", "quick")


class Record:
    """The run of this environment in the file at `path`; an unfinished one is taken up again."""

    def __init__(self, path, environment):
        self.path = path
        runs = json.loads(path.read_text())["runs"] if path.exists() else []
        place = [environment[key] for key in SAME]
        self.others = [r for r in runs if [r["environment"][key] for key in SAME] != place]
        dated = {"date": datetime.date.today().isoformat(), **environment}
        self.run = {"environment": dated, "results": {}}
        for run in runs:
            if {**run["environment"], "date": None} == {**dated, "date": None}:
                self.run = run

    def __contains__(self, name):
        return name in self.run["results"]

    def __getitem__(self, name):
        return self.run["results"][name]

    def add(self, name, result):
        self.run["results"][name] = shortened(result)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"runs": [*self.others, self.run]}, indent=1, ensure_ascii=False)
        draft = self.path.with_suffix(".part")
        draft.write_text(text + "\n")
        os.replace(draft, self.path)  # a run that is stopped leaves a whole file


def shortened(value):
    """Numbers with five significant digits: a time has no more."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: shortened(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(part) for part in value]
    return value


def lines(result, targets):
    """A result as lines of a table."""
    if "skipped" in result:
        return ["    skipped: " + result["skipped"]]
    if "ratio" in result:
        return ["    " + ratio(result, targets.get("ratio"))]
    if "streams" in result:
        return [f"    {s[-1]['median']:9.2f} s    {name}" for name, s in result["streams"].items()]
    if "bytes" in result:
        return [f"    {result['bytes'][-1] / 2**20:9.2f} MiB at the longest"]
    rows = []
    for name, seconds in result["seconds"].items():
        row = f"    {1e3 * seconds['median']:9.1f} ms   {name:24}"
        if name in result["ratios"]:
            row += "  × " + ratio(result["ratios"][name], targets.get(name))
        rows.append(row.rstrip())
    return rows


def ratio(result, target):
    text = f"{result['ratio']:.3g}"
    if "spread" in result:
        text += " ({:.3g} to {:.3g})".format(*result["spread"])
    return text + (f", target: {target}" if target else "")
