package runnertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
)

const mebi = 1 << 20

// Assaults are all attacks. Numbers are as small as possible: a limit that stops 10,000
// files needs no test with 100,000.
func Assaults() []Assault {
	return append(neighbours(), []Assault{
		{"fork bomb", []string{"process limit|processes"}, forkBomb, "ends FAILED, the problem names the limit; by the limit of each user, without the name"},
		{"memory bomb", []string{"memory limit|privileges"}, memoryBomb, "ends FAILED, the problem names the limit; by the limit of each process, without the name"},
		{"filling /tmp and home", []string{"filesystem"}, diskFiller, "no space: `/tmp`, `TMPDIR` and `HOME` are in memory, and bounded"},
		{"writing beside the output", []string{"filesystem|landlock"}, writeBeside, "refused: input and data pools are read-only"},
		{"no room in /tmp", []string{"filesystem"}, stuffing, "ends FAILED, the problem names the limit"},
		{"open files without end", []string{"privileges"}, descriptors, "refused by the system; ends FAILED, the problem names the limit"},
		{"computing without end", []string{"privileges"}, compute, "ends FAILED, the problem names the limit: of all processes together, by the limit of each process until they end"},
		{"a log without line ends", nil, logFlood, "is read; a server ends it at the log limit"},
		{"a log in single bytes", nil, logDrops, "is read: 300,000 of them; a server ends it at the log limit"},
		{"deaf to signals", nil, deaf, "killed after the grace time"},
		{"survivors", []string{"processes|privileges"}, survivors, "end with the execution, in any session"},
		{"output handed on", []string{"processes|privileges"}, streamsHandedOn, "ends with the execution"},
		{"output closed", nil, streamsClosed, "ends like any other"},
		{"kill -9 -1", []string{"processes"}, killAll, "reaches the execution's own processes alone"},
		{"processes of others", []string{"processes|landlock"}, otherProcesses, "`/proc/N/environ`, `mem`, `fd`, signals and `ptrace`: refused, of the server, of siblings, of the shim"},
		{"files of others", []string{"filesystem|landlock"}, otherFiles, "the platform's data, `.env`, the master key, folders of other executions: not there; the workspace and the environment: read-only"},
		{"links in the output", []string{"filesystem|landlock"}, linkGames, "hard links to others' files are refused; symbolic links are no results"},
		{"devices, sockets and pipes", []string{"privileges"}, nodes, "devices are refused; none is a result"},
		{"set-user-ID and unreadable files", nil, modes, "are results like others: copied, without their modes"},
		{"hanging at the end", nil, hang, "ended by the time limit"},
		{"a huge result", nil, hugeResult, "ended by the output limit, within one file at once"},
		{"a sparse result", nil, sparseResult, "its size counts, not its blocks"},
		{"an unreadable result", nil, closet, "counts as too much"},
		{"folders without end", nil, deepDirs, "counts as too much; removed all the same"},
		{"files without end", nil, manyFiles, "ended at 10,000"},
		{"odd names", nil, oddNames, "are kept, as UTF-8; quoted in the log"},
		{"clock, priority and limits", []string{"privileges", "syscalls|user"}, machine, "refused"},
		{"leases and signals by descriptors", []string{"syscalls"}, leases, "refused: `F_SETLEASE`, `F_SETDELEG`, `F_NOTIFY`, `F_SETOWN`, `FIOASYNC` and their kin, on the workspace, the interpreter and own files"},
		{"priority and processors of others", []string{"syscalls|processes|user"}, schedule, "others, and later executions, keep priority, policy, processors, input priority and limits"},
		{"space without writing", []string{"syscalls"}, reserve, "refused: `fallocate` and similar calls, extended attributes; the C library writes instead"},
		{"writing as fast as the disk", nil, pour, "ended by the output limit, without a time of grace beyond twice the limit"},
		{"sockets that show others", []string{"syscalls"}, sockets, "refused: lists of sockets, packets, devices, the host of a virtual machine, cryptography of the kernel"},
		{"memory left behind", []string{"memory limit|privileges", "filesystem"}, hoard, "is not charged to later executions: files in `/tmp`, `/dev/shm`, `TMPDIR`, `HOME` and the output, files without a name, shared memory"},
		{"messages to others", []string{"filesystem", "ipc"}, messages, "abstract sockets, shared memory, files in `/tmp` and `/dev/shm`: not found by others"},
		{"places of others", []string{"filesystem", "ipc", "processes", "syscalls"}, trespass, "files, sockets, semaphores, queues and folders that have names: not there; nothing watched, changed or signalled; no keys"},
	}...)
}

func list(paths ...string) func(*runner.Job) {
	encoded, _ := json.Marshal(paths)
	return text(string(encoded))
}

func count(n int) func(*runner.Job) { return number(strconv.Itoa(n)) }

func forkBomb(t *testing.T, s *siege) {
	const bound, ownTasks = 48, 16
	e := s.end(t, s.attack("forks", count(bound+ownTasks), limits(runner.Limits{Processes: bound})))
	if e.ExitCode == 0 || s.held("process limit") && e.Limit != runner.ProcessLimit {
		t.Errorf("forks end with %+v, want the process limit", e.Outcome)
	}
}

func memoryBomb(t *testing.T, s *siege) {
	const bound = 128 * mebi
	e := s.end(t, s.attack("memory", count(bound), limits(runner.Limits{Memory: bound})))
	if e.ExitCode == 0 || s.held("memory limit") && e.Limit != runner.MemoryLimit {
		t.Errorf("the execution ends %+v, want the memory limit", e.Outcome)
	}
}

func diskFiller(t *testing.T, s *siege) {
	const bound = 8 * mebi
	for place, answer := range s.answers(t, s.attack("disk", count(bound), limits(runner.Limits{Temp: bound}))) {
		if answer != "ENOSPC" {
			t.Errorf("filling %s answers %s, want ENOSPC", place, answer)
		}
	}
}

func stuffing(t *testing.T, s *siege) {
	const bound = 8 * mebi
	if e := s.end(t, s.attack("stuff", count(bound), limits(runner.Limits{Temp: bound}))); e.Limit != runner.TempLimit {
		t.Errorf("the execution ends %+v, want the limit of temporary files", e.Outcome)
	}
}

func descriptors(t *testing.T, s *siege) {
	const bound = 64
	e := s.end(t, s.attack("descriptors", count(bound), limits(runner.Limits{OpenFiles: bound})))
	if e.ExitCode == 0 || e.Limit != runner.OpenFilesLimit {
		t.Errorf("the execution ends %+v, want the limit of open files", e.Outcome)
	}
}

// compute has one process compute, and then many in turn, each for a short time, which
// only cgroups count together.
func compute(t *testing.T, s *siege) {
	children := []int{0}
	if s.held("cpu limit") {
		children = append(children, 200)
	}
	for _, n := range children {
		e := s.end(t, s.attack("compute", count(n), limits(runner.Limits{CPUTime: time.Second})))
		if e.Limit != runner.CPUTimeLimit {
			t.Errorf("computing with %d children ends %+v, want the cpu-time limit", n, e.Outcome)
		}
	}
}

func writeBeside(t *testing.T, s *siege) {
	var but []string
	if s.held("filesystem") && strings.HasPrefix(s.scratch, "/tmp/") {
		but = append(but, "beside") // it is in the private /tmp then, and bounded
	}
	refused(t, s.answers(t, s.attack("beside")), but...)
}

func logFlood(t *testing.T, s *siege) {
	const size = 64 * mebi
	job := s.attack("flood", count(size))
	if e := s.end(t, job); e.Outcome != (runner.Outcome{}) || stdout(t, job).count < size {
		t.Errorf("the execution ends %+v with %d bytes, want success and all of them", e.Outcome, stdout(t, job).count)
	}
}

func logDrops(t *testing.T, s *siege) {
	const drops = 300_000
	job := s.attack("drops", count(drops))
	if e := s.end(t, job); e.Outcome != (runner.Outcome{}) || stdout(t, job).count < drops {
		t.Errorf("the execution ends %+v with %d bytes, want success and all of them", e.Outcome, stdout(t, job).count)
	}
}

func deaf(t *testing.T, s *siege) {
	job := s.attack("deaf", limits(runner.Limits{Grace: 1}))
	run := s.start(t, job)
	awaitReady(t, job)
	run.Stop()
	if e := end(t, run); e.Signal != "SIGKILL" || !e.Stopped {
		t.Errorf("the execution ends %+v, want SIGKILL after Stop", e.Outcome)
	}
}

func survivors(t *testing.T, s *siege) { s.answers(t, s.attack("survive")) }

func streamsHandedOn(t *testing.T, s *siege) { s.answers(t, s.attack("streams")) }

// streamsClosed may end in any way, if it ends.
func streamsClosed(t *testing.T, s *siege) {
	if e := s.end(t, s.attack("closed")); e.Limit != runner.NoLimit {
		t.Errorf("the execution ends %+v, want no limit", e.Outcome)
	}
}

func killAll(t *testing.T, s *siege) {
	neighbour := s.attack("deaf", limits(runner.Limits{Grace: 1}))
	other := s.start(t, neighbour)
	awaitReady(t, neighbour)
	s.neighbourOf(t, other, neighbour, func() { s.end(t, s.attack("signals")) })
}

// neighbourOf checks that an execution still runs after f, and stops it.
func (s *siege) neighbourOf(t *testing.T, run runner.Run, job runner.Job, f func()) {
	t.Helper()
	defer func() {
		alive := len(processesOf(t, job)) > 0
		run.Stop()
		if e := end(t, run); !alive || !e.Stopped {
			t.Errorf("the neighbour ended with %+v, want it to go on", e.Outcome)
		}
	}()
	f()
}

func otherProcesses(t *testing.T, s *siege) {
	neighbour := s.attack("deaf", limits(runner.Limits{Grace: 1}))
	other := s.start(t, neighbour)
	awaitReady(t, neighbour)
	s.neighbourOf(t, other, neighbour, func() {
		numbers := []string{strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())}
		for _, dir := range processesOf(t, neighbour) {
			numbers = append(numbers, filepath.Base(dir))
		}
		numbers = slices.DeleteFunc(numbers, func(number string) bool {
			n, err := strconv.Atoi(number)
			return err != nil || n < 100 // may be the number of one of its processes
		})
		if len(numbers) == 0 {
			t.Skip("all processes here have numbers that the attacker has too")
		}
		refused(t, s.answers(t, s.attack("processes", list(numbers...))))
	})
}

func otherFiles(t *testing.T, s *siege) {
	neighbour := s.attack("deaf", limits(runner.Limits{Grace: 1}))
	other := s.start(t, neighbour)
	awaitReady(t, neighbour)
	s.neighbourOf(t, other, neighbour, func() {
		dirs, err := filepath.Glob(filepath.Join(s.scratch, "*", "input", "*"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("the folder of the neighbour holds %v (%v), want its inputs", dirs, err)
		}
		places, err := json.Marshal(map[string][]string{"hidden": append(dirs, s.Hidden...), "locked": s.Locked})
		if err != nil {
			t.Fatal(err)
		}
		var landlocked []string
		if !s.held("filesystem") { // Landlock ignores modes
			for _, dir := range s.Locked {
				landlocked = append(landlocked, "chmod "+dir)
			}
		}
		refused(t, s.answers(t, s.attack("files", text(string(places)))), landlocked...)
	})
}

func linkGames(t *testing.T, s *siege) {
	job := s.attack("links", list(append([]string{"/etc/passwd"}, s.Hidden...)...))
	e := s.end(t, job)
	if want := []string{"own", "own-again"}; !slices.Equal(e.files, want) {
		t.Errorf("the execution ends %+v with files %q, want %q\n%s", e.Outcome, e.files, want, job.Stderr)
	}
}

func nodes(t *testing.T, s *siege) {
	job := s.attack("nodes")
	e := s.end(t, job)
	if e.Outcome != (runner.Outcome{}) || len(e.files) > 0 {
		t.Errorf("the execution ends %+v with files %q, want success and none\n%s", e.Outcome, e.files, job.Stderr)
	}
	var answers map[string]string
	if err := json.Unmarshal(e.value, &answers); err != nil {
		t.Fatal(err)
	}
	refused(t, answers)
}

func modes(t *testing.T, s *siege) {
	e := s.end(t, s.attack("modes"))
	if want := []string{"setuid", "unreadable"}; e.Outcome != (runner.Outcome{}) || !slices.Equal(e.files, want) {
		t.Errorf("the execution ends %+v with files %q, want %q", e.Outcome, e.files, want)
	}
}

func hang(t *testing.T, s *siege) {
	e := s.end(t, s.attack("hang", limits(runner.Limits{Time: 2 * time.Second, Grace: 1})))
	if e.Limit != runner.TimeLimit {
		t.Errorf("the execution ends %+v, want the time limit", e.Outcome)
	}
}

// small bounds a result, without the document of a failure; temporary files may be as large.
var small = runner.Limits{Output: 8 * mebi, Temp: 8 * mebi, Grace: 1}

func hugeResult(t *testing.T, s *siege) {
	e := s.end(t, s.attack("huge", count(64*mebi), limits(small)))
	if e.Limit != runner.OutputLimit || e.size > small.Output+mebi {
		t.Errorf("the execution ends %+v with %d bytes, want the output limit", e.Outcome, e.size)
	}
}

func sparseResult(t *testing.T, s *siege) {
	e := s.end(t, s.attack("sparse", count(1<<40), limits(small)))
	if e.ExitCode == 0 || e.size > small.Output+mebi {
		t.Errorf("the execution ends %+v with %d bytes, want a failure below the limit", e.Outcome, e.size)
	}
}

func closet(t *testing.T, s *siege) {
	job := s.attack("closet", count(6*mebi), limits(runner.Limits{Output: 4 * mebi, Temp: 8 * mebi}))
	if e := s.end(t, job); e.Limit != runner.OutputLimit {
		t.Errorf("the execution ends %+v, want the output limit", e.Outcome)
	}
}

// deepDirs makes longer paths than the system allows, and deeper folders than this process
// may have files open.
func deepDirs(t *testing.T, s *siege) {
	if e := s.end(t, s.attack("deep", count(25_000), limits(small))); e.Limit != runner.OutputLimit {
		t.Errorf("the execution ends %+v, want the output limit", e.Outcome)
	}
}

func manyFiles(t *testing.T, s *siege) {
	e := s.end(t, s.attack("many", count(2*runner.MaxEntries), limits(runner.Limits{Grace: 1})))
	if e.Limit != runner.FilesLimit {
		t.Errorf("the execution ends %+v with %d files, want the limit of files", e.Outcome, len(e.files))
	}
}

func oddNames(t *testing.T, s *siege) {
	job := s.attack("names")
	if e := s.end(t, job); e.Outcome != (runner.Outcome{}) || len(e.files) != 9 {
		t.Errorf("the execution ends %+v with files %q, want success and 9\n%s", e.Outcome, e.files, job.Stderr)
	}
}

func machine(t *testing.T, s *siege) { refused(t, s.answers(t, s.attack("machine"))) }

// messages has one execution leave messages for another, which looks while the first runs,
// and afterwards.
func messages(t *testing.T, s *siege) {
	name := fmt.Sprintf("hostile-%d", os.Getpid())
	job := s.attack("leave", text(name), limits(runner.Limits{Grace: 1}))
	run := s.start(t, job)
	awaitReady(t, job)
	var but []string
	if !s.held("landlock") {
		but = append(but, "socket")
	}
	refused(t, s.answers(t, s.attack("find", text(name))), but...)
	run.Stop()
	end(t, run)
	refused(t, s.answers(t, s.attack("find", text(name))))
}
