package recorder

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// A recording has no hole where another encoder was on air between two of its
// streams: what follows is moved to where the recording ended. That is so, too,
// if the stream was first taken for the other encoder's.
func TestPlayableBehindAnother(t *testing.T) {
	one := shootFilm(t, 2)
	heavy := *one // by what says nothing
	heavy.video = nil
	for _, payload := range one.video {
		filler := append([]byte{0, 0, 0x40, 0x00, 0x0C}, bytes.Repeat([]byte{0xFF}, 0x3FFF)...)
		heavy.video = append(heavy.video, slices.Concat(payload, filler))
	}
	for _, told := range []bool{true, false} {
		for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
			t.Run(fmt.Sprintf("%s, told %t", container, told), func(t *testing.T) {
				var w *world
				virtual(t, func(t *testing.T, world *world, r *Recorder) {
					w = world
					c := newCamera(60)
					c.stream.Channel.ContainerFormat = container
					c.stream.Renditions = []Rendition{{}, {Name: "90p25", Width: 160, Height: 90}}
					var take *Take
					cutter := packager.NewCutter(packager.Origin, func(ch *packager.Chunk) error {
						data, err := c.cmaf.Append(nil, ch)
						if err != nil {
							return err
						}
						return take.Write(ch, slices.Repeat(alone(ch, data), 2))
					})
					for n, f := range []*film{one, &heavy, one} {
						c = c.again()
						c.stream.Description = media.Description{Params: f.params}
						if told {
							c.stream.Description.VideoBitrate = []int{1e6, 1e7, 1e6}[n]
						}
						take = r.Begin(c.stream)
						f.play(t, cutter)
						take.End()
						time.Sleep(5 * time.Second)
					}
					time.Sleep(time.Minute)
					synctest.Wait()
				})
				recs := w.recordings()
				if len(recs) != 2 || len(recs[0].StreamIDs) != 2 || (recs[0].Duration-26*time.Second).Abs() > 300*time.Millisecond {
					t.Fatalf("recordings: %+v", recs)
				}
				master := download(t, w, recs[0])
				ffmpeg(t, "ffmpeg", "-i", master, "-f", "null", "-")
				for track, want := range map[string]int{"v:0": 2 * len(one.video), "a:0": 0, "v:1": 2 * len(one.video), "a:1": 0} {
					out := string(ffmpeg(t, "ffprobe", "-select_streams", track, "-show_entries", "packet=dts_time", "-of", "csv=p=0", master))
					var before float64
					lines := strings.Fields(out)
					for n, line := range lines {
						at, err := strconv.ParseFloat(strings.Trim(line, ","), 64)
						if err != nil {
							t.Fatal(err)
						}
						// Before the join, the pictures shown late get their time.
						if step := at - before; n > 0 && (step <= 0 || step > 0.2) {
							t.Errorf("%s: packet %d comes %.3f s after the one before", track, n, step)
						}
						before = at
					}
					if want > 0 && len(lines) != want || len(lines) == 0 {
						t.Errorf("%s: %d packets, want %d", track, len(lines), want)
					}
				}
			})
		}
	}
}
