package recorder

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
)

// Where the only rendition that is recorded has no media in an object there is no
// file to remove, and nothing goes wrong.
func TestHoleOfOneRendition(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60).climb()
		c.custom("SD")
		take := r.Begin(c.stream)
		for n := range 3 {
			c.rungs[0].hole = n == 1
			c.shoot(t, take, 30)
		}
		c.shoot(t, take, 1)
		synctest.Wait()
		take.rec.mu.Lock()
		o := take.rec.objects[1]
		take.rec.mu.Unlock()
		if !o.Stored || o.size() > 0 {
			t.Fatalf("the second object: %+v", o)
		}
		if err := take.rec.removeBundle(o.N); err != nil {
			t.Error(err)
		}
		take.End()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := entries(w.object(w.recordings()[0], "media/hls/480p30/"+mediaName)); got != "0 (1) 2 3" {
			t.Errorf("entries are %s", got)
		}
	})
}

// A file that cannot be read has its own time, however long another of the object
// could not be.
func TestUnreadableOneAfterTheOther(t *testing.T) {
	mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
		var second time.Time // when the second file was read first
		d.SetFault(func(op disktest.Op) error {
			switch {
			case op.Name != "read":
			case strings.HasSuffix(op.Path, "/1/0.ts"):
				return syscall.EIO
			case strings.HasSuffix(op.Path, "/1/1.ts"):
				if second.IsZero() {
					second = time.Now()
				}
				if time.Since(second) < time.Minute {
					return syscall.EIO
				}
			}
			return nil
		})
		c := newCamera(0).climb()
		c.broadcast(t, r, 90)
		time.Sleep(4 * readPatience)
		synctest.Wait()
		for folder, want := range map[string]string{"720p30": "0 (1) 2", "480p30": "0 1 2"} {
			if got := entries(w.object(w.recordings()[0], "media/hls/"+folder+"/"+mediaName)); got != want {
				t.Errorf("%s: %s, want %s", folder, got, want)
			}
		}
	})
}
