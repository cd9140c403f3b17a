package store

import (
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

func TestRecordingConfigurationIsReadAsWritten(t *testing.T) {
	f := open(t)
	for name, alter := range map[string]func(*resource.RecordingConfiguration){
		"defaults": func(*resource.RecordingConfiguration) {},
		"everything": func(rc *resource.RecordingConfiguration) {
			rc.Name, rc.State, rc.ReconnectWindowSeconds = "vod", resource.Active, 300
			rc.Thumbnail = resource.ThumbnailConfiguration{RecordingMode: "INTERVAL", TargetIntervalSeconds: 5,
				Resolution: "HD", Storage: []string{"SEQUENTIAL", "LATEST"}}
			rc.Rendition = resource.RenditionConfiguration{Selection: "CUSTOM", Renditions: []string{"HD", "SD"}}
			rc.Tags = resource.Tags{"a": "b"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := f.configuration(alter)
			got, err := f.RecordingConfiguration(t.Context(), want.ARN)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("configuration is\n%+v, %v; want\n%+v", got, err, want)
			}
		})
	}
}

func TestSettleRecordingConfiguration(t *testing.T) {
	f := open(t)
	good, bad, waiting := f.configuration(), f.configuration(), f.configuration()
	f.must(f.SettleRecordingConfiguration(t.Context(), good.ARN, resource.Active))
	f.must(f.SettleRecordingConfiguration(t.Context(), bad.ARN, resource.CreateFailed))
	wantKind(t, f.SettleRecordingConfiguration(t.Context(), place.ARN(resource.KindRecordingConfiguration, "missing"), resource.Active), resource.NotFound)

	for arn, want := range map[resource.ARN]resource.RecordingConfigurationState{
		good.ARN: resource.Active, bad.ARN: resource.CreateFailed, waiting.ARN: resource.Creating,
	} {
		if got, err := f.RecordingConfiguration(t.Context(), arn); err != nil || got.State != want {
			t.Errorf("state is %s, %v; want %s", got.State, err, want)
		}
	}
	pending, err := f.PendingRecordingConfigurations(t.Context())
	if err != nil || len(pending) != 1 || !reflect.DeepEqual(pending[0], waiting) {
		t.Errorf("pending are %+v, %v", pending, err)
	}
}

func TestDeleteRecordingConfiguration(t *testing.T) {
	f := open(t)
	rc := f.configuration()
	ch, key := f.channel("", func(ch *resource.Channel) { ch.RecordingConfigurationARN = rc.ARN })
	session := f.begin(key, noon)
	f.end(session, noon)
	wantKind(t, f.DeleteRecordingConfiguration(t.Context(), rc.ARN), resource.Conflict)
	_, err := f.UpdateChannel(t.Context(), ch.ARN, func(ch *resource.Channel) error {
		ch.RecordingConfigurationARN = ""
		return nil
	})
	f.must(err)
	f.must(f.DeleteRecordingConfiguration(t.Context(), rc.ARN))
	wantKind(t, f.DeleteRecordingConfiguration(t.Context(), rc.ARN), resource.NotFound)
	_, err = f.RecordingConfiguration(t.Context(), rc.ARN)
	wantKind(t, err, resource.NotFound)

	// A session keeps its copy.
	got, err := f.StreamSession(t.Context(), ch.ARN, session.StreamID)
	if err != nil || !reflect.DeepEqual(got.RecordingConfiguration, &rc) || got.Channel.RecordingConfigurationARN != rc.ARN {
		t.Errorf("session is %+v, %v", got, err)
	}
}
