"""The rules between executions that are forked from one zygote in a sandbox: Landlock, and cgroups for their limits.

The zygote opens the places that all executions may see, and hands them to the program that runs services. That makes
a ruleset of them for each fork, with the folders that are the execution's own, and the fork puts it in force. From then
on it reaches no folder of another fork, and can neither signal, nor trace, nor see one.
"""

import os


def open_places(paths):
    """Opens what is there of these paths: their indices, and a descriptor for each."""
    indices, descriptors = [], []
    for index, path in enumerate(paths):
        try:
            descriptors.append(os.open(path, os.O_PATH | os.O_CLOEXEC))
        except (FileNotFoundError, PermissionError):
            continue  # nothing there that could be seen
        indices.append(index)
    return indices, descriptors
