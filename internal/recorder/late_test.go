package recorder

import (
	"testing"
	"testing/synctest"
	"time"
)

// Sound alone may come back in any segment, pictures at key frames. A stream in
// doubt is decided all the same.
func TestLateSoundInDoubt(t *testing.T) {
	for _, late := range []int{0, 1, 5} {
		virtual(t, func(t *testing.T, w *world, r *Recorder) {
			heavy := newCamera(60).climb()
			heavy.stream.Description.VideoBitrate, heavy.size = 0, 1000
			heavy.broadcast(t, r, 12)
			light := heavy.again()
			light.size = 100
			take := r.Begin(light.stream)
			sound := light.rungs[1]
			sound.hole = true
			light.shoot(t, take, late)
			sound.hole = false
			light.shoot(t, take, 36-late)
			take.End()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			recs := w.recordings()
			if len(recs) != 2 {
				t.Fatalf("sound %d parts late: %d recordings", late, len(recs))
			}
			for _, folder := range []string{"720p30", "480p30", "audio_only"} {
				wantEntries(t, w, recs[1], "media/hls/"+folder+"/", w.object(recs[1], "media/hls/"+folder+"/"+mediaName))
			}
		})
	}
}

// A recording begins with pictures: the first group that is measured is whole.
func TestSoundBeforePictures(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60).climb()
		c.stream.Description.VideoBitrate = 0
		c.stream.Renditions = c.stream.Renditions[1:] // as of ADVANCED channels
		take := r.Begin(c.stream)
		write := func(n int) {
			for range n {
				ch := c.chunk()
				if err := take.Write(ch, c.render(t, ch)[1:]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second / 3)
			}
		}
		c.rungs[0].hole, c.rungs[1].hole = true, true
		write(2)
		c.rungs[1].hole = false
		write(4)
		if take.joined {
			t.Error("it has begun without pictures")
		}
		c.rungs[0].hole = false
		write(7)
		if m := take.rec.measured; m == nil || m.FrameRate != 30 {
			t.Errorf("measured %+v", m)
		}
		if n := len(take.rec.objects); n != 1 {
			t.Errorf("%d objects", n)
		}
		take.End()
	})
}
