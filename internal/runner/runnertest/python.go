package runnertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/sdk"
)

// upstreamSDK is the SDK that existing services were written for.
const upstreamSDK = "qhub-commons==1.2.2"

// SDKPython describes how to run the service in dir, entrypoint src.program:run, with our
// SDK. The environment is made once and kept in the user's cache.
func SDKPython(t testing.TB) process.Python {
	t.Helper()
	return python(t, SDKEnvironment)
}

// PublishedPython is SDKPython with the upstream SDK.
func PublishedPython(t testing.TB) process.Python {
	t.Helper()
	return python(t, PublishedEnvironment)
}

// SDKPythonOf is SDKPython with another interpreter.
func SDKPythonOf(t testing.TB, interpreter string) process.Python {
	t.Helper()
	return python(t, func() (string, error) {
		file, err := SDKWheel()
		if err != nil {
			return "", err
		}
		return testenv.VenvOf(interpreter, "SDK", file)
	})
}

func python(t testing.TB, environment func() (string, error)) process.Python {
	t.Helper()
	dir, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	describer, err := sdk.Describer()
	if err != nil {
		t.Fatal(err)
	}
	p := process.Python{
		Interpreter: testenv.Program(dir, "python"), Entrypoint: "src.program:run",
		Launcher:  filepath.Join(t.TempDir(), "launcher.py"),
		Describer: filepath.Join(t.TempDir(), "describe.py"),
	}
	for path, text := range map[string][]byte{p.Launcher: process.LauncherSource, p.Describer: describer} {
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // executions may be other users
			t.Fatal(err)
		}
	}
	return p
}

// SDKEnvironment is the folder of an environment with our SDK, made once and
// kept in the user's cache.
var SDKEnvironment = sync.OnceValues(func() (string, error) {
	file, err := SDKWheel()
	if err != nil {
		return "", err
	}
	return testenv.Venv("SDK", file)
})

// SDKWheel is the file of our SDK, for environments that have further packages. Its path
// never changes: a new path would make a new environment.
var SDKWheel = sync.OnceValues(func() (string, error) {
	wheel, err := sdk.PythonWheel()
	if err != nil {
		return "", err
	}
	cache, err := testenv.CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(wheel.Content)
	file := filepath.Join(cache, hex.EncodeToString(sum[:6]), wheel.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	if err := lockedfile.Write(file, bytes.NewReader(wheel.Content), 0o600); err != nil {
		return "", err
	}
	return file, nil
})

// PublishedEnvironment is SDKEnvironment with the upstream SDK.
var PublishedEnvironment = sync.OnceValues(func() (string, error) { return testenv.Venv("published", upstreamSDK) })
