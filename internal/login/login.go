// Package login keeps the login of the command line on a platform: a private file in
// a folder of this program. The configuration of the published command line is
// neither read nor written.
package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/privatefile"
)

// ErrNone says that there is no login.
var ErrNone = errors.New("not logged in")

// maxFile bounds how much of a file is read.
const maxFile = 64 << 10

// A Context is the account that commands act for.
type Context struct {
	ID             string `json:"id"`
	DisplayName    string `json:"displayName"`
	IsOrganization bool   `json:"isOrganization"`
	Role           string `json:"role"`
	AccountType    string `json:"accountType"`
}

// A Login is a token of a server, and the account that commands act for.
type Login struct {
	// Server is the address of the platform, without a path.
	Server string `json:"server"`
	// Token is secret.
	Token string `json:"token"`
	// TokenID is what the server calls the token.
	TokenID string `json:"tokenId"`
	// User is the id of the user, UserName its name.
	User     string  `json:"user"`
	UserName string  `json:"userName"`
	Context  Context `json:"context"`
	// Published is the file for the published clients, or empty.
	Published string `json:"published,omitempty"`
}

// Path is where the login is kept.
func Path() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of the login: %w", err)
	}
	return filepath.Join(dir, "qhubctl-platform", "login.json"), nil
}

// Load reads the login. [ErrNone]: there is none. A file that other users can read is
// an error.
func Load() (Login, error) {
	path, err := Path()
	if err != nil {
		return Login{}, err
	}
	text, err := privatefile.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Login{}, ErrNone
	}
	if err != nil {
		return Login{}, fmt.Errorf("read the login: %w", err)
	}
	var l Login
	if json.Unmarshal(text, &l) != nil || l.Server == "" || l.Token == "" { // the error could repeat the token
		return Login{}, fmt.Errorf("the login in %s is damaged; log in again", path)
	}
	return l, nil
}

// Save keeps a login, and the file for the published clients if there is one.
func Save(l Login) error {
	path, err := Path()
	if err != nil {
		return err
	}
	if err := writePrivate(path, l); err != nil || l.Published == "" {
		return err
	}
	return writePrivate(l.Published, published{
		Auth: publishedAuth{"API_KEY", l.Token}, Context: l.Context, Endpoint: publishedEndpoint{l.Server + "/qc-catalog"},
	})
}

// PublishedPath is where the file for the published clients stands, beside the login.
func PublishedPath() (string, error) {
	path, err := Path()
	return filepath.Join(filepath.Dir(path), "published.json"), err
}

// published is the configuration that the published clients read from the file in
// KQH_CONFIG_FILE_PATH.
type published struct {
	Auth     publishedAuth     `json:"auth"`
	Context  Context           `json:"context"`
	Endpoint publishedEndpoint `json:"endpoint"`
}

type publishedAuth struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type publishedEndpoint struct {
	BasePath string `json:"basePath"`
}

// Forget deletes the login and the file for the published clients.
func Forget(l Login) error {
	path, err := Path()
	if err != nil {
		return err
	}
	for _, file := range []string{l.Published, path} {
		if file == "" {
			continue
		}
		if failed := os.Remove(file); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// WritePrivate writes a file that its owner only can read, as a whole or not at all.
func WritePrivate(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(text)
	err = errors.Join(err, file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func writePrivate(path string, document any) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err == nil {
		err = WritePrivate(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the login: %w", err)
	}
	return nil
}
