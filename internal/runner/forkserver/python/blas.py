"""Numerical libraries in a zygote: OpenBLAS without its pool of threads, which a fork would not have.

OpenBLAS ends its pool before a process is forked, and starts it again, as large as it was, at the next computation that
is large enough. So one fork of the zygote that does nothing leaves it without threads, and each execution has as many
as it would have cold, once it needs them.
"""

import os


def end_threads(fork):
    """Ends the threads of the libraries that can do that."""
    if len(os.listdir("/proc/self/task")) == 1:
        return
    pid = fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # the service has asked for its children not to be waited for
        return
