package shim

import "errors"

// An Op is the kind of a step; the comments name the members of [Step] that it uses.
type Op uint8

// The operations.
const (
	// OpMount is mount(2): source A, target B, type C, data D, flags N.
	OpMount Op = iota + 1
	// OpMkdir makes the folder A, and those above it, with mode N; one that is
	// there is fine. It belongs to the user M, unless that is 0.
	OpMkdir
	// OpTouch makes the empty file A, and the folders above it.
	OpTouch
	// OpSymlink makes the link B with the target A.
	OpSymlink
	// OpBind shows A, with all mounts in it, at B, with the mount attributes
	// N. The user namespace at descriptor M decides on the owners (0:
	// unchanged).
	OpBind
	// OpAttr sets the mount attributes N of A and of the mounts in it.
	OpAttr
	// OpChdir makes A the current folder.
	OpChdir
	// OpRoot makes the current folder the root, and leaves the old one.
	OpRoot
	// OpJoin makes this process a member of the cgroup whose list of tasks is
	// open at descriptor N.
	OpJoin
	// OpLimit sets the resource limit N to M, and its hard limit to L, or to M
	// if L is 0.
	OpLimit
	// OpLoopback brings the loopback interface up.
	OpLoopback
	// OpRuleset begins a Landlock ruleset: file accesses N, network M, scope L.
	OpRuleset
	// OpAllow adds accesses N below A to the ruleset; a missing A is fine.
	OpAllow
	// OpRestrict enforces the ruleset.
	OpRestrict
	// OpNoPrivileges drops all capabilities, and the ways to get some, for all
	// programs that are executed from now on.
	OpNoPrivileges
	// OpFilter installs the seccomp filter A, an array of struct sock_filter,
	// by the system call N.
	OpFilter
	// OpSubreaper makes the shim the parent of orphans, without a pid namespace.
	OpSubreaper
	// OpUndumpable keeps others from reading the memory of the shim.
	OpUndumpable
	// OpDevice makes the device A with the number N, which all may use.
	OpDevice
	// OpWrite makes the file A with the text B, which all may read.
	OpWrite
	// OpUnmount unmounts A.
	OpUnmount
)

// A Step is one call on the way into the sandbox.
type Step struct {
	Op         Op
	Layer      uint8 // the layer it belongs to, for the report of a failure
	A, B, C, D string
	N, M, L    uint64
}

// A Program is the list of steps of a shim, and its service.
type Program struct {
	Steps []Step
	// Path, Args and Env are the service, Dir where it starts. With an empty
	// path, the shim ends when its sandbox is made: a trial.
	Path string
	Args []string
	Env  []string
	Dir  string
	// UID and GID are the user of the service; 0 is that of the shim.
	UID, GID uint32
	// Users, unless 0, gives the service a user namespace with so many users
	// (and groups), from its user on, in which it has the capabilities Caps.
	Users uint32
	Caps  uint64
}

// maxProgram bounds a program: it holds the environment of a service.
const maxProgram = 64 << 20

var errMalformed = errors.New("malformed message")

// A reader is an io.Reader. Packages such as io are initialised late, and their
// importers after them.
type reader interface {
	Read(b []byte) (n int, err error)
}

func readFull(r reader, b []byte) error {
	for len(b) > 0 {
		n, err := r.Read(b)
		if n == 0 && err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func appendNumber(b []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func putFixed(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
}

func fixed(b []byte) (n uint64) {
	for i := range b {
		n |= uint64(b[i]) << (8 * i)
	}
	return n
}

// Append encodes a program behind b, length first.
func (p *Program) Append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = appendNumber(b, uint64(len(p.Steps)))
	for _, s := range p.Steps {
		b = append(b, byte(s.Op), s.Layer)
		for _, text := range []string{s.A, s.B, s.C, s.D} {
			b = appendString(b, text)
		}
		for _, n := range []uint64{s.N, s.M, s.L} {
			b = appendNumber(b, n)
		}
	}
	b = appendString(b, p.Path)
	b = appendStrings(b, p.Args)
	b = appendStrings(b, p.Env)
	b = appendString(b, p.Dir)
	b = appendNumber(b, uint64(p.UID))
	b = appendNumber(b, uint64(p.GID))
	b = appendNumber(b, uint64(p.Users))
	b = appendNumber(b, p.Caps)
	putFixed(b[start:start+4], uint64(len(b)-start-4))
	return b
}

func appendString(b []byte, s string) []byte {
	return append(appendNumber(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = appendNumber(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// ReadProgram reads the output of Append, and not a byte more.
func ReadProgram(r reader) (*Program, error) {
	var size [4]byte
	if err := readFull(r, size[:]); err != nil {
		return nil, err
	}
	n := fixed(size[:])
	if n > maxProgram {
		return nil, errMalformed
	}
	body := make([]byte, n)
	if err := readFull(r, body); err != nil {
		return nil, err
	}
	p, err := decode(body)
	clear(body) // it holds the environment
	return p, err
}

func decode(body []byte) (*Program, error) {
	d := decoder{rest: body}
	p := &Program{Steps: make([]Step, 0, 64)}
	for n := d.count(); n > 0 && !d.bad; n-- {
		var s Step
		s.Op, s.Layer = Op(d.byte()), d.byte()
		s.A, s.B, s.C, s.D = d.string(), d.string(), d.string(), d.string()
		s.N, s.M, s.L = d.number(), d.number(), d.number()
		p.Steps = append(p.Steps, s)
	}
	p.Path, p.Args, p.Env, p.Dir = d.string(), d.strings(), d.strings(), d.string()
	p.UID, p.GID = uint32(d.number()), uint32(d.number())
	p.Users, p.Caps = uint32(d.number()), d.number()
	if d.bad || len(d.rest) > 0 {
		return nil, errMalformed
	}
	return p, nil
}

type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	var n uint64
	for i := 0; i < len(d.rest) && i < 10; i++ {
		c := d.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			d.bad = d.bad || i == 9 && c > 1
			return n
		}
	}
	d.bad = true
	return 0
}

// count reads the length of a list whose elements take a byte at least.
func (d *decoder) count() uint64 {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) string() string {
	n := d.count()
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for ; n > 0 && !d.bad; n-- {
		list = append(list, d.string())
	}
	return list
}

// A ReportKind is the kind of a report.
type ReportKind uint8

// The kinds of reports.
const (
	// Started: the service runs. The shim sends it once.
	Started ReportKind = iota + 1
	// Failed: step Step failed with Errno, or, where Step is NotStarted, the
	// service could not be started. It is the last report.
	Failed
	// Ended: the service ended with the wait status Status, and the processors
	// have worked Computed microseconds for it and for all of its children that
	// have ended. It is the last report.
	Ended
)

// NotStarted is the step of a service that could not be executed.
const NotStarted = 1<<16 - 1

// A Report is a message of a shim to the server.
type Report struct {
	Kind   ReportKind
	Step   uint16
	Errno  uint32
	Status uint32
	// Computed is in microseconds.
	Computed uint64
}

const reportSize = 19

func (r Report) encode() []byte {
	b := make([]byte, reportSize)
	b[0] = byte(r.Kind)
	putFixed(b[1:3], uint64(r.Step))
	putFixed(b[3:7], uint64(r.Errno))
	putFixed(b[7:11], uint64(r.Status))
	putFixed(b[11:], r.Computed)
	return b
}

// ReadReport reads one report; io.EOF if the shim has ended.
func ReadReport(r reader) (Report, error) {
	var b [reportSize]byte
	if err := readFull(r, b[:]); err != nil {
		return Report{}, err
	}
	return Report{
		Kind:   ReportKind(b[0]),
		Step:   uint16(fixed(b[1:3])),
		Errno:  uint32(fixed(b[3:7])),
		Status: uint32(fixed(b[7:11])), Computed: fixed(b[11:]),
	}, nil
}
