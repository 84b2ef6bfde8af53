package redacttest

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FindStretch is where eight characters of a secret stand in a text, in it or in what
// it decodes to, or "".
func FindStretch(text, secret string) string {
	const least = 8
	var stretches []string
	runes := []rune(secret)
	for i := 0; i+least <= len(runes); i++ {
		stretches = append(stretches, string(runes[i:i+least]))
	}
	done := map[string]bool{}
	todo := []string{text}
	for range 4 {
		var next []string
		for _, text := range todo {
			if done[text] {
				continue
			}
			done[text] = true
			for _, s := range stretches {
				if at := strings.Index(text, s); at >= 0 {
					return strconv.Quote(text[max(0, at-40):min(len(text), at+40)])
				}
			}
			next = append(next, decodings(text)...)
		}
		todo = next
	}
	return ""
}

var (
	colors    = regexp.MustCompile("\x1b\\[[0-9;:]*[mK]")
	percents  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	quotables = regexp.MustCompile(`=[0-9A-Fa-f]{2}|=\r?\n`)
	escapes   = regexp.MustCompile(`\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)`)
	digitRuns = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}`)
	hexPairs  = regexp.MustCompile(`([0-9a-f]{2}:?){8,}`)
	lineEnds  = regexp.MustCompile(`(\\r|\\n|['"|│\s,=]|\n)*\n(['"|│\s]|\\n)*`)
)

// decodings are what a text may decode to. They are written apart from the views.
func decodings(text string) []string {
	var all []string
	add := func(decoded string) {
		if decoded != text {
			all = append(all, decoded)
		}
	}
	add(html.UnescapeString(text))
	add(colors.ReplaceAllString(text, ""))
	add(percents.ReplaceAllStringFunc(text, func(s string) string { return unhex(s[1:]) }))
	add(percents.ReplaceAllStringFunc(strings.ReplaceAll(text, "+", " "), func(s string) string { return unhex(s[1:]) }))
	add(quotables.ReplaceAllStringFunc(text, func(s string) string { return unhex(strings.TrimLeft(s, "=\r\n")) }))
	add(escapes.ReplaceAllStringFunc(text, func(s string) string {
		switch c := s[1:]; {
		case c[0] == 'x' && len(c) == 3:
			return unhex(c[1:])
		case c[0] == 'u' && len(c) == 5:
			r, _ := strconv.ParseUint(c[1:], 16, 32)
			return string(rune(r))
		case c == "n":
			return "\n"
		case c == "t":
			return "\t"
		default:
			return c
		}
	}))
	add(lineEnds.ReplaceAllString(text, ""))
	add(lineEnds.ReplaceAllString(text, " "))
	if !utf8.ValidString(text) {
		var latin strings.Builder
		for i := range len(text) {
			latin.WriteRune(rune(text[i]))
		}
		add(latin.String())
	}
	var digits strings.Builder
	for _, run := range digitRuns.FindAllString(text, -1) {
		run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
		for shift := range 4 {
			if shift < len(run) {
				part := run[shift:]
				decoded, _ := base64.RawStdEncoding.DecodeString(part[:len(part)/4*4])
				digits.Write(append(decoded, '\n'))
			}
		}
	}
	for _, run := range hexPairs.FindAllString(text, -1) {
		digits.WriteString(unhex(strings.ReplaceAll(run, ":", "")) + "\n")
	}
	return append(all, digits.String())
}

func unhex(digits string) string {
	out, _ := hex.DecodeString(digits)
	return string(out)
}
