package recorder

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A bucket that refuses thumbnails alone gets the media, and the recording ends.
func TestThumbnailsRefused(t *testing.T) {
	for _, storage := range []string{"SEQUENTIAL", "LATEST"} {
		photographed(t, func(p *photo) {
			p.w.fault = func(_ int, call string) error {
				if strings.Contains(call, "thumb") {
					return errDenied()
				}
				return nil
			}
			c := snapshots(0, 2, 6, storage)
			c.broadcast(t, p.r, 60)
			time.Sleep(time.Minute)
			synctest.Wait()
			wantTold(t, p.w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
			rec := p.w.recordings()[0]
			if ended := p.w.object(rec, "events/recording-ended.json"); strings.Contains(ended, "thumb") {
				t.Errorf("%s: it tells of thumbnails: %s", storage, ended)
			}
			wantWhole(t, p.w, rec)
		})
	}
}
