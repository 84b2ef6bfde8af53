"""Neither a format string nor a walk through objects leads from a secret to its value."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

REACH = Path(__file__).with_name("reach.py")

# Templates of a caller, for a service that formats them with a secret among the arguments.
TEMPLATES = [
    "{key}",
    "{key!r:.30}",
    "{key.__class__.__dict__}",
    "{key.__class__.__mro__[1].__dict__}",
    "{key.unwrap}",
    "{key.unwrap.__self__}",
    "{key.unwrap.__globals__}",
    "{key.unwrap.__func__.__code__.co_consts}",
    "{key.unwrap.__func__.__closure__}",
    "{key.unwrap.__func__.__defaults__}{key.unwrap.__func__.__kwdefaults__}",
    "{key.__class__.__new__.__globals__}",
    "{key.__init__.__self__}",
    "{key.__reduce_ex__.__self__}",
    "{key.__class__.is_locked.fget.__globals__}",
    "{key.__class__._cell}{key._cell}{key._cell.get_nowait.__self__}",
    "{key.__class__.__get_pydantic_core_schema__.__func__.__globals__}",
    "{key.unwrap.__globals__[os].environ}",
    "{key.unwrap.__globals__[os].sys.modules[posix].environ}",
    "{key.unwrap.__globals__[os].sys.modules[qhub.commons.runtime.masking].__dict__}",
    "{key.unwrap.__globals__[os].sys.modules[qhub.commons.runtime.masking].mask.__globals__}",
    "{key.unwrap.__globals__[os].sys.modules[qhub.commons.runtime.masking]._kept.getvalue.__self__}",
    "{key.unwrap.__globals__[os].sys.modules[qhub.commons.parameters].__dict__}",
    "{key.unwrap.__globals__[os].sys.modules[__main__].__dict__}",
    "{key.unwrap.__globals__[__builtins__][__import__].__self__.__dict__}",
]
# Names of what earlier versions had: they lead nowhere.
GONE = [
    "{key._value}",
    "{key.value}",
    "{key.__dict__}",
    "{key._SecretValue__x}",
    "{key.__slots__.x}",
    "{key[0]}",
    "{key.unwrap.__globals__[_take].__closure__[0].cell_contents.data}",
    "{key.unwrap.__globals__[_table]}",
]
PROGRAM = """
from qhub.commons.secret import SecretValue
def run(key: SecretValue, template: str):
    return template.format(key=key)
"""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_of_the_caller_shows_nothing(service, template):
    token = secrets.token_hex(16)
    ended = service.run(PROGRAM, {"SECRET_KEY": token}, template_txt=template)
    assert ended.code == 0, ended.stderr
    assert token not in ended.everything
    # Cut, as by a precision, so that no masker finds it.
    parts = {token[i : i + 8] for i in range(len(token) - 7)}
    assert not [part for part in parts if part in ended.everything]


@pytest.mark.parametrize("template", GONE)
def test_there_is_nothing_to_take(service, template):
    token = secrets.token_hex(16)
    ended = service.run(PROGRAM, {"SECRET_KEY": token}, template_txt=template)
    assert ended.code == 1
    assert token not in ended.everything


def test_no_walk_through_objects_finds_it(environment):
    token = secrets.token_hex(16)
    walked = subprocess.run(
        [sys.executable, str(REACH)], input=token[::-1].encode(), capture_output=True, timeout=300,
        env={**environment, "SECRET_API_TOKEN": token},
    )  # fmt: skip
    assert walked.returncode == 0, walked.stderr.decode()
    lines = walked.stdout.decode().splitlines()
    seen = [int(line.split()[1]) for line in lines if line.startswith("seen ")]
    assert len(seen) == 4 and min(seen) > 20_000, "the walk is too short to prove anything"
    assert [line for line in lines if not line.startswith("seen ")] == []
