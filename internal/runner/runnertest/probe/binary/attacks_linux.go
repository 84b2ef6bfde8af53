package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// answers are the outcomes of calls: "ok", or the name of the error.
type answers map[string]any

func (a answers) try(name string, err error) {
	errno, is := errors.AsType[syscall.Errno](err)
	switch {
	case err == nil:
		a[name] = "ok"
	case is:
		a[name] = unix.ErrnoName(errno)
	default:
		a[name] = err.Error()
	}
}

// attacks are the attempts of a hostile service. Each one that could reach beyond its
// execution first proves, from inside, that it is confined, and else gives up and says
// so.
var attacks = map[string]func(in input) answers{
	"attack_forks": attackForks, "attack_memory": attackMemory, "attack_disk": attackDisk, "attack_beside": attackBeside,
	"attack_flood": attackFlood, "attack_drops": attackDrops, "attack_deaf": attackDeaf, "attack_survive": attackSurvive,
	"attack_streams": attackStreams, "attack_closed": attackClosed, "attack_signals": attackSignals,
	"attack_processes": attackProcesses, "attack_files": attackFiles, "attack_links": attackLinks, "attack_nodes": attackNodes,
	"attack_modes": attackModes, "attack_hang": attackHang, "attack_huge": attackHuge, "attack_sparse": attackSparse,
	"attack_closet": attackCloset, "attack_deep": attackDeep, "attack_many": attackMany, "attack_names": attackNames,
	"attack_machine": attackMachine, "attack_leave": attackLeave, "attack_find": attackFind,
	"attack_descriptors": attackDescriptors, "attack_compute": attackCompute, "attack_stuff": attackStuff,
	"attack_leases": attackLeases, "attack_schedule": attackSchedule, "attack_standing": attackStanding, "attack_reserve": attackReserve,
	"attack_fallback": attackFallback, "attack_pour": attackPour, "attack_sockets": attackSockets,
	"attack_settle": attackSettle, "attack_trespass": attackTrespass,
	"attack_victim": attackVictim, "attack_neighbour": attackNeighbour, "attack_exhaust": attackExhaust, "attack_hoard": attackHoard,
}

func attack(in input) (map[string]any, error) {
	f, ok := attacks[in.Action]
	if !ok {
		return nil, errors.New("no such action")
	}
	return f(in), nil
}

func output(name string) string { return filepath.Join(os.Getenv("OUTPUT_DIRECTORY"), name) }

func read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.Read(make([]byte, 16))
	if err != nil && err.Error() == "EOF" {
		return nil
	}
	return err
}

func add(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString("x")
		err = errors.Join(err, f.Close())
	}
	return err
}

func listOf(text string) (list []string) {
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		panic(err)
	}
	return list
}

func attackForks(in input) answers {
	held := boundedProcesses(in.Number)
	if held == "" {
		return answers{"gave up": "no limit of processes is in force"}
	}
	fmt.Println("held by", held)
	for range 2 * in.Number {
		if err := exec.Command("/proc/self/exe", "child", "deaf").Start(); err != nil {
			os.Exit(1)
		}
	}
	return answers{}
}

func attackMemory(in input) answers {
	held := boundedMemory(in.Number)
	if held == "" {
		return answers{"gave up": "no limit of memory is in force"}
	}
	fmt.Println("held by", held)
	var hoard [][]byte
	for range 4 * in.Number / mebi {
		hoard = append(hoard, bytes.Repeat([]byte("x"), mebi))
	}
	return answers{"hoarded": len(hoard)}
}

func attackDisk(in input) answers {
	a := answers{}
	for _, place := range []string{os.Getenv("HOME"), os.Getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"} {
		if !boundedSize(place, in.Number) {
			a[place] = "gave up"
			continue
		}
		a.try(place, writeMany(place+"/fill", 2*in.Number))
		_ = os.Remove(place + "/fill")
	}
	return a
}

func writeMany(path string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for range size / mebi {
		if _, err := f.Write(make([]byte, mebi)); err != nil {
			return err
		}
	}
	return nil
}

func attackBeside(input) answers {
	a, out := answers{}, os.Getenv("OUTPUT_DIRECTORY")
	base := filepath.Dir(out)
	a.try("beside", add(base+"/new"))
	a.try("input", add(os.Getenv("INPUT_DIRECTORY")+"/new"))
	a.try("rename", syscall.Rename(out, base+"/moved"))
	a.try("remove", syscall.Rmdir(out))
	return a
}

func attackFlood(in input) answers {
	piece := bytes.Repeat([]byte("x"), 1<<16)
	for range in.Number / len(piece) {
		_, _ = os.Stdout.Write(piece) // all of it, despite interruptions
	}
	return answers{}
}

func attackDrops(in input) answers {
	for range in.Number {
		_, _ = syscall.Write(1, []byte("."))
	}
	return answers{}
}

func attackDeaf(input) answers {
	signal.Ignore()
	fmt.Println("ready")
	select {}
}

func attackSurvive(input) answers {
	for range 3 {
		child := exec.Command("/proc/self/exe", "child", "deaf")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = child.Start()
	}
	return answers{}
}

func attackStreams(input) answers {
	child := exec.Command("/proc/self/exe", "child", "deaf")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	_ = child.Start()
	_, _ = os.Stdout.Close(), os.Stderr.Close()
	return answers{}
}

func attackClosed(input) answers {
	for fd := range 3 {
		_ = syscall.Close(fd)
	}
	return answers{}
}

func attackSignals(input) answers {
	if !alone() {
		return answers{"gave up": "other processes can be seen"}
	}
	fmt.Println("ready")
	return answers{"killed": syscall.Kill(-1, syscall.SIGKILL) == nil}
}

func attackProcesses(in input) answers {
	a := answers{}
	for _, number := range append(listOf(in.Text), "1") {
		for _, name := range []string{"environ", "mem", "fd/0", "fd/1", "maps", "root/etc/passwd", "cwd/x"} {
			// Of number 1 only files that hold data: the shim exists, and shows nothing.
			if number != "1" || name == "environ" || name == "mem" || name == "fd/0" || name == "maps" {
				a.try(number+" "+name, read("/proc/"+number+"/"+name))
			}
		}
		pid, err := strconv.Atoi(number)
		if err != nil {
			panic(err)
		}
		if pid != 1 {
			a.try(number+" signal", syscall.Kill(pid, 0))
		}
		a.try(number+" ptrace", syscall.PtraceAttach(pid))
	}
	return a
}

func attackFiles(in input) answers {
	var places struct{ Hidden, Locked []string }
	if err := json.Unmarshal([]byte(in.Text), &places); err != nil {
		panic(err)
	}
	a := answers{}
	for _, path := range places.Hidden {
		_, err := os.ReadDir(path)
		if err != nil && errors.Is(err, syscall.ENOTDIR) {
			err = read(path)
		}
		a.try("read "+path, err)
		a.try("link "+path, os.Link(path, output("hard")))
		_ = os.Symlink(path, output("soft"))
		a.try("through "+path, read(output("soft")))
		_ = os.Remove(output("soft"))
	}
	for _, path := range places.Locked {
		a.try("write "+path, add(path+"/new"))
		a.try("chmod "+path, os.Chmod(path, 0o777)) //nolint:gosec // that is the attack
	}
	return a
}

func attackLinks(in input) answers {
	a := answers{}
	for i, path := range listOf(in.Text) {
		_ = os.Symlink(path, output(fmt.Sprintf("link-%d", i)))
		a.try(path, os.Link(path, output(fmt.Sprintf("hard-%d", i))))
	}
	for name, target := range map[string]string{"itself": "output.json", "loop": "loop", "up": ".."} {
		_ = os.Symlink(target, output(name))
	}
	_ = os.WriteFile(output("own"), []byte("own"), 0o600)
	_ = os.Link(output("own"), output("own-again"))
	return a
}

func attackNodes(input) answers {
	a := answers{}
	a.try("block", syscall.Mknod(output("block"), 0o600|syscall.S_IFBLK, 7<<8))
	a.try("character", syscall.Mknod(output("character"), 0o600|syscall.S_IFCHR, 1<<8|1))
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		// The path may be longer than a socket's name may.
		_ = os.Chdir(output("."))
		_ = syscall.Bind(fd, &syscall.SockaddrUnix{Name: "socket"})
	}
	_ = syscall.Mkfifo(output("pipe"), 0o600)
	return a
}

func attackModes(input) answers {
	for name, mode := range map[string]uint32{"setuid": 0o6755, "unreadable": 0} {
		_ = os.WriteFile(output(name), []byte("x"), 0o600)
		_ = syscall.Chmod(output(name), mode)
	}
	return answers{}
}

func attackHang(input) answers {
	_ = os.WriteFile(output("output.json"), []byte(`{"done": true}`), 0o600)
	time.Sleep(10 * time.Minute)
	return nil
}

func attackHuge(in input) answers {
	if err := writeMany(output("huge"), in.Number); err != nil {
		os.Exit(1)
	}
	return answers{}
}

func attackSparse(in input) answers {
	f, err := os.Create(output("sparse"))
	if err == nil && f.Truncate(int64(in.Number)) != nil {
		os.Exit(1)
	}
	return answers{}
}

func attackCloset(in input) answers {
	_ = os.Mkdir(output("closet"), 0o700)
	_ = os.WriteFile(output("closet/huge"), make([]byte, in.Number), 0o600)
	_ = os.Chmod(output("closet"), 0)
	return answers{}
}

func attackDeep(in input) answers {
	_ = os.Chdir(output("."))
	for range in.Number {
		_ = syscall.Mkdir("d", 0o700)
		_ = syscall.Chdir("d")
	}
	return answers{}
}

func attackMany(in input) answers {
	for n := range in.Number {
		f, err := os.Create(output(strconv.Itoa(n)))
		if err != nil {
			os.Exit(1)
		}
		_ = f.Close()
	}
	return answers{}
}

func attackNames(input) answers {
	long := string(bytes.Repeat([]byte("n"), 255))
	for _, name := range []string{"line\nend", "\xff\xfe", "\xfd", long, "\x1b[2Jescape", " ", "-rf", "back\\slash", "..."} {
		_ = os.WriteFile(os.Getenv("OUTPUT_DIRECTORY")+"/"+name, []byte("x"), 0o600)
	}
	return answers{}
}

func attackMachine(input) answers {
	a := answers{}
	now := unix.NsecToTimespec(time.Now().UnixNano())
	a.try("clock", unix.ClockSettime(unix.CLOCK_REALTIME, &now))
	a.try("priority", syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10))
	a.try("scheduler", unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0))
	a.try("limits", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}))
	a.try("host", syscall.Sethostname([]byte("hostile")))
	a["root"] = "EPERM"
	if os.Getuid() != 0 {
		a.try("root", syscall.Setuid(0))
	}
	return a
}

// sharedKey names a segment of System V shared memory.
const sharedKey = 0x51AB

func attackLeave(in input) answers {
	listener, err := net.Listen("unix", "@"+in.Text)
	if err == nil {
		defer func() { _ = listener.Close() }()
	}
	_, _ = unix.SysvShmGet(sharedKey, 4096, unix.IPC_CREAT|0o666)
	_ = add("/dev/shm/" + in.Text)
	_ = add("/tmp/" + in.Text)
	fmt.Println("ready")
	select {}
}

func attackFind(in input) answers {
	a := answers{}
	client, err := net.Dial("unix", "@"+in.Text)
	if err == nil {
		_ = client.Close()
	}
	a.try("socket", err)
	_, err = unix.SysvShmGet(sharedKey, 4096, 0)
	a.try("memory", err)
	a.try("shm", read("/dev/shm/"+in.Text))
	a.try("tmp", read("/tmp/"+in.Text))
	return a
}
