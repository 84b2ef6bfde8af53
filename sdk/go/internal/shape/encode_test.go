package shape_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
)

type byPointer struct{ n int }

func (p *byPointer) MarshalJSON() ([]byte, error) { return []byte(`"by pointer"`), nil }

type brokenWriter struct{}

func (brokenWriter) MarshalJSON() ([]byte, error) { return nil, errors.New("out of ink") }

type notJSON struct{}

func (notJSON) MarshalJSON() ([]byte, error) { return []byte(`{"a":`), nil }

type hidden struct {
	Shown int `json:"shown"`
}

type outer struct {
	hidden
	*Point
	Quoted  int       `json:"quoted,string"`
	Empty   []int     `json:"empty,omitempty"`
	Zero    time.Time `json:"zero,omitzero"`
	private int
}

func TestEncode(t *testing.T) {
	five := 5
	for want, value := range map[string]any{
		`null`:                           nil,
		`[]`:                             []int(nil),
		`{}`:                             map[string]int(nil),
		`{"a":null,"b":null,"c":null}`:   map[string]any{"a": math.NaN(), "b": math.Inf(1), "c": float32(math.Inf(-1))},
		`"<b>&\u2028"`:                   "<b>&\u2028",
		`[1,"a",null]`:                   []any{1, "a", nil},
		`5`:                              &five,
		`"PT1M30.5S"`:                    90*time.Second + 500*time.Millisecond,
		`"-PT2562047H47M16.854775808S"`:  time.Duration(math.MinInt64),
		`"AAE="`:                         []byte{0, 1},
		`{"1":2,"10":3}`:                 map[int]int{10: 3, 1: 2},
		`{"10.0.0.1":1}`:                 map[netip.Addr]int{netip.MustParseAddr("10.0.0.1"): 1},
		`1.10`:                           json.Number("1.10"),
		`0`:                              json.Number(""),
		`["by pointer"]`:                 []byPointer{{}},
		`123456789012345678901234567890`: new(big.Int).SetBytes([]byte("\x01\x8e\xe9\x0f\xf6\xc3s\xe0\xeeN?\n\xd2")),
		`{"shown":1,"quoted":"2"}`:       outer{hidden: hidden{1}, Quoted: 2},
		`{"shown":0,"x":3,"y":0,"quoted":"0","empty":[1],"zero":"2024-01-02T00:00:00Z"}`: outer{
			Point: &Point{X: 3}, Empty: []int{1}, Zero: time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC),
		},
	} {
		if got, err := shape.Encode(value); err != nil || string(got) != want {
			t.Errorf("%#v gives %s, %v; want %s", value, got, err, want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	type ring struct{ Next *ring }
	r := &ring{}
	r.Next = r
	for want, value := range map[string]any{
		"refers to itself":          r,
		"cannot hold a chan int":    map[string]any{"c": make(chan int)},
		"out of ink":                []any{brokenWriter{}},
		"unexpected end of JSON":    notJSON{},
		"neither strings nor":       map[float64]int{1.5: 1},
		"is not a number":           json.Number("1x"),
		"neither strings nor integ": map[any]int{nil: 1},
		"two fields are called \"N\"": struct {
			one
			two
		}{},
	} {
		if got, err := shape.Encode(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T gives %s, %v; want %q", value, got, err, want)
		}
	}
}

// jsonValue draws a tree of the parts of results, without those that Encode writes
// differently on purpose.
func jsonValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.String().AsAny(), rapid.Float32().AsAny(),
		rapid.Float64().AsAny(), rapid.Custom(func(t *rapid.T) any { return Point{rapid.Int().Draw(t, "x"), rapid.Float64().Draw(t, "y")} }),
		rapid.Custom(func(t *rapid.T) any { return outer{Quoted: rapid.Int().Draw(t, "quoted"), Point: &Point{}} }),
		rapid.Custom(func(t *rapid.T) any {
			return time.Unix(rapid.Int64Range(0, 1<<35).Draw(t, "at"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		}),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := jsonValue(depth - 1)
	return rapid.OneOf(append(leaves,
		rapid.Custom(func(t *rapid.T) any { return append([]any{}, rapid.SliceOfN(inner, 0, 4).Draw(t, "slice")...) }),
		rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), inner, 0, 4).Draw(t, "map") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.Int(), inner, 0, 4).Draw(t, "ints") }),
	)...)
}

func TestEncodeIsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := jsonValue(3).Draw(t, "value")
		var want strings.Builder
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			t.Skip(err)
		}
		got, err := shape.Encode(value)
		if err != nil || string(got) != strings.TrimSuffix(want.String(), "\n") {
			t.Fatalf("got  %s, %v\nwant %s", got, err, want.String())
		}
	})
}

// TestRoundTrip: a service can read the results of another one with the same type.
func TestRoundTrip(t *testing.T) {
	typ := reflect.TypeFor[Everything]()
	b := build(t, typ)
	level := 1
	value := Everything{
		Base: Base{ID: "abc"}, Point: &Point{X: 1, Y: 0.5}, Limits: Limits{Count: 3, Open: 0.5, Mode: "b", Level: &level},
		Node: Node{Value: 1, Children: []Node{{Value: 2, Next: &Node{}}}, Tree: Tree{{}, {}}}, Colors: []Color{"blue"},
		When: time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC), Takes: -time.Hour, Small: -128, Byte: 255, Exact: "1e2", Even: 2,
		Data: []byte("x"), ByUint: map[uint8]bool{1: true}, Addr: netip.MustParseAddr("::1"), Raw: json.RawMessage(`{"a":1}`), Any: "x",
		ByAddr: map[netip.Addr]any{netip.MustParseAddr("::1"): nil}, Big: big.NewInt(7),
	}
	text, err := shape.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	got, errs := b.decode(string(text))
	if len(errs) > 0 || !reflect.DeepEqual(got, value) {
		t.Errorf("%s\ndecodes as %+v, %v\nwant %+v", text, got, errs, value)
	}
	b.agree(t, string(text))
}

func TestDurations(t *testing.T) {
	typ := reflect.TypeFor[time.Duration]()
	b := build(t, typ)
	for text, want := range map[string]time.Duration{
		"PT0S": 0, "P1W": 7 * 24 * time.Hour, "P1DT2H": 26 * time.Hour, "PT1.5H": 90 * time.Minute, "-PT1S": -time.Second, "1h2m3.5s": time.Hour + 2*time.Minute + 3500*time.Millisecond,
		"PT0.000000001S": 1,
	} {
		if got, errs := b.decode(`"` + text + `"`); len(errs) > 0 || got != want {
			t.Errorf("decode(%s) = %v, %v, want %v", text, got, errs, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "P1Y", "P1M", "PT1S1H", "P1DT", "PTS", "PT-1S", "P99999999999999W", "PT1..5S", "1", "P1H", "PT1e3S"} {
		if got, errs := b.decode(`"` + text + `"`); len(errs) == 0 {
			t.Errorf("decode(%q) = %v, want an error", text, got)
		}
	}
}
