package metricstest_test

import (
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/metrics/metricstest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	histogram := func(middle, last, count string) string {
		return "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} " + middle + "\nh_bucket{le=\"+Inf\"} " + last + "\nh_sum 2\nh_count " + count + "\n"
	}
	for name, c := range map[string]struct{ text, wrong string }{
		"fine":                 {"# HELP a what it is\n# TYPE a counter\na{x=\"1\",y=\"\\\"\\n\\\\\"} 3\na 1e-9\n# TYPE b gauge\nb NaN\n", ""},
		"a histogram":          {histogram("2", "3", "3"), ""},
		"no end":               {"# TYPE a counter\na 1", "no end"},
		"no type":              {"a 1\n", "no type"},
		"a type that is none":  {"# TYPE a number\na 1\n", "no such type"},
		"a type too late":      {"a 1\n# TYPE a counter\n", "no type"},
		"two types":            {"# TYPE a counter\na 1\n# TYPE a counter\n", "twice"},
		"two samples":          {"# TYPE a counter\na{x=\"1\"} 1\na{x=\"1\"} 2\n", "twice"},
		"pieces":               {"# TYPE a counter\na 1\n# TYPE b counter\nb 1\na{x=\"1\"} 1\n", "in pieces"},
		"no number":            {"# TYPE a counter\na one\n", "invalid syntax"},
		"a negative counter":   {"# TYPE a counter\na -1\n", "negative"},
		"a quote":              {"# TYPE a counter\na{x=\"\"\"} 1\n", "no sample"},
		"an escape":            {"# TYPE a counter\na{x=\"\\t\"} 1\n", "no sample"},
		"a label without end":  {"# TYPE a counter\na{x=\"1\", 1\n", "no sample"},
		"a hyphen":             {"# TYPE a counter\na-b 1\n", "no sample"},
		"buckets that fall":    {histogram("0", "3", "3"), "the bucket 1 holds 0"},
		"a bucket too small":   {histogram("2", "2", "3"), "in the last bucket"},
		"a histogram's number": {strings.Replace(histogram("2", "3", "3"), "h_count 3\n", "", 1), "in the last bucket"},
	} {
		_, err := metricstest.Parse(c.text)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("Parse(%s) = %v, want %q", name, err, c.wrong)
		}
	}
}
