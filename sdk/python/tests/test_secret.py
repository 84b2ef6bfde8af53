"""A secret is opened once and shows itself in no other way."""

import copy
import dataclasses
import gc
import inspect
import io
import json
import logging
import marshal
import pickle
import pprint
import threading
import traceback
from typing import Annotated, Any, Optional, Union

import pydantic
import pytest
import typing_extensions
from conftest import TOKEN
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from qhub.commons.json import any_to_json
from qhub.commons.secret import SecretValue

SCHEMA = {"type": "string", "format": "password", "writeOnly": True}


@dataclasses.dataclass
class Holder:
    secret: SecretValue


class Model(BaseModel):
    secret: SecretValue


def ways_to_show(secret):
    """Everything that turns a secret, or what holds one, into text."""
    model, holder = Model(secret=secret), Holder(secret)
    stream = io.StringIO()
    logging.StreamHandler(stream).emit(logging.makeLogRecord({"msg": "%s %r", "args": (secret, secret)}))
    return {
        "str": str(secret),
        "repr": repr(secret),
        "format": f"{secret} {secret:>40} {secret:.3} {secret!s:5} {secret!r} {secret!a}",
        "str.format": "{} {0:20}".replace("{}", "{0}").format(secret),
        "percent": "%s %r %20s" % (secret, secret, secret),  # noqa: UP031
        "containers": str([secret, {"k": secret}, (secret,)]),
        "logging": stream.getvalue(),
        "pprint": pprint.pformat({"secret": secret}),
        "dir": str([getattr(secret, name, None) for name in dir(secret)]),
        "members": str(inspect.getmembers(secret)),
        "asdict": str(dataclasses.asdict(holder)),
        "dataclass": repr(holder),
        "model": f"{model!r} {model} {model.model_dump()} {model.model_dump_json()} {list(model)}",
        "model by json mode": str(model.model_dump(mode="json")),
        "model_dump": str(secret.model_dump()) + secret.model_dump_json(),
        "any_to_json": any_to_json(secret) + any_to_json([secret, {"k": model}]) + any_to_json(holder),
        "any": TypeAdapter(object).dump_json({"s": secret}, fallback=str).decode()
        if "fallback" in inspect.signature(TypeAdapter.dump_json).parameters
        else "",
        "json default": json.dumps({"s": secret}, default=lambda o: getattr(o, "__dict__", str(o))),
        "referents": str([r for r in gc.get_referents(secret) if not isinstance(r, type)]),
    }


@pytest.mark.parametrize("locked", [False, True])
def test_is_never_shown(locked):
    secret = SecretValue(TOKEN)
    if locked:
        secret.unwrap()
    for way, text in ways_to_show(secret).items():
        assert TOKEN not in text, way
        assert TOKEN.encode("unicode_escape").decode() not in text, way
    assert secret.is_locked is locked, "showing a secret must not open it"


def test_looks_as_the_guide_says():
    secret = SecretValue(value=TOKEN)
    assert (str(secret), repr(secret), f"{secret:>99}") == ("[redacted]", "SecretValue([redacted])", "[redacted]")
    assert any_to_json(secret) == secret.model_dump_json() == '"[redacted]"'
    assert any_to_json({secret: [secret]}) == '{\n  "[redacted]": [\n    "[redacted]"\n  ]\n}'


def test_opens_once():
    secret = SecretValue(TOKEN)
    assert not secret.is_locked
    assert secret.unwrap() == TOKEN
    assert secret.is_locked
    with pytest.raises(ValueError, match="Secret is locked and cannot be unwrapped"):
        secret.unwrap()


def test_an_empty_secret_is_a_secret():
    secret = SecretValue("")
    assert not secret.is_locked
    assert secret.unwrap() == ""
    assert secret.is_locked


def test_one_of_racing_threads_gets_it():
    for _ in range(50):
        secret, start, got, refused = SecretValue(TOKEN), threading.Barrier(16), [], []

        def race(secret=secret, start=start, got=got, refused=refused):
            start.wait()
            try:
                got.append(secret.unwrap())
            except ValueError:
                refused.append(1)

        threads = [threading.Thread(target=race) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (got, len(refused)) == ([TOKEN], 15)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda s: copy.deepcopy([s])[0]])
def test_a_copy_shares_the_lock(make):
    before = SecretValue(TOKEN)
    copied = make(before)
    assert copied.unwrap() == TOKEN
    assert before.is_locked
    assert make(before).is_locked
    model = Model(secret=SecretValue(TOKEN))
    model.model_copy(deep=True).secret.unwrap()
    assert model.secret.is_locked


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_cannot_be_pickled(protocol):
    for value in (SecretValue(TOKEN), Holder(SecretValue(TOKEN)), Model(secret=SecretValue(TOKEN))):
        with pytest.raises(TypeError, match="cannot be pickled") as refused:
            pickle.dumps(value, protocol)
        assert TOKEN not in str(refused.value)
    with pytest.raises(ValueError):
        marshal.dumps(SecretValue(TOKEN))


def test_has_no_attributes_to_look_into():
    secret = SecretValue(TOKEN)
    with pytest.raises(TypeError):
        vars(secret)
    for name in ("__dict__", "_value", "value", "_locked", "__pydantic_private__"):
        assert not hasattr(secret, name)
    with pytest.raises(AttributeError):
        secret._locked = False
    slots = [slot for kind in type(secret).__mro__ for slot in getattr(kind, "__slots__", ())]
    assert slots == ["__weakref__", "_cell"]
    with pytest.raises(AttributeError):
        secret._cell = SecretValue("other")._cell
    with pytest.raises(AttributeError):
        del secret._cell
    assert secret.unwrap() == TOKEN


def test_initialising_again_does_not_unlock():
    secret = SecretValue(TOKEN)
    secret.unwrap()
    secret.__init__("other")
    assert secret.is_locked


def test_comparing_and_hashing_reveal_nothing():
    secret, same = SecretValue(TOKEN), SecretValue(TOKEN)
    assert secret == secret and secret != same and secret != TOKEN
    assert hash(secret) != hash(TOKEN)
    assert {secret, same} == {same, secret} and len({secret, same}) == 2
    assert bool(SecretValue("")) is bool(secret) is True
    with pytest.raises(TypeError):
        len(secret)
    with pytest.raises(TypeError):
        secret < same  # noqa: B015
    with pytest.raises(TypeError):
        iter(secret)
    for _ in range(3):
        assert not secret.is_locked


def test_does_not_hold_the_text():
    value = "".join(["for", "gotten-", str(id(object()))])  # a text that nothing else refers to
    before = gc.get_referrers(value)
    secret = SecretValue(value)
    assert len(gc.get_referrers(value)) == len(before)
    (cell,) = [r for r in gc.get_referents(secret) if not isinstance(r, type)]
    held = [text for kept in [cell, *gc.get_referents(cell)] for text in gc.get_referents(kept)]
    assert value not in str(held) and value.encode() not in held
    assert secret.unwrap() == value
    assert cell.empty()


@pytest.mark.parametrize("value", ["", "a", "\0", "\udcff half", "é" * 40_000, "\U0001f511 key"])
def test_gives_what_it_was_given(value):
    assert SecretValue(value).unwrap() == value


class Text(str):
    def encode(self, *_):
        raise AssertionError("called")


def test_takes_the_text_of_a_subclass():
    assert type(SecretValue(Text(TOKEN)).unwrap()) is str


@pytest.mark.parametrize("wrong", [TOKEN.encode(), [TOKEN], {"value": TOKEN}, None, 4711])
def test_a_wrong_value_is_not_repeated(wrong):
    with pytest.raises(TypeError) as refused:
        SecretValue(wrong)
    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    ours = [frame.locals for frame in shown.stack if frame.filename.endswith("commons/secret.py")]
    assert len(ours) == 1
    assert TOKEN not in str(ours) and "4711" not in str(ours)
    assert TOKEN not in str(refused.value)


def test_a_traceback_with_locals_shows_nothing():
    secret = SecretValue(TOKEN)
    secret.unwrap()
    with pytest.raises(ValueError) as refused:
        secret.unwrap()
    shown = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
    assert "self = SecretValue([redacted])" in shown
    assert TOKEN not in shown.replace(f"TOKEN = {TOKEN!r}", "")


def test_is_a_field_of_a_model():
    assert Model(secret=TOKEN).secret.unwrap() == TOKEN
    assert Model.model_validate_json(json.dumps({"secret": TOKEN})).secret.unwrap() == TOKEN
    given = SecretValue(TOKEN)
    assert Model(secret=given).secret is given
    assert json.loads(Model(secret=given).model_dump_json()) == {"secret": "[redacted]"}


@pytest.mark.parametrize("wrong", [[TOKEN], {"value": TOKEN}, TOKEN.encode(), 47114711])
def test_a_wrong_field_is_not_repeated(wrong):
    with pytest.raises(ValidationError) as refused:
        Model(secret=wrong)
    shown = f"{refused.value} {refused.value.errors()} {refused.value.json()}"
    assert "4711" not in shown
    assert "secret" in shown
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(list[SecretValue]).validate_python([wrong])
    assert "4711" not in str(refused.value)


class Inner(BaseModel):
    n: int
    secret: SecretValue


class Outer(BaseModel):
    inner: Inner
    x: int


class Tree(BaseModel):
    secret: Optional[SecretValue] = None
    children: list["Tree"] = []

    @field_validator("children")
    @classmethod
    def check(cls, value):
        if len(value) > 1:
            raise ValueError("{more} than one")
        return value


class Assigned(Inner, validate_assignment=True):
    pass


class Named(typing_extensions.TypedDict):
    secret: SecretValue
    n: int


@pydantic.dataclasses.dataclass
class Data:
    n: int
    secret: SecretValue


@pydantic.validate_call
def called(n: int, secret: SecretValue) -> Any:
    return secret


def fail_by_type(_value):
    raise PydanticCustomError("own", "it is {wrong}", {"wrong": "odd"})


def assigned():
    model = Assigned(n=1, secret=TOKEN)
    model.n = [TOKEN]


def adapter(kind, value):
    return lambda: TypeAdapter(kind).validate_python(value)


# By the validation: the errors, each as its path and the beginning of its message.
ERRORS = {
    "a list, given an object": (adapter(list[SecretValue], {"a": TOKEN}), [((), "Input should be a valid list")]),
    "a list, given a text": (adapter(list[SecretValue], TOKEN), [((), "Input should be a valid list")]),
    "JSON": (
        lambda: TypeAdapter(list[SecretValue]).validate_json(json.dumps({"a": TOKEN})),
        [((), "Input should be a valid array")],
    ),
    "a set": (adapter(set[SecretValue], {"a": TOKEN}), [((), "Input should be a valid set")]),
    "a tuple": (adapter(tuple[SecretValue, int], [TOKEN]), [((1,), "Field required")]),
    "a dict": (adapter(dict[str, SecretValue], [TOKEN]), [((), "Input should be a valid dictionary")]),
    "a secret as key": (adapter(dict[SecretValue, int], {TOKEN: "x"}), [(("[redacted]",), "Input should be a")]),
    "a union": (
        lambda: TypeAdapter(Union[int, SecretValue]).validate_python([TOKEN]),
        [(("int",), "Input should be a valid int"), (("function-plain[SecretValue()]",), "Input should be a string")],
    ),
    "optional": (adapter(Optional[list[SecretValue]], TOKEN), [((), "Input should be a valid list")]),
    "a length": (adapter(Annotated[list[SecretValue], Field(max_length=1)], [TOKEN] * 2), [((), "List should")]),
    "a typed dict": (adapter(Named, {"secret": TOKEN}), [(("n",), "Field required")]),
    "a dataclass": (lambda: Data(secret=TOKEN), [(("n",), "Field required")]),
    "a call": (lambda: called([TOKEN], TOKEN), [((0,), "Input should be a valid int")]),
    "another field": (lambda: Inner(secret=TOKEN), [(("n",), "Field required")]),
    "another field, wrong": (lambda: Inner(secret=TOKEN, n=TOKEN), [(("n",), "Input should be a valid int")]),
    "a model, given a text": (lambda: Inner.model_validate(TOKEN), [((), "Input should be a valid dictionary")]),
    "a model around it": (lambda: Outer(inner={"n": 1, "secret": TOKEN}), [(("x",), "Field required")]),
    "deep": (lambda: Outer(inner={"secret": TOKEN}, x=1), [(("inner", "n"), "Field required")]),
    "recursive": (lambda: Tree(children=[{"secret": [TOKEN]}]), [(("children", 0, "secret"), "Input should be a")]),
    "a validator": (
        lambda: Tree(children=[{"secret": TOKEN}, {"secret": TOKEN}]),
        [(("children",), "Value error, {more} than one")],
    ),
    "an assignment": (assigned, [(("n",), "Input should be a valid int")]),
    "an error type of its own": (
        adapter(Annotated[list[SecretValue], AfterValidator(fail_by_type)], [TOKEN]), [((), "it is odd")],
    ),
    "made later": (lambda: pydantic.create_model("M", n=(int, ...), s=(list[SecretValue], []))(s=TOKEN, n=1),
        [(("s",), "Input should be a valid list")]),
    "generic": (lambda: pydantic.RootModel[list[SecretValue]](TOKEN), [((), "Input should be a valid list")]),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_around_a_secret_hides_its_input(case):
    validate, want = ERRORS[case]
    with pytest.raises(ValidationError) as refused:
        validate()
    shown = f"{refused.value} {refused.value!r} {refused.value.errors()} {refused.value.json()}"
    assert TOKEN not in shown and "4711" not in shown
    got = [(e["loc"], e["msg"]) for e in refused.value.errors()]
    assert len(got) == len(want), got
    for (path, message), (expected_path, beginning) in zip(got, want):  # noqa: B905
        assert (path, message[: len(beginning)]) == (expected_path, beginning)


def test_models_that_hold_a_secret_work_as_others_do():
    outer = Outer(inner={"n": 1, "secret": TOKEN}, x=2)
    assert Outer(inner=outer.inner, x=3).inner is outer.inner
    assert (Data(1, TOKEN).n, called(1, TOKEN).unwrap()) == (1, TOKEN)
    assert Tree(children=[{"secret": TOKEN}]).children[0].secret.unwrap() == TOKEN
    assert set(Outer.model_json_schema()["properties"]) == {"inner", "x"}
    assert list(Outer.model_json_schema()["$defs"]) == ["Inner"]
    assert outer.model_copy(deep=True).model_dump() == {"inner": {"n": 1, "secret": "[redacted]"}, "x": 2}


def test_models_without_a_secret_show_their_input():
    class Plain(BaseModel):
        n: int

    with pytest.raises(ValidationError, match="input_value='other'"):
        Plain(n="other")


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_schema(mode):
    assert TypeAdapter(SecretValue).json_schema(mode=mode) == SCHEMA
    field = Model.model_json_schema(mode=mode)["properties"]["secret"]
    assert {key: field[key] for key in SCHEMA} == SCHEMA


def test_does_not_import_pydantic(environment):
    import subprocess
    import sys

    program = (
        "import sys; from qhub.commons.secret import SecretValue; s = SecretValue('x'); repr(s); s.unwrap();"
        "sys.exit([m for m in sys.modules if m.startswith(('pydantic', 'loguru', 'yaml'))] or 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
