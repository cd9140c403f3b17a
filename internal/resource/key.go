package resource

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// ParsePublicKey reads a public key for ES384 (RFC 7518 section 3.4): a point
// on P-384, as the only SubjectPublicKeyInfo in a PEM text. Anything else is
// Invalid.
func ParsePublicKey(text string) (*ecdsa.PublicKey, error) {
	refuse := func(format string, args ...any) (*ecdsa.PublicKey, error) {
		return nil, Errorf(Invalid, "publicKeyMaterial: "+format, args...)
	}
	text = strings.TrimSpace(text)
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return refuse("must be a public key in PEM")
	case block.Type != publicKeyBlock:
		return refuse("must be a %s, not a %.40q", publicKeyBlock, block.Type)
	case !strings.HasPrefix(text, "-----BEGIN") || strings.Count(text, "-----BEGIN") > 1 || len(rest) > 0 || len(block.Headers) > 0:
		return refuse("must be one PEM block and nothing else")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return refuse("is not a key: %v", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return refuse("must be an ECDSA key on the curve P-384")
	}
	if key.Curve != elliptic.P384() {
		return refuse("must be on the curve P-384, not on %s", key.Curve.Params().Name)
	}
	return key, nil
}

// normalizeKey is a key that [ParsePublicKey] reads as PEM again, without the
// blanks and line ends that may stand around it, and its fingerprint: the MD5
// of the key's DER form, as sixteen pairs of hex digits joined by colons. It
// names the key and protects nothing.
func normalizeKey(text string) (material, fingerprint string, err error) {
	key, err := ParsePublicKey(text)
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", "", fmt.Errorf("encode public key: %w", err)
	}
	material = string(pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der}))
	return material, strings.ReplaceAll(fmt.Sprintf("% x", md5.Sum(der)), " ", ":"), nil
}

// publicKeyBlock is the label of a SubjectPublicKeyInfo (RFC 7468 section 13).
const publicKeyBlock = "PUBLIC KEY"
