package shim_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

func TestProgram(t *testing.T) {
	for name, p := range map[string]*shim.Program{
		"empty": {Steps: []shim.Step{}},
		"full": {
			Steps: []shim.Step{
				{Op: shim.OpMount, Layer: 4, A: "tmpfs", B: "/tmp", C: "tmpfs", D: "size=1", N: 1 << 63, M: 7, L: 1},
				{Op: shim.OpRoot},
			},
			Path: "/bin/sh", Args: []string{"sh", "", "-c"}, Env: []string{"A=b\x00\xff", "C="}, Dir: "/", UID: 1<<32 - 1, GID: 5, Users: 256, Caps: 1 << 40,
		},
	} {
		rest := "what follows"
		r := bytes.NewBufferString(string(p.Append(nil)) + rest)
		got, err := shim.ReadProgram(r)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: ReadProgram() = %+v, %v, want %+v", name, got, err, p)
		}
		if r.String() != rest {
			t.Errorf("%s: %q is left, want %q", name, r.String(), rest)
		}
	}
}

func FuzzReadProgram(f *testing.F) {
	full := &shim.Program{Steps: []shim.Step{{Op: shim.OpBind, A: "/a", B: "/b"}}, Path: "/bin/true", Args: []string{"true"}}
	f.Add(full.Append(nil))
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{3, 0, 0, 0, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := shim.ReadProgram(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := shim.ReadProgram(bytes.NewReader(p.Append(nil)))
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%+v became %+v, %v, want the same", p, again, err)
		}
	})
}
