"""Calls in processes of their own, and how busy other processes keep the machine meanwhile."""

import importlib
import multiprocessing
import os
import pathlib
import shutil
import sys
import time
import traceback


class Processes:
    """Calls a function in a process of its own.

    On Linux it is forked from one that has imported TensorFlow and not started it; with a GPU, or elsewhere, it begins
    from nothing, which takes longer.
    """

    def __init__(self, threads):
        os.environ["OMP_NUM_THREADS"] = str(threads)
        os.environ["OMP_WAIT_POLICY"] = (
            "passive"  # PyTorch's threads do not spin where others want to work
        )
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        fork = sys.platform == "linux" and not shutil.which("nvidia-smi")
        self.context = multiprocessing.get_context("forkserver" if fork else "spawn")
        if fork:
            self.context.set_forkserver_preload(["tensorflow", "keras", "aaren"])
        self.threads = threads

    def call(self, module, function, *arguments):
        ours, theirs = self.context.Pipe(duplex=False)
        child = self.context.Process(
            target=run, args=(theirs, self.threads, module, function, arguments)
        )
        child.start()
        theirs.close()
        try:
            result = ours.recv()
        except EOFError:
            result = None
        child.join()
        if not isinstance(result, dict):
            raise ChildProcessError(result or f"the process ended with code {child.exitcode}")
        return result


def run(pipe, threads, module, function, arguments):
    """What the process of its own does: the call, and a look at how busy others kept the machine meanwhile."""
    try:
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        before = busy()
        result = getattr(importlib.import_module(module), function)(*arguments)
        pipe.send({**result, "others": others(before, busy())})
    except Exception:
        pipe.send(traceback.format_exc())


def busy():
    """Clock, seconds that all cores have worked, and seconds that they have worked for this process."""
    stat = pathlib.Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, stat.read_text().split("\n")[0].split()[1:]
    )
    worked = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), worked, time.process_time()


def others(before, after):
    """Cores that other processes kept busy, on average; None where the system does not tell."""
    if before is None:
        return None
    clock, all_work, own = (b - a for a, b in zip(before, after, strict=True))
    return round(max(0.0, all_work - own) / clock, 2)
