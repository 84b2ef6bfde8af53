package redact

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
)

// MinPart is the length in bytes from which a part of a secret is searched
// for. Shorter parts, such as a port, a region or a name, stand in most logs
// for other reasons.
const MinPart = 6

// eachPart calls add with each part of a secret that programs use without the
// rest of it:
//
//   - the value without the white space around it, as most programs trim it;
//   - each line, and the value of each line that is KEY=VALUE;
//   - each string and each number of a value that is JSON;
//   - the password of a URL or a DSN, unchanged written and decoded, and the
//     parameters of either whose names say that they are secret;
//   - the password of user:password;
//   - a PEM block whose line ends are given as \n, its base64 text in one line,
//     and what that encodes.
func eachPart(value []byte, add func([]byte)) {
	if inner := bytes.TrimSpace(value); len(inner) < len(value) {
		if len(inner) >= MinLength {
			add(inner)
		}
		return // the other parts of value are those of inner
	}
	if len(value) == 0 {
		return
	}
	switch value[0] {
	case '{', '[', '"':
		eachLeaf(value, add)
	}
	if bytes.ContainsAny(value, "\r\n") {
		for line := range bytes.FieldsFuncSeq(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
			add(bytes.TrimSpace(line))
		}
		eachBlock(value, add)
		return // the other parts are those of lines, or of JSON
	}
	if bytes.Contains(value, []byte("-----BEGIN ")) && bytes.Contains(value, []byte(`\n`)) {
		add(bytes.ReplaceAll(bytes.ReplaceAll(value, []byte(`\r`), nil), []byte(`\n`), []byte("\n")))
		return
	}
	switch {
	case bytes.Contains(value, []byte("://")):
		eachOfURL(value, add)
	case bytes.IndexByte(value, '=') > 0:
		eachOfPairs(value, add)
	case bytes.IndexByte(value, ':') > 0:
		addPassword(value, add)
	}
}

// eachLeaf calls add with each string and number of a JSON document. Names of
// members and literals are structure rather than secret: masking each "name"
// and "true" of a log would make it unreadable.
func eachLeaf(document []byte, add func([]byte)) {
	var root any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if decoder.Decode(&root) != nil || decoder.InputOffset() != int64(len(bytes.TrimRight(document, " \t\r\n"))) {
		return
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case string:
			add([]byte(node))
		case json.Number:
			add([]byte(node))
		case []any:
			for _, element := range node {
				walk(element)
			}
		case map[string]any:
			// In order, so that one secret always has the same forms in
			// the same order.
			names := make([]string, 0, len(node))
			for name := range node {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				walk(node[name])
			}
		}
	}
	walk(root)
}

// eachBlock calls add with the base64 text of each PEM block in one line, and
// with what it encodes.
func eachBlock(value []byte, add func([]byte)) {
	for rest := value; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		add(block.Bytes)
	}
}

// eachOfURL calls add with the secret parts of a URL.
func eachOfURL(value []byte, add func([]byte)) {
	text := string(value)
	_, rest, _ := strings.Cut(text, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	// A password may hold a slash or a question mark that was not encoded.
	if at := strings.LastIndexByte(authority, '@'); at < 0 {
		if at = strings.LastIndexByte(rest, '@'); at >= 0 {
			authority = rest[:at]
		}
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[:at]
	}
	if len(authority) < len(rest) && (strings.HasPrefix(rest[len(authority):], "@")) {
		if user, password, both := strings.Cut(authority, ":"); both {
			addDecoded(password, add)
		} else {
			addDecoded(user, add) // a token
		}
	}
	if _, query, found := strings.Cut(rest, "?"); found {
		query, _, _ = strings.Cut(query, "#")
		for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
			if name, parameter, both := strings.Cut(pair, "="); both && namesSecret(name) {
				addDecoded(parameter, add)
			}
		}
	}
}

// addDecoded adds a part of a URL unchanged written, and decoded.
func addDecoded(part string, add func([]byte)) {
	add([]byte(part))
	if decoded, err := url.PathUnescape(part); err == nil && decoded != part {
		add([]byte(decoded))
	}
	if decoded, err := url.QueryUnescape(part); err == nil && decoded != part {
		add([]byte(decoded))
	}
}

// namesSecret reports whether a name is one that secrets have.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"pass", "pwd", "secret", "token", "key", "sig", "auth", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// eachOfPairs calls add with the value of KEY=VALUE, or, where there are
// several pairs, as in a DSN, with those whose names say that they are secret.
func eachOfPairs(value []byte, add func([]byte)) {
	text := string(value)
	if user, rest, found := strings.Cut(text, ":"); found && !strings.ContainsAny(user, " =;") && strings.Contains(rest, "@") {
		password, _, _ := cutLast(rest, "@") // user:password@tcp(host)/name?option=1
		add([]byte(password))
		return
	}
	pairs := strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ' ' || r == ',' })
	if several := pairCount(pairs); several > 1 {
		for _, pair := range pairs {
			if name, part, _ := strings.Cut(pair, "="); namesSecret(name) {
				add([]byte(unquotedPart(part)))
			}
		}
		return
	}
	name, part, _ := strings.Cut(strings.TrimPrefix(text, "export "), "=")
	if isName(name) {
		add([]byte(unquotedPart(part)))
	}
}

func cutLast(text, separator string) (before, after string, found bool) {
	if at := strings.LastIndex(text, separator); at >= 0 {
		return text[:at], text[at+len(separator):], true
	}
	return text, "", false
}

func pairCount(pairs []string) int {
	count := 0
	for _, pair := range pairs {
		if name, _, both := strings.Cut(pair, "="); both && isName(strings.TrimSpace(name)) {
			count++
		}
	}
	return count
}

func isName(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlphanumeric(c) && c != '_' && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return text != ""
}

func unquotedPart(text string) string {
	text = strings.TrimSpace(text)
	if n := len(text); n >= 2 && text[0] == text[n-1] && (text[0] == '\'' || text[0] == '"') {
		return text[1 : n-1]
	}
	return text
}

// addPassword adds the password of user:password.
func addPassword(value []byte, add func([]byte)) {
	user, password, _ := bytes.Cut(value, []byte(":"))
	if !bytes.ContainsAny(user, " \t{[\"'") && !bytes.HasPrefix(password, []byte("//")) {
		if at := bytes.LastIndexByte(password, '@'); at > 0 && bytes.IndexByte(password[at:], '(') > 0 {
			password = password[:at] // user:password@tcp(host)
		}
		add(password)
	}
}
