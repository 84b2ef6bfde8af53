package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	smpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// The stores of Google and Azure have fixed addresses. The tests serve their documented
// APIs at these names: a proxy of the environment leads to them, and a certificate of the
// environment vouches for them. So the program and its clients are those of production.
const (
	googleHost = "secretmanager.googleapis.com"
	azureHost  = "shop.vault.azure.net"
	asCloud    = "QHUBCTL_REFS_TEST_CLOUD"
)

// TestCloudStores fetches secrets from Google and Azure, in a process with their settings.
func TestCloudStores(t *testing.T) {
	if os.Getenv(asCloud) != "" {
		fetchFromClouds(t)
		return
	}
	dir := t.TempDir()
	certificate := certify(t, filepath.Join(dir, "ca.pem"))
	google := listen(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	smpb.RegisterSecretManagerServiceServer(server, googleStore{})
	go func() { _ = server.Serve(google) }()
	t.Cleanup(server.Stop)
	azure := serveHTTP(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}), azureStore)
	identity := serveHTTP(t, listen(t), func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Identity-Header") != "header" || r.URL.Query().Get("resource") != "https://vault.azure.net" {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"the-token","expires_on":"4102444800","resource":"https://vault.azure.net","token_type":"Bearer"}`)
	})
	proxy := serveHTTP(t, listen(t), connect(map[string]string{googleHost + ":443": google.Addr().String(), azureHost + ":443": azure}))
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program, "-test.run", "^TestCloudStores$", "-test.v", "-test.timeout", "60s")
	child.Env = []string{
		asCloud + "=1", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "HTTPS_PROXY=http://" + proxy, "SSL_CERT_FILE=" + filepath.Join(dir, "ca.pem"), "SSL_CERT_DIR=" + dir,
		"GOOGLE_APPLICATION_CREDENTIALS=" + writeAccount(t, dir), "GCE_METADATA_HOST=127.0.0.1:1",
		"AZKV_AUTH=managed", "IDENTITY_ENDPOINT=http://" + identity + "/token", "IDENTITY_HEADER=header",
	}
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestCloudStores") {
		t.Errorf("the process with the settings of the clouds ends with %v:\n%s", err, out)
	}
}

func fetchFromClouds(t *testing.T) {
	wants(t, "ref+gcpsecrets://shop/token", "", canary)
	wants(t, "ref+gcpsecrets://shop/token?version=3", "", canary+"-3")
	wants(t, "ref+gcpsecrets://shop/document#/db/password", "", canary)
	fails(t, "ref+gcpsecrets://shop/document#/db/other", "", "no such key")
	fails(t, "ref+gcpsecrets://shop/missing", "", "Google answered NotFound")
	fails(t, "ref+gcpsecrets://shop/forbidden", "", "Google answered PermissionDenied")
	wants(t, "ref+azurekeyvault://shop/token", "", canary)
	wants(t, "ref+azurekeyvault://shop/token/v3", "", canary+"-v3")
	wants(t, "ref+azurekeyvault://"+azureHost+"/document#/db/password", "", canary)
	fails(t, "ref+azurekeyvault://shop/document#/db/other", "", "no such key")
	fails(t, "ref+azurekeyvault://shop/missing", "", "Azure answered 404")
	fails(t, "ref+azurekeyvault://shop/forbidden", "", "Azure answered 403")
}

// stored are the secrets of both stores, by name and version.
var stored = map[string]string{
	"token": canary, "token/3": canary + "-3", "token/v3": canary + "-v3", "document": `{"db": {"password": "` + canary + `"}}`,
}

// googleStore serves AccessSecretVersion of the Secret Manager API, version 1.
type googleStore struct {
	smpb.UnimplementedSecretManagerServiceServer
}

func (googleStore) AccessSecretVersion(_ context.Context, r *smpb.AccessSecretVersionRequest) (*smpb.AccessSecretVersionResponse, error) {
	name, ok := strings.CutPrefix(r.GetName(), "projects/shop/secrets/")
	name = strings.TrimSuffix(strings.Replace(name, "/versions/", "/", 1), "/latest")
	value, found := stored[name]
	switch {
	case name == "forbidden":
		return nil, status.Error(codes.PermissionDenied, "not yours: "+canary)
	case !ok || !found:
		return nil, status.Error(codes.NotFound, "no such secret: "+canary)
	}
	return &smpb.AccessSecretVersionResponse{Name: r.GetName(), Payload: &smpb.SecretPayload{Data: []byte(value)}}, nil
}

// azureStore serves GET /secrets/NAME/VERSION of the Key Vault API, with its challenge.
func azureStore(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/secrets/"), "/")
	value, found := stored[name]
	fail := func(code int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"error":{"code":"`+text+`","message":"`+canary+`"}}`)
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer the-token":
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
		fail(http.StatusUnauthorized, "Unauthorized")
	case name == "forbidden":
		fail(http.StatusForbidden, "Forbidden")
	case !found:
		fail(http.StatusNotFound, "SecretNotFound")
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"value": value, "id": "https://" + azureHost + r.URL.Path})
	}
}

// connect is a proxy that leads to servers of the test, and to nothing else.
func connect(to map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		address, ok := to[r.Host]
		if r.Method != http.MethodConnect || !ok {
			http.Error(w, "not known", http.StatusBadGateway)
			return
		}
		server, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", address)
		if err != nil {
			http.Error(w, "not there", http.StatusBadGateway)
			return
		}
		defer func() { _ = server.Close() }()
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(server, buffered)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func serveHTTP(t *testing.T, listener net.Listener, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// certify makes a certificate for the stores, and writes it as the one that is trusted.
func certify(t *testing.T, path string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{googleHost, azureHost}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	write(t, text.String(), path)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// writeAccount writes the key of a service account of Google, and returns its path.
func writeAccount(t *testing.T, dir string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "shop", "private_key_id": "id", "client_email": "server@shop.iam.gserviceaccount.com", "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "token_uri": "https://127.0.0.1:1/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(text), dir, "account.json")
}
