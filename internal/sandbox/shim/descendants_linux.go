package shim

import "syscall"

const (
	shortPause = 500_000    // nanoseconds
	longPause  = 20_000_000 // nanoseconds
)

// endDescendants kills and reaps until no process is left: the children of a killed
// process become ours. The kernel's list of children may miss some while others of
// them end, so it is read again until it is empty.
func endDescendants() {
	for pause := int64(shortPause); ; pause = min(2*pause, longPause) {
		// Most services leave no process. wait checks that first, because reading
		// /proc takes long, and costs the kernel time afterwards.
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return
			}
			if pid == 0 {
				break
			}
		}
		for _, pid := range children() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		// The kernel does not say whether a list is complete.
		_ = syscall.Nanosleep(&syscall.Timespec{Nsec: pause}, nil)
	}
}

// children are those of all threads: orphans go to any of them.
func children() (pids []int) {
	const tasks = "/proc/self/task"
	dir, err := syscall.Open(tasks, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	var names []string
	buffer := make([]byte, 4096)
	for {
		n, err := syscall.ReadDirent(dir, buffer)
		if err != nil || n <= 0 {
			break
		}
		_, _, names = syscall.ParseDirent(buffer[:n], -1, names)
	}
	_ = syscall.Close(dir)
	for _, name := range names {
		pids = append(pids, numbers(tasks+"/"+name+"/children")...)
	}
	return pids
}

// numbers reads a file of numbers.
func numbers(path string) (list []int) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	buffer := make([]byte, 4096)
	number, inside := 0, false
	for {
		n, err := syscall.Read(fd, buffer)
		if err != nil || n <= 0 {
			break
		}
		for _, c := range buffer[:n] {
			switch {
			case c >= '0' && c <= '9':
				number, inside = number*10+int(c-'0'), true
			case inside:
				list = append(list, number)
				number, inside = 0, false
			}
		}
	}
	_ = syscall.Close(fd)
	if inside {
		list = append(list, number)
	}
	return list
}
