package execution_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/execution"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTransitions repeats the rules as a picture: rows are states, columns their successors.
func TestTransitions(t *testing.T) {
	t.Parallel()
	const columns = "UNKNOWN PENDING RUNNING SUCCEEDED CANCELLED FAILED"
	rows := map[execution.Status]string{
		"UNKNOWN":   "- yes - - - -",
		"PENDING":   "- - yes - yes yes",
		"RUNNING":   "- - - yes yes yes",
		"SUCCEEDED": "- - - - - -",
		"CANCELLED": "- - - - - -",
		"FAILED":    "- - - - - -",
	}
	for _, from := range execution.Statuses() {
		cells := strings.Fields(rows[from])
		for i, to := range strings.Fields(columns) {
			err := execution.Transition(from, execution.Status(to))
			if (err == nil) != (cells[i] == "yes") {
				t.Errorf("Transition(%s, %s) = %v, want allowed: %s", from, to, err, cells[i])
			}
			if err != nil && !errors.Is(err, execution.ErrTransition) {
				t.Errorf("Transition(%s, %s) = %v, want ErrTransition", from, to, err)
			}
		}
		if final := !strings.Contains(rows[from], "yes"); from.Final() != final {
			t.Errorf("%s.Final() = %v, want %v", from, from.Final(), final)
		}
	}
	if err := execution.Transition("LOST", execution.Running); !errors.Is(err, execution.ErrTransition) {
		t.Errorf("Transition(an unknown state) = %v, want ErrTransition", err)
	}
	if execution.Status("LOST").Final() {
		t.Error("an unknown word is final")
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	for _, s := range execution.Statuses() {
		if got, err := execution.ParseStatus(string(s)); err != nil || got != s {
			t.Errorf("ParseStatus(%s) = %s, %v, want the same", s, got, err)
		}
	}
	if _, err := execution.ParseStatus("running"); err == nil {
		t.Error("lower case passed")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	id := execution.NewID()
	parsed, err := uuid.Parse(id.String())
	if err != nil || parsed.Version() != 7 || parsed.Variant() != uuid.RFC4122 {
		t.Errorf("NewID() = %s (%v), want a UUID of version 7", id, err)
	}
	if id == execution.NewID() {
		t.Error("the same id twice")
	}
	if got, err := execution.ParseID(strings.ToUpper(id.String())); err != nil || got != id {
		t.Errorf("ParseID(upper case) = %s, %v, want %s", got, err, id)
	}
	for _, bad := range []string{
		"", "x", "{" + id.String() + "}", "urn:uuid:" + id.String(), id.String() + "/",
		strings.ReplaceAll(id.String(), "-", ""), "../../../../../../../../../etc/passwd", strings.Repeat("g", 36),
	} {
		if got, err := execution.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = %s, want an error", bad, got)
		}
	}
}

func TestExecutionJSON(t *testing.T) {
	t.Parallel()
	const id = execution.ID("8a9c2a5e-6a3f-4d0e-9c5f-0d8f4f3f1a11")
	berlin := time.FixedZone("CET", 3600)
	cases := map[string]struct {
		give execution.Execution
		want string
	}{
		"accepted": {
			execution.Execution{
				ID: id, ServiceID: "s", ServiceRevision: "r1", Status: execution.Pending, Type: execution.Managed,
				CreatedAt: time.Date(2026, 3, 1, 0, 30, 5, 999e6, berlin),
			},
			`{"id":"` + string(id) + `","createdAt":"2026-02-28 23:30:05","startedAt":null,"endedAt":null,` +
				`"status":"PENDING","type":"MANAGED","serviceId":"s","serviceDefinitionId":null,"applicationId":null,"tags":[]}`,
		},
		"failed": {
			execution.Execution{
				ID: id, ServiceID: "s", Status: execution.Failed, Type: execution.Workflow,
				CreatedAt: time.Date(2026, 3, 1, 1, 2, 3, 0, time.UTC),
				StartedAt: time.Date(2026, 3, 1, 1, 2, 4, 0, time.UTC),
				EndedAt:   time.Date(2026, 3, 1, 1, 2, 5, 0, time.UTC),
				Tags:      []string{"a", "b"}, ServiceDefinitionID: "d", ApplicationID: "app",
				CancelRequested: true, Problem: execution.Interrupted(), Result: json.RawMessage(`{"x":1}`),
			},
			`{"id":"` + string(id) + `","createdAt":"2026-03-01 01:02:03","startedAt":"2026-03-01 01:02:04",` +
				`"endedAt":"2026-03-01 01:02:05","status":"FAILED","type":"WORKFLOW","serviceId":"s",` +
				`"serviceDefinitionId":"d","applicationId":"app","tags":["a","b"]}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(c.give)
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\n got %s\nwant %s", err, got, c.want)
			}
			var back execution.Execution
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(back)
			if err != nil || string(again) != c.want {
				t.Errorf("read and written again: %s (%v), want %s", again, err, c.want)
			}
		})
	}
}

func TestExecutionReadsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	var e execution.Execution
	if err := json.Unmarshal([]byte(`{"id":"x","status":"PAUSED","type":"NEW","more":1}`), &e); err != nil {
		t.Fatal(err)
	}
	if e.Status != execution.Unknown || e.Type != execution.Managed || !e.CreatedAt.IsZero() {
		t.Errorf("an unknown state and type become %+v, want UNKNOWN and MANAGED", e)
	}
	if err := json.Unmarshal([]byte(`{"createdAt":"yesterday"}`), &e); err == nil {
		t.Error("a bad time was read")
	}
}

func TestLogEntryJSON(t *testing.T) {
	t.Parallel()
	entry := execution.LogEntry{
		Message: "half \"done\"", Severity: execution.Warning,
		Timestamp: time.Date(2026, 3, 1, 2, 0, 0, 120e6, time.FixedZone("CET", 3600)),
	}
	const want = `{"message":"half \"done\"","severity":"WARNING","timestamp":"2026-03-01T01:00:00.12Z"}`
	got, err := json.Marshal(entry)
	if err != nil || string(got) != want {
		t.Fatalf("Marshal(entry) = %s, %v, want %s", got, err, want)
	}
	var back execution.LogEntry
	if err := json.Unmarshal(got, &back); err != nil || !back.Timestamp.Equal(entry.Timestamp) || back.Message != entry.Message {
		t.Errorf("Unmarshal(entry) = %+v, %v, want %+v", back, err, entry)
	}
	if err := json.Unmarshal([]byte(`{"severity":"LOUD","timestamp":"2026-03-01T01:00:00Z"}`), &back); err != nil ||
		back.Severity != execution.Info {
		t.Errorf("an unknown severity becomes %+v (%v), want INFO", back, err)
	}
}

func TestProblemJSON(t *testing.T) {
	t.Parallel()
	cases := []struct {
		give execution.Problem
		want string
	}{
		{execution.Problem{}, `{"type":"about:blank"}`},
		{
			execution.Problem{Status: 500, Title: "ValueError", Detail: "no", Extensions: map[string]any{"b": 1, "a": []string{"x"}}},
			`{"type":"about:blank","status":500,"title":"ValueError","detail":"no","a":["x"],"b":1}`,
		},
		{
			*execution.TimedOut(90 * time.Second),
			`{"type":"urn:qhubctl:problem:timeout","status":504,"title":"Timeout","detail":"The execution ran longer ` +
				`than the 1m30s it may take and was stopped.","limitSeconds":90}`,
		},
	}
	for _, c := range cases {
		got, err := json.Marshal(c.give)
		if err != nil || string(got) != c.want {
			t.Errorf("%v\n got %s\nwant %s", err, got, c.want)
		}
	}
	if _, err := json.Marshal(execution.Problem{Extensions: map[string]any{"status": 1}}); err == nil {
		t.Error("an extension replaced a standard member")
	}
}

func TestProblemReadsLeniently(t *testing.T) {
	t.Parallel()
	var p execution.Problem
	const document = `{"type":"t","status":"five","title":"T","line":12345678901234567890,"nested":{"a":1}}`
	if err := json.Unmarshal([]byte(document), &p); err != nil {
		t.Fatal(err)
	}
	want := execution.Problem{Type: "t", Title: "T", Extensions: map[string]any{
		"line": json.Number("12345678901234567890"), "nested": map[string]any{"a": json.Number("1")},
	}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("Unmarshal(problem) = %#v, want %#v", p, want)
	}
	if err := json.Unmarshal([]byte(`["no"]`), &p); err == nil {
		t.Error("an array was read as a problem")
	}
}

func TestWellKnownProblemsAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range []*execution.Problem{
		execution.Interrupted(), execution.CancelledByCaller(), execution.TimedOut(time.Second),
		execution.LimitReached("bytes of output", 10), execution.QueueFull(time.Second),
		execution.SecretsUnavailable(), execution.StartFailed("no python3"), execution.Internal(),
	} {
		if p.Status < 400 || p.Title == "" || p.Detail == "" || !strings.HasPrefix(p.Type, "urn:qhubctl:problem:") {
			t.Errorf("the problem is %+v, want a status, a title, a detail and a type", p)
		}
		if seen[p.Type] {
			t.Errorf("two problems have the type %s, want different ones", p.Type)
		}
		seen[p.Type] = true
		if !strings.Contains(p.Error(), p.Title) {
			t.Errorf("Error() = %s, want the title in it", p.Error())
		}
	}
}

func TestMasterKeyMissingSaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := execution.MasterKeyMissing(7, "0a1b2c3d")
	for _, want := range []string{"version 7", "0a1b2c3d", "`qhubctl keys list`"} {
		if !strings.Contains(p.Detail, want) {
			t.Errorf("the detail is %s, want %q in it", p.Detail, want)
		}
	}
	if p.Type != execution.TypeSecrets || p.Status != 500 || p.Extensions["keyVersion"] != uint32(7) || p.Extensions["keyFingerprint"] != "0a1b2c3d" {
		t.Errorf("MasterKeyMissing() = %+v, want the version and the fingerprint", p)
	}
}

func FuzzProblemRoundTrip(f *testing.F) {
	f.Add([]byte(`{"type":"t","status":400,"x":[1,2.50,null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p execution.Problem
		if json.Unmarshal(data, &p) != nil {
			return
		}
		first, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("Marshal(a problem that was read) = %v, want nil", err)
		}
		var q execution.Problem
		if err := json.Unmarshal(first, &q); err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(q)
		if err != nil || string(first) != string(second) {
			t.Fatalf("written twice (%v):\n%s\n%s\nwant the same", err, first, second)
		}
	})
}
