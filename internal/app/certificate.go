package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// selfSignedFor is how long a self-signed certificate is valid: the longest
	// that Apple's systems take.
	selfSignedFor = 825 * 24 * time.Hour
	// renewBefore is how near its end a start makes a new one.
	renewBefore = 90 * 24 * time.Hour
	// certificateCheck is how often a handshake looks for a renewed file.
	certificateCheck = time.Minute
)

// certificate is the server's TLS certificate. Files replaced while the server
// runs, as certificate authorities' clients do, are taken up by themselves.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	// mu guards what follows.
	mu      sync.Mutex
	current *tls.Certificate
	checked time.Time // when the files were last looked at
	changed time.Time // the certificate file's time
}

// openCertificate loads the certificate of cfg, else the self-signed one in the
// data folder, which is made on the first start and again when it has expired
// or host is another.
func openCertificate(dir *dataDir, cfg *Config, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: cfg.TLSCert, keyFile: cfg.TLSKey, log: log}
	if cfg.TLSCert == "" {
		c.certFile, c.keyFile = dir.file("tls.crt"), dir.file("tls.key")
		if !selfSignedServes(c.certFile, c.keyFile, cfg.PublicHost, time.Now()) {
			if err := makeSelfSigned(dir, cfg.PublicHost, time.Now()); err != nil {
				return nil, err
			}
		}
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// get is a [tls.Config]'s GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		if info, err := os.Stat(c.certFile); err == nil && !info.ModTime().Equal(c.changed) {
			// A pair that is half replaced does not match; the next look is in
			// a minute.
			if err := c.loadLocked(); err != nil {
				c.log.Warn("renewed TLS certificate cannot be used yet", "error", err)
			} else {
				c.log.Info("renewed TLS certificate in use", "file", c.certFile)
			}
		}
	}
	return c.current, nil
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Now()
	return c.loadLocked()
}

func (c *certificate) loadLocked() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("load TLS certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load TLS certificate %s: %w", c.certFile, err)
	}
	c.current, c.changed = &pair, info.ModTime()
	return nil
}

// selfSignedServes says whether the self-signed certificate is there and good
// for host at a time.
func selfSignedServes(certFile, keyFile, host string, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	return err == nil && now.After(pair.Leaf.NotBefore) && now.Add(renewBefore).Before(pair.Leaf.NotAfter) &&
		pair.Leaf.VerifyHostname(host) == nil
}

// makeSelfSigned makes a certificate for host and for this machine.
func makeSelfSigned(dir *dataDir, host string, now time.Time) error {
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(randomBytes(16)),
		Subject:               pkix.Name{CommonName: host, Organization: []string{"Anabranch, self-signed"}},
		NotBefore:             now.Add(-time.Hour), // clients' clocks differ
		NotAfter:              now.Add(selfSignedFor - time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range []string{host, "localhost", "127.0.0.1", "::1"} {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if !slices.Contains(template.DNSNames, name) {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make TLS key: %w", err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make TLS certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode TLS key: %w", err)
	}
	// A stop between the two leaves a pair that does not match, and the next
	// start makes a new one.
	if err := dir.write("tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})); err != nil {
		return err
	}
	return dir.write("tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the program first
	return b
}
