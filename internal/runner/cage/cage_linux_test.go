package cage_test

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/cage"
)

func TestSmoke(t *testing.T) {
	m := cage.Detect(cage.Options{})
	defer m.Close()
	for _, l := range m.Layers() {
		t.Log(l.Name, l.Held, l.Says)
	}
	var out bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", "id; cat /proc/self/status | grep -E 'Cap|NoNew|Secc|Pid'; ls / /dev /proc/ -d /proc/[0-9]*; cat /proc/self/mountinfo; cat /proc/self/cgroup; exit 7")
	cmd.Stdout, cmd.Stderr = &out, &out
	c, err := m.Start(cmd, cage.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Wait()
	t.Log(o, err, out.String())
}
