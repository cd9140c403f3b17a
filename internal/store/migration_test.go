package store

import (
	"io/fs"
	"net/url"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"anabranch/internal/resource"

	"github.com/pressly/goose/v3"
)

// A database of the first version is brought up to date and keeps what it has.
func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anabranch.db")
	db, err := connect(path, 1, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	first, err := goose.NewProvider(goose.DialectSQLite3, db.DB, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	arn := place.ARN(resource.KindChannel, "a")
	_, err = db.Exec(`UPDATE positions SET last = 2; INSERT INTO channels VALUES (?, 1, 'studio-a', 'LOW', 'STANDARD', '', TRUE, FALSE,
		'secret', '{"policy":"ALLOW"}', 'TS', NULL, NULL, NULL, '{"a":"b"}')`, string(arn))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`INSERT INTO recordings VALUES ('r', 2, 's', ?, 'studio-a', '', 'vod', 'p', 'TS', '["st-1"]', 0, 'RECORDING_ENDED', '', 1, 2, 3)`, string(arn))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	f := openAt(t, path)
	want := resource.Channel{
		ARN: arn, Name: "studio-a", LatencyMode: resource.LowLatency, Type: resource.Standard, Authorized: true, ContainerFormat: resource.TS,
		SRT: resource.SRT{Passphrase: "secret"}, Multitrack: resource.MultitrackInputConfiguration{Policy: "ALLOW"}, Tags: resource.Tags{"a": "b"},
	}
	if got, err := f.Channel(t.Context(), arn); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("channel is %+v, %v; want %+v", got, err, want)
	}
	recorded, err := f.Recording(t.Context(), "r")
	if want := (resource.Recording{
		ID: "r", SessionID: "s", ChannelARN: arn, ChannelName: "studio-a", ContainerFormat: resource.TS, Bucket: "vod", Prefix: "p",
		StreamIDs: []string{"st-1"}, State: resource.RecordingEnded, StartedAt: timeOf(1), EndedAt: timeOf(2), Duration: 3 * time.Millisecond,
	}); err != nil || !reflect.DeepEqual(recorded, want) || recorded.OfParticipant() {
		t.Errorf("recording is %+v, %v; want %+v", recorded, err, want)
	}
	want.PlaybackRestrictionPolicyARN, want.AdConfigurationARN = f.policy().ARN, f.ads().ARN
	got, err := f.UpdateChannel(t.Context(), arn, func(ch *resource.Channel) error {
		*ch = want
		return nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("channel became %+v, %v; want %+v", got, err, want)
	}
}
