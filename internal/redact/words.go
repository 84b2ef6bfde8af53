package redact

import (
	"bytes"
	"unicode/utf8"
)

// isWordByte reports whether c is part of a word.
func isWordByte(c byte) bool { return isAlphanumeric(c) || c == '_' || c >= utf8.RuneSelf }

// eachWord calls found with each place in text at which one of words stands as
// a word on its own. If the text goes on, it returns where something begins
// that may become one, otherwise the length of text.
func eachWord(words [][]byte, text []byte, open bool, found func(start, end int)) (hold int) {
	hold = len(text)
	for _, word := range words {
		for at := 0; ; at++ {
			next := bytes.Index(text[at:], word)
			if next < 0 {
				break
			}
			at += next
			end := at + len(word)
			if at > 0 && isWordByte(text[at-1]) && isWordByte(word[0]) {
				continue
			}
			if end == len(text) && open {
				hold = min(hold, at)
				break
			}
			if end == len(text) || !isWordByte(text[end]) || !isWordByte(word[len(word)-1]) {
				found(at, end)
			}
		}
		for n := min(len(word)-1, len(text)); open && n > 0; n-- {
			at := len(text) - n
			if bytes.HasPrefix(word, text[at:]) && (at == 0 || !isWordByte(text[at-1]) || !isWordByte(word[0])) {
				hold = min(hold, at)
				break
			}
		}
	}
	return hold
}
