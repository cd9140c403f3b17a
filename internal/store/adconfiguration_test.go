package store

import (
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

// ads makes an ad configuration.
func (f *fixture) ads(alter ...func(*resource.AdConfiguration)) resource.AdConfiguration {
	f.t.Helper()
	c := resource.AdConfiguration{
		ARN:         place.ARN(resource.KindAdConfiguration, resource.NewID()),
		MediaTailor: []resource.MediaTailorPlaybackConfiguration{{PlaybackConfigurationARN: "arn:aws:mediatailor:us-west-2:111122223333:playbackConfiguration/a"}},
	}
	c.FillDefaults()
	for _, a := range alter {
		a(&c)
	}
	f.must(f.CreateAdConfiguration(f.t.Context(), c))
	return c
}

func TestAdConfigurationIsReadAsWritten(t *testing.T) {
	f := open(t)
	for _, want := range []resource.AdConfiguration{
		f.ads(),
		f.ads(func(c *resource.AdConfiguration) {
			c.Name, c.Tags = "ads", resource.Tags{"a": "b"}
			c.MediaTailor = append(c.MediaTailor, resource.MediaTailorPlaybackConfiguration{PlaybackConfigurationARN: "b"})
			c.PostRoll = resource.PostRollConfiguration{Enabled: true, DurationSeconds: 300}
		}),
	} {
		if got, err := f.AdConfiguration(t.Context(), want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ad configuration is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
}

func TestUpdateAdConfiguration(t *testing.T) {
	f := open(t)
	want := f.ads()
	change := func(c *resource.AdConfiguration) error {
		c.ARN = "another" // which is not taken
		c.PostRoll.Enabled = true
		return nil
	}
	want.PostRoll.Enabled = true
	if got, err := f.UpdateAdConfiguration(t.Context(), want.ARN, change); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("answered %+v, %v; want %+v", got, err, want)
	}
	refusal := resource.Errorf(resource.Invalid, "name: no")
	_, err := f.UpdateAdConfiguration(t.Context(), want.ARN, func(c *resource.AdConfiguration) error {
		c.Name = "never"
		return refusal
	})
	if err != refusal {
		t.Errorf("error is %v", err)
	}
	if got, err := f.AdConfiguration(t.Context(), want.ARN); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("stored is %+v, %v; want %+v", got, err, want)
	}
	_, err = f.UpdateAdConfiguration(t.Context(), place.ARN(resource.KindAdConfiguration, "missing"), change)
	wantKind(t, err, resource.NotFound)
}

func TestDeleteAdConfiguration(t *testing.T) {
	f := open(t)
	ads, other := f.ads(), f.ads()
	ch, _ := f.channel("", func(ch *resource.Channel) { ch.AdConfigurationARN = ads.ARN })
	wantKind(t, f.DeleteAdConfiguration(t.Context(), ads.ARN), resource.Conflict)
	f.must(f.DeleteAdConfiguration(t.Context(), other.ARN))
	f.must(f.DeleteChannel(t.Context(), ch.ARN))
	f.must(f.DeleteAdConfiguration(t.Context(), ads.ARN))
	wantKind(t, f.DeleteAdConfiguration(t.Context(), ads.ARN), resource.NotFound)
	_, err := f.AdConfiguration(t.Context(), ads.ARN)
	wantKind(t, err, resource.NotFound)
}
