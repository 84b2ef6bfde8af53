"""What a template does before the first fork, so that no fork has to: it goes through what they do, and learns it.

See the rehearsal of the runtime, qhub.commons.runtime.rehearsal, for what there is to learn. A kit that has none is
forked without. Nothing of the service runs, and whatever fails is left out: forks do without as well.
"""

import json
import os
import shutil
import socket

ROUNDS = 20


def rehearse(template):
    """Goes through what forks do for themselves, and what they have the runtime do."""
    begin(template)
    directory = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"qhubctl-rehearsal-{os.getpid()}")
    try:
        from qhub.commons.runtime.rehearsal import rehearse as run

        os.mkdir(directory, 0o700)
    except (ImportError, OSError):
        return
    try:
        run(directory)
    except Exception:
        return
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def begin(template):
    """Takes an order, as a fork does, and looks at what there is to be done at the end."""
    forking, ending = template.forking, template.ending
    environment = dict(os.environ)
    marker = environment.get(forking.MARKER, "")
    order = {"env": {"QHUBCTL_REHEARSED": "1"}, "marker": marker, "bounds": [], "secrets": {}}
    text = json.dumps(order).encode()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(ROUNDS):
            ours.sendall(len(text).to_bytes(8, "big") + text)
            forking.take_place(template, forking.await_order(template, theirs.fileno()))
            ending.waits()
            ending.things_that_matter()
    del os.environ["QHUBCTL_REHEARSED"]
    if forking.MARKER not in environment:
        del os.environ[forking.MARKER]
