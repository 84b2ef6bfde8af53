package hub_test

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// TestSecretsOfFormerPrograms upgrades a data folder in which the secrets of environments
// and the tokens of providers have one seal each, and are no stored secrets.
func TestSecretsOfFormerPrograms(t *testing.T) {
	ofFile(t)
	const value, token = "the-value-of-a-former-program", "the-token-of-a-former-program"
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	account := strings.Split(s.path(), "/")[2]
	configure := func(environment document) {
		t.Helper()
		p.call(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+s.id+"/runtime-configuration",
			document{"environment": environment, "applyProviderTokens": true}, http.StatusNoContent)
	}
	configure(document{"MODE": "fast"})
	p.stop()
	formerSecrets(t, p.dir, account, map[string]vault.Secrets{
		"environment":  {"SECRET_API_TOKEN": plaintext.FromString(value), "SECRET_OTHER": plaintext.FromString("another")},
		"provider/IBM": {"QISKIT_IBM_TOKEN": plaintext.FromString(token)},
	})

	p = start(t, p.dir)
	gets := func(when string, want document) {
		t.Helper()
		result := p.run(p.owner, p.url+s.path(), document{"show": "QISKIT_IBM_TOKEN"})
		for name, value := range want {
			if result[name] != value {
				t.Errorf("%s the result has %s = %v, want %v", when, name, result[name], value)
			}
		}
	}
	gets("after the upgrade", document{"token": "29", "length": "29"})
	kinds := func() string {
		t.Helper()
		text, err := json.Marshal(p.call(p.owner, http.MethodGet, secretsPath+"?size=100", nil, http.StatusOK))
		if err != nil || strings.Contains(string(text), value) {
			t.Fatalf("the list of secrets is %s, %v", text, err)
		}
		return string(text)
	}
	for _, want := range []string{`"kind":"ENVIRONMENT","name":"SECRET_API_TOKEN"`, `"kind":"ENVIRONMENT","name":"SECRET_OTHER"`, `"kind":"PROVIDER","name":"IBM"`} {
		if !strings.Contains(kinds(), want) {
			t.Errorf("the list of secrets is %s, want %s in it", kinds(), want)
		}
	}
	log, _ := json.Marshal(p.call(p.owner, http.MethodGet, "/qc-catalog/audit?limit=1000", nil, http.StatusOK))
	if !strings.Contains(string(log), "SECRET_API_TOKEN,SECRET_OTHER") {
		t.Errorf("the audit log is %s, want an entry that names the secrets that were moved", log)
	}
	configure(document{"MODE": "fast", "SECRET_API_TOKEN": "[redacted]"})
	gets("after a client has written them back", document{"token": "29", "length": "29"})
	if strings.Contains(kinds(), "SECRET_OTHER") {
		t.Errorf("the list of secrets is %s, want none that was taken away", kinds())
	}
	p.call(p.owner, http.MethodDelete, "/qc-catalog/my/provider-tokens/IBM", nil, http.StatusNoContent)
	p.stop()
	verifySealed(t, p.dir)
	p = start(t, p.dir)
	gets("after a restart", document{"token": "29", "length": "0"})
	p.noneHold(value, token)
}

// formerSecrets has a data folder of a platform that is stopped keep secrets as former
// programs do. The service has one version.
func formerSecrets(t *testing.T, dir, account string, sets map[string]vault.Secrets) {
	t.Helper()
	ring, err := vault.OpenFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "executions.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	var version string
	if err := db.QueryRowContext(t.Context(), "SELECT id FROM service_versions").Scan(&version); err != nil {
		t.Fatal(err)
	}
	for name, secrets := range sets {
		if name == "environment" {
			name = "service/" + version + "/environment"
			for variable := range secrets {
				exec("UPDATE service_versions SET settings = json_set(settings, '$.environment.' || $1, '[redacted]')", variable)
			}
		}
		sealed, err := ring.Seal(vault.SecretOwner(account, name), secrets)
		if err != nil {
			t.Fatal(err)
		}
		exec("INSERT INTO stored_secrets (tenant_id, name, sealed, changed_at) VALUES ($1, $2, $3, 1)", account, name, []byte(sealed))
	}
	exec("DROP INDEX secrets_by_place")
	exec("DROP INDEX secrets_by_holder")
	exec("ALTER TABLE secrets DROP COLUMN holder")
	exec("CREATE UNIQUE INDEX secrets_by_place ON secrets (service_id, subscription_id, tenant_id, name) WHERE removed = 0")
	// The sum of sealed values has only stored secrets, of which there are none.
	state := audit.Sealed{Form: 1}
	if err := db.QueryRowContext(t.Context(), "SELECT changes FROM sealed_state").Scan(&state.Changes); err != nil {
		t.Fatal(err)
	}
	if err := state.Sign(audit.NewSigner(ring)); err != nil {
		t.Fatal(err)
	}
	exec("DELETE FROM secrets")
	exec("UPDATE sealed_state SET sum = $1, key = $2, signature = $3", state.Sum.Bytes(), state.Key, state.Signature)
	exec("ALTER TABLE sealed_state DROP COLUMN form")
	// Lists of executions had fewer indexes.
	for _, index := range []string{"executions_by_kind", "executions_by_caller", "execution_tags_by_caller"} {
		exec("DROP INDEX " + index)
	}
	exec("CREATE INDEX executions_by_caller ON executions (tenant_id, seq) WHERE tenant_id <> ''")
	for _, column := range []string{"execution_tags DROP COLUMN tenant_id", "execution_tags DROP COLUMN created_at", "executions DROP COLUMN person_id"} {
		exec("ALTER TABLE " + column)
	}
	exec("DELETE FROM goose_db_version WHERE version_id >= 92")
}

// verifySealed checks the sealed values of a platform that is stopped.
func verifySealed(t *testing.T, dir string) {
	t.Helper()
	ring, err := vault.OpenFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "executions.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.CheckSealed(t.Context(), audit.NewSigner(ring)); err != nil {
		t.Errorf("CheckSealed() = %v, want nil", err)
	}
}
