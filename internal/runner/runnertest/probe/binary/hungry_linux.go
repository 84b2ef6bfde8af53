package main

import (
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// attackStuff fills /tmp, and ignores errors.
func attackStuff(in input) answers {
	if !boundedSize("/tmp", in.Number) {
		return answers{"gave up": "/tmp is not bounded"}
	}
	if err := writeMany("/tmp/stuff", 2*in.Number); err != nil {
		panic(err)
	}
	return answers{}
}

func attackDescriptors(in input) answers {
	if n := resourceLimit(unix.RLIMIT_NOFILE); n < 0 || n > in.Number {
		return answers{"gave up": "no limit of open files is in force"}
	}
	var kept []*os.File
	for range 2 * in.Number {
		f, err := os.Open(os.DevNull)
		if err != nil {
			panic(err)
		}
		kept = append(kept, f)
	}
	return answers{"opened": len(kept)}
}

// attackCompute computes: alone, or by the given number of children in turn, each for a
// short time.
func attackCompute(in input) answers {
	if in.Number == 0 {
		compute(time.Minute)
	}
	for range in.Number {
		if err := exec.Command("/proc/self/exe", "child", "compute").Run(); err != nil {
			panic(err)
		}
	}
	return answers{"computed": strconv.Itoa(in.Number)}
}

func compute(long time.Duration) {
	var used unix.Rusage
	for unix.Getrusage(unix.RUSAGE_SELF, &used) == nil && time.Duration(used.Utime.Nano()) < long {
		for n := range 10_000 {
			used.Maxrss ^= int64(n)
		}
	}
}
