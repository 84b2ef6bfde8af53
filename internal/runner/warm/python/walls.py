"""The walls between executions that are forked from one template in a cage: Landlock, and cgroups for their limits.

What is the same for all forks is prepared: the template opens the places that all may see, a fork makes its ruleset of
them as soon as it is there, and with its order come the folders that are its own. From then on it reaches no folder of
another fork, and can neither signal, nor trace, nor see one.
"""

import ctypes
import errno
import os
import stat
import struct

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
RLIMIT_FSIZE, RLIMIT_NOFILE = 1, 7


class Walls:
    """What is prepared for the forks. The description is that of the cage."""

    def __init__(self, description):
        self.syscall = ctypes.CDLL(None, use_errno=True).syscall
        self.attributes = struct.pack("=QQQ", description["files"], description["network"], description["scope"])
        self.own, self.read, self.file = description["own"], description["read"], description["file"]
        self.places = []
        for rule in description["rules"]:
            try:
                self.places.append((os.open(rule["path"], os.O_PATH | os.O_CLOEXEC), rule["access"]))
            except (FileNotFoundError, PermissionError):
                continue  # nothing there that could be seen

    def begin(self):
        """In a fork: makes its ruleset, as far as it is that of all. Keeps nothing else open."""
        self.ruleset = self.call(CREATE_RULESET, self.attributes, len(self.attributes), 0)
        for place, access in self.places:
            self.allow(place, access)
            os.close(place)

    def close(self, order):
        """Puts the ruleset in force, with what an order adds."""
        for access, paths in ((self.own, order["own"]), (self.read, order["read"])):
            for path in paths:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                self.allow(place, access if stat.S_ISDIR(os.fstat(place).st_mode) else access & self.file)
                os.close(place)
        self.call(RESTRICT_SELF, self.ruleset, 0)
        os.close(self.ruleset)

    def allow(self, place, access):
        self.call(ADD_RULE, self.ruleset, PATH_BENEATH, struct.pack("=Qi", access, place), 0)

    def call(self, number, *arguments):
        converted = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
        result = self.syscall(ctypes.c_long(number), *converted)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"Landlock: {errno.errorcode.get(code, code)}")
        return result


def join(groups):
    """Makes this process a member of the cgroups whose lists of members are open at these descriptors."""
    for group in groups:
        os.write(group, b"0")
        os.close(group)


def bound(order):
    """Sets the limits of this process that an order names."""
    for limit, value in ((RLIMIT_NOFILE, order["openFiles"]), (RLIMIT_FSIZE, order["fileSize"])):
        if value and ctypes.CDLL(None, use_errno=True).setrlimit(limit, (ctypes.c_ulong * 2)(value, value)):
            raise OSError(ctypes.get_errno(), "cannot set a limit")
