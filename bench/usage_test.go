package bench

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// ticks is how many a second the kernel counts processor time in, for programs.
const ticks = 100

// tree gives the processes of a server: itself, and what it or they have
// started. Those that end meanwhile are left out. It is empty where there is no
// /proc.
func tree(root int) map[int]procfs.ProcStat {
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil
	}
	all := map[int]procfs.ProcStat{}
	for _, p := range procs {
		if stat, err := p.Stat(); err == nil {
			all[p.PID] = stat
		}
	}
	in := map[int]procfs.ProcStat{}
	for pid, stat := range all {
		for above := pid; above > 1; above = all[above].PPID {
			if above == root {
				in[pid] = stat
				break
			}
		}
	}
	return in
}

// processorTime is that of all processes of a server. What a process took that
// has ended is in that of its parent.
func processorTime(b *testing.B, root int) time.Duration {
	b.Helper()
	var sum int
	for _, stat := range tree(root) {
		sum += int(stat.UTime) + int(stat.STime) + stat.CUTime + stat.CSTime
	}
	return time.Duration(sum) * time.Second / ticks
}

// forgetPeak has peakMB tell of what comes.
func forgetPeak(pid int) {
	// Where it may not be written, the peak is that since the start.
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0o600)
}

// peakMB is the most memory that a process had, without its children.
func peakMB(pid int) float64 {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0
	}
	return float64(status.VmHWM) / 1e6
}

// watchMemory tells the most memory that the processes of a server had
// together while work ran, each page that several have counted once.
func watchMemory(root int, task func()) (most float64) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		task()
	}()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var sum uint64
		for pid := range tree(root) {
			p, err := procfs.NewProc(pid)
			if err != nil {
				continue
			}
			if rollup, err := p.ProcSMapsRollup(); err == nil {
				sum += rollup.Pss
			}
		}
		most = max(most, float64(sum)/1e6)
		select {
		case <-ticker.C:
		case <-done:
			return most
		}
	}
}
