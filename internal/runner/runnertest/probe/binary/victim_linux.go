package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The names that the victim and its neighbour both know.
const (
	sharedName = "shared-name"
	sharedPort = 47391
	victimsKey = 0x51AC
)

// canary are words of the victim that no file of the service contains.
func canary() []byte {
	words := []byte("sdrow nwo s'mitciv eht")
	slices.Reverse(words)
	return words
}

func folders() []string {
	return []string{"/tmp", "/var/tmp", "/dev/shm", os.Getenv("TMPDIR"), os.Getenv("HOME")}
}

// folderNames name the folders, whose paths may differ.
var folderNames = []string{"tmp", "var", "memory", "temporary", "home"}

func addresses(network string) map[string][2]string {
	found := map[string][2]string{"abstract": {"unix", "@" + sharedName}, "path": {"unix", "/tmp/" + sharedName + ".socket"}}
	if network == "loopback" {
		found["loopback"] = [2]string{"tcp", fmt.Sprintf("127.0.0.1:%d", sharedPort)}
	}
	return found
}

func names(dir string) []string {
	list := []string{}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

func pointer[T any](to *T) uintptr { return uintptr(unsafe.Pointer(to)) } //nolint:gosec // system calls take pointers

// keyed are objects that others find by a key or a name, each with the calls
// that make and that find it.
func keyed() map[string][2]func() error {
	key, name, kind, words := uintptr(victimsKey), []byte(sharedName+"\x00"), []byte("user\x00"), canary()
	const mode, session = unix.IPC_CREAT | 0o666, ^uintptr(3)
	ipc := func(number uintptr, create, find []uintptr) [2]func() error {
		return [2]func() error{func() error { return call(number, create...) }, func() error { return call(number, find...) }}
	}
	return map[string][2]func() error{
		"memory":     ipc(unix.SYS_SHMGET, []uintptr{key, 1, mode}, []uintptr{key, 1, 0}),
		"semaphores": ipc(unix.SYS_SEMGET, []uintptr{key, 1, mode}, []uintptr{key, 1, 0}),
		"messages":   ipc(unix.SYS_MSGGET, []uintptr{key, mode}, []uintptr{key, 0}),
		"queue": ipc(unix.SYS_MQ_OPEN, []uintptr{pointer(&name[0]), unix.O_CREAT | unix.O_RDWR, 0o666, 0},
			[]uintptr{pointer(&name[0]), unix.O_RDWR, 0, 0}),
		"key": ipc(unix.SYS_ADD_KEY, []uintptr{pointer(&kind[0]), pointer(&name[0]), pointer(&words[0]), uintptr(len(words)), session},
			[]uintptr{pointer(&kind[0]), pointer(&name[0]), 0, 0}),
	}
}

// attackVictim works with names that others can guess, and reports everything that it
// finds. It ends with the number as its exit code. While the test lets its neighbours
// begin, it waits.
func attackVictim(in input) answers {
	made, found := answers{}, answers{}
	for i, place := range folders() { // some may be the same
		made[folderNames[i]] = names(place)
		must(os.WriteFile(shared(place, i), step(0), 0o600), os.Mkdir(fmt.Sprintf("%s/victims-folder-%d", place, i), 0o755)) //nolint:gosec // others shall see it, if they can
	}
	listeners := map[string]net.Listener{}
	for name, where := range addresses(in.Text) {
		listener, err := net.Listen(where[0], where[1])
		made.try(name, err)
		listeners[name] = listener
	}
	for name, calls := range keyed() {
		made.try(name, calls[0]())
	}
	before := standingInFull()
	fmt.Println("ready")
	for _, err := os.Stat(output("go-on")); errors.Is(err, fs.ErrNotExist); _, err = os.Stat(output("go-on")) {
		time.Sleep(10 * time.Millisecond)
	}
	must(os.Remove(output("go-on")))
	for n := range 16 {
		work(n)
	}
	for i, place := range folders() {
		found[folderNames[i]] = names(place)
		for _, path := range []string{shared(place, i), fmt.Sprintf("%s/victims-folder-%d", place, i)} {
			status, err := os.Stat(path)
			must(err)
			found[filepath.Base(path)] = status.Mode().String()
		}
	}
	for name, listener := range listeners {
		found[name] = callers(listener)
	}
	found["output"], found["input"] = names(output(".")), names(os.Getenv("INPUT_DIRECTORY"))
	report, err := json.MarshalIndent(answers{"made": made, "found": found, "before": before, "after": standingInFull()}, "", " ")
	must(err, os.WriteFile(output("report.json"), report, 0o600))
	if in.Number != 0 {
		os.Exit(in.Number)
	}
	return answers{"done": true}
}

func must(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic(err)
	}
}

func shared(place string, i int) string { return fmt.Sprintf("%s/%s-%d.json", place, sharedName, i) }

func step(n int) []byte { return fmt.Appendf(nil, `{"words":%q,"step":%d}`, canary(), n) }

// work is one step of it: it must find the data that it has written before.
func work(n int) {
	for i, place := range folders() {
		path := shared(place, i)
		text, err := os.ReadFile(path)
		must(err)
		if !bytes.Equal(text, step(n)) {
			panic(fmt.Sprintf("%s holds %q", path, text))
		}
		must(os.WriteFile(path, step(n+1), 0o600))
	}
	must(os.WriteFile(output(fmt.Sprintf("step-%d.txt", n)), bytes.Repeat(canary(), n+1), 0o600))
	fmt.Println("step", n)
	fmt.Fprintln(os.Stderr, "step", n, "of 16")
}

// callers is how many have connected, at most one.
func callers(listener net.Listener) int {
	with, ok := listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return -1
	}
	must(with.SetDeadline(time.Now().Add(time.Millisecond)))
	if _, err := listener.Accept(); err != nil {
		return 0
	}
	return 1
}

// standingInFull are its limits, and how it is scheduled.
func standingInFull() answers {
	a := attackStanding(input{})
	for resource := range 16 {
		var limit unix.Rlimit
		_ = unix.Getrlimit(resource, &limit)
		a[fmt.Sprint("limit ", resource)] = fmt.Sprint(limit)
	}
	mask := unix.Umask(0)
	unix.Umask(mask)
	a["umask"] = mask
	a["memory"] = groupLimit("memory", "memory.limit_in_bytes", "memory.max")
	a["processes"] = groupLimit("pids", "pids.max", "pids.max")
	for i, place := range folders() {
		var size unix.Statfs_t
		_ = unix.Statfs(place, &size)
		a["size of "+folderNames[i]] = size.Blocks
	}
	a["highest descriptor"] = highestDescriptor()
	room := "/tmp/" + sharedName + ".room"
	a.try("room", writeMany(room, 64*mebi))
	if status, err := os.Stat(room); err == nil {
		a["room in /tmp"] = status.Size()
	}
	_ = os.Remove(room)
	for range 8 {
		must(exec.Command("/proc/self/exe", "child", "environment").Run())
	}
	return a
}

func highestDescriptor() int {
	var opened []int
	for fd, err := unix.Dup(2); err == nil; fd, err = unix.Dup(2) {
		opened = append(opened, fd)
	}
	for _, fd := range opened {
		_ = unix.Close(fd)
	}
	return slices.Max(opened)
}
