package devserver

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// confine chooses the sandbox for the executions of a service, and for the import that
// describes it. Inside they see no secrets except those that they are given.
func (s *devServer) confine(ctx context.Context, opened *service) error {
	own, network := s.bounds(opened.Workspace.Limits), workspace.StricterNetwork(s.options.Network, opened.Workspace.Network)
	policy := sandbox.Policy{Network: Networks[network], Limits: sandbox.DefaultLimits()}
	policy.GPUs = limits.Stricter(opened.Workspace.Limits, s.options.Limits).GPU
	if has := len(sandbox.GPUs()); policy.GPUs > has {
		return &gpuError{policy.GPUs, has}
	}
	if policy.Network != sandbox.NetworkFull && (!s.server.Machine().Confines() || !s.server.Machine().Network(policy.Network)) {
		if s.options.Network != "" || s.options.Server.Sandbox.Required {
			return &networkError{network}
		}
		s.log.Warn("this machine cannot limit the network as the workspace asks: executions reach all of it", "network", network)
		policy.Network = sandbox.NetworkFull
	}
	if !s.server.Machine().Confines() {
		return nil
	}
	if err := s.hide(ctx, opened, &policy); err != nil {
		return err
	}
	// These limits concern all executions that are forked from one zygote.
	policy.Limits.CPU, policy.Limits.CPUTime, policy.Limits.Temp = own.CPU, own.CPUTime, own.Temp
	opened.confinement.Sandbox = &process.Sandbox{Machine: s.server.Machine(), Policy: policy}
	if opened.snapshot != nil {
		opened.confinement.Sandbox.HiddenIn = opened.snapshot.HiddenIn
	}
	opened.confinement.Limits = runner.Limits{
		Memory: own.Memory, Processes: own.Processes, CPU: own.CPU, OpenFiles: own.OpenFiles, Temp: own.Temp,
	}
	return nil
}

// Networks maps the names of networks in options and settings to those of a sandbox.
var Networks = map[string]sandbox.Network{
	"": sandbox.NetworkFull, "full": sandbox.NetworkFull, "loopback": sandbox.NetworkLoopback, "none": sandbox.NetworkNone,
}

// gpuError is the error of a service that wants more GPUs than the machine has.
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

// networkError is the error of a network limit that this machine cannot enforce.
type networkError struct{ network string }

func (e *networkError) Error() string {
	return fmt.Sprintf("this machine cannot give executions the network %q", e.network)
}

func (e *networkError) Hint() string {
	return "qhubctl doctor says why, at network; without --network, a service that asks for less is served with a warning"
}

// defaultOutput is the default limit of a result in bytes: more than services return,
// and not enough to fill a disk.
const defaultOutput = 1 << 30

// bounds returns the limits of the command line and the workspace, with defaults for
// those that neither sets.
func (s *devServer) bounds(own limits.Limits) limits.Limits {
	l := limits.Stricter(own, s.options.Limits)
	if s.server.Machine() == nil && (l.Memory != 0 || l.CPU != 0 || l.CPUTime != 0 || l.Processes != 0 || l.OpenFiles != 0 || l.Temp != 0) {
		s.log.Warn("executions are not confined: their memory, cpu, processes, open and temporary files have no limits")
	}
	l.Grace, l.Output = grace, cmp.Or(l.Output, defaultOutput)
	if s.server.Machine() != nil {
		all := sandbox.DefaultLimits()
		l.Memory, l.Processes, l.Temp = cmp.Or(l.Memory, all.Memory), cmp.Or(l.Processes, all.Processes), cmp.Or(l.Temp, all.Temp)
	}
	return l
}
