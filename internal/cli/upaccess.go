package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"slices"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/login"
	"github.com/qhubctl/qhubctl/internal/term"
)

// keyFile is the file for the access key of the application that --app names.
func (o *upOptions) keyFile() string { return cmp.Or(o.saveKey, o.app+".key") }

// checkKeyFile refuses a file that holds something else than an access key, before
// anything is sent.
func (o *upOptions) checkKeyFile() error {
	if _, err := os.Lstat(o.keyFile()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, secret, err := readAccessKey("@" + o.keyFile())
	secret.Clear()
	if err != nil {
		return usagef("%s holds no access key; name another file with --save-key", o.keyFile())
	}
	return nil
}

// giveAccess lets an application call a service that was deployed, and keeps an access key
// of it in a file. It changes nothing that exists.
func giveAccess(ctx context.Context, streams *term.Streams, p *client.Platform, d client.Deployment, o upOptions) error {
	app, err := p.Application(ctx, o.app)
	var missing *client.NoApplicationError
	made := errors.As(err, &missing)
	if made {
		err = p.Call(ctx, http.MethodPost, appsPath, map[string]string{"name": o.app}, &app)
	}
	if err != nil {
		return err
	}
	s, err := p.Service(ctx, d.ServiceID)
	if err != nil {
		return err
	}
	if s.Lifecycle == "CREATED" {
		if err := p.Publish(ctx, s.ID, "INTERNAL"); err != nil {
			return err
		}
		streams.Say("published %s for the applications of the account", d.Name)
	}
	if _, err := p.Subscribe(ctx, app.ID, s.ID); err != nil {
		return err
	}
	if err := saveAccessKey(ctx, streams, p, app, made, o.keyFile()); err != nil {
		return err
	}
	streams.Say("to call it as %s: qhubctl executions start --service %s --access-key @%s -d @request.json --wait", visible(app.Name), d.Name, visible(o.keyFile()))
	return nil
}

// saveAccessKey keeps the first key of a new application, or another one where the file
// has none that is live.
func saveAccessKey(ctx context.Context, streams *term.Streams, p *client.Platform, app client.Application, made bool, file string) error {
	path := client.Path(appsPath+"/", app.ID, "/access-keys")
	var keys []client.AccessKey
	if err := p.Call(ctx, http.MethodGet, path, nil, &keys); err != nil {
		return err
	}
	id, secret, err := readAccessKey("@" + file)
	secret.Clear()
	if err == nil && slices.ContainsFunc(keys, func(k client.AccessKey) bool { return k.ID == id }) {
		return nil
	}
	if _, err := os.Lstat(file); err == nil {
		return usagef("%s holds the access key of another application; name another file with --save-key", file)
	}
	var key client.AccessKey
	if made && len(keys) == 1 && keys[0].Secret != nil {
		key = keys[0]
	} else if err := p.Call(ctx, http.MethodPost, path, map[string]int{"lifetimeDays": 0}, &key); err != nil {
		return err
	}
	if err := login.WritePrivate(file, []byte(accessKeyText(key))); err != nil {
		return err
	}
	streams.Say("the access key of %s is in %s, which its owner only can read", visible(app.Name), file)
	return nil
}
