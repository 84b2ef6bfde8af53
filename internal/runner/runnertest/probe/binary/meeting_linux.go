package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// meetingKey names a semaphore, a queue and memory.
const meetingKey = 0x51AC

var meetingPlaces = []string{"/tmp", "/var/tmp", "/dev/shm", "TMPDIR", "HOME", "OUTPUT_DIRECTORY", "INPUT_DIRECTORY"}

func places() []string {
	var dirs []string
	for _, name := range meetingPlaces {
		if dir := os.Getenv(name); dir != "" {
			name = dir
		}
		dirs = append(dirs, name)
	}
	return dirs
}

// attackSettle leaves a file and a socket in each place, and a semaphore, a queue
// and memory under a key. Then it stays.
func attackSettle(in input) answers {
	for _, place := range places() {
		if add(filepath.Join(place, in.Text)) != nil {
			continue
		}
		_ = os.Chdir(place) // the name of a socket must be short
		if listener, err := net.Listen("unix", in.Text+".socket"); err == nil {
			kept = append(kept, listener)
		}
	}
	_ = call(unix.SYS_SEMGET, meetingKey, 1, 0o1666)
	_ = call(unix.SYS_MSGGET, meetingKey, 0o1666)
	_ = call(unix.SYS_SHMGET, meetingKey, 4096, 0o1666)
	_ = openQueue(in.Text, unix.O_CREAT|unix.O_RDWR)
	fmt.Println("ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	<-stop
	os.Exit(1)
	return nil
}

// kept are sockets that listen.
var kept []net.Listener

func openQueue(name string, flags uintptr) error {
	text := append([]byte(name), 0)
	return call(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&text[0])), flags, 0o666, 0) //nolint:gosec // the system call takes a pointer
}

// attackTrespass looks for data of another execution, in its own folders and in those of
// the other, which its input names.
func attackTrespass(in input) answers {
	var asked struct {
		Name    string   `json:"name"`
		Folders []string `json:"folders"`
	}
	if err := json.Unmarshal([]byte(in.Text), &asked); err != nil {
		panic(err)
	}
	a := answers{}
	for _, place := range places() {
		a.try("read in "+place, read(filepath.Join(place, asked.Name)))
		_ = os.Chdir(place)
		a.try("socket in "+place, connect(asked.Name+".socket"))
	}
	for _, folder := range asked.Folders {
		watcher, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err == nil {
			_, err = unix.InotifyAddWatch(watcher, folder, unix.IN_ALL_EVENTS)
		}
		a.try("watch "+folder, err)
		var info unix.Stat_t
		a.try("stat "+folder, unix.Stat(folder, &info))
		_, err = os.ReadDir(folder)
		a.try("list "+folder, err)
		a.try("chmod "+folder, os.Chmod(folder, 0o777)) //nolint:gosec // an attack
		a.try("chown "+folder, os.Chown(folder, os.Getuid(), os.Getgid()))
		a.try("utime "+folder, unix.Utimes(folder, []unix.Timeval{{}, {}}))
		a.try("setxattr "+folder, unix.Setxattr(folder, "user.mine", []byte("x"), 0))
		a.try("rename "+folder, os.Rename(folder, folder+".mine"))
		a.try("write in "+folder, add(filepath.Join(folder, "mine")))
	}
	a.try("semaphore", call(unix.SYS_SEMGET, meetingKey, 1, 0))
	a.try("queue", call(unix.SYS_MSGGET, meetingKey, 0))
	a.try("memory", call(unix.SYS_SHMGET, meetingKey, 4096, 0))
	a.try("POSIX queue", openQueue(asked.Name, unix.O_RDWR))
	a.try("fanotify", call(unix.SYS_FANOTIFY_INIT, 0, 0))
	_, err := unix.AddKey("user", "mine", []byte("x"), unix.KEY_SPEC_USER_KEYRING)
	a.try("key", err)
	_, err = unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, false)
	a.try("keyring", err)
	tryProcesses(a)
	return a
}

func connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// tryProcesses sends signals to all other process numbers, and reads their files in
// /proc.
func tryProcesses(a answers) {
	own := map[int]bool{os.Getpid(): true}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		n, _ := strconv.Atoi(task.Name())
		own[n] = true
	}
	a["signals"], a["folders of processes"] = "ESRCH", "EACCES"
	for n := 2; n < 1<<15; n++ { // number 1 is its init
		if own[n] || unix.Kill(n, 0) != nil {
			continue
		}
		// The runtime starts and ends threads meanwhile.
		_, err := os.Stat("/proc/self/task/" + strconv.Itoa(n))
		if err != nil && unix.Kill(n, 0) == nil {
			a["signals"] = "ok"
		}
	}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		if err != nil || own[n] {
			continue
		}
		for _, part := range []string{"root", "cwd", "fd"} {
			if _, err := os.ReadDir(filepath.Join("/proc", entry.Name(), part)); err == nil {
				a["folders of processes"] = "ok"
			}
		}
	}
}
