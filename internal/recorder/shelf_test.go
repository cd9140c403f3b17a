package recorder

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Others are told how far a recording is: all media that was written, and what
// of it the bucket has.
func TestProgress(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		if _, ok := r.Progress("nobody"); ok {
			t.Error("there is progress of a recording that is not")
		}
		c := newCamera(60)
		take := r.Begin(c.stream)
		if err := c.shoot(t, take, 3); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		id := w.recordings()[0].ID
		p, ok := r.Progress(id)
		if !ok || p.Duration != time.Second || p.Playable || p.Waiting == 0 || !slices.Equal(p.Streams, []string{c.stream.ID}) {
			t.Errorf("after a second: %+v, %v", p, ok)
		}
		if stored, ok := r.Stored(id); !ok || len(stored) > 0 {
			t.Errorf("after a second %v is stored, %v", stored, ok)
		}
		if err := c.shoot(t, take, 72); err != nil {
			t.Fatal(err)
		}
		take.End()
		next := c.again()
		next.broadcast(t, r, 30)
		synctest.Wait()

		p, _ = r.Progress(id)
		if p.Duration != 35*time.Second || !p.Playable || p.Waiting != 0 || !slices.Equal(p.Streams, []string{c.stream.ID, next.stream.ID}) {
			t.Errorf("between streams: %+v", p)
		}
		stored, _ := r.Stored(id)
		for i, want := range []Object{
			{Rendition: "720p30", Name: "0.ts", Duration: 10 * time.Second}, {Rendition: "720p30", Name: "1.ts", Duration: 10 * time.Second},
			{Rendition: "720p30", Name: "2.ts", Duration: 5 * time.Second}, {Rendition: "720p30", Name: "3.ts", Duration: 10 * time.Second, Discontinuity: true},
		} {
			if i >= len(stored) {
				t.Fatalf("stored are %+v", stored)
			}
			got := stored[i]
			if size := int64(len(w.object(w.recordings()[0], "media/hls/720p30/"+want.Name))); got.Size != size || size == 0 || got.Time.IsZero() {
				t.Errorf("%+v, in the bucket %d bytes", got, size)
			}
			if got.Size, got.Time = 0, (time.Time{}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}

		time.Sleep(2 * time.Minute)
		if p, ok := r.Progress(id); ok {
			t.Errorf("at the end: %+v", p)
		}
		if _, ok := r.Stored(id); ok {
			t.Error("at the end there is a journal")
		}
	})
}
