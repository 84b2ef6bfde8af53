"""What a hostile service tries. Each attack that could reach beyond its execution proves first, from inside, that what
holds it is in force, and else gives up, saying so."""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
MEBI = 1 << 20


def attempt(function, *args):
    """How a call ends: "ok", or the name of its error."""
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "ok"


def call(number, *args):
    ctypes.set_errno(0)
    failed = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in args]) == -1
    return errno.errorcode[ctypes.get_errno()] if failed else "ok"


def read(path):
    with open(path, "rb") as file:
        file.read(16)


def append(path):
    with open(path, "ab") as file:
        file.write(b"x")


def output(name):
    return os.path.join(os.fsencode(os.environ["OUTPUT_DIRECTORY"]), os.fsencode(name))


def group_limit(controller, *names):
    """The limit of the own cgroup, as the kernel tells it; None if there is none."""
    with open("/proc/self/cgroup") as file:
        groups = file.readlines()
    for line in groups:
        _, controllers, path = line.strip().split(":", 2)
        base = "/sys/fs/cgroup" + ("/" + controller if controller in controllers.split(",") else "") + path
        for name in names:
            try:
                with open(base + "/" + name) as file:
                    return int(file.read())
            except (OSError, ValueError):
                pass
    return None


def prove_processes(bound):
    limit = group_limit("pids", "pids.max")
    if limit is not None and limit <= bound:
        return "cgroup"
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.getuid() != 0 and 0 < soft <= bound:
        return "rlimit"
    return ""


def prove_memory(bound):
    limit = group_limit("memory", "memory.limit_in_bytes", "memory.max")
    if limit is not None and limit <= bound:
        return "cgroup"
    return "rlimit" if 0 < resource.getrlimit(resource.RLIMIT_DATA)[0] <= bound + 256 * MEBI else ""


def prove_alone():
    """A list of processes of the own: number 1 is the shim, and there is hardly another."""
    try:
        with open("/proc/1/comm") as file:
            shim = file.read().strip() in ("exe", "qhubctl-sandbox")
    except OSError:
        shim = False
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if numbers == [os.getpid()]:
        # A fork of another process of its user, which it does not see: no signal may reach that.
        return attempt(os.kill, os.getppid(), 0) == "EPERM"
    return shim and os.getpid() < 64 and os.getppid() == 1 and len(numbers) < 16


def prove_size(path, bound):
    size = os.statvfs(path)
    return size.f_blocks * size.f_frsize <= bound


def attack_forks(number, **_):
    held = prove_processes(number)
    if not held:
        return {"gave up": "no limit of processes is in force"}
    print("held by", held, flush=True)
    for _ in range(2 * number):
        if os.fork() == 0:
            try:
                for _ in range(4):
                    if os.fork() == 0:
                        time.sleep(120)
                        os._exit(0)
            except OSError:
                pass
            time.sleep(120)
            os._exit(0)
    return {}


def attack_memory(number, **_):
    held = prove_memory(number)
    if not held:
        return {"gave up": "no limit of memory is in force"}
    print("held by", held, flush=True)
    hoard = [b"x" * MEBI for _ in range(4 * number // MEBI)]
    return {"hoarded": len(hoard)}


def attack_disk(number, **_):
    answers = {}
    for place in (os.environ["HOME"], os.environ["TMPDIR"], "/tmp", "/var/tmp", "/dev/shm"):
        if not prove_size(place, number):
            answers[place] = "gave up"
            continue

        def fill(place=place):
            with open(place + "/fill", "wb") as file:
                for _ in range(2 * number // MEBI):
                    file.write(bytes(MEBI))
                    file.flush()

        answers[place] = attempt(fill)
        os.path.exists(place + "/fill") and os.remove(place + "/fill")
    return answers


def attack_stuff(number, **_):
    """Fills /tmp, and does not mind what comes of it."""
    if not prove_size("/tmp", number):
        return {"gave up": "/tmp is not bounded"}
    with open("/tmp/stuff", "wb") as file:
        for _ in range(2 * number // MEBI):
            file.write(bytes(MEBI))
            file.flush()
    return {}


def attack_descriptors(number, **_):
    if not 0 < resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= number:
        return {"gave up": "no limit of open files is in force"}
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(2 * number)]
    return {"opened": len(kept)}


def attack_compute(number, **_):
    """Computes: alone, or by the given number of children in turn, each for a short time."""
    if number == 0:
        compute(60)
    for _ in range(number):
        child = os.fork()
        if child == 0:
            compute(0.2)
            os._exit(0)
        os.waitpid(child, 0)
    return {"computed": number}


def compute(seconds):
    while time.process_time() < seconds:
        sum(range(10_000))


def attack_beside(**_):
    """Fills the space beside the output, which no limit measures."""
    base = os.path.dirname(os.environ["OUTPUT_DIRECTORY"])
    return {
        "beside": attempt(append, base + "/new"),
        "input": attempt(append, os.environ["INPUT_DIRECTORY"] + "/new"),
        "rename": attempt(os.rename, os.environ["OUTPUT_DIRECTORY"], base + "/moved"),
        "remove": attempt(os.rmdir, os.environ["OUTPUT_DIRECTORY"]),
    }


def attack_flood(number, **_):
    piece = b"x" * 65536
    for _ in range(number // len(piece)):
        os.write(1, piece)
    return {}


def attack_drops(number, **_):
    for _ in range(number):
        os.write(1, b".")
    return {}


def attack_deaf(**_):
    for name in range(1, 32):
        if name not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
            signal.signal(name, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        time.sleep(1)


def attack_survive(**_):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
    return {}


def attack_streams(**_):
    """Hands standard output on to a process that stays, and closes it here."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)
    null = os.open("/dev/null", os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    return {}


def attack_closed(**_):
    os.closerange(0, 3)
    return {}


def attack_signals(**_):
    if not prove_alone():
        return {"gave up": "other processes can be seen"}
    print("ready", flush=True)
    os.kill(-1, signal.SIGKILL)
    return {"killed": True}


def attack_processes(text, **_):
    answers = {}
    for number in [*json.loads(text), "1"]:
        for name in ("environ", "mem", "fd/0", "fd/1", "maps", "root/etc/passwd", "cwd/x"):
            # Of number 1 only what holds something: the shim is there, and shows nothing.
            if number != "1" or name in ("environ", "mem", "fd/0", "maps"):
                answers[f"{number} {name}"] = attempt(lambda n=number, m=name: read(f"/proc/{n}/{m}"))
        if number != "1":
            answers[f"{number} signal"] = attempt(os.kill, int(number), 0)
        answers[f"{number} ptrace"] = call(101 if os.uname().machine == "x86_64" else 117, 16, int(number), 0, 0)
    return answers


def attack_files(text, **_):
    places = json.loads(text)
    answers = {}
    for path in places["hidden"]:
        answers["read " + path] = attempt(os.listdir if os.path.isdir(path) else read, path)
        answers["link " + path] = attempt(os.link, path, output("hard"))
        os.symlink(path, output("soft"))
        answers["through " + path] = attempt(read, output("soft"))
        os.remove(output("soft"))
    for path in places["locked"]:
        answers["write " + path] = attempt(append, path + "/new")
        answers["chmod " + path] = attempt(os.chmod, path, 0o777)
    return answers


def attack_links(text, **_):
    """Leaves links in the output folder, one for each file named, and some for nothing."""
    answers = {}
    for number, path in enumerate(json.loads(text)):
        os.symlink(path, output(f"link-{number}"))
        answers[path] = attempt(os.link, path, output(f"hard-{number}"))
    os.symlink("output.json", output("itself"))
    os.symlink("loop", output("loop"))
    os.symlink("..", output("up"))
    with open(output("own"), "w") as file:
        file.write("own")
    os.link(output("own"), output("own-again"))
    return answers


def attack_nodes(**_):
    answers = {
        "block": attempt(os.mknod, output("block"), 0o600 | 0o060000, os.makedev(7, 0)),
        "character": attempt(os.mknod, output("character"), 0o600 | 0o020000, os.makedev(1, 1)),
    }
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(output("."))  # its path may be longer than the name of a socket may be
        listener.bind("socket")
    os.mkfifo(output("pipe"))
    return answers


def attack_modes(**_):
    for name, mode in (("setuid", 0o6755), ("unreadable", 0)):
        with open(output(name), "w") as file:
            file.write("x")
        os.chmod(output(name), mode)
    return {}


def attack_hang(**_):
    import atexit

    atexit.register(time.sleep, 600)
    return {"done": True}


def attack_huge(number, **_):
    with open(output("huge"), "wb") as file:
        for _ in range(number // MEBI):
            file.write(bytes(MEBI))
            file.flush()
    return {}


def attack_sparse(number, **_):
    with open(output("sparse"), "wb") as file:
        file.truncate(number)
    return {}


def attack_closet(number, **_):
    os.mkdir(output("closet"))
    with open(output("closet/huge"), "wb") as file:
        file.write(bytes(number))
    os.chmod(output("closet"), 0)
    return {}


def attack_deep(number, **_):
    os.chdir(output("."))
    for _ in range(number):
        os.mkdir("d")
        os.chdir("d")
    return {}


def attack_many(number, **_):
    for n in range(number):
        os.close(os.open(output(str(n)), os.O_CREAT | os.O_WRONLY))
    return {}


def attack_names(**_):
    odd = (b"line\nend", b"\xff\xfe", b"\xfd", b"n" * 255, b"\x1b[2Jescape", b" ", b"-rf", b"back\\slash", b"...")
    for name in odd:
        with open(output(name), "wb") as file:
            file.write(b"x")
    return {}


def attack_machine(**_):
    return {
        "clock": attempt(time.clock_settime, time.CLOCK_REALTIME, time.time()),
        "priority": attempt(os.setpriority, os.PRIO_PROCESS, 0, -10),
        "scheduler": attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50)),
        "limits": attempt(lambda: raise_limit()),
        "host": attempt(socket.sethostname, "hostile"),
        "root": attempt(os.setuid, 0) if os.getuid() else "EPERM",
    }


def raise_limit():
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    except ValueError:  # as Python says EPERM
        raise OSError(errno.EPERM, "not permitted") from None


kept = []


def attack_leave(text, **_):
    """Opens an abstract socket and makes shared memory, then stays."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + text)
    listener.listen()
    kept.append(listener)
    libc.shmget(0x51AB, 4096, 0o1666)
    append("/dev/shm/" + text)
    append("/tmp/" + text)
    print("ready", flush=True)
    threading.Event().wait()


def attack_find(text, **_):
    with socket.socket(socket.AF_UNIX) as client:
        dialled = attempt(client.connect, "\0" + text)
    ctypes.set_errno(0)
    found = libc.shmget(0x51AB, 4096, 0)
    return {
        "socket": dialled,
        "memory": "ok" if found >= 0 else errno.errorcode[ctypes.get_errno()],
        "shm": attempt(read, "/dev/shm/" + text),
        "tmp": attempt(read, "/tmp/" + text),
    }


if sys.platform != "linux":
    raise ImportError("these attacks are for Linux")
