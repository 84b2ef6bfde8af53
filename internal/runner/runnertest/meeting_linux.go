package runnertest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// trespass has an execution look for data of another one, while that runs, and afterwards.
// The other's folders stay unchanged.
func trespass(t *testing.T, s *siege) {
	name := fmt.Sprintf("settled-%d", os.Getpid())
	neighbour := s.attack("settle", text(name), limits(runner.Limits{Grace: 1}))
	other := s.start(t, neighbour)
	awaitReady(t, neighbour)
	folders, err := filepath.Glob(filepath.Join(s.scratch, "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("the folders of the neighbour are %q, %v, want one", folders, err)
	}
	folders = append(folders, filepath.Join(folders[0], "output"), filepath.Join(folders[0], "input"), "/run/executions/"+filepath.Base(folders[0]))
	before := modesOf(t, s.scratch)
	asked, err := json.Marshal(map[string]any{"name": name, "folders": folders})
	if err != nil {
		t.Fatal(err)
	}
	s.neighbourOf(t, other, neighbour, func() {
		refused(t, s.answers(t, s.attack("trespass", text(string(asked)))))
		if after := modesOf(t, folders[0]); len(after) == 0 {
			t.Error("the folder of the neighbour is gone")
		} else {
			for path, was := range before {
				if is, there := after[path]; there && is != was {
					t.Errorf("%s of the neighbour is %s, want %s as before", path, is, was)
				}
			}
		}
	})
	refused(t, s.answers(t, s.attack("trespass", text(string(asked)))))
}

// modesOf are the modes and times of the files below a folder.
func modesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			found[path] = info.Mode().String() + " " + info.ModTime().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
