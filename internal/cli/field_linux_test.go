//go:build linux

package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fieldVariable asks for TestField: make field sets it.
const fieldVariable = "QHUBCTL_TEST_FIELD"

// field are services that use popular packages, each as its users do.
var field = map[string]struct{ requirements, program string }{
	"numpy": {"numpy", `
import numpy as np
def run(n: int) -> dict:
    return {"sum": np.arange(n).sum(), "solved": np.linalg.solve(np.eye(3) * 2, np.ones(3))}`},
	"pandas": {"pandas", `
import pandas as pd
def run(n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"a": range(n), "b": list("xy" * n)[:n]})
    return frame.groupby("b", as_index=False).sum()`},
	"scipy": {"scipy", `
from scipy import optimize, stats
def run(n: int) -> dict:
    return {"root": round(optimize.brentq(lambda x: x * x - n, 0, n), 6), "p": round(stats.norm.cdf(1), 6)}`},
	"scikit-learn": {"scikit-learn", `
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
data = load_iris()
def run(n: int) -> dict:
    model = RandomForestClassifier(n_estimators=n, random_state=1, n_jobs=2).fit(data.data, data.target)
    return {"score": round(model.score(data.data, data.target), 6)}`},
	"matplotlib": {"matplotlib", `
import os
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
def run(n: int) -> dict:
    figure, axes = plt.subplots()
    axes.plot(range(n))
    path = os.path.join(os.environ["OUTPUT_DIRECTORY"], "figure.png")
    figure.savefig(path)
    return {"large": os.path.getsize(path) > 1000}`},
	"pillow": {"pillow", `
import io
from PIL import Image
def run(n: int) -> dict:
    out = io.BytesIO()
    Image.new("RGB", (n, n), "red").save(out, "PNG")
    return {"size": Image.open(io.BytesIO(out.getvalue())).size}`},
	"requests": {"requests", `
import http.server, threading
import requests
session = requests.Session()
def run(n: int) -> dict:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    status = session.get(f"http://127.0.0.1:{server.server_port}/nothing").status_code
    server.shutdown()
    return {"status": status}`},
	"httpx": {"httpx", `
import httpx
client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"path": request.url.path})))
def run(n: int) -> dict:
    return client.get(f"https://example.org/{n}").json()`},
	"aiohttp": {"aiohttp", `
import aiohttp
from aiohttp import web
async def run(n: int) -> dict:
    async def handle(request):
        return web.json_response({"n": n})
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        answer = await response.json()
    await runner.cleanup()
    return answer`},
	"boto3": {"boto3", `
import boto3
from botocore.stub import Stubber
def run(n: int) -> dict:
    client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        stubber.add_response("list_buckets", {"Buckets": [{"Name": "a"}] * n})
        return {"buckets": len(client.list_buckets()["Buckets"])}`},
	"sqlalchemy": {"sqlalchemy", `
import sqlalchemy as sa
engine = sa.create_engine("sqlite://")
def run(n: int) -> dict:
    with engine.begin() as connection:
        connection.execute(sa.text("create table t (a integer)"))
        connection.execute(sa.text("insert into t values (:a)"), [{"a": i} for i in range(n)])
        return {"sum": connection.execute(sa.text("select sum(a) from t")).scalar()}`},
	"redis": {"redis", `
import redis
client = redis.Redis(host="127.0.0.1", port=1)
def run(n: int) -> dict:
    try:
        client.ping()
    except redis.ConnectionError:
        return {"refused": True}`},
	"loguru": {"loguru", `
from loguru import logger
def run(n: int) -> dict:
    logger.info("began with {}", n)
    return {"n": n}`},
	"rich": {"rich", `
from rich.console import Console
from rich.table import Table
def run(n: int) -> dict:
    table = Table("a")
    for i in range(n):
        table.add_row(str(i))
    console = Console(record=True)
    console.print(table)
    return {"lines": len(console.export_text().splitlines())}`},
	"jinja2": {"jinja2", `
import jinja2
template = jinja2.Template("{% for i in range(n) %}{{ i }},{% endfor %}")
def run(n: int) -> str:
    return template.render(n=n)`},
	"pyyaml": {"pyyaml", `
import yaml
def run(n: int) -> dict:
    return yaml.safe_load("a: [1, 2]\nb: " + str(n))`},
	"cryptography": {"cryptography", `
from cryptography.fernet import Fernet
def run(n: int) -> dict:
    box = Fernet(Fernet.generate_key())
    return {"open": box.decrypt(box.encrypt(b"x" * n)).decode()}`},
	"networkx": {"networkx", `
import networkx as nx
def run(n: int) -> dict:
    return {"path": nx.shortest_path(nx.cycle_graph(n), 0, 3)}`},
	"sympy": {"sympy", `
import sympy
x = sympy.symbols("x")
def run(n: int) -> dict:
    return {"integral": str(sympy.integrate(x**n, x))}`},
	"qiskit": {"qiskit", `
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector
def run(n: int) -> dict:
    circuit = QuantumCircuit(n)
    circuit.h(0)
    for i in range(1, n):
        circuit.cx(0, i)
    return {key: round(value, 6) for key, value in Statevector(circuit).probabilities_dict().items()}`},
}

// TestField runs services with popular packages, by run and served warm and cold:
// all must return the same.
func TestField(t *testing.T) {
	if os.Getenv(fieldVariable) == "" {
		t.Skip("make field does it: it installs twenty packages")
	}
	names := make([]string, 0, len(field))
	for name := range field {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir := service(t, field[name].program)
			put(t, filepath.Join(dir, "requirements.txt"), field[name].requirements+"\n")
			want := fieldResult(t, "run", nil, "run", dir, "-d", `{"n": 7}`)
			for _, start := range []string{"warm", "cold"} {
				put(t, filepath.Join(dir, "pyproject.toml"), "[tool.qhubctl]\nstart = \""+start+"\"\n")
				// Else the environment is made again for another pyproject.toml.
				s := serveAny(t, dir, "--metrics", "127.0.0.1:0", "--python", filepath.Join(dir, ".venv", "bin", "python"))
				until(t, `service_start_info{start="`+start+`"`, s.metricsText)
				for range 2 {
					if got := fieldResult(t, start, s, "executions", "start", "-d", `{"n": 7}`, "--wait"); !reflect.DeepEqual(got, want) {
						t.Errorf("served %s it returns %v, by run %v", start, got, want)
					}
				}
				if text := s.metricsText(); !strings.Contains(text, `qhubctl_execution_starts_total{start="`+start+`"`) {
					t.Errorf("it did not start %s:\n%s", start, text)
				}
				s.stop()
			}
		})
	}
}

// fieldResult is what the service returns, by a command of the server or by run.
func fieldResult(t *testing.T, way string, s *served, arguments ...string) (result any) {
	t.Helper()
	command := func(arguments ...string) (string, string, int) { return call(t, arguments...) }
	if s != nil {
		command = s.qhubctl
	}
	out, errs, code := command(arguments...)
	if code != 0 {
		t.Fatalf("%s: exit code %d: %s", way, code, errs)
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%s: %v in %s", way, err, out)
	}
	return result
}
