package shape

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// formats are those that this package checks for a format tag. Any other name is an
// annotation without limits.
var formats = map[string]func(string) bool{
	"date-time": func(s string) bool { _, err := parseTime(s); return err == nil },
	"date":      func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil },
	"duration":  func(s string) bool { _, err := parseDuration(s); return err == nil },
	"uuid":      isUUID,
	"uri":       isURI,
	"email":     isEmail,
	"ipv4":      func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is4() },
	"ipv6":      func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is6() && a.Zone() == "" },
}

// unsupportedFormats have a meaning in JSON Schema. A caller may check it and this package
// does not, so the two would disagree.
var unsupportedFormats = []string{
	"time", "idn-email", "hostname", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template",
	"json-pointer", "relative-json-pointer", "regex", "period", "semver",
}

var (
	errDateTime = errors.New("not a date and time")
	errDuration = errors.New("not a duration")
)

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if dash && c != '-' || !dash && !hex {
			return false
		}
	}
	return true
}

// isURI accepts texts with a scheme and without characters that must be escaped.
func isURI(s string) bool {
	scheme, rest, found := strings.Cut(s, ":")
	if !found || rest == "" || scheme == "" {
		return false
	}
	for i, c := range []byte(scheme) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return !strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r) })
}

// isEmail accepts plain addresses of common characters, which every reading of the
// standards accepts.
func isEmail(s string) bool {
	local, domain, _ := strings.Cut(s, "@")
	plain := func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune("-._+", r)
	}
	if local == "" || len(local) > 64 || strings.Contains("."+local+".", "..") || strings.ContainsFunc(local, func(r rune) bool { return !plain(r) }) {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		bad := strings.ContainsFunc(label, func(r rune) bool { return !plain(r) || r == '_' || r == '+' })
		if label == "" || len(label) > 63 || bad || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// parseTime reads the date-times of RFC 3339 and those that other languages print by
// default: with a space instead of the T, without seconds, without an offset (UTC), or a
// date alone.
func parseTime(s string) (time.Time, error) {
	if len(s) > 10 && (s[10] == ' ' || s[10] == 't' || s[10] == '_') {
		s = s[:10] + "T" + s[11:]
	}
	if len(s) > 10 && (len(s) < 16 || s[13] != ':') {
		return time.Time{}, errDateTime // time.Parse would accept an hour of one digit
	}
	s = strings.ReplaceAll(strings.Replace(s, ",", ".", 1), "z", "Z")
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", time.DateOnly,
		"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05 Z07:00",
	} {
		if t, err := time.Parse(layout, s); err == nil && isOffset(t) {
			return t, nil
		}
	}
	return time.Time{}, errDateTime
}

// isOffset refuses offsets of a day and more, which time.Parse may accept.
func isOffset(t time.Time) bool {
	_, seconds := t.Zone()
	return -24*3600 < seconds && seconds < 24*3600
}

// parseDuration reads a duration in the form of ISO 8601, of weeks, days, hours, minutes
// and seconds (PT1M30S), or in that of Go (1m30s). Years and months have no fixed length
// and are refused.
func parseDuration(s string) (time.Duration, error) {
	text, negative := strings.CutPrefix(s, "-")
	if !strings.HasPrefix(text, "P") {
		return time.ParseDuration(s)
	}
	date, clock, hasClock := strings.Cut(text[1:], "T")
	total, any1, err := sumDuration(date, "WD", []float64{7 * 24 * 3600, 24 * 3600})
	if err != nil {
		return 0, err
	}
	more, any2, err := sumDuration(clock, "HMS", []float64{3600, 60, 1})
	if err != nil {
		return 0, err
	}
	const most = float64(1<<63-1) / 1e9
	if hasClock && !any2 || !any1 && !any2 || total.Seconds()+more.Seconds() > most {
		return 0, errDuration
	}
	if negative {
		return -(total + more), nil
	}
	return total + more, nil
}

// sumDuration adds up parts such as 1H30M, whose units are in order.
func sumDuration(s, units string, seconds []float64) (total time.Duration, some bool, err error) {
	next := 0
	for s != "" {
		end := strings.IndexAny(s, units)
		if end <= 0 {
			return 0, false, errDuration
		}
		unit := strings.IndexByte(units, s[end])
		if unit < next || strings.Trim(s[:end], "0123456789.") != "" {
			return 0, false, errDuration
		}
		part, err := time.ParseDuration(s[:end] + "s")
		if err != nil {
			return 0, false, err
		}
		scaled := part.Seconds() * seconds[unit]
		if scaled > float64(1<<62)/1e9 {
			return 0, false, errDuration
		}
		total += part * time.Duration(seconds[unit])
		if total < 0 {
			return 0, false, errDuration
		}
		next, some, s = unit+1, true, s[end+1:]
	}
	return total, some, nil
}

// formatDuration writes a duration in the form of ISO 8601.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "PT0S"
	}
	var b strings.Builder
	u := uint64(d)
	if d < 0 {
		b.WriteByte('-')
		u = -u
	}
	b.WriteString("PT")
	if h := u / uint64(time.Hour); h > 0 {
		b.WriteString(strconv.FormatUint(h, 10) + "H")
	}
	if m := u / uint64(time.Minute) % 60; m > 0 {
		b.WriteString(strconv.FormatUint(m, 10) + "M")
	}
	if ns := u % uint64(time.Minute); ns > 0 {
		seconds := strconv.FormatUint(ns/uint64(time.Second), 10)
		if fraction := ns % uint64(time.Second); fraction > 0 {
			seconds += "." + strings.TrimRight(fmt.Sprintf("%09d", fraction), "0")
		}
		b.WriteString(seconds + "S")
	}
	return b.String()
}
