"""The probe of package runnertest: does what the test asks for, and tells what it sees."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from typing import Optional

from qhub.commons.datapool import DataPool
from qhub.commons.secret import SecretValue


def run(
    action: str,
    text: str = "",
    number: int = 0,
    api_token: Optional[SecretValue] = None,
    models: Optional[DataPool] = None,
) -> dict:
    if action.startswith("attack_"):
        from src import attacks, meeting, neighbour, reach

        module = next(m for m in (meeting, neighbour, reach, attacks) if hasattr(m, action))
        return getattr(module, action)(text=text, number=number)
    return globals()["do_" + action](text=text, number=number, token=api_token, models=models)


def wait():
    print("ready", flush=True)
    threading.Event().wait()


def do_echo(text, **_):
    return {"text": text}


def do_secret(token, **_):
    if token is None:
        return {"given": False}
    value = token.unwrap()
    with open("/proc/self/environ", "rb") as block:
        in_block = value.encode() in block.read()
    child = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True, text=True)
    return {
        "given": True,
        "sha256": hashlib.sha256(value.encode()).hexdigest(),
        "inEnviron": any(value in other for other in os.environ.values()) or "SECRET_API_TOKEN" in os.environ,
        "inBlock": in_block,
        "inChild": value in child.stdout,
    }


def do_environment(**_):
    for name in ("HOME", "TMPDIR"):
        with open(os.path.join(os.environ[name], "mine"), "x") as file:
            file.write("mine")
    return dict(os.environ)


def do_pool(models, **_):
    return {"files": sorted(models.list_files())}


def do_write_pool(number, **_):
    root = os.path.join(os.environ["DATAPOOL_DIRECTORY"], "models")
    with open(os.path.join(root, "a.txt"), "r+") as file:
        old = file.read()
        file.seek(0)
        file.write("new")
    os.chmod(os.path.join(root, "a.txt"), 0o600)
    os.remove(os.path.join(root, "b.txt"))
    os.makedirs(os.path.join(root, "dir", "inner"))
    with open(os.path.join(root, "dir", "inner", "c.txt"), "w") as file:
        file.write("made" + "x" * number)
    return {"old": old}


def do_exit(number, **_):
    sys.exit(number)


def do_signal(number, **_):
    os.kill(os.getpid(), number)
    threading.Event().wait()


def do_sleep(**_):
    wait()


def do_stubborn(**_):
    signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
    print("ready", flush=True)
    while True:
        threading.Event().wait(1)


def start_children():
    """One child in the group, and one orphan in a separate session."""
    script = "import time; time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", script])
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {script!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", orphan], check=True)


def do_tree(**_):
    start_children()
    wait()


def do_leave(**_):
    start_children()
    return {}


def do_flood(number, **_):
    line = "x" * 99 + "\n"
    for _ in range(number // 100):
        sys.stdout.write(line)


def do_long(number, **_):
    sys.stdout.write("x" * number)


def do_files(**_):
    folder = os.environ["OUTPUT_DIRECTORY"]
    with open(os.path.join(folder, "a.txt"), "w") as file:
        file.write("text")
    with open(os.path.join(folder, "b.bin"), "wb") as file:
        file.write(b"\x00\xff")
    os.symlink("/etc/hostname", os.path.join(folder, "link"))
    os.mkdir(os.path.join(folder, "folder"))
    with open(os.path.join(folder, "folder", "c.txt"), "w") as file:
        file.write("c")
    os.mkfifo(os.path.join(folder, "pipe"))
    return {"files": True}


def do_fill(**_):
    piece = 0
    while True:
        with open(os.path.join(os.environ["OUTPUT_DIRECTORY"], f"piece-{piece}"), "wb") as file:
            file.write(bytes(1 << 16))
        piece += 1
        threading.Event().wait(0.01)
