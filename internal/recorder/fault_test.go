package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// trials runs f once for each of n seeds, on virtual time. TRIALS is another
// number of them, SEED another first one.
func trials(t *testing.T, n int, f func(t *testing.T, seed uint64)) {
	t.Helper()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	first := number("SEED", 1)
	for seed := first; seed < first+number("TRIALS", n); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, uint64(seed)) })
		})
	}
}

// A machine that stops at any moment, once or again and again, amid a stream,
// a recovery, an upload or an end, leaves recordings that are whole in the end:
// nothing is lost but the part being written when the process was killed, or
// the live segment not yet synced when the power was cut.
func TestStopAnywhere(t *testing.T) {
	for _, how := range []string{"kill", "power cut", "either"} {
		t.Run(how, func(t *testing.T) {
			trials(t, 6, func(t *testing.T, seed uint64) {
				s := newStage(t, seed)
				for range 2 + s.random.IntN(4) {
					s.away.Store(s.random.IntN(3) == 0)
					s.stopAfter(1 + s.random.IntN(1+s.random.IntN(400)))
					s.run(func() { s.play() })
					cut := how == "power cut" || how == "either" && s.random.IntN(2) == 0
					s.stop(cut)
				}
				s.away.Store(false)
				s.finish()
				s.wantNoFailure()
			})
		})
	}
}

// A recording that ended is over, even if the machine forgets what came last:
// the next stream is another recording.
func TestStopAsItEnds(t *testing.T) {
	trials(t, 8, func(t *testing.T, seed uint64) {
		s := newStage(t, seed)
		s.camera.stream.Configuration.ReconnectWindowSeconds = 30
		s.world.after = func(n int, call string) error {
			if call == "end" && !s.dead.Swap(true) {
				s.disk.SetFault(func(disktest.Op) error { return disktest.ErrStopped })
			}
			return s.checkStored(n, call)
		}
		for range 2 {
			s.run(func() {
				s.play()
				time.Sleep(time.Minute)
			})
			s.stop(true)
			s.run(func() { s.play() })
			s.stop(false)
		}
		s.world.after = s.checkStored
		s.finish()
		s.wantNoFailure()
	})
}

// A disk that fails once, or for a while, ends recordings with a failure at
// worst: all that was written is stored.
func TestDiskFails(t *testing.T) {
	kinds := map[string][]string{
		"no space": {"write", "create", "mkdir"}, "write": {"write"}, "sync": {"sync", "syncdir"}, "create": {"create", "mkdir"},
		"read": {"read", "open"}, "rename": {"rename"}, "remove": {"remove"}, "read-only": {"write", "create", "mkdir", "rename", "remove", "truncate"},
	}
	errnos := map[string]error{"no space": syscall.ENOSPC, "read-only": syscall.EROFS}
	for kind, ops := range kinds {
		t.Run(kind, func(t *testing.T) {
			trials(t, 2, func(t *testing.T, seed uint64) {
				s := newStage(t, seed)
				errno := errnos[kind]
				if errno == nil {
					errno = syscall.EIO
				}
				s.away.Store(seed%2 == 0)
				var from, to atomic.Int64
				s.disk.SetFault(func(op disktest.Op) error {
					if n := int64(op.N); n >= from.Load() && n < to.Load() {
						for _, name := range ops {
							if op.Name == name {
								s.failed.Store(true)
								return errno
							}
						}
					}
					return nil
				})
				s.run(func() {
					for range 2 {
						now := s.disk.Ops()
						from.Store(int64(now + s.random.IntN(200)))
						to.Store(from.Load() + 1<<s.random.IntN(9))
						s.play()
					}
					to.Store(0)
					time.Sleep(5 * time.Minute)
				})
				s.stop(false)
				s.away.Store(false)
				s.finish()
				if !s.failed.Load() {
					s.wantNoFailure()
				}
				for _, r := range s.world.recordings() {
					if r.State == resource.RecordingFailed && !strings.HasPrefix(r.StatusMessage, "the spool cannot be written: ") {
						t.Errorf("recording failed because %q", r.StatusMessage)
					}
				}
			})
		})
	}
}

// A disk that takes half a minute to sync holds up nothing but the uploads.
func TestSlowSync(t *testing.T) {
	trials(t, 3, func(t *testing.T, seed uint64) {
		s := newStage(t, seed)
		s.disk.SetFault(func(op disktest.Op) error {
			if strings.HasPrefix(op.Name, "sync") {
				time.Sleep(30 * time.Second)
			}
			return nil
		})
		s.run(func() {
			for range 3 {
				s.play()
			}
			time.Sleep(time.Hour)
			s.disk.SetFault(nil)
		})
		s.stop(false)
		s.finish()
		s.wantNoFailure()
	})
}

// A disk with too little room for what is broadcast has room for the end of
// what it took.
func TestSmallDisk(t *testing.T) {
	trials(t, 8, func(t *testing.T, seed uint64) {
		s := newStage(t, seed)
		s.disk.SetRoom(s.random.Int64N(200_000))
		s.failed.Store(true)
		s.away.Store(s.random.IntN(2) == 0)
		s.run(func() {
			for range 4 {
				s.play()
			}
			s.away.Store(false)
			time.Sleep(5 * time.Minute)
		})
		s.stop(false)
		s.finish()
		for _, r := range s.world.recordings() {
			if r.State == resource.RecordingFailed && r.StatusMessage != "the spool cannot be written: no space left on device" {
				t.Errorf("recording failed because %q", r.StatusMessage)
			}
		}
	})
}

// stage is a recorder on a disk that fails, and a broadcaster whose every
// picture can be told from the others.
type stage struct {
	t      *testing.T
	random *rand.Rand
	disk   *disktest.Disk
	world  *world
	camera *camera
	lab    *lab
	failed atomic.Bool   // the disk has
	dead   atomic.Bool   // the process is
	away   atomic.Bool   // the bucket is
	lag    time.Duration // of each sync

	recorder *Recorder
	pictures int            // sent so far
	began    int            // those before the stream
	fate     []fate         // of each picture
	holes    []map[int]bool // by rung: the pictures that it did not deliver
	ends     []end          // of live segments

	mu     sync.Mutex
	listed map[string][]string // what media playlists named so far, by key
	stored map[string][]byte   // media, by key

	unsynced sync.Map // paths of files
	moved    sync.Map // paths that open files had before they were renamed
}

// fate says what must become of a picture.
type fate byte

const (
	unknown fate = iota // may be lost: its part was not taken
	written             // must outlive a kill
	secure              // must outlive a power cut
)

// end is when a live segment ended, behind so many pictures.
type end struct {
	at       time.Time
	pictures int
}

func newStage(t *testing.T, seed uint64) *stage {
	s := &stage{
		t: t, random: rand.New(rand.NewPCG(seed, 7)), disk: disktest.New(seed), world: newWorld(), listed: make(map[string][]string), stored: make(map[string][]byte),
	}
	s.camera = newCamera([]int{0, 10, 30}[s.random.IntN(3)])
	s.camera.size = 60
	if s.random.IntN(2) == 0 {
		s.camera.stream.Channel.ContainerFormat = resource.FragmentedMP4
	}
	if s.random.IntN(2) == 0 {
		s.camera.climb()
		for range s.camera.rungs {
			s.holes = append(s.holes, make(map[int]bool))
		}
	}
	if s.random.IntN(2) == 0 {
		s.lag = time.Duration(s.random.IntN(500)) * time.Millisecond
	}
	s.photograph()
	s.world.after = s.checkStored
	s.world.fault = func(_ int, call string) error {
		if s.dead.Load() || s.away.Load() && (strings.HasPrefix(call, "put") || strings.HasPrefix(call, "check")) {
			return errNetwork
		}
		return nil
	}
	if err := errors.Join(s.disk.MkdirAll("/data", 0o700), s.disk.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	return s
}

// stopAfter makes the machine stop at its n-th operation from now on.
func (s *stage) stopAfter(n int) {
	n += s.disk.Ops()
	s.disk.SetFault(func(op disktest.Op) error {
		if strings.HasPrefix(op.Name, "sync") {
			time.Sleep(s.lag)
		}
		if op.N < n {
			s.note(op)
			return nil
		}
		s.dead.Store(true)
		return disktest.ErrStopped
	})
}

// note takes note of what is synced and what is not.
func (s *stage) note(op disktest.Op) {
	switch op.Name {
	case "create", "mkdir":
		s.moved.Delete(op.Path)
	case "rename": // what is written to it from now on is told by its old name
		s.moved.Store(op.Path, true)
		s.unsynced.Range(func(path, _ any) bool {
			if p := path.(string); p == op.Path || filepath.Dir(p) == op.Path {
				s.unsynced.Delete(p)
			}
			return true
		})
	case "write":
		_, file := s.moved.Load(op.Path)
		_, folder := s.moved.Load(filepath.Dir(op.Path))
		if !file && !folder {
			s.unsynced.Store(op.Path, true)
		}
	case "sync":
		s.unsynced.Delete(op.Path)
	}
}

// run starts a recorder, if the machine lets it, and does what a broadcaster
// does.
func (s *stage) run(f func()) {
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(s.t.Output(), nil))
	}
	r, err := Open(s.t.Context(), Config{Dir: "/data/spool", FS: s.disk, Objects: s.world, Ledger: s.world, Place: place, Log: log, Stills: s.lab})
	if err != nil {
		if !errors.Is(err, disktest.ErrStopped) && !errors.Is(err, errNetwork) && !s.failed.Load() {
			s.t.Errorf("open: %v", err)
		}
		return
	}
	s.recorder = r
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	f()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, disktest.ErrStopped) && !s.failed.Load() {
		s.t.Errorf("run: %v", err)
	}
}

// stop ends the process, or the machine.
func (s *stage) stop(power bool) {
	if power {
		s.disk = s.disk.PowerCut()
		s.unsynced.Clear()
		for i := range s.fate {
			if s.fate[i] != secure {
				s.fate[i] = unknown
			}
		}
	} else {
		s.disk = s.disk.Kill()
	}
	s.dead.Store(false)
	s.ends = nil
}

// play is one stream, or none, and what comes after it.
func (s *stage) play() {
	time.Sleep(time.Duration(s.random.IntN(15_000)) * time.Millisecond)
	if s.random.IntN(8) == 0 {
		return
	}
	c := s.camera.again()
	if at, ok := s.recorder.Position(c.stream.Channel.ARN); ok {
		c.now = at
	}
	c.stream.Description.VideoBitrate = 2_000_000
	c.size = 60
	switch s.random.IntN(4) {
	case 0:
		c.stream.Description.VideoBitrate = 0 // in doubt until its first group of pictures is over
	case 1:
		c.stream.Description.VideoBitrate, c.size = 0, 600 // and different, after one that is not
	}
	s.camera = c
	take := s.recorder.Begin(c.stream)
	s.began = s.pictures
	for range s.random.IntN(70) {
		if !s.shoot(take) {
			break
		}
	}
	take.End()
	s.ends = append(s.ends, end{time.Now(), s.pictures})
	time.Sleep(time.Duration(s.random.IntN(30_000)) * time.Millisecond)
	s.secure()
}

// shoot gives the take a chunk. It is false when the take did not want it.
func (s *stage) shoot(take *Take) bool {
	ch := s.camera.chunk()
	first := s.pictures
	for i := range ch.Video {
		p := ch.Video[i].Payload
		copy(p[5:], fmt.Sprintf("<pic%09d", s.pictures))
		copy(p[len(p)-13:], fmt.Sprintf("%09dpic>", s.pictures))
		s.pictures++
	}
	s.fate = append(s.fate, make([]fate, len(ch.Video))...)
	for i, r := range s.camera.rungs {
		switch {
		case r.hole: // until there is a key frame
			r.hole = !ch.Independent || s.random.IntN(4) > 0
		default:
			r.hole = s.random.IntN(20) == 0
		}
		for n := first; n < s.pictures && r.hole; n++ {
			s.holes[i][n] = true
		}
	}
	all := s.camera.render(s.t, ch)
	began, joined := time.Now(), take.rec
	err := take.Write(ch, all)
	if took := time.Since(began); took > 0 {
		s.t.Errorf("a write takes %v", took)
	}
	if take.rec != joined { // what is there moved, and is to be synced anew
		for i := s.began; i < first; i++ {
			s.fate[i] = written
		}
		s.ends = append(s.ends, end{began, first})
	}
	if err != nil {
		return false
	}
	for i := first; i < s.pictures; i++ {
		s.fate[i] = written
	}
	time.Sleep(ch.Duration.Duration(media.VideoRate))
	if ch.SegmentEnd {
		s.ends = append(s.ends, end{time.Now(), s.pictures})
	}
	s.secure()
	return true
}

// secure takes note of what the recorder has had the time to sync. It syncs a
// handful of files at a time, once more behind the last time.
func (s *stage) secure() {
	for len(s.ends) > 0 && time.Since(s.ends[0].at) >= 20*s.lag && !s.dead.Load() {
		for i := range s.fate[:s.ends[0].pictures] {
			if s.fate[i] == written {
				s.fate[i] = secure
			}
		}
		s.ends = s.ends[1:]
	}
}

// finish lets a sound machine end all that there is, and checks it.
func (s *stage) finish() {
	s.t.Helper()
	s.disk.SetFault(func(op disktest.Op) error { s.note(op); return nil })
	s.run(func() { time.Sleep(10 * time.Minute) })
	if left, err := s.disk.ReadDir("/data/spool"); err != nil || len(left) > 0 {
		s.t.Errorf("the spool still has %v, %v", left, err)
	}
	seen := make([]int, s.pictures)
	starts, ends := 0, 0
	for _, r := range s.world.recordings() {
		s.checkRecording(r, seen)
	}
	for n, times := range seen {
		if times > 1 || times == 0 && s.fate[n] != unknown {
			s.t.Fatalf("picture %d of %d is recorded %d times; its fate is %d", n, s.pictures, times, s.fate[n])
		}
	}
	for _, told := range s.world.told() {
		switch {
		case strings.HasPrefix(told, resource.RecordingStartFailure+" "):
			if !s.failed.Load() {
				s.t.Errorf("told %q", told)
			}
		case strings.HasPrefix(told, resource.RecordingStart+" "):
			starts++
		case strings.HasPrefix(told, resource.RecordingEnd+" "), strings.HasPrefix(told, resource.RecordingEndFailure+" "):
			ends++
		}
	}
	if n := len(s.world.recordings()); starts != n || ends != n {
		s.t.Errorf("%d recordings, %d starts and %d ends were told: %q", n, starts, ends, s.world.told())
	}
}

func (s *stage) wantNoFailure() {
	s.t.Helper()
	for _, r := range s.world.recordings() {
		if r.State != resource.RecordingEnded {
			s.t.Errorf("recording %s is %s: %s", r.ID, r.State, r.StatusMessage)
		}
	}
}

var (
	durationMS = regexp.MustCompile(`"duration_ms":(\d+)`)
	entryLines = regexp.MustCompile(`(?:#EXT-X-GAP\n)?#EXTINF:([\d.]+),\n(\S+)\n`)
	picture    = regexp.MustCompile(`(?s)<pic(\d{9}).{0,700}?(\d{9})pic>`)
)

// checkRecording checks what the bucket has of a recording that ended, and
// counts its pictures.
func (s *stage) checkRecording(r resource.Recording, seen []int) {
	t := s.t
	t.Helper()
	name := "events/recording-ended.json"
	if r.State == resource.RecordingFailed {
		name = "events/recording-failed.json"
	}
	var told float64
	if m := durationMS.FindStringSubmatch(s.world.object(r, name)); m != nil {
		told, _ = strconv.ParseFloat(m[1], 64)
	} else {
		t.Errorf("recording %s is %s, but %s is %q", r.ID, r.State, name, s.world.object(r, name))
	}
	if ms := float64(r.Duration.Milliseconds()); ms != told {
		t.Errorf("%s tells %v ms, the ledger %v", name, told, ms)
	}
	s.checkThumbnails(r)
	folders := []string{"720p30"}
	for _, r := range s.camera.rungs {
		folders = append(folders, r.Name)
	}
	var lines []string      // of the source's playlist, but for the gaps
	objects := [][]string{} // the pictures of each object of the source
	for i, folder := range folders {
		folder := "media/hls/" + folder + "/"
		playlist := s.world.object(r, folder+"playlist.m3u8")
		if playlist == "" {
			if i == 0 && r.Duration > 0 {
				t.Errorf("recording %s of %v has no playlist", r.ID, r.Duration)
			}
			continue
		}
		if !strings.HasSuffix(playlist, "#EXT-X-ENDLIST\n") || strings.Count(playlist, "#EXT-X-ENDLIST") != 1 {
			t.Errorf("recording %s has no end:\n%s", r.ID, playlist)
		}
		var total float64
		var here []string
		joined, last := false, -1
		counters := make(map[int]byte)
		for entry := range strings.SplitAfterSeq(playlist, "#EXT-X-PROGRAM-DATE-TIME") {
			m := entryLines.FindStringSubmatch(entry)
			if m == nil {
				continue
			}
			after := joined
			joined = strings.Contains(entry, "#EXT-X-DISCONTINUITY\n") // before the next
			here = append(here, fmt.Sprint(after, m[1:]))
			seconds, _ := strconv.ParseFloat(m[1], 64)
			total += seconds
			data := []byte(s.world.object(r, folder+m[2]))
			if gap := strings.Contains(entry, "#EXT-X-GAP\n"); gap != (len(data) == 0) {
				t.Errorf("recording %s: %s%s has %d bytes, its entry is a gap: %t", r.ID, folder, m[2], len(data), gap)
			}
			if strings.HasSuffix(m[2], ".ts") && len(data) > 0 {
				if after {
					clear(counters) // something may be missing
				}
				data = frames(t, folder+m[2], data, counters)
			}
			var found []string
			for _, p := range picture.FindAllSubmatch(data, -1) {
				n, _ := strconv.Atoi(string(p[1]))
				if !bytes.Equal(p[1], p[2]) || n <= last {
					t.Fatalf("recording %s: in %s%s picture %s, ending as %s, comes after %d", r.ID, folder, m[2], p[1], p[2], last)
				}
				last = n
				found = append(found, string(p[1]))
				if i == 0 {
					seen[n]++
				}
			}
			if n := bytes.Count(data, []byte("<pic")); n != len(found) {
				t.Errorf("recording %s: %s%s has %d pictures, but %d that are whole", r.ID, folder, m[2], n, len(found))
			}
			if i == 0 {
				if whole := int(seconds*30 + 0.5); len(found) < whole-1 || len(found) > whole {
					t.Errorf("recording %s: %s lasts %.3f s and has %d pictures", r.ID, m[2], seconds, len(found))
				}
				objects = append(objects, found)
			} else if n := len(here) - 1; n < len(objects) {
				want := slices.DeleteFunc(slices.Clone(objects[n]), func(p string) bool {
					n, _ := strconv.Atoi(p)
					return s.holes[i-1][n]
				})
				if !slices.Equal(found, want) {
					t.Errorf("recording %s: %s%s has pictures %v, want %v", r.ID, folder, m[2], found, want)
				}
			}
		}
		if (total*1000-told) > 20 || told-total*1000 > 20 {
			t.Errorf("recording %s: %s tells %v ms, the playlist %v", r.ID, name, told, total*1000)
		}
		if i == 0 {
			lines = here
		} else if !slices.Equal(lines, here) {
			t.Errorf("recording %s: %s has %q, the source %q", r.ID, folder, here, lines)
		}
	}
}

// frames are the bytes of a transport stream's video, or of its sound if it has
// none. Its counters go on from one object to the next.
func frames(t *testing.T, name string, data []byte, counters map[int]byte) (frames []byte) {
	t.Helper()
	pids := map[int][]byte{}
	if len(data) == 0 || len(data)%tsPacket != 0 {
		t.Errorf("%s has %d bytes", name, len(data))
	}
	for ; len(data) >= tsPacket; data = data[tsPacket:] {
		p := data[:tsPacket]
		if p[0] != 0x47 {
			t.Errorf("%s is torn", name)
			break
		}
		pid := int(p[1]&0x1f)<<8 | int(p[2])
		at := 4
		if p[3]&0x20 != 0 {
			at += 1 + int(p[4])
		}
		if p[3]&0x10 == 0 {
			continue
		}
		if before, ok := counters[pid]; ok && p[3]&0xf != (before+1)&0xf {
			t.Errorf("%s: the counter of PID %#x goes from %d to %d", name, pid, before, p[3]&0xf)
		}
		counters[pid] = p[3] & 0xf
		pids[pid] = append(pids[pid], p[at:]...)
	}
	if video := pids[0x101]; video != nil {
		return video
	}
	return pids[0x100]
}

// checkStored checks each media playlist when it is stored: it names only what
// is there, and goes on where the one before it ended. Media is synced
// before, so that what is stored again is the same.
func (s *stage) checkStored(_ int, call string) error {
	key, ok := strings.CutPrefix(call, "put ")
	if !ok || s.failed.Load() {
		return nil
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if strings.HasSuffix(key, ".ts") || strings.HasSuffix(key, ".mp4") {
		s.mu.Lock()
		defer s.mu.Unlock()
		if before := s.stored[key]; before != nil && !bytes.Equal(before, s.world.tree[key]) {
			s.t.Errorf("%s had %d bytes, then other %d", key, len(before), len(s.world.tree[key]))
		}
		s.stored[key] = s.world.tree[key]
		parts := strings.Split(key, "/") // ivs/v1/…/<id>/media/hls/720p30/0.ts
		id, folder, name := parts[len(parts)-5], parts[len(parts)-2], parts[len(parts)-1]
		if len(s.camera.rungs) > 0 {
			n, extension, _ := strings.Cut(name, ".")
			i := slices.IndexFunc(s.camera.rungs, func(r *rung) bool { return r.Name == folder }) + 1
			name = fmt.Sprintf("%s/%d.%s", n, i, extension)
		}
		if _, is := s.unsynced.Load("/data/spool/" + id + "/" + name); is {
			s.t.Errorf("%s is stored and not synced", key)
		}
	}
	if !strings.HasSuffix(key, "/playlist.m3u8") {
		return nil
	}
	var entries []string
	for _, m := range entryLines.FindAllStringSubmatch(string(s.world.tree[key]), -1) {
		entries = append(entries, m[0])
		_, is := s.world.tree[strings.TrimSuffix(key, "playlist.m3u8")+m[2]]
		if gap := strings.HasPrefix(m[0], "#EXT-X-GAP"); is == gap {
			s.t.Errorf("%s names %s, which is there: %t, a gap: %t", key, m[2], is, gap)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.listed[key]
	if len(before) > len(entries) || strings.Join(before, "") != strings.Join(entries[:len(before)], "") {
		s.t.Errorf("%s had %q, then %q", key, before, entries)
	}
	s.listed[key] = entries
	return nil
}
