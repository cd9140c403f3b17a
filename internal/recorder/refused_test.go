package recorder

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
)

// That a participant's recording could not start is told in the bucket, too, if that
// takes it. Of channels' nothing is.
func TestStartFailed(t *testing.T) {
	failure := `{"version":"v1","stage_arn":"` + string(stageARN) + `","session_id":"st-0a1B2c3D4e5F6","participant_id":"guestA1b2C3d",` +
		`"recording_ended_at":"2000-01-01T00:00:00Z","recording_status":"RECORDING_START_FAILED",` +
		`"recording_status_message":"the spool cannot be written: no space left on device","media":{`
	const hls = `"hls":{"duration_ms":0,"path":"media/hls","playlist":"multivariant.m3u8","renditions":[]}`
	thumbnails := func(c *camera) {
		p := &c.stream.Participant.Recording
		p.MediaTypes, p.Thumbnail.RecordingMode = []string{"NONE"}, "INTERVAL"
	}
	for _, tt := range []struct {
		name   string
		camera func(window int) *camera
		change func(c *camera)
		err    error         // of the bucket
		away   time.Duration // for how long
		want   string        // in the bucket
		tries  int
	}{
		{"a full disk", newPublisher, nil, nil, 0, failure + hls + "}}", 1},
		{"thumbnails alone", newPublisher, thumbnails, nil, 0, failure + "}}", 1},
		{"the bucket is away", newPublisher, nil, errNetwork, 10 * time.Minute, failure + hls + "}}", 0},
		{"the bucket stays away", newPublisher, nil, errNetwork, 24 * time.Hour, "", 0},
		{"the bucket refuses", newPublisher, nil, errDenied(), time.Minute, "", 1},
		{"there is no bucket", newPublisher, nil, answer(404, "NoSuchBucket"), time.Minute, "", 1},
		{"a channel", newCamera, nil, nil, 0, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
				d.SetRoom(0)
				begun, tries := time.Now(), 0
				w.fault = func(_ int, call string) error {
					if !strings.HasPrefix(call, "put") {
						return nil
					}
					if tries++; time.Since(begun) < tt.away {
						return tt.err
					}
					return nil
				}
				c := tt.camera(60)
				if tt.change != nil {
					tt.change(c)
				}
				take := c.begin(r)
				if err := c.shoot(t, take, 3); err == nil {
					t.Error("a full disk goes unnoticed")
				}
				take.End()
				synctest.Wait()
				wantTold(t, w, "Recording Start Failure "+c.stream.ID+": the spool cannot be written: no space left on device")
				time.Sleep(25 * time.Hour)
				synctest.Wait()
				got := ""
				for key, data := range w.tree {
					if got = string(data); !strings.HasSuffix(key, "/guestA1b2C3d/2000-01-01T00-00-01Z/events/recording-failed.json") {
						t.Errorf("stored is %s", key)
					}
				}
				if got != tt.want || got != "" && !json.Valid([]byte(got)) {
					t.Errorf("stored is\n%s\nwant\n%s", got, tt.want)
				}
				if patient := tt.err == errNetwork; patient && (tries < 2 || tries > 200) || !patient && tries != tt.tries {
					t.Errorf("the bucket was asked %d times, want %d", tries, tt.tries)
				}
				if len(r.all) > 0 || len(w.told()) != 1 {
					t.Errorf("%d recordings are left; told is %q", len(r.all), w.told())
				}
			})
		})
	}
}
