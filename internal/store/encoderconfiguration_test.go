package store

import (
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

func (f *fixture) encoder(name string) resource.EncoderConfiguration {
	f.t.Helper()
	c := resource.EncoderConfiguration{ARN: place.ARN(resource.KindEncoderConfiguration, resource.NewID()), Name: name}
	c.FillDefaults()
	f.must(f.CreateEncoderConfiguration(f.t.Context(), c))
	return c
}

func TestEncoderConfigurations(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	plain := f.encoder("")
	full := resource.EncoderConfiguration{
		ARN: place.ARN(resource.KindEncoderConfiguration, "a"), Name: "it's", Tags: resource.Tags{"a": `"b"`},
		Video: resource.Video{Width: 1080, Height: 1920, Framerate: 29.97, Bitrate: 8_500_000},
	}
	f.must(f.CreateEncoderConfiguration(ctx, full))
	for _, want := range []resource.EncoderConfiguration{plain, full} {
		if got, err := f.EncoderConfiguration(ctx, want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("encoder configuration is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
	f.must(f.DeleteEncoderConfiguration(ctx, full.ARN))
	wantKind(t, f.DeleteEncoderConfiguration(ctx, full.ARN), resource.NotFound)
	_, err := f.EncoderConfiguration(ctx, full.ARN)
	wantKind(t, err, resource.NotFound)
}
