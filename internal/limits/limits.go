// Package limits has the limits of an execution: one type from the words of a
// workspace or a command line to the sandbox that holds them.
package limits

import "time"

// Limits bound one execution. Zero means no bound, or the default of the part that
// holds it.
type Limits struct {
	// Time is how long the execution may take, and Grace how long it may take to
	// end when it is asked to. A Grace of zero means that it is not asked.
	Time, Grace time.Duration
	// CPU is in cores: 0.5 is half the time of one.
	CPU float64
	// CPUTime is how long the processors may work for the execution. It is looked
	// at ten times a second. Each process is ended that takes more.
	CPUTime time.Duration
	// Memory is in bytes, for all processes of the execution together, with the
	// files in its /tmp. Where the machine has no memory cgroups it bounds the data
	// of each process.
	Memory int64
	// Processes is the number of processes and threads, a few of the sandbox not
	// counted.
	Processes int
	// OpenFiles is the number of descriptors of a process.
	OpenFiles int
	// FileSize is the size of a file, in bytes.
	FileSize int64
	// Temp is the size of /tmp, /var/tmp and /dev/shm together, and of each folder
	// of scratch, in bytes. A sandbox without one gives 64 MiB.
	Temp int64
	// Output is how many bytes it may leave in its output folder.
	Output int64
	// Log is how many bytes its log may have.
	Log int64
	// GPU is how many GPUs it may use; zero is none.
	GPU int
}

// Stricter are of each limit the smaller one.
func Stricter(a, b Limits) Limits {
	return Limits{
		Memory: smaller(a.Memory, b.Memory), Output: smaller(a.Output, b.Output),
		Log: smaller(a.Log, b.Log), Temp: smaller(a.Temp, b.Temp), CPU: smaller(a.CPU, b.CPU),
		Processes: smaller(a.Processes, b.Processes), OpenFiles: smaller(a.OpenFiles, b.OpenFiles), GPU: smaller(a.GPU, b.GPU),
		Time: smaller(a.Time, b.Time), CPUTime: smaller(a.CPUTime, b.CPUTime), FileSize: smaller(a.FileSize, b.FileSize),
		Grace: smaller(a.Grace, b.Grace),
	}
}

// smaller takes zero for no limit.
func smaller[N int | int64 | float64 | time.Duration](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
