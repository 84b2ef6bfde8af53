package hub_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/platformapi/platformapitest"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// TestMain is a preparation when a builder has started it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "prepare" {
		if err := builder.Prepare(context.Background(), os.Args[2], os.Stdout); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if address, token, ok := strings.Cut(os.Getenv(viewersVariable), " "); ok {
		if err := beViewers(address, token); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var confined = sync.OnceValue(func() error {
	m := sandbox.Detect(sandbox.Options{})
	defer m.Close()
	return m.Require()
})

// programs are services in Go, by the word that they say.
var programs sync.Map

// program builds the greeter that says a word.
func program(t testing.TB, word string) []byte {
	t.Helper()
	if built, ok := programs.Load(word); ok {
		return built.([]byte)
	}
	path := filepath.Join(t.TempDir(), "service")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "-ldflags", "-s -w -X main.word="+word, "./testdata/greeter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build = %v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	programs.Store(word, content)
	return content
}

func archiveOf(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// greeter is an archive with the service that says a word.
func greeter(t testing.TB, word string) []byte {
	return archiveOf(t, map[string][]byte{"service": program(t, word)})
}

type reporter struct{ testing.TB }

func (r reporter) Say(format string, args ...any)  { r.Logf(format, args...) }
func (r reporter) Warn(format string, args ...any) { r.Logf("warning: "+format, args...) }

// A platform runs in this process.
type platform struct {
	testing.TB
	url, dir string
	owner    string // its token
	stop     func()
}

// databaseVariable names the database for commands.
const databaseVariable = "QHUBCTL_SERVER_DATABASE"

// databaseOf is the file with the state of a data folder.
func databaseOf(dir string) string { return filepath.Join(dir, server.DatabaseName) }

// asked is the database that stands for the file of a data folder; nil for the file.
func asked(t testing.TB, dir string) *server.Database {
	t.Helper()
	url, err := postgrestest.Asked(t.Context(), databaseOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	if url == "" {
		return nil
	}
	at, err := sqlite.ParseConnectionString(url)
	if err != nil {
		t.Fatal(err)
	}
	return &server.Database{At: at}
}

// askDatabase is the same for programs that the test starts.
func askDatabase(t testing.TB, dir string) {
	t.Helper()
	url, err := postgrestest.Asked(t.Context(), databaseOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	if url == "" {
		return
	}
	path := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(path, []byte(url), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(databaseVariable, "@"+path)
}

// ofFile skips a test of what only a state in a file has.
func ofFile(t testing.TB) {
	t.Helper()
	if os.Getenv(postgrestest.Variable) != "" {
		t.Skip("this test is of a state in a file")
	}
}

// concurrency is how many executions of a platform run at once.
const concurrency = 8

func start(t testing.TB, dir string) *platform {
	t.Helper()
	return startWith(t, dir, func(*hub.RunOptions) {})
}

// startWith starts a platform with further options.
func startWith(t testing.TB, dir string, further func(*hub.RunOptions)) *platform {
	t.Helper()
	if err := confined(); err != nil {
		t.Skipf("this machine cannot confine builds: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	database := asked(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan hub.Started, 1), make(chan error, 1)
	go func() {
		options := hub.RunOptions{
			Dir: dir, Prepare: []string{self, "prepare"},
			Server: server.Options{
				Host: "127.0.0.1", Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Reporter: reporter{t}, Concurrency: concurrency,
				Sandbox: server.SandboxOptions{Required: true}, Database: database,
			},
			Started: func(s hub.Started) error { started <- s; return nil },
		}
		further(&options)
		ended <- hub.Run(ctx, options)
	}()
	p := &platform{TB: t, dir: dir}
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(p.stop)
	select {
	case s := <-started:
		p.url = s.URL
		token, err := os.ReadFile(s.OwnerToken)
		if err != nil {
			t.Fatal(err)
		}
		p.owner = strings.TrimSpace(string(token))
	case err := <-ended:
		ended <- err
		t.Fatalf("Run = %v", err)
	}
	return p
}

// described is the description with which the answers of all tests are compared.
var described = sync.OnceValues(func() (*platformapitest.Description, error) { return platformapitest.Describe(hub.Description()) })

// A document is JSON that was answered.
type document map[string]any

func (d document) text(names ...string) string {
	var at any = map[string]any(d)
	for _, name := range names {
		switch known := at.(type) {
		case map[string]any:
			at = known[name]
		case []any:
			at = known[0].(map[string]any)[name]
		}
	}
	text, _ := at.(string)
	return text
}

// send sends a request and returns status and body.
func (p *platform) send(token, method, path, contentType string, body []byte) (int, []byte) {
	p.Helper()
	if !strings.HasPrefix(path, "http") {
		path = p.url + path
	}
	r, err := http.NewRequestWithContext(p.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	switch {
	case strings.HasPrefix(token, "Bearer "):
		r.Header.Set("Authorization", token)
	case token != "":
		r.Header.Set("X-Auth-Token", token)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatalf("%s %s = %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatalf("%s %s: %v", method, path, err)
	}
	d, err := described()
	if err != nil {
		p.Fatal(err)
	}
	d.Compare(p, method, r.URL.Path, response.StatusCode, response.Header, answer)
	return response.StatusCode, answer
}

// call sends a document, and wants a status.
func (p *platform) call(token, method, path string, in any, want int) document {
	p.Helper()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			p.Fatal(err)
		}
	}
	status, answer := p.send(token, method, path, "application/json", body)
	if status != want {
		p.Fatalf("%s %s = %d, want %d: %s", method, path, status, want, answer)
	}
	var list []any
	if json.Unmarshal(answer, &list) == nil {
		return document{"list": list}
	}
	d := document{}
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &d); err != nil {
			return document{"value": string(answer)}
		}
	}
	return d
}

// A service that was deployed.
type deployed struct{ id, version, endpoint, revision string }

// path is the endpoint without the address of the server.
func (d deployed) path() string {
	_, path, _ := strings.Cut(d.endpoint, "/gateway/")
	return "/gateway/" + path
}

// deploy deploys an archive and waits for its build.
func (p *platform) deploy(name, version string, content []byte, want string) deployed {
	p.Helper()
	status, answer := p.send(p.owner, http.MethodPost, "/qc-catalog/deployments?name="+name+"&version="+version, "application/zip", content)
	d := document{}
	if err := json.Unmarshal(answer, &d); err != nil || status != http.StatusCreated {
		p.Fatalf("POST /deployments = %d %s", status, answer)
	}
	s := deployed{d.text("serviceId"), d.text("serviceDefinitionId"), d.text("gatewayEndpoint"), d.text("revision", "id")}
	p.built(s, want)
	return s
}

// built waits until a build has ended with a status.
func (p *platform) built(s deployed, want string) document {
	p.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		d := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+s.id+"/revisions/"+s.revision, nil, http.StatusOK)
		if d.text("status") != "WORKING" {
			if d.text("status") != want {
				p.Fatalf("the build has ended %v, want %s", d, want)
			}
			return d
		}
		if time.Now().After(deadline) {
			p.Fatalf("the build does not end: %v", d)
		}
		// The stream of the log ends with the build.
		r, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.url+"/qc-catalog/services/"+s.id+"/revisions/"+s.revision+"/build-logs", http.NoBody)
		if err != nil {
			p.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", p.owner)
		r.Header.Set("Accept", "text/event-stream")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			p.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil {
			p.Fatal(err)
		}
	}
}

// run runs an execution by a path of the gateway and returns its result.
func (p *platform) run(token, endpoint string, in any) document {
	p.Helper()
	e := p.call(token, http.MethodPost, endpoint, in, http.StatusCreated)
	return p.result(token, endpoint, e.text("id"))
}

func (p *platform) result(token, endpoint, id string) document {
	p.Helper()
	e := p.call(token, http.MethodGet, endpoint+"/"+id+"?wait=60s", nil, http.StatusOK)
	if e.text("status") != "SUCCEEDED" {
		p.Fatalf("the execution has ended %v: %v", e, p.call(token, http.MethodGet, endpoint+"/"+id+"/result", nil, http.StatusOK))
	}
	return p.call(token, http.MethodGet, endpoint+"/"+id+"/result", nil, http.StatusOK)
}

// application makes one that is subscribed to services, and returns a bearer token.
func (p *platform) application(token, name string, services ...string) (bearer string) {
	p.Helper()
	app := p.call(token, http.MethodPost, "/qc-catalog/applications", document{"name": name}, http.StatusCreated).text("id")
	for _, id := range services {
		p.call(token, http.MethodPost, "/qc-catalog/subscriptions", document{"serviceId": id, "applicationId": app}, http.StatusCreated)
	}
	keys := p.call(token, http.MethodGet, "/qc-catalog/applications/"+app+"/access-keys", nil, http.StatusOK)
	r, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.url+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(keys.text("list", "accessKeyId"), keys.text("list", "secretAccessKey"))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&issued); err != nil || issued.AccessToken == "" {
		p.Fatalf("POST /token = %d, %v", response.StatusCode, err)
	}
	return "Bearer " + issued.AccessToken
}

// multipartOf is a body with one file, and its type.
func multipartOf(t testing.TB, content []byte) (string, []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "source.zip")
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
