//go:build linux

package forkserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// A library is a package that many services import.
type library struct {
	requirement string // for pip
	text        string // the head of a service that uses it
	use         string // an expression that an execution evaluates
}

var libraries = []library{
	{"numpy==2.2.6", "import numpy", "float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum())"},
	{"pandas==2.3.3", "import pandas", "str(pandas.DataFrame({'a': [1, 1], 'b': ['x', 'y']}).groupby('a').agg(list))"},
	{"scipy==1.15.3", "import scipy.linalg, scipy.optimize, scipy.stats", "float(scipy.optimize.brentq(lambda x: x - 1, 0, 3))"},
	{"scikit-learn==1.7.2", "import sklearn.ensemble", "float(sklearn.ensemble.RandomForestClassifier(8, n_jobs=2).fit([[0], [1]] * 50, [0, 1] * 50).predict([[1]])[0])"},
	{"matplotlib==3.10.7", "import io, matplotlib.pyplot", "matplotlib.pyplot.plot([1, 2]) and matplotlib.pyplot.savefig(io.BytesIO()) or 1"},
	{"polars==1.35.2", "import polars", "polars.DataFrame({'a': [1, 1], 'b': [2, 3]}).lazy().group_by('a').agg(polars.col('b').sum()).collect().to_dicts()"},
	{"pyarrow==22.0.0", "import pyarrow, pyarrow.compute", "pyarrow.compute.sum(pyarrow.table({'a': list(range(100000))})['a']).as_py()"},
	{"pillow==12.0.0", "import PIL.Image", "PIL.Image.new('RGB', (64, 64)).resize((32, 32)).size[0]"},
	{"requests==2.32.5", "import requests", "len(requests.Session().headers)"},
	{"httpx==0.28.1", "import httpx", "httpx.Client().timeout.connect"},
	{"aiohttp==3.13.2", "import aiohttp", "aiohttp.ClientTimeout().total"},
	{"boto3==1.41.5", "import boto3", "boto3.client('s3', region_name='eu-central-1', aws_access_key_id='none', aws_secret_access_key='none').meta.region_name"},
	{"openai==2.8.1", "import openai", "str(openai.OpenAI(api_key='none').base_url)"},
	{"grpcio==1.76.0", "import grpc", "str(grpc.StatusCode.OK)"},
	{"sqlalchemy==2.0.44", "import sqlalchemy", "sqlalchemy.create_engine('sqlite://').connect().execute(sqlalchemy.text('select 1')).scalar()"},
	{"psycopg2-binary==2.9.11", "import psycopg2", "psycopg2.apilevel"},
	{"redis==7.1.0", "import redis", "str(redis.Redis())"},
	{"pymongo==4.15.4", "import pymongo, bson", "len(str(bson.ObjectId()))"},
	{"pydantic==2.12.4", "import pydantic", "pydantic.TypeAdapter(int).validate_python('7')"},
	{"fastapi==0.122.0", "import fastapi", "len(fastapi.FastAPI().openapi_version)"},
	{"flask==3.1.2", "import flask", "flask.Flask('x').name"},
	{"jinja2==3.1.6", "import jinja2", "jinja2.Template('{{ a }}').render(a=1)"},
	{"lxml==6.0.2", "import lxml.etree", "lxml.etree.fromstring('<a/>').tag"},
	{"pyyaml==6.0.3", "import yaml", "yaml.safe_load('a: 1')"},
	{"cryptography==46.0.3", "import cryptography.fernet", "len(cryptography.fernet.Fernet.generate_key())"},
	{"loguru==0.7.3", "import loguru", "loguru.logger.info('said')"},
	{"tqdm==4.67.1", "import tqdm", "sum(tqdm.tqdm(range(3)))"},
}

var librariesEnvironment = sync.OnceValues(func() (string, error) {
	file, err := runnertest.SDKWheel()
	if err != nil {
		return "", err
	}
	install := []string{"--only-binary=:all:", file}
	for _, l := range libraries {
		install = append(install, l.requirement)
	}
	return testenv.Venv("libraries", install...)
})

//go:generate go test . -run ^TestOrdinaryLibraries$ -update-docs

// TestOrdinaryLibraries imports each library, and all of them in a sandbox, and
// documents how the services start.
func TestOrdinaryLibraries(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the documented table is that of a server with the full sandbox")
	}
	dir, err := librariesEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| Library | Import | Starts |\n|---|---|---|\n")
	all := library{use: "1"}
	for _, l := range libraries {
		o := written(t, l.program(), nil)
		o.Python.Interpreter = testenv.Program(dir, "python")
		fmt.Fprintf(&table, "| %s | `%s` | %s |\n", strings.Replace(l.requirement, "==", " ", 1), l.text, starts(t, l, o))
		all.text += l.text + "\n"
	}
	testenv.DocumentPart(t, filepath.Join("..", "..", "..", "docs", "warm.md"), "libraries", table.String())
	o := written(t, all.program(), confined())
	o.Python.Interpreter = testenv.Program(dir, "python")
	starts(t, all, o)
}

// program is a service that imports a library and uses it.
func (l library) program() string {
	return fmt.Sprintf("%s\ndef run(action: str) -> dict:\n    return {'used': %s}\n", l.text, l.use)
}

// starts returns how a service starts, and has executions use its imports.
func starts(t *testing.T, l library, o forkserver.Options) string {
	t.Helper()
	r := forkserver.NewRunner(o)
	defer func() { _ = r.Close() }()
	if err := r.Program().Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := r.Program().State()
	for range 2 {
		if got := do(t, r, "it"); got.outcome != (runner.Outcome{}) {
			t.Errorf("an execution of a service with %q ends %+v; want success: %s", l.text, got.outcome, got.stderr)
		}
	}
	switch {
	case state.Warm:
		return "warm"
	case strings.Contains(state.Reason, "forks cannot have copies"):
	default:
		t.Errorf("a service with %q starts cold (%s), want warm", l.text, state.Reason)
	}
	return "cold: " + state.Reason
}
