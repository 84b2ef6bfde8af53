package shim

import (
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestNumbers compares the constants with the package that a shim does not use.
func TestNumbers(t *testing.T) {
	for name, numbers := range map[string][2]uintptr{
		"pidfd_send_signal":       {sysPidfdSendSignal, unix.SYS_PIDFD_SEND_SIGNAL},
		"open_tree":               {sysOpenTree, unix.SYS_OPEN_TREE},
		"move_mount":              {sysMoveMount, unix.SYS_MOVE_MOUNT},
		"close_range":             {sysCloseRange, unix.SYS_CLOSE_RANGE},
		"mount_setattr":           {sysMountSetattr, unix.SYS_MOUNT_SETATTR},
		"landlock_create_ruleset": {sysLandlockCreate, unix.SYS_LANDLOCK_CREATE_RULESET},
		"landlock_add_rule":       {sysLandlockAdd, unix.SYS_LANDLOCK_ADD_RULE},
		"landlock_restrict_self":  {sysLandlockEnforce, unix.SYS_LANDLOCK_RESTRICT_SELF},
		"AT_EMPTY_PATH":           {atEmptyPath, unix.AT_EMPTY_PATH},
		"AT_SYMLINK_NOFOLLOW":     {atSymlinkNofollow, unix.AT_SYMLINK_NOFOLLOW},
		"AT_RECURSIVE":            {atRecursive, unix.AT_RECURSIVE},
		"O_PATH":                  {oPath, unix.O_PATH},
		"OPEN_TREE_CLONE":         {openTreeClone, unix.OPEN_TREE_CLONE},
		"MOVE_MOUNT_F_EMPTY_PATH": {moveFromEmpty, unix.MOVE_MOUNT_F_EMPTY_PATH},
		"MOUNT_ATTR_IDMAP":        {mountAttrIDMap, unix.MOUNT_ATTR_IDMAP},
		"CLOSE_RANGE_CLOEXEC":     {closeRangeCloexec, unix.CLOSE_RANGE_CLOEXEC},
		"PR_SET_DUMPABLE":         {prSetDumpable, unix.PR_SET_DUMPABLE},
		"PR_CAPBSET_DROP":         {prCapBsetDrop, unix.PR_CAPBSET_DROP},
		"PR_SET_SECUREBITS":       {prSetSecureBits, unix.PR_SET_SECUREBITS},
		"PR_SET_CHILD_SUBREAPER":  {prSetChildSubreaper, unix.PR_SET_CHILD_SUBREAPER},
		"PR_SET_NO_NEW_PRIVS":     {prSetNoNewPrivs, unix.PR_SET_NO_NEW_PRIVS},
		"PR_CAP_AMBIENT":          {prCapAmbient, unix.PR_CAP_AMBIENT},
		"PR_CAP_AMBIENT_CLEAR":    {prCapAmbientClear, unix.PR_CAP_AMBIENT_CLEAR_ALL},
		"capability version":      {capVersion3, unix.LINUX_CAPABILITY_VERSION_3},
		"CAP_SETPCAP":             {capSetpcap, unix.CAP_SETPCAP},
		"LANDLOCK_RULE":           {landlockPathBeneath, unix.LANDLOCK_RULE_PATH_BENEATH},
		"SECCOMP_SET_MODE_FILTER": {seccompSetModeFilter, unix.SECCOMP_SET_MODE_FILTER},
		"BPF_MAXINSNS":            {maxFilter, unix.BPF_MAXINSNS},
		"mount_attr":              {unsafe.Sizeof(mountAttributes{}), unsafe.Sizeof(unix.MountAttr{})},
		"sock_filter":             {8, unsafe.Sizeof(unix.SockFilter{})},
	} {
		if numbers[0] != numbers[1] {
			t.Errorf("%s is %#x, want %#x", name, numbers[0], numbers[1])
		}
	}
	if at := unix.AT_FDCWD; uintptr(at) != cwd {
		t.Errorf("AT_FDCWD is %#x, want %#x", cwd, uintptr(at))
	}
}

// TestEarly keeps the package early: it is initialised after all packages that it
// imports.
func TestEarly(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports " "}}`, ".")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "errors syscall unsafe" {
		t.Errorf("the package imports %s, want errors, syscall and unsafe: each start of an execution waits for them", got)
	}
}
