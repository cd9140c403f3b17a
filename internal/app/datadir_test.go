package app

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openTestDir(t *testing.T) *dataDir {
	t.Helper()
	dir, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func TestDataDirIsOneServers(t *testing.T) {
	dir := openTestDir(t)
	_, err := openDataDir(dir.path)
	if err == nil || !strings.Contains(err.Error(), "in use by another server (process ") {
		t.Fatalf("second server: %v", err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openDataDir(dir.path)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again.Close()
}

// private fails the test when others than the owner may do something with path.
func private(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
}

func TestSecretKey(t *testing.T) {
	dir := openTestDir(t)
	key, err := openSecretKey(dir)
	if err != nil || len(key) != 32 {
		t.Fatalf("%d bytes (%v)", len(key), err)
	}
	private(t, dir.file("secret.key"))
	if again, err := openSecretKey(dir); err != nil || string(again) != string(key) {
		t.Errorf("second start: another key (%v)", err)
	}
	if err := dir.write("secret.key", key[:5]); err != nil {
		t.Fatal(err)
	}
	if _, err := openSecretKey(dir); err == nil {
		t.Error("a short key is taken")
	}
}

func TestSelfSigned(t *testing.T) {
	dir := openTestDir(t)
	open := func(host string) *x509.Certificate {
		t.Helper()
		c, err := openCertificate(dir, &Config{PublicHost: host}, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		return c.current.Leaf
	}
	first := open("live.example")
	for _, host := range []string{"live.example", "localhost", "127.0.0.1", "::1"} {
		if err := first.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	private(t, dir.file("tls.key"))
	private(t, dir.file("tls.crt"))
	if !open("live.example").Equal(first) {
		t.Error("second start: another certificate")
	}
	if open("192.0.2.1").Equal(first) {
		t.Error("other host: the same certificate")
	}
	if err := makeSelfSigned(dir, "live.example", time.Now().Add(-selfSignedFor)); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(open("live.example").NotAfter); left < renewBefore {
		t.Errorf("expired: the new one is valid for %v", left)
	}
}

// TestRenewedCertificate replaces the files under a running server.
func TestRenewedCertificate(t *testing.T) {
	dir := openTestDir(t)
	now := time.Now()
	if err := makeSelfSigned(dir, "a.example", now); err != nil {
		t.Fatal(err)
	}
	cfg := &Config{PublicHost: "a.example", TLSCert: dir.file("tls.crt"), TLSKey: dir.file("tls.key")}
	c, err := openCertificate(dir, cfg, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	host := func() string {
		t.Helper()
		c.checked = time.Time{} // a minute passes
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.Subject.CommonName
	}
	if err := dir.write("tls.crt", []byte("half a file")); err != nil {
		t.Fatal(err)
	}
	if got := host(); got != "a.example" {
		t.Errorf("while the files are replaced: %s", got)
	}
	if err := makeSelfSigned(dir, "b.example", now); err != nil {
		t.Fatal(err)
	}
	if got := host(); got != "b.example" {
		t.Errorf("once they are: %s", got)
	}
}
