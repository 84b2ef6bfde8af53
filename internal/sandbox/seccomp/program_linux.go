package seccomp

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The offsets of the members of struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// Unknown is the answer to calls that are not in the table, and to those made
// by the entry for another architecture, whose numbers are others.
var Unknown = Refuse(unix.ENOSYS)

// A Program is a filter as the kernel takes it: an array of struct sock_filter,
// in the byte order of the machine.
type Program string

// made caches filters by their profiles.
var made sync.Map

// Native is the filter of a profile for this program's architecture. It is made
// once, which takes less than a millisecond.
func (p Profile) Native() (Program, error) {
	if program, ok := made.Load(p); ok {
		return program.(Program), nil //nolint:forcetypeassert // it holds no other type
	}
	program, err := p.assemble()
	if err == nil {
		made.Store(p, program)
	}
	return program, err
}

func (p Profile) assemble() (Program, error) {
	arch, ok := Native()
	if !ok {
		return "", errors.New("no filter of system calls for this architecture")
	}
	raw, err := Filter(arch, p)
	if err != nil {
		return "", err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	//nolint:gosec // as the kernel wants it
	return Program(unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(code)*int(unsafe.Sizeof(code[0])))), nil
}

// Filter is the filter of a profile for an architecture. It finds the call by
// binary search, so it takes about eight comparisons. Kernels as of 5.11 learn from
// it which calls are allowed with all arguments, and do not run it for those.
func Filter(a Arch, p Profile) ([]bpf.RawInstruction, error) {
	calls, err := numbered(a)
	if err != nil {
		return nil, err
	}
	ranges := rangesOf(calls, a, p)
	program := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: a.audit(), SkipTrue: 1},
		ret(Unknown),
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
	}, search(ranges)...)
	if len(program) > maxProgram {
		return nil, fmt.Errorf("a filter of %d instructions is too long", len(program))
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("cannot assemble the filter of system calls: %w", err)
	}
	return raw, nil
}

// maxProgram is how long a filter may be in Linux.
const maxProgram = 4096

// A span is a range of numbers, up to the next span, which have one rule.
type span struct {
	from uint32
	rule []clause
}

func rangesOf(calls []Call, a Arch, p Profile) []span {
	unknown := []clause{otherwise(Unknown)}
	if p.Fork {
		unknown = []clause{otherwise(Allow)}
	}
	spans := []span{{0, unknown}}
	add := func(from int, rule []clause) {
		last := &spans[len(spans)-1]
		switch {
		case len(rule) == 1 && len(last.rule) == 1 && rule[0].then == last.rule[0].then:
		case int(last.from) == from:
			last.rule = rule
		default:
			spans = append(spans, span{uint32(from), rule})
		}
	}
	for i, c := range calls {
		n := c.Numbers[a]
		if i > 0 && calls[i-1].Numbers[a]+1 < n {
			add(calls[i-1].Numbers[a]+1, unknown)
		}
		add(n, c.rule(p))
	}
	add(calls[len(calls)-1].Numbers[a]+1, unknown)
	return spans
}

// rule is the rule of a call for a profile.
func (c Call) rule(p Profile) []clause {
	if zygotes := c.Verdict == "zygote" || c.Verdict == "zygote-args"; p.Fork && !zygotes {
		return []clause{otherwise(Allow)}
	}
	switch c.Verdict {
	case "allow":
		return []clause{otherwise(Allow)}
	case "args":
		return rules[c.Name](p)
	case "ipc":
		if p.OwnIPC {
			return []clause{otherwise(Allow)}
		}
		return []clause{otherwise(Refuse(unix.ENOSYS))}
	case "zygote", "zygote-args":
		switch {
		case !p.Zygote:
			return []clause{otherwise(Refuse(unix.EPERM))}
		case c.Verdict == "zygote":
			return []clause{otherwise(Allow)}
		}
		return rules[c.Name](p)
	}
	return []clause{otherwise(Refuse(refusals[c.Verdict]))}
}

// search finds the span of the loaded number by binary search.
func search(spans []span) []bpf.Instruction {
	if len(spans) == 1 {
		return compile(spans[0].rule)
	}
	half := len(spans) / 2
	below, above := search(spans[:half]), search(spans[half:])
	return append(append(skipUnless(bpf.JumpLessThan, spans[half].from, len(below)), below...), above...)
}

// skipUnless skips n instructions if the comparison does not hold.
func skipUnless(cond bpf.JumpTest, value uint32, n int) []bpf.Instruction {
	if n <= 255 {
		return []bpf.Instruction{bpf.JumpIf{Cond: cond, Val: value, SkipFalse: uint8(n)}}
	}
	return []bpf.Instruction{bpf.JumpIf{Cond: cond, Val: value, SkipTrue: 1}, bpf.Jump{Skip: uint32(n)}}
}

// compile turns a rule into instructions; they always return.
func compile(rule []clause) []bpf.Instruction {
	var out []bpf.Instruction
	for _, c := range rule {
		block := []bpf.Instruction{ret(c.then)}
		for i := len(c.when) - 1; i >= 0; i-- {
			block = append(c.when[i].test(len(block)), block...)
		}
		out = append(out, block...)
	}
	return out
}

// test continues behind itself if the condition holds, else n instructions on.
func (c condition) test(n int) []bpf.Instruction {
	at := uint32(offsetArgs + 8*c.arg)
	var out []bpf.Instruction
	out = append(out, bpf.LoadAbsolute{Off: at, Size: 4})
	if c.mask != ^uint32(0) {
		out = append(out, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.mask})
	}
	// Each comparison that holds jumps to hit, behind all of them.
	hit, miss := 0, n
	if c.none {
		hit, miss = n, 0
	}
	for i, value := range c.values {
		left := len(c.values) - 1 - i
		jump := bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: uint8(left + hit)}
		if left == 0 {
			jump.SkipFalse = uint8(miss)
		}
		out = append(out, jump)
	}
	return out
}

func ret(a Action) bpf.Instruction { return bpf.RetConstant{Val: uint32(a)} }
