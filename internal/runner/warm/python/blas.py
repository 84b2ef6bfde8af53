"""Numerical libraries in a template: OpenBLAS without its pool of threads, which a fork would not have.

A template starts the library with one thread, and each fork restores the number that it would have had cold.
"""

import contextlib
import ctypes
import os

THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def one_thread():
    """Libraries that are loaded meanwhile start without a pool of threads."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS[:2], "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def libraries():
    """For each OpenBLAS that is loaded: what sets its number of threads, and the number it would have cold."""
    paths = set()
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            if "openblas" in path.lower():
                paths.add("/" + path)
    found = []
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        for name in ("openblas_set_num_threads", "scipy_openblas_set_num_threads"):
            for suffix in ("64_", ""):
                setter = getattr(library, name + suffix, None)
                if setter is not None:
                    found.append((setter, wanted_threads()))
                    break
    return found


def wanted_threads():
    """As many as OpenBLAS starts by itself: no more than there are processors, whatever it is told."""
    processors = len(os.sched_getaffinity(0))
    for name in THREADS[:3]:
        value = os.environ.get(name, "").partition(",")[0].strip()  # OpenMP takes one number for each level
        if value.isdigit() and int(value) > 0:
            return min(int(value), processors)
    return processors
