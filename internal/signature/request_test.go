package signature_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
)

const (
	canary     = "canary-4711-value"
	parameters = `
	{"name":"data","kind":"input","required":true,"check":"schema","schema":{"$ref":"#/$defs/Data"}},
	{"name":"n","kind":"input","required":false,"schema":{"anyOf":[{"type":"integer"},{"type":"null"}],"default":null},"check":"schema"},
	{"name":"when","kind":"input","required":false,"schema":{"type":"string","format":"date-time"},"check":"schema"},
	{"name":"api_token","kind":"secret","required":true},
	{"name":"other","kind":"secret","required":false},
	{"name":"models","kind":"datapool","required":true},
	{"name":"extra","kind":"datapool","required":false,"nullable":true}`
	defs = `{"Data":{"type":"object","properties":{"points":{"type":"array","items":{"$ref":"#/$defs/Point"}},"mode":{"enum":["fast","slow"]}},"required":["points"]},
	"Point":{"type":"object","properties":{"x":{"type":"integer","maximum":10},"y":{"type":"number"}},"required":["x"]}}`
	pool = `{"id":"123e4567-e89b-12d3-a456-426614174000","ref":"DATAPOOL"}`
)

func validator(t testing.TB) *signature.Validator {
	t.Helper()
	v, err := parse(t, parameters, defs).Compile()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRequestAccepts(t *testing.T) {
	t.Parallel()
	body := `{"data":{"points":[{"x":1}]},"when":"2024-01-02 03:04:05","models":` + pool + `,"extra":null,
		"$secrets":{"api_token":"` + canary + `\nline \u00e9"},"$tags":["a","b"]}`
	r, err := validator(t).Request([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.Inputs["data"]); got != `{"points":[{"x":1}]}` {
		t.Errorf("data = %s, want the text of the body", got)
	}
	if got := string(r.Secrets["api_token"].Reveal()); got != canary+"\nline é" {
		t.Error("the secret differs from the one in the body, want the same")
	}
	if r.DataPools["models"].Ref != "DATAPOOL" || len(r.DataPools) != 1 {
		t.Errorf("data pools = %v, want models", r.DataPools)
	}
	if !slices.Equal(r.Tags, []string{"a", "b"}) {
		t.Errorf("tags = %v, want a and b", r.Tags)
	}
	r.Clear()
	if r.Secrets["api_token"].Len() != 0 {
		t.Error("Clear left the secret")
	}
}

func TestRequestListsEveryErrorAtOnce(t *testing.T) {
	t.Parallel()
	body := `{"data":{"points":[{"x":1},{"y":2},{"x":11},{"x":"` + canary + `"}],"mode":"` + canary + `"},"n":"1","when":"yesterday",
		"zzz":1,"api_token":"` + canary + `","models":{"ref":"FOLDER","id":"x"},"extra":5,
		"$secrets":{"other":["` + canary + `"],"nosuch":"` + canary + `"},"$tags":["a",null]}`
	_, err := validator(t).Request([]byte(body))
	errs, ok := errors.AsType[signature.Errors](err)
	if !ok {
		t.Fatalf("Request() = %v, want Errors", err)
	}
	var paths []string
	for _, e := range errs {
		paths = append(paths, e.Path)
	}
	want := []string{
		"$secrets.nosuch", "$secrets.other", "$tags", "api_token", "data.mode", "data.points[1].x", "data.points[2].x",
		"data.points[3].x", "extra", "models.id", "models.ref", "n", "when", "zzz",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("paths\n got %q\nwant %q\n%s", paths, want, err)
	}
	if text, _ := json.Marshal(errs); strings.Contains(string(text)+err.Error(), canary) {
		t.Errorf("the error is %s, want no value in it", text)
	}
}

func TestRequestBoundsSecretsTogether(t *testing.T) {
	t.Parallel()
	var parameters, members []string
	for i := range 5 {
		parameters = append(parameters, fmt.Sprintf(`{"name":"s%d","kind":"secret","required":false}`, i))
		members = append(members, fmt.Sprintf(`"s%d":%q`, i, strings.Repeat("x", plaintext.MaxSize)))
	}
	v, err := parse(t, strings.Join(parameters, ","), `{}`).Compile()
	if err != nil {
		t.Fatal(err)
	}
	body := func(n int) []byte { return []byte(`{"$secrets":{` + strings.Join(members[:n], ",") + `}}`) }
	if _, err := v.Request(body(4)); err != nil {
		t.Errorf("Request(256 KiB of secrets) = %v, want none", err)
	}
	if _, err := v.Request(body(5)); err == nil || err.Error() != "$secrets: the secrets are longer than 256 KiB together" {
		t.Errorf("Request(320 KiB of secrets) = %v, want the bound", err)
	}
}

// TestRequestNamesSecretThatIsNoText: among the secrets, bytes that are not UTF-8 are
// reported by name, and the value is not repeated.
func TestRequestNamesSecretThatIsNoText(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"{\"$secrets\":{\"a\":\"" + canary + "\xfc\",\"b\":\"ok\",\"c\":[\"\xfc\"]}}": "$secrets.a,$secrets.c",
		"{\"data\":{\"$secrets\":{\"a\":\"\xfc\"}},\"$secrets\":{\"b\":\"\xfc\"}}":    "$secrets.b",
		"{\"data\":\"\xfc\",\"$secrets\":{\"a\":\"x\"}}":                              "",
		"[\"$secrets\",{\"a\":\"\xfc\"}]":                                             "",
		"{\"$secrets\":\"\xfc\"}":                                                     "",
		"{\"$secrets\":{\"\xfc\":\"x\"}}":                                             "",
		"{\"$secrets\":{\"a\":\"\xfc":                                                 "",
		"\xfc":                                                                        "",
	} {
		_, err := validator(t).Request([]byte(body))
		errs, _ := errors.AsType[signature.Errors](err)
		var paths []string
		for _, e := range errs {
			if e.Path != "" {
				paths = append(paths, e.Path)
			}
		}
		if got := strings.Join(paths, ","); got != want || len(errs) == 0 || strings.Contains(err.Error(), canary) {
			t.Errorf("Request(%.60q) names %q, want %q", body, got, want)
		}
	}
}

func TestRequestRefuses(t *testing.T) {
	t.Parallel()
	ok := `"data":{"points":[]},"models":` + pool
	for name, c := range map[string]struct{ body, want string }{
		"nothing":             {``, "ends too early"},
		"no JSON":             {`hello`, "not JSON"},
		"cut off":             {`{"data":`, "ends too early"},
		"a list":              {`[]`, "must be a JSON object"},
		"a string":            {`"x"`, "must be a JSON object"},
		"text after":          {`{} {}`, "text after"},
		"key twice":           {`{"data":1,"data":2}`, "same key twice"},
		"nested key twice":    {`{"data":{"points":[],"points":[]}}`, "same key twice"},
		"secret twice":        {`{` + ok + `,"$secrets":{"api_token":"a","api_token":"b"}}`, "same key twice"},
		"not UTF-8":           {"{\"data\":\"\xff\"}", "not valid UTF-8"},
		"half a surrogate":    {`{"data":"\ud800"}`, "not JSON"},
		"deep":                {strings.Repeat("[", 100_000), "nested deeper"},
		"deep, closed":        {`{"data":` + strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat("}", 301), "nested deeper"},
		"huge number":         {`{` + ok + `,"n":1e999999999,"$secrets":{"api_token":"x"}}`, "n: holds a number that is out of range"},
		"missing secrets":     {`{` + ok + `}`, "$secrets.api_token: is required"},
		"secrets a list":      {`{` + ok + `,"$secrets":["` + canary + `"]}`, "$secrets: must be an object"},
		"secrets null":        {`{` + ok + `,"$secrets":null}`, "$secrets: must be an object"},
		"secret a number":     {`{` + ok + `,"$secrets":{"api_token":5}}`, "$secrets.api_token: must be a string"},
		"secret null":         {`{` + ok + `,"$secrets":{"api_token":null}}`, "$secrets.api_token: must be a string"},
		"secret in Latin-1":   {`{` + ok + `,"$secrets":{"other":"x","api_token":"Pr` + "\xfc" + `fung"}}`, "$secrets.api_token: is not UTF-8 text"},
		"secret, half a pair": {`{` + ok + `,"$secrets":{"api_token":"\ud800"}}`, "not JSON"},
		"secret too long":     {`{` + ok + `,"$secrets":{"api_token":"` + strings.Repeat("x", plaintext.MaxSize+1) + `"}}`, "$secrets.api_token: is longer than 64 KiB"},
		"secret too long, é":  {`{` + ok + `,"$secrets":{"api_token":"` + strings.Repeat(`\u00e9`, plaintext.MaxSize/2) + `x"}}`, "$secrets.api_token: is longer than 64 KiB"},
		"secret with NUL":     {`{` + ok + `,"$secrets":{"api_token":"a\u0000b"}}`, "$secrets.api_token: holds a NUL"},
		"required pool null":  {`{"data":{"points":[]},"models":null,"$secrets":{"api_token":"x"}}`, "models: must be an object"},
		"pool with more":      {`{"data":{"points":[]},"models":{"id":"123e4567-e89b-12d3-a456-426614174000","ref":"DATAPOOL","z":1},"$secrets":{"api_token":"x"}}`, "models.z: there is no such field"},
		"tags a string":       {`{` + ok + `,"$secrets":{"api_token":"x"},"$tags":"a"}`, "$tags: must be a list"},
		"many keys":           {`{"k":0` + strings.Repeat(`,"k":0`, 1<<20) + `}`, "the body has more than 10000 keys"},
		"many names":          {`{` + ok + numbered(`,"k%d":0`, 10_000) + `}`, "the body has more than 10000 keys"},
		"many secrets":        {`{` + ok + `,"$secrets":{"api_token":"x"` + numbered(`,"k%d":""`, 100_000) + `}}`, "$secrets: has more than 10000 keys"},
		"tags with null":      {`{` + ok + `,"$secrets":{"api_token":"x"},"$tags":["a",null]}`, "$tags: must be a list"},
		"too many tags":       {`{` + ok + `,"$secrets":{"api_token":"x"},"$tags":[` + strings.Repeat(`"a",`, 100) + `"a"]}`, "$tags: has more than 100 tags"},
		"many tags":           {`{` + ok + `,"$secrets":{"api_token":"x"},"$tags":[` + strings.Repeat(`"a",`, 1<<20) + `"a"]}`, "$tags: has more than 100 tags"},
		"tag too long":        {`{` + ok + `,"$secrets":{"api_token":"x"},"$tags":["a","` + strings.Repeat("x", 257) + `"]}`, "$tags[1]: is longer than 256 bytes"},
		"tag too long, é":     {`{` + ok + `,"$secrets":{"api_token":"x"},"$tags":["` + strings.Repeat(`\u00e9`, 129) + `"]}`, "$tags[0]: is longer than 256 bytes"},
		"date out of month":   {`{` + ok + `,"when":"2023-02-29T00:00:00","$secrets":{"api_token":"x"}}`, "when: must be a date-time"},
		"optional of a wrong": {`{` + ok + `,"n":true,"$secrets":{"api_token":"x"}}`, "n: must be an integer or null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := validator(t).Request([]byte(c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error is %v, want no value in it", err)
			}
		})
	}
}

// numbered is a text with numbers from 0 on in it.
func numbered(format string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

// TestLargestTags sends as many tags as a request may have, each as long as it may
// be, in a small body and in a large one.
func TestLargestTags(t *testing.T) {
	t.Parallel()
	tags := `"` + strings.Repeat(strings.Repeat("\u00e9", 128)+`","`, 99) + strings.Repeat("x", 256) + `"`
	for _, size := range []int{0, 1 << 20} {
		body := `{"data":{"points":[]},"models":` + pool + `,"$secrets":{"api_token":"x"},` + strings.Repeat(" ", size) + `"$tags":[` + tags + `]}`
		r, err := validator(t).Request([]byte(body))
		if err != nil {
			t.Fatalf("Request(100 tags of 256 bytes, %d bytes in all) = %v, want none", len(body), err)
		}
		if len(r.Tags) != 100 || r.Tags[0] != strings.Repeat("é", 128) {
			t.Errorf("got %d tags, the first %q, want 100 of 256 bytes", len(r.Tags), r.Tags[0])
		}
		r.Clear()
	}
}

func TestOptionalSecretsAndPoolsAreNotRequired(t *testing.T) {
	t.Parallel()
	s := parse(t, parameters, defs)
	v, err := s.WithOptional(func(p signature.Parameter) bool { return p.Name == "api_token" || p.Name == "models" }).Compile()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Request([]byte(`{"data":{"points":[]}}`)); err != nil {
		t.Error(err)
	}
	if p, _ := s.Lookup("api_token"); !p.Required {
		t.Error("WithOptional changed the original")
	}
}

func FuzzRequest(f *testing.F) {
	v := validator(f)
	f.Add([]byte(`{"data":{"points":[{"x":1}]},"models":` + pool + `,"$secrets":{"api_token":"s3cr3t-value"},"$tags":["a"]}`))
	f.Add([]byte(`{"$secrets":{"api_token":"s3cr3t-value","x":[{}]},"data":null}`))
	f.Add([]byte(`[[[[{"a":1e5}]]]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := v.Request(body)
		if (r == nil) == (err == nil) {
			t.Fatal("neither or both of a request and an error")
		}
		if err == nil {
			if !json.Valid(body) {
				t.Error("Request(no JSON) = nil, want an error")
			}
			return
		}
		if _, ok := errors.AsType[signature.Errors](err); !ok {
			t.Errorf("Request() = an error of type %T, want Errors", err)
		}
	})
}
