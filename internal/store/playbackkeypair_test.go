package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

// keyPair makes a new key pair that is not stored.
func (f *fixture) keyPair(name string, tags resource.Tags) resource.PlaybackKeyPair {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	f.must(err)
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	f.must(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	pair, err := resource.NewPlaybackKeyPair(place, name, string(text), tags)
	f.must(err)
	return pair
}

func TestPlaybackKeyPairs(t *testing.T) {
	f := open(t)
	a, b := f.keyPair("", nil), f.keyPair("b", resource.Tags{"it's": `"quoted"`})
	f.must(f.ImportPlaybackKeyPair(t.Context(), a))
	f.must(f.ImportPlaybackKeyPair(t.Context(), b))
	for _, want := range []resource.PlaybackKeyPair{a, b} {
		if got, err := f.PlaybackKeyPair(t.Context(), want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("key pair is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
	if got, err := f.AllPlaybackKeyPairs(t.Context()); err != nil || !reflect.DeepEqual(got, []resource.PlaybackKeyPair{a, b}) {
		t.Errorf("key pairs are %+v, %v", got, err)
	}

	same := a
	same.ARN, same.Name = place.ARN(resource.KindPlaybackKeyPair, "other"), "another name"
	wantKind(t, f.ImportPlaybackKeyPair(t.Context(), same), resource.Conflict)
	f.must(f.DeletePlaybackKeyPair(t.Context(), a.ARN))
	wantKind(t, f.DeletePlaybackKeyPair(t.Context(), a.ARN), resource.NotFound)
	_, err := f.PlaybackKeyPair(t.Context(), a.ARN)
	wantKind(t, err, resource.NotFound)
	f.must(f.ImportPlaybackKeyPair(t.Context(), same))
	if got, err := f.AllPlaybackKeyPairs(t.Context()); err != nil || !reflect.DeepEqual(got, []resource.PlaybackKeyPair{b, same}) {
		t.Errorf("key pairs are %+v, %v", got, err)
	}
}
