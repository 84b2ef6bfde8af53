package environ

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

const (
	helper = "ENVIRON_TEST_HELPER"
	plain  = "plain=text with = signs"
)

func TestMain(m *testing.M) {
	if os.Getenv(helper) != "" {
		takeAndShow()
		return
	}
	os.Exit(m.Run())
}

// takeAndShow is the program of the test process: its output must hold all variables
// except the value.
func takeAndShow() {
	if taken := Take("SECRET_X", "SECRET_NONE", "SECRET_Y"); len(taken) != 2 || taken["SECRET_X"] != plain || taken["SECRET_Y"] != plain {
		_, _ = os.Stdout.WriteString("not found")
	}
	if len(Take("SECRET_X")) > 0 {
		_, _ = os.Stdout.WriteString("found again")
	}
	initial, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error())
	}
	_, _ = os.Stdout.Write(initial)
}

func TestTakeWipesTheInitialEnvironment(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows, and lets a process change, its initial environment")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self)
	command.Env = []string{"BEFORE=b", helper + "=1", "SECRET_XY=" + "other", "SECRET_X=" + plain, "AFTER=a", "SECRET_Y=" + plain}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	stars := string(bytes.Repeat([]byte{'*'}, len(plain)))
	want := "BEFORE=b\x00" + helper + "=1\x00SECRET_XY=other\x00SECRET_X=" + stars + "\x00AFTER=a\x00SECRET_Y=" + stars + "\x00"
	if string(out) != want {
		t.Errorf("the process shows\n%q, want\n%q", out, want)
	}
}

func TestTake(t *testing.T) {
	t.Setenv("SECRET_EMPTY", "")
	if value, ok := Take("SECRET_EMPTY")["SECRET_EMPTY"]; !ok || value != "" {
		t.Error("an empty variable is a variable")
	}
	if _, ok := os.LookupEnv("SECRET_EMPTY"); ok {
		t.Error("the variable is still there")
	}
	if len(Take("SECRET_EMPTY")) > 0 {
		t.Error("found a variable that is not set")
	}
}
