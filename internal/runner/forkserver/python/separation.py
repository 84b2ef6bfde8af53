"""Keeps executions apart that are forked from one zygote in a sandbox.

The zygote has capabilities in a private user namespace, and nowhere else. By them a fork makes itself namespaces, a
user, file systems in memory for its temporary files and its home, and a view in which of all folders of executions only
its own is. Then it gives them up, and puts Landlock and the filter of system calls in force that executions in a
sandbox each have. A fork that fails at any of it ends before the service runs.

Most of it is done ahead of an order. What the system is given is laid out in the zygote: a fork only makes the calls.
"""

import base64
import ctypes
import os
import socket
import sys
import types

MS_NOSUID, MS_NODEV, MS_REMOUNT = 2, 4, 32
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_EMPTY_PATH, AT_NOFOLLOW, AT_RECURSIVE = -100, 0x1000, 0x100, 0x8000
CLONE_TREE, MOVE_FROM_EMPTY = 1, 4
O_PATH = os.O_PATH | os.O_CLOEXEC
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 4, 24, 28, 38
# Programs of root gain no capabilities, and nothing passes any on; both are locked.
SECUREBITS = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7
CAPABILITY_VERSION = 0x20080522
PATH_BENEATH = 1
SET_MODE_FILTER = 1
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41

# As numbered on all architectures.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
# Of those that differ: of x86_64, and of all that came later.
NUMBERS = {
    "x86_64": {"capset": 126, "seccomp": 317, "setgroups": 116, "setresgid": 119, "setresuid": 117},
    "generic": {"capset": 91, "seccomp": 277, "setgroups": 159, "setresgid": 149, "setresuid": 147},
}


class Failed(OSError):
    """A step that failed."""


class Filter(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_void_p))

    def __init__(self, text):
        self.text = ctypes.create_string_buffer(base64.b64decode(text))
        super().__init__((len(self.text) - 1) // 8, ctypes.addressof(self.text))


class PathBeneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


class Separation:
    """How forks separate, as the program that runs services has planned it for this machine."""

    def __init__(self, plan, libc):
        self.plan, self.libc, self.syscall = plan, libc, libc.syscall
        self.numbers = NUMBERS["x86_64" if os.uname().machine == "x86_64" else "generic"]
        self.filter, self.zygote_filter = Filter(plan["filter"]), Filter(plan["zygote_filter"])
        self.capability_header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        self.nothing = (ctypes.c_uint32 * 6)()
        self.attributes = {
            kind: (ctypes.c_uint64 * 4)(ATTR_NOSUID | ATTR_NODEV | more)
            for kind, more in ((False, ATTR_RDONLY), (True, 0))  # whether it is writable
        }
        self.folder = plan["folder"].encode()
        self.mounts = [(path.encode(), f"{options},{plan['temp']}".encode()) for path, options in plan["mounts"]]
        self.in_temp = [place["path"].encode() for place in plan["in_temp"] or ()]
        self.current = os.getcwd()
        self.rules = [(rule["path"], rule["access"]) for rule in plan["rules"] or ()]
        handled = plan["handled"] or []
        while handled and handled[-1] == 0:  # an old kernel knows no more than it is asked for
            handled.pop()
        self.handled = (ctypes.c_uint64 * len(handled))(*handled) if handled else None
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            every = range(int(file.read()) + 1)
        self.kept = [capability for capability in every if plan["capabilities"] >> capability & 1]
        self.dropped = [capability for capability in every if capability not in self.kept]
        self.ruleset = -1

    def call(self, what, number, *arguments):
        """Makes a system call, which must succeed."""
        result = self.syscall(ctypes.c_long(number), *map(argument, arguments))
        if result == -1:
            raise failure(what)
        return result

    def check(self, what, result):
        if result == -1:
            raise failure(what)

    # In the zygote.

    def restrict_zygote(self):
        """Before the import: leaves the capabilities that forks need, and what takes no user namespace."""
        libc, kept = self.libc, self.plan["capabilities"]
        for capability in self.dropped:
            self.check("capabilities", libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
        low, high = kept & 0xFFFFFFFF, kept >> 32
        sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
        self.call("capabilities", self.numbers["capset"], ctypes.byref(self.capability_header), ctypes.byref(sets))
        self.call("the filter", self.numbers["seccomp"], SET_MODE_FILTER, 0, ctypes.byref(self.zygote_filter))

    def why_not(self, zygote):
        """Has a fork try all of it, with what the import has left to forks. Returns the obstacle; empty if there is none."""
        needed = [os.getcwd(), *imported()]
        reader, writer = os.pipe()
        pid = zygote.fork_process()
        if pid == 0:
            try:
                self.try_all(zygote, needed)
            except BaseException as error:
                os.write(writer, f"forks cannot be kept apart: {error}".encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as file:
            reason = file.read().decode()
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:  # the service has asked for its children not to be waited for
            return reason
        return reason

    def try_all(self, zygote, needed):
        self.ahead(self.plan["trial"])
        if zygote.restores:
            zygote.files.restore()
        if zygote.reopens:
            zygote.descriptors.renew()
        for path in needed:
            if not os.access(path, os.R_OK):
                raise PermissionError(f"they run as users who may not read {path}: let all read it (chmod -R a+rX)")
        self.enter({"temp": "", "writable": []}, None)

    # In a fork.

    def ahead(self, user):
        """Does what needs no order: all namespaces, the user, the private mounts."""
        plan, libc = self.plan, self.libc
        self.check("namespaces", libc.unshare(plan["unshare"]))
        if plan["users"]:
            # By the system: the library would have all threads follow, and there is one.
            self.call("the groups", self.numbers["setgroups"], 0, 0)
            self.call("the group", self.numbers["setresgid"], user, user, user)
            self.call("the user", self.numbers["setresuid"], user, user, user)
        shown = [self.call(path, OPEN_TREE, AT_FDCWD, path, CLONE_TREE | os.O_CLOEXEC | AT_RECURSIVE) for path in self.in_temp]
        for path, options in self.mounts:
            self.check(path, libc.mount(b"tmpfs", path, b"tmpfs", MS_NOSUID | MS_NODEV, options))
        if shown:
            self.show_in_temp(shown)
        if plan["loopback"]:
            self.raise_loopback()
        for capability in self.kept:
            self.check("capabilities", libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
        if self.handled is not None:
            self.ruleset = self.call(
                "Landlock", CREATE_RULESET, ctypes.byref(self.handled), ctypes.sizeof(self.handled), 0
            )
            for path, access in self.rules:
                self.allow(path, access)

    def show_in_temp(self, trees):
        """Mounts in the new /tmp the folders that the one below it showed."""
        for tree, path, place in zip(trees, self.in_temp, self.plan["in_temp"], strict=True):
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            if place["file"]:
                os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o444))
            else:
                os.makedirs(path, 0o755, exist_ok=True)
            self.call(path, MOVE_MOUNT, tree, b"", AT_FDCWD, path, MOVE_FROM_EMPTY)
            os.close(tree)
        os.chdir(self.current)

    def enter(self, folder, trees):
        """With an order: takes the execution's folder, and gives up all that an execution must not have."""
        libc = self.libc
        if folder["temp"]:
            for path, options in self.plan["mounts"]:
                options = f"{options},{folder['temp']}".encode()
                self.check(path, libc.mount(None, path.encode(), None, MS_REMOUNT | MS_NOSUID | MS_NODEV, options))
        if trees is not None:
            self.mount_folder(folder, trees)
        if self.ruleset >= 0:
            for name in folder["writable"]:
                self.allow(f"{self.plan['folder']}/{name}", self.plan["writable"])
            self.call("Landlock", RESTRICT_SELF, self.ruleset, 0)
            os.close(self.ruleset)
        self.check("capabilities", libc.prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0))
        self.call("capabilities", self.numbers["capset"], ctypes.byref(self.capability_header), ctypes.byref(self.nothing))
        self.call("the filter", self.numbers["seccomp"], SET_MODE_FILTER, 0, ctypes.byref(self.filter))
        # It has become another user, whose own processes may look into it: for others there is none of that user.
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)

    def mount_folder(self, folder, trees):
        """Mounts the folder, and on it its writable folders."""
        targets = [self.folder, *(self.folder + b"/" + name.encode() for name in folder["writable"])]
        if not trees:
            source = f"{self.plan['folders']}/{folder['name']}".encode()
            sources = [source, *(source + b"/" + name.encode() for name in folder["writable"])]
            trees = [self.open_tree(path, i > 0) for i, path in enumerate(sources)]
            self.cover()
        for tree, target in zip(trees, targets, strict=True):
            self.call(target, MOVE_MOUNT, tree, b"", AT_FDCWD, target, MOVE_FROM_EMPTY)
            os.close(tree)

    def open_tree(self, path, writable):
        tree = self.call(path, OPEN_TREE, AT_FDCWD, path, CLONE_TREE | os.O_CLOEXEC | AT_NOFOLLOW)
        attributes = self.attributes[writable]
        self.call(
            path, MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), ctypes.sizeof(attributes)
        )
        return tree

    def cover(self):
        """Puts an empty folder over those of other executions. It can never be taken away."""
        tree = self.call("others", OPEN_TREE, AT_FDCWD, self.plan["empty"].encode(), CLONE_TREE | os.O_CLOEXEC)
        self.call("others", MOVE_MOUNT, tree, b"", AT_FDCWD, self.plan["folders"].encode(), MOVE_FROM_EMPTY)
        os.close(tree)

    def allow(self, path, access):
        """Adds a rule to the ruleset. A missing path needs none."""
        try:
            place = os.open(path, O_PATH)
        except (FileNotFoundError, PermissionError):
            return
        rule = PathBeneath(access, place)
        self.call("Landlock", ADD_RULE, self.ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(place)

    def raise_loopback(self):
        request = b"lo".ljust(16, b"\0") + UP_AND_RUNNING.to_bytes(2, "little") + bytes(22)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as anything:
            self.check("loopback", self.libc.ioctl(anything.fileno(), SIOCSIFFLAGS, request))


def imported():
    """The files of imported modules, as far as this process may read them."""
    for module in list(sys.modules.values()):
        path = vars(module).get("__file__") if type(module) is types.ModuleType else None
        if isinstance(path, str) and module.__name__ != "__main__" and os.access(path, os.R_OK):
            yield path


def argument(value):
    return ctypes.c_long(value) if isinstance(value, int) else value


def failure(what):
    number = ctypes.get_errno()
    if isinstance(what, bytes):
        what = what.decode()
    return Failed(number, f"{what}: {os.strerror(number)}")
