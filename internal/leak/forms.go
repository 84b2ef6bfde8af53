package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// A Form is one text by which a secret can be recognised.
type Form struct {
	// Name says how it was made.
	Name string
	Text string
}

// shortest is the length below which a text proves nothing: it may appear anywhere by
// chance.
const shortest = 8

// Forms are all forms of the secret: of the whole, and of its parts. Each is made
// separately, in the simplest way.
func (c Canary) Forms() []Form {
	var forms []Form
	seen := map[string]bool{}
	add := func(name, text string) {
		if len(text) >= shortest && !seen[text] {
			seen[text] = true
			forms = append(forms, Form{name, text})
		}
	}
	for _, part := range c.parts() {
		for _, encoding := range encodings {
			for _, text := range encoding.texts(part.Text) {
				add(part.Name+encoding.name, text)
			}
		}
	}
	// A mask over a part of it does not count.
	switch c.Shape {
	case Plain, Outer:
		add("first half", c.Value[:len(c.Value)/2])
		add("second half", c.Value[len(c.Value)/2:])
	case Long:
		for at := 0; at+16 <= len(c.Value); at += 8 {
			add("a piece", c.Value[at:at+16])
		}
	default:
	}
	return forms
}

// parts are the texts of which each is secret: the value, its lines, and the strings in
// it if it is JSON.
func (c Canary) parts() []Form {
	parts := []Form{{"", c.Value}, {"trimmed, ", strings.TrimSpace(c.Value)}}
	for line := range strings.Lines(c.Value) {
		if !strings.HasPrefix(line, "-----") { // no secret
			parts = append(parts, Form{"a line, ", strings.TrimSpace(line)})
		}
	}
	var document any
	if c.Shape == JSON && json.Unmarshal([]byte(c.Value), &document) == nil {
		for _, leaf := range leaves(document) {
			parts = append(parts, Form{"a leaf, ", leaf})
			for line := range strings.Lines(leaf) {
				parts = append(parts, Form{"a line of a leaf, ", strings.TrimSpace(line)})
			}
		}
	}
	return parts
}

func leaves(document any) []string {
	var all []string
	switch node := document.(type) {
	case string:
		if node != "account" { // no secret
			all = append(all, node)
		}
	case []any:
		for _, element := range node {
			all = append(all, leaves(element)...)
		}
	case map[string]any:
		for _, element := range node {
			all = append(all, leaves(element)...)
		}
	}
	return all
}

var encodings = []struct {
	name  string
	texts func(string) []string
}{
	{"as it is", func(s string) []string { return []string{s} }},
	{"with CRLF", func(s string) []string { return []string{strings.ReplaceAll(s, "\n", "\r\n")} }},
	{"hexadecimal", func(s string) []string { x := hex.EncodeToString([]byte(s)); return []string{x, strings.ToUpper(x)} }},
	{"base64", base64Texts},
	{"base64 of base64", base64Twice},
	{"hexadecimal of hexadecimal", func(s string) []string {
		return []string{hex.EncodeToString([]byte(hex.EncodeToString([]byte(s))))}
	}},
	{"hexadecimal pairs", hexPairs},
	{"quoted-printable", quotedTexts},
	{"UTF-16", wideTexts},
	{"percent-encoded", percentTexts},
	{"JSON", jsonTexts},
	{"Python", pythonTexts},
	{"Go", func(s string) []string {
		q, a := strconv.Quote(s), strconv.QuoteToASCII(s)
		return []string{q[1 : len(q)-1], a[1 : len(a)-1]}
	}},
	{"shell", shellTexts},
	{"HTML", func(s string) []string {
		return []string{html.EscapeString(s), strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;").Replace(s)}
	}},
}

// base64Texts are the digits that depend on the secret alone, for any text before and
// after it, in one line and line by line.
func base64Texts(s string) []string {
	var texts []string
	for before := range 3 {
		padded := strings.Repeat("x", before) + s
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			digits := encoding.EncodeToString([]byte(padded))
			from, to := (before*8+5)/6, len(padded)*8/6
			texts = append(texts, digits[from:to])
			for _, width := range []int{64, 76} {
				for at := 0; at < to; at += width {
					texts = append(texts, digits[max(at, from):min(at+width, to)])
				}
			}
		}
	}
	return texts
}

// base64Twice are the digits of the digits behind a few bytes.
func base64Twice(s string) []string {
	var texts []string
	for _, before := range []string{"", "u", "user:"} {
		once := base64.StdEncoding.EncodeToString([]byte(before + s))
		from := (len(before)*8 + 5) / 6
		texts = append(texts, base64.StdEncoding.EncodeToString([]byte(once))[(from*8+5)/6:(len(once)-4)*8/6])
	}
	return texts
}

func hexPairs(s string) []string {
	var texts []string
	for _, separator := range []string{":", " ", "-"} {
		pairs := make([]string, len(s))
		for i := range pairs {
			pairs[i] = hex.EncodeToString([]byte{s[i]})
		}
		texts = append(texts, strings.Join(pairs, separator))
	}
	return texts
}

func quotedTexts(s string) []string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c == '=' || c > 0x7e {
			fmt.Fprintf(&b, "=%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	texts := []string{b.String()}
	for line := range strings.SplitSeq(b.String(), "\n") {
		if !strings.HasPrefix(line, "-----") { // no secret
			texts = append(texts, line)
		}
	}
	return texts
}

func wideTexts(s string) []string {
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		little, big = append(little, byte(unit), byte(unit>>8)), append(big, byte(unit>>8), byte(unit))
	}
	return []string{string(little), string(big)}
}

func percentTexts(s string) []string {
	escape := func(keep string, digits string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			if c < 0x80 && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))) || strings.IndexByte("-_.~"+keep, c) >= 0 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, digits, c)
			}
		}
		return b.String()
	}
	texts := []string{url.QueryEscape(s), url.PathEscape(s)}
	for _, digits := range []string{"%%%02X", "%%%02x"} {
		for _, keep := range []string{"", "/", "!'()*", "#$&+,/:;=?@!'()*"} {
			text := escape(keep, digits)
			texts = append(texts, text, strings.ReplaceAll(text, "%20", "+"))
		}
	}
	return texts
}

func jsonTexts(s string) []string {
	var texts []string
	for _, c := range []struct {
		ascii bool
		also  string
	}{{false, ""}, {true, ""}, {false, "<>&"}, {true, "/"}, {false, "/"}} {
		var b strings.Builder
		for _, r := range s {
			switch {
			case r == '"', r == '\\', r == '/' && c.also == "/":
				b.WriteString(`\` + string(r))
			case r == '\n':
				b.WriteString(`\n`)
			case strings.ContainsRune(c.also, r), c.ascii && r > 0x7e && r < 0x10000:
				fmt.Fprintf(&b, `\u%04x`, r)
			case c.ascii && r >= 0x10000:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
			default:
				b.WriteRune(r)
			}
		}
		texts = append(texts, b.String())
	}
	// JSON inside of JSON.
	inside := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(texts[0])
	return append(texts, inside)
}

func pythonTexts(s string) []string {
	text := func(quote string) string {
		return strings.NewReplacer(`\`, `\\`, "\n", `\n`, quote, `\`+quote).Replace(s)
	}
	literal := func(quote byte) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			switch {
			case c == '\\', c == quote:
				b.WriteString(`\` + string(rune(c)))
			case c == '\n':
				b.WriteString(`\n`)
			case c < 0x20 || c > 0x7e:
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	var ascii strings.Builder
	for _, r := range text("'") {
		switch {
		case r < 0x80:
			ascii.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&ascii, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		default:
			fmt.Fprintf(&ascii, `\U%08x`, r)
		}
	}
	return []string{text("'"), text(`"`), literal('\''), literal('"'), ascii.String()}
}

func shellTexts(s string) []string {
	return []string{
		strings.ReplaceAll(s, "'", `'"'"'`), strings.ReplaceAll(s, "'", `'\''`),
		strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`).Replace(s),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(s),
	}
}
