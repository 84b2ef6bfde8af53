"""A service that computes, with the large packages that others have."""

import asyncio
import concurrent.futures
import ctypes
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
from loguru import logger

SIZE = 500
# Handlers that are there before a run: their streams are the run's own.
logger.remove()
logger.add(sys.stderr, format="loguru {level} {message}")
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("logging %(levelname)s %(message)s"))
logging.getLogger("service").addHandler(handler)


def run(action: str) -> dict:
    return globals()["do_" + action]()


def product(seed):
    """Multiplies with BLAS, and without: whole numbers, so that both are exact."""
    one, other = np.random.default_rng(seed).integers(0, 100, (2, SIZE, SIZE))
    fast = one.astype(float) @ other.astype(float)
    return bool((fast == np.einsum("ij,jk->ik", one, other)).all()), float(fast.trace())


def do_multiply():
    right, trace = product(1)
    return {
        "right": right,
        "trace": trace,
        "blas threads": blas_threads(),
        "native threads": len(os.listdir("/proc/self/task")),
        "seen": {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")},
    }


def blas_threads():
    """What each OpenBLAS that is loaded says."""
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "openblas" in line.lower()}
    names = [p + "openblas_get_num_threads" + s for p in ("scipy_", "") for s in ("64_", "")]
    libraries = [ctypes.CDLL(path) for path in paths]
    return sorted(next(getattr(library, n) for n in names if hasattr(library, n))() for library in libraries)


def do_work():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        threads = list(pool.map(product, [1, 2]))
    with multiprocessing.Pool(2) as pool:
        processes = pool.map(product, [1, 2])
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        spawned = pool.submit(product, 1).result()
    found = []
    thread = threading.Thread(target=lambda: found.append(product(3)))
    thread.start()
    thread.join()
    child = subprocess.run(
        [sys.executable, "-c", "import numpy; print(numpy.ones((3, 3)).dot(numpy.ones(3)).sum())"],
        capture_output=True,
        text=True,
    )
    logger.info("a line")
    queued = logger.add(sys.stderr, format="queued {message}", enqueue=True)
    logger.warning("another line")
    logger.remove(queued)
    logging.getLogger("service").warning("a log line")
    frame = pd.DataFrame({"key": ["a", "b", "a"], "value": [1, 2, 3]})
    return {
        "threads": threads,
        "processes": processes,
        "spawned": spawned,
        "thread": found,
        "subprocess": child.stdout + child.stderr,
        "asyncio": asyncio.run(sums()),
        "frame": frame.groupby("key")["value"].sum().to_dict(),
    }


async def sums():
    return await asyncio.gather(*(asyncio.to_thread(product, n) for n in (4, 5)))


def frame():
    numbers = pd.DataFrame(np.arange(3000.0).reshape(1000, 3), columns=list("abc"))
    return numbers.groupby(numbers["a"] % 7).mean().to_dict("list")


def do_frame():
    return {"sums": {k: sum(v) for k, v in frame().items()}}


def do_sleep():
    frame()
    print("ready", flush=True)
    time.sleep(600)
