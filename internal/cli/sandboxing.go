package cli

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// openSandbox looks at what executions can be confined by, and keeps their
// processes away from this one.
func (s *serving) openSandbox() error {
	if s.options.noSandbox {
		return nil
	}
	first, count, _ := s.options.users()
	s.machine = sandbox.Detect(sandbox.Options{FirstID: first, IDs: count})
	s.closers = append(s.closers, func() error { s.machine.Close(); return nil })
	if s.options.requireSandbox {
		if err := s.machine.Require(); err != nil {
			return err
		}
	} else {
		for _, layer := range s.machine.Missing() {
			s.log.Debug("executions are less confined than they could be", "missing", layer.Name, "because", layer.Says)
		}
	}
	return sandbox.Protect()
}

// users are the first of those that executions run as, and how many there are;
// 0 for those by default.
func (o *serveOptions) users() (first, count uint32, ok bool) {
	if o.executionUsers == "" {
		return 0, 0, true
	}
	from, to, found := strings.Cut(o.executionUsers, "-")
	low, err1 := strconv.ParseUint(from, 10, 31)
	high, err2 := strconv.ParseUint(to, 10, 31)
	// The server takes some for executions that start cold, and as many for each
	// process that is forked.
	const lowest, fewest = 1000, 512
	if !found || err1 != nil || err2 != nil || low < lowest || high < low+fewest-1 {
		return 0, 0, false
	}
	return uint32(low), uint32(high - low + 1), true
}

func (o *serveOptions) usersAreRange() bool {
	_, _, ok := o.users()
	return ok
}

// confine says how the executions of a service are sandboxed, and its import
// when it is described. Its secrets are kept from them but for those they are
// given.
func (s *serving) confine(ctx context.Context, opened *service) error {
	own, network := s.limits(opened.workspace.Limits), workspace.StricterNetwork(s.options.network, opened.workspace.Network)
	policy := sandbox.Policy{Network: networks[network], Limits: sandbox.DefaultLimits()}
	policy.GPUs = workspace.StricterLimits(opened.workspace.Limits, s.options.limits).GPU
	if has := len(sandbox.GPUs()); policy.GPUs > has {
		return &gpuError{policy.GPUs, has}
	}
	if policy.Network != sandbox.NetworkFull && (!s.machine.Confines() || !s.machine.Network(policy.Network)) {
		if s.options.network != "" || s.options.requireSandbox {
			return &networkError{network}
		}
		s.log.Warn("executions are not kept from the network, although the workspace says so", "network", network)
		policy.Network = sandbox.NetworkFull
	}
	if !s.machine.Confines() {
		return nil
	}
	if err := s.hide(ctx, opened, &policy); err != nil {
		return err
	}
	// Those that concern all executions which are forked from one process.
	policy.Limits.CPU, policy.Limits.CPUTime, policy.Limits.Temp = own.CPU, own.CPUTime, own.Temp
	opened.sandbox = &process.Sandbox{Machine: s.machine, Policy: policy}
	opened.describeLimits = runner.Limits{
		Memory: own.Memory, Processes: own.Processes, CPU: own.CPU, OpenFiles: own.OpenFiles, Temp: own.Temp,
	}
	return nil
}

// networks are those of a sandbox by the names that people give them.
var networks = map[string]sandbox.Network{
	"": sandbox.NetworkFull, "full": sandbox.NetworkFull, "loopback": sandbox.NetworkLoopback, "none": sandbox.NetworkNone,
}

// gpuError is a wish for more GPUs than there are.
type gpuError struct{ wants, has int }

func (e *gpuError) Error() string {
	has := "none"
	if e.has > 0 {
		has = strconv.Itoa(e.has)
	}
	return fmt.Sprintf("the service wants gpu = %d, and this machine has %s", e.wants, has)
}

func (e *gpuError) Hint() string {
	return "serve it where a GPU and its driver are installed (qhubctl doctor shows GPUs), or lower the limit"
}

// networkError is a network that cannot be held.
type networkError struct{ network string }

func (e *networkError) Error() string {
	return fmt.Sprintf("this machine cannot give executions the network %q", e.network)
}

func (e *networkError) Hint() string {
	return "qhubctl doctor says why, at network; without --network, a service that asks for less is served with a warning"
}

// defaultOutput is how much an execution may leave as its result: more than
// services return, and less than fills a disk.
const defaultOutput = 1 << 30

// limits are those of the command line and the workspace, and defaults for
// what neither sets.
func (s *serving) limits(own workspace.Limits) engine.Limits {
	l := workspace.StricterLimits(own, workspace.StricterLimits(s.options.limits, workspace.Limits{Time: s.options.timeout}))
	if s.machine == nil && (l.Memory != 0 || l.CPU != 0 || l.CPUTime != 0 || l.Processes != 0 || l.OpenFiles != 0 || l.Temp != 0) {
		s.log.Warn("executions are not confined: their memory, cpu, processes, open and temporary files have no limits")
	}
	limits := engine.Limits{
		Concurrency: s.options.concurrency, Grace: grace,
		Time: l.Time, Output: cmp.Or(l.Output, defaultOutput), Log: l.Log,
		Memory: l.Memory, Processes: l.Processes, CPU: l.CPU, OpenFiles: l.OpenFiles, Temp: l.Temp, CPUTime: l.CPUTime,
	}
	if s.machine != nil {
		all := sandbox.DefaultLimits()
		limits.Memory, limits.Processes = cmp.Or(l.Memory, all.Memory), cmp.Or(l.Processes, all.Processes)
		limits.Temp = cmp.Or(l.Temp, all.Temp)
	}
	return limits
}
