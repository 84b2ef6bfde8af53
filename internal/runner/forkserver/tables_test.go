//go:build linux

package forkserver_test

import (
	"reflect"
	"strings"
	"testing"
)

// TestTablesAndArrays returns what numpy and pandas compute.
func TestTablesAndArrays(t *testing.T) {
	o := numerical(t, written(t, `
import dataclasses
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

class Report(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    frame: pd.DataFrame
    peak: object

@dataclasses.dataclass
class Holder:
    report: Report

frame = pd.DataFrame({'a': [1, 2], 'b': ['x', None], 'at': pd.to_datetime(['2024-01-01', None])})

def run(action: str):
    if action == 'twice':
        return {'rows': [pd.DataFrame([[1, 2]], columns=['a', 'a'])]}
    if action == 'groups':
        return {'rows': [1, frame.groupby('a')]}
    return {
        'frame': frame, 'series': frame['at'], 'index': frame.index, 'missing': [pd.NaT, pd.NA, np.nan, np.inf],
        'tree': Holder(Report(frame=frame[['a']], peak=np.float32(1.5))),
        'scalars': [np.int64(5), np.bool_(True), np.str_('s'), pd.Timestamp('2024-01-01'), pd.Timedelta('1D')],
        'arrays': [np.eye(2), np.array(7), np.array(['2024-01-01', 'NaT'], dtype='datetime64[ns]')],
        'records': np.array([(1, 2.5)], dtype=[('n', int), ('x', float)]),
        'keys': {np.int64(1): 'one', pd.Timestamp('2024-01-01'): 'day'},
    }
`, nil))
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	type list = []any
	type object = map[string]any
	rows := list{object{"a": 1.0, "b": "x", "at": "2024-01-01T00:00:00"}, object{"a": 2.0, "b": nil, "at": nil}}
	want := object{
		"frame": rows, "series": list{"2024-01-01T00:00:00", nil}, "index": list{0.0, 1.0}, "missing": list{nil, nil, nil, nil},
		"tree":    object{"report": object{"frame": list{object{"a": 1.0}, object{"a": 2.0}}, "peak": 1.5}},
		"scalars": list{5.0, true, "s", "2024-01-01T00:00:00", "P1D"},
		"arrays":  list{list{list{1.0, 0.0}, list{0.0, 1.0}}, 7.0, list{"2024-01-01T00:00:00", nil}},
		"records": list{object{"n": 1.0, "x": 2.5}},
		"keys":    object{"1": "one", "2024-01-01T00:00:00": "day"},
	}
	got := do(t, r, "x")
	for name, value := range want {
		if !reflect.DeepEqual(got.value[name], value) {
			t.Errorf("run(%s) = %v, want %v\n%s", name, got.value[name], value, got.stderr)
		}
	}
	for action, place := range map[string]string{
		"twice":  "result.rows[0]: cannot represent a value of the type DataFrame with columns of the same name",
		"groups": "result.rows[1]: cannot represent a value of the type DataFrameGroupBy",
	} {
		if failed := do(t, r, action); !strings.Contains(failed.stderr, place) {
			t.Errorf("run(%s) printed %q, want %q", action, failed.stderr, place)
		}
	}
}
