"""A service that leaves traces in every way it can, and looks for them."""
# ruff: noqa: SIM115

import asyncio
import atexit
import concurrent.futures
import gzip
import locale
import logging
import multiprocessing
import os
import random
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid

STATE = {"calls": 0}


def run(action: str, text: str = "") -> dict:
    STATE["calls"] += 1
    return globals()["do_" + action](text)


def open_files():
    """The kinds of files that are open, without the standard ones and the list of them."""
    places = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return sorted(os.readlink(place).partition(":")[0] for place in places if os.path.islink(place))


def do_look(text):
    """All that a run before this one could have changed."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "calls": STATE["calls"],
        "patched": uuid.uuid4() == "changed",
        "environment": sorted(k for k in os.environ if k.startswith(("LEFT_", "SECRET_"))),
        "folder": os.getcwd() == os.environ["EXPECTED_FOLDER"],
        "umask": umask,
        "handler": str(signal.getsignal(signal.SIGUSR1)),
        "temporary": [name for name in os.listdir(tempfile.gettempdir()) if not is_shown(name)],
        "in its own": tempfile.gettempdir() == os.environ["TMPDIR"],
        "modules": "colorsys" in sys.modules,
        "locale": locale.setlocale(locale.LC_NUMERIC),
        "logging": [logging.getLogger().level, len(logging.getLogger().handlers)],
        "threads": threading.active_count(),
        "limit": sys.getrecursionlimit(),
        "files": open_files(),
        "group": os.getpgid(0) == os.getpid(),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, set())),
        "argv": sys.argv,
        "path": sys.path[0] == os.getcwd(),
        "leftover modules": sorted(set(sys.modules) & {"launcher", "zygote", "interpreterexit", "randomness"}),
        "seen": sorted(k for k in os.environ if k.endswith("_NUM_THREADS")),
    }


def do_change(text):
    import colorsys  # noqa: F401

    uuid.uuid4 = lambda: "changed"
    os.environ["LEFT_BEHIND"] = "1"
    os.chdir("/")
    os.umask(0o77)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    open(os.path.join(tempfile.gettempdir(), "left"), "w").close()
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    sys.setrecursionlimit(5000)
    STATE["file"] = open(os.devnull, "w")
    random.seed(1)
    return {}


def do_random(text):
    return {
        "random": random.random(),
        "uuid": str(uuid.uuid4()),
        "secrets": secrets.token_hex(),
        "ssl": ssl.RAND_bytes(8).hex(),
        "name": tempfile.mktemp(),
    }


def write(line):
    with open(os.path.join(os.environ["OUTPUT_DIRECTORY"], "log.txt"), "a") as file:
        file.write(line + "\n")


class Finalized:
    """Needs nothing of this module, whose names are gone by then."""

    text = b"finalizer\n"

    def __del__(self, write=os.write):
        write(2, self.text)


AT_IMPORT = Finalized()
AT_IMPORT.text = b""


def generate(write=os.write):
    try:
        yield 1
    finally:
        write(2, b"generator\n")


def do_end(text):
    """Leaves everything to the end of the process."""
    output = os.environ["OUTPUT_DIRECTORY"]
    STATE["open"] = open(os.path.join(output, "open.txt"), "w")
    STATE["open"].write("written")
    STATE["gzip"] = gzip.open(os.path.join(output, "open.gz"), "wb")
    STATE["gzip"].write(b"packed")
    STATE["object"] = Finalized()
    STATE["generator"] = generate()
    next(STATE["generator"])
    AT_IMPORT.text = b"made at import\n"
    atexit.register(write, "atexit")
    threading.Thread(target=lambda: (time.sleep(0.2), write("thread"))).start()
    sys.stdout.write("no newline at the end")
    return {}


def do_daemon(text):
    """A thread that the end does not wait for."""
    threading.Thread(target=lambda: (time.sleep(600), write("daemon")), daemon=True).start()
    return {}


def square(n):
    return n * n


def do_work(text):
    """What a service may use to work."""

    async def sleep():
        await asyncio.sleep(0)
        return await asyncio.to_thread(square, 3)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        threads = list(pool.map(square, [1, 2, 3]))
    with multiprocessing.Pool(2) as pool:
        processes = pool.map(square, [1, 2, 3])
    logging.getLogger("service").warning("a log line")
    child = subprocess.run([sys.executable, "-c", "print(6*7)"], capture_output=True, text=True)
    return {
        "threads": threads,
        "processes": processes,
        "asyncio": asyncio.run(sleep()),
        "subprocess": child.stdout.strip(),
    }


def do_exit(text):
    os._exit(7)


def do_sleep(text):
    print("ready", flush=True)
    time.sleep(600)


def is_shown(name):
    """Whether a name in the temporary folder leads to what the test shows there: the program, or the fork server's."""
    places = (os.getcwd(), os.path.abspath(__file__))
    return name.startswith("Test") or any(f"/{name}/" in place + "/" for place in places)
