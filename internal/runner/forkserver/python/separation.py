"""Keeps executions apart that are forked from one zygote in a sandbox.

The zygote has capabilities in a private user namespace, and nowhere else. By them a fork makes namespaces, gets a user,
and mounts file systems in memory: for temporary files, its home, and all that it writes in the folder of the service.
It sees no folder of an execution but its own. Then it gives them up, and puts Landlock and the filter of system
calls in force. A fork that fails at any of it ends before the service runs.

Most of it is done ahead of an order. The zygote lays out what the kernel is given, as numbers and bytes: a fork only
makes the calls, because each object that it makes or looks at costs it a copy of a page.
"""

import base64
import ctypes
import os
import socket
import struct
import sys
import types

MS_NOSUID, MS_NODEV, MS_REMOUNT = 2, 4, 32
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_EMPTY_PATH, AT_NOFOLLOW, AT_RECURSIVE = -100, 0x1000, 0x100, 0x8000
CLONE_TREE, MOVE_FROM_EMPTY = 1, 4
O_PATH = os.O_PATH | os.O_CLOEXEC
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 4, 24, 28
# Programs of root gain no capabilities, and nothing passes any on; both are locked.
SECUREBITS = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7
CAPABILITY_HEADER = struct.pack("Ii", 0x20080522, 0)
SET_MODE_FILTER = 1
WAIT_FOR_ALL, CLOSE_ON_EXEC, CONTROL = 0x100, 0x40000000, 24
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41

# As numbered on all architectures.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CREATE_RULESET, RESTRICT_SELF = 444, 446
# The others: on x86_64, and on architectures that came later.
NAMES = [
    "capset", "close", "mount", "prctl",
    "recvmsg", "seccomp", "setgroups", "setresgid", "setresuid", "unshare"
]  # fmt: skip
NUMBERS = {
    "x86_64": (126, 3, 165, 157, 47, 317, 116, 119, 117, 272),
    "others": (91, 57, 40, 167, 212, 277, 159, 149, 147, 97),
}["x86_64" if os.uname().machine == "x86_64" else "others"]
CAPSET, CLOSE, MOUNT, PRCTL, RECVMSG, SECCOMP, SETGROUPS, SETRESGID, SETRESUID, UNSHARE = NUMBERS
CALLED = {
    **dict(zip(NUMBERS, NAMES, strict=True)),
    OPEN_TREE: "open_tree",
    MOVE_MOUNT: "move_mount",
    MOUNT_SETATTR: "mount_setattr",
    CREATE_RULESET: "landlock_create_ruleset",
    RESTRICT_SELF: "landlock_restrict_self",
}


class Separation:
    """How forks separate, as the program that runs services has planned it for this machine."""

    def __init__(self, plan, libc):
        self.plan, self.syscall, self.ioctl = plan, libc.syscall, libc.ioctl
        self.folder, self.current = plan["folder"].encode(), os.getcwd()
        self.spaces = (UNSHARE, plan["unshare"])
        self.in_temp = [place["path"].encode() for place in plan["in_temp"] or ()]
        self.mounts = [self.mount(path, options, plan["temp"], 0) for path, options in plan["mounts"]]
        self.drafts = self.plan_drafts(plan["drafts"])
        self.filters = [Filter(plan[name]) for name in ("zygote_filter", "filter")]
        self.give_up = [
            (CAPSET, CAPABILITY_HEADER, bytes(24)),
            (SECCOMP, SET_MODE_FILTER, 0, self.filters[1].head),
            # Processes of its user may look into it: only its own run as this user.
            (PRCTL, PR_SET_DUMPABLE, 1, 0, 0, 0),
            (PRCTL, PR_SET_PDEATHSIG, 9, 0, 0, 0),  # which it has lost with its capabilities
        ]
        handled = plan["handled"] or []
        while handled and handled[-1] == 0:  # an old kernel knows no more than it is asked for
            handled.pop()
        self.handled = struct.pack(f"{len(handled)}Q", *handled)
        self.message = Message()

    def plan_drafts(self, drafts):
        """What makes a folder that each fork can write in; None if there is none."""
        if drafts is None:
            return None
        memory = self.mount(drafts["memory"], "mode=700", self.plan["temp"], 0)
        overlay = MOUNT, b"overlay", drafts["at"].encode(), b"overlay", MS_NOSUID | MS_NODEV, drafts["options"].encode()
        inside = [place["path"].encode() for place in drafts["inside"] or ()]
        return memory, drafts["upper"], drafts["work"], overlay, inside

    @staticmethod
    def mount(path, options, more, flags):
        return (
            MOUNT,
            b"tmpfs",
            path.encode(),
            b"tmpfs",
            MS_NOSUID | MS_NODEV | flags,
            f"{options},{more}".encode(),
        )

    def do(self, *call):
        """Makes a system call, which must succeed."""
        result = self.syscall(*call)
        if result == -1:
            raise failure(call)
        return result

    # In the zygote.

    def restrict_zygote(self):
        """Before the import: leaves the capabilities that forks need, and no way to gain others."""
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            last = int(file.read())
        for capability in range(last + 1):
            self.do(PRCTL, PR_CAPBSET_DROP, capability, 0, 0, 0)
        self.do(PRCTL, PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0)
        kept = self.plan["capabilities"]
        low, high = kept & 0xFFFFFFFF, kept >> 32
        self.do(CAPSET, CAPABILITY_HEADER, struct.pack("6I", low, low, 0, high, high, 0))
        self.do(SECCOMP, SET_MODE_FILTER, 0, self.filters[0].head)

    def why_not(self, zygote):
        """Has a fork try all of it, with what forks inherit. Returns the obstacle; empty if there is none."""
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
                raise PermissionError(f"they run as users who may not read {path}: run chmod -R a+rX on it")
        self.enter(None)

    # In a fork.

    def ahead(self, user):
        """Does what needs no order: namespaces, the user, the private mounts."""
        self.do(*self.spaces)
        if user:
            self.do(SETGROUPS, 0, 0)
            self.do(SETRESGID, user, user, user)
            self.do(SETRESUID, user, user, user)
        shown = [self.do(OPEN_TREE, AT_FDCWD, path, CLONE_TREE | os.O_CLOEXEC | AT_RECURSIVE) for path in self.in_temp]
        temp, *others = self.mounts
        self.do(*temp)
        if shown:
            self.show_in_temp(shown)
        if self.drafts:
            self.mount_drafts(*self.drafts)
        for call in others:
            self.do(*call)
        if self.plan["loopback"]:
            self.raise_loopback()

    def show_in_temp(self, trees):
        """Mounts in the new /tmp the folders that the one below it showed."""
        for tree, path, place in zip(trees, self.in_temp, self.plan["in_temp"], strict=True):
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            if place["file"]:
                os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o444))
            else:
                os.makedirs(path, 0o755, exist_ok=True)
            self.attach(tree, path)
        os.chdir(self.current)

    def mount_drafts(self, memory, upper, work, overlay, inside):
        """Mounts the overlay, and in it the mounts that the zygote's has. The home covers the folder in memory then."""
        trees = [self.do(OPEN_TREE, AT_FDCWD, path, CLONE_TREE | os.O_CLOEXEC | AT_RECURSIVE) for path in inside]
        self.do(*memory)
        self.memory = os.open(memory[2], O_PATH)
        os.mkdir(upper, 0o755)
        os.mkdir(work, 0o755)
        self.do(*overlay)
        for tree, path in zip(trees, inside, strict=True):
            self.attach(tree, path)
        os.chdir(self.current)

    def receive(self, connection):
        """Receives the length of the order, and keeps the descriptor of the folder. None at the end of input."""
        received = self.message.receive(self.syscall, connection)
        if received is None:
            return None
        length, self.tree = received
        return length

    def enter(self, folder):
        """With an order: takes the execution's folder, and gives up what it must not have. No folder: a trial."""
        if folder is not None:
            if folder["temp"]:
                for path, options in self.plan["mounts"]:
                    self.do(*self.mount(path, options, folder["temp"], MS_REMOUNT))
                if self.drafts:
                    self.do(*self.mount(f"/proc/self/fd/{self.memory}", "mode=700", folder["temp"], MS_REMOUNT))
            if self.tree >= 0:
                self.attach(self.tree, self.folder)
            else:
                self.find_folder(folder)
        if self.drafts:
            self.do(CLOSE, self.memory)
        if self.handled:
            ruleset = self.do(CREATE_RULESET, self.handled, len(self.handled), 0)
            self.do(RESTRICT_SELF, ruleset, 0)
            self.do(CLOSE, ruleset)
        for call in self.give_up:
            self.do(*call)

    def find_folder(self, folder):
        """Mounts the folder from among all of them, and covers those. Only the output can be written."""
        source = f"{self.plan['folders']}/{folder['name']}".encode()
        trees = [(self.open_tree(source, ATTR_RDONLY), self.folder)]
        for name in folder["writable"]:
            trees.append(
                (
                    self.open_tree(source + b"/" + name.encode(), 0),
                    self.folder + b"/" + name.encode(),
                )
            )
        trees.append(
            (
                self.open_tree(self.plan["empty"].encode(), ATTR_RDONLY),
                self.plan["folders"].encode(),
            )
        )
        for tree, target in trees:
            self.attach(tree, target)

    def open_tree(self, path, attributes):
        tree = self.do(OPEN_TREE, AT_FDCWD, path, CLONE_TREE | os.O_CLOEXEC | AT_NOFOLLOW)
        mount_attr = struct.pack("4Q", ATTR_NOSUID | ATTR_NODEV | attributes, 0, 0, 0)
        self.do(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, mount_attr, len(mount_attr))
        return tree

    def attach(self, tree, path):
        self.do(MOVE_MOUNT, tree, b"", AT_FDCWD, path, MOVE_FROM_EMPTY)
        self.do(CLOSE, tree)

    def raise_loopback(self):
        request = b"lo".ljust(16, b"\0") + UP_AND_RUNNING.to_bytes(2, "little") + bytes(22)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as anything:
            if self.ioctl(anything.fileno(), SIOCSIFFLAGS, request) == -1:
                raise failure(("loopback",))


class Message:
    """Where a fork receives the length of its order, and the descriptor of its folder."""

    def __init__(self):
        self.length, self.control = ctypes.create_string_buffer(8), ctypes.create_string_buffer(CONTROL)
        self.vector = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(self.length), 8), 16)
        parts = 0, 0, ctypes.addressof(self.vector), 1, ctypes.addressof(self.control), CONTROL, 0
        self.header = ctypes.create_string_buffer(struct.pack("PIPNPNi", *parts), 56)

    def receive(self, syscall, connection):
        """The length and the descriptor, -1 if there is none; None at the end of input."""
        if syscall(RECVMSG, connection, self.header, WAIT_FOR_ALL | CLOSE_ON_EXEC) != 8:
            return None
        size, level, kind, descriptor = struct.unpack("Niii", self.control.raw[:20])
        got = (size, level, kind) == (20, socket.SOL_SOCKET, socket.SCM_RIGHTS)
        return int.from_bytes(self.length.raw, "big"), descriptor if got else -1


class Filter:
    """A filter of system calls: head is a struct sock_fprog, which leads to the program."""

    def __init__(self, text):
        program = base64.b64decode(text)
        self.program = ctypes.create_string_buffer(program, len(program))
        self.head = struct.pack("HP", len(program) // 8, ctypes.addressof(self.program))


def imported():
    """The files of imported modules, as far as this process may read them."""
    for module in list(sys.modules.values()):
        path = vars(module).get("__file__") if type(module) is types.ModuleType else None
        # The main module is that of the zygote, and of processes that a service spawns.
        if isinstance(path, str) and os.access(path, os.R_OK):
            yield path


def failure(call):
    """The error of a system call, with what it was about."""
    number, name = ctypes.get_errno(), CALLED.get(call[0], call[0])
    about = [item.decode(errors="replace") for item in call[1:] if isinstance(item, bytes) and item[:1] == b"/"]
    return OSError(number, " ".join((name, *about)) + ": " + os.strerror(number))
