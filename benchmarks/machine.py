"""What results depend on: the processor, the versions, the code."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform

import benchmarks

PACKAGES = ("aaren", "tensorflow", "keras", "numpy", "torch")
ROOT = pathlib.Path(__file__).parent.parent


def environment(threads, quick):
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": threads,
        "versions": versions,
        "setting": {
            name.lower(): getattr(benchmarks, name)
            for name in ("BATCH", "HEADS", "DIM", "FEATURES")
        },
        "code": code(),
        "quick": quick,
    }


def processor():
    cpu = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        cpu = names[0] if names else cpu
    return f"{cpu} × {os.cpu_count()}"


def device():
    """The GPU that TensorFlow sees, or the CPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return {"device": details.get("device_name", "GPU" if gpus else "CPU")}


def code():
    """A digest of the sources that are timed and of those that time them."""
    package, digest = ROOT / "aaren", hashlib.sha256()
    sources = [*sorted(package.glob("ops/*.py")), *sorted(package.glob("layers/*.py"))]
    for path in [*sources, *sorted((ROOT / "benchmarks").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
