package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// Sealer makes tokens that only it could have made: a payload behind an
// HMAC-SHA256 of it, in URL-safe base64.
//
//	base64url( HMAC(HMAC(key, purpose), payload) ‖ payload )
//
// The payload is protected from change, not from reading. A token made for one
// purpose is not valid for another. Methods may be called from several
// goroutines at once.
type Sealer struct{ key []byte }

// NewSealer makes a Sealer with a secret key, best of 32 random bytes. Who has
// the same key can open, and make, the same tokens.
func NewSealer(key []byte) *Sealer { return &Sealer{key: append([]byte(nil), key...)} }

// ErrToken is the error of a token that was not made by this key for this
// purpose.
var ErrToken = errors.New("not a valid token")

// encoding is strict: every token has a single spelling.
var encoding = base64.RawURLEncoding.Strict()

// Seal makes a token for a purpose out of a payload, with letters, digits, "-"
// and "_". The same arguments give the same token.
func (s *Sealer) Seal(purpose string, payload []byte) string {
	return encoding.EncodeToString(append(s.sum(purpose, payload), payload...))
}

// Open returns the payload of a token that [Sealer.Seal] made for purpose, and
// [ErrToken] for any other.
func (s *Sealer) Open(purpose, token string) ([]byte, error) {
	if strings.ContainsAny(token, "\r\n") { // which the decoder would skip
		return nil, ErrToken
	}
	sealed, err := encoding.DecodeString(token)
	if err != nil || len(sealed) < sha256.Size {
		return nil, ErrToken
	}
	sum, payload := sealed[:sha256.Size], sealed[sha256.Size:]
	if !hmac.Equal(sum, s.sum(purpose, payload)) {
		return nil, ErrToken
	}
	return payload, nil
}

func (s *Sealer) sum(purpose string, payload []byte) []byte {
	return mac(mac(s.key, purpose), string(payload))
}
