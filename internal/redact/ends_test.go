package redact

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// TestEndsInText compares what looks at eight digits at once with what reads groups.
func TestEndsInText(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	texts := 0
	for range 200_000 {
		raw := make([]byte, 20)
		for i := range raw {
			raw[i] = " \n\tazAZ09~"[rng.IntN(10)]
			if rng.IntN(12) == 0 {
				raw[i] = byte(rng.Uint32())
			}
		}
		text := []byte(hex.EncodeToString(raw))
		if rng.IntN(2) == 0 {
			text = []byte(base64.StdEncoding.EncodeToString(raw))
		}
		at := rng.IntN(4)
		text = text[at : at+minJoined+rng.IntN(5)]
		if rng.IntN(4) == 0 {
			text[rng.IntN(len(text))] = "+/-_ ,.=\x80\xff*:@[`{gG"[rng.IntN(18)]
		}
		want := endsInGroups(text)
		if got := endsInText(text); got != want {
			t.Fatalf("endsInText(%q) = %v, want %v", text, got, want)
		}
		if want {
			texts++
		}
	}
	if texts < 20_000 {
		t.Errorf("%d of 200,000 texts end in text, want 20,000 and more", texts)
	}
}

// endsInGroups is endsInText by one group after the other.
func endsInGroups(text []byte) bool {
	digits := text[len(text)-minJoined:]
	if !allDigits(digits) {
		return false
	}
	for shift := range 4 {
		if looksLikeText(digits[shift:]) {
			return true
		}
	}
	return looksLikeHexText(digits) || looksLikeHexText(digits[1:])
}

// looksLikeText reports whether three groups of four digits that follow
// each other are ASCII text.
func looksLikeText(digits []byte) bool {
	alike := 0
	for ; len(digits) >= 4; digits = digits[4:] {
		if digitFlags[digits[0]]&asFirst != 0 && digitFlags[digits[1]]&asSecond != 0 && digitFlags[digits[2]]&asThird != 0 {
			if alike++; alike == 3 {
				return true
			}
			continue
		}
		alike = 0
	}
	return false
}
