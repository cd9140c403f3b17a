package recorder

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// A recording that a stream moves to tells of that stream's codecs, and not of those
// of the recording that it left.
func TestCodecsOfMovedStream(t *testing.T) {
	for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
		virtual(t, func(t *testing.T, w *world, r *Recorder) {
			heavy := newCamera(60).climb()
			heavy.stream.Channel.ContainerFormat = container
			heavy.stream.Description.VideoBitrate, heavy.size = 0, 1000
			heavy.broadcast(t, r, 12)
			light := heavy.again()
			light.size = 100
			high := *video480p
			high.SPS = slices.Clone(high.SPS)
			high.SPS[1], high.Profile = 100, 100
			other := *light.rungs[0]
			other.params.Video = &high
			light.rungs = []*rung{&other, light.rungs[1]}
			light.broadcast(t, r, 12)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			for n, want := range []string{video480p.Codec(), high.Codec()} {
				master := w.object(w.recordings()[n], "media/hls/master.m3u8")
				_, rest, _ := strings.Cut(master, `GROUP-ID="480p30"`)
				if line, _, _ := strings.Cut(rest, "480p30/"); !strings.Contains(strings.ToLower(line), want) {
					t.Errorf("%s, recording %d: %s, want %s", container, n, line, want)
				}
			}
		})
	}
}
