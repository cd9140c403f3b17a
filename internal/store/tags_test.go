package store

import (
	"fmt"
	"maps"
	"testing"

	"anabranch/internal/resource"
)

func TestTags(t *testing.T) {
	f := open(t)
	ch, key := f.channel("")
	pair := f.keyPair("", nil)
	f.must(f.ImportPlaybackKeyPair(t.Context(), pair))
	public := f.publicKey("", nil)
	f.must(f.ImportPublicKey(t.Context(), public))
	for _, arn := range []resource.ARN{
		ch.ARN, key.ARN, f.configuration().ARN, pair.ARN, f.policy().ARN, f.ads().ARN,
		f.stage("").ARN, public.ARN, f.ingest().ARN, f.encoder("").ARN, f.storage("").ARN,
	} {
		t.Run(arn.Kind(), func(t *testing.T) {
			want := func(want resource.Tags) {
				t.Helper()
				got, err := f.Tags(t.Context(), arn)
				if err != nil || got == nil || !maps.Equal(got, want) {
					t.Errorf("tags are %v, %v; want %v", got, err, want)
				}
			}
			want(resource.Tags{})
			f.must(f.TagResource(t.Context(), arn, resource.Tags{"a": "1", "b": "2"}))
			f.must(f.TagResource(t.Context(), arn, resource.Tags{"b": "it's", "c": ""}))
			want(resource.Tags{"a": "1", "b": "it's", "c": ""})
			f.must(f.UntagResource(t.Context(), arn, []string{"a", "a", "never"}))
			want(resource.Tags{"b": "it's", "c": ""})
			f.must(f.UntagResource(t.Context(), arn, nil))
			want(resource.Tags{"b": "it's", "c": ""})
		})
	}
	// They are the resource's own.
	if got, err := f.Channel(t.Context(), ch.ARN); err != nil || got.Tags["b"] != "it's" {
		t.Errorf("channel is %+v, %v", got, err)
	}
}

func TestFiftyTagsAtMost(t *testing.T) {
	f := open(t)
	ch, _ := f.channel("")
	fifty := resource.Tags{}
	for i := range maxTags {
		fifty[fmt.Sprint(i)] = "old"
	}
	f.must(f.TagResource(t.Context(), ch.ARN, fifty))
	wantKind(t, f.TagResource(t.Context(), ch.ARN, resource.Tags{"one more": ""}), resource.Invalid)
	f.must(f.TagResource(t.Context(), ch.ARN, resource.Tags{"7": "new"}))
	got, err := f.Tags(t.Context(), ch.ARN)
	if err != nil || len(got) != maxTags || got["7"] != "new" {
		t.Errorf("tags are %v, %v", got, err)
	}
}

func TestTagsOfNothing(t *testing.T) {
	f := open(t)
	for _, arn := range []resource.ARN{
		"", "nonsense", "channels", place.ARN(resource.KindChannel, "missing"), place.ARN(resource.KindStreamKey, "missing"),
		place.ARN(resource.KindPlaybackKeyPair, "missing"), place.ARN("streams", "x"), place.ARN("positions; --", "x"),
	} {
		_, err := f.Tags(t.Context(), arn)
		wantKind(t, err, resource.NotFound)
		wantKind(t, f.TagResource(t.Context(), arn, resource.Tags{"a": "b"}), resource.NotFound)
		wantKind(t, f.UntagResource(t.Context(), arn, []string{"a"}), resource.NotFound)
	}
}
