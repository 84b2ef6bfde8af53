"""Texts become typed values, and errors say where and why without repeating the input."""

import dataclasses
import enum
import json
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import pytest
import typing_extensions
from pydantic import BaseModel, Field, field_validator, model_validator
from qhub.commons.binding import bind_file, bind_text
from qhub.commons.datapool import DataPool
from qhub.commons.parameters import (
    is_container_type,
    is_datapool_type,
    is_optional_type,
    is_secret_type,
    is_simple_type,
)
from qhub.commons.runtime.error import InputError, ServiceError
from qhub.commons.secret import SecretValue


class Color(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Data:
    n: int
    s: str = "x"


class Pair(NamedTuple):
    a: int
    b: str


class Typed(typing_extensions.TypedDict):
    n: int


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Checked(BaseModel):
    word: str
    n: int = 1

    @field_validator("word")
    @classmethod
    def check(cls, value):
        raise ValueError(f"the word {value} is not known")


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ('{"n": 1}', Data, Data(1)),
        ('[1, "b"]', Pair, Pair(1, "b")),
        ('{"n": 1}', Typed, {"n": 1}),
        ("5", Annotated[int, Field(ge=1)], 5),
        ("a", Literal["a", "b"], "a"),
        ("\ufeff[1]", list[int], [1]),
        ("RED", Optional[Color], Color.RED),
        ("text", Optional[str], "text"),
        ("5", Optional[str], "5"),
        ("\r\n", str, "\r\n"),
        ("tail\r\n", Any, "tail\r\n"),
        ("[true]", list[bool], [True]),
        ("true", Union[bool, int], True),
        ("true", Any, True),
        ('{"k": true}', dict[str, Any], {"k": True}),
        ("1.10", Optional[__import__("decimal").Decimal], __import__("decimal").Decimal("1.10")),
    ],
)
def test_text(text, annotation, value):
    got = bind_text(text, annotation, "p")
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("null", Optional[str], "null"),
        ("null", Any, "null"),
        ("5", Union[int, str], "5"),
        ("5", int, 5),
        ("true", bool, True),
        ("[1]", list[int], [1]),
        ("null", Optional[int], None),
        ("BLUE", Color, Color.BLUE),
    ],
)
def test_txt_is_a_string_first(tmp_path, text, annotation, value):
    path = tmp_path / "p.txt"
    path.write_text(text)
    assert bind_file(str(path), annotation, "p") == value


def test_bytes_need_not_be_text(tmp_path):
    path = tmp_path / "p.bin"
    path.write_bytes(b"\xff\x00")
    assert bind_file(str(path), bytes, "p") == b"\xff\x00"
    with pytest.raises(InputError, match="p: its input file is not UTF-8 text"):
        bind_file(str(path), str, "p")


@pytest.mark.parametrize(
    "annotation", [int, float, list[int], dict[str, float], tuple[int, ...], Union[int, str], Data]
)
def test_a_boolean_is_no_number(annotation):
    text = {int: "true", float: "true", Union[int, str]: "true", Data: '{"n": true}'}.get(annotation, "[true]")
    text = '{"a": true}' if annotation == dict[str, float] else text
    if annotation == Union[int, str]:
        assert bind_text(text, annotation, "p") == "true"
        return
    with pytest.raises(InputError):
        bind_text(text, annotation, "p")


@pytest.mark.parametrize(
    ("text", "annotation", "paths"),
    [
        ('{"word": 1, "n": "zz-input"}', Checked, ["p.word", "p.n"]),
        ('[{"n": 1}, {"n": "zz-input"}, {}]', list[Data], ["p[1].n", "p[2].n"]),
        ('{"kind": "zz-input"}', Annotated[Union[Cat, Dog], Field(discriminator="kind")], ["p"]),
        ('{"word": "zz-input"}', Checked, ["p.word"]),
        ('"zz-input"', __import__("uuid").UUID, ["p"]),
        ('{"word": "zz-input",}', Checked, ["p"]),
        ("zz-input", int, ["p"]),
        ("zz-input", Color, ["p"]),
    ],
)
def test_errors_name_paths_and_no_input(text, annotation, paths):
    with pytest.raises(InputError) as refused:
        bind_text(text, annotation, "p")
    assert [path for path, _ in refused.value.problems] == paths
    shown = f"{refused.value} {refused.value!r} {refused.value.__cause__} {refused.value.__context__}"
    assert "zz-input" not in shown


def test_broken_json_is_called_so():
    with pytest.raises(InputError, match="Invalid JSON"):
        bind_text('{"n": 1,}', Data, "p")


def test_many_errors_are_cut():
    with pytest.raises(InputError) as refused:
        bind_text(json.dumps(["x"] * 1000), list[int], "p")
    assert len(refused.value.problems) == 51
    assert refused.value.problems[-1] == ("p", "and 950 more errors")


def test_an_unsupported_type_is_named():
    with pytest.raises(ServiceError, match=r"parameter 'p': DataPool cannot be part of another type"):
        bind_text("1", list[DataPool], "p")


def test_a_class_without_a_json_form_takes_what_is_no_json_only():
    class Odd:
        pass

    with pytest.raises(InputError, match="p: "):
        bind_text("1", Odd, "p")
    assert bind_text("null", Optional[Odd], "p") is None


def test_kinds_of_types():
    assert is_secret_type(SecretValue) and is_secret_type(Optional[SecretValue]) and is_secret_type(SecretValue | None)
    assert is_secret_type(Annotated[SecretValue, "x"]) and not is_secret_type(list[SecretValue])
    assert is_datapool_type(DataPool) and is_datapool_type(DataPool | None) and not is_datapool_type(str)
    assert is_optional_type(int | None) and is_optional_type(Optional[int]) and not is_optional_type(int)
    assert is_simple_type(1) and is_simple_type("") and not is_simple_type([])
    assert is_container_type(list) and is_container_type(Union) and not is_container_type(dict)


SAYS = {}


class Span(BaseModel):
    start: str = ""
    end: Any = ""

    @model_validator(mode="after")
    def check(self):
        raise ValueError(SAYS["it"].format(**vars(self)))


@pytest.mark.parametrize(
    ("given", "says", "message"),
    [
        ({"start": "e", "end": "a"}, "the end must not be before the start", "the end must not be before the start"),
        ({"start": "start", "end": 4}, "start must be 4 or more", "start must be 4 or more"),
        ({"start": "e", "end": "a"}, "{start!r} is after {end!r}", "'…' is after '…'"),
        ({"start": "e"}, 'not "{start}" nor `{start}`, see e', 'not "…" nor `…`, see e'),
        ({"start": "secrets", "end": "five5"}, "x{start}y, {end}", "x…y, five5"),
        ({"end": [{"k": "a longer text"}, 123456]}, "{end[0][k]}: {end[1]} < 1234567", "…: … < …7"),
    ],
)
def test_what_validators_say_stays_readable(given, says, message):
    SAYS["it"] = says
    with pytest.raises(InputError) as refused:
        bind_text(json.dumps(given), Span, "span")
    assert refused.value.problems == [("span", f"Value error, {message}")]
