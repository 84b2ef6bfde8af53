"""The recorded cases, against this SDK and, where nothing says that ours differs, against the published one."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import jsonschema
import pytest
from qhub.commons.openapi.generator import openapi_document

CASES = Path(__file__).resolve().parents[3] / "conformance"
PROBE = Path(__file__).with_name("probe.py")
PUBLISHED = os.environ.get("QHUB_PUBLISHED_PYTHON")
KINDS = ("env_names", "bind", "run")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the cases run in forks")


def load(kind):
    return json.loads((CASES / f"{kind}.json").read_text(encoding="utf-8"))


def expected(case, ours):
    return {**{key: case[key] for key in case if key not in ("value", "error")}, **case["ours"]} if ours else case


def label(case):
    return (
        case.get("name") or f"{case.get('annotation') or case.get('parameter')}<-{case.get('input', case.get('env'))}"
    )


def answers(python, folder, published):
    cases = {kind: [c for c in load(kind) if not (published and "ours" in c)] for kind in KINDS}
    asked = {k: [expected(c, "ours" in c) if k == "bind" else c for c in v] for k, v in cases.items()}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SECRET_")}
    if published:
        clean.pop("PYTHONPATH", None)
        clean["LOGURU_LEVEL"] = "ERROR"  # as the cases were recorded
    done = subprocess.run(
        [python, "-W", "ignore", str(PROBE), str(folder)],
        input=json.dumps(asked), capture_output=True, text=True, timeout=120, env=clean,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert ("+qhubctl" in got["version"]) is not published, "the other SDK was run"
    return {kind: {label(c): a for c, a in zip(cases[kind], got[kind], strict=True)} for kind in KINDS}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return answers(sys.executable, tmp_path_factory.mktemp("ours"), published=False)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    if not PUBLISHED:
        pytest.skip("QHUB_PUBLISHED_PYTHON names no interpreter")
    return answers(PUBLISHED, tmp_path_factory.mktemp("published"), published=True)


def cases(kind, published=False):
    return [pytest.param(c, id=label(c)) for c in load(kind) if not (published and "ours" in c)]


def by_value(output):
    return {name: json.loads(text) if name in ("output.json", "output.txt") else text for name, text in output.items()}


@pytest.mark.parametrize("case", cases("env_names"))
def test_environment_name(case, ours):
    assert ours["env_names"][label(case)] == {"env": case["env"]}


@pytest.mark.parametrize("case", cases("env_names"))
def test_published_environment_name(case, published):
    assert published["env_names"][label(case)] == {"env": case["env"]}


@pytest.mark.parametrize("case", cases("bind"))
def test_binding(case, ours):
    want, got = case.get("ours", case), ours["bind"][label(case)]
    if "error" in want:
        assert "ValueError" in got["error"]
    else:
        assert got == {"value": want["value"]}


@pytest.mark.parametrize("case", cases("bind", published=True))
def test_published_binding(case, published):
    got = published["bind"][label(case)]
    if "error" in case:
        assert got["error"][0] == case["error"]
    else:
        assert got == {"value": case["value"]}


@pytest.mark.parametrize("case", cases("run"))
def test_running(case, ours):
    want, got = case.get("ours", case), ours["run"][label(case)]
    assert got["exit"] == want["exit"], got["stderr"]
    if "problem" in want:
        problem = json.loads(got["output"]["output.json"])
        assert problem["status"] == want["problem"]["status"]
        assert all(word in json.dumps(problem) for word in want["problem"]["mentions"]), problem
    else:
        recorded = want["output"] if "ours" in case else by_value(want["output"])
        assert by_value(got["output"]) == recorded
    for value in case["env"].values():
        assert len(value) < 4 or value not in got["stderr"] + got["stdout"] + json.dumps(got["output"])


@pytest.mark.parametrize("case", cases("run", published=True))
def test_published_running(case, published):
    got = published["run"][label(case)]
    assert got["exit"] == case["exit"], got["stderr"]
    assert by_value(got["output"]) == by_value(case["output"])
    assert (got["stderr"].strip().splitlines() or [""])[-1] == case["stderr_last"].strip()


@pytest.mark.parametrize("case", cases("openapi_bodies"))
def test_body(case, monkeypatch):
    module = types.ModuleType("described")
    monkeypatch.setitem(sys.modules, "described", module)
    exec(case["program"], module.__dict__)
    document = openapi_document("described:run")
    body = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**body, "components": document["components"]}
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for accepted in case["accept"]:
        assert [error.message for error in validator.iter_errors(accepted)] == []
    for refused in case["reject"]:
        assert not validator.is_valid(refused), refused
