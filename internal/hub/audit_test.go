package hub_test

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestAuditOfAPlatform reads what a platform has recorded, kills it, rotates its master
// key, and changes its database: verify finds the change, and nothing before it.
func TestAuditOfAPlatform(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	p, kill := startProcess(t, program, filepath.Join(t.TempDir(), "data"))
	c := &commander{platform: p, program: program, work: t.TempDir(), home: t.TempDir(), values: []string{"the-stored-value", "the-value-of-a-request"}}
	s := p.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	c.run(0, "", "login", p.url, "--token", "@"+filepath.Join(p.dir, hubToken))
	c.run(0, "the-stored-value", "secrets", "set", "api_token", "--service", "teller")
	p.run(p.owner, p.url+s.path(), document{"$secrets": document{"db_password": "the-value-of-a-request"}})
	log, _ := c.run(0, "", "audit", "list", "--limit", "100")
	for _, want := range []string{"unlock", "login", "deploy", "setSecret"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %s: %s", want, log)
		}
	}
	out, _ := c.run(0, "", "audit", "list", "--action", "readSecrets", "--output", "json")
	var read []struct {
		Target  string
		Actor   struct{ Kind, ID string }
		Details map[string]string
	}
	if err := json.Unmarshal([]byte(out), &read); err != nil || len(read) != 1 || read[0].Target != "/executions/"+read[0].Actor.ID ||
		read[0].Details["secrets"] != "api_token: version 1 of the stored secret api_token of the service" {
		t.Errorf("the execution is recorded as %s, want it with the stored secret, and without that of its request", out)
	}
	exported := filepath.Join(c.work, "audit.jsonl")
	lines, _ := c.run(0, "", "audit", "export")
	if err := os.WriteFile(exported, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(0, "", "audit", "verify", "--data", p.dir) // while it is in use
	c.run(0, "", "keys", "rotate", "--data", p.dir)
	kill()
	c.run(0, "", "keys", "retire", "--data", p.dir)
	c.run(0, "", "audit", "verify", "--data", p.dir)
	p, kill = startProcess(t, program, p.dir)
	c.platform = p
	c.run(0, "", "login", p.url, "--token", "@"+filepath.Join(p.dir, hubToken))
	_, said := c.run(0, "", "audit", "verify")
	if !strings.Contains(said, "are unchanged") || !strings.Contains(said, "signed with the key") || strings.Contains(said, "no anchor is known") {
		t.Errorf("audit verify says %q, want a signed log with an anchor", said)
	}
	c.run(0, "", "audit", "verify", "--file", exported)
	kill()
	anchors, err := os.ReadFile(filepath.Join(p.dir, "audit-anchors"))
	if err != nil || !strings.Contains(string(anchors), ":") {
		t.Errorf("the file of anchors is %q, %v, want anchors", anchors, err)
	}

	if os.Getenv(databaseVariable) != "" {
		return // the edits are of a file
	}
	// One byte of a sealed value, far from its beginning, which a look at its key shows not.
	edit(t, p.dir, "UPDATE secret_versions SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)")
	if _, said := c.run(1, "", "audit", "verify", "--data", p.dir); !strings.Contains(said, "stored-secret-SERVICE") {
		t.Errorf("audit verify says %q, want the sealed value that was changed", said)
	}
	edit(t, p.dir, "DELETE FROM secret_versions")
	if _, said := c.run(1, "", "audit", "verify", "--data", p.dir); !strings.Contains(said, "sealed values were changed, added or removed") {
		t.Errorf("audit verify says %q, want the sealed value that was removed", said)
	}
	edit(t, p.dir, "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")
	if _, said := c.run(1, "", "audit", "verify", "--data", p.dir); !strings.Contains(said, "the audit log was changed") {
		t.Errorf("audit verify says %q, want the missing entry", said)
	}
}

// edit changes a database that no server uses.
func edit(t *testing.T, dir, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "executions.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), query)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
