package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// neighbour attacks others, in rounds. It reports each part of the victim that it reaches by
// a line on standard output.
type neighbour struct {
	network string
	watch   int
}

func reached(what string) { fmt.Println("reached", what) }

// attackNeighbour attacks until it is asked to stop.
func attackNeighbour(in input) answers {
	if !alone() {
		return answers{"gave up": "other processes can be seen"}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	deadline := time.After(2 * time.Minute)
	watch, _ := unix.InotifyInit1(unix.IN_NONBLOCK)
	n := neighbour{in.Text, watch}
	for rounds := 1; ; rounds++ {
		n.round()
		if rounds == 1 {
			fmt.Println("ready")
		}
		select {
		case <-stop:
			return answers{"rounds": rounds}
		case <-deadline:
			return answers{"rounds": rounds}
		default:
		}
	}
}

func (n neighbour) round() {
	n.connections()
	for name, calls := range keyed() {
		if calls[1]() == nil {
			reached("the " + name + " by its key")
		}
	}
	n.processes()
	for _, dir := range append(folders(), "/run", "/dev", "/dev/mqueue", ".", filepath.Dir(os.Args[0])) {
		n.spoil(dir, 3)
	}
	n.spoil("/", 0)
	for _, user := range []int{0, os.Getuid()} {
		_ = unix.Setpriority(unix.PRIO_USER, user, 19)
		_ = call(unix.SYS_IOPRIO_SET, 3, uintptr(user), 3<<13)
	}
	n.events()
	n.takeNames()
}

func (n neighbour) connections() {
	for name, where := range addresses(n.network) {
		if client, err := net.Dial(where[0], where[1]); err == nil {
			_ = client.Close()
			reached("the " + name + " socket")
		}
	}
	if n.network == "" {
		return // the tables list the sockets of the machine
	}
	for _, table := range []string{"unix", "tcp", "udp"} {
		listed, err := os.ReadFile("/proc/net/" + table)
		must(err)
		if strings.Contains(string(listed), sharedName) || strings.Contains(string(listed), fmt.Sprintf(":%04X ", sharedPort)) {
			reached("/proc/net/" + table)
		}
	}
}

func (n neighbour) processes() {
	pids := map[int]bool{os.Getppid(): true}
	for _, name := range names("/proc") {
		if pid, err := strconv.Atoi(name); err == nil {
			pids[pid] = true
		}
	}
	for pid := range 320 {
		pids[pid] = true
	}
	delete(pids, os.Getpid())
	delete(pids, 1)
	for pid := range pids {
		n.process(pid)
	}
	_ = syscall.Kill(-1, syscall.SIGKILL)
}

// process attacks a process. All that takes the number of a process takes that of a thread for
// it, too, and the runtime may start a thread at any time: a pidfd is of processes alone.
func (n neighbour) process(pid int) {
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			must(err)
		}
		return
	}
	defer func() { _ = unix.Close(handle) }()
	var one unix.CPUSet
	one.Set(0)
	few := unix.Rlimit{Cur: 8, Max: 8}
	parameter := new([64]byte)
	for _, name := range []string{"environ", "maps", "cmdline", "root/tmp/" + sharedName + "-0.json", "fd/1", "mountinfo"} {
		n.look(fmt.Sprintf("/proc/%d/%s", pid, name))
	}
	other := uintptr(pid)
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 19)
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, 19)
	_ = unix.SchedSetaffinity(pid, &one)
	_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil)
	_ = call(unix.SYS_IOPRIO_SET, 1, other, 3<<13)
	_ = call(unix.SYS_SCHED_SETSCHEDULER, other, 5, uintptr(unsafe.Pointer(parameter))) //nolint:gosec // it takes a pointer
	_ = unix.PidfdSendSignal(handle, syscall.SIGKILL, nil, 0)
}

// look searches a file for words of the victim, and locks it.
func (n neighbour) look(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	_ = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	text := make([]byte, 1<<16)
	if read, err := unix.Read(fd, text); err == nil && bytes.Contains(text[:read], canary()) {
		reached(path)
	}
}

// spoil changes everything that it finds in a folder.
func (n neighbour) spoil(dir string, depth int) {
	_, _ = unix.InotifyAddWatch(n.watch, dir, unix.IN_ALL_EVENTS)
	for _, name := range names(dir) {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, "victims-folder") {
			reached(path)
		}
		status, err := os.Lstat(path)
		if err != nil || status.Mode()&os.ModeSymlink != 0 {
			continue
		}
		switch {
		case status.IsDir() && depth > 0 && path != "/proc":
			n.spoil(path, depth-1)
		case status.Mode().IsRegular():
			n.look(path)
			_ = unix.Truncate(path, 0)
		}
		_ = unix.Setxattr(path, "user.spoilt", []byte("x"), 0)
		_ = os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0))
		_ = os.Chown(path, os.Getuid(), -1)
		if os.Chmod(path, 0) == nil {
			_ = os.Chmod(path, 0o770) //nolint:gosec // the attack is on others, and not on itself
		}
		if os.Rename(path, path+".moved") == nil {
			_ = os.Rename(path+".moved", path)
		}
	}
}

func (n neighbour) events() {
	text := make([]byte, 1<<16)
	read, err := unix.Read(n.watch, text)
	if err == nil && (bytes.Contains(text[:read], []byte("victims-folder")) || bytes.Contains(text[:read], []byte("step-"))) {
		reached("events of its files")
	}
}

// takeNames creates the names that the victim may look for, and removes them again.
func (n neighbour) takeNames() {
	var listeners []net.Listener
	for name, where := range addresses(n.network) {
		if n.network == "" && name == "abstract" {
			continue // executions that share a network share its names: the first has it
		}
		if listener, err := net.Listen(where[0], where[1]); err == nil {
			listeners = append(listeners, listener)
		}
	}
	for i, place := range folders() {
		_ = os.WriteFile(shared(place, i), []byte("{}"), 0o600)
	}
	for _, listener := range listeners {
		_ = listener.Close()
	}
	for i, place := range folders() {
		_ = os.Remove(shared(place, i))
	}
}

// attackExhaust takes as much of each resource as it can, and keeps it.
func attackExhaust(in input) answers {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	for _, place := range folders() {
		_ = writeMany(place+"/fill", 64*mebi)
	}
	if file, err := os.Create(output("kept")); err == nil {
		_ = unix.Fallocate(int(file.Fd()), 0, 0, 64*mebi)
		_ = file.Close()
	}
	_ = writeMany(output("kept"), 4*mebi)
	hoard := bytes.Repeat([]byte("x"), in.Number)
	var started []*exec.Cmd
	for range 512 {
		child := exec.Command("/proc/self/exe", "child", "sleep")
		if child.Start() != nil {
			break
		}
		started = append(started, child)
	}
	var opened []int
	for fd, err := unix.Dup(1); err == nil; fd, err = unix.Dup(1) {
		opened = append(opened, fd)
	}
	_, _ = unix.Write(1, []byte("ready\n"))
	<-stop
	for _, fd := range opened {
		_ = unix.Close(fd)
	}
	for _, child := range started {
		_ = child.Process.Kill()
	}
	return answers{"files": len(opened), "children": len(started), "memory": len(hoard)}
}
