package resource_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/resource"
)

func TestARN(t *testing.T) {
	place := resource.Place{Region: "eu-west-1", Account: "111122223333"}
	arn := place.ARN(resource.KindStreamKey, "abc")
	if arn != "arn:aws:ivs:eu-west-1:111122223333:stream-key/abc" || arn.Kind() != "stream-key" || arn.ID() != "abc" {
		t.Errorf("%s has kind %q and id %q", arn, arn.Kind(), arn.ID())
	}
	for _, bad := range []resource.ARN{"", "arn", "arn:aws:ivs:r:a", "a/b"} {
		if bad.Kind() != "" || bad.ID() != "" {
			t.Errorf("%q has kind %q and id %q", bad, bad.Kind(), bad.ID())
		}
	}
}

func TestIdentifiers(t *testing.T) {
	place := resource.Place{Region: "eu-west-1", Account: "111122223333"}
	key := resource.NewStreamKey(place, place.ARN(resource.KindChannel, "c"), nil)
	for what, tt := range map[string]struct{ id, pattern string }{
		"id":         {resource.NewID(), `^[0-9A-Za-z]{12}$`},
		"stream id":  {resource.NewStreamID(), `^st-[0-9A-Za-z]{23}$`},
		"stream key": {key.Value, `^sk_eu-west-1_[0-9A-Za-z]{12}_[0-9A-Za-z]{30}$`},
		"session id": {resource.NewStageSessionID(), `^st-[0-9A-Za-z]{13}$`},
	} {
		if !regexp.MustCompile(tt.pattern).MatchString(tt.id) {
			t.Errorf("%s %q does not match %s", what, tt.id, tt.pattern)
		}
	}
	for s, want := range map[string]bool{resource.NewID(): true, "a-b": true, "": false, "lost+found": false, "a/b": false, "..": false} {
		if resource.IsID(s) != want {
			t.Errorf("IsID(%q) is %v", s, !want)
		}
	}
	if resource.NewID() == resource.NewID() {
		t.Error("the same id twice")
	}
}

func TestChannelDefaults(t *testing.T) {
	standard := resource.Channel{
		Type: resource.Standard, LatencyMode: resource.LowLatency, ContainerFormat: resource.TS, Tags: resource.Tags{},
		Multitrack: resource.MultitrackInputConfiguration{Policy: "ALLOW", MaximumResolution: "FULL_HD"},
	}
	basic, advanced := standard, standard
	basic.Type = resource.Basic
	advanced.Type, advanced.Preset = resource.AdvancedHD, resource.HigherBandwidth
	for _, tt := range []struct{ given, want resource.Channel }{
		{resource.Channel{}, standard},
		{resource.Channel{Type: resource.Basic, Preset: resource.HigherBandwidth}, basic},
		{resource.Channel{Type: resource.AdvancedHD}, advanced},
	} {
		tt.given.FillDefaults()
		if !reflect.DeepEqual(tt.given, tt.want) {
			t.Errorf("got %+v, want %+v", tt.given, tt.want)
		}
	}
}

// Each rule that spans several members names the member it is about.
func TestValidate(t *testing.T) {
	multitrack := resource.Channel{
		Type: resource.Standard, ContainerFormat: resource.FragmentedMP4,
		Multitrack: resource.MultitrackInputConfiguration{Enabled: true, Policy: "ALLOW", MaximumResolution: "HD"},
	}
	s3 := resource.DestinationConfiguration{S3: &resource.S3DestinationConfiguration{BucketName: "bucket"}}
	with := func(change func(*resource.Channel)) *resource.Channel {
		c := multitrack
		change(&c)
		return &c
	}
	encoder := func(width, height int) *resource.EncoderConfiguration {
		return &resource.EncoderConfiguration{Video: resource.Video{Width: width, Height: height}}
	}
	for _, tt := range []struct {
		name   string
		value  interface{ Validate() error }
		member string // empty: valid
	}{
		{"plain channel", &resource.Channel{}, ""},
		{"multitrack", &multitrack, ""},
		{"multitrack on BASIC", with(func(c *resource.Channel) { c.Type = resource.Basic }), "multitrackInputConfiguration.enabled"},
		{"multitrack without policy", with(func(c *resource.Channel) { c.Multitrack.Policy = "" }), "multitrackInputConfiguration.policy"},
		{"multitrack without resolution", with(func(c *resource.Channel) { c.Multitrack.MaximumResolution = "" }), "multitrackInputConfiguration.maximumResolution"},
		{"multitrack in TS", with(func(c *resource.Channel) { c.ContainerFormat = resource.TS }), "containerFormat"},
		{"ads in fMP4", &resource.Channel{ContainerFormat: resource.FragmentedMP4, AdConfigurationARN: "arn"}, "containerFormat"},
		{"plain recording configuration", &resource.RecordingConfiguration{Destination: s3}, ""},
		{"no destination", &resource.RecordingConfiguration{}, "destinationConfiguration.s3"},
		{"CUSTOM of nothing", &resource.RecordingConfiguration{Destination: s3, Rendition: resource.RenditionConfiguration{Selection: "CUSTOM"}}, "renditionConfiguration.renditions"},
		{"plain encoder configuration", encoder(1280, 720), ""},
		{"1080p", encoder(1920, 1080), ""},
		{"1080p, upright", encoder(1080, 1920), ""},
		{"the smallest", encoder(2, 2), ""},
		{"odd width", encoder(1279, 720), "video.width"},
		{"odd height", encoder(1280, 719), "video.height"},
		{"more than 1080p", encoder(1920, 1082), "video"},
		{"a square", encoder(1920, 1920), "video"},
		{"ALL of some", &resource.RecordingConfiguration{Destination: s3, Rendition: resource.RenditionConfiguration{Selection: "ALL", Renditions: []string{"HD"}}}, ""},
	} {
		err := tt.value.Validate()
		var e *resource.Error
		switch {
		case tt.member == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.member != "" && (!errors.As(err, &e) || e.Kind != resource.Invalid || !strings.HasPrefix(e.Msg, tt.member+": ")):
			t.Errorf("%s: %v, want an Invalid error about %s", tt.name, err, tt.member)
		}
	}
}

func TestMaxIngestBitrate(t *testing.T) {
	for _, tt := range []struct {
		of            resource.ChannelType
		width, height int
		want          int
	}{
		{resource.Basic, 854, 480, 1_500_000},
		{resource.Basic, 480, 854, 1_500_000},
		{resource.Basic, 480, 480, 1_500_000},
		{resource.Basic, 854, 482, 3_500_000},
		{resource.Basic, 1920, 1080, 3_500_000},
		{resource.Basic, 0, 0, 3_500_000},
		{resource.Standard, 640, 360, 8_500_000},
		{resource.AdvancedSD, 640, 360, 8_500_000},
		{resource.AdvancedHD, 1920, 1080, 8_500_000},
	} {
		if got := tt.of.MaxIngestBitrate(tt.width, tt.height); got != tt.want {
			t.Errorf("%s at %dx%d: %d bit/s, want %d", tt.of, tt.width, tt.height, got, tt.want)
		}
	}
}
