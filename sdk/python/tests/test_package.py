"""The package itself, and the smaller of the names that services import."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import qhub.commons
import yaml
from qhub.commons.datapool import DataPool
from qhub.commons.entrypoint import run_entrypoint
from qhub.commons.file import list_directory_files, write_blob_to_file, write_str_to_file
from qhub.commons.openapi.generator import generate_openapi, openapi_document
from qhub.commons.parameters import create_secret_instance, files_to_parameters, map_default, map_input_file
from qhub.commons.reflection import resolve_function, resolve_signature
from qhub.commons.runtime.input import read_input_as_string
from qhub.commons.runtime.output import write_binary_output, write_string_output
from qhub.commons.secret import SecretValue
from qhub.commons.string import str_to_bool

KIT = Path(__file__).resolve().parents[1]


def test_version_is_that_of_the_project():
    project = (KIT / "pyproject.toml").read_text()
    assert re.search(r'^version = "(.+)"$', project, re.MULTILINE).group(1) == qhub.commons.__version__


def test_the_tree_holds_package_files_only():
    files = [p for p in (KIT / "src").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {p.suffix for p in files} == {".py", ".typed"}
    assert not (KIT / "src" / "qhub" / "__init__.py").exists(), "qhub is a namespace package"
    assert all(len(p.read_text().splitlines()) <= 450 for p in files)


def test_every_module_imports():
    root = KIT / "src"
    for path in root.rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        assert module.__doc__, name
        assert all(hasattr(module, public) for public in getattr(module, "__all__", [])), name


def test_datapool(tmp_path):
    (tmp_path / "secret.txt").write_text("outside")
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("A")
    (folder / "sub" / "b.txt").write_text("B")
    pool = DataPool(str(folder) + os.sep)
    assert (pool.name, pool.path) == ("models", str(folder) + os.sep)
    assert pool.list_files() == {"a.txt": str(folder) + os.sep + "a.txt"}
    for name, mode, content in (("a.txt", "r", "A"), ("sub/b.txt", "rb", b"B"), ("sub/../a.txt", "r", "A")):
        with pool.open(name, mode) as file:
            assert file.read() == content
    for name in ("zz", "../secret.txt", str(tmp_path / "secret.txt"), "sub", "..", "sub/../../secret.txt"):
        with pytest.raises(FileNotFoundError, match=re.escape(f'File "{name}" not found in data pool')):
            pool.open(name)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        DataPool(str(tmp_path / "none"))
    with pytest.raises(NotADirectoryError, match="is not a directory"):
        DataPool(str(folder / "a.txt"))


def test_files(tmp_path):
    path = write_str_to_file(str(tmp_path / "new"), "a.b.txt", "ä\r\n")
    assert Path(path).read_bytes() == "ä\r\n".encode()
    write_blob_to_file(str(tmp_path / "new"), "b", memoryview(b"\0"))
    assert list_directory_files(str(tmp_path / "new")) == {"a": path, "b": str(tmp_path / "new" / "b")}
    assert "a.b.txt" in list_directory_files(str(tmp_path / "new"), strip_extension_from_key=False)
    for call in (lambda: list_directory_files(path), lambda: write_str_to_file(path, "x", "")):
        with pytest.raises(ValueError, match="must be a directory"):
            call()


def test_input_and_output(tmp_path, monkeypatch):
    monkeypatch.setenv("INPUT_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("OUTPUT_DIRECTORY", str(tmp_path))
    write_string_output("data.json", "{}")
    write_binary_output("b.bin", b"\xff")
    assert read_input_as_string("data") == read_input_as_string("data.txt", ["/nonexistent", str(tmp_path)]) == "{}"
    for arguments in (("none",), ("data", ["/nonexistent"])):
        with pytest.raises(FileNotFoundError):
            read_input_as_string(*arguments)


def test_entrypoints(service):
    entrypoint = service.write("async def run(a: int, b=2): return [a, b]")
    assert run_entrypoint(entrypoint, {"a": 1, "unknown": 3}) == [1, 2]
    assert list(resolve_signature(entrypoint).parameters) == ["a", "b"]
    assert resolve_function(entrypoint).__name__ == "run"
    with pytest.raises(ValueError, match="not of the form"):
        resolve_function("module")


def test_parameters_of_a_signature(service, monkeypatch):
    entrypoint = service.write(
        "from qhub.commons.secret import SecretValue\nfrom typing import *\n"
        "def run(a: int, b: Optional[str], c: SecretValue, d: float, e=5): ..."
    )
    (service.input / "a").write_text("1")
    monkeypatch.setenv("SECRET_C", "value-of-c")
    signature = resolve_signature(entrypoint)
    values = files_to_parameters({"a": str(service.input / "a")}, signature)
    assert values.pop("c").unwrap() == "value-of-c"
    assert "SECRET_C" not in os.environ
    assert values == {"a": 1, "b": None, "e": 5}, "what has no value is left out"
    assert map_input_file(str(service.input / "a"), signature.parameters["a"]) == 1
    assert (map_default(signature.parameters["b"]), map_default(signature.parameters["e"])) == (None, 5)
    with pytest.raises(TypeError, match="'d' has no default"):
        map_default(signature.parameters["d"])
    with pytest.raises(KeyError, match="SECRET_C"):
        create_secret_instance("c")


def test_str_to_bool():
    assert [str_to_bool(text) for text in ("Yes", "TRUE", "1", "on", "")] == [True, True, True, False, False]


def test_openapi(service):
    entrypoint = service.write(
        "from pydantic import BaseModel\nfrom typing import *\nfrom qhub.commons.secret import SecretValue\n"
        "class LogEntry(BaseModel):\n    properties: Dict[str, 'LogEntry'] = {}\n"
        "class Out(BaseModel):\n    total: float\n"
        "def run(a: LogEntry, s: SecretValue) -> Out: ..."
    )
    document = openapi_document(entrypoint, "Title", "7", "Words")
    assert document["info"] == {"title": "Title", "version": "7", "description": "Words"}
    schemas = document["components"]["schemas"]
    assert "message" in schemas["LogEntry"]["properties"], "a model of the service does not replace the envelope's"
    inner = schemas["LogEntry_"]["properties"]["properties"]["additionalProperties"]
    assert inner == {"$ref": "#/components/schemas/LogEntry_"}
    assert {"total", "_links"} <= schemas["ResultResponse"]["properties"].keys()
    body = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    secret = body["properties"]["$secrets"]["properties"]["s"]
    assert {k: secret[k] for k in ("type", "format", "writeOnly")} == {
        "type": "string", "format": "password", "writeOnly": True,
    }  # fmt: skip
    generate_openapi(entrypoint, "Title", "7", "Words")
    printed = service.capfd.readouterr().out
    assert yaml.safe_load(printed) == document
    assert "&id" not in printed
    references = set(re.findall(r"#/components/\w+/[\w.-]+", printed))
    for reference in references:
        _, section, kind, name = reference.split("/")
        assert name in document[section][kind], reference
    with pytest.raises(ValueError, match="there is no module"):
        openapi_document("nowhere:run")


@pytest.mark.parametrize("loguru", [True, False])
def test_logging(loguru, environment):
    program = (
        "import sys, logging\n"
        + ("" if loguru else "sys.modules['loguru'] = None\n")
        + "named = logging.getLogger('named')\n"
        "from qhub.commons.logging import init_logging\n"
        "init_logging(trace=True)\n"
        "named.warning('from %s', 'named'); named.debug('hidden')"
    )
    environment["LOG_LEVEL"] = "info"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "CRITICAL" in lines[0] and "INFO" in lines[0]
    assert re.search(r"WARNING.*named.* - from named$", lines[1])
    assert len(lines) == 2


def test_a_secret_as_an_argument_is_not_consumed(service):
    entrypoint = service.write("def run(s): return s.is_locked")
    secret = SecretValue("value")
    assert run_entrypoint(entrypoint, {"s": secret}) is False
    assert secret.unwrap() == "value"
