package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestMovesToPostgres moves a platform with executions, stored secrets and an audit log. It
// goes on in Postgres with all of them. A source in use and a target with rows are refused,
// and change nothing.
func TestMovesToPostgres(t *testing.T) {
	ofFile(t)
	postgres := postgrestest.Start(t)
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, dir := filepath.Join(folder, "qhubctl"), filepath.Join(t.TempDir(), "data")
	schema := postgres.Schema(t)
	url := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(url, []byte(schema+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, kill := startProcess(t, program, dir)
	c := &commander{platform: p, program: program, work: t.TempDir(), home: t.TempDir(), values: []string{"the-stored-value"}}
	s := p.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	endpoint := s.path()
	p.call(p.owner, http.MethodPut, secretsPath+"/api_token?serviceId="+s.id, document{"value": "the-stored-value"}, http.StatusOK)
	body := document{"$secrets": document{"db_password": "of-a-request"}}
	for range 3 {
		p.run(p.owner, p.url+endpoint, body)
	}
	waiting := p.call(p.owner, http.MethodPost, p.url+endpoint, document{"hold": "x", "$secrets": document{"db_password": "of-a-request"}}, http.StatusCreated).text("id")
	before := executionsOf(p, endpoint)

	move := []string{"server", "migrate", "--from", "sqlite://" + dir, "--to", "@" + url, "--output", "json"}
	if _, said := c.run(2, "", move...); !strings.Contains(said, "a server uses this database") {
		t.Errorf("migrate of a platform that runs says %q, want that a server uses it", said)
	}
	kill()
	conn, err := pgx.Connect(t.Context(), schema)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	exec := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(filepath.Join(dir, "executions.db"))
	if err != nil || len(file) == 0 {
		t.Fatal(err)
	}
	out, _ := c.run(0, "", move...)
	var moved struct {
		Tables []struct {
			Name string
			Rows int64
		}
		Sealed int
	}
	if err := json.Unmarshal([]byte(out), &moved); err != nil || moved.Sealed == 0 {
		t.Fatalf("migrate prints %s, %v, want tables and sealed values", out, err)
	}
	rows := map[string]int64{}
	for _, table := range moved.Tables {
		rows[table.Name] = table.Rows
	}
	if rows["executions"] != int64(len(before)) || rows["audit"] == 0 || rows["secret_versions"] != 1 || len(rows) < 30 {
		t.Errorf("migrate has moved %v, want %d executions, and the other tables", rows, len(before))
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.CopyFS(again, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(again, "executions.db.moved"), filepath.Join(again, "executions.db")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(again, "state-in-postgres")), os.Chmod(filepath.Join(again, "master.key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, said := c.run(2, "", "server", "migrate", "--from", "sqlite://"+again, "--to", "@"+url); !strings.Contains(said, "is not empty") {
		t.Errorf("migrate to a schema with rows says %q, want that it is not empty", said)
	}
	if _, err := os.Stat(filepath.Join(again, "state-in-postgres")); err == nil {
		t.Error("a failed migrate leaves the mark of a state in Postgres")
	}

	p, kill = startProcess(t, program, dir, "--database", "@"+url)
	for id, status := range before {
		after := p.call(p.owner, http.MethodGet, p.url+endpoint+"/"+id, nil, http.StatusOK).text("status")
		if id != waiting && after != status {
			t.Errorf("execution %s is %s in Postgres, want %s", id, after, status)
		}
	}
	if result := p.run(p.owner, p.url+endpoint, body); result.text("api_token") != digestOf("the-stored-value") {
		t.Errorf("an execution in Postgres has %v, want the stored secret", result)
	}
	if len(executionsOf(p, endpoint)) != len(before)+1 {
		t.Errorf("there are %d executions, want one more than %d", len(executionsOf(p, endpoint)), len(before))
	}
	c.run(0, "", "audit", "verify", "--data", dir, "--database", "@"+url)
	kill()
	exec("UPDATE secret_versions SET sealed = set_byte(sealed, length(sealed) - 1, 255 - get_byte(sealed, length(sealed) - 1))")
	if _, said := c.run(1, "", "audit", "verify", "--data", dir, "--database", "@"+url); !strings.Contains(said, "stored-secret-SERVICE") {
		t.Errorf("audit verify says %q, want the sealed value that was changed", said)
	}
	if bytes.Contains(file, []byte("the-stored-value")) {
		t.Error("the file has the value of a secret")
	}
}

// executionsOf are the states of the executions of a service, by id.
func executionsOf(p *platform, endpoint string) map[string]string {
	list, _ := p.call(p.owner, http.MethodGet, p.url+endpoint+"/", nil, http.StatusOK)["list"].([]any)
	all := map[string]string{}
	for _, one := range list {
		e := document(one.(map[string]any))
		all[e.text("id")] = e.text("status")
	}
	return all
}
