"""How executions could meet: one leaves things in all places that have names, another one looks for them."""

import ctypes
import errno
import json
import os
import socket
import threading

from src.attacks import append, attempt, libc, read

PLACES = ("/tmp", "/var/tmp", "/dev/shm", "TMPDIR", "HOME", "OUTPUT_DIRECTORY", "INPUT_DIRECTORY")
KEY = 0x51AC
kept = []


def places():
    return [os.environ.get(place, place) for place in PLACES]


def named(call, *args):
    """How a call of the library ends that says -1."""
    ctypes.set_errno(0)
    return errno.errorcode[ctypes.get_errno()] if call(*args) == -1 else "ok"


def attack_settle(text, **_):
    """Leaves a file and a socket in each place, and a semaphore, a queue and memory under a key. Then stays."""
    for place in places():
        if attempt(append, f"{place}/{text}") == "ok":
            listener = socket.socket(socket.AF_UNIX)
            os.chdir(place)  # the name of a socket must be short
            if attempt(listener.bind, text + ".socket") == "ok":  # else it is another name of the place before
                listener.listen()
            kept.append(listener)
    libc.semget(KEY, 1, 0o1666)
    libc.msgget(KEY, 0o1666)
    libc.shmget(KEY, 4096, 0o1666)
    libc.mq_open(b"/" + text.encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
    print("ready", flush=True)
    threading.Event().wait()


def attack_trespass(text, **_):
    """Looks for what another one has left, in its own places and in the folders that its input names as the other's."""
    asked = json.loads(text)
    name, answers = asked["name"], {}
    for place in places():
        answers[f"read in {place}"] = attempt(read, f"{place}/{name}")
        with socket.socket(socket.AF_UNIX) as client:
            os.chdir(place)
            answers[f"socket in {place}"] = attempt(client.connect, name + ".socket")
    for folder in asked["folders"]:
        watcher = libc.inotify_init1(0)
        answers[f"watch {folder}"] = named(libc.inotify_add_watch, watcher, folder.encode(), 0xFFF)
        if watcher >= 0:  # else the filter refuses it
            os.close(watcher)
        answers[f"stat {folder}"] = attempt(os.stat, folder)
        answers[f"list {folder}"] = attempt(os.listdir, folder)
        answers[f"chmod {folder}"] = attempt(os.chmod, folder, 0o777)
        answers[f"chown {folder}"] = attempt(os.chown, folder, os.getuid(), os.getgid())
        answers[f"utime {folder}"] = attempt(os.utime, folder)
        answers[f"setxattr {folder}"] = attempt(os.setxattr, folder, "user.mine", b"x")
        answers[f"rename {folder}"] = attempt(os.rename, folder, folder + ".mine")
        answers[f"write in {folder}"] = attempt(append, f"{folder}/mine")
        with socket.socket(socket.AF_UNIX) as client:
            answers[f"socket in {folder}"] = attempt(client.connect, f"{folder}/{name}.socket"[-107:])
    answers["semaphore"] = named(libc.semget, KEY, 1, 0)
    answers["queue"] = named(libc.msgget, KEY, 0)
    answers["memory"] = named(libc.shmget, KEY, 4096, 0)
    answers["POSIX queue"] = named(libc.mq_open, b"/" + name.encode(), os.O_RDWR)
    answers["fanotify"] = named(libc.fanotify_init, 0, 0)
    answers |= keys()
    answers |= processes()
    return answers


def keys():
    """The keyrings of a user are the same in all namespaces."""
    add, control = {"x86_64": (248, 250)}.get(os.uname().machine, (217, 219))
    user = ctypes.c_long(-4)  # KEY_SPEC_USER_KEYRING
    return {
        "key": named(libc.syscall, ctypes.c_long(add), b"user", b"mine", b"x", ctypes.c_long(1), user),
        "keyring": named(libc.syscall, ctypes.c_long(control), ctypes.c_long(0), user, ctypes.c_long(0)),
    }


def processes():
    """Signals and limits by all numbers but its own, and what /proc has of them."""
    own = {os.getpid()} | {int(task) for task in os.listdir("/proc/self/task")}
    others = [n for n in range(2, 1 << 15) if n not in own]  # the init is its own
    signalled = sum(attempt(os.kill, n, 0) == "ok" for n in others)
    seen = [n for n in os.listdir("/proc") if n.isdigit() and int(n) not in own]
    entered = sum(attempt(os.listdir, f"/proc/{n}/{part}") == "ok" for n in seen for part in ("root", "cwd", "fd"))
    return {
        "signals": "ok" if signalled else "ESRCH",
        "folders of processes": "ok" if entered else "EACCES",
    }
