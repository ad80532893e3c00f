"""Runs the measurements, each in a process of its own, and writes each down when it is finished.

python -m benchmarks [--quick] [--only WORD] [--fresh] [--threads 2] [--json FILE]
"""

import argparse
import os
import pathlib
import sys
import time

from benchmarks import jobs, machine, processes, record

HERE = pathlib.Path(__file__).parent


def options():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="short sequences, few rounds")
    parser.add_argument("--only", default="", metavar="WORD", help="those with WORD in their name")
    parser.add_argument("--fresh", action="store_true", help="measure again what is in the file")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: every core")
    parser.add_argument(
        "--json",
        type=pathlib.Path,
        metavar="FILE",
        help="default: benchmarks/results.json; with --quick, _build/benchmarks-quick.json",
    )
    return parser.parse_args()


def main():
    chosen = options()
    default = "../_build/benchmarks-quick.json" if chosen.quick else "results.json"
    child, start = processes.Processes(chosen.threads), time.perf_counter()
    environment = machine.environment(chosen.threads, chosen.quick)
    environment["device"] = child.call("benchmarks.machine", "device")["device"]
    book = record.Record(chosen.json or HERE / default, environment)
    wanted = [job for job in jobs.jobs(chosen.quick) if chosen.only.lower() in job.name.lower()]
    failed = []
    for i, job in enumerate(wanted):
        print(f"[{i + 1}/{len(wanted)}] {job.name}", flush=True)
        if job.name not in book or chosen.fresh:
            try:
                book.add(job.name, child.call(job.module, job.function, *job.arguments))
            except ChildProcessError as error:
                print(f"    failed: {error}", flush=True)
                failed.append(job.name)
                continue
        print(*record.lines(book[job.name], job.targets), sep="\n", flush=True)
    seconds = time.perf_counter() - start
    print(f"{len(wanted) - len(failed)} of {len(wanted)} in {book.path}, {seconds:.0f} s")
    return 1 if failed or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
