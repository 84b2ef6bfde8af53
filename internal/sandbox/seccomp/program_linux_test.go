package seccomp_test

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/sandbox/seccomp"
)

func profiles() []seccomp.Profile {
	var all []seccomp.Profile
	for i := range 1 << 4 {
		all = append(all, seccomp.Profile{Zygote: i&1 != 0, NoNetwork: i&2 != 0, OwnProcesses: i&4 != 0, OwnIPC: i&8 != 0})
	}
	return all
}

// machine is a filter that runs in this process, on struct seccomp_data.
type machine struct{ vm *bpf.VM }

func build(t testing.TB, a seccomp.Arch, p seccomp.Profile) machine {
	t.Helper()
	raw, err := seccomp.Filter(a, p)
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter has instructions that bpf.VM does not know")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return machine{vm}
}

func decider(t testing.TB, a seccomp.Arch, p seccomp.Profile) func(uint32, [6]uint64) seccomp.Action {
	t.Helper()
	decide, err := seccomp.Decider(a, p)
	if err != nil {
		t.Fatal(err)
	}
	return decide
}

// run passes each word in network byte order, which is that of the VM.
func (m machine) run(t interface{ Fatal(args ...any) }, audit, number uint32, args [6]uint64) seccomp.Action {
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data, number)
	binary.BigEndian.PutUint32(data[4:], audit)
	for i, arg := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(arg))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(arg>>32))
	}
	verdict, err := m.vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return seccomp.Action(verdict)
}

// TestFilterIsTheTable compares the filters with the table: for every number, with
// random arguments and with the values that the rules compare.
func TestFilterIsTheTable(t *testing.T) {
	for _, arch := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		byNumber := map[uint32]string{}
		for name, n := range numbers(t, arch) {
			byNumber[uint32(n)] = name
		}
		for _, profile := range profiles() {
			filter, decide := build(t, arch, profile), decider(t, arch, profile)
			check := func(number uint32, args [6]uint64) {
				want := decide(number, args)
				if got := filter.run(t, arch.Audit(), number, args); got != want {
					t.Fatalf("%s (%d) with %x and %+v: the filter says %#x, want %#x as the table", byNumber[number], number, args, profile, got, want)
				}
			}
			for number := range uint32(600) {
				check(number, [6]uint64{})
				values := seccomp.Values(byNumber[number], profile)
				for arg, list := range values {
					for _, value := range list {
						for _, near := range []uint64{value, value + 1, value - 1, value | 1<<32, ^value} {
							for _, rest := range []uint64{0, 1, ^uint64(0)} {
								args := [6]uint64{rest, rest, rest, rest, rest, rest}
								args[arg] = near
								check(number, args)
							}
						}
					}
				}
			}
		}
	}
}

// TestFilterIsTheTableAtRandom does so with random calls and arguments.
func TestFilterIsTheTableAtRandom(t *testing.T) {
	type key struct {
		arch    seccomp.Arch
		profile seccomp.Profile
	}
	filters := map[key]machine{}
	tables := map[key]func(uint32, [6]uint64) seccomp.Action{}
	for _, arch := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		for _, profile := range profiles() {
			filters[key{arch, profile}] = build(t, arch, profile)
			tables[key{arch, profile}] = decider(t, arch, profile)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		k := key{
			seccomp.Arch(rapid.IntRange(0, 1).Draw(r, "arch")),
			rapid.SampledFrom(profiles()).Draw(r, "profile"),
		}
		number := rapid.OneOf(rapid.Uint32Range(0, 500), rapid.Uint32()).Draw(r, "number")
		var args [6]uint64
		for i := range args {
			args[i] = rapid.OneOf(rapid.Uint64Range(0, 64), rapid.Uint64Range(0, 1<<32), rapid.Uint64()).Draw(r, "arg")
		}
		want := tables[k](number, args)
		if got := filters[k].run(r, k.arch.Audit(), number, args); got != want {
			r.Fatalf("%d: the filter says %#x, want %#x as the table", number, got, want)
		}
	})
}

// TestForkAddsUp stacks the filter of a fork on that of its zygote: together they
// refuse the calls that the table refuses to executions, and no others.
func TestForkAddsUp(t *testing.T) {
	for _, arch := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		fork := build(t, arch, seccomp.Profile{Fork: true})
		for _, want := range profiles() {
			if want.Zygote {
				continue
			}
			zygotes := want
			zygotes.Zygote = true
			zygote, decide := build(t, arch, zygotes), decider(t, arch, want)
			for number := range uint32(600) {
				for _, arg := range []uint64{0, 1, unix.CLONE_NEWNS, unix.CLONE_NEWUSER, unix.CLONE_FILES, ^uint64(0)} {
					args := [6]uint64{arg, arg, arg, arg, arg, arg}
					one, other := zygote.run(t, arch.Audit(), number, args), fork.run(t, arch.Audit(), number, args)
					if got := one == seccomp.Allow && other == seccomp.Allow; got != (decide(number, args) == seccomp.Allow) {
						t.Fatalf("call %d with %#x and %+v: the zygote's filter says %#x and the fork's %#x, want %#x as the table", number, arg, want, one, other, decide(number, args))
					}
				}
			}
		}
	}
}

// TestOtherEntries tries the entries for other architectures: another word for
// the architecture, and the numbers of x32.
func TestOtherEntries(t *testing.T) {
	enosys := seccomp.Refuse(unix.ENOSYS)
	for _, profile := range profiles() {
		amd, arm := build(t, seccomp.AMD64, profile), build(t, seccomp.ARM64, profile)
		for number := range uint32(600) {
			for name, got := range map[string]seccomp.Action{
				"32 bits on amd64": amd.run(t, unix.AUDIT_ARCH_I386, number, [6]uint64{}),
				"32 bits on arm64": arm.run(t, unix.AUDIT_ARCH_ARM, number, [6]uint64{}),
				"arm64 on amd64":   amd.run(t, unix.AUDIT_ARCH_AARCH64, number, [6]uint64{}),
				"x32":              amd.run(t, unix.AUDIT_ARCH_X86_64, number|0x40000000, [6]uint64{}),
			} {
				if got != enosys {
					t.Fatalf("%s: call %d is answered %#x, want ENOSYS", name, number, got)
				}
			}
		}
	}
}
