"""Times, taken in turn, and memory: of the process, or of the GPU where there is one."""

import ctypes
import gc
import pathlib
import sys
import time

import numpy as np


def in_turn(runs, rounds, seconds=float("inf"), calls=1):
    """Times of each of `runs` (name: function): a, b, c, a, b, c, … so that busy moments hit all of them.

    One call of each comes first and is not counted. Stops after `rounds` rounds, or when `seconds` are over and three
    rounds are done. A function has to give NumPy arrays back: then a GPU has finished.
    """
    for run in runs.values():
        run()
    times = {name: [] for name in runs}
    begin = time.perf_counter()
    for i in range(rounds):
        if i >= 3 and time.perf_counter() - begin > seconds:
            break
        if sys.stderr.isatty():
            print(f"\r    round {i + 1} of {rounds} \r", end="", file=sys.stderr, flush=True)
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(calls):
                run()
            times[name].append((time.perf_counter() - start) / calls)
    return times


def middle(times):
    """Median, 10th and 90th percentile, and the number of rounds."""
    low, median, high = np.percentile(times, [10, 50, 90])
    return {"median": float(median), "spread": [float(low), float(high)], "rounds": len(times)}


def ratio(a, b):
    """How many times as long a took as b: ratio of the medians, and the spread of the single ratios."""
    low, high = np.percentile(np.divide(a, b), [10, 90])
    return {"ratio": float(np.median(a) / np.median(b)), "spread": [float(low), float(high)]}


def pair(a, b, rounds, calls=1):
    """The ratio of two functions, timed in turn."""
    times = in_turn({"a": a, "b": b}, rounds, calls=calls)
    seconds = [middle(t) for t in times.values()]
    return {**ratio(*times.values()), "seconds": seconds}


# -- memory ----------------------------------------------------------------------------------------------


def memory_of(run):
    """Bytes that a second call of `run` needs, at its peak, above what was held before it."""
    give_memory_back()
    run()  # compiles
    give_memory_back()
    held = forget_peak()
    run()
    return peak() - held


def give_memory_back():
    """Returns what is free to the system, and freed arrays from now on at once: then memory in use can be read."""
    if sys.platform == "linux":
        gc.collect()
        libc = ctypes.CDLL("libc.so.6")
        for option in (-3, -1):  # M_MMAP_THRESHOLD: larger arrays are mapped; M_TRIM_THRESHOLD
            libc.mallopt(option, 256 * 1024)
        libc.malloc_trim(0)


def held():
    """Bytes in use now."""
    return _gpu("current") if _has_gpu() else _status("VmRSS")


def peak():
    """The most bytes in use since the start, or since `forget_peak`."""
    return _gpu("peak") if _has_gpu() else _status("VmHWM")


def forget_peak():
    """Starts the peak anew; gives what is in use."""
    if _has_gpu():
        import tensorflow as tf

        tf.config.experimental.reset_memory_stats("GPU:0")
        if torch := _torch_with_gpu():
            torch.cuda.reset_peak_memory_stats()
    else:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    return held()


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _torch_with_gpu():
    torch = sys.modules.get("torch")
    return torch if torch and torch.cuda.is_available() else None


def _gpu(which):
    import tensorflow as tf

    used = tf.config.experimental.get_memory_info("GPU:0")[which]
    if torch := _torch_with_gpu():
        cuda = torch.cuda
        used += cuda.memory_allocated() if which == "current" else cuda.max_memory_allocated()
    return used


def _status(field):
    if sys.platform != "linux":
        raise RuntimeError("memory is measured on Linux, or on a GPU")
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
