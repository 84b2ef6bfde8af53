package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/privatefile"
)

// minToken is the length of the shortest token that is hard to guess. maxToken is the
// size of the largest token file.
const (
	minToken = 16
	maxToken = 64 << 10
)

// ErrTokenTooShort is the error of a token that an attacker could guess.
var ErrTokenTooShort = fmt.Errorf("the token is shorter than %d characters, so it could be guessed", minToken)

// A Token is the token that callers of a server must send. No execution may see it.
// With the zero value, callers need no token.
type Token struct {
	value plaintext.Bytes
	made  bool   // the server makes it, and keeps it in the data folder
	file  string // the file of a token that the server has made
}

// MadeToken returns a token that the server makes at its first start, and keeps in
// the data folder.
func MadeToken() Token { return Token{made: true} }

// NewToken makes a token from a text, and wipes the text. It drops white space around
// the token.
func NewToken(text []byte) (Token, error) {
	defer clear(text)
	t := Token{value: plaintext.New([]byte(strings.TrimSpace(string(text))))}
	if t.value.Len() < minToken {
		return Token{}, ErrTokenTooShort
	}
	return t, nil
}

// ReadToken reads a token from a file that other users may not read.
func ReadToken(path string) (Token, error) {
	text, err := privatefile.Read(path, maxToken)
	if err != nil {
		return Token{}, err
	}
	return NewToken(text)
}

// Asked reports whether callers must send a token.
func (t Token) Asked() bool { return t.made || t.value.Len() > 0 }

// keptIn returns the token. For [MadeToken] it reads the token in the data folder, or
// makes it there if it is missing.
func (t Token) keptIn(dir string) (Token, error) {
	if !t.made || t.file != "" {
		return t, nil
	}
	file := filepath.Join(dir, "token")
	text, err := privatefile.Read(file, maxToken)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(rand.Text() + rand.Text())
		err = os.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err != nil {
		return t, fmt.Errorf("cannot read the token: %w", err)
	}
	kept, err := NewToken(text)
	if err != nil {
		return t, fmt.Errorf("cannot use %s: %w", file, err)
	}
	t.value, t.file = kept.value, file
	return t, nil
}

// authenticator returns the authenticator that admits callers with the token.
func (t Token) authenticator() httpapi.Authenticator {
	if t.value.Len() == 0 {
		return httpapi.Anyone{}
	}
	return httpapi.NewToken(t.value)
}
