package main

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// motoVersion is pinned: the test installs it from the package index.
const motoVersion = "moto[server,secretsmanager]==5.2.5"

// startMoto starts the AWS of moto at a port of loopback, and returns its address.
func startMoto(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("there is no cache folder: %v", err)
	}
	venv := filepath.Join(cache, "qhubctl-tests", "moto-5.2.5")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	program := filepath.Join(venv, "bin", "python")
	if exec.CommandContext(ctx, program, "-c", "import moto.server").Run() != nil {
		for _, command := range [][]string{{python, "-m", "venv", "--clear", venv}, {program, "-m", "pip", "install", "--quiet", motoVersion}} {
			if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Skipf("moto cannot be installed: %v\n%s", err, out)
			}
		}
	}
	server := exec.CommandContext(t.Context(), program, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	output, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address := regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if found := address.FindString(lines.Text()); found != "" {
			go func() {
				for lines.Scan() { // it must be able to write on
				}
			}()
			return found
		}
	}
	t.Fatal("moto ended, want it to say its address")
	return ""
}

// TestAWS fetches secrets from the AWS Secrets Manager of moto.
func TestAWS(t *testing.T) {
	url := startMoto(t)
	t.Setenv("HOME", t.TempDir())
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	call := func(action, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", "secretsmanager."+action)
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=id/20300101/eu-central-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s = %s, want 200", action, answer.Status)
		}
	}
	call("CreateSecret", `{"Name": "prod/db", "SecretString": "{\"password\": \"`+canary+`\", \"port\": 5432}"}`)
	call("CreateSecret", `{"Name": "prod/token", "SecretString": "`+canary+`"}`)
	call("CreateSecret", `{"Name": "prod/broken", "SecretString": "{broken `+canary+`"}`)
	wants(t, "ref+awssecrets://prod/token", "", canary)
	wants(t, "ref+awssecrets://prod/db?region=eu-central-1#/password", "", canary)
	fails(t, "ref+awssecrets://prod/db#/other", "", "no such key")
	fails(t, "ref+awssecrets://prod/db#/port", "", "not a text")
	fails(t, "ref+awssecrets://prod/broken#/a", "", "not a document")
	fails(t, "ref+awssecrets://prod/missing", "", "AWS answered ResourceNotFoundException")
	call("PutSecretValue", `{"SecretId": "prod/token", "SecretString": "`+canary+`-new"}`)
	wants(t, "ref+awssecrets://prod/token", "", canary+"-new")
	fails(t, "ref+awssecrets://prod/token?version_stage=NONE", "", "AWS answered ResourceNotFoundException")
}
