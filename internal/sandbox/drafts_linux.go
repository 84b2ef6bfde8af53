package sandbox

import (
	"fmt"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// A folder with drafts is an overlay: the folder on the disk is the lower layer,
// and a folder in memory takes the writes of the execution. So each execution has
// inodes that no other one can lock.

const (
	// draftsAt is where the parts of the overlay are mounted meanwhile. A fork finds
	// the folder on the disk there, until the folder of its execution covers it.
	draftsAt = FolderAt
	lowerAt  = draftsAt + "/lower"
	upperAt  = draftsAt + "/upper"
	workAt   = draftsAt + "/work"
)

// overlayOptions are the mount options of an overlay of the folders lower, upper
// and work. Ordinary users may set no other extended attributes.
func overlayOptions(lower, upper, work string) string {
	return fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", lower, upper, work)
}

// HasDrafts reports whether executions can write in a folder that does not change.
func (m *Machine) HasDrafts() bool { return m != nil && m.has(layerFilesystem) && m.drafts }

// detectDrafts tries an overlay.
func (m *Machine) detectDrafts() {
	if !m.has(layerFilesystem) {
		return
	}
	m.drafts = true
	if err := m.try(Policy{Shown: []Shown{{At: "/run/trial", From: "/usr", Drafts: true}}}, nil); err != nil {
		m.drafts = false
	}
}

// draft adds the steps that mount an overlay.
func (b *builder) draft(pl *place) error {
	add := func(s shim.Step) { b.add(layerFilesystem, s) }
	space, err := b.ownedBy(pl)
	if err != nil {
		return err
	}
	at, lower := inRoot(pl.path), inRoot(lowerAt)
	b.temporary(inRoot(draftsAt), "mode=711"+b.owner())
	for _, dir := range []string{lowerAt, upperAt, workAt} {
		add(shim.Step{Op: shim.OpMkdir, A: inRoot(dir), N: 0o755, M: uint64(b.program.UID)})
	}
	add(shim.Step{Op: shim.OpBind, A: pl.source(), B: lower, N: attrReadOnly, M: space})
	options := overlayOptions(lower, inRoot(upperAt), inRoot(workAt))
	add(shim.Step{Op: shim.OpMount, A: "overlay", B: at, C: "overlay", D: options, N: noTricks})
	if b.policy.Forks == "" {
		// Forks need it, and so does the check of the files that the import has written.
		add(shim.Step{Op: shim.OpUnmount, A: lower})
		add(shim.Step{Op: shim.OpUnmount, A: inRoot(draftsAt)})
	}
	return nil
}

// owner are mount options by which a folder in memory belongs to the user of the
// execution.
func (b *builder) owner() string {
	if id := b.program.UID; id != 0 {
		return fmt.Sprintf(",uid=%d,gid=%d", id, id)
	}
	return ""
}

// Drafts describe how a fork gets a folder to write in, separate from that of the
// zygote's command.
type Drafts struct {
	// At is the folder, and Inside are the mounts in it.
	At     string      `json:"at"`
	Inside []TempPlace `json:"inside"`
	// Written is the folder with the files that the zygote has written there, and
	// Lower the folder on the disk.
	Written string `json:"written"`
	Lower   string `json:"lower"`
	// Memory is a mount point for the folder in memory, Upper and Work the folders
	// that the fork makes in it, and Options those of the overlay.
	Memory  string `json:"memory"`
	Upper   string `json:"upper"`
	Work    string `json:"work"`
	Options string `json:"options"`
}

// draftsOf plans the mounts of forks. The home of the fork covers the memory then.
func draftsOf(list []*place) *Drafts {
	for _, pl := range list {
		if pl.kind != placeDraft {
			continue
		}
		d := &Drafts{At: pl.path, Written: upperAt, Lower: lowerAt, Memory: HomeAt, Upper: HomeAt + "/upper", Work: HomeAt + "/work"}
		d.Options = overlayOptions(lowerAt, d.Upper, d.Work)
		for _, other := range list {
			if other.parent == pl {
				d.Inside = append(d.Inside, TempPlace{other.path, other.file})
			}
		}
		return d
	}
	return nil
}
