package recorder

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// A recording's tree, from the first object to the last line of the last file.
// Each file of testdata says what a bucket holds below the prefix, at one
// moment or several:
//
//	; why what follows is as it is
//	@ moment
//	= name             a file of text, followed by its lines
//	= name, 188 bytes  any other
//
// Time is virtual and begins with the year 2000.
func TestGoldenTree(t *testing.T) {
	for _, tt := range []struct {
		file  string
		shoot func(t *testing.T, g *goldenTree)
	}{
		{"ts", func(t *testing.T, g *goldenTree) { g.twoStreams(t) }},
		{"fmp4", func(t *testing.T, g *goldenTree) {
			g.c.stream.Channel.ContainerFormat = resource.FragmentedMP4
			g.twoStreams(t)
		}},
		{"ladder", func(t *testing.T, g *goldenTree) { g.ladder(t) }},
		{"adbreaks", func(t *testing.T, g *goldenTree) { g.adBreaks(t) }},
		{"bare", func(t *testing.T, g *goldenTree) {
			g.c.stream.Configuration.Rendition.Selection = "NONE"
			g.c.broadcast(t, g.r, 40)
			time.Sleep(2 * time.Minute)
			g.look("ended")
		}},
		{"failed", func(t *testing.T, g *goldenTree) {
			take := g.r.Begin(g.c.stream)
			g.c.shoot(t, take, 40)
			g.disk.SetRoom(0)
			if err := g.c.shoot(t, take, 1); err == nil {
				t.Error("a full disk goes unnoticed")
			}
			take.End()
			g.disk.SetRoom(1 << 40)
			time.Sleep(time.Second)
			g.look("failed")
		}},
		{"refused", func(t *testing.T, g *goldenTree) {
			g.w.fail(errDenied())
			take := g.r.Begin(g.c.stream)
			g.c.shoot(t, take, 3)
			g.w.fail(nil)
			take.End()
			time.Sleep(time.Minute)
			g.look("refused")
		}},
		{"participant", func(t *testing.T, g *goldenTree) { g.participant(t) }},
		{"participant_sound", func(t *testing.T, g *goldenTree) {
			g.c = newPublisher(60)
			g.c.stream.Participant.Recording.MediaTypes = []string{"AUDIO_ONLY"}
			g.c.broadcast(t, g.r, 30)
			time.Sleep(2 * time.Minute)
			g.look("ended")
		}},
		{"participant_thumbnails", func(t *testing.T, g *goldenTree) {
			g.c = newPublisher(60)
			p := &g.c.stream.Participant.Recording
			p.MediaTypes, p.Thumbnail = []string{"NONE"}, resource.ParticipantThumbnail{
				RecordingMode: "INTERVAL", TargetIntervalSeconds: 5, Storage: []string{"SEQUENTIAL", "LATEST"},
			}
			g.c.blank = true
			take := g.c.begin(g.r)
			g.c.shoot(t, take, 12)
			g.c.blank = false
			g.c.shoot(t, take, 24)
			g.look("after 12 s")
			take.End()
			time.Sleep(10 * time.Second)
			g.c = g.c.again()
			g.c.broadcast(t, g.r, 18)
			time.Sleep(2 * time.Minute)
			g.look("ended")
		}},
		{"participant_failed", func(t *testing.T, g *goldenTree) {
			g.c = newPublisher(60)
			take := g.c.begin(g.r)
			g.c.shoot(t, take, 40)
			g.disk.SetRoom(0)
			if err := g.c.shoot(t, take, 1); err == nil {
				t.Error("a full disk goes unnoticed")
			}
			take.End()
			g.disk.SetRoom(1 << 40)
			time.Sleep(time.Second)
			g.look("failed")
		}},
		{"participant_refused", func(t *testing.T, g *goldenTree) {
			g.c = newPublisher(60)
			g.w.fail(errDenied())
			take := g.c.begin(g.r)
			g.c.shoot(t, take, 3)
			g.w.fail(nil)
			take.End()
			time.Sleep(time.Minute)
			g.look("refused")
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &goldenTree{w: newWorld(), disk: disktest.New(1), c: newCamera(60)}
				var err error
				g.r, err = Open(t.Context(), Config{Dir: "/spool", FS: g.disk, Objects: g.w, Ledger: g.w, Place: place, Log: slog.New(slog.DiscardHandler), Stills: &lab{}})
				if err != nil {
					t.Fatal(err)
				}
				defer run(t, g.r)()
				tt.shoot(t, g)
				g.compare(t, "testdata/"+tt.file+".txt")
			})
		})
	}
}

// goldenTree is a recording and what was seen of it.
type goldenTree struct {
	w    *world
	disk *disktest.Disk
	r    *Recorder
	c    *camera
	text strings.Builder
}

// twoStreams shoots a stream of 11 s, looks, and after a gap another of 9 s, the
// last group of pictures of which is cut into two live segments.
func (g *goldenTree) twoStreams(t *testing.T) {
	take := g.r.Begin(g.c.stream)
	g.c.shoot(t, take, 33)
	g.look("after 11 s")
	take.End()
	time.Sleep(5*time.Second + 250*time.Millisecond)
	g.c = g.c.again()
	// Another sound means another header, but the same codecs.
	g.c.stream.Description.Audio = &media.AudioParams{Config: []byte{0x11, 0x88}, SampleRate: 48000, Channels: 1}
	take = g.r.Begin(g.c.stream)
	g.c.shoot(t, take, 18)
	for n := range 9 {
		ch := g.c.chunk()
		ch.Segment, ch.Independent, ch.SegmentEnd = n%6 == 0, n == 0, n == 5 || n == 8
		cmaf, err := g.c.cmaf.Append(nil, ch)
		if err != nil {
			t.Fatal(err)
		}
		if err := take.Write(ch, alone(ch, cmaf)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ch.Duration.Duration(media.VideoRate))
	}
	take.End()
	time.Sleep(2 * time.Minute)
	g.look("ended")
}

// ladder shoots 22 s in three renditions. 480p30 misses four seconds amid the first
// object, and all of the second, behind which it comes back as something else.
func (g *goldenTree) ladder(t *testing.T) {
	g.c.climb()
	g.c.stream.Channel.ContainerFormat = resource.FragmentedMP4
	take := g.r.Begin(g.c.stream)
	for n := range 66 {
		r := g.c.rungs[0]
		if r.hole = n >= 6 && n < 18 || n >= 30 && n < 60; n == 60 {
			v := *r.params.Video
			v.PPS = []byte{0x68, 0xce, 0x0f, 0xca}
			r.params.Video = &v
		}
		g.c.shoot(t, take, 1)
	}
	take.End()
	time.Sleep(2 * time.Minute)
	g.look("ended")
}

// adBreaks shoots 14 s with an ad break from the third second to the seventh, looks
// while a second break goes on, which ends in the gap, and shoots a little more.
func (g *goldenTree) adBreaks(t *testing.T) {
	take := g.r.Begin(g.c.stream)
	b := packager.AdBreak{ID: "Zx81kQm0pLw4", Start: time.Now().Add(2 * time.Second), Planned: 3 * time.Second}
	g.c.shoot(t, take, 6)
	take.AdBreak(b)
	g.c.shoot(t, take, 12)
	b.End = time.Now()
	take.AdBreak(b)
	g.c.shoot(t, take, 6)
	b = packager.AdBreak{ID: "yW2mbn0pLw5q", Start: time.Now(), Planned: 10 * time.Second}
	take.AdBreak(b)
	g.c.shoot(t, take, 18)
	take.End()
	g.look("away in a break")
	time.Sleep(5*time.Second + 250*time.Millisecond)
	g.c = g.c.again()
	take = g.r.Begin(g.c.stream)
	take.AdBreak(b.Closed(b.Start.Add(b.Planned)))
	g.c.shoot(t, take, 6)
	take.End()
	time.Sleep(2 * time.Minute)
	g.look("ended")
}

// participant shoots four seconds of small pictures, eleven of larger ones, with
// losses, looks, and after a gap nine seconds in another session, of which the last
// has no key frame any more.
func (g *goldenTree) participant(t *testing.T) {
	g.c = newPublisher(60)
	g.c.stream.Participant.Recording.Thumbnail = resource.ParticipantThumbnail{
		RecordingMode: "INTERVAL", TargetIntervalSeconds: 10, Storage: []string{"SEQUENTIAL", "LATEST"},
	}
	g.c.resize(640, 360, 0x1e)
	g.c.blank = true
	take := g.c.begin(g.r)
	g.c.shoot(t, take, 12)
	g.c.blank = false
	g.c.resize(1280, 720, 0x1f)
	g.c.shoot(t, take, 9)
	now := time.Now()
	take.Lost(Loss{media.Video, now.Add(-200 * time.Millisecond), 500 * time.Millisecond})
	take.Lost(Loss{media.Audio, now, 120 * time.Millisecond})
	g.c.shoot(t, take, 3)
	take.Lost(Loss{media.Video, now.Add(time.Second), 250 * time.Millisecond})
	g.c.shoot(t, take, 21)
	g.look("after 15 s")
	take.End()
	time.Sleep(5*time.Second + 250*time.Millisecond)
	g.c = g.c.again()
	g.c.session("st-6F5e4D3c2B1a0")
	g.c.broadcast(t, g.r, 27)
	time.Sleep(2 * time.Minute)
	g.look("ended")
}

// look writes down what there is.
func (g *goldenTree) look(moment string) {
	synctest.Wait()
	fmt.Fprintf(&g.text, "@ %s\n", moment)
	var r resource.Recording
	if all := g.w.recordings(); len(all) > 0 {
		r = all[0]
	}
	if r.OfParticipant() {
		fmt.Fprintf(&g.text, "= prefix %s\n", r.Prefix)
	}
	for _, name := range g.w.names(r) {
		data := g.w.object(r, name)
		if !strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".m3u8") {
			fmt.Fprintf(&g.text, "= %s, %d bytes\n", name, len(data))
			continue
		}
		fmt.Fprintf(&g.text, "= %s\n%s\n", name, strings.TrimSuffix(data, "\n"))
	}
	for _, told := range g.w.told() {
		kind, _, _ := strings.Cut(told, " st-")
		_, reason, _ := strings.Cut(told, ": ")
		fmt.Fprintf(&g.text, "= event %s\n", strings.TrimSuffix(kind+": "+reason, ": "))
	}
}

// compare compares what was seen with a file, line by line.
func (g *goldenTree) compare(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; there is\n%s", err, &g.text)
	}
	var want []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, ";") {
			want = append(want, strings.TrimSuffix(line, "\n"))
		}
	}
	got := strings.Split(strings.TrimSuffix(g.text.String(), "\n"), "\n")
	for i := range max(len(got), len(want)) {
		var a, b string
		if i < len(got) {
			a = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if a != b {
			t.Fatalf("%s: line %d without comments is\n%q\nwant\n%q; there is\n%s", path, i+1, a, b, &g.text)
		}
	}
}
