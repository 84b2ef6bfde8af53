package limits_test

import (
	"reflect"
	"testing"

	"github.com/qhubctl/qhubctl/internal/limits"
)

// TestStricter takes the smaller one of each field, also of those to come.
func TestStricter(t *testing.T) {
	t.Parallel()
	set := func(l *limits.Limits, field, value int) {
		switch f := reflect.ValueOf(l).Elem().Field(field); f.Kind() {
		case reflect.Float64:
			f.SetFloat(float64(value))
		default:
			f.SetInt(int64(value))
		}
	}
	for i := range reflect.TypeFor[limits.Limits]().NumField() {
		for _, c := range []struct{ a, b, want int }{{1, 2, 1}, {2, 1, 1}, {0, 2, 2}, {2, 0, 2}, {0, 0, 0}, {3, 3, 3}} {
			var a, b, want limits.Limits
			set(&a, i, c.a)
			set(&b, i, c.b)
			set(&want, i, c.want)
			if got := limits.Stricter(a, b); got != want {
				t.Errorf("Stricter(%+v, %+v) = %+v, want %+v", a, b, got, want)
			}
		}
	}
}
