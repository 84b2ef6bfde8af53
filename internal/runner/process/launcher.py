"""Starts a Python service in a fresh interpreter.

The program that runs services writes orders to standard input, each one line of JSON. A service does not see them: it
reads an empty standard input. The first is

    {"entrypoint": "src.program:run", "describe": "/path/to/describe.py" or null, "run": true/false, "secrets": {...}}

With "describe" the service is described first: the document of docs/signature.md goes to standard output as one
line, and a second order says whether to go on: {"run": true, "secrets": {...}}. End of input means: no more.

So secrets come by a pipe. They are never in the environment block this process was started with, which others may
read; they stand in os.environ only while the runtime injects them, after the service was imported.
"""

# It says so itself where it is started by a Python that is too old for f-strings and the rest.
# ruff: noqa: UP031, UP036

import os
import sys


def take_orders():
    """Gives the orders a descriptor that no child inherits. A service that reads input finds none."""
    orders = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return orders


def read_order(orders):
    """Reads one line, no byte further; None at the end of the orders."""
    line = bytearray()
    while not line.endswith(b"\n"):
        # A pipe returns the available bytes, and the other side waits for an answer before it writes the next line.
        chunk = os.read(orders, 65536)
        if not chunk:
            return None
        line += chunk
    import json

    try:
        return json.loads(line)
    finally:
        line[:] = bytes(len(line))


def load_describer(path):
    """The describer of the installed SDK, or the one at path where the SDK has none (the upstream packages)."""
    try:
        from qhub.commons import describe
    except ImportError:
        import importlib.util

        spec = importlib.util.spec_from_file_location("_qhubctl_describe", path)
        describe = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(describe)
    return describe


def describe_service(entrypoint, path):
    """Writes the description to standard output, where nothing else goes meanwhile: importing user code may print."""
    answer = os.dup(1)
    os.dup2(2, 1)
    failure = None
    if sys.version_info < (3, 10):
        version = ".".join(map(str, sys.version_info[:2]))
        failure = ("internal", "%s is Python %s; services need 3.10 or newer" % (sys.executable, version))
    else:
        try:
            describer = load_describer(path)
        except ImportError as error:
            failure = ("import", "the SDK qhub-commons cannot be imported: %s: %s" % (type(error).__name__, error))
    if failure is None:
        try:
            document = describer.describe(entrypoint)
        except BaseException as error:  # any exception of the service's module during the import
            failure = ("internal", "describing failed: " + type(error).__name__)
    if failure is not None:
        document = {"schemaVersion": 1, "error": {"kind": failure[0], "message": failure[1]}}
    sys.stdout.flush()
    import json

    with os.fdopen(answer, "wb") as out:
        out.write(json.dumps(document).encode() + b"\n")
        out.flush()
        os.dup2(out.fileno(), 1)


def import_ahead(entrypoint):
    """Imports the service while no secret is in the environment, where its modules and their children would find it.

    What fails is left to the runtime, which imports it again and says what is wrong.
    """
    import importlib

    try:
        importlib.import_module(entrypoint.partition(":")[0])
    except KeyboardInterrupt:
        raise
    except BaseException:
        return


def scrub_after_injection():
    """Upstream qhub-commons leaves its secrets in os.environ, for every child to inherit: remove each once used."""
    import qhub.commons

    if os.path.exists(os.path.join(os.path.dirname(qhub.commons.__file__), "describe.py")):
        return  # an SDK of ours, which does so itself
    from qhub.commons import parameters

    create = getattr(parameters, "create_secret_instance", None)
    variable = getattr(parameters, "parameter_name_to_env_var", None)
    if create is None or variable is None:
        return

    def create_and_scrub(name):
        secret = create(name)
        os.environ.pop(variable(name), None)
        return secret

    parameters.create_secret_instance = create_and_scrub


def main():
    """Carries out the orders. Returns the exit code of the service."""
    orders = take_orders()
    order = read_order(orders)
    if order is None:
        return 2
    sys.path[0] = os.getcwd()  # as `python -m` has it, instead of the folder of this file
    entrypoint = os.environ["ENTRYPOINT"] = order["entrypoint"]
    sys.argv = [entrypoint]
    if order.get("describe"):
        describe_service(entrypoint, order["describe"])
        order = read_order(orders)
    os.close(orders)
    if not order or not order.get("run"):
        return 0
    from qhub.commons.runtime.main import main as run_service

    import_ahead(entrypoint)
    os.environ.update(order.pop("secrets", None) or {})
    del order
    scrub_after_injection()
    return run_service()


if __name__ == "__main__":
    sys.exit(main())
