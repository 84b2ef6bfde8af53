package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/privatefile"
)

// minToken is the length below which a token can be found by trying.
const minToken = 16

// A callerToken is what callers of a server have to show. No execution may see it.
type callerToken struct {
	value plaintext.Bytes // empty: nothing is asked for
	made  bool            // by --auth without a value, which keeps it in the folder of serve
	file  string          // where one that was made stands
}

// givenToken reads the token of --auth. One in a variable it takes out of the
// environment, so that no program which is started later inherits it.
func (o *serveOptions) givenToken() (t callerToken, err error) {
	var text []byte
	name, variable := strings.CutPrefix(o.auth, "env:")
	switch {
	case o.auth == "":
		return t, nil
	case o.auth == savedToken:
		return callerToken{made: true}, nil
	case strings.HasPrefix(o.auth, "@"):
		text, err = readToken(o.auth[1:])
	case variable && name != "":
		value, _ := environ.LookupSecret(name)
		text = []byte(value)
		err = os.Unsetenv(name)
	default:
		return t, usagef("--auth takes @FILE or env:VAR, not the token itself, which every user of this machine could read")
	}
	if err != nil {
		return t, fmt.Errorf("cannot read the token: %w", err)
	}
	err = t.take(text)
	return t, err
}

// take keeps the text of a token, and wipes it.
func (t *callerToken) take(text []byte) error {
	defer clear(text)
	t.value = plaintext.New([]byte(strings.TrimSpace(string(text))))
	if t.value.Len() < minToken {
		return usagef("--auth: the token is shorter than %d characters, so it could be guessed", minToken)
	}
	return nil
}

// readToken reads a file that others may not read.
func readToken(path string) ([]byte, error) {
	file, _, err := privatefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxToken))
}

// keepIn makes the token that --auth without a value stands for, or reads the one
// that was made before.
func (t *callerToken) keepIn(dir string) error {
	if !t.made || t.file != "" {
		return nil
	}
	t.file = filepath.Join(dir, "token")
	text, err := readToken(t.file)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(rand.Text() + rand.Text())
		err = os.WriteFile(t.file, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot read the token: %w", err)
	}
	return t.take(text)
}

// authenticator admits the callers that have the token.
func (t *callerToken) authenticator() httpapi.Authenticator {
	if t.value.Len() == 0 {
		return httpapi.Anyone{}
	}
	return httpapi.NewToken(t.value)
}
