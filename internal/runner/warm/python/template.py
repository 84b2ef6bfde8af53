"""Imports a service once and forks a process that has never run anything for each of its executions.

The program that runs services speaks to the template by the Unix socket of standard input, one JSON object a packet:

    -> {"entrypoint": "src.program:run", "walls": null}   the first order; the answer is one of
    <- {"ready": {...}}                          what was imported, and what it took
    <- {"cold": "why"}                           this service cannot be forked; the template ends
    -> {"fork": 7}, with the descriptor of a stream socket for the fork, and those of the cgroups it is to join
    <- {"failed": 7, "reason": "..."}            there is none; or, when there was one,
    <- {"ended": 7, "status": 0}                 as waitpid gives it
    -> {"retire": true}                          end when no fork is left

End of input means: end now. A fork sends one byte by its own socket when it is ready. The kernel tells the other side
who has sent it, by the number that counts there. Then it waits for {"dir", "env", "secrets", "marker", "finalize",
"walls"} (eight bytes of length, then JSON), with the descriptors of its standard output and error, answers with one
byte and becomes the service. So a fork can stand by, made ahead of its execution, and secrets are in no template and in
no process's initial environment.

See ending.py for how a fork ends, randomness.py for what must differ between forks, walls.py for what is between them.
Nothing of these files is left where a service would find it, or miss its own module of the same name.
"""

import array
import ctypes
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time

MAX_PACKET = 65536
# Ends what importing the service has printed, on each of the two streams: every execution has it in its log.
IMPORTED = b"\0qhubctl:imported\0"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Cold(Exception):
    """Why a service has to be started cold."""


class InFork(BaseException):
    """Raised in a fork: it leaves the loop of the template behind."""

    def __init__(self, descriptors):
        super().__init__()
        self.descriptors = descriptors


class Template:
    """The template's own state. Everything else belongs to the service."""

    def __init__(self, control):
        self.control = control
        self.forks = {}  # their numbers, by process id
        self.walls = None
        self.retiring = False
        self.environment = environment_block()
        self.launcher, self.ending, self.randomness, self.between = map(
            beside, ("launcher", "ending", "randomness", "walls")
        )

    def send(self, message):
        self.control.send(json.dumps(message).encode())

    # Importing the service.

    def load(self, entrypoint, walls):
        """Imports the service, and what its runtime needs. Raises Cold."""
        begun = time.perf_counter()
        sys.path[0] = os.getcwd()  # as `python -m` has it, instead of the folder of this file
        sys.argv = [entrypoint]
        os.environ["ENTRYPOINT"] = entrypoint
        threads = one_blas_thread()
        self.random = self.randomness.Watch()
        try:
            self.import_service(entrypoint)
        finally:
            self.random.stop()
        restore_blas_environment(threads)
        self.launcher.scrub_after_injection()
        refuse_what_forks_break(self.control.fileno())
        self.blas = blas_libraries()
        if walls:
            self.walls = self.between.Walls(walls)
        flush_streams()
        for stream in (1, 2):
            os.write(stream, IMPORTED)
        gc.collect()
        self.survivors = self.ending.survivors()
        # What was imported is not looked at again by the collectors of the forks: its memory stays shared.
        gc.freeze()
        return {"seconds": round(time.perf_counter() - begun, 4), "modules": len(sys.modules)}

    def import_service(self, entrypoint):
        import importlib

        module, _, name = entrypoint.partition(":")
        try:
            runtime = importlib.import_module("qhub.commons.runtime.main")
            getattr(importlib.import_module(module), name)
            # What a run would import and build first; the published kit has no such function.
            getattr(runtime, "prepare", lambda entrypoint: None)(entrypoint)
        except BaseException as error:  # whatever it is, a cold start says it better
            raise Cold(f"importing {module} failed in the template: {type(error).__name__}") from error

    # Forking.

    def serve(self):
        """Forks on demand until the other side is gone, or all forks are and it retires. Raises InFork in each."""
        self.children = watch_children()
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.children, select.POLLIN)
        while not (self.retiring and not self.forks):
            for descriptor, _ in poll.poll():
                if descriptor == self.children:
                    os.read(descriptor, 4096)
                    self.reap()
                elif not self.order():
                    return

    def order(self):
        """Carries out one order. False at the end of input."""
        packet, descriptors = receive(self.control, MAX_PACKET)
        if not packet:
            return False
        order = json.loads(packet)
        if "fork" in order:
            self.fork(order["fork"], descriptors)
        else:
            self.retiring = True
        return True

    def fork(self, number, descriptors):
        flush_streams()  # what is buffered here must not be written by every fork again
        try:
            pid = os.fork()
        except OSError as error:
            close(descriptors)
            self.send({"failed": number, "reason": f"cannot fork: {error.strerror}"})
            return
        if pid == 0:
            raise InFork(descriptors)
        close(descriptors)
        self.forks[pid] = number

    def reap(self):
        """Takes note of all children that have ended: forks, and what they have left to this process."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if pid in self.forks:
                kill_group(pid)  # while its number is its own
            _, status = os.waitpid(pid, 0)
            if pid in self.forks:
                self.send({"ended": self.forks.pop(pid), "status": status})


# In a fork.


def become(template, descriptors):
    """Turns this fork into an execution of the service. Returns its exit code where the interpreter ends by itself."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    template.control.close()
    os.close(template.children)
    template.between.join(descriptors[1:])
    if template.walls:
        template.walls.begin()
    orders = socket.socket(fileno=descriptors[0])
    orders.send(b"\0")
    order = await_order(orders, template)
    if order is None:
        os._exit(0)
    take_place(template, order)
    code = run_service(order.pop("secrets", None) or {})
    if order.get("finalize"):
        gc.unfreeze()
        return code
    return template.ending.leave(code, template.survivors)


def await_order(orders, template):
    """The order for this fork, its descriptors put in place and its walls closed; None if there will be none."""
    header, descriptors = receive(orders, 8)
    if len(header) < 8:
        return None
    text = bytearray(int.from_bytes(header, "big"))
    view, got = memoryview(text), 0
    while got < len(text):
        n = orders.recv_into(view[got:])
        if n == 0:
            return None
        got += n
    try:
        order = json.loads(text)
    finally:
        view.release()
        text[:] = bytes(len(text))
    if order["walls"]:
        template.between.bound(order["walls"])
    if template.walls:
        template.walls.close(order["walls"])
    # From here on it counts as started: nobody starts another in its place.
    orders.send(b"\1")
    orders.close()
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate([null, *descriptors]):
        os.dup2(source, target)
        os.close(source)
    return order


def take_place(template, order):
    """What an execution has of its own."""
    import tempfile

    mark(template.environment, order["marker"])
    os.environ.update(order["env"])
    os.chdir(order["dir"])
    tempfile.tempdir = None  # a module may have asked for it while it was imported
    template.random.renew()
    for library, threads in template.blas:
        library(threads)


def run_service(secrets):
    """Runs the service, as the interpreter would run a main program. Returns the exit code."""
    from qhub.commons.runtime.main import main

    os.environ.update(secrets)
    secrets.clear()
    try:
        return main()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return 1


# The environment block.


def environment_block():
    """Where the environment that this process was started with lies in its memory: (address, length)."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    return start, end - start


def mark(block, marker):
    """Writes the mark of an execution over the template's own, by which processes that leave its tree are found.

    It is read from /proc, which shows this memory, and children that only fork have a copy of it.
    """
    name, _, value = marker.partition("=")
    start, length = block
    text = ctypes.string_at(start, length)
    at = text.find(b"\0" + name.encode() + b"=")
    at = 0 if text.startswith(name.encode() + b"=") else at + 1
    if text[at:].startswith(name.encode() + b"=") and text.find(b"\0", at) - at == len(marker):
        ctypes.memmove(start + at, marker.encode(), len(marker))
    os.environ[name] = value


# What a fork cannot take along.


def refuse_what_forks_break(control):
    """Raises Cold where the service has started threads or opened sockets while it was imported."""
    import threading

    others = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if others:
        raise Cold(f"importing the service leaves a thread running: {others[0]}")
    if len(os.listdir("/proc/self/task")) > 1:
        raise Cold("importing the service leaves a native thread running")
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of the listing itself
        if (
            int(name) > 2
            and int(name) != control
            and target.startswith(("socket:", "anon_inode:[event", "anon_inode:[io_uring"))
        ):
            raise Cold(f"importing the service leaves a connection or event queue open (descriptor {name})")


def one_blas_thread():
    """Has numerical libraries start without a pool of threads. Returns what the environment said before."""
    before = {name: os.environ.get(name) for name in BLAS_THREADS}
    os.environ.update(dict.fromkeys(BLAS_THREADS[:2], "1"))
    return before


def restore_blas_environment(before):
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def blas_libraries():
    """For each OpenBLAS that is loaded: what sets its number of threads, and the number it would have cold."""
    paths = set()
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            if "openblas" in path.lower():
                paths.add("/" + path)
    libraries = []
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        for name in ("openblas_set_num_threads", "scipy_openblas_set_num_threads"):
            for suffix in ("64_", ""):
                setter = getattr(library, name + suffix, None)
                if setter is not None:
                    libraries.append((setter, wanted_threads()))
                    break
    return libraries


def wanted_threads():
    for name in BLAS_THREADS[:3]:
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0))


# Small things.


def receive(connection, size):
    """Reads from a socket with the descriptors that come along."""
    room = socket.CMSG_SPACE(8 * array.array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def flush_streams():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed or replaced by the service
            continue


def prctl(option, value):
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def watch_children():
    """A descriptor that can be read when a child has ended: no handler, which forks would have to get rid of."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    libc = ctypes.CDLL(None)
    mask = ctypes.create_string_buffer(128)
    libc.sigemptyset(mask)
    libc.sigaddset(mask, signal.SIGCHLD)
    return libc.signalfd(-1, mask, os.O_CLOEXEC)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody else was in it


def beside(name):
    """A module that lies beside this file, under no name that a service could import."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    spec = importlib.util.spec_from_file_location("_qhubctl_" + name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    """Carries out the orders. Returns the exit code."""
    control = socket.socket(fileno=os.dup(0))
    template = Template(control)
    first = json.loads(control.recv(MAX_PACKET))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        template.send({"ready": template.load(first["entrypoint"], first.get("walls"))})
    except Cold as reason:
        template.send({"cold": str(reason)})
        return 0
    try:
        template.serve()
        os._exit(0)
    except InFork as fork:
        descriptors = fork.descriptors
    return become(template, descriptors)


if __name__ == "__main__":
    sys.exit(main())
