package shape

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestFreeNumbers reads numbers as any: float64 where it holds the number.
func TestFreeNumbers(t *testing.T) {
	for text, want := range map[string]any{
		"1": 1.0, "-1.50": -1.5, "0.1": 0.1, "1e3": 1000.0, "1E-7": 1e-7, "0": 0.0, "0.000": 0.0, "-0.0": math.Copysign(0, -1),
		"9007199254740992": 9007199254740992.0, "9007199254740993": json.Number("9007199254740993"),
		"-9007199254740993": json.Number("-9007199254740993"), "12345678901234567890": json.Number("12345678901234567890"),
		"100000000000000000000": 1e20, "0.12345678901234567890123": json.Number("0.12345678901234567890123"), "1e-400": json.Number("1e-400"),
	} {
		got, err := freeValue([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("freeValue(%s) = %T %v, %v, want %T %v", text, got, got, err, want, want)
		}
	}
	got, err := freeValue([]byte(`{"a": [9007199254740993, {"b": 1}], "c": "9007199254740993"}`))
	want := map[string]any{"a": []any{json.Number("9007199254740993"), map[string]any{"b": 1.0}}, "c": "9007199254740993"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("freeValue = %v, %v, want %v", got, err, want)
	}
	if _, err := freeValue([]byte("1e400")); err == nil {
		t.Error("1e400 was read")
	}
}

// TestFreeNumbersKeepTheirValue writes a decoded number, and reads the same number.
func TestFreeNumbersKeepTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		value, err := freeValue(strconv.AppendInt(nil, n, 10))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var again json.Number
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if parseDecimal(string(again)) != parseDecimal(strconv.FormatInt(n, 10)) {
			t.Fatalf("%d became %s, want the same number", n, text)
		}
		f := rapid.Float64().Draw(t, "f")
		if got, err := freeValue(strconv.AppendFloat(nil, f, 'g', -1, 64)); err != nil || got != f {
			t.Fatalf("freeValue(%g) = %v, %v, want it unchanged", f, got, err)
		}
	})
}
