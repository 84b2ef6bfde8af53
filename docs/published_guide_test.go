package docs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// publishedGuide is the guide that services out there were written by. It is
// not a part of this repository.
const publishedGuide = "../../shared/guide.md"

// TestPublishedGuide takes the programs of that guide unchanged. It runs each by
// qhubctl and, as the guide does, by Python itself in the environment that uv
// has made.
func TestPublishedGuide(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(publishedGuide); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the published guide is not beside this repository (%s)", publishedGuide)
	}
	api := newTokenAPI(t)
	shell := newShell(t)
	shell.addPath(needDir(t, testenv.UV))
	shell.must("qhubctl init user_code")
	shell.must("cd user_code\nuv venv\nsource .venv/bin/activate\nuv sync")
	shell.must("mkdir input/models\nprintf weights > input/models/demand.bin")

	one := "export SECRET_API_TOKEN=" + guideToken
	cases := map[string]struct{ input, secrets, want string }{
		"data api_token": {
			fmt.Sprintf(`{"endpoint": "%s/data"}`, api.URL), one,
			`{"status": "success", "data": {"temperature": 21}}`,
		},
		"data weather_api_key stock_api_key": {
			`{"fetch_weather": true, "fetch_stocks": true}`,
			"export SECRET_WEATHER_API_KEY=weather-token SECRET_STOCK_API_KEY=stock-token",
			`{"weather": {"status": "success"}, "stocks": {"status": "success"}}`,
		},
		"data api_token models": {
			fmt.Sprintf(`{"model_name": "demand.bin", "endpoint": %q}`, api.URL), one,
			`{"status": "success", "model": "demand.bin"}`,
		},
	}
	run := map[string]string{
		"by qhubctl":           "%s\nqhubctl run 2>/dev/null",
		"by Python":            "%s\npython -m src",
		"with .env, by Python": "printf '%%s' '%s' | sed 's/export //; s/ /\\n/g' > .env\nexport $(cat .env | xargs)\npython -m src\nrm .env",
		"with .env, by us":     "printf '%%s' '%s' | sed 's/export //; s/ /\\n/g' > .env\nqhubctl run 2>/dev/null\nrm .env",
	}
	ran := 0
	for _, program := range publishedPrograms(t) {
		c, ok := cases[parametersOf(program)]
		if !ok {
			continue
		}
		ran++
		shell.write("src/program.py", program)
		shell.write("input/data.json", c.input)
		for how, commands := range run {
			shell.must("unset ${!SECRET_@}")
			output := shell.must(fmt.Sprintf(commands, c.secrets))
			if !sameJSON(t, output, c.want) {
				t.Errorf("run(%s) %s: %s, want %s", parametersOf(program), how, output, c.want)
			}
		}
	}
	if ran != len(cases) {
		t.Errorf("found %d programs in the guide, want %d", ran, len(cases))
	}
	if api.refused() > 0 || len(api.calls()) != len(run) {
		t.Errorf("%d calls with the token, want %d; %d without", len(api.calls()), len(run), api.refused())
	}
}

// TestPublishedGuideOpenAPI: the fragment about OpenAPI has no imports, so it
// gets one; what the guide shows of the document must be in ours.
func TestPublishedGuideOpenAPI(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(publishedGuide); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the published guide is not beside this repository (%s)", publishedGuide)
	}
	shell := newShell(t)
	shell.addPath(needDir(t, testenv.UV))
	shell.must("qhubctl init user_code\ncd user_code")
	found := false
	for _, program := range publishedPrograms(t) {
		if parametersOf(program) != "api_token" {
			continue
		}
		found = true
		shell.write("src/program.py", "from qhub.commons.secret import SecretValue\n\n"+program)
		output := shell.must("qhubctl openapi --format json 2>/dev/null")
		if secret := secretSchema(t, output); secret["type"] != "string" {
			t.Errorf("the schema of api_token is %v, want a string", secret)
		}
	}
	if !found {
		t.Error("the guide has no such program")
	}
}

// secretSchema is the schema of api_token in an OpenAPI document.
func secretSchema(t *testing.T, document string) map[string]any {
	t.Helper()
	var at any
	if err := json.Unmarshal([]byte(document), &at); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"paths", "/", "post", "requestBody", "content", "application/json", "schema", "properties", "$secrets", "properties", "api_token",
	} {
		object, ok := at.(map[string]any)
		if !ok {
			t.Fatalf("the parent of %s is no object, want one", key)
		}
		at = object[key]
	}
	schema, _ := at.(map[string]any)
	return schema
}

func publishedPrograms(t *testing.T) []string {
	t.Helper()
	var programs []string
	for _, b := range readBlocks(t, filepath.FromSlash(publishedGuide)) {
		if b.language == "python" && strings.Contains(b.text, "def run(") {
			programs = append(programs, b.text)
		}
	}
	return programs
}

var (
	runPattern       = regexp.MustCompile(`(?s)def run\((.*?)\)`)
	parameterPattern = regexp.MustCompile(`(\w+):`)
)

// parametersOf are the names of the parameters of run.
func parametersOf(program string) string {
	var names []string
	if m := runPattern.FindStringSubmatch(program); m != nil {
		for _, name := range parameterPattern.FindAllStringSubmatch(m[1], -1) {
			names = append(names, name[1])
		}
	}
	return strings.Join(names, " ")
}

func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var one, other any
	if err := json.Unmarshal([]byte(got), &one); err != nil {
		t.Logf("not JSON: %v", err)
		return false
	}
	if err := json.Unmarshal([]byte(want), &other); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(one)
	b, _ := json.Marshal(other)
	return string(a) == string(b)
}
