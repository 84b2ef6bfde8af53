package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/cmd/sops/common"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"

	"github.com/qhubctl/qhubctl/internal/reference"
)

// canary is a part of each secret of these tests. No problem may have it.
const canary = "canary-4711"

// ask sends a request to the program, and returns the value or the problem.
func ask(t *testing.T, text, dir string) (value, problem string) {
	t.Helper()
	request, err := json.Marshal(reference.Request{Reference: text, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := answer(bytes.NewReader(request), &out); err != nil {
		t.Fatalf("answer(%s) = %v, want nil", text, err)
	}
	head, value, _ := strings.Cut(out.String(), "\n")
	var got reference.Answer
	if err := json.Unmarshal([]byte(head), &got); err != nil {
		t.Fatalf("answer(%s) printed %q, want JSON first", text, head)
	}
	if got.Problem != "" && (value != "" || strings.Contains(got.Problem, canary)) {
		t.Errorf("the problem of %s is %q with the value %q, want nothing of a secret", text, got.Problem, value)
	}
	return value, got.Problem
}

// wants compares the value of a reference.
func wants(t *testing.T, text, dir, want string) {
	t.Helper()
	if value, problem := ask(t, text, dir); value != want || problem != "" {
		t.Errorf("%s is %q (%s), want %q", text, value, problem, want)
	}
}

// fails compares the problem of a reference.
func fails(t *testing.T, text, dir, want string) {
	t.Helper()
	if value, problem := ask(t, text, dir); value != "" || !strings.Contains(problem, want) {
		t.Errorf("%s is %q with the problem %q, want no value, and %q", text, value, problem, want)
	}
}

func write(t *testing.T, text string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	write(t, canary+"\n", dir, "a", "token")
	write(t, "db: {password: "+canary+", number: 0123, none: ~}\n", dir, "doc.yaml")
	write(t, "a: [broken "+canary+"\n", dir, "broken.yaml")
	write(t, strings.Repeat(canary, 1<<17), dir, "large")
	write(t, canary, outside, "token")
	for link, target := range map[string]string{"in": "a/token", "out": filepath.Join(outside, "token"), "folder": outside, "up": "../" + filepath.Base(outside) + "/token"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, "ref+file://a/token", dir, canary)
	wants(t, "ref+file://"+dir+"/a/token", dir, canary)
	wants(t, "ref+file://in", dir, canary)
	wants(t, "ref+file://doc.yaml#/db/password", dir, canary)
	for text, want := range map[string]string{
		"ref+file://doc.yaml#/db/number": "not a text", "ref+file://doc.yaml#/db/none": "no such key", "ref+file://doc.yaml#/db": "not a text",
		"ref+file://doc.yaml#/other": "no such key", "ref+file://doc.yaml#/db/password/x": "no such key", "ref+file://broken.yaml#/a": "not a document",
		"ref+file://nothing": "no such file", "ref+file://a": "not a regular file", "ref+file://large": "larger than", "ref+file://a/../../x": "not valid",
		"ref+file://" + outside + "/token": "outside", "ref+file://out": "outside", "ref+file://folder/token": "outside", "ref+file://up": "outside",
		"ref+exec://cat/" + dir: "unknown scheme", "ref+envsubst://$HOME/x": "not valid", "ref+echo://a/b": "unknown scheme",
	} {
		fails(t, text, dir, want)
	}
	fails(t, "ref+file://a/token", "", "outside")
}

// encrypt encrypts a file as sops does, for a key of age.
func encrypt(t *testing.T, recipient, name, text string) string {
	t.Helper()
	store := common.StoreForFormat(formats.FormatForPath(name), config.NewStoresConfig())
	branches, err := store.LoadPlainFile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	key, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		t.Fatal(err)
	}
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{KeyGroups: []sops.KeyGroup{{key}}, Version: "3.13.2"}}
	data, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := common.EncryptTree(common.EncryptTreeOpts{DataKey: data, Tree: &tree, Cipher: aes.NewCipher()}); err != nil {
		t.Fatal(err)
	}
	encrypted, err := store.EmitEncryptedFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(encrypted)
}

// TestSops decrypts files that sops itself has encrypted, with a key of age.
func TestSops(t *testing.T) {
	dir := t.TempDir()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SOPS_AGE_KEY_FILE", write(t, identity.String()+"\n", t.TempDir(), "keys"))
	recipient := identity.Recipient().String()
	yaml := encrypt(t, recipient, "a.yaml", "db:\n    password: "+canary+"\n")
	write(t, yaml, dir, "a.yaml")
	write(t, encrypt(t, recipient, "a.json", `{"db": {"password": "`+canary+`"}}`), dir, "a.json")
	write(t, encrypt(t, recipient, "a.txt", canary), dir, "a.txt")
	write(t, encrypt(t, other.Recipient().String(), "a.yaml", "a: "+canary+"\n"), dir, "other.yaml")
	write(t, strings.Replace(yaml, "password", "passwore", 1), dir, "changed.yaml")
	write(t, "a: "+canary+"\n", dir, "plain.yaml")
	wants(t, "ref+sops://a.yaml#/db/password", dir, canary)
	wants(t, "ref+sops://a.json#/db/password", dir, canary)
	wants(t, "ref+sops://a.txt", dir, canary)
	fails(t, "ref+sops://a.yaml#/db/other", dir, "no such key")
	fails(t, "ref+sops://other.yaml#/a", dir, "no key that decrypts")
	fails(t, "ref+sops://changed.yaml#/db/passwore", dir, "") // sops authenticates the name of a key
	fails(t, "ref+sops://plain.yaml#/a", dir, "not encrypted by sops")
	fails(t, "ref+sops://../a.yaml#/a", dir, "not valid")
}

// TestVault asks a server that answers as the HTTP API of Vault is documented: a real one
// is no Go module, and cannot be had from a package registry.
func TestVault(t *testing.T) {
	const token = "token-of-the-test"
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != token {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"errors":["permission denied ` + canary + `"]}`))
			return
		}
		switch r.URL.Path {
		case "/v1/sys/internal/ui/mounts/kv/shop/db", "/v1/sys/internal/ui/mounts/kv/gone":
			_, _ = w.Write([]byte(`{"data":{"path":"kv/","type":"kv","options":{"version":"2"}}}`))
		case "/v1/kv/data/shop/db":
			_, _ = w.Write([]byte(`{"data":{"data":{"password":"` + canary + `","port":5432,"none":null},"metadata":{"version":3}}}`))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"errors":[]}`))
		}
	}))
	defer vault.Close()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("VAULT_MAX_RETRIES", "0")
	t.Setenv("VAULT_ADDR", vault.URL)
	t.Setenv("VAULT_TOKEN", token)
	wants(t, "ref+vault://kv/shop/db#/password", "", canary)
	wants(t, "ref+vault://kv/shop/db/password", "", canary)
	wants(t, "ref+vault://kv/shop/db?version=3#/password", "", canary)
	wants(t, "ref+vault://kv/shop/db#/port", "", "5432")
	fails(t, "ref+vault://kv/shop/db#/none", "", "no such key")
	fails(t, "ref+vault://kv/shop/db#/other", "", "no such key")
	fails(t, "ref+vault://kv/gone#/password", "", "no such secret")
	t.Setenv("VAULT_TOKEN", "wrong")
	fails(t, "ref+vault://kv/shop/db#/password", "", "Vault answered 403")
	t.Setenv("VAULT_TOKEN", "")
	fails(t, "ref+vault://kv/shop/db#/password", "", "Vault answered 403")
	vault.Close()
	fails(t, "ref+vault://kv/shop/db#/password", "", "does not answer")
}
