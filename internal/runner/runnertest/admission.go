package runnertest

import (
	"errors"
	"testing"
)

// testAdmitted looks at an execution at the moment at which it may begin.
func testAdmitted(t *testing.T, s *subject) {
	job := s.job("sleep")
	asked := 0
	job.Admit = func() error {
		asked++
		if said := stdout(t, job).String(); said != "" {
			t.Errorf("before the execution may begin, it has printed %q", said)
		}
		return nil
	}
	run := s.start(t, job)
	awaitReady(t, job)
	run.Stop()
	if e := end(t, run); !e.Stopped || asked == 0 {
		t.Errorf("an execution that was admitted %d times ends %+v, want it stopped, and at least once", asked, e.Outcome)
	}
}

// testNotAdmitted refuses an execution at the last moment.
func testNotAdmitted(t *testing.T, s *subject) {
	refused := errors.New("refused")
	job := s.job("sleep", token("a-secret-of-nobody"))
	job.Admit = func() error { return refused }
	run, err := s.runner.Start(t.Context(), job)
	if !errors.Is(err, refused) {
		t.Errorf("Start() without admission = %v, want the reason", err)
	}
	if err == nil {
		run.Stop()
		end(t, run)
	}
	if said := stdout(t, job).String(); said != "" {
		t.Errorf("an execution that was refused has printed %q", said)
	}
	if left := processesOf(t, job); len(left) > 0 {
		t.Errorf("the processes %v still run, want none", left)
	}
}
