package store

import (
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

// publicKey makes a new public key that is not stored.
func (f *fixture) publicKey(name string, tags resource.Tags) resource.PublicKey {
	f.t.Helper()
	key, err := resource.NewPublicKey(place, name, f.keyPair("", nil).PublicKey, tags)
	f.must(err)
	return key
}

func TestPublicKeys(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	a, b := f.publicKey("", nil), f.publicKey("b", resource.Tags{"it's": `"quoted"`})
	f.must(f.ImportPublicKey(ctx, a))
	f.must(f.ImportPublicKey(ctx, b))
	for _, want := range []resource.PublicKey{a, b} {
		if got, err := f.PublicKey(ctx, want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("key is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
	same := a
	same.ARN, same.Name = place.ARN(resource.KindPublicKey, "other"), "another name"
	wantKind(t, f.ImportPublicKey(ctx, same), resource.Conflict)
	f.must(f.DeletePublicKey(ctx, a.ARN))
	wantKind(t, f.DeletePublicKey(ctx, a.ARN), resource.NotFound)
	_, err := f.PublicKey(ctx, a.ARN)
	wantKind(t, err, resource.NotFound)
	f.must(f.ImportPublicKey(ctx, same))
	if got, _, err := f.ListPublicKeys(ctx, resource.Page{Size: 9}); err != nil || !reflect.DeepEqual(got, []resource.PublicKey{b, same}) {
		t.Errorf("keys are %+v, %v", got, err)
	}

	// The same key may sign playback tokens too.
	pair, err := resource.NewPlaybackKeyPair(place, "", b.Material, nil)
	f.must(err)
	f.must(f.ImportPlaybackKeyPair(ctx, pair))
}
