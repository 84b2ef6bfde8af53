"""A victim, which works with names that anyone can guess and tells all that it meets, and its hostile neighbour."""

import contextlib
import ctypes
import fcntl
import json
import os
import pickle
import resource
import signal
import socket
import sys
import time

from src.attacks import MEBI, attempt, call, group_limit, libc, output, prove_alone
from src.reach import (
    FALLOCATE,
    IOPRIO_GET,
    IOPRIO_SET,
    PRLIMIT,
    SET_AFFINITY,
    SET_ATTR,
    SET_PRIORITY,
    SET_SCHEDULER,
    X86,
)

NAME, PORT, KEY = "shared-name", 47391, 0x51AC
CANARY = bytes(reversed(b"sdrow nwo s'mitciv eht"))  # which stand in no file of the service
ADD_KEY, REQUEST_KEY, MQ_OPEN = (248, 249, 240) if X86 else (217, 218, 180)
SHMGET, SEMGET, MSGGET = (29, 64, 68) if X86 else (194, 190, 186)
libc.sem_open.restype = ctypes.c_void_p


def folders():
    return ["/tmp", "/var/tmp", "/dev/shm", os.environ["TMPDIR"], os.environ["HOME"]]


PLACES = ["tmp", "var", "memory", "temporary", "home"]  # the paths may differ


def semaphore(create):
    """A named semaphore: an int that is true if it is there, and a function that tells its value."""
    handle = libc.sem_open(f"/{NAME}".encode(), os.O_CREAT if create else 0, ctypes.c_uint(0o666), ctypes.c_uint(1))
    if not handle:
        return 0, lambda: "none"
    value = ctypes.c_int()

    def tell():
        libc.sem_getvalue(ctypes.c_void_p(handle), ctypes.byref(value))
        return value.value

    return handle, tell


def listen(family, address):
    """A listener, and how it came about."""
    listener = socket.socket(family)
    if family != socket.AF_UNIX:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    how = attempt(lambda: (listener.bind(address), listener.listen(), listener.setblocking(False)))
    return listener, how


def callers(listener):
    try:
        listener.accept()
    except OSError:
        return 0
    return 1


def addresses(network):
    found = {"abstract": (socket.AF_UNIX, f"\0{NAME}"), "path": (socket.AF_UNIX, f"/tmp/{NAME}.socket")}
    if network == "loopback":
        found["loopback"] = (socket.AF_INET, ("127.0.0.1", PORT))
    return found


def standing():
    """The limits that it meets, and how it is scheduled."""
    said = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    mask = os.umask(0)
    os.umask(mask)
    return {
        **said,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "policy": os.sched_getscheduler(0),
        "processors": sorted(os.sched_getaffinity(0)),
        "input": libc.syscall(ctypes.c_long(IOPRIO_GET), 1, 0),
        "umask": mask,
        "memory": group_limit("memory", "memory.limit_in_bytes", "memory.max"),
        "processes": group_limit("pids", "pids.max"),
        "sizes": [os.statvfs(place).f_blocks for place in folders()],
        "highest descriptor": highest_descriptor(),
        "children": children(16),
        "room": room(),
    }


def highest_descriptor():
    opened = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.dup(2))
    for descriptor in opened:
        os.close(descriptor)
    return max(opened)


def children(number):
    pids = []
    ours, theirs = os.pipe()
    for _ in range(number):
        pid = os.fork()
        if pid == 0:
            os.close(theirs)
            os.read(ours, 1)
            os._exit(0)
        pids.append(pid)
    os.close(theirs)
    os.close(ours)
    return sum(os.waitpid(pid, 0)[1] == 0 for pid in pids)


def room():
    """How much it can write in /tmp."""
    size = 0
    try:
        with open(f"/tmp/{NAME}.room", "wb", buffering=0) as file:
            while True:
                size += file.write(bytes(1 << 16))
    except OSError as error:
        os.remove(f"/tmp/{NAME}.room")
        return size, error.errno


def attack_victim(number, text, **_):
    """Works, and ends with the number as its exit code. While the test lets its neighbours begin, it waits."""
    report = {"made": {}, "found": {}}
    for index, place in enumerate(folders()):  # some may be the same
        report["made"][PLACES[index]] = sorted(os.listdir(place))
        with open(f"{place}/{NAME}-{index}.json", "x") as file:
            json.dump({"words": CANARY.decode(), "step": 0}, file)
        with open(f"{place}/{NAME}-{index}.pickle", "xb") as file:
            pickle.dump({"words": CANARY}, file)
        os.mkdir(f"{place}/victims-folder-{index}")
    listeners = {}
    for name, (family, address) in addresses(text).items():
        listeners[name], report["made"][name] = listen(family, address)
    _, value = semaphore(create=True)
    report["made"]["semaphore"] = value()
    for name, number_of in ("memory", SHMGET), ("semaphores", SEMGET), ("messages", MSGGET):
        arguments = (KEY, 0o1666) if name == "messages" else (KEY, 1, 0o1666)
        report["made"][name] = call(number_of, *arguments)
    queue = ctypes.create_string_buffer(NAME.encode())
    report["made"]["queue"] = call(MQ_OPEN, ctypes.addressof(queue), os.O_CREAT | os.O_RDWR, 0o666, 0)
    kind, words = ctypes.create_string_buffer(b"user"), ctypes.create_string_buffer(CANARY)
    report["made"]["key"] = call(ADD_KEY, ctypes.addressof(kind), ctypes.addressof(queue), ctypes.addressof(words), len(CANARY), -4)  # noqa: E501
    own = open(output("locked"), "w")  # noqa: SIM115
    fcntl.flock(own, fcntl.LOCK_EX)
    os.environ["VICTIM_WORDS"] = CANARY.decode()
    before = standing()
    print("ready", flush=True)
    while not os.path.exists(output("go-on")):
        time.sleep(0.01)
    os.remove(output("go-on"))
    for step in range(16):
        for index, place in enumerate(folders()):
            path = f"{place}/{NAME}-{index}.json"
            with open(path) as file:
                document = json.load(file)
            with open(f"{place}/{NAME}-{index}.pickle", "rb") as file:
                words = pickle.load(file)["words"]
            if document != {"words": words.decode(), "step": step}:
                raise ValueError(f"{path} holds {document}")
            with open(path, "w") as file:
                json.dump({**document, "step": step + 1}, file)
        with open(output(f"step-{step}.txt"), "wb") as file:
            file.write(CANARY * (step + 1))
        print("step", step, flush=True)
        print("step", step, "of 16", file=sys.stderr, flush=True)
    for index, place in enumerate(folders()):
        report["found"][PLACES[index]] = sorted(os.listdir(place))
        for name in f"{NAME}-{index}.json", f"victims-folder-{index}":
            status = os.stat(f"{place}/{name}")
            report["found"][name] = [oct(status.st_mode), status.st_uid == os.getuid(), os.listxattr(f"{place}/{name}")]
    report["found"].update({name: callers(listener) for name, listener in listeners.items()})
    report["found"]["semaphore"] = value()
    report["found"]["output"] = sorted(os.listdir(output(".").decode()))
    report["found"]["input"] = sorted(os.listdir(os.environ["INPUT_DIRECTORY"]))
    report["stands"] = after = standing()
    report["stood otherwise"] = {name: before[name] for name in before if before[name] != after[name]}
    with open(output("report.json"), "w") as file:
        json.dump(report, file, sort_keys=True)
    if number:
        sys.exit(number)
    return report


class Neighbour:
    """What it tries on others, in rounds. It tells what it reaches of the victim by a line on standard output."""

    def __init__(self, network):
        self.network, self.kept, self.uid = network, [], os.getuid()
        self.watch = libc.inotify_init1(os.O_NONBLOCK)
        self.buffers = [ctypes.create_string_buffer(text) for text in (bytes(64), b"\1" + bytes(127), (b"\x08" + bytes(7)) * 2)]  # noqa: E501
        self.zero, self.one, self.few = map(ctypes.addressof, self.buffers)

    def reached(self, what):
        print("reached", what, flush=True)

    def look(self, path):
        with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(OSError, ValueError), open(path, "rb", buffering=0) as file:
            if CANARY in (file.read(1 << 16) or b""):
                self.reached(path)

    def spoil(self, folder, depth=2):
        """Changes all that it finds in a folder."""
        libc.inotify_add_watch(self.watch, folder.encode(), 0xFFF)
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for name in names[:200]:
            path = f"{folder}/{name}"
            if "victims-folder" in name:
                self.reached(path)
            if path in (sys.executable, __file__) or path.startswith("/dev/std") or os.path.islink(path):
                continue
            if os.path.isdir(path):
                if depth and not path.startswith("/proc"):
                    self.spoil(path, depth - 1)
            elif os.path.isfile(path):
                self.look(path)
                attempt(lambda p=path: open(p, "r+b").truncate(0))  # noqa: SIM115
            for change in (
                lambda p=path: os.setxattr(p, "user.spoilt", b"x"),
                lambda p=path: os.utime(p, (0, 0)),
                lambda p=path: os.chown(p, self.uid, -1),
                lambda p=path: (os.chmod(p, 0), os.chmod(p, 0o770)),
                lambda p=path: (os.rename(p, p + ".moved"), os.rename(p + ".moved", p)),
            ):
                attempt(change)

    def processes(self):
        seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        near = range(max(2, os.getpid() - 64), os.getpid() + 64)
        for pid in seen.union(range(2, 256), near, [os.getppid()]) - {1, os.getpid()}:
            for name in "environ", "maps", "cmdline", "cwd/src/program.py", f"root/tmp/{NAME}-0.json", "fd/1", "mountinfo":  # noqa: E501
                self.look(f"/proc/{pid}/{name}")
            call(SET_PRIORITY, 0, pid, 19)
            call(SET_PRIORITY, 1, pid, 19)
            call(IOPRIO_SET, 1, pid, 3 << 13)
            call(SET_SCHEDULER, pid, 5, self.zero)
            call(SET_ATTR, pid, self.zero, 0)
            call(SET_AFFINITY, pid, 128, self.one)
            call(PRLIMIT, pid, resource.RLIMIT_NOFILE, self.few, 0)
            attempt(os.kill, pid, signal.SIGKILL)
        attempt(os.kill, -1, signal.SIGKILL)

    def connections(self):
        for name, (family, address) in addresses("loopback").items():
            if name == "loopback" and self.network != "loopback":
                continue
            with socket.socket(family) as client:
                if attempt(client.connect, address) == "ok":
                    self.reached(f"the {name} socket")
        for table in ("unix", "tcp", "udp") if self.network else ():  # else they list the sockets of the machine
            with open(f"/proc/net/{table}") as file:
                listed = file.read()
            if NAME in listed or f":{PORT:04X} " in listed:
                self.reached(f"/proc/net/{table}")

    def objects(self):
        if semaphore(create=False)[0]:
            self.reached("the semaphore")
        for name, number_of in ("memory", SHMGET), ("semaphores", SEMGET), ("messages", MSGGET):
            if call(number_of, *((KEY, 0) if name == "messages" else (KEY, 1, 0))) == "ok":
                self.reached(f"the {name} by their key")
        queue, kind = ctypes.create_string_buffer(NAME.encode()), ctypes.create_string_buffer(b"user")
        if call(MQ_OPEN, ctypes.addressof(queue), os.O_RDWR, 0, 0) == "ok":
            self.reached("the queue")
        if call(REQUEST_KEY, ctypes.addressof(kind), ctypes.addressof(queue), 0, 0) == "ok":
            self.reached("the key")

    def take_names(self):
        """Makes what the victim may look for, and gives it up again."""
        for index, place in enumerate(folders()):
            for name in f"{NAME}.json", f"{NAME}.pickle", f"{NAME}-{index}.json", f"{NAME}-{index}.pickle":
                with contextlib.suppress(OSError), open(f"{place}/{name}", "wb") as file:
                    file.write(b"cos\nsystem\n(S'echo reached by a pickle'\ntR." if name.endswith("pickle") else b"{}")
        # Executions that share a network share its abstract names: the first has them.
        shared = () if self.network else ("abstract",)
        made = [listen(*where)[0] for name, where in addresses(self.network).items() if name not in shared]
        semaphore(create=True)
        for listener in made:
            listener.close()
        for place in [*folders(), f"/dev/shm/sem.{NAME}", f"/tmp/{NAME}.socket"]:
            with contextlib.suppress(OSError):
                os.remove(place)
            for name in os.listdir(place) if os.path.isdir(place) else ():
                with contextlib.suppress(OSError):
                    os.chmod(f"{place}/{name}", 0o700)
                    os.remove(f"{place}/{name}")
        libc.sem_unlink(f"/{NAME}".encode())

    def events(self):
        with contextlib.suppress(OSError):
            if b"victims-folder" in (text := os.read(self.watch, 1 << 16)) or b"step-" in text:
                self.reached("events of its files")

    def round(self):
        self.connections()
        self.objects()
        self.processes()
        for folder in (*folders(), "/run", "/dev", "/dev/mqueue", ".", os.path.dirname(__file__), "/"):
            self.spoil(folder, 0 if folder == "/" else 3)
        for what in 0, os.getuid():
            call(SET_PRIORITY, 2, what, 19)
            call(IOPRIO_SET, 3, what, 3 << 13)
        with open(__file__) as file:
            for command in 1024, fcntl.F_SETOWN, fcntl.F_NOTIFY:
                attempt(fcntl.fcntl, file, command, 1)
        self.events()
        self.take_names()


def attack_neighbour(text, **_):
    if not prove_alone():
        return {"gave up": "other processes can be seen"}
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    neighbour = Neighbour(text)
    deadline = time.monotonic() + 120
    rounds = 0
    while going and time.monotonic() < deadline:
        neighbour.round()
        rounds += 1
        if rounds == 1:
            print("ready", flush=True)
    return {"rounds": rounds}


def attack_exhaust(number, **_):
    """Takes all that it may have of everything, and keeps it."""
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    children_of = []
    for place in folders():

        def fill(path=place + "/fill"):
            with open(path, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))

        attempt(fill)
    with open(output("kept"), "wb", buffering=0) as file:
        call(FALLOCATE, file.fileno(), 0, 0, 64 * MEBI)
        for _ in range(4):
            file.write(bytes(MEBI))
    hoard = [b"x" * MEBI for _ in range(number // MEBI)]
    with contextlib.suppress(OSError):
        for _ in range(512):
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                while True:
                    time.sleep(60)
            children_of.append(pid)
    opened = []
    with contextlib.suppress(OSError):
        for _ in range(1 << 16):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    os.close(opened.pop())
    os.write(1, b"ready\n")
    while going:
        time.sleep(0.05)
    for descriptor in opened:
        os.close(descriptor)
    for pid in children_of:
        os.kill(pid, signal.SIGKILL)
    return {"files": len(opened), "children": len(children_of), "memory": len(hoard)}
