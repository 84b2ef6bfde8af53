package sandbox

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// userName is the name of the user of executions.
const userName = "service"

// accountFiles are the files passwd and group for so many users from uid on,
// whose home is [HomeAt].
func accountFiles(uid, gid, count uint32) (passwd, group string) {
	var users, groups strings.Builder
	for n := range count {
		u, g := strconv.FormatUint(uint64(uid+n), 10), strconv.FormatUint(uint64(gid+n), 10)
		users.WriteString(userName + ":x:" + u + ":" + g + ":" + userName + ":" + HomeAt + ":/bin/sh\n")
		groups.WriteString(userName + ":x:" + g + ":\n")
	}
	if uid != 0 {
		users.WriteString("root:x:0:0:root:/root:/usr/sbin/nologin\n")
	}
	if gid != 0 {
		groups.WriteString("root:x:0:\n")
	}
	users.WriteString("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
	groups.WriteString("nogroup:x:65534:\n")
	return users.String(), groups.String()
}

// accounts shows the users of this sandbox in the place of those of the machine.
func (b *builder) accounts(list []*place) {
	etc := slices.ContainsFunc(list, func(pl *place) bool { return pl.path == "/etc" && pl.kind == placeSystem })
	if !etc {
		return
	}
	uid, gid := b.program.UID, b.program.GID
	if uid == 0 {
		uid, gid = uint32(os.Geteuid()), uint32(os.Getegid())
	}
	passwd, group := accountFiles(uid, gid, max(1, b.program.Users))
	for name, text := range map[string]string{"passwd": passwd, "group": group} {
		if info, err := os.Lstat("/etc/" + name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		b.add(layerFilesystem, shim.Step{Op: shim.OpWrite, A: "run/" + name, B: text})
		b.add(layerFilesystem, shim.Step{Op: shim.OpBind, A: "run/" + name, B: "etc/" + name})
	}
}
