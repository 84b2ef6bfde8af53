package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// A commander runs the program as its users do.
type commander struct {
	*platform
	program, work, home string
	values              []string // that nothing may print
}

// run runs a command with a standard input.
func (c *commander) run(want int, input string, args ...string) (stdout, stderr string) {
	c.Helper()
	command := exec.CommandContext(c.Context(), c.program, args...)
	command.Dir, command.Stdin = c.work, strings.NewReader(input)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "XDG_CONFIG_HOME=" + c.home, "XDG_CACHE_HOME=" + c.home, databaseVariable + "=" + os.Getenv(databaseVariable)}
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	_ = command.Run()
	if code := command.ProcessState.ExitCode(); code != want {
		c.Fatalf("qhubctl %s = %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), said.String())
	}
	for _, value := range c.values {
		if strings.Contains(out.String()+said.String(), value) {
			c.Errorf("qhubctl %s prints a secret: %s%s", args[0], out.String(), said.String())
		}
	}
	return out.String(), said.String()
}

// TestSecretCommands stores, rotates, imports and checks secrets by commands.
func TestSecretCommands(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	p, kill := startProcess(t, program, filepath.Join(t.TempDir(), "data"))
	c := &commander{platform: p, program: program, work: t.TempDir(), home: t.TempDir()}
	c.values = []string{
		"the-value-of-standard-input", "the-value-of-a-file", "the-rotated-value", "a-literal-value", "imported-password-value", "imported-extra-value",
	}
	s := p.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	v := &vaulted{platform: p, deployed: s, values: c.values}
	c.run(0, "", "login", p.url, "--token", "@"+filepath.Join(p.dir, hubToken))
	for name, content := range map[string]string{
		"token.txt": "\xef\xbb\xbfthe-value-of-a-file\r\n",
		"prod.env":  "SECRET_DB_PASSWORD=imported-password-value\nMODE=fast\nexport SECRET_EXTRA=\"imported-extra-value\"\nSECRET_UNKNOWN=a-literal-value\n",
	} {
		if err := os.WriteFile(filepath.Join(c.work, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"set", "api_token", "a-literal-value"}, {"set", "api_token=a-literal-value"}, {"rotate", "api_token", "a-literal-value"}} {
		if _, said := c.run(2, "", append([]string{"secrets"}, args...)...); !strings.Contains(said, "standard input") {
			t.Errorf("secrets %s says %q, want the way out", args[0], said)
		}
	}
	c.run(2, "", "secrets", "set", "api_token", "--service", "teller")
	c.run(2, "x\x00y", "secrets", "set", "api_token", "--service", "teller")
	if out, _ := c.run(1, "", "secrets", "check", "--service", "teller"); strings.Count(out, "missing") != 2 || !strings.Contains(out, "optional") {
		t.Errorf("secrets check prints %s, want two missing", out)
	}
	c.run(2, "x", "secrets", "rotate", "api_token", "--service", "teller")
	c.run(0, "the-value-of-standard-input\n", "secrets", "set", "api_token", "--service", "teller")
	c.run(2, "", "secrets", "import", "prod.env", "--service", "teller") // there is no terminal to ask on
	_, said := c.run(0, "", "secrets", "import", "prod.env", "--service", "teller", "--yes")
	if !strings.Contains(said, "db_password, extra") || !strings.Contains(said, "SECRET_UNKNOWN is left out") {
		t.Errorf("secrets import says %q, want the names", said)
	}
	c.run(0, "", "secrets", "check", "--service", "teller")
	c.wantSources(s)
	v.wants("after an import", p.owner, document{}, map[string]string{
		"api_token": "the-value-of-standard-input", "db_password": "imported-password-value", "extra": "imported-extra-value",
	})

	c.run(0, "the-rotated-value", "secrets", "rotate", "api_token", "--service", "teller", "--keep", "24h", "--expires", "48h")
	if out, _ := c.run(1, "", "secrets", "check", "--service", "teller"); !strings.Contains(out, "expiring") {
		t.Errorf("secrets check prints %s, want one that expires", out)
	}
	c.run(0, "", "secrets", "check", "--service", "teller", "--within", "1h")
	var history []document
	out, _ := c.run(0, "", "secrets", "history", "api_token", "--service", "teller", "--output", "json")
	if err := json.Unmarshal([]byte(out), &history); err != nil || len(history) != 2 || history[0].text("state") != "LIVE" || history[1].text("keptUntil") == "" {
		t.Errorf("secrets history prints %s, want two versions", out)
	}
	v.wants("after a rotation", p.owner, document{}, map[string]string{
		"api_token": "the-rotated-value", "db_password": "imported-password-value", "extra": "imported-extra-value",
	})
	c.run(0, "", "secrets", "rm", "api_token", "--service", "teller", "--version", "2")
	if out, _ := c.run(0, "", "secrets", "show", "api_token", "--service", "teller"); !strings.Contains(out, "Version      1\n") {
		t.Errorf("secrets show prints %s, want version 1", out)
	}
	c.run(0, "", "secrets", "rm", "extra", "--service", "teller")

	c.run(0, "", "secrets", "set", "shared", "--from-file", "token.txt")
	if out, _ := c.run(1, "", "secrets", "check"); !strings.Contains(out, "unused") {
		t.Errorf("secrets check prints %s, want the unbound secret", out)
	}
	c.run(0, "", "secrets", "bind", "shared", "--service", "teller", "--parameter", "extra")
	v.wants("with a secret of the account", p.owner, document{}, map[string]string{
		"api_token": "the-value-of-standard-input", "db_password": "imported-password-value", "extra": "the-value-of-a-file",
	})
	if out, _ := c.run(0, "", "secrets", "list"); strings.Count(out, "\n") != 4 || !strings.Contains(out, "service teller") || !strings.Contains(out, "account") {
		t.Errorf("secrets list prints %s, want three secrets", out)
	}
	c.run(0, "", "secrets", "override", "api_token", "--service", "teller", "--by", "none")
	p.call(p.owner, http.MethodPost, s.endpoint, document{"$secrets": document{"api_token": "a-literal-value"}}, http.StatusBadRequest)
	if out, _ := c.run(0, "", "__complete", "secrets", "show", "--service", "teller", ""); !strings.Contains(out, "api_token") || !strings.Contains(out, "db_password") {
		t.Errorf("the completion prints %s, want the names", out)
	}
	if out, _ := c.run(0, "", "__complete", "secrets", "show", "api_token", "--service", "te"); !strings.HasPrefix(out, "teller\n") {
		t.Errorf("the completion of --service prints %s, want teller", out)
	}
	c.inNeither()
	kill()
	c.noneHold(c.values...)
}

// wantSources looks for the places of secrets in a description, in the form, and in the
// OpenAPI document.
func (c *commander) wantSources(s deployed) {
	c.Helper()
	if out, _ := c.run(0, "", "describe", "--service", "teller"); !strings.Contains(strings.Join(strings.Fields(out), " "), "api_token secret yes SecretValue service, version 1") {
		c.Errorf("describe --service prints %s, want api_token of the service, version 1", out)
	}
	if out, _ := c.run(0, "", "doctor", "--service", "teller"); !strings.Contains(out, "from the service, version 1") {
		c.Errorf("doctor --service prints %s, want api_token of the service, version 1", out)
	}
	const want = "Stored for the service, version 1; requests may leave it out."
	document := fmt.Sprint(c.call(c.owner, http.MethodGet, s.path()+"/openapi.json", nil, http.StatusOK))
	if !strings.Contains(document, want) {
		c.Errorf("the OpenAPI document is %s, want %s", document, want)
	}
	status, page := c.page(s.path() + "/docs")
	if status != http.StatusOK || !strings.Contains(page, want) {
		c.Errorf("the form = %d %s, want %s", status, page, want)
	}
}

// page reads a page with the token of the owner.
func (c *commander) page(path string) (status int, text string) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		c.Fatal(err)
	}
	r.SetBasicAuth("owner", c.owner)
	r.Header.Set("Accept", "text/html")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// inNeither looks for values in the audit log and in a backup, and expects the names in
// the log.
func (c *commander) inNeither() {
	c.Helper()
	if os.Getenv(databaseVariable) != "" {
		return // backups are of files
	}
	log, _ := c.run(0, "", "audit", "export")
	for _, want := range []string{"setSecret", "rotateSecret", "importSecrets", "deleteSecret", "bindSecret", `"secret":"api_token"`, `"secrets":"db_password,extra"`} {
		if !strings.Contains(strings.ReplaceAll(log, " ", ""), want) && !strings.Contains(log, want) {
			c.Errorf("the audit log lacks %s: %s", want, log)
		}
	}
	c.run(0, "", "server", "backup", "backup.tar", "--data", c.dir)
	backup, err := os.ReadFile(filepath.Join(c.work, "backup.tar"))
	if err != nil {
		c.Fatal(err)
	}
	for _, value := range c.values {
		if bytes.Contains(backup, []byte(value)) {
			c.Error("the backup has a secret")
		}
	}
}
