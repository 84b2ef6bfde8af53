"""All ways in which a service leaks its secrets: a function each. The name of a secret is WAY_SHAPE."""

import atexit
import base64
import ctypes
import dataclasses
import hashlib
import html
import io
import json
import logging
import os
import quopri
import re
import resource
import shlex
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse
import warnings

AT_IMPORT = "\n".join(os.environ.values()).encode()
OUTPUT = os.environ.get("OUTPUT_DIRECTORY", "out")
result = {}


def carry_out(mode, secrets):
    """Leaks every secret in its way, and then ends as the mode says."""
    global OUTPUT
    OUTPUT = os.environ.get("OUTPUT_DIRECTORY", "out")
    values = {name: secret.unwrap() for name, secret in secrets.items() if hasattr(secret, "unwrap")}
    arrived = [f"arrived {name} {hashlib.sha256(value.encode()).hexdigest()}\n" for name, value in values.items()]
    print("".join(arrived), flush=True)
    write(os.path.join(OUTPUT, "arrived"), "".join(arrived).encode())
    for name, value in values.items():
        globals()["way_" + name.rpartition("_")[0]](name, value)
    return globals()["mode_" + mode](values)


def shown(name, value):
    """A secret that overlaps with itself stands after its own beginning, which a hasty search goes past."""
    return value[:6] + value if name.endswith("_overlapping") else value


def line(name, text):
    print(f"{name}: {text}", flush=True)


# The log.


def way_print(name, value):
    line(name, shown(name, value))


way_dotenv = way_environment = way_print


def way_stderr(name, value):
    print(f"{name}: {shown(name, value)}", file=sys.stderr, flush=True)


def way_split(name, value):
    sys.stdout.flush()
    raw = f"{name}: {shown(name, value)}\n".encode()
    step = max(3, len(raw) // 5)
    for at in range(0, len(raw), step):
        os.write(1, raw[at : at + step])
        time.sleep(0.002)


def way_unfinished(name, value):
    sys.stdout.write(f"{name}: {shown(name, value)} ")
    sys.stdout.flush()


def way_logging(name, value):
    logger = logging.getLogger("leaks")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
    logger.warning("%s: %s", name, shown(name, value))


def way_loguru(name, value):
    from loguru import logger

    logger.warning("{}: {}", name, shown(name, value))


def way_warning(name, value):
    warnings.warn(f"{name}: {value}", stacklevel=1)


def way_thread(name, value):
    def fail():
        raise RuntimeError(f"{name}: {value}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def way_atexit(name, value):
    atexit.register(line, name, value)


def way_libc(name, value):
    sys.stdout.flush()
    ctypes.CDLL(None).dprintf(2, b"%s: %s\n", name.encode(), value.encode())


# Encodings.


def encoded(encode):
    def way(name, value):
        line(name, encode(value))

    return way


def broken(text, width):
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


def percent(value, safe="", lower=False):
    text = urllib.parse.quote(value, safe=safe)
    if not lower:
        return text
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def go_quote(value):
    return json.dumps(value, ensure_ascii=False)


def dollar_quote(value):
    text = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"$'{text}'"


way_base64 = encoded(lambda value: base64.b64encode(value.encode()).decode())
way_base64_behind_one = encoded(lambda value: base64.b64encode(b":" + value.encode()).decode())
way_base64_behind_two = encoded(lambda value: base64.b64encode(b"u:" + value.encode()).decode())
way_base64_url = encoded(lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="))
way_base64_broken_64 = encoded(lambda value: broken(base64.b64encode(value.encode()).decode(), 64))
way_base64_broken_76 = encoded(lambda value: broken(base64.b64encode(value.encode()).decode(), 76))
way_base64_of_echo = encoded(lambda value: base64.b64encode(value.encode() + b"\n").decode())
way_hex = encoded(lambda value: value.encode().hex())
way_hex_upper = encoded(lambda value: value.encode().hex().upper())
way_base64_twice = encoded(lambda value: base64.b64encode(base64.b64encode(b"user:" + value.encode())).decode())
way_hex_twice = encoded(lambda value: value.encode().hex().encode().hex())
way_hex_pairs = encoded(lambda value: value.encode().hex(":"))
way_quoted_printable = encoded(lambda value: quopri.encodestring(value.encode()).decode())
way_percent = encoded(percent)
way_percent_lower = encoded(lambda value: percent(value, lower=True))
way_percent_path = encoded(lambda value: percent(value, safe="/"))
way_percent_plus = encoded(urllib.parse.quote_plus)
way_json = encoded(json.dumps)
way_json_unicode = encoded(lambda value: json.dumps(value, ensure_ascii=False))
way_json_in_json = encoded(
    lambda value: json.dumps(json.dumps({"token": value}, ensure_ascii=False), ensure_ascii=False)
)
way_repr = encoded(repr)
way_repr_bytes = encoded(lambda value: repr(value.encode()))
way_ascii = encoded(ascii)
way_go_quote = encoded(go_quote)
way_shell_quote = encoded(shlex.quote)
way_shell_dollar = encoded(dollar_quote)
way_html = encoded(html.escape)
way_crlf = encoded(lambda value: value.replace("\n", "\r\n") + "\r")
way_header = encoded(lambda value: "Authorization: Basic " + base64.b64encode(f"user:{value}".encode()).decode())
way_url = encoded(lambda value: f"https://user:{percent(value)}@example.com/?token={urllib.parse.quote_plus(value)}")


# Exceptions.


def caught(raising):
    def way(name, value):
        try:
            raising(name, value)
        except Exception:
            traceback.print_exc()

    return way


def raise_plain(name, value):
    raise ValueError(f"{name}: {value}")


def raise_chained(name, value):
    try:
        raise KeyError(f"{name}: {value}")
    except KeyError as error:
        raise RuntimeError("chained") from error


def raise_circular(name, value):
    first, second = ValueError(f"{name}: {value}"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise second


way_exception = caught(raise_plain)
way_exception_chained = caught(raise_chained)
way_exception_circular = caught(raise_circular)


def way_exception_note(name, value):
    error = ValueError("with a note")
    if hasattr(error, "add_note"):
        error.add_note(f"{name}: {value}")
    else:
        error = ValueError(f"{name}: {value}")
    traceback.print_exception(type(error), error, None)


def way_traceback_locals(name, value):
    def failing(given):
        raise ValueError("with locals")

    try:
        failing({name: value})
    except ValueError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        print("".join(lines), file=sys.stderr, flush=True)


# What other processes are given, or may read.


def absent(found):
    def way(name, value):
        line(name, "THERE" if value.encode() in found(name) else "absent")

    return way


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def output_of(*command):
    return subprocess.run(command, capture_output=True, check=True).stdout


way_os_environ = absent(lambda name: repr(dict(os.environ)).encode() + "\n".join(os.environ.values()).encode())
way_environment_at_import = absent(lambda name: AT_IMPORT)
way_environment_block = absent(lambda name: read("/proc/self/environ"))
way_parent_environment = absent(lambda name: read(f"/proc/{os.getppid()}/environ") + read("/proc/1/environ"))
way_child_environment = absent(lambda name: output_of("/usr/bin/env", "-0"))
way_child_environment_block = absent(lambda name: output_of("/bin/cat", "/proc/self/environ"))
way_arguments = absent(
    lambda name: read("/proc/self/cmdline") + read(f"/proc/{os.getppid()}/cmdline") + repr(sys.argv).encode()
)


def way_child_output(name, value):
    sys.stdout.flush()
    subprocess.run(["/bin/cat"], input=f"{name}: {shown(name, value)}\n".encode(), check=True)


# Files.


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def way_temporary_file(name, value):
    write(os.path.join(os.environ["TMPDIR"], name), value.encode())
    line(name, "done")


def way_home(name, value):
    write(os.path.join(os.path.expanduser("~"), name), value.encode())
    line(name, "done")


def way_current_folder(name, value):
    try:
        write(name, value.encode())
        os.remove(name)
    except OSError:
        pass
    line(name, "done")


def way_text_file(name, value):
    write(os.path.join(OUTPUT, name + ".txt"), f"{name}: {shown(name, value)}\n".encode())


def way_encoded_file(name, value):
    write(os.path.join(OUTPUT, name + ".txt"), f"{name}: {base64.b64encode(value.encode()).decode()}".encode())


def way_binary_file(name, value):
    write(os.path.join(OUTPUT, name + ".bin"), b"\x00\xff" + value.encode() + b"\x00")


def way_wide_file(name, value):
    write(os.path.join(OUTPUT, name + ".bin"), f"{name}: {value}".encode("utf-16"))


def way_compound_file(name, value):
    write(os.path.join(OUTPUT, name + ".bin"), b"\x00\xff" + base64.b64encode(b"u:" + value.encode()) + b"\xfe")


def way_large_file(name, value):
    # Across the end of a block, wherever blocks of a power of two end.
    before = b"." * (65536 - len(name) - 3 - len(value) // 2)
    text = before + b"\n" + f"{name}: {shown(name, value)}\n".encode()
    write(os.path.join(OUTPUT, name + ".txt"), text + b".\n" * 32768)


def piece(value):
    """A part of a secret that can be the name of a file."""
    if value.startswith("{"):
        return json.loads(value)["user"]["name"]
    if value.startswith("-----"):
        return urllib.parse.quote(value.splitlines()[1], safe="")
    return value.replace("/", "%2F") if urllib.parse.quote(value) == value else urllib.parse.quote(value, safe="")


def way_file_name(name, value):
    write(os.path.join(OUTPUT, f"{name} {piece(value)}.txt"), b"nothing")


def way_folder_name(name, value):
    os.mkdir(os.path.join(OUTPUT, f"{name} {piece(value)}"))
    write(os.path.join(OUTPUT, f"{name} {piece(value)}", piece(value)), b"nothing")


# The result.


def way_result_value(name, value):
    result[name] = shown(name, value)


def way_result_text(name, value):
    result[name] = f"{name}: before {value} after {base64.b64encode(value.encode()).decode()}"


def way_result_key(name, value):
    result[f"{name}: {value}"] = 1


@dataclasses.dataclass
class Inner:
    tokens: list
    table: dict


def way_nested(name, value):
    result[name] = dataclasses.asdict(Inner(["first", [value]], {"deep": {"deeper": value}, value: [{value: value}]}))


# The file that the user of the server keeps secrets in.


def dotenv(variable=""):
    """A variable of .env, or all as a dictionary; nothing where it cannot be read."""
    variables = {}
    for entry in read(".env").decode().splitlines():
        name, _, value = entry.partition("=")
        variables[name] = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value[1:-1])
    return variables.get(variable, "") if variable else variables


def leak_undeclared():
    for variable, value in dotenv().items():
        if variable.startswith("SECRET_UNDECLARED_"):
            way_print(variable.removeprefix("SECRET_").lower(), value)


# Ends.


def mode_returns(values):
    sys.stdout.write("\n")
    leak_undeclared()
    for name, value in values.items():
        if name.startswith("unfinished_"):
            way_unfinished(name, value)
    return result


def joined(values, way):
    return " ".join(f"{name}: {value}" for name, value in values.items() if name.startswith(way + "_"))


def nothing(name, value):
    """The way is how the execution ends."""


way_uncaught = way_uncaught_cause = way_problem = way_problem_extensions = way_exit_message = nothing
way_raw_output = way_core_dump = way_validation = nothing


def mode_raises(values):
    try:
        raise LookupError(joined(values, "uncaught_cause"))
    except LookupError as error:
        raise RuntimeError(" ".join(f"{n}: {v}" for n, v in values.items() if "_cause_" not in n)) from error


def mode_fails(values):
    from qhub.commons.runtime.error import HandlerError

    extensions = {}
    for name, value in values.items():
        if name.startswith("problem_extensions_"):
            extensions[name] = {"nested": [value], f"{name}: {value}": value}
    raise HandlerError(
        "failed on purpose", " ".join(f"{n}: {v}" for n, v in values.items() if "_extensions_" not in n), extensions
    )


def mode_exits(values):
    sys.exit(joined(values, "exit_message"))


def mode_raw(values):
    write(os.path.join(OUTPUT, "output.json"), ("{" + joined(values, "raw_output")).encode())
    sys.stdout.flush()
    os._exit(0)


def mode_validates(values):
    import pydantic

    model = pydantic.create_model("Wrong", **{name: (int, ...) for name in values})
    model(**values)


def mode_dumps(values):
    sys.stdout.flush()
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    print("the limit of a core dump is", hard, flush=True)
    os.chdir(OUTPUT)
    os.abort()


def way_killed(name, value):
    line(name, value)


def way_killed_files(name, value):
    way_temporary_file(name, value)
    write(os.path.join(OUTPUT, name), value.encode())


def mode_waits(values):
    keep = io.StringIO(json.dumps(values))
    print("holding", flush=True)
    threading.Event().wait()
    return keep.getvalue()
