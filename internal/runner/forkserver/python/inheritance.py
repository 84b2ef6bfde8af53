"""What forks would inherit from a zygote beside its memory, and what becomes of it.

The kernel says what there is, so it does not matter which module has made it. A regular file that is open for reading
only is opened again in each fork, with a position for that fork alone, and so is a device without a state. All else
(descriptors of other kinds, shared memory, processes, threads, timers, System V objects) would be shared between
executions, or would be missing from them: then the service starts cold. importedfiles.py looks at files.
"""

import contextlib
import os
import signal
import stat
import threading

# major and minor numbers of null, zero, full, random and urandom
STATELESS_DEVICES = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)}
# Bits of the flags in /proc/self/fdinfo.
O_ASYNC = 0o20000
# How the kernel names what it opens without a path.
NAMES = {
    "socket:": "a connection",
    "pipe:": "a pipe",
    "anon_inode:[event": "an event queue",
    "anon_inode:[io_uring": "an event queue",
    "anon_inode:inotify": "a watch for files",
    "anon_inode:[fanotify": "a watch for files",
    "anon_inode:[timerfd": "a timer",
    "anon_inode:[signalfd": "a queue of signals",
    "anon_inode:[pidfd": "a handle of a process",
    "/memfd:": "shared memory",
}
# Native threads that forks do without: jemalloc's gives memory back to the system. Its own preparations for a fork take
# its locks, and a child then does that work in other threads.
SPARE_THREADS = {"jemalloc_bg_thd"}
MAX_TEXT = 120


class Descriptors:
    """The descriptors that a zygote has after the import and did not have before it."""

    def __init__(self, copied):
        """Forks have a copy of what copied says yes to, by its path and device."""
        self.copied = copied
        self.before = {number: place(number) for number in numbers()}
        self.standard = [place(number) for number in range(3)]
        self.procfs = os.stat("/proc").st_dev
        self.files, self.aliases = [], []

    def why_shared(self, own):
        """Says which of them cannot be given to forks; None if all can. Those in own are the zygote's."""
        if [place(number) for number in range(3)] != self.standard:
            return "replaces a standard stream"
        if any(read_info(number)[2] for number in range(3)):
            return "locks a standard stream"
        self.flags = read_info(0)[0] & ~os.O_CLOEXEC
        for number in numbers():
            now = place(number)
            if now is None or number in own or number <= 2 or self.before.get(number) == now:
                continue
            reason = self.why_not(number)
            if reason:
                return f"leaves {reason} open (descriptor {number})"
        self.find_aliases()
        return None

    def why_not(self, number):
        """Says why a descriptor cannot be opened again, and notes how it can be."""
        target, status = os.readlink(f"/proc/self/fd/{number}"), os.fstat(number)
        kind = stat.S_IFMT(status.st_mode)
        stateless = kind == stat.S_IFCHR and device(status.st_rdev) in STATELESS_DEVICES
        if kind not in (stat.S_IFREG, stat.S_IFDIR) and not stateless:
            return name_of(target, kind)
        flags, offset, locked = read_info(number)
        if target.startswith("/memfd:"):
            return NAMES["/memfd:"]
        if status.st_nlink == 0:
            return "a file without a name"
        if (flags & os.O_ACCMODE != os.O_RDONLY and not stateless) or flags & O_ASYNC:
            return f"the file {short(target)} for writing"
        if locked:
            return f"the locked file {short(target)}"
        if status.st_dev == self.procfs or not same_file(target, status) or (kind == stat.S_IFDIR and offset):
            return short(target)
        with contextlib.suppress(OSError):
            same = f"/proc/self/fd/{number}"
            os.close(os.open(same, flags))
            path = target if self.copied(target, status.st_dev) else same
            self.files.append((number, path, flags, offset, (status.st_dev, status.st_ino)))
            return None
        return f"the file {short(target)}, which forks cannot open"

    def find_aliases(self):
        """Finds the descriptors that share a position: those share one in each fork as well."""
        leaders = []
        for file in self.files:
            leader = next((other for other in leaders if other[4] == file[4] and share_position(other, file)), None)
            if leader is None:
                leaders.append(file)
            else:
                self.aliases.append((leader[0], file[0], not file[2] & os.O_CLOEXEC))
        self.files = leaders

    def renew(self):
        """In a fork: opens the files again."""
        for number, path, flags, offset, _ in self.files:
            again = os.open(path, flags)
            if offset:
                os.lseek(again, offset, os.SEEK_SET)
            os.dup2(again, number, not flags & os.O_CLOEXEC)
            os.close(again)
        for leader, number, inheritable in self.aliases:
            os.dup2(leader, number, inheritable)


def numbers():
    return sorted(map(int, os.listdir("/proc/self/fd")))


def place(number):
    """What a descriptor refers to; None if it is not open."""
    try:
        status = os.fstat(number)
        return status.st_dev, status.st_ino, status.st_mode, os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return None


def device(number):
    return os.major(number), os.minor(number)


def read_info(number):
    """The flags and the position of a descriptor, and whether a lock is held by it."""
    info = {}
    with open(f"/proc/self/fdinfo/{number}", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            info[name] = value.strip()
    return int(info["flags"], 8), int(info["pos"]), "lock" in info


def same_file(path, status):
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), status)
    return False


def share_position(one, other):
    """Moves one and looks at the other."""
    number, offset = one[0], one[3]
    if other[3] != offset:
        return False
    try:
        os.lseek(number, offset + 1, os.SEEK_SET)
        return os.lseek(other[0], 0, os.SEEK_CUR) == offset + 1
    except OSError:
        return False  # folders may not take that position
    finally:
        with contextlib.suppress(OSError):
            os.lseek(number, offset, os.SEEK_SET)


def name_of(target, kind):
    for start, name in NAMES.items():
        if target.startswith(start):
            return name
    if kind == stat.S_IFIFO:
        return "a pipe"
    if kind == stat.S_IFCHR:
        return f"the device {short(target)}"
    return short(target)


def short(text):
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


# Memory.


def why_memory_is_shared():
    """Names a mapping that forks would share and could write to; None if there is none."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        shared = [line for line in maps if line.split(None, 2)[1].endswith("s")]
    for line in shared:
        fields = line.split(None, 5)
        path = fields[5].strip() if len(fields) > 5 else ""
        if not harmless(fields[1], path):
            return f"leaves memory that its forks would share ({short(path) or 'without a name'})"
    return "leaves memory that its forks would share" if shared and may_be_written() else None


def harmless(access, path):
    """Whether a shared mapping is of a regular file that is still there, and only read."""
    if "w" in access or not path.startswith("/") or path.startswith("/dev/") or path.endswith(" (deleted)"):
        return False
    with contextlib.suppress(OSError):
        return stat.S_ISREG(os.stat(path).st_mode)
    return False


def may_be_written():
    """Whether a shared mapping can be made writable later."""
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as smaps:
        for line in smaps:
            if line.startswith("VmFlags:"):
                flags = line.split()
                if "sh" in flags and "mw" in flags:
                    return True
    return False


# Processes, threads, signals.


def why_processes_break():
    """Names a thread or a child process that a fork would not have; None if there is none."""
    others = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if others:
        return f"leaves a thread running: {others[0]}"
    tasks = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    for name in (read(f"/proc/self/task/{task}/comm").strip() for task in tasks):
        if name not in SPARE_THREADS:
            return f"leaves a native thread running: {name}"
    children = read(f"/proc/self/task/{os.getpid()}/children").split()
    if children:
        return f"leaves a process: {read(f'/proc/{children[0]}/comm').strip()}"
    return None


def why_signals_break():
    """Names a timer or a signal that a fork would not have; None if there is none."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        if signal.getitimer(timer)[0]:
            return "leaves a timer running"
    if read("/proc/self/timers"):
        return "leaves a timer running"
    if signal.sigpending():
        return "leaves a signal pending"
    if signal.SIGCHLD in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return "blocks SIGCHLD"
    ignored = next((line for line in read("/proc/self/status").splitlines() if line.startswith("SigIgn:")), "SigIgn: 0")
    if int(ignored.split()[1], 16) >> (signal.SIGCHLD - 1) & 1:
        return "ignores SIGCHLD"
    return None


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class SystemV:
    """Shared memory, semaphores and queues of System V, which have no descriptors."""

    def __init__(self):
        self.before = self.objects()

    @staticmethod
    def objects():
        found = set()
        for kind in ("shm", "sem", "msg"):
            lines = read("/proc/sysvipc/" + kind).splitlines()
            names = lines[0].split() if lines else []
            if "cuid" in names:
                owner = names.index("cuid")
                rows = (line.split() for line in lines[1:])
                found.update((kind, *row[:2]) for row in rows if row[owner] == str(os.geteuid()))
        return found

    def why_shared(self):
        made = self.objects() - self.before
        return f"leaves System V objects ({min(made)[0]})" if made else None


class Inheritance:
    """Everything that this module looks at. Made before the service is imported."""

    def __init__(self, copied):
        self.descriptors, self.systemv = Descriptors(copied), SystemV()

    def why_shared(self, own):
        """Says what of the import forks would share or lack; None if they can be apart."""
        try:
            return (
                why_processes_break()
                or self.descriptors.why_shared(own)
                or why_memory_is_shared()
                or why_signals_break()
                or self.systemv.why_shared()
            )
        except OSError as error:
            return f"leaves something that cannot be looked at: {error.strerror}"
