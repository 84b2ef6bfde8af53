package signature_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// pydantic is pinned, so that a run today is a run tomorrow.
const pydantic = "pydantic==2.14.3"

// randomModels are types of a service, and bodies with the verdict of pydantic on each.
// See sdk/python/tests/random_models.py.
func randomModels(t *testing.T, seed, count string) *bufio.Scanner {
	t.Helper()
	venv, err := testenv.Venv("model", pydantic)
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), filepath.Join(sdk, "tests", "random_models.py"), seed, count)
	command.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(sdk, "src"), "PYTHONDONTWRITEBYTECODE=1")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("random_models.py = %v, want success\n%s", err, &stderr)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	return lines
}

// TestNoBodyIsRefusedThatTheModelAccepts: the server refuses no body that the model
// accepts. Most bodies that the model refuses, the server refuses before anything starts.
func TestNoBodyIsRefusedThatTheModelAccepts(t *testing.T) {
	t.Parallel()
	lines := randomModels(t, "500000", "1600")
	accepted, refused, early := 0, 0, 0
	for lines.Scan() {
		var line struct {
			Seed     int
			Document json.RawMessage
			Cases    [][2]any
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		s, err := signature.Parse(line.Document)
		if err != nil {
			t.Fatalf("seed %d: Parse() = %v, want nil", line.Seed, err)
		}
		v, err := s.Compile()
		if err != nil {
			t.Fatalf("seed %d: Compile() = %v, want nil", line.Seed, err)
		}
		for _, c := range line.Cases {
			body, _ := c[0].(string)
			accepts, _ := c[1].(bool)
			_, err := v.Request([]byte(body))
			switch {
			case accepts && err != nil:
				t.Errorf("seed %d: the model accepts %s, and the validator says %v, want nil\n%s", line.Seed, body, err, s.Parameters[0].Check)
			case accepts:
				accepted++
			default:
				refused++
				if err != nil {
					early++
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d accepted; %d refused, %d of them at once", accepted, refused, early)
	if accepted < 4000 || early < refused/2 {
		t.Errorf("%d accepted; %d refused, %d of them at once: want more", accepted, refused, early)
	}
}
