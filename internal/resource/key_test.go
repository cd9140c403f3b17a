package resource

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// publicKey is the PEM text of a key on P-384, made by openssl, whose own MD5 of
// the DER form is fingerprint.
const (
	publicKey = `-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE4kskvKkqnsA09xxptHzz8jxrv0QaFF6y
kY6u3I4ejcaNnB+hKs0ZGS61GdVA0mVjXSkZKRmPUJvM1aKGgKaoqFwvlCqj49JY
64ETjzLyxlNPzrCHNqbZq58j9FPDeIm6
-----END PUBLIC KEY-----
`
	fingerprint = "ea:3d:1f:48:b6:59:94:5f:c0:ec:f4:8a:83:3e:2c:dd"
)

// Both kinds of key are kept as openssl writes them.
func TestKeys(t *testing.T) {
	for name, text := range map[string]string{
		"as openssl writes it": publicKey,
		"no last line end":     strings.TrimSpace(publicKey),
		"CRLF":                 strings.ReplaceAll(publicKey, "\n", "\r\n"),
		"blanks around":        "\n  " + publicKey + "\t\n",
	} {
		pair, err := NewPlaybackKeyPair(Place{"eu-west-1", "111122223333"}, "a", text, nil)
		if err != nil || pair.Fingerprint != fingerprint || pair.PublicKey != publicKey || pair.Name != "a" || pair.Tags == nil ||
			!strings.HasPrefix(string(pair.ARN), "arn:aws:ivs:eu-west-1:111122223333:playback-key/") {
			t.Errorf("%s: got %+v, %v", name, pair, err)
		}
		public, err := NewPublicKey(Place{"eu-west-1", "111122223333"}, "a", text, nil)
		if err != nil || public.Fingerprint != fingerprint || public.Material != publicKey || public.Name != "a" || public.Tags == nil ||
			!strings.HasPrefix(string(public.ARN), "arn:aws:ivs:eu-west-1:111122223333:public-key/") {
			t.Errorf("%s: got %+v, %v", name, public, err)
		}
	}
}

// Whatever is no public key for ES384 is refused with its reason, and a private
// key is not repeated in it.
func TestKeysRefused(t *testing.T) {
	der := func(curve elliptic.Curve) []byte {
		key, _ := ecdsa.GenerateKey(curve, rand.Reader)
		b, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := func(label string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
	}
	private, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	sec1, _ := x509.MarshalECPrivateKey(private)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(private)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	rsaDER, _ := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	edKey, _, _ := ed25519.GenerateKey(rand.Reader)
	edDER, _ := x509.MarshalPKIXPublicKey(edKey)
	p384 := der(elliptic.P384())
	offCurve := append([]byte(nil), p384...)
	offCurve[len(offCurve)-1] ^= 1
	withHeader := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Headers: map[string]string{"a": "b"}, Bytes: p384})

	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "must be a public key in PEM"},
		{"garbage", "ssh-rsa AAAA", "must be a public key in PEM"},
		{"no base64", "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "must be a public key in PEM"},
		{"cut off", publicKey[:100], "must be a public key in PEM"},
		{"private key, SEC 1", text("EC PRIVATE KEY", sec1), `must be a PUBLIC KEY, not a "EC PRIVATE KEY"`},
		{"private key, PKCS #8", text("PRIVATE KEY", pkcs8), `must be a PUBLIC KEY, not a "PRIVATE KEY"`},
		{"private key under a wrong label", text("PUBLIC KEY", pkcs8), "is not a key: "},
		{"certificate", text("CERTIFICATE", certificate), `must be a PUBLIC KEY, not a "CERTIFICATE"`},
		{"RSA", text("PUBLIC KEY", rsaDER), "must be an ECDSA key on the curve P-384"},
		{"Ed25519", text("PUBLIC KEY", edDER), "must be an ECDSA key on the curve P-384"},
		{"P-256", text("PUBLIC KEY", der(elliptic.P256())), "must be on the curve P-384, not on P-256"},
		{"P-521", text("PUBLIC KEY", der(elliptic.P521())), "must be on the curve P-384, not on P-521"},
		{"not on the curve", text("PUBLIC KEY", offCurve), "is not a key: "},
		{"bytes behind the key", text("PUBLIC KEY", append(p384, 0)), "is not a key: "},
		{"half a key", text("PUBLIC KEY", p384[:60]), "is not a key: "},
		{"two keys", publicKey + publicKey, "must be one PEM block"},
		{"text behind", publicKey + "and more", "must be one PEM block"},
		{"text before", "my key\n" + publicKey, "must be one PEM block"},
		{"a broken block before", "-----BEGIN PUBLIC KEY-----\n" + publicKey, "must be "},
		{"headers", string(withHeader), "must be one PEM block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := NewPlaybackKeyPair(Place{}, "", tt.text, nil)
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid || !strings.HasPrefix(e.Msg, "publicKeyMaterial: "+tt.want) {
				t.Errorf("got %+v, %v; want %s", pair, err, tt.want)
			}
			if public, again := NewPublicKey(Place{}, "", tt.text, nil); again == nil || again.Error() != err.Error() {
				t.Errorf("a public key is %+v, %v; want %v", public, again, err)
			}
		})
	}
}

// What is accepted is a key, and reads as the same when written again.
func FuzzKey(f *testing.F) {
	f.Add(publicKey)
	f.Add(publicKey + publicKey)
	f.Add("-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----")
	f.Fuzz(func(t *testing.T, text string) {
		pair, err := NewPlaybackKeyPair(Place{}, "", text, nil)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid {
				t.Fatalf("error is %v", err)
			}
			return
		}
		again, err := NewPlaybackKeyPair(Place{}, "", pair.PublicKey, nil)
		if err != nil || again.PublicKey != pair.PublicKey || again.Fingerprint != pair.Fingerprint {
			t.Errorf("read again it is %+v, %v; was %+v", again, err, pair)
		}
	})
}
