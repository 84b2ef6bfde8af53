package redacttest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// An Encoder writes a text in another way, as some library does. What it draws
// at random it draws once, from the seed: the same for any text. Encoders are
// written apart from the masker, which undoes them.
type Encoder struct {
	Name   string
	Encode func(text []byte) []byte
	// Frames says that it breaks lines, so that what it is given should be one.
	Frames bool
}

// Encoders draws one encoder of each family.
func Encoders(rng *rand.Rand) []Encoder {
	return []Encoder{
		percentEncoder(rng), jsonEncoder(rng), pythonEncoder(rng), goEncoder(rng), shellEncoder(rng), backslashEncoder(rng),
		entityEncoder(rng), quotedEncoder(rng), base64Encoder(rng), hexEncoder(rng),
	}
}

// Printers draws one printer of each kind that breaks lines.
func Printers(rng *rand.Rand) []Encoder {
	return []Encoder{boxPrinter(rng), wrapPrinter(rng), literalPrinter(rng), foldPrinter(rng)}
}

// Compose draws a chain of up to depth encoders, and applies it.
func Compose(rng *rand.Rand, depth int) Encoder {
	var chain []Encoder
	var names []string
	for range 1 + rng.IntN(depth) {
		all := Encoders(rng)
		e := all[rng.IntN(len(all))]
		chain = append(chain, e)
		names = append(names, e.Name)
	}
	return Encoder{Name: strings.Join(names, ", then "), Encode: func(text []byte) []byte {
		for _, e := range chain {
			text = e.Encode(text)
		}
		return text
	}}
}

// eachByte encodes byte by byte.
func eachByte(encode func(out *bytes.Buffer, c byte)) func([]byte) []byte {
	return func(text []byte) []byte {
		var out bytes.Buffer
		for _, c := range text {
			encode(&out, c)
		}
		return out.Bytes()
	}
}

func alphanumeric(c byte) bool { return strings.IndexByte(alphabet, c) >= 0 }

// subset draws some of the characters of a text.
func subset(rng *rand.Rand, of string) string {
	var kept []byte
	for i := range len(of) {
		if rng.IntN(2) == 0 {
			kept = append(kept, of[i])
		}
	}
	return string(kept)
}

func percentEncoder(rng *rand.Rand) Encoder {
	safe := subset(rng, "-_.~!$'()*,;:@/?[]#&+=\"<>{}|^`\\")
	format := []string{"%%%02X", "%%%02x"}[rng.IntN(2)]
	all, plus := rng.IntN(8) == 0, rng.IntN(3) == 0
	return Encoder{Name: "percent " + format + " without " + safe + map[bool]string{true: " all"}[all], Encode: eachByte(func(out *bytes.Buffer, c byte) {
		switch {
		case c == ' ' && plus:
			out.WriteByte('+')
		case c == '%', c == '+' && plus, all, !alphanumeric(c) && strings.IndexByte(safe, c) < 0:
			fmt.Fprintf(out, format, c)
		default:
			out.WriteByte(c)
		}
	})}
}

func jsonEncoder(rng *rand.Rand) Encoder {
	ascii, also := rng.IntN(2) == 0, subset(rng, "/<>&'+`")
	format := []string{`\u%04x`, `\u%04X`}[rng.IntN(2)]
	quote := rng.IntN(2) == 0
	return Encoder{Name: "JSON", Encode: func(text []byte) []byte {
		var out bytes.Buffer
		if quote {
			out.WriteByte('"')
		}
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			short := strings.IndexByte("\b\f\n\r\t\"\\", text[0])
			switch {
			case r == utf8.RuneError && size == 1:
				out.WriteByte(text[0])
			case short >= 0:
				out.WriteString(`\` + `bfnrt"\`[short:short+1])
			case r == '/' && strings.Contains(also, "/"):
				out.WriteString(`\/`)
			case r < 0x20, r < 0x80 && strings.ContainsRune(also, r), r > 0x7e && r <= 0xffff && ascii:
				fmt.Fprintf(&out, format, r)
			case r > 0xffff && ascii:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(&out, format+format, high, low)
			default:
				out.Write(text[:size])
			}
			text = text[size:]
		}
		if quote {
			out.WriteByte('"')
		}
		return out.Bytes()
	}}
}

func pythonEncoder(rng *rand.Rand) Encoder {
	quote := []rune{'\'', '"'}[rng.IntN(2)]
	kind := rng.IntN(3) // repr of a text, ascii() of it, repr of bytes
	return Encoder{Name: "Python " + []string{"repr", "ascii", "bytes"}[kind], Encode: func(text []byte) []byte {
		var out bytes.Buffer
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			if kind == 2 || r == utf8.RuneError {
				r, size = rune(text[0]), 1
			}
			short := strings.IndexRune("\n\r\t", r)
			switch {
			case r == '\\' || r == quote:
				out.WriteString(`\` + string(r))
			case short >= 0:
				out.WriteString(`\` + "nrt"[short:short+1])
			case r >= 0x20 && r < 0x7f, kind == 0 && size > 1 && unicode.IsPrint(r):
				out.Write(text[:size])
			case r < 0x100:
				fmt.Fprintf(&out, `\x%02x`, r)
			case r < 0x10000:
				fmt.Fprintf(&out, `\u%04x`, r)
			default:
				fmt.Fprintf(&out, `\U%08x`, r)
			}
			text = text[size:]
		}
		return out.Bytes()
	}}
}

func goEncoder(rng *rand.Rand) Encoder {
	quote := []func(string) string{strconv.Quote, strconv.QuoteToASCII}[rng.IntN(2)]
	return Encoder{Name: "Go", Encode: func(text []byte) []byte { return []byte(quote(string(text))) }}
}

func shellEncoder(rng *rand.Rand) Encoder {
	switch rng.IntN(3) {
	case 0:
		return Encoder{Name: "shell $'…'", Encode: eachByte(func(out *bytes.Buffer, c byte) {
			short := strings.IndexByte("\a\b\x1b\f\n\r\t\v\\'", c)
			switch {
			case short >= 0:
				out.WriteString(`\` + `abEfnrtv\'`[short:short+1])
			case c < 0x20 || c > 0x7e:
				fmt.Fprintf(out, `\%03o`, c)
			default:
				out.WriteByte(c)
			}
		})}
	case 1:
		special := `"\$` + "`" + subset(rng, "!*?<>&|;()#~ ")
		return Encoder{Name: "shell, backslashes", Encode: eachByte(func(out *bytes.Buffer, c byte) {
			if strings.IndexByte(special, c) >= 0 {
				out.WriteByte('\\')
			}
			out.WriteByte(c)
		})}
	}
	inner := []string{`'\''`, `'"'"'`}[rng.IntN(2)]
	return Encoder{Name: "shell, quotes", Encode: func(text []byte) []byte {
		return []byte("'" + strings.ReplaceAll(string(text), "'", inner) + "'")
	}}
}

func backslashEncoder(rng *rand.Rand) Encoder {
	format := []string{`\x%02x`, `\x%02X`, `\u%04x`, `\u{%x}`, `\%03o`, `\U%08x`}[rng.IntN(6)]
	all := rng.IntN(3) == 0
	bytewise := strings.HasPrefix(format, `\x`) || strings.HasPrefix(format, `\%`)
	return Encoder{Name: "backslash " + format, Encode: func(text []byte) []byte {
		var out bytes.Buffer
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			if bytewise || r == utf8.RuneError {
				r, size = rune(text[0]), 1
			}
			if !all && r < 0x80 && alphanumeric(byte(r)) {
				out.WriteByte(byte(r))
			} else {
				fmt.Fprintf(&out, format, r)
			}
			text = text[size:]
		}
		return out.Bytes()
	}}
}

func entityEncoder(rng *rand.Rand) Encoder {
	if rng.IntN(2) == 0 {
		return Encoder{Name: "HTML", Encode: func(text []byte) []byte { return []byte(html.EscapeString(string(text))) }}
	}
	format := []string{"&#%d;", "&#x%x;", "&#x%X;", "&#x%04x;", "&#%03d;"}[rng.IntN(5)]
	all := rng.IntN(4) == 0 && format != "&#%d;" // which has twins of other lengths
	return Encoder{Name: "XML " + format, Encode: func(text []byte) []byte {
		var out strings.Builder
		for _, r := range string(text) {
			if all || r > 0x7e || strings.ContainsRune(`&<>"'`, r) {
				fmt.Fprintf(&out, format, r)
			} else {
				out.WriteRune(r)
			}
		}
		return []byte(out.String())
	}}
}

func quotedEncoder(rng *rand.Rand) Encoder {
	width := []int{76, 40, 20, 1 << 20}[rng.IntN(4)]
	lineEnd := []string{"\n", "\r\n"}[rng.IntN(2)]
	return Encoder{Name: "quoted-printable " + strconv.Itoa(width), Encode: func(text []byte) []byte {
		var out bytes.Buffer
		column := 0
		for _, c := range text {
			piece := string([]byte{c})
			if c == '=' || c < 0x20 || c > 0x7e {
				piece = fmt.Sprintf("=%02X", c)
			}
			if column+len(piece) >= width {
				out.WriteString("=" + lineEnd)
				column = 0
			}
			out.WriteString(piece)
			column += len(piece)
		}
		return out.Bytes()
	}}
}

func base64Encoder(rng *rand.Rand) Encoder {
	encoding := []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding}[rng.IntN(4)]
	b := breaker(rng)
	return Encoder{Name: "base64" + b.name, Encode: func(text []byte) []byte { return b.broken(encoding.EncodeToString(text)) }}
}

func hexEncoder(rng *rand.Rand) Encoder {
	format := []string{"%02x", "%02X"}[rng.IntN(2)]
	separator := ""
	if rng.IntN(3) == 0 {
		separator = []string{":", " ", "-", ", ", ", 0x", " 0x", ","}[rng.IntN(7)]
	}
	b := breaker(rng)
	if separator != "" {
		b = lineBreaker{width: 1 << 30}
	}
	return Encoder{Name: "hexadecimal" + strconv.Quote(separator) + b.name, Encode: func(text []byte) []byte {
		digits := make([]string, len(text))
		for i, c := range text {
			digits[i] = fmt.Sprintf(format, c)
		}
		return b.broken(strings.Join(digits, separator))
	}}
}

// A lineBreaker breaks digits after so many.
type lineBreaker struct {
	width     int
	separator string
	name      string
}

func breaker(rng *rand.Rand) lineBreaker {
	if rng.IntN(2) == 0 {
		return lineBreaker{width: 1 << 30}
	}
	width := []int{76, 64, 60, 72, 16, 16 + rng.IntN(100)}[rng.IntN(6)]
	separator := []string{"\n", "\r\n", "\n    ", "\n\t", "\n ", "'\n  '", "\",\n\"", "\" +\n    \"", "\" \\\n  \"", "',\n '", `\n`, `', '`, `","`, ", ", " "}[rng.IntN(15)]
	return lineBreaker{width, separator, fmt.Sprintf(" broken at %d by %q", width, separator)}
}

func (b lineBreaker) broken(digits string) []byte {
	var lines []string
	for ; len(digits) > b.width; digits = digits[b.width:] {
		lines = append(lines, digits[:b.width])
	}
	return []byte(strings.Join(append(lines, digits), b.separator))
}

// printed breaks each line of a text after width characters, and has show
// write what stands on a line.
func printed(text []byte, width int, show func(out *strings.Builder, line string, room int)) []byte {
	var out strings.Builder
	for line := range strings.SplitSeq(string(text), "\n") {
		runes := []rune(strings.TrimSuffix(line, "\r"))
		for {
			n := min(width, len(runes))
			show(&out, string(runes[:n]), width-n)
			if runes = runes[n:]; len(runes) == 0 {
				break
			}
		}
	}
	return []byte(out.String())
}

func boxPrinter(rng *rand.Rand) Encoder {
	width := 20 + rng.IntN(100)
	left, right := "│ ", " │"
	switch rng.IntN(4) {
	case 0:
		left, right = "| ", " |"
	case 1:
		left, right = "┃  ", "  ┃"
	case 2:
		left, right = "║", "║"
	}
	return Encoder{Name: "box " + left + strconv.Itoa(width), Frames: true, Encode: func(text []byte) []byte {
		return printed(text, width, func(out *strings.Builder, line string, room int) {
			out.WriteString(left + line + strings.Repeat(" ", room) + right + "\n")
		})
	}}
}

func wrapPrinter(rng *rand.Rand) Encoder {
	width, indent := 20+rng.IntN(100), strings.Repeat(" ", rng.IntN(8))
	return Encoder{Name: "wrap " + strconv.Itoa(width), Frames: true, Encode: func(text []byte) []byte {
		return printed(text, width, func(out *strings.Builder, line string, _ int) { out.WriteString(indent + line + "\n") })
	}}
}

func literalPrinter(rng *rand.Rand) Encoder {
	width := 20 + rng.IntN(100)
	before, after := " '", "'\n"
	switch rng.IntN(3) {
	case 0:
		before, after = "    \"", "\"\n"
	case 1:
		before, after = " b'", "'\n"
	}
	return Encoder{Name: "literals " + before, Frames: true, Encode: func(text []byte) []byte {
		return printed(text, width, func(out *strings.Builder, line string, _ int) { out.WriteString(before + line + after) })
	}}
}

// Colors draws a highlighter, which colors some characters.
func Colors(rng *rand.Rand) Encoder {
	colors := []string{"\x1b[33m", "\x1b[1;36m", "\x1b[38;5;208m", "\x1b[38;2;249;38;114m"}
	color, every := colors[rng.IntN(len(colors))], 2+rng.IntN(12)
	return Encoder{Name: "color " + color + strconv.Itoa(every), Encode: func(text []byte) []byte {
		var out strings.Builder
		for i, r := range []rune(string(text)) {
			switch i % every {
			case every - 1:
				out.WriteString("\x1b[0m")
			case every / 2:
				out.WriteString(color)
			}
			out.WriteRune(r)
		}
		return []byte(out.String())
	}}
}

func foldPrinter(rng *rand.Rand) Encoder {
	width := 20 + rng.IntN(100)
	return Encoder{Name: "fold " + strconv.Itoa(width), Frames: true, Encode: func(text []byte) []byte {
		return printed(text, width, func(out *strings.Builder, line string, _ int) { out.WriteString(line + "\r\n ") })
	}}
}

// Twin gives each letter and digit of a text another one, and each letter
// beyond ASCII too: encoders write as many bytes for it, and where they write
// others, the text shows.
func Twin(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case 'A' <= r && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		case '0' <= r && r <= '9':
			return '0' + (r-'0'+5)%10
		}
		return r
	}, text)
}
