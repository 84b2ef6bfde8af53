"""The part of a fork of a zygote: it sets itself up, waits for its order, and becomes the service.

It sends one byte by its socket when it is ready. The kernel reports the sender to the other side, by its number in that
namespace. Then it waits for {"env", "secrets", "marker", "bounds", "folder"} (eight bytes of length, then JSON),
answers with one byte and runs. A descriptor of the execution's folder, to be mounted, may come along with the length.
If forks are kept apart, "folder" is {"name", "writable", "temp"}; see separation.py. At its end it sends its exit code
and a small result before the system frees its memory, which takes as long as a short service. So a fork can be a
spare, made ahead of its execution, and secrets are in no zygote and in no process's initial environment.
"""

import contextlib
import ctypes
import json
import os
import posix
import resource
import sys
import threading

PR_SET_PDEATHSIG = 1
MARKER = "QHUBCTL_EXECUTION"
# Their handlers take and reinitialise locks that are free, and renew the generator that randomness.py sees to.
STANDARD = {"logging", "random", "threading", "concurrent.futures.thread", "asyncio.events"}


class Handlers:
    """What modules have asked to be called around a fork while a service was imported.

    A fork calls the handlers for the time before, too: its memory is that of the zygote, and nothing of the service
    runs in the zygote, where it could leave something that later forks share. The fork server never calls the handlers
    for the parent: a service that starts cold does not fork here.
    """

    def __init__(self):
        self.before, self.in_child = [], []
        self.original = posix.register_at_fork
        os.register_at_fork = posix.register_at_fork = self.register

    def register(self, **handlers):
        """Takes the place of os.register_at_fork."""
        self.original(**handlers)
        if sys._getframe(1).f_globals.get("__name__") in STANDARD:
            return
        if handlers.get("before") is not None:
            self.before.insert(0, handlers["before"])
        if handlers.get("after_in_child") is not None:
            self.in_child.append(handlers["after_in_child"])

    def stop(self):
        """Puts everything back. The service is imported."""
        os.register_at_fork = posix.register_at_fork = self.original

    def wanted(self):
        """The handlers in the order in which forks call them, if any has to be called in a child."""
        return (*self.before, *self.in_child) if self.in_child else ()


def prepare(zygote):
    """In the zygote: what all forks need, made once."""
    zygote.tag, zygote.tag_length = find_tag()
    zygote.scan = json.JSONDecoder().scan_once
    zygote.renew_native_id = getattr(threading.main_thread(), "_set_native_id", lambda: None)
    zygote.in_child = zygote.handlers.wanted()
    zygote.tempfile = forgettable_tempfile()


def forgettable_tempfile():
    """The module tempfile, unless the service has set its folder: each fork looks for another one."""
    tempfile = sys.modules.get("tempfile")
    if tempfile is None or tempfile.tempdir is None:
        return tempfile
    with contextlib.suppress(OSError):
        return tempfile if tempfile.tempdir == tempfile._get_default_tempdir() else None
    return None


def become(zygote, descriptors, user, ahead):
    """Turns this fork into an execution of the service. Returns its exit code if the interpreter shuts down itself.

    Ahead of an order, a fork has time for what would delay it then.
    """
    os.setsid()
    zygote.renew_native_id()
    os.close(zygote.control.detach())
    os.close(zygote.children)
    orders, stdout, stderr, *groups = descriptors
    os.close(0)  # the flags and locks of what the zygote has open are those of all forks
    if zygote.libc.open(b"/dev/null", zygote.descriptors.flags) != 0:
        os._exit(1)
    for group in groups:
        os.write(group, b"0")
        os.close(group)
    for target, source in ((1, stdout), (2, stderr)):
        os.dup2(source, target)
        os.close(source)
    separation = zygote.separation
    if separation is not None:
        separate(separation, user, orders)
    zygote.libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    zygote.random.renew()
    # From here on the fork has the folders that no other has.
    if zygote.restores:
        zygote.files.restore()
    if zygote.reopens:
        zygote.descriptors.renew()
    if ahead:
        zygote.ahead.copy()
    os.write(orders, b"\0")
    order = await_order(zygote, orders, separation)
    if order is None:
        os._exit(0)
    for limit, soft, hard in order["bounds"]:
        resource.setrlimit(limit, (soft, hard))
    if separation is not None:
        try:
            separation.enter(order["folder"])
        except OSError:
            os._exit(1)  # before it counts as started: another is started in its place
    # From here on it counts as started: no other is started in its place.
    os.write(orders, b"\1")
    notice = None
    if groups:  # without one, the server cannot know whether it is the last of its execution
        notice = zygote.exiting.ExitNotice(orders)
        if not zygote.finalizes:
            zygote.runtime.deliver = notice.deliver
    else:
        os.close(orders)
    take_place(zygote, order)
    for handler in zygote.in_child:
        zygote.exiting.quietly(handler, "__call__")
    code = run_service(zygote, order.pop("secrets", None))
    if zygote.finalizes:
        import gc

        notice = None  # the interpreter has much to do yet

        gc.unfreeze()
        zygote.logging.restore()
        return code
    return zygote.exiting.leave(code, zygote.survivors, zygote.logging, notice)


def separate(separation, user, orders):
    """Does what keeps this fork from others, or says why it cannot, and ends."""
    try:
        separation.ahead(user)
    except OSError as error:
        os.write(orders, b"\1" + str(error).encode())
        os._exit(1)


def await_order(zygote, orders, separation=None):
    """The order for this fork; None if there will be none."""
    if separation is not None:
        length = separation.receive(orders)
    else:
        header = read(orders, 8)
        length = header and int.from_bytes(header, "big")
    text = length and read(orders, length)
    if text is None:
        return None
    order, _ = zygote.scan(text.decode(), 0)
    text[:] = bytes(len(text))
    return order


def read(descriptor, length):
    """So many bytes; None at the end of input."""
    text = bytearray(length)
    view, got = memoryview(text), 0
    while got < length:
        n = os.readv(descriptor, [view[got:]])
        if n == 0:
            return None
        got += n
    return text


def take_place(zygote, order):
    """Sets the tag, the environment and the temporary folder of the execution."""
    marker = order["marker"]
    if len(marker) == zygote.tag_length:
        ctypes.memmove(zygote.tag, marker.encode(), len(marker))
    os.environ[MARKER] = marker
    for name, value in order["env"].items():
        os.environ[name] = value
    if zygote.tempfile is not None:
        zygote.tempfile.tempdir = None


def run_service(zygote, secrets):
    """Runs the service, as the interpreter would run a main program. Returns the exit code."""
    if secrets:
        for name, value in secrets.items():
            os.environ[name] = value
        value = None
        secrets.clear()
    try:
        return zygote.run()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return 1


def find_tag():
    """Where the tag of this process lies in the environment block that it was started with, and its length.

    It is read from /proc, which shows this memory, and children that only fork have a copy of it: so a fork writes its
    own over it, and processes that leave its tree are found.
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    text = b"\0" + ctypes.string_at(start, end - start)
    at = text.find(b"\0" + MARKER.encode() + b"=")
    if at < 0 or text.find(b"\0", at + 1) - at - 1 != len(MARKER) + 1 + len(os.environ[MARKER]):
        return 0, 0
    return start + at + len(MARKER) + 1, len(os.environ[MARKER])
