"""The end of a fork: all effects of an interpreter's end that others see, and none of the work that it does for itself.

Taking an interpreter down takes 10 to 60 ms, most of it to free memory that the system takes back anyway. Others see
these parts: it waits for threads, atexit functions run, open generators run their `finally`, objects their `__del__`,
and files are flushed and closed. The fork visits only the objects that it has made, and the few such objects that the
zygote has made while it imported the service.
"""

import _io
import atexit
import contextlib
import gc
import io
import os
import sys
import threading
import types
import weakref

STANDARD = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
# Files that write to others are closed before those: a GzipFile, which is none of these, first of all.
LAYERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair, io.FileIO)


# The base of all files. io.IOBase equals it, but isinstance asks it by way of abc, which keeps its answers in sets that
# are weak and large.
FILE = _io._IOBase
# Files whose end no other process sees.
IN_MEMORY = (io.BytesIO, io.StringIO)

# Types whose objects end in silence, and always will, because no code can give them a __del__. The zygote fills it, so
# that a fork need not check each again.
silent = set()
HEAP_TYPE = 1 << 9


def survivors():
    """Weak references to the objects that exist and would do something at the end of an interpreter."""
    things = gc.get_objects()
    standard = standard_files()
    kept = []
    for thing in things:
        if kind_matters(type(thing)) and id(thing) not in standard:
            try:
                kept.append(weakref.ref(thing))
            except TypeError:  # cannot be referred to weakly: it ends with the process
                continue
    kinds = {type(thing) for thing in things}
    silent.update(kind for kind in kinds if not kind.__flags__ & HEAP_TYPE and not kind_matters(kind))
    return kept


def kind_matters(kind):
    return kind is types.GeneratorType or has_finalizer(kind) or (issubclass(kind, FILE) and kind not in IN_MEMORY)


def runs_code(kind):
    """Whether the end of such objects may run code of the service: files of Python only write what they hold."""
    return kind.__module__ != "_io"


def has_finalizer(kind):
    return isinstance(getattr(kind, "__del__", None), types.FunctionType)


class Handlers:
    """The handlers of logging that the end of an interpreter flushes. Most executions add none."""

    def __init__(self):
        logging = sys.modules.get("logging")
        self.shutdown, self.listed = (logging.shutdown, logging._handlerList) if logging else (None, ())
        self.before = len(self.listed)
        if self.shutdown:
            alone = atexit._ncallbacks() == 1
            atexit.unregister(self.shutdown)
            if alone:
                atexit._clear()  # unregistered entries still count

    def restore(self):
        """Has the interpreter see to them at its end."""
        if self.shutdown:
            atexit.register(self.shutdown)

    def run_code(self):
        """Whether end may run code of the service."""
        for reference in self.listed:
            handler = reference()
            if type(handler).__module__ != "logging" or runs_code(type(getattr(handler, "stream", sys.__stderr__))):
                return True
        return False

    def end(self):
        """Flushes and closes them, unless there is none but that of last resort."""
        if self.shutdown and (self.before > 1 or len(self.listed) != self.before):
            self.shutdown()


def waits():
    """Whether the end of an interpreter waits for a thread, or calls a registered function."""
    try:
        return len(threading._active) > 1 or threading._threading_atexits or atexit._ncallbacks()
    except AttributeError:  # of another Python
        return True


def things_that_matter():
    """The objects that the fork has made, and those of their types whose objects act at the end.

    Most executions have none, and all types are known.
    """
    things = gc.get_objects()
    return things, {kind for kind in set(map(type, things)) - silent if kind_matters(kind)}


class ExitNotice:
    """Reports the exit code of the process when nothing else is left to do, and brings a small result along.

    That saves the file of the result, which takes longer to make and remove than a short service runs. The file
    is still written if code of the service may look at it.
    """

    NAMES = (None, "output.json", "output.txt")
    MOST = 16 << 10  # fits into the buffer of a socket

    def __init__(self, descriptor):
        self.descriptor, self.place, self.process = descriptor, place(descriptor), os.getpid()
        self.folder, self.kind, self.content, self.lost = None, 0, b"", False

    def deliver(self, folder, name, content):
        """Takes the file of a result. False if it has to be written now."""
        if len(content) > self.MOST or name not in self.NAMES or waits() or not self.reaches():
            return False
        if os.path.lexists(os.path.join(folder, name)):  # the file system says what becomes of it
            return False
        self.folder, self.kind, self.content = folder, self.NAMES.index(name), content
        return True

    def reaches(self):
        """Whether this is the process of the execution, and the descriptor still the socket."""
        try:
            return os.getpid() == self.process and place(self.descriptor) == self.place
        except OSError:
            return False

    def write(self):
        """Writes the file of the result, if there is one. A problem document that took its place stays."""
        if self.kind:
            path, content = os.path.join(self.folder, self.NAMES[self.kind]), self.content
            self.kind, self.content = 0, b""
            try:
                if not os.path.exists(path):
                    with open(path, "wb") as file:
                        file.write(content)
            except OSError as error:  # such as a full disk
                self.lost = True
                with contextlib.suppress(OSError):  # the service has closed it
                    os.write(2, f"the result cannot be written: {error.strerror}\n".encode())

    def send(self, code):
        """Ends the output, and sends the notice, unless the service has closed the descriptor or taken its number.

        Returns the exit code, which is 1 if the result is lost.
        """
        if code or not self.reaches():
            self.write()
        code = code or int(self.lost)
        for stream in (1, 2):
            with contextlib.suppress(OSError):  # the service has closed it
                os.close(stream)
        if self.reaches():
            head = bytes((code & 0xFF, self.kind)) + len(self.content).to_bytes(4, "big")
            with contextlib.suppress(OSError):  # the other side has closed its end
                os.write(self.descriptor, head + self.content)
        return code


def place(descriptor):
    info = os.fstat(descriptor)
    return info.st_dev, info.st_ino


def leave(code, kept, handlers, notice):
    """Ends the process with a code. Does not return."""
    try:
        if waits():
            threading._shutdown()
            atexit._run_exitfuncs()
        if notice is not None and handlers.run_code():
            notice.write()
        handlers.end()
        kept = [thing for thing in (reference() for reference in kept) if thing is not None]
        things, kinds = things_that_matter()
        if notice is not None and any(map(runs_code, (*map(type, kept), *kinds))):
            notice.write()
        if kept:
            end_objects(kept)
            things, kinds = things_that_matter()
        if kinds:
            end_objects([thing for thing in things if type(thing) in kinds])
    finally:
        streams = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
        if notice is not None and any(map(runs_code, map(type, streams))):
            notice.write()
        for stream in streams:
            quietly(stream, "flush")
        if notice is not None:
            code = notice.send(code)
        os._exit(code)


def end_objects(things):
    standard = standard_files()
    for thing in things:
        if type(thing) is types.GeneratorType:
            quietly(thing, "close")
        elif has_finalizer(type(thing)) and not gc.is_finalized(thing):
            quietly(thing, "__del__")
    files = [thing for thing in things if isinstance(thing, FILE) and id(thing) not in standard]
    for file in sorted(files, key=layer):
        quietly(file, "close")


def standard_files():
    return {id(file) for name in STANDARD for file in layers_of(getattr(sys, name, None))}


def layers_of(file):
    """A text file, and the files below it."""
    while file is not None:
        yield file
        file = getattr(file, "buffer", None) or getattr(file, "raw", None)


def layer(file):
    return next((i for i, kind in enumerate(LAYERS, 1) if isinstance(file, kind)), 0)


def quietly(thing, method):
    """Calls a method as the interpreter does at its end: what it raises is shown and stops nothing."""
    try:
        getattr(thing, method, int)()
    except BaseException as error:
        where = thing if method == "__call__" else getattr(type(thing), method, thing)
        try:
            sys.unraisablehook(Unraisable((type(error), error, error.__traceback__, None, where)))
        except BaseException:
            return


def class_of_unraisables():
    """The class of what sys.unraisablehook takes, which has no name in Python: it is taken from a failure."""

    class Failing:
        def __del__(self):
            raise NotImplementedError

    seen, hook = [], sys.unraisablehook
    sys.unraisablehook = seen.append
    try:
        Failing()
    finally:
        sys.unraisablehook = hook
    return type(seen.pop())


Unraisable = class_of_unraisables()
