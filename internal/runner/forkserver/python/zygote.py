"""Imports a service once and forks a fresh process for each of its executions.

The program that runs services speaks to the zygote by the Unix socket of standard input, one packet at a time:

    -> {"entrypoint": "src.program:run", "separation": {...}, "finalize": false, "scratch": [paths], "private": false}
                            the first order; without a plan for separation.py nothing is between forks. Files that the
                            import leaves in "scratch" are copied for each fork, which finds these folders empty if they
                            are "private". The answer is one of
    <- {"ready": {...}}     how long it took
    <- {"cold": "why"}      this service cannot be forked; the zygote ends
    -> fork 7 200001        a fork as this user (0: the zygote's), with descriptors: a stream socket for the fork, its
                            standard output and error, and the lists of members of the cgroups it is to join
    -> ahead 7 200001       the same, of a fork that will not have an order at once
    <- failed 7 why         there is none; or, when there was one,
    <- ended 7 0            with the status as waitpid gives it
    -> retire               end when no fork is left

End of input means: end now. fork.py has the work of a fork, and interpreterexit.py its end. randomness.py has the state
that must differ between forks, and separation.py the barriers between them. inheritance.py and importedfiles.py find
the things beside memory that forks must not share. blas.py has the needs of numerical libraries, and warmup.py the runs
from which forks inherit. A service finds nothing of these files, and misses no module of the same name.

A fork costs the pages that it writes to, because the kernel copies each; in Python that is every object that it uses.
So the zygote does all work that can be done once, and the work for each execution uses few objects.
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
# Ends the output of the import, on each of the two streams: the log of every execution repeats it.
IMPORTED = b"\0qhubctl:imported\0"
PR_SET_CHILD_SUBREAPER = 36
CHILD_ENDED = (signal.SIGCHLD,)


class Cold(Exception):
    """The reason why a service must be started cold."""


class Ended(BaseException):
    """Raised in a fork whose interpreter shuts down itself, with a code: it leaves the loop of the zygote."""


class Zygote:
    """The zygote's own state. Everything else belongs to the service."""

    def __init__(self, control):
        self.control = control
        self.forks = {}  # their numbers, by process id
        self.retiring = False
        self.launcher, self.exiting, self.randomness = map(beside, ("launcher", "interpreterexit", "randomness"))
        self.blas, self.forking, self.warmup, self.memory = map(beside, ("blas", "fork", "warmup", "memory"))
        self.inheritance, self.importedfiles = map(beside, ("inheritance", "importedfiles"))
        # Holding the interpreter's lock: there is one thread, and taking the lock again would cost a fork some pages.
        # Python's own fork reinitialises the locks of threads that are not there, and calls what modules have asked
        # to be called in a child: what matters of that is done in fork.py.
        self.libc = ctypes.PyDLL(None, use_errno=True)
        self.fork_process = self.libc.fork

    def send(self, message):
        self.control.send(json.dumps(message).encode())

    # Importing the service.

    def load(self, entrypoint, separation=None, finalize=False, scratch=(), private=False):
        """Imports the service, and what its runtime needs. Raises Cold."""
        begun = time.perf_counter()
        self.separation = self.separate(separation)
        sys.path[0] = os.getcwd()  # as `python -m` has it, instead of the folder of this file
        sys.argv = [entrypoint]
        os.environ["ENTRYPOINT"] = entrypoint
        self.handlers = self.forking.Handlers()
        self.files = self.importedfiles.ImportedFiles(scratch, private, separation and separation["drafts"])
        inherited = self.inheritance.Inheritance(self.files.holds)
        self.random = self.randomness.Watch(beside)
        try:
            self.import_service(entrypoint)
        finally:
            self.random.stop()
            self.handlers.stop()
        self.launcher.scrub_after_injection()
        self.blas.end_threads(self.fork_process)
        gc.collect()  # closes what only garbage holds open
        own = {self.control.fileno()}
        refuse(self.random.reason or inherited.why_shared(own) or self.files.why_shared(self.fork_process))
        self.descriptors = inherited.descriptors
        self.restores, self.reopens = self.files.is_needed(), bool(self.descriptors.files)
        self.finalizes = finalize
        flush_streams()  # else every fork would write the buffered output again
        for stream in (1, 2):
            os.write(stream, IMPORTED)
        self.forking.prepare(self)
        self.survivors, self.logging = self.exiting.survivors(), self.exiting.Handlers()
        # The collectors of the forks do not look at imported objects again: their memory stays shared.
        gc.freeze()
        self.learn()
        reason = self.separation and self.separation.why_not(self)
        if reason:
            raise Cold(reason)
        self.send({"ready": {"seconds": round(time.perf_counter() - begun, 4)}})

    def separate(self, plan):
        """Gives up what this process must not have during the import; None if nothing separates the forks."""
        if plan is None:
            return None
        try:
            separation = beside("separation").Separation(plan, self.libc)
            separation.restrict_zygote()
        except OSError as error:
            raise Cold(f"forks cannot be kept apart: {error}") from error
        return separation

    def learn(self):
        """Does all work that forks can inherit."""
        try:
            warmup = self.warmup.WarmUp(self)
            warmup.repeat()
        except Exception:  # for example, no descriptor is left: each fork learns alone
            warmup = None
        gc.collect()
        if not self.finalizes:
            gc.unfreeze()
            self.memory.make_immortal()
        gc.freeze()
        self.memory.make_huge()
        self.ahead = self.memory.Ahead(self.fork_process, warmup)
        if warmup is not None:
            warmup.close()

    def import_service(self, entrypoint):
        import importlib

        module, _, name = entrypoint.partition(":")
        try:
            runtime = importlib.import_module("qhub.commons.runtime.main")
            getattr(importlib.import_module(module), name)
            # The imports of a run; the published SDK has no such function.
            getattr(runtime, "prepare", lambda entrypoint: None)(entrypoint)
            self.runtime, self.run = runtime, runtime.main
        except BaseException as error:  # a cold start reports any error better
            raise Cold(f"importing {module} failed in the zygote: {type(error).__name__}") from error

    # Forking.

    def serve(self):
        """Forks on demand until the other side is gone, or all forks are and it retires. Forks do not return."""
        self.children = watch_children()
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.children, select.POLLIN)
        while not (self.retiring and not self.forks):
            for descriptor, _ in poll.poll():
                if descriptor == self.children:
                    self.take_notice()
                    self.reap()
                elif not self.order():
                    return

    def take_notice(self):
        try:
            os.read(self.children, 4096)
        except BlockingIOError:
            return  # of a child that was reaped when another was forked

    def order(self):
        """Carries out one order. False at the end of input."""
        packet, descriptors = receive(self.control)
        if not packet:
            return False
        word, _, number = packet.partition(b" ")
        number, _, user = number.partition(b" ")
        if word == b"retire":
            self.retiring = True
        else:
            self.fork(number, descriptors, int(user), word == b"ahead")
        return True

    def fork(self, number, descriptors, user, ahead):
        # A fork has nothing to unblock, and reap follows at once.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CHILD_ENDED)
        pid = self.fork_process()
        if pid == 0:
            raise Ended(self.forking.become(self, descriptors, user, ahead))
        signal.pthread_sigmask(signal.SIG_BLOCK, CHILD_ENDED)
        close(descriptors)
        if pid > 0:
            self.forks[pid] = number
        else:
            self.control.send(b"failed %b cannot fork: %b" % (number, os.strerror(ctypes.get_errno()).encode()))
        self.reap()

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
                self.control.send(b"ended %b %d" % (self.forks.pop(pid), status))


# Small things.


def refuse(reason):
    """Raises Cold if forks would share or lack what the import has left."""
    if reason:
        raise Cold(f"importing the service {reason}")


def receive(connection):
    """Reads a packet with the descriptors that come along."""
    data, ancillary, _, _ = connection.recvmsg(MAX_PACKET, 256, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, descriptors


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def flush_streams():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed or replaced by the service
            continue


def watch_children():
    """A descriptor that can be read when a child has ended: no handler, which forks would have to get rid of."""
    signal.pthread_sigmask(signal.SIG_BLOCK, CHILD_ENDED)
    libc = ctypes.CDLL(None)
    mask = ctypes.create_string_buffer(128)
    libc.sigemptyset(mask)
    libc.sigaddset(mask, signal.SIGCHLD)
    return libc.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the group was empty


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
    zygote = Zygote(control)
    first = json.loads(control.recv(MAX_PACKET))
    zygote.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        zygote.load(**first)
    except Cold as reason:
        zygote.send({"cold": str(reason)})
        return 0
    try:
        zygote.serve()
        os._exit(0)
    except Ended as fork:
        return fork.args[0]


if __name__ == "__main__":
    sys.exit(main())
