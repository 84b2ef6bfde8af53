package shape

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// freeValue reads any JSON as encoding/json does, except that a number which a
// float64 would change is a [json.Number].
func freeValue(text []byte) (any, error) {
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return exact(value), nil
}

// exact turns the numbers in a value that a float64 holds without a change into one.
func exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		return exactNumber(v)
	case []any:
		for i, element := range v {
			v[i] = exact(element)
		}
	case map[string]any:
		for name, member := range v {
			v[name] = exact(member)
		}
	}
	return value
}

func exactNumber(n json.Number) any {
	f, err := n.Float64()
	if err != nil || !inRange(n.String()) || parseDecimal(n.String()) != parseDecimal(strconv.FormatFloat(f, 'e', -1, 64)) {
		return n
	}
	return f
}
