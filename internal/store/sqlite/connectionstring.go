package sqlite

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A ConnectionString leads to a database in Postgres: a URL, or words of the form
// key=value. It may have a password, so it is shown by String only.
type ConnectionString struct{ text, password string }

// ParseConnectionString checks a connection string, and reads its password where it is
// not in the text: from $PGPASSWORD, or a password file. Its errors do not show the text.
func ParseConnectionString(text string) (ConnectionString, error) {
	config, err := pgx.ParseConfig(text)
	if err != nil || text == "" {
		return ConnectionString{}, errConnectionString
	}
	return ConnectionString{text, config.Password}, nil
}

var passwordWord = regexp.MustCompile(`(?i)\b(ssl)?password\s*=\s*('(\\.|[^'\\])*'|\S*)`)

// HasPassword reports whether the text has a password in it, valid or not.
func HasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return passwordWord.MatchString(text) || err != nil && strings.Contains(text, "@")
	}
	_, in := u.User.Password()
	return in || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// Password is the password that the connection uses, from the text, the environment or a
// password file; empty if there is none.
func (c ConnectionString) Password() string { return c.password }

// String is the text without its password.
func (c ConnectionString) String() string {
	if !HasPassword(c.text) {
		return c.text
	}
	u, err := url.Parse(c.text)
	if err != nil || u.Scheme == "" {
		return passwordWord.ReplaceAllString(c.text, "${1}password=xxxxx")
	}
	if query := u.Query(); query.Has("password") || query.Has("sslpassword") {
		query.Del("password")
		query.Del("sslpassword")
		u.RawQuery = query.Encode()
	}
	return u.Redacted()
}
