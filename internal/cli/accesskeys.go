package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/privatefile"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newAccessKeys(streams *term.Streams) *cobra.Command {
	return completesAll(streams, group(&cobra.Command{
		Use:     "access-keys",
		Aliases: []string{"access-key"},
		Short:   "Make, rotate and revoke access keys of applications",
		Long: `An application gets its tokens by an access key: an id and a secret. Two keys can
live at once, so that one is replaced without a pause: rotate makes a new key, and
the former one works for a grace period longer. APP is the name or the id of an
application.

The master key of a server is another thing: see ` + "`qhubctl keys`" + `.`,
		Example: `  qhubctl access-keys list shop
  qhubctl access-keys rotate shop qhk_ABC --grace 1h --save key.env`,
	}, newAccessKeysList(streams), newAccessKeysCreate(streams), newAccessKeysRotate(streams), newAccessKeysRevoke(streams)), "APP", appNames)
}

// accessKeyText is a key as files hold it.
func accessKeyText(key client.AccessKey) string {
	return fmt.Sprintf("ACCESS_KEY_ID=%s\nSECRET_ACCESS_KEY=%s\n", key.ID, orDash(key.Secret))
}

// readAccessKey reads a key from a file, as @FILE.
func readAccessKey(argument string) (id string, secret plaintext.Bytes, err error) {
	path, ok := strings.CutPrefix(argument, "@")
	if !ok || path == "" {
		return "", secret, usagef("--access-key takes @FILE, not the key itself, which every user of this machine could read")
	}
	text, err := privatefile.Read(path, maxToken)
	defer clear(text)
	if err != nil {
		return "", secret, usagef("--access-key: %w", err)
	}
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte("="))
		switch string(name) {
		case "ACCESS_KEY_ID":
			id = string(value)
		case "SECRET_ACCESS_KEY":
			secret = plaintext.FromString(string(value))
		}
	}
	if id == "" || secret.Len() == 0 {
		return "", secret, usagef("--access-key: %s holds no access key; qhubctl access-keys create APP --save FILE writes one", path)
	}
	return id, secret, nil
}

// keysOf is where the access keys of an application are.
func keysOf(ctx context.Context, p *client.Platform, idOrName string) (string, error) {
	app, err := p.Application(ctx, idOrName)
	return client.Path(appsPath+"/", app.ID, "/access-keys"), err
}

func newAccessKeysList(streams *term.Streams) *cobra.Command {
	var output string
	var reveal bool
	command := &cobra.Command{
		Use: "list APP", Short: "List the live access keys of an application", Args: cobra.ExactArgs(1),
		Long: `Lists the live keys. --reveal also prints the secrets, which an OWNER can read for
a day after a key was made.`,
		Example: "  qhubctl access-keys list shop --reveal",
	}
	command.Flags().BoolVar(&reveal, "reveal", false, "print the secrets as long as they can be read")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		path, err := keysOf(ctx, p, args[0])
		if err != nil {
			return err
		}
		keys := []client.AccessKey{}
		if err := p.Call(ctx, http.MethodGet, path, nil, &keys); err != nil {
			return err
		}
		for i := range keys {
			if !reveal {
				keys[i].Secret = nil
			}
		}
		if output == "json" {
			return printJSON(streams, keys)
		}
		heading := "ID | MADE | USED | EXPIRES"
		if reveal {
			heading += " | SECRET"
		}
		rows := make([][]string, 0, len(keys))
		for _, k := range keys {
			row := []string{k.ID, k.CreatedAt, orDash(k.UsedAt), orDash(k.ExpiresAt)}
			if reveal {
				row = append(row, orDash(k.Secret))
			}
			rows = append(rows, row)
		}
		return table(streams, heading, rows)
	})
}

// showKey prints a new key, or writes it to a file.
func showKey(streams *term.Streams, output, save string, key client.AccessKey) error {
	if output == "json" && save == "" {
		return printJSON(streams, key)
	}
	return saveSecret(streams, save, accessKeyText(key))
}

func newAccessKeysCreate(streams *term.Streams) *cobra.Command {
	var output, save string
	var days int
	command := &cobra.Command{
		Use: "create APP", Short: "Add an access key", Args: cobra.ExactArgs(1),
		Long: `Adds a key and prints its id and its secret, or writes them to a file that only
you can read (--save).`,
		Example: "  qhubctl access-keys create shop --save key.env",
	}
	command.Flags().StringVar(&save, "save", "", "write the key to this file instead of printing it")
	command.Flags().IntVar(&days, "days", 0, "after how many days it expires; 0 for never")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		path, err := keysOf(ctx, p, args[0])
		if err != nil {
			return err
		}
		var key client.AccessKey
		if err := p.Call(ctx, http.MethodPost, path, map[string]int{"lifetimeDays": days}, &key); err != nil {
			return err
		}
		return showKey(streams, output, save, key)
	})
}

func newAccessKeysRotate(streams *term.Streams) *cobra.Command {
	var output, save string
	var grace time.Duration
	command := &cobra.Command{
		Use: "rotate APP KEY-ID", Short: "Replace an access key", Args: cobra.ExactArgs(2),
		Long: `Makes a new key. The former one gets tokens for a grace period longer, and the
tokens that it got run out after an hour at most. To end them at once, revoke it.`,
		Example: "  qhubctl access-keys rotate shop qhk_ABC --grace 1h --save key.env",
	}
	command.Flags().StringVar(&save, "save", "", "write the key to this file instead of printing it")
	command.Flags().DurationVar(&grace, "grace", 24*time.Hour, "how long the former key still works")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		path, err := keysOf(ctx, p, args[0])
		if err != nil {
			return err
		}
		var key client.AccessKey
		err = p.Call(ctx, http.MethodPost, client.Path(path+"/", args[1], "/rotate"), map[string]int{"graceSeconds": int(grace.Seconds())}, &key)
		if err != nil {
			return err
		}
		return showKey(streams, output, save, key)
	})
}

func newAccessKeysRevoke(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "revoke APP KEY-ID", Short: "Revoke an access key and its tokens at once", Args: cobra.ExactArgs(2),
		Example: "  qhubctl access-keys revoke shop qhk_ABC",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		path, err := keysOf(ctx, p, args[0])
		if err != nil {
			return err
		}
		return p.Call(ctx, http.MethodDelete, client.Path(path+"/", args[1]), nil, nil)
	})
}
