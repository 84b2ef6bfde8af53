"""Whole services: their input, their output, and the secrets that never appear in it."""

import base64
import json
import os
import subprocess
import sys
import textwrap

import pytest
from conftest import TOKEN
from qhub.commons.runtime.error import HandlerError, InputError, build_problem_details, write_problem_details

HEAD = """
import asyncio, dataclasses, datetime, decimal, enum, math, os, pathlib, subprocess, sys, uuid
from typing import *
from pydantic import BaseModel, Field
from qhub.commons.secret import SecretValue
from qhub.commons.datapool import DataPool
from qhub.commons.runtime import HandlerError
"""
SECRET = {"SECRET_API_TOKEN": TOKEN}


def program(text):
    return HEAD + textwrap.dedent(text)


# Secrets.


def test_the_variable_is_gone(service):
    outcome = service.run(
        program("""
        def run(api_token: SecretValue):
            show = [sys.executable, "-c", "import os; print('SECRET_API_TOKEN' in os.environ)"]
            child = subprocess.run(show, capture_output=True, text=True)
            return [api_token.unwrap() == %r, "SECRET_API_TOKEN" in os.environ, child.stdout.strip()]
        """)
        % TOKEN,
        SECRET,
    )
    assert outcome.result == [True, False, "False"]


@pytest.mark.parametrize(
    "failure",
    [
        "raise ValueError('refused: ' + value)",
        "raise HandlerError('no ' + value, repr(value), {'k': [value], value: 1})",
        "raise ValueError(value) from KeyError(value.encode())",
        "return asyncio.run(fail(value))",
        "sys.exit(value)",
        "raise type('Own' , (BaseException,), {})(value)",
        "raise UnicodeDecodeError('utf-8', value.encode(), 0, 1, value)",
        "import base64; raise OSError('Authorization: Basic ' + base64.b64encode(b'me:' + value.encode()).decode())",
        "open('/nonexistent/' + value)",
        "return {value: object, 'k': (a := [value], a.append(a))[0]}",
        "return {value: [object()]}",
    ],
)
def test_a_failure_is_masked(service, failure):
    outcome = service.run(
        program(f"""
        async def fail(value):
            raise RuntimeError(value)
        def run(api_token: SecretValue):
            value = api_token.unwrap()
            {failure}
        """),
        SECRET,
    )
    assert outcome.code == 1
    assert outcome.result["status"] == 500
    assert "[redacted]" in outcome.everything or "itself" in outcome.everything
    for form in (TOKEN, "tok-4711", ascii(TOKEN)[1:-1], base64.b64encode(b"me:" + TOKEN.encode()).decode()[6:-4]):
        assert form not in outcome.everything


def test_the_execution_token_is_masked(service):
    outcome = service.run(
        "import os\ndef run(): raise RuntimeError(os.environ['KQH_SERVICE_EXECUTION_TOKEN'])",
        {"KQH_SERVICE_EXECUTION_TOKEN": TOKEN},
    )
    assert (outcome.code, outcome.result["detail"]) == (1, "[redacted]")
    assert TOKEN not in outcome.everything


def test_a_failure_while_importing_is_masked(service):
    outcome = service.run("import os\nraise RuntimeError(os.environ['SECRET_API_TOKEN'])", SECRET)
    assert (outcome.code, outcome.result["title"]) == (1, "RuntimeError")
    assert TOKEN not in outcome.everything


def test_a_failing_thread_is_masked(service):
    outcome = service.run(
        program("""
        import threading
        def fail(value):
            raise RuntimeError(value)
        def run(api_token: SecretValue):
            thread = threading.Thread(target=fail, args=(api_token.unwrap(),))
            thread.start()
            thread.join()
        """),
        SECRET,
    )
    assert outcome.code == 0
    assert "RuntimeError: [redacted]" in outcome.stderr
    assert TOKEN not in outcome.everything


def test_a_returned_secret_is_redacted(service):
    outcome = service.run(
        program("""
        class Out(BaseModel):
            secret: SecretValue
        @dataclasses.dataclass
        class Data:
            secret: SecretValue
        class Plain:
            def __init__(self, secret):
                self.secret = secret
        def run(api_token: SecretValue):
            return [api_token, {"k": api_token}, Out(secret=api_token), Data(api_token), Plain(api_token)]
        """),
        SECRET,
    )
    redacted = "[redacted]"
    assert outcome.result == [redacted, {"k": redacted}, *[{"secret": redacted}] * 3]


def test_colliding_secrets_are_refused(service):
    outcome = service.run(program("def run(apiKey: SecretValue, api_key: SecretValue): ..."), {"SECRET_API_KEY": TOKEN})
    assert outcome.code == 1
    assert all(word in outcome.result["detail"] for word in ("'apiKey'", "'api_key'", "SECRET_API_KEY"))
    assert TOKEN not in outcome.everything


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Pr\udcfcfung-2024-x", "is not UTF-8 text"),
        ("\udced\udca0\udc80 half a pair", "is not UTF-8 text"),
        ("x" * 65_537, "is longer than 64 KiB"),
        ("é" * 32_769, "is longer than 64 KiB"),
    ],
)
def test_a_value_that_cannot_be_a_secret_is_refused(service, value, reason):
    outcome = service.run(program("def run(api_token: SecretValue | None = None): ..."), {"SECRET_API_TOKEN": value})
    assert (outcome.code, outcome.result["status"]) == (1, 400)
    (problem,) = outcome.result["errors"]
    assert problem["path"] == "api_token"
    assert problem["message"].startswith(f"the secret is refused: the environment variable SECRET_API_TOKEN {reason}")
    assert not [part for part in ("fung-2024", "half a pair", "xxxx", "éé") if part in outcome.everything]


@pytest.mark.parametrize("value", ["", "a", "\ufeffwith a mark", "x" * 65_536, "é" * 32_768])
def test_any_other_text_can_be_a_secret(service, value):
    outcome = service.run(
        program("def run(api_token: SecretValue): return [ord(c) for c in api_token.unwrap()]"),
        {"SECRET_API_TOKEN": value},
    )
    assert "".join(map(chr, outcome.result)) == value


def test_a_missing_secret_may_have_a_default(service):
    outcome = service.run(program("def run(a: SecretValue = SecretValue('dev'), b: SecretValue | None = None):\n"
                                  "    return [a.unwrap(), b]"))  # fmt: skip
    assert outcome.result == ["dev", None]


# Signatures.


@pytest.mark.parametrize(
    "text",
    [
        "def run(n: int, api_token: SecretValue, *, k: str = 'd'): return [n, k, len(api_token.unwrap())]",
        "def run(n: int, k: str = 'd', /, *args, api_token: SecretValue, **kwargs): "
        "return [n, k, len(api_token.unwrap()), *args][:3]",
        "def run(n: 'int', api_token: 'SecretValue | None', k: 'Annotated[str, 1]' = 'd'): "
        "return [n, k, len(api_token.unwrap())]",
        """
        import functools
        def decorate(f):
            @functools.wraps(f)
            def wrapper(*args, **kwargs):
                return f(*args, **kwargs)
            return wrapper
        @decorate
        def run(n: int, api_token: SecretValue, k: str = 'd'): return [n, k, len(api_token.unwrap())]
        """,
        """
        class Callable_:
            def __call__(self, n: 'int', api_token: SecretValue, k: str = 'd'): return [n, k, len(api_token.unwrap())]
        run = Callable_()
        """,
        """
        import functools
        def whole(x, n: 'int', api_token: SecretValue, k: str = 'd'): return [n, k, len(api_token.unwrap())]
        run = functools.partial(whole, 0)
        """,
        """
        class Service:
            def method(self, n: int, api_token: SecretValue, k: str = 'd'): return [n, k, len(api_token.unwrap())]
        run = Service().method
        """,
        "async def run(n: int, api_token: SecretValue, k='d'): return [n, k, len(api_token.unwrap())]",
        """
        def run(n: int, api_token: SecretValue, k: str = 'd'):
            yield n
            yield k
            yield len(api_token.unwrap())
        """,
        """
        async def run(n: int, api_token: SecretValue, k: str = 'd'):
            yield n
            await asyncio.sleep(0)
            yield k
            yield len(api_token.unwrap())
        """,
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_shapes_of_run(service, text, future):
    outcome = service.run(future + program(text), SECRET, n="4", ignored="x")
    assert outcome.code == 0, outcome.stderr
    assert outcome.result == [4, "d", len(TOKEN)]


def test_all_errors_at_once(service):
    outcome = service.run(
        program("""
        class Inner(BaseModel):
            x: int
        def run(a: Inner, b: int, c: SecretValue, d: DataPool, e: list[Inner], f: str): ...
        """),
        a_json='{"x": "zz-input"}',
        b="zz-input",
        e_json='[{"x": 1}, {}]',
    )
    assert (outcome.code, outcome.result["status"]) == (1, 400)
    assert [error["path"] for error in outcome.result["errors"]] == ["a.x", "b", "c", "d", "e[1].x", "f"]
    assert "SECRET_C" in outcome.result["detail"]
    assert "zz-input" not in outcome.everything
    assert "Traceback" not in outcome.stderr


def test_a_datapool_that_is_a_file(service):
    service.pools.mkdir()
    (service.pools / "d").write_text("")
    outcome = service.run(program("def run(d: DataPool | None): ..."))
    assert outcome.result["status"] == 400
    assert "d: the data pool is a file" in outcome.result["detail"]


def test_no_input_folder_is_no_input(service):
    service.input.rmdir()
    assert service.run("def run(n: int = 4): return n").result == 4


def test_the_platforms_files_win(service):
    outcome = service.run("def run(n): return n", n_json="1", n_txt="2", n="3")
    assert outcome.result == 1


@pytest.mark.parametrize(
    ("text", "title", "words"),
    [
        ("def run(:", "SyntaxError", [":1"]),
        ("import nonexistent_module", "ModuleNotFoundError", ["nonexistent_module"]),
        ("def other(): ...", "Entrypoint missing", ["run", "other"]),
        ("run = 3", "Entrypoint missing", ["run", "int"]),
        (
            "from qhub.commons.datapool import DataPool\ndef run(x: list[DataPool]): ...",
            "UnsupportedAnnotation",
            ["'x'", "DataPool"],
        ),
        ("def run(x: 'Unknown'): ...", "Entrypoint annotation", ["'x'", "Unknown"]),
        ("import sys\nsys.exit(0)", "SystemExit", []),
    ],
)
def test_a_service_that_cannot_be_called(service, text, title, words):
    # An annotation that pydantic knows nothing of only matters where there is a value for it.
    outcome = service.run(text, x="1") if "DataPool]" in text else service.run(text)
    assert outcome.code == 1
    problem = outcome.result
    assert problem["status"] == 500
    assert problem["title"] == title
    assert all(word in problem["detail"] for word in words)
    assert outcome.stderr


# Ends.


@pytest.mark.parametrize(
    ("ending", "code", "detail"),
    [
        ("sys.exit(3)", 3, "the service exited: 3"),
        ("sys.exit('no luck')", 1, "the service exited: no luck"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
        ("raise SystemExit([1])", 1, "the service exited: [1]"),
        ("asyncio.run(later())", 7, "the service exited: 7"),
    ],
)
def test_exit_codes(service, ending, code, detail):
    outcome = service.run(
        program(f"""
        async def later():
            sys.exit(7)
        def run():
            {ending}
        """)
    )
    assert (outcome.code, outcome.result["detail"]) == (code, detail)


@pytest.mark.parametrize("ending", ["sys.exit()", "sys.exit(0)", "sys.exit(None)", "return None"])
def test_ends_without_a_result(service, ending):
    outcome = service.run(program(f"def run():\n    {ending}"))
    assert (outcome.code, outcome.files, outcome.stderr) == (0, {}, "")


def test_the_traceback_begins_in_the_service(service):
    outcome = service.run("def run():\n    raise KeyError('k')")
    first = outcome.stderr.splitlines()[1]
    assert "program_" in first and "line 2, in run" in first


def test_an_exception_that_has_no_text(service):
    outcome = service.run("class E(Exception):\n    def __str__(self): raise ValueError\ndef run(): raise E")
    assert (outcome.code, outcome.result["title"]) == (1, "E")


def test_output_that_cannot_be_written(service):
    service.output.write_text("a file where the folder should be")
    outcome = service.run("def run(): return 1")
    assert outcome.code == 1
    assert "the problem document cannot be written" in outcome.stderr


# Results.


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("math.nan", None),
        ("[math.nan, math.inf]", [None, None]),
        ("{1}", [1]),
        ("frozenset([1])", [1]),
        ("enum.Enum('C', {'RED': 'red'}).RED", "red"),
        ("{1: 'a', None: 'b', 2.5: 'c', True: 'd'}", {"1": "d", "None": "b", "2.5": "c"}),
        ("{(1, 2): 3}", {"1,2": 3}),
        ("b'text'", "text"),
        ("b'\\xff\\xfe'", "__4="),
        ("datetime.datetime(2024, 1, 2)", "2024-01-02T00:00:00"),
        ("datetime.timedelta(days=1)", "P1D"),
        ("decimal.Decimal('1.10')", "1.10"),
        ("(i for i in range(3))", [0, 1, 2]),
        ("{'g': (i for i in range(3))}", {"g": [0, 1, 2]}),
        ("map(str, [1])", ["1"]),
        ("{'a': 1}.values()", [1]),
        ("__import__('collections').deque([1])", [1]),
        ("__import__('types').SimpleNamespace(a=1, b=[2])", {"a": 1, "b": [2]}),
        ("__import__('types').MappingProxyType({'a': 1})", {"a": 1}),
        ("Aliased(field=1)", {"field": 1}),
        ("type('Array', (), {'tolist': lambda self: [1.5]})()", [1.5]),
        ("1j", "1j"),
        ("'ünï'", "ünï"),
        ("['\\ud800']", ["\ud800"]),
        ("[[]] * 2", [[], []]),
        ("10 ** 30", 10**30),
        ("{'\\ud800'}", ["\ud800"]),
        ("{enum.Enum('C', {'RED': 'red'}).RED: 1, enum.IntEnum('I', {'ONE': 1}).ONE: 2}", {"red": 1, "1": 2}),
        ("{datetime.date(2024, 1, 2): 1, decimal.Decimal('1.5'): 2, uuid.UUID(int=5): 3}",
         {"2024-01-02": 1, "1.5": 2, "00000000-0000-0000-0000-000000000005": 3}),
        ("[pathlib.Path('/a/b'), uuid.UUID(int=5), bytearray(b'ab'), memoryview(b'ab')]",
         ["/a/b", "00000000-0000-0000-0000-000000000005", "ab", "ab"]),
        ("__import__('collections').UserDict(a=1)", {"a": 1}),
        ("__import__('collections').UserList([1])", [1]),
        ("[type('NaTType', (datetime.datetime,), {'year': math.nan})(1, 1, 1), 1.5]", [None, 1.5]),
        ("{'na': type('NAType', (), {})()}", {"na": None}),
        ("type('Table', (), {'to_dicts': lambda self: [{'a': math.nan}]})()", [{"a": None}]),
        ("type('S', (), {'__slots__': ('x',), '__init__': lambda self: setattr(self, 'x', 1)})()", {"x": 1}),
        ("[ValueError('why')]", ["why"]),
        ("Tree(kind=int, inner=[Tree(inner={'x': Tree()})])",
         {"kind": "builtins.int", "inner": [{"kind": None, "inner": {"x": {"kind": None, "inner": None}}}]}),
    ],
)  # fmt: skip
def test_results(service, expression, value):
    outcome = service.run(
        program(f"""
        class Aliased(BaseModel):
            model_config = {{"populate_by_name": True}}
            field: int = Field(alias="other")
        class Tree(BaseModel):
            kind: Any = None
            inner: Any = None
        def run():
            return {expression}
        """)
    )
    assert outcome.code == 0, outcome.stderr
    assert outcome.result == value


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("object()", "result"),
        ("{'rows': [1, 2, 3, {'when': threading.Lock()}]}", "result.rows[3].when"),
        ("{'rows': [Model(value=1), Model(value=Data(object()))]}", "result.rows[1].value.value"),
        ("[{'a b': print}]", 'result[0]["a b"]'),
        ("{'f': lambda: 1}", "result.f"),
        ("{'m': math}", "result.m"),
        ("{'s': [Private()]}", "result.s[0]"),
        ("{'k': {object(): 1}}", "result.k"),
        ("{'k': {frozenset([1]): 1}}", "result.k"),
        ("[iter([1]), object()]", "result[0]"),
    ],
)
def test_a_value_without_a_form_is_an_error_that_names_its_place(service, expression, place):
    outcome = service.run(
        program(f"""
        import threading
        @dataclasses.dataclass
        class Data:
            value: Any
        class Model(BaseModel):
            value: Any = None
        class Private:
            def __init__(self):
                self._manager = 1
        def run():
            return {expression}
        """)
    )
    assert (outcome.code, outcome.result["title"]) == (1, "ResultNotSerializable")
    assert f": {place}: cannot represent " in outcome.result["detail"]


@pytest.mark.parametrize("expression", ["loop(a := [])", "loop2(P())"])
def test_results_without_a_json_form(service, expression):
    outcome = service.run(
        program(f"""
        def loop(a):
            a.append(a)
            return a
        def loop2(p):
            p.me = p
            return p
        class P: ...
        def run():
            return {expression}
        """)
    )
    assert (outcome.code, outcome.result["title"]) == (1, "ResultNotSerializable")
    assert "the result has no JSON form" in outcome.result["detail"]


def test_a_scalar_is_text_all_else_json(service):
    assert list(service.run("def run(): return 'x'").files) == ["output.txt"]
    (service.output / "output.txt").unlink()
    outcome = service.run("def run(): return ['ä', {}]")
    assert outcome.files == {"output.json": '[\n  "ä",\n  {}\n]'.encode()}


# Problem documents.


def test_problem_documents(tmp_path):
    problem = build_problem_details(HandlerError("T", extensions={"set": {1}}))
    assert problem == {"type": "about:blank", "status": 500, "title": "T", "detail": "T", "set": [1]}
    assert build_problem_details(InputError([("a", "b")]))["errors"] == [{"path": "a", "message": "b"}]
    path = write_problem_details(str(tmp_path / "new"), problem)
    assert path == str(tmp_path / "new" / "output.json")
    assert json.loads((tmp_path / "new" / "output.json").read_text()) == problem


# The process.


def test_as_a_process(tmp_path, environment):
    (tmp_path / "program.py").write_text("def run(n, k=2):\n    print('log')\n    return {'n': n}")
    (tmp_path / "n.txt").write_text("null")
    environment |= {"ENTRYPOINT": "program:run", "INPUT_DIRECTORY": ".", "OUTPUT_DIRECTORY": "out"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    heavy = "sys.exit([m for m in ('pydantic', 'loguru', 'yaml', 'asyncio', 'logging') if m in sys.modules] or code)"
    script = f"import sys; from qhub.commons.runtime.main import main; code = main(); {heavy}"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "log\n", "")
    assert json.loads((tmp_path / "out" / "output.json").read_text()) == {"n": "null"}


@pytest.mark.skipif(os.name != "posix", reason="looks at a module of POSIX systems")
def test_no_copy_of_the_environment_keeps_a_secret(tmp_path, environment):
    (tmp_path / "program.py").write_text(
        "import os, posix, subprocess\nfrom qhub.commons.secret import SecretValue\n"
        "def run(api_token: SecretValue):\n"
        "    print([os.environ.copy(), os.environb.copy(), posix.environ, os.getenv('SECRET_API_TOKEN')])\n"
        "    print(subprocess.run('env', capture_output=True, text=True).stdout)\n"
        "    return os.environ['OTHER']"
    )
    environment |= {
        "ENTRYPOINT": "program:run",
        "OUTPUT_DIRECTORY": "out",
        "OTHER": "left",
        "SECRET_API_TOKEN": "tok-4711",
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    script = "from qhub.commons.runtime.main import main; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OTHER=left" in done.stdout
    assert "tok-4711" not in done.stdout and "SECRET_API_TOKEN" not in done.stdout


# Ahead of a fork.

PREPARED = """
import os, sys
from qhub.commons.runtime.main import main, prepare

prepare(os.environ["ENTRYPOINT"])
imported = set(sys.modules)
code = main()
print(sorted(sys.modules.keys() - imported), code)
"""


def test_a_prepared_run_imports_nothing_more(service):
    text = program("""
        class Data(BaseModel):
            n: int

        def run(data: Data, text: str, api_token: SecretValue, pool: Optional[DataPool] = None):
            return {"n": data.n, "text": text}
        """)
    entrypoint = service.write(text)
    (service.input / "data.json").write_text('{"n": 1}')
    (service.input / "text.txt").write_text("a")
    environment = {
        **os.environ,
        **SECRET,
        "ENTRYPOINT": entrypoint,
        "INPUT_DIRECTORY": str(service.input),
        "OUTPUT_DIRECTORY": str(service.output),
        "PYTHONPATH": str(service.folder),
    }
    done = subprocess.run([sys.executable, "-c", PREPARED], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[] 0\n", "")
    assert json.loads((service.output / "output.json").read_text()) == {"n": 1, "text": "a"}


WARM_UP = """
import os, sys
from qhub.commons.runtime.main import main, prepare
from qhub.commons.runtime.warmup import WarmUp

prepare(os.environ["ENTRYPOINT"])
environment, hooks = dict(os.environ), (sys.excepthook, sys.stdout, sys.stderr)
os.mkdir("warmup")
warmup = WarmUp("warmup")
for _ in range(3):
    warmup.run()
assert dict(os.environ) == environment and (sys.excepthook, sys.stdout, sys.stderr) == hooks
print(main(), sorted(os.listdir("warmup/output")))
"""


@pytest.mark.parametrize("parameters", ["data: Data, api_token: SecretValue", "api_token: SecretValue"])
def test_a_warmup_leaves_no_trace(service, tmp_path, parameters):
    text = program(f"""
        class Data(BaseModel):
            n: int

        calls = []

        def run({parameters}):
            calls.append(api_token.unwrap())
            return calls
        """)
    entrypoint = service.write(text)
    (service.input / "data.json").write_text('{"n": 1}')
    environment = {
        **os.environ,
        **SECRET,
        "ENTRYPOINT": entrypoint,
        "INPUT_DIRECTORY": str(service.input),
        "OUTPUT_DIRECTORY": str(service.output),
        "PYTHONPATH": str(service.folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", WARM_UP], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("0 ['output.json']\n", "")
    assert json.loads((service.output / "output.json").read_text()) == list(SECRET.values())
