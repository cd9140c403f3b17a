package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// lab makes stills in no time, or in some. What it delivers tells of which
// picture it is: its time in seconds, and its size.
type lab struct {
	delay time.Duration
	fail  func(n int) error // of the n-th
	full  bool              // takes none
	never bool              // answers none

	mu    sync.Mutex
	taken int
	owner map[string]int
}

func (l *lab) Take(owner string, v *media.VideoParams, key media.Frame, done func(jpeg []byte, err error)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner == nil {
		l.owner = make(map[string]int)
	}
	if l.full {
		return false
	}
	n := l.taken
	l.taken++
	l.owner[owner]++
	if l.never {
		return true
	}
	go func() {
		time.Sleep(l.delay)
		if l.fail != nil {
			if err := l.fail(n); err != nil {
				done(nil, err)
				return
			}
		}
		done(fmt.Appendf(nil, "%.1f s %dx%d", (key.DTS-packager.Origin).Duration(media.VideoRate).Seconds(), v.Width, v.Height), nil)
	}()
	return true
}

// photo is a stage for thumbnails: a world on a disk in memory, and recorders
// one after the other.
type photo struct {
	t    *testing.T
	w    *world
	disk *disktest.Disk
	lab  *lab
	r    *Recorder
	stop func()
}

// photographed runs f on virtual time.
func photographed(t *testing.T, f func(p *photo)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &photo{t: t, w: newWorld(), disk: disktest.New(1), lab: &lab{}}
		p.start()
		defer func() { p.stop() }()
		f(p)
	})
}

func (p *photo) start() {
	p.t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(p.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r, err := Open(p.t.Context(), Config{Dir: "/spool", FS: p.disk, Objects: p.w, Ledger: p.w, Place: place, Log: log, Stills: p.lab})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	p.r, p.stop = r, sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

// restart stops the process in good order, or kills it.
func (p *photo) restart(kill bool) {
	p.t.Helper()
	if kill {
		p.die(p.disk.Kill())
	} else {
		p.stop()
	}
	p.start()
}

// die ends the process, of which next is left. Nothing hears of it any more.
func (p *photo) die(next *disktest.Disk) {
	before := p.w.fault
	p.w.fail(errNetwork)
	p.stop()
	p.w.mu.Lock()
	p.w.fault = before
	p.w.mu.Unlock()
	p.disk = next
}

// thumbs are the thumbnails that the bucket has of a recording, by number.
func (p *photo) thumbs(i int) (all []string) {
	p.t.Helper()
	synctest.Wait()
	recs := p.w.recordings()
	if i >= len(recs) {
		p.t.Fatalf("there are %d recordings", len(recs))
	}
	for n := 0; ; n++ {
		jpeg := p.w.object(recs[i], fmt.Sprintf("media/thumbnails/thumb%d.jpg", n))
		if jpeg == "" {
			break
		}
		all = append(all, strings.TrimSuffix(jpeg, " 1280x720"))
	}
	have := 0
	for _, name := range p.w.names(recs[i]) {
		if path.Dir(name) == "media/thumbnails" {
			have++
		}
	}
	if have != len(all) {
		p.t.Errorf("%d thumbnails, of which the first %d have no hole", have, len(all))
	}
	return all
}

func (p *photo) latest(i int) string {
	synctest.Wait()
	return strings.TrimSuffix(p.w.object(p.w.recordings()[i], "media/latest_thumbnail/thumb.jpg"), " 1280x720")
}

func (p *photo) want(i int, want string) {
	p.t.Helper()
	if got := strings.Join(p.thumbs(i), ", "); got != want {
		p.t.Errorf("thumbnails of recording %d: %s; want %s", i, got, want)
	}
}

// snapshots is a camera whose recordings have thumbnails, with a key frame every
// gop thirds of a second.
func snapshots(window, interval, gop int, storage ...string) *camera {
	c := newCamera(window)
	c.gop = gop
	th := &c.stream.Configuration.Thumbnail
	th.RecordingMode, th.TargetIntervalSeconds, th.Storage = "INTERVAL", interval, storage
	if len(storage) == 0 {
		th.Storage = []string{"SEQUENTIAL"}
	}
	return c
}

// A thumbnail is the first key frame at or behind each multiple of the interval.
func TestThumbnailsAtTheirInterval(t *testing.T) {
	for _, tt := range []struct {
		name          string
		interval, gop int
		parts         int
		want          string
	}{
		{"as often as key frames", 2, 6, 18, "0.0 s, 2.0 s, 4.0 s"},
		{"every other key frame", 4, 6, 36, "0.0 s, 4.0 s, 8.0 s"},
		{"the interval falls between key frames", 3, 6, 48, "0.0 s, 4.0 s, 6.0 s, 10.0 s, 12.0 s"},
		{"key frames are farther apart", 1, 9, 30, "0.0 s, 3.0 s, 6.0 s, 9.0 s"},
		{"as far apart as may be", 60, 6, 3 * 130, "0.0 s, 60.0 s, 120.0 s"},
		{"less than an interval", 60, 6, 100, "0.0 s"},
		{"key frames amid parts", 1, 6, 9, "0.0 s, 2.0 s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			photographed(t, func(p *photo) {
				snapshots(0, tt.interval, tt.gop).broadcast(t, p.r, tt.parts)
				p.want(0, tt.want)
				if p.w.object(p.w.recordings()[0], "events/recording-ended.json") == "" {
					t.Error("the end waits for a thumbnail that is there")
				}
			})
		})
	}
}

// A key frame need not begin a part.
func TestThumbnailOfKeyFrameAmidPart(t *testing.T) {
	photographed(t, func(p *photo) {
		c := snapshots(0, 1, 6)
		take := p.r.Begin(c.stream)
		for i := range 13 {
			ch := c.chunk()
			if i == 0 {
				ch.Video, ch.Duration = ch.Video[:5], ch.Duration/2
				c.now = ch.End()
			} else {
				ch.Video[7].Key = i == 3 // at 1.067 s; the part begins at 0.833 s
			}
			cmaf, _ := c.cmaf.Append(nil, ch)
			if err := take.Write(ch, alone(ch, cmaf)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 3)
		}
		take.End()
		time.Sleep(time.Minute)
		p.want(0, "0.0 s, 1.1 s, 3.8 s")
	})
}

// The interval goes on with the recording, however often its stream breaks off.
func TestThumbnailsGoOn(t *testing.T) {
	for _, how := range []string{"drop", "stop", "kill"} {
		t.Run(how, func(t *testing.T) {
			photographed(t, func(p *photo) {
				c := snapshots(60, 4, 6)
				for range 3 {
					take := p.r.Begin(c.stream)
					c.shoot(t, take, 18) // six seconds
					switch how {
					case "drop":
						take.End()
						time.Sleep(20 * time.Second)
					case "stop":
						p.restart(false)
						take.End()
					case "kill":
						time.Sleep(time.Second)
						p.restart(true)
						take.End()
					}
					c = c.again()
				}
				time.Sleep(2 * time.Minute)
				// The second stream begins at 6 s and has key frames at 8, 10, the third at 12.
				p.want(0, "0.0 s, 4.0 s, 8.0 s, 12.0 s, 16.0 s")
			})
		})
	}
}

// The stream's own times may be elsewhere: those of the recording count.
func TestThumbnailsOfMovedStream(t *testing.T) {
	photographed(t, func(p *photo) {
		c := snapshots(60, 4, 6)
		c.broadcast(t, p.r, 18)
		c = c.again()
		c.now += 1000 * media.VideoRate
		c.broadcast(t, p.r, 18)
		time.Sleep(2 * time.Minute)
		p.want(0, "0.0 s, 4.0 s, 1008.0 s")
	})
}

func TestThumbnailStorage(t *testing.T) {
	const sequential, latest = "SEQUENTIAL", "LATEST"
	for _, tt := range []struct {
		name         string
		mode         string
		storage      []string
		away         bool // the bucket, for most of the stream
		thumbs, last string
		json         string
	}{
		{"sequential", "INTERVAL", []string{sequential}, false, "0.0 s, 2.0 s, 4.0 s", "", `"thumbnails":{"path":"media/thumbnails","resolution_height":720,"resolution_width":1280}}`},
		{"latest", "INTERVAL", []string{latest}, false, "", "4.0 s", `"latest_thumbnail":{"path":"media/latest_thumbnail/thumb.jpg","resolution_height":720,"resolution_width":1280}}`},
		{"both", "INTERVAL", []string{latest, sequential}, true, "0.0 s, 2.0 s, 4.0 s", "4.0 s",
			`"thumbnails":{"path":"media/thumbnails","resolution_height":720,"resolution_width":1280},"latest_thumbnail":{"path":"media/latest_thumbnail/thumb.jpg","resolution_height":720,"resolution_width":1280}}`},
		{"latest, away", "INTERVAL", []string{latest}, true, "", "4.0 s", `"latest_thumbnail"`},
		{"disabled", "DISABLED", []string{sequential, latest}, false, "", "", ""},
		{"of before there were defaults", "", []string{sequential}, false, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			photographed(t, func(p *photo) {
				c := snapshots(0, 2, 6, tt.storage...)
				c.stream.Configuration.Thumbnail.RecordingMode = tt.mode
				var puts atomic.Int64
				var away atomic.Bool
				away.Store(tt.away)
				p.w.fault = func(_ int, call string) error {
					if away.Load() && strings.Contains(call, "/media/") {
						return errNetwork
					}
					if strings.HasSuffix(call, "latest_thumbnail/thumb.jpg") {
						puts.Add(1)
					}
					return nil
				}
				take := p.r.Begin(c.stream)
				c.shoot(t, take, 17)
				if tt.away && len(p.w.recordings()) > 0 && len(p.thumbs(0)) > 0 {
					t.Error("stored while the bucket is away")
				}
				away.Store(false)
				take.End()
				time.Sleep(2 * time.Minute)
				p.want(0, tt.thumbs)
				if got := p.latest(0); got != tt.last {
					t.Errorf("latest is %q, want %q", got, tt.last)
				}
				if tt.away && puts.Load() > 2 { // the first was on its way
					t.Errorf("latest is stored %d times, though all but the last are of the past", puts.Load())
				}
				for _, name := range []string{"events/recording-started.json", "events/recording-ended.json"} {
					told := p.w.object(p.w.recordings()[0], name)
					if !json.Valid([]byte(told)) || !strings.Contains(told, tt.json) || tt.json == "" && strings.Contains(told, "thumbnail") {
						t.Errorf("%s is %s, want %s in it", name, told, tt.json)
					}
				}
			})
		})
	}
}

// What cannot be made leaves no hole, and what cannot be told is not told of.
func TestThumbnailsThatFail(t *testing.T) {
	broken := errors.New("no picture")
	for _, tt := range []struct {
		name string
		lab  *lab
		want string
	}{
		{"one", &lab{fail: func(n int) error {
			if n == 1 {
				return broken
			}
			return nil
		}}, "0.0 s, 4.0 s"},
		{"all", &lab{fail: func(int) error { return broken }}, ""},
		{"none is taken", &lab{full: true}, ""},
		{"no answer", &lab{never: true}, ""},
		{"slow", &lab{delay: 3 * time.Second}, "0.0 s, 2.0 s, 4.0 s"},
		{"too slow", &lab{delay: time.Minute}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			photographed(t, func(p *photo) {
				p.r.Stills = tt.lab
				c := snapshots(0, 2, 6)
				c.broadcast(t, p.r, 17)
				time.Sleep(2 * time.Minute)
				p.want(0, tt.want)
				r := p.w.recordings()[0]
				wantWhole(t, p.w, r)
				if late := r.EndedAt.Sub(r.StartedAt); late > 6*time.Second {
					t.Errorf("ended after %v", late)
				}
				if told := strings.Contains(p.w.object(r, "events/recording-ended.json"), "thumbnail"); told != (tt.want != "") {
					t.Errorf("metadata tells of thumbnails: %v", told)
				}
				if left, _ := p.disk.ReadDir("/spool"); len(left) > 0 {
					t.Errorf("the spool holds %v", left)
				}
			})
		})
	}
}

// A recording whose configuration wants no rendition has thumbnails alone, on a
// media time of its own.
func TestThumbnailsAlone(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprint("kill ", kill), func(t *testing.T) {
			photographed(t, func(p *photo) {
				c := snapshots(60, 4, 6, "SEQUENTIAL", "LATEST")
				c.stream.Configuration.Rendition.Selection = "NONE"
				for range 2 {
					c.broadcast(t, p.r, 18)
					time.Sleep(10 * time.Second)
					p.restart(kill)
					c = c.again()
				}
				time.Sleep(2 * time.Minute)
				p.want(0, "0.0 s, 4.0 s, 8.0 s")
				r := p.w.recordings()[0]
				for _, name := range p.w.names(r) {
					if strings.HasPrefix(name, "media/hls") {
						t.Errorf("there is %s", name)
					}
				}
				if told := p.w.object(r, "events/recording-ended.json"); strings.Contains(told, "hls") || !strings.Contains(told, `"latest_thumbnail":{`) {
					t.Errorf("metadata is %s", told)
				}
			})
		})
	}
}

// A stream in doubt has its first thumbnail where it turns out to belong.
func TestThumbnailsOfStreamInDoubt(t *testing.T) {
	for _, tt := range []struct {
		name          string
		size          int // of the second stream's frames
		first, second string
	}{
		{"it stays", 200, "0.0 s, 4.0 s, 8.0 s, 12.0 s", ""},
		{"it moves", 1000, "0.0 s, 4.0 s", "6.0 s, 10.0 s, 14.0 s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			photographed(t, func(p *photo) {
				c := snapshots(60, 4, 6)
				c.stream.Description.VideoBitrate = 0
				c.broadcast(t, p.r, 18)
				time.Sleep(10 * time.Second)
				c = c.again()
				c.size = tt.size
				c.broadcast(t, p.r, 27)
				time.Sleep(3 * time.Minute)
				p.want(0, tt.first)
				if tt.second != "" {
					p.want(1, tt.second)
				}
			})
		})
	}
}

func TestThumbnailRendition(t *testing.T) {
	ladder := []Rendition{{}, {Name: "480p30", Width: 852, Height: 480}, {Name: "360p30", Width: 640, Height: 360}, {Name: "160p30", Width: 284, Height: 160}, {Name: "audio_only"}}
	upright := []Rendition{{Name: "720p30", Width: 720, Height: 1280}, {Name: "480p30", Width: 480, Height: 852}}
	for _, tt := range []struct {
		resolution string
		renditions []Rendition
		want       int // -1: the source
	}{
		{"", ladder, -1},
		{"FULL_HD", ladder, -1},
		{"HD", ladder, 0},
		{"SD", ladder, 1},
		{"LOWEST_RESOLUTION", ladder, 3},
		{"SD", nil, -1},
		{"HD", nil, -1},
		{"HD", upright, 0},
		{"SD", upright, 1},
		{"LOWEST_RESOLUTION", upright, -1},
		{"", upright, -1},
	} {
		t.Run(fmt.Sprintf("%q of %d", tt.resolution, len(tt.renditions)), func(t *testing.T) {
			s := newCamera(0).stream
			s.Renditions = tt.renditions
			s.Configuration.Thumbnail.Resolution = tt.resolution
			if got := s.thumbnailed(); got != tt.want {
				t.Errorf("rendition %d, want %d", got, tt.want)
			}
		})
	}
}

// A rendition's own key frames are taken, and where it has a hole the next.
func TestThumbnailsOfRendition(t *testing.T) {
	photographed(t, func(p *photo) {
		c := snapshots(0, 2, 6)
		c.stream.Renditions = []Rendition{{}, {Name: "480p30", Width: 852, Height: 480, FrameRate: 30}}
		c.stream.Configuration.Thumbnail.Resolution = "SD"
		small := *video720p
		small.Width, small.Height = 852, 480
		take := p.r.Begin(c.stream)
		var cmaf packager.CMAF
		for i := range 30 {
			ch := c.chunk()
			full, _ := c.cmaf.Append(nil, ch)
			all := append(alone(ch, full), Rendered{})
			if i < 6 || i >= 9 { // a hole where a thumbnail is due
				rung := *ch
				rung.Params.Video = &small
				all[1].Chunk = &rung
				all[1].CMAF, _ = cmaf.Append(nil, &rung)
			}
			if err := take.Write(ch, all); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 3)
		}
		take.End()
		time.Sleep(time.Minute)
		p.want(0, "0.0 s 852x480, 4.0 s 852x480, 6.0 s 852x480, 8.0 s 852x480")
		r := p.w.recordings()[0]
		if told := p.w.object(r, "events/recording-started.json"); !strings.Contains(told, `"thumbnails":{"path":"media/thumbnails","resolution_height":480,"resolution_width":852}`) {
			t.Errorf("metadata is %s", told)
		}
	})
}

// A disk that fails a thumbnail fails nothing else.
func TestThumbnailsOnBadDisk(t *testing.T) {
	for _, op := range []string{"create", "write", "open", "read", "sync", "remove"} {
		t.Run(op, func(t *testing.T) {
			photographed(t, func(p *photo) {
				var hit atomic.Bool
				p.disk.SetFault(func(o disktest.Op) error {
					if o.Name == op && strings.Contains(o.Path, "thumb1") && !hit.Swap(true) {
						return syscall.EIO
					}
					return nil
				})
				snapshots(0, 2, 6).broadcast(t, p.r, 23)
				time.Sleep(time.Minute)
				want := "0.0 s, 4.0 s, 6.0 s"
				if op == "sync" || op == "remove" {
					want = "0.0 s, 2.0 s, 4.0 s, 6.0 s"
				}
				p.want(0, want)
				wantWhole(t, p.w, p.w.recordings()[0])
				if !hit.Load() {
					t.Error("the disk did not fail")
				}
				if told := p.w.told(); len(told) != 2 {
					t.Errorf("events: %q", told)
				}
			})
		})
	}
}

// What the machine forgets leaves no hole.
func TestThumbnailsAfterPowerCut(t *testing.T) {
	trials(t, 20, func(t *testing.T, seed uint64) {
		p := &photo{t: t, w: newWorld(), disk: disktest.New(seed), lab: &lab{}}
		if err := p.disk.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		p.start()
		c := snapshots(60, 2, 6, "SEQUENTIAL", "LATEST")
		var away atomic.Bool
		p.w.fault = func(_ int, call string) error {
			if away.Load() && strings.HasPrefix(call, "put") {
				return errNetwork
			}
			return nil
		}
		for range 3 {
			take := p.r.Begin(c.stream)
			c.shoot(t, take, 20+int(seed)%7)
			away.Store(seed%2 == 0)
			c.shoot(t, take, 10)
			p.die(p.disk.PowerCut())
			take.End()
			away.Store(false)
			p.start()
			c = c.again()
			if at, ok := p.r.Position(c.stream.Channel.ARN); ok {
				c.now = at
			}
		}
		time.Sleep(5 * time.Minute)
		all := p.thumbs(0)
		if len(all) < 9 { // 30 s of media, of which three times two may be lost
			t.Errorf("thumbnails %q", all)
		}
		if got := p.latest(0); got != all[len(all)-1] {
			t.Errorf("latest is %q of %q", got, all)
		}
		p.stop()
	})
}

// A thumbnail whose file is not what was written, or is gone, is left out, and the
// others close up.
func TestThumbnailsSpoiled(t *testing.T) {
	for _, tt := range []struct {
		storage      string
		thumbs, last string
	}{
		{"SEQUENTIAL", "0.0 s, 6.0 s", ""},
		{"LATEST", "", "6.0 s"},
	} {
		t.Run(tt.storage, func(t *testing.T) {
			photographed(t, func(p *photo) {
				p.w.fail(errNetwork)
				c := snapshots(60, 2, 6, tt.storage)
				take := p.r.Begin(c.stream)
				c.shoot(t, take, 29) // five
				p.die(p.disk.Kill())
				take.End()
				entries, _ := p.disk.ReadDir("/spool")
				if len(entries) != 1 {
					t.Fatalf("the spool holds %v", entries)
				}
				name := func(n int) string { return fmt.Sprintf("/spool/%s/thumb%d.jpg", entries[0].Name(), n) }
				f, err := p.disk.OpenFile(name(1), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.WriteAt([]byte{0, 0, 0}, 1)
				if err := errors.Join(err, f.Close(), p.disk.Remove(name(2)), p.disk.Truncate(name(4), 5)); err != nil {
					t.Fatal(err)
				}
				p.w.fault = nil
				p.start()
				time.Sleep(5 * time.Minute)
				p.want(0, tt.thumbs)
				if got := p.latest(0); got != tt.last {
					t.Errorf("latest is %q, want %q", got, tt.last)
				}
			})
		})
	}
}

// photograph makes recordings have thumbnails, of one kind or another, or none.
func (s *stage) photograph() {
	s.lab = &lab{delay: time.Duration(s.random.IntN(3)*s.random.IntN(4000)) * time.Millisecond}
	th := &s.camera.stream.Configuration.Thumbnail
	th.RecordingMode, th.TargetIntervalSeconds = "INTERVAL", 1+s.random.IntN(12)
	switch s.random.IntN(4) {
	case 0:
		th.RecordingMode = "DISABLED"
	case 1:
		th.Storage = []string{"LATEST"}
	case 2:
		th.Storage = []string{"SEQUENTIAL"}
	case 3:
		th.Storage = []string{"SEQUENTIAL", "LATEST"}
	}
	if p := s.camera.stream.Participant; p != nil {
		p.Recording.Thumbnail = resource.ParticipantThumbnail{
			RecordingMode: th.RecordingMode, TargetIntervalSeconds: th.TargetIntervalSeconds, Storage: th.Storage,
		}
	}
}

// checkThumbnails checks what the bucket has of a recording's thumbnails: they
// are whole and leave no hole, and metadata tells of them: of a channel's if there
// are any.
func (s *stage) checkThumbnails(r resource.Recording) {
	s.t.Helper()
	numbered, latest := 0, false
	wantNumbered, wantLatest := func() bool { return numbered > 0 }, func() bool { return latest }
	l, below := layout(channelLayout{}), ""
	if p := s.camera.stream.Participant; p != nil {
		l, below = &participantLayout{}, "high/"
		on := func(storage string) bool {
			th := &p.Recording.Thumbnail
			return th.RecordingMode == "INTERVAL" && slices.Contains(th.Storage, storage)
		}
		wantNumbered, wantLatest = func() bool { return on("SEQUENTIAL") }, func() bool { return on("LATEST") }
	}
	for _, name := range s.world.names(r) {
		folder, file := path.Split(name)
		switch folder {
		case "media/thumbnails/" + below:
			numbered++
		case "media/latest_thumbnail/" + below:
			latest = file == "thumb.jpg"
		default:
			continue
		}
		if jpeg := s.world.object(r, name); !strings.HasSuffix(jpeg, " s 1280x720") {
			s.t.Errorf("recording %s: %s is %q", r.ID, name, jpeg)
		}
	}
	for n := range numbered {
		if s.world.object(r, l.thumbnail(n)) == "" {
			s.t.Errorf("recording %s has %d thumbnails, but no %d", r.ID, numbered, n)
		}
	}
	name := "events/recording-ended.json"
	if r.State == resource.RecordingFailed {
		name = "events/recording-failed.json"
	}
	told := s.world.object(r, name)
	if got := strings.Contains(told, `"thumbnails":`); got != wantNumbered() {
		s.t.Errorf("recording %s has %d thumbnails: %s", r.ID, numbered, told)
	}
	if got := strings.Contains(told, `"latest_thumbnail":`); got != wantLatest() {
		s.t.Errorf("recording %s has a latest thumbnail: %v: %s", r.ID, latest, told)
	}
}

// While a channel is on air or waits there is a poster, which no upload takes
// away.
func TestPoster(t *testing.T) {
	photographed(t, func(p *photo) {
		c := snapshots(60, 4, 6)
		poster := func() string {
			synctest.Wait()
			jpeg, ok := p.r.Poster(c.stream.Channel.ARN)
			if !ok {
				return "none"
			}
			return strings.TrimSuffix(string(jpeg), " 1280x720")
		}
		if got := poster(); got != "none" {
			t.Errorf("before all: %s", got)
		}
		take := p.r.Begin(c.stream)
		c.shoot(t, take, 11)
		if got := poster(); got != "0.0 s" {
			t.Errorf("on air: %s", got)
		}
		c.shoot(t, take, 19)
		take.End()
		if got := poster(); got != "8.0 s" {
			t.Errorf("in the gap: %s", got)
		}
		p.restart(true)
		if got := poster(); got != "8.0 s" {
			t.Errorf("after a restart: %s", got)
		}
		c = c.again()
		take = p.r.Begin(c.stream)
		c.shoot(t, take, 8)
		if got := poster(); got != "12.0 s" {
			t.Errorf("back on air: %s", got)
		}
		files, _ := p.disk.ReadDir("/spool")
		if len(files) == 1 {
			files, _ = p.disk.ReadDir("/spool/" + files[0].Name())
		}
		kept := 0
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "thumb") {
				kept++
			}
		}
		if kept != 1 {
			t.Errorf("%d thumbnails are kept", kept)
		}
		take.End()
		time.Sleep(2 * time.Minute)
		if got := poster(); got != "none" {
			t.Errorf("after the end: %s", got)
		}
	})
}

// All who ask for a poster share its bytes.
func TestPosterIsShared(t *testing.T) {
	photographed(t, func(p *photo) {
		c := snapshots(0, 2, 6)
		take := p.r.Begin(c.stream)
		c.shoot(t, take, 3)
		synctest.Wait()
		a, _ := p.r.Poster(c.stream.Channel.ARN)
		b, ok := p.r.Poster(c.stream.Channel.ARN)
		if !ok || &a[0] != &b[0] {
			t.Errorf("%q and %q are two", a, b)
		}
		take.End()
	})
}
