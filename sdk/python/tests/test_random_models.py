"""Random models: a body binds if and only if pydantic, plus names of enums, accepts it; and each is described."""

import dataclasses
import json
from typing import Annotated

import pydantic
import pytest
from qhub.commons.binding import bind_json
from qhub.commons.describe import describe_function
from qhub.commons.runtime.error import InputError
from random_models import Color, Level, Maker, make

SEEDS = 600
# Until then, the error of an integer enum did not tell that it was one.
KNOWS_INTEGER_ENUMS = tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 7)


def binds(text, kind):
    value = json.loads(text)
    is_string = isinstance(value, str)
    try:
        bind_json(value if is_string else text, kind, "p", is_string=is_string)
    except InputError as error:
        return str(error)
    return True


@pytest.mark.parametrize("block", range(4))
def test_what_binds_is_what_pydantic_accepts(block, monkeypatch):
    if not KNOWS_INTEGER_ENUMS:
        original = Maker.__init__

        def without(self, *arguments):
            original(self, *arguments)
            self.enums.remove(Level)

        monkeypatch.setattr(Maker, "__init__", without)
    types, accepted, refused = 0, 0, 0
    for seed in range(block * SEEDS // 4, (block + 1) * SEEDS // 4):
        made = make(seed)
        if made is None:
            continue
        kind, cases = made

        def run(value): ...

        run.__annotations__ = {"value": kind}
        json.dumps(describe_function(run, "service:run"), allow_nan=False)
        types += 1
        for text, accepts in cases:
            got = binds(text, kind)
            assert (got is True) is accepts, f"seed {seed}: {kind} of {text}: pydantic {accepts}, bound {got}"
            accepted, refused = accepted + accepts, refused + (not accepts)
    assert types > SEEDS // 8 and accepted > types and refused > types, "the bodies tell nothing"


@pytest.mark.skipif(not KNOWS_INTEGER_ENUMS, reason="this version does not tell that an integer enum is one")
def test_names_as_keys_and_in_their_values():
    assert bind_json('{"HIGH": "GREEN", "1": "red"}', dict[Level, Color], "p") == {
        Level.HIGH: Color.GREEN,
        Level.LOW: Color.RED,
    }


def test_a_field_that_callers_cannot_set_has_no_check():
    @pydantic.dataclasses.dataclass
    class Data:
        a: int
        b: str = dataclasses.field(default="x", init=False)

    def run(value: Data): ...

    (parameter,) = describe_function(run, "service:run")["parameters"]
    is_checked = "b" in parameter["check"]["properties"]
    # Older versions of pydantic take it for a field like others.
    assert is_checked is (binds('{"a": 1, "b": null}', Data) is not True)


def test_a_name_is_no_json():
    assert bind_json("RED", Color, "p", is_string=True) is Color.RED
    assert binds('"RED"', Annotated[Color, pydantic.Json]) is not True
