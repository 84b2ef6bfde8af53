"""The description document, and the error documents of services that have none."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jsonschema
import pytest
import qhub.commons.describe
from qhub.commons import __version__
from qhub.commons.binding import bind_text
from qhub.commons.describe import describe, read_parameters
from qhub.commons.runtime.error import InputError

HEAD = """
import dataclasses, enum, datetime, decimal, uuid, pathlib, collections.abc
from typing import *
import typing_extensions
from pydantic import BaseModel, Field
from qhub.commons.secret import SecretValue
from qhub.commons.datapool import DataPool
class Color(enum.Enum):
    RED = "red"
class Point(BaseModel):
    x: int
    y: float = 0.5
"""


@pytest.fixture
def described(service):
    def make(text):
        return describe(service.write(HEAD + textwrap.dedent(text)))

    return make


POINT = {
    "type": "object", "properties": {"x": {"lax": "integer"}, "y": {"lax": "number"}}, "required": ["x"],
}  # fmt: skip


def members(document, **wanted):
    return {p["name"]: {key: p.get(key) for key in wanted} for p in document["parameters"]}


def test_a_whole_document(described):
    document = described('''
    class Result(BaseModel):
        point: Point
    def run(
        data: Point,
        api_token: Annotated[SecretValue, Field(description="The key.")],
        models: DataPool,
        spare: Optional[SecretValue] = None,
        pool: "DataPool | None" = None,
        c: Color = Color.RED,
        *args, n: int = 3, **kwargs,
    ) -> Result:
        """Does it.

        In two lines.
        """
    ''')
    entrypoint = document.pop("entrypoint")
    assert re.fullmatch(r"program_\d+:run", entrypoint)
    assert document.pop("$defs").keys() == {"Point", "Color", "Result"}
    assert document == {
        "schemaVersion": 1,
        "sdk": {"language": "python", "name": "qhub-commons", "version": __version__},
        "description": "Does it.\n\nIn two lines.",
        "parameters": [
            {"name": "data", "kind": "input", "required": True, "schema": {"$ref": "#/$defs/Point"}, "check": POINT},
            {"name": "api_token", "kind": "secret", "required": True, "env": "SECRET_API_TOKEN",
             "description": "The key."},
            {"name": "models", "kind": "datapool", "required": True},
            {"name": "spare", "kind": "secret", "required": False, "nullable": True, "env": "SECRET_SPARE"},
            {"name": "pool", "kind": "datapool", "required": False, "nullable": True},
            {"name": "c", "kind": "input", "required": False,
             "schema": {"allOf": [{"$ref": "#/$defs/Color"}], "default": "red"}, "check": {"enum": ["red", "RED"]}},
            {"name": "n", "kind": "input", "required": False, "schema": {"type": "integer", "default": 3},
             "check": {"lax": "integer"}},
        ],
        "result": {"$ref": "#/$defs/Result"},
    }  # fmt: skip


def test_required(described):
    document = described("""
    class Defaults(BaseModel):
        a: int = 1
    @dataclasses.dataclass
    class Data:
        a: list = dataclasses.field(default_factory=list)
    def run(a: Defaults, b: Data, c: Optional[int], d: Point, e, f: Any, g=object(), h: float = float("nan")): ...
    """)
    required = members(document, required=True)
    assert [name for name, member in required.items() if member["required"]] == ["d", "e", "f"]
    schemas = members(document, schema=True)
    assert schemas["e"]["schema"] == schemas["f"]["schema"] == {}
    assert schemas["h"]["schema"] == {"type": "number"}, "NaN is no JSON"


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("None", {}),
        ("Any", {}),
        ("int", {"type": "integer"}),
        ("Generator[int, None, None]", {"type": "array", "items": {"type": "integer"}}),
        ("AsyncIterator[int]", {"type": "array", "items": {"type": "integer"}}),
        ("collections.abc.Iterator[int]", {"type": "array", "items": {"type": "integer"}}),
        ("Awaitable[int]", {"type": "integer"}),
        ("object()", {}),
        ("DataPool", {}),
        ("'Unknown'", {}),
        ("Callable[[], int]", {}),
    ],
)
def test_results(described, annotation, schema):
    document = described(f"def run(p: Point) -> {annotation}: ...")
    assert document["result"] == schema
    assert document["parameters"][0]["schema"] == {"$ref": "#/$defs/Point"}


def test_aliases_are_for_input_only(described):
    document = described("""
    class Aliased(BaseModel):
        field: int = Field(alias="other")
    def run(a: Aliased) -> list[Aliased]: ...
    """)
    defs = {name: list(schema["properties"]) for name, schema in document["$defs"].items()}
    assert defs[document["parameters"][0]["schema"]["$ref"].removeprefix("#/$defs/")] == ["other"]
    assert defs[document["result"]["items"]["$ref"].removeprefix("#/$defs/")] == ["field"]


def test_names_of_definitions(described):
    document = described("""
    T = TypeVar("T")
    class Box(BaseModel, Generic[T]):
        item: T
    def run(a: Box[Dict[str, int]], b: Box[Point]): ...
    """)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in document["$defs"])


@pytest.mark.parametrize(
    ("annotation", "accepted", "refused"),
    [
        ("set[int]", [[], [1, 1, 2]], [["a"], 1]),
        ("Tuple[int, str]", [[1, "a"]], [[1], [1, "a", 2], ["1", "a"]]),
        ("Literal['a', 1]", ["a", 1], ["b", None]),
        ("Optional[Point]", [None, {"x": 1}], [{"y": 1}, "x"]),
        ("typing_extensions.TypedDict('T', {'a': int})", [{"a": 1}], [{}, {"a": "1"}]),
        ("NamedTuple('N', [('a', int)])", [[1]], [[], ["x"]]),
        ("decimal.Decimal", ["1.10", 1.5], [None, []]),
        ("Annotated[int, Field(ge=1)]", [1], [0, "1"]),
        ("bytes", ["abc"], [1]),
    ],
)
def test_what_a_schema_accepts_is_what_binds(service, annotation, accepted, refused):
    entrypoint = service.write(HEAD + f"A = {annotation}\ndef run(a: A): ...")
    document = describe(entrypoint)
    schema = {**document["parameters"][0]["schema"], "$defs": document.get("$defs", {})}
    validator = jsonschema.Draft202012Validator(schema)
    kind = sys.modules[entrypoint.split(":")[0]].A
    lenient = annotation in ("bytes", "Tuple[int, str]", "Annotated[int, Field(ge=1)]") or "TypedDict" in annotation
    for value in accepted:
        assert validator.is_valid(value), value
        bind_text(json.dumps(value), kind, "a")
    for value in refused:
        assert not validator.is_valid(value), value
        if not lenient:
            with pytest.raises(InputError):
                bind_text(json.dumps(value), kind, "a")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("def run(a: list[SecretValue]): ...", "a[]"),
        ("def run(a: Dict[str, SecretValue]): ...", "a[]"),
        ("def run(a: Optional[List[Optional[SecretValue]]]): ...", "a[]"),
        ("class M(BaseModel):\n    s: SecretValue\ndef run(a: M): ...", "a.s"),
        ("class M(BaseModel):\n    s: SecretValue\ndef run(a: Optional[M] = None): ...", "a.s"),
        (
            "class M(BaseModel):\n    s: 'list[SecretValue]' = []\nclass N(M):\n    m: List[M]\ndef run(a: N): ...",
            "a.s[]",
        ),
        ("@dataclasses.dataclass\nclass D:\n    s: SecretValue\ndef run(a: list[D]): ...", "a[].s"),
        ("class T(typing_extensions.TypedDict):\n    s: SecretValue\ndef run(a: T): ...", "a.s"),
        ("class N(NamedTuple):\n    s: SecretValue\ndef run(a: N): ...", "a.s"),
        ("class M(BaseModel):\n    me: Optional['M']\n    s: Union[int, SecretValue]\ndef run(a: M): ...", "a.s"),
        ("def run(a: NewType('Key', List[SecretValue])): ...", "a[]"),
    ],
)
def test_a_secret_inside_an_input_is_refused(described, text, path):
    error = described(text)["error"]
    assert (error["kind"], error["parameter"]) == ("annotation", "a")
    assert f"parameter 'a': {path} is a secret" in error["message"]


@pytest.mark.parametrize(
    ("text", "kind", "parameter", "words"),
    [
        (
            "def run(apiKey: SecretValue, api_key: SecretValue): ...",
            "collision",
            "api_key",
            ["'apiKey'", "SECRET_API_KEY"],
        ),
        ("def run(a: int, x: 'Unknown'): ...", "annotation", "x", ["'x'", "Unknown"]),
        ("def run(x: DataPool, y: list[DataPool]): ...", "annotation", "y", ["'y'", "DataPool"]),
        ("run = 3", "missing", None, ["'run'", "int"]),
        ("def main(): ...\ndef helper(): ...", "missing", None, ["no function 'run'", "helper, main"]),
        ("", "missing", None, ["it has none"]),
        ("def run(:", "syntax", None, ["SyntaxError", ".py:"]),
        ("import nonexistent_module", "import", None, ["nonexistent_module", ".py:"]),
        ("def f():\n    raise KeyError('k')\nf()", "import", None, ["KeyError", ".py:"]),
        ("import sys\nsys.exit(2)", "import", None, ["SystemExit: 2"]),
        ("import concurrent.nope", "import", None, ["concurrent.nope"]),
    ],
)
def test_errors(described, text, kind, parameter, words):
    document = described(text)
    assert document.keys() == {"schemaVersion", "error"}
    error = document["error"]
    assert (error["kind"], error.get("parameter")) == (kind, parameter)
    assert all(word in error["message"] for word in words), error["message"]
    assert "\n" not in error["message"]
    if kind in ("import", "syntax"):
        assert "program_" in error["traceback"]
        assert "describe.py" not in error["traceback"] and "importlib" not in error["traceback"]


@pytest.mark.parametrize("entrypoint", ["nowhere.program:run", "nowhere:run"])
def test_a_missing_module(entrypoint):
    error = describe(entrypoint)["error"]
    assert error["kind"] == "import"
    assert f"there is no module {entrypoint.split(':')[0]}" in error["message"]


@pytest.mark.parametrize("entrypoint", ["", "run", "module:", ":run"])
def test_no_entrypoint(entrypoint):
    assert describe(entrypoint)["error"]["kind"] == "missing"


def test_annotations_that_deceive():
    class Odd:
        __origin__ = 3

    def run(a: Odd(), b: 5, c: "1 +"): ...  # noqa: F722

    with pytest.raises(qhub.commons.describe.DescribeError, match="parameter"):
        read_parameters(run)


# As a program.


@pytest.fixture
def noisy(tmp_path, environment):
    text = "import os\nprint('noise')\nos.system('echo noise')\ndef run(x: int): ...\n"
    (tmp_path / "program.py").write_text(text)

    def start(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return start


def test_the_program_keeps_its_output_clean(noisy, tmp_path):
    done = noisy("-m", "qhub.commons.describe", "--entrypoint", "program:run")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["parameters"][0]["name"] == "x"
    assert done.stderr.count("noise") == 2
    to_file = noisy(qhub.commons.describe.__file__, "--entrypoint", "program:run", "--output", "out.json")
    assert (to_file.returncode, to_file.stdout) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text()) == document


def test_the_program_says_what_is_wrong(noisy):
    done = noisy("-m", "qhub.commons.describe", "--entrypoint", "program:other")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "missing"


def describer():
    """The describer as one file, as sdk.Describer makes it."""
    folder, text = Path(qhub.commons.describe.__file__).resolve().parent, ""
    for name in ("annotations", "checks", "schemas"):
        module, full = (folder / f"{name}.py").read_text(), f"qhub.commons.{name}"
        text += f"import sys, types; _m = sys.modules[{full!r}] = types.ModuleType({full!r})\n"
        text += f"exec({module!r}, _m.__dict__)\n"
    return text + (folder / "describe.py").read_text()


def test_describes_beside_the_upstream_sdk(service, environment):
    import os

    published = os.environ.get("QHUB_PUBLISHED_PYTHON")
    if not published:
        pytest.skip("QHUB_PUBLISHED_PYTHON names no interpreter")
    environment.pop("PYTHONPATH", None)
    text = HEAD.replace("import typing_extensions\n", "") + (
        "class M(BaseModel):\n    s: SecretValue\n"
        "def run(d: Point, api_token: SecretValue, o: SecretValue | None, m: DataPool) -> Point: ...\n"
        "def bad(m: M): ...\n"
    )
    entrypoint = service.write(text)
    alone = service.folder / "describe_alone.py"
    alone.write_text(describer())
    for name, check in {"run": "parameters", "bad": "error"}.items():
        command = [published, str(alone), "--entrypoint", entrypoint.replace(":run", f":{name}")]
        done = subprocess.run(command, cwd=service.folder, env=environment, capture_output=True, text=True)
        document = json.loads(done.stdout)
        assert check in document, document
        if name == "run":
            assert document["sdk"]["version"] == "1.2.2"
            assert [p["kind"] for p in document["parameters"]] == ["input", "secret", "secret", "datapool"]
        else:
            assert "m.s is a secret" in document["error"]["message"]
