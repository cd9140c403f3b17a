package store

import (
	"strings"
	"testing"

	"anabranch/internal/resource"
)

func TestAChannelHasOneStreamKey(t *testing.T) {
	f := open(t)
	ch, first := f.channel("")
	second := resource.NewStreamKey(place, ch.ARN, resource.Tags{"a": "b"})
	wantKind(t, f.CreateStreamKey(t.Context(), second), resource.QuotaExceeded)
	_, err := f.StreamKey(t.Context(), second.ARN)
	wantKind(t, err, resource.NotFound)

	f.must(f.DeleteStreamKey(t.Context(), first.ARN))
	_, err = f.ChannelByStreamKey(t.Context(), first.Value)
	wantKind(t, err, resource.NotFound)
	if keys, next, err := f.ListStreamKeys(t.Context(), ch.ARN, resource.Page{Size: 1}); err != nil || len(keys) > 0 || next != "" {
		t.Errorf("keys are %v, %q, %v", keys, next, err)
	}

	f.must(f.CreateStreamKey(t.Context(), second))
	if got, err := f.ChannelByStreamKey(t.Context(), second.Value); err != nil || got.ARN != ch.ARN {
		t.Errorf("channel of the new key is %v, %v", got, err)
	}
	keys, next, err := f.ListStreamKeys(t.Context(), ch.ARN, resource.Page{Size: 1})
	if err != nil || len(keys) != 1 || keys[0].ARN != second.ARN || keys[0].Tags["a"] != "b" || next != "" {
		t.Errorf("keys are %v, %q, %v", keys, next, err)
	}
	if got, err := f.StreamKeys(t.Context(), []resource.ARN{first.ARN, second.ARN}); err != nil || len(got) != 1 {
		t.Errorf("keys are %v, %v", got, err)
	}
}

func TestStreamKeyNeedsItsChannel(t *testing.T) {
	f := open(t)
	key := resource.NewStreamKey(place, place.ARN(resource.KindChannel, "missing"), nil)
	wantKind(t, f.CreateStreamKey(t.Context(), key), resource.NotFound)
	wantKind(t, f.DeleteStreamKey(t.Context(), key.ARN), resource.NotFound)
}

// Whatever a publisher sends as its key, the answer is that there is no such
// key, and does not repeat it.
func TestUnknownStreamKeys(t *testing.T) {
	f := open(t)
	_, key := f.channel("")
	for _, value := range []string{
		"", " ", "sk_us-west-2_nobody_secret", "' OR '1'='1", key.Value + "\x00", "\x00", key.Value + " ",
		strings.ToUpper(key.Value), "\xff\xfe", "?", "%", strings.Repeat("s", 1<<16),
	} {
		_, err := f.ChannelByStreamKey(t.Context(), value)
		wantKind(t, err, resource.NotFound)
		if err != nil && len(value) > 2 && strings.Contains(err.Error(), value) {
			t.Errorf("error tells the key: %v", err)
		}
	}
}
