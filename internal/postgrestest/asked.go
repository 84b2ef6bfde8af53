package postgrestest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

// Variable has the URL of a server. Where it is set, the harnesses of other packages keep
// their state there, not in a file.
const Variable = "QHUBCTL_TEST_POSTGRES"

// Asked is the connection string of a schema that stands for a path; empty unless
// [Variable] is set. Whoever asks with the same path gets the same schema.
func Asked(ctx context.Context, path string) (string, error) {
	server := os.Getenv(Variable)
	if server == "" {
		return "", nil
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("$%s is no URL", Variable)
	}
	sum := sha256.Sum256([]byte(path))
	name := "f" + hex.EncodeToString(sum[:12])
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "SELECT pg_advisory_lock(1)")
	if err == nil {
		_, err = conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+name)
	}
	u.RawQuery = url.Values{"search_path": {name}}.Encode()
	return u.String(), errors.Join(err, conn.Close(ctx))
}
