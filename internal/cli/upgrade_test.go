//go:build unix

package cli_test

import (
	"archive/tar"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// These executions stand in testdata/upgrade/serve-879f9b2.tar.gz: the folder of
// a `qhubctl serve` of commit 879f9b2 that was killed. It ran one execution at a
// time, with the service of testdata/serve.
const (
	recordedSucceeded = execution.ID("01a2293a-6873-76ba-bfdd-614a1a4ddcdc")
	recordedFailed    = execution.ID("01a2293a-68e0-7dc1-854f-2752681b1fea")
	recordedRunning   = execution.ID("01a2293a-6953-734e-a846-f25286a98e80")
	recordedWaiting   = execution.ID("01a2293a-69e5-7d52-a6ad-3dd601612721")
	recordedCancelled = execution.ID("01a2293a-6a4a-7bef-8c95-2b466b975814")
)

// extract unpacks a recorded folder.
func extract(t *testing.T, archive, dir string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for reader := tar.NewReader(unzipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, header.Name) //nolint:gosec // a recorded archive of this repository
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, header.FileInfo().Mode().Perm())
		case tar.TypeSymlink:
			err = os.Symlink(header.Linkname, path)
		default:
			var content []byte
			if content, err = io.ReadAll(reader); err == nil {
				err = os.WriteFile(path, content, header.FileInfo().Mode().Perm())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// recorded is a workspace with the recorded folder. Its executions ended a
// moment ago, or they would be too old to be kept.
func recorded(t *testing.T) (workspace string) {
	t.Helper()
	workspace = workspaceDir(t)
	dir := filepath.Join(workspace, ".qhub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	extract(t, filepath.Join("testdata", "upgrade", "serve-879f9b2.tar.gz"), dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, "serve", "executions.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), `UPDATE executions SET ended_at = $1 WHERE ended_at IS NOT NULL`, time.Now().UnixMicro())
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return workspace
}

// execution reads an execution by the command line, once it has ended.
func (s *served) execution(id execution.ID) (e struct {
	Status string
	Tags   []string
}) {
	s.t.Helper()
	out, errs, _ := s.qhubctl("executions", "get", string(id), "--wait", "--output", "json")
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		s.t.Fatalf("executions get %s = %s%s, want JSON: %v", id, out, errs, err)
	}
	return e
}

// TestUpgrade serves a folder that an earlier program has left when it was killed:
// ended executions are as they were, the running one has failed, and the waiting
// one runs with its secret, which is sealed in the first form.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	workspace := recorded(t)
	if out, errs, code := call(t, "keys", "list", workspace); code != 0 || !strings.Contains(out, "2") {
		t.Errorf("keys list = %d %s%s, want the key and the secrets of 2 executions", code, out, errs)
	}
	if _, errs, code := call(t, "keys", "rotate", workspace); code != 0 {
		t.Errorf("keys rotate = %d %s, want 0", code, errs)
	}
	s := serve(t, workspace)
	for id, want := range map[execution.ID]string{
		recordedSucceeded: "SUCCEEDED", recordedFailed: "FAILED", recordedCancelled: "CANCELLED",
		recordedRunning: "FAILED", recordedWaiting: "SUCCEEDED",
	} {
		if got := s.execution(id).Status; got != want {
			t.Errorf("the recorded execution %s is %s, want %s\n%s", id, got, want, s.said)
		}
	}
	if tags := s.execution(recordedSucceeded).Tags; len(tags) != 1 || tags[0] != "kept" {
		t.Errorf("the tags of a recorded execution are %v, want [kept]", tags)
	}
	for command, want := range map[string]string{
		"result " + string(recordedSucceeded):                               `"hash"`,
		"result " + string(recordedWaiting):                                 `"waited"`,
		"log " + string(recordedSucceeded):                                  "the token is [redacted]",
		"log " + string(recordedRunning):                                    "the token is [redacted]",
		"files " + string(recordedSucceeded):                                "plan.txt",
		"files " + string(recordedSucceeded) + " --download " + t.TempDir(): "plan.txt",
	} {
		out, errs, code := s.qhubctl(append([]string{"executions"}, strings.Fields(command)...)...)
		if code != 0 || !strings.Contains(out+errs, want) {
			t.Errorf("executions %s = %d %s%s, want %s", command, code, out, errs, want)
		}
		s.wantNoSecretSaid(out, errs)
	}
	if left, err := filepath.Glob(filepath.Join(workspace, ".qhub", "serve", "work", "6c7fcaaa-*")); err != nil || len(left) > 0 {
		t.Errorf("the folders of the killed server are %v, %v; want none", left, err)
	}
	if _, err := os.Stat(filepath.Join(workspace, ".qhub", "serve", "results", string(recordedRunning))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("results of the interrupted execution: %v, want none", err)
	}
}
