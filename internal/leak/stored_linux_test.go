package leak_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// storedService leaks each of its secrets in several ways.
const storedService = `import base64, os, sys, subprocess

def leak(given, ending):
    values = {name: secret.unwrap() for name, secret in given.items() if secret is not None}
    values["provider"] = os.environ["QISKIT_IBM_TOKEN"]
    for name, value in values.items():
        print("printed", name, value)
        print("error", name, value, file=sys.stderr)
        os.write(1, ("written " + name + " " + base64.b64encode(value.encode()).decode() + "\n").encode())
        subprocess.run(["cat"], input="child " + name + " " + value + "\n", text=True)
        with open(os.path.join(os.environ["OUTPUT_DIRECTORY"], name + ".md"), "w") as file:
            file.write("file " + name + " " + value)
    print("got", len(values), "secrets")
    if ending == "raises":
        raise ValueError(" ".join(values.values()))
    return {"values": values, "list": list(values.values()), "text": " ".join(values.values())}
`

// A vaultPlatform is a `qhubctl server` with a user that is logged in.
type vaultPlatform struct {
	*server
	workspace workspace
	token     string
}

// neverClear is the trace of a stored secret.
const neverClear trace = "sealed on disk, masked elsewhere"

// storedChannels are the ways of stored secrets through a platform.
var storedChannels = []way{
	{"stored_service", "of a service, imported, and rotated", returns, neverClear, true},
	{"stored_account", "of the account, bound to a service", returns, neverClear, true},
	{"stored_replaced", "replaced by a new version", returns, neverClear, true},
	{"stored_deleted", "deleted", returns, neverClear, true},
	{"stored_referenced", "in another store, by a reference", returns, neverClear, true},
	{"stored_rotated", "fetched by a hook", returns, neverClear, true},
	{"stored_environment", "in the runtime configuration of a service", returns, neverClear, true},
	{"stored_provider", "a token for a provider, in the environment", returns, neverClear, true},
}

// storedCanaries are those of secrets that are stored in three places, replaced, and
// deleted.
func storedCanaries(source *leak.Generator) map[string][]leak.Canary {
	canaries := map[string][]leak.Canary{}
	for _, w := range storedChannels {
		canaries[strings.TrimPrefix(w.name, "stored_")] = source.Canaries(w.name)
	}
	return canaries
}

// TestStoredSecrets stores secrets of all shapes on a platform, has a service leak them,
// and searches answers, logs, results, the audit log, a backup, and all files.
func TestStoredSecrets(t *testing.T) {
	t.Parallel()
	canaries := storedCanaries(newSource(t))
	found := newFindings(slices.Concat(slices.Collect(maps.Values(canaries))...))
	leakStored(t, program(t), canaries, found)
	found.report(t)
	t.Logf("%d canaries of each place, %d MB searched", len(canaries["service"]), found.bytes>>20)
}

// leakStored stores canaries on a platform, and searches all that it leaves.
func leakStored(t *testing.T, program string, canaries map[string][]leak.Canary, found *findings, env ...string) {
	t.Helper()
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	if err := machine.Require(); err != nil {
		t.Skipf("this machine cannot confine builds: %v", err)
	}
	p := &vaultPlatform{workspace: workspace{dir: filepath.Join(t.TempDir(), "data"), program: program}}
	for _, name := range []string{"HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"} {
		p.workspace.env = append(p.workspace.env, name+"="+t.TempDir())
	}
	p.workspace.env = append(p.workspace.env, "PATH="+os.Getenv("PATH"), "LANG=C.UTF-8", "PIP_FIND_LINKS="+os.Getenv("PIP_FIND_LINKS"))
	p.workspace.env = append(p.workspace.env, env...)
	sources := writeSources(t, canaries)
	p.server = serve(t, p.workspace.command(t, append([]string{"server", "--data", p.workspace.dir, "--listen", "127.0.0.1:0", "--verbose"}, sources...)...), found)
	tokenFile := filepath.Join(p.workspace.dir, "owner-token")
	p.token = strings.TrimSpace(read(t, tokenFile))
	p.workspace.qhubctl(t, "login", p.url, "--token", "@"+tokenFile)
	given := slices.Concat(canaries["service"], canaries["account"], canaries["referenced"], canaries["rotated"], canaries["environment"])
	dir := writeStoredService(t, given)
	said := strings.Split(strings.TrimSpace(p.workspace.qhubctl(t, "--quiet", "up", dir)), "\n")
	endpoint := strings.TrimSpace(said[len(said)-1])

	p.store(canaries)
	provider := canaries["provider"]
	for i, ending := range []string{"returns", "raises"} {
		p.provide(provider[i%len(provider)])
		p.run(endpoint, ending, len(given)+1)
	}
	for _, c := range provider {
		p.provide(c)
	}
	for _, args := range [][]string{
		{"list"}, {"list", "--output", "json"}, {"check", "--service", "vaulted"}, {"show", parameter(canaries["service"][0]), "--service", "vaulted"},
		{"history", parameter(canaries["service"][0]), "--service", "vaulted"}, {"show", parameter(canaries["referenced"][0]), "--service", "vaulted"},
		{"show", parameter(canaries["rotated"][0]), "--service", "vaulted"}, {"history", parameter(canaries["rotated"][0]), "--service", "vaulted"},
	} {
		found.search("qhubctl secrets "+args[0], []byte(p.workspace.qhubctl(t, append([]string{"secrets"}, args...)...)))
	}
	for _, args := range [][]string{{"export"}, {"export", "--format", "cef"}, {"list", "--limit", "1000"}, {"verify"}} {
		found.search("qhubctl audit "+args[0], []byte(p.workspace.qhubctl(t, append([]string{"audit"}, args...)...)))
	}
	found.search("qhubctl describe", []byte(p.workspace.qhubctl(t, "describe", "--service", "vaulted")))
	backup := filepath.Join(t.TempDir(), "backup.tar")
	p.workspace.qhubctl(t, "server", "backup", backup, "--data", p.workspace.dir)
	found.search("a backup", []byte(read(t, backup)))
	p.refused(canaries["service"][0])
	for _, page := range []string{"/openapi.json", "/qc-catalog/secrets", "/qc-catalog/secrets-check"} {
		p.ask(http.MethodGet, p.url+page, nil, http.StatusOK)
	}
	p.ask(http.MethodGet, endpoint+"/openapi.json", nil, http.StatusOK)
	p.stop()
	searchDirs(t, found, "after the end", &p.workspace, false)
	restored := p.workspace
	restored.dir = filepath.Join(t.TempDir(), "restored")
	restored.qhubctl(t, "server", "restore", backup, "--data", restored.dir, "--master-key", "@"+filepath.Join(p.workspace.dir, "master.key"))
	searchDirs(t, found, "after a restore", &restored, false)
}

// writeStoredService writes the service with a required parameter for each canary.
func writeStoredService(t *testing.T, canaries []leak.Canary) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "service")
	var program strings.Builder
	program.WriteString("from qhub.commons.secret import SecretValue\n\nfrom src import ways\n\n\ndef run(\n    ending: str,\n")
	for _, c := range canaries {
		fmt.Fprintf(&program, "    %s: SecretValue,\n", parameter(c))
	}
	program.WriteString(") -> dict:\n    given = dict(locals())\n    return ways.leak(given, given.pop(\"ending\"))\n")
	write(t, filepath.Join(dir, "src", "__init__.py"), "")
	write(t, filepath.Join(dir, "src", "program.py"), program.String())
	write(t, filepath.Join(dir, "src", "ways.py"), storedService)
	write(t, filepath.Join(dir, "pyproject.toml"), "[project]\nname = \"vaulted\"\nversion = \"1.0.0\"\n")
	return dir
}

// ask calls the platform, and searches the answer.
func (p *vaultPlatform) ask(method, address string, body []byte, want int) []byte {
	p.t.Helper()
	status, text := askPlatform(p.t, p.client, p.token, method, address, body)
	if status != want {
		p.t.Fatalf("%s %.100s = %d %.300s, want %d", method, address, status, text, want)
	}
	p.found.search("the answer to "+method, text)
	p.found.searchJSON("the answer to "+method, text)
	return text
}

// store stores the secrets: those of a service in one import, those of the account one by
// one, and those that are replaced or deleted at once.
func (p *vaultPlatform) store(canaries map[string][]leak.Canary) {
	p.t.Helper()
	var s struct{ ID string }
	var services []struct{ ID string }
	if err := json.Unmarshal(p.ask(http.MethodGet, p.url+"/qc-catalog/services", nil, http.StatusOK), &services); err != nil || len(services) != 1 {
		p.t.Fatalf("the services are %v, %v; want one", services, err)
	}
	s = services[0]
	const secrets = "/qc-catalog/secrets"
	set := func(name, query, value string) {
		p.t.Helper()
		body, err := json.Marshal(map[string]string{"value": value})
		if err != nil {
			p.t.Fatal(err)
		}
		p.ask(http.MethodPut, p.url+secrets+"/"+name+query, body, http.StatusOK)
	}
	all := map[string]string{}
	for i, c := range canaries["service"] {
		set(parameter(c), "?serviceId="+s.ID, canaries["replaced"][i].Value)
		all[parameter(c)] = c.Value
	}
	body, err := json.Marshal(map[string]any{"secrets": all})
	if err != nil {
		p.t.Fatal(err)
	}
	p.ask(http.MethodPost, p.url+secrets+"-import?serviceId="+s.ID, body, http.StatusNoContent)
	for _, c := range canaries["account"] {
		name := parameter(c)
		set(name, "", c.Value)
		p.ask(http.MethodPut, p.url+secrets+"/"+name+"/bindings/"+s.ID+"/"+name, nil, http.StatusNoContent)
	}
	p.fetched(secrets, "?serviceId="+s.ID, canaries)
	variables := map[string]string{}
	for _, c := range canaries["environment"] {
		variables["SECRET_"+strings.ToUpper(parameter(c))] = c.Value
	}
	if body, err = json.Marshal(map[string]any{"environment": variables, "applyProviderTokens": true}); err != nil {
		p.t.Fatal(err)
	}
	p.ask(http.MethodPut, p.url+"/qc-catalog/managed-services/"+s.ID+"/runtime-configuration", body, http.StatusNoContent)
	for _, c := range canaries["deleted"] {
		set(parameter(c), "", c.Value)
		p.ask(http.MethodDelete, p.url+secrets+"/"+parameter(c), nil, http.StatusNoContent)
	}
}

// provide makes a canary the token of the account for a provider.
func (p *vaultPlatform) provide(c leak.Canary) {
	p.t.Helper()
	body, err := json.Marshal(map[string]string{"type": "IBM", "value": c.Value})
	if err != nil {
		p.t.Fatal(err)
	}
	p.ask(http.MethodPut, p.url+"/qc-catalog/my/provider-tokens/IBM", body, http.StatusNoContent)
	p.ask(http.MethodGet, p.url+"/qc-catalog/my/provider-tokens/IBM", nil, http.StatusOK)
}

// run runs the service, and reads all that it leaves.
func (p *vaultPlatform) run(endpoint, ending string, secrets int) {
	p.t.Helper()
	var e struct{ ID string }
	if err := json.Unmarshal(p.ask(http.MethodPost, endpoint, []byte(`{"ending":"`+ending+`"}`), http.StatusCreated), &e); err != nil {
		p.t.Fatal(err)
	}
	p.ask(http.MethodGet, endpoint+"/"+e.ID+"?wait=60s", nil, http.StatusOK)
	result := p.ask(http.MethodGet, endpoint+"/"+e.ID+"/result", nil, http.StatusOK)
	log := string(p.ask(http.MethodGet, endpoint+"/"+e.ID+"/log", nil, http.StatusOK))
	if !strings.Contains(log, fmt.Sprintf("got %d secrets", secrets)) || !strings.Contains(log, "[redacted]") {
		p.t.Fatalf("the service that %s has not got all secrets: %.3000s\n%.1000s", ending, log, result)
	}
	var document struct {
		Links map[string]struct{ Href string } `json:"_links"`
	}
	if err := json.Unmarshal(result, &document); err != nil {
		p.t.Fatal(err)
	}
	base, _, _ := strings.Cut(endpoint, "/gateway/")
	for name, link := range document.Links {
		if name != "status" && name != "self" {
			address := link.Href
			if strings.HasPrefix(address, "/") {
				address = base + address
			}
			p.ask(http.MethodGet, address, nil, http.StatusOK)
		}
	}
}

// refused sends a secret in places where it is refused.
func (p *vaultPlatform) refused(c leak.Canary) {
	p.t.Helper()
	quoted, err := json.Marshal(c.Value)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, body := range []string{
		`{"value":[%s]}`, `{"value":{"a":%s}}`, `{"value":%s`, `{"value":%s,"keep":%[1]s}`, `{"value":%s,"expiresAt":%[1]s}`, `{"value":%s,"override":%[1]s}`, `%s`, `{"reference":%s}`, `{"value":%s,"reference":%[1]s}`,
	} {
		p.ask(http.MethodPut, p.url+"/qc-catalog/secrets/refused", fmt.Appendf(nil, body, quoted), http.StatusBadRequest)
	}
	for _, body := range []string{`{"secrets":{"a":[%s]}}`, `{"secrets":%s}`, `{"secrets":{"a":%s},"keep":%[1]s}`, `{"secrets":{"a":%s}`, `{"secrets":{"a/b":%s}}`} {
		p.ask(http.MethodPost, p.url+"/qc-catalog/secrets-import", fmt.Appendf(nil, body, quoted), http.StatusBadRequest)
	}
}
