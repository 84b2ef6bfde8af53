"""The warm-up of a zygote before the first fork: it runs the steps of forks, so that none of them has to learn them.

See qhub.commons.runtime.warmup for what forks learn. With an SDK that lacks it, the zygote warms up without.
Nothing of the service runs.
"""

import contextlib
import json
import os
import socket

ROUNDS = 20
VARIABLE = "QHUBCTL_WARMUP"


class WarmUp:
    """The steps of forks, except that it sets nothing up and does not end the process."""

    def __init__(self, zygote):
        self.zygote = zygote
        self.marker = os.environ.get(zygote.forking.MARKER)
        order = {"env": {VARIABLE: "1"}, "marker": self.marker or "", "bounds": [], "secrets": {}}
        text = json.dumps(order).encode()
        self.order = len(text).to_bytes(8, "big") + text
        self.ours, self.theirs = socket.socketpair()
        self.directory = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"qhubctl-warmup-{os.getpid()}")
        self.runtime = None
        try:
            from qhub.commons.runtime.warmup import WarmUp as Runtime

            os.mkdir(self.directory, 0o700)
            self.runtime = Runtime(self.directory)
        except Exception:  # the SDK lacks it, or there is no place for its files: each fork learns alone
            return

    def repeat(self):
        """Repeats all of it until there is nothing left to learn."""
        for _ in range(ROUNDS):
            self.send()
            try:
                self.run()
            finally:
                os.environ.pop(VARIABLE, None)
                if self.marker is None:
                    os.environ.pop(self.zygote.forking.MARKER, None)

    def send(self):
        """Sends the order."""
        self.ours.sendall(self.order)

    def run(self):
        """Takes the order and carries it out, up to the end."""
        zygote = self.zygote
        zygote.forking.take_place(zygote, zygote.forking.await_order(zygote, self.theirs.fileno()))
        if self.runtime is not None:
            try:
                self.runtime.run()
            except Exception:
                self.runtime = None
        zygote.exiting.waits()
        zygote.exiting.things_that_matter()

    def close(self):
        """Removes the files."""
        self.ours.close()
        self.theirs.close()
        with contextlib.suppress(OSError):
            for folder, _, files in os.walk(self.directory, topdown=False):
                for name in files:
                    os.unlink(os.path.join(folder, name))
                os.rmdir(folder)
