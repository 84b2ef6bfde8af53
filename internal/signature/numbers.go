package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

const (
	// maxExponent bounds numbers: 1e999999999 is eleven bytes of a body, and
	// gigabytes as the exact number that a schema's minimum is compared with.
	maxExponent = 4096
	// maxDigits is how many digits of a whole number Python reads.
	maxDigits = 4300
	// infinity stands for a number that is too large for a binary one.
	infinity = "1e4000"
)

var (
	errNotJSON = errors.New("is not JSON")
	errNumber  = errors.New("holds a number that is out of range")
)

// decode reads a JSON text. Its numbers are exact if exact, and else rounded to binary
// numbers. It refuses numbers that are too large.
func decode(text []byte, exact bool) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, errNotJSON
	}
	read := binaryNumber
	if exact {
		read = exactNumber
	}
	value, ok := eachNumber(value, read)
	if !ok {
		return nil, errNumber
	}
	return value, nil
}

// eachNumber passes each number in a value to read, until that fails. It changes lists and
// objects in place.
func eachNumber(value any, read func(json.Number) (json.Number, bool)) (any, bool) {
	switch container := value.(type) {
	case json.Number:
		if number, ok := read(container); !ok || number != container {
			return number, ok
		}
	case []any:
		for i, element := range container {
			number, ok := eachNumber(element, read)
			if !ok {
				return nil, false
			}
			container[i] = number
		}
	case map[string]any:
		for key, element := range container {
			number, ok := eachNumber(element, read)
			if !ok {
				return nil, false
			}
			if _, isNumber := element.(json.Number); isNumber && number != element {
				container[key] = number
			}
		}
	}
	return value, true
}

// binaryNumber rounds a fraction to the number that a service computes with.
func binaryNumber(number json.Number) (json.Number, bool) {
	if !strings.ContainsAny(string(number), ".eE") {
		return number, len(number) <= maxDigits
	}
	f, _ := strconv.ParseFloat(string(number), 64) // out of range is infinity
	switch {
	case math.IsInf(f, 1):
		return infinity, true
	case math.IsInf(f, -1):
		return "-" + infinity, true
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), true
}

// exactNumber returns the number, unless it is too large.
func exactNumber(number json.Number) (json.Number, bool) {
	mantissa, exponent := string(number), ""
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		mantissa, exponent = mantissa[:i], mantissa[i+1:]
	}
	if len(mantissa) > maxExponent {
		return number, false
	}
	if exponent == "" {
		return number, true
	}
	e, err := strconv.Atoi(exponent)
	return number, err == nil && math.Abs(float64(e)) <= maxExponent
}
