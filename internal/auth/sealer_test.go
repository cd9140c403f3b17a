package auth_test

import (
	"bytes"
	"errors"
	"regexp"
	"testing"

	"anabranch/internal/auth"
)

func TestSealer(t *testing.T) {
	sealer, other := auth.NewSealer([]byte("one key")), auth.NewSealer([]byte("another key"))
	for _, payload := range []string{"", "x", "a longer payload \x00\xff"} {
		token := sealer.Seal("purpose", []byte(payload))
		if !regexp.MustCompile(`^[0-9A-Za-z_-]+$`).MatchString(token) {
			t.Errorf("token %q has other characters", token)
		}
		got, err := sealer.Open("purpose", token)
		if err != nil || string(got) != payload {
			t.Errorf("opened %q, %v, want %q", got, err, payload)
		}
		for what, open := range map[string]func() ([]byte, error){
			"another purpose": func() ([]byte, error) { return sealer.Open("purpos", token) },
			"another key":     func() ([]byte, error) { return other.Open("purpose", token) },
			"a line break":    func() ([]byte, error) { return sealer.Open("purpose", token+"\n") },
			"padding":         func() ([]byte, error) { return sealer.Open("purpose", token+"=") },
			"a part":          func() ([]byte, error) { return sealer.Open("purpose", token[:len(token)-1]) },
			"nothing":         func() ([]byte, error) { return sealer.Open("purpose", "") },
		} {
			if got, err := open(); !errors.Is(err, auth.ErrToken) || got != nil {
				t.Errorf("with %s: %q, %v", what, got, err)
			}
		}
	}
}

// Opening never panics, and opens nothing but what was sealed.
func FuzzOpen(f *testing.F) {
	sealer := auth.NewSealer([]byte("one key"))
	for _, payload := range []string{"", "x", "a longer payload"} {
		f.Add("purpose", sealer.Seal("purpose", []byte(payload)))
		f.Add("other", sealer.Seal("purpose", []byte(payload)))
	}
	f.Add("", "not base64!")
	f.Fuzz(func(t *testing.T, purpose, token string) {
		payload, err := sealer.Open(purpose, token)
		if err == nil && sealer.Seal(purpose, payload) != token {
			t.Errorf("%q opened, and is not what sealing %q gives", token, payload)
		}
		if err != nil && !bytes.Equal(payload, nil) {
			t.Errorf("%v, and payload %q", err, payload)
		}
	})
}
