package shape

import (
	"cmp"
	"strconv"
	"strings"
)

// maxNumber bounds the digits and the exponent of a number: 1e999999999 is short to write
// and takes long to handle exactly.
const maxNumber = 4096

// inRange reports that a JSON number is within the bounds of maxNumber.
func inRange(number string) bool {
	mantissa, exponent := number, ""
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa, exponent = number[:i], number[i+1:]
	}
	if len(mantissa) > maxNumber {
		return false
	}
	if exponent == "" {
		return true
	}
	e, err := strconv.Atoi(exponent)
	return err == nil && -maxNumber <= e && e <= maxNumber
}

// A decimal is an exact number: 0.digits × 10^exponent, without zeros at either
// end of digits; zero has none.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// parseDecimal reads a JSON number that is inRange.
func parseDecimal(number string) decimal {
	var d decimal
	number, d.negative = strings.CutPrefix(number, "-")
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		d.exponent, _ = strconv.Atoi(number[i+1:]) // checked by inRange
		number = number[:i]
	}
	whole, fraction, _ := strings.Cut(number, ".")
	d.exponent += len(whole)
	d.digits = whole + fraction
	trimmed := strings.TrimLeft(d.digits, "0")
	d.exponent -= len(d.digits) - len(trimmed)
	d.digits = strings.TrimRight(trimmed, "0")
	if d.digits == "" {
		return decimal{}
	}
	return d
}

// compare returns -1, 0 or 1.
func (d decimal) compare(other decimal) int {
	if d.negative != other.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	sign := 1
	if d.negative {
		sign = -1
	}
	switch {
	case d.digits == "" || other.digits == "":
		return sign * cmp.Compare(len(d.digits), len(other.digits))
	case d.exponent != other.exponent:
		if d.exponent < other.exponent {
			return -sign
		}
		return sign
	default:
		// A longer number with the same beginning is the greater one, as for
		// strings.
		return sign * strings.Compare(d.digits, other.digits)
	}
}

// integer returns the digits of a whole number: 1.0 and 1e2 are whole as well.
func (d decimal) integer() (string, bool) {
	if d.digits == "" {
		return "0", true
	}
	if d.exponent < len(d.digits) {
		return "", false
	}
	text := d.digits + strings.Repeat("0", d.exponent-len(d.digits))
	if d.negative {
		text = "-" + text
	}
	return text, true
}
