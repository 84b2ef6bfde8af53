"""Ways by which a service can leave a secret in its data pool. Each has a function of its name."""

import base64
import os
import re


def carry_out(pool, secrets):
    for name, secret in secrets.items():
        if secret is None:
            continue
        way = re.match("pool_[a-z]+", name)[0]
        globals()[way](pool, name, secret.unwrap())
        print("wrote", name, flush=True)
    return {}


def write(pool, name, content, mode="w"):
    with open(os.path.join(pool, name), mode) as file:
        file.write(content)


def pool_file(pool, name, value):
    write(pool, name + ".txt", f"{name}: {value}\n")


def pool_encoded(pool, name, value):
    write(pool, name + ".txt", f"{name}: {base64.b64encode(value.encode()).decode()}\n")


def pool_large(pool, name, value):
    before = "." * (65536 - len(name) - 3 - len(value) // 2)
    write(pool, name + ".txt", f"{before}\n{name}: {value}\n" + ".\n" * 32768)


def pool_appended(pool, name, value):
    write(pool, "notes.txt", f"{name}: {value}\n", "a")


def pool_binary(pool, name, value):
    write(pool, name + ".bin", b"\x00\xff" + value.encode() + b"\x00", "wb")


def pool_name(pool, name, value):
    line = max(value.splitlines(), key=len).replace("/", "%2F")
    write(pool, f"{name} {line}.txt", "nothing")
