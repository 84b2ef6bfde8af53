// Package limits defines the limits of an execution. One type carries them from the
// settings of a workspace or a command line to the sandbox that enforces them.
package limits

import "time"

// Limits bound one execution. Zero means no bound, or the default of the component
// that enforces the limit.
type Limits struct {
	// Time is how long the execution may run. Grace is how long it may take to end
	// after it is asked to. With a Grace of zero it is killed without being asked.
	Time, Grace time.Duration
	// CPU is the number of cores: 0.5 is half the time of one core.
	CPU float64
	// CPUTime is the processor time of the execution. It is checked ten times a
	// second, and a process that uses more is killed.
	CPUTime time.Duration
	// Memory is the memory in bytes of all processes of the execution together,
	// including the files in its /tmp. On a machine without memory cgroups it bounds
	// the data of each process.
	Memory int64
	// Processes is the number of processes and threads, not counting the few of the
	// sandbox itself.
	Processes int
	// OpenFiles is the number of descriptors of each process.
	OpenFiles int
	// FileSize is the size of each file in bytes.
	FileSize int64
	// Temp is the size in bytes of /tmp, /var/tmp and /dev/shm together, and of each
	// scratch folder. In a sandbox, zero means 64 MiB.
	Temp int64
	// Output is the size of the output folder in bytes.
	Output int64
	// Log is the size of the log in bytes.
	Log int64
	// GPU is the number of GPUs; zero means none.
	GPU int
}

// Stricter returns the smaller value of each limit.
func Stricter(a, b Limits) Limits {
	return Limits{
		Memory: smaller(a.Memory, b.Memory), Output: smaller(a.Output, b.Output),
		Log: smaller(a.Log, b.Log), Temp: smaller(a.Temp, b.Temp), CPU: smaller(a.CPU, b.CPU),
		Processes: smaller(a.Processes, b.Processes), OpenFiles: smaller(a.OpenFiles, b.OpenFiles), GPU: smaller(a.GPU, b.GPU),
		Time: smaller(a.Time, b.Time), CPUTime: smaller(a.CPUTime, b.CPUTime), FileSize: smaller(a.FileSize, b.FileSize),
		Grace: smaller(a.Grace, b.Grace),
	}
}

// smaller returns the smaller of two limits, where zero means no limit.
func smaller[N int | int64 | float64 | time.Duration](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
