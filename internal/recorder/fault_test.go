package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// trials runs f once for each of n seeds, on virtual time: with every third a
// participant is recorded, else a channel. TRIALS is another number of them, SEED
// another first one.
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
			trials(t, 9, func(t *testing.T, seed uint64) {
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
	trials(t, 12, func(t *testing.T, seed uint64) {
		s := newStage(t, seed)
		s.camera.setWindow(30)
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
			trials(t, 3, func(t *testing.T, seed uint64) {
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
	trials(t, 12, func(t *testing.T, seed uint64) {
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
	window := []int{0, 10, 30}[s.random.IntN(3)]
	s.camera = newCamera(window)
	if seed%3 == 0 {
		s.camera = newPublisher(window)
	}
	s.camera.size = 60
	if s.random.IntN(2) == 0 {
		s.camera.stream.Channel.ContainerFormat = resource.FragmentedMP4
	}
	if ladder := s.random.IntN(2) == 0; ladder && seed%3 != 0 {
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
	if at, ok := c.position(s.recorder); ok {
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
	if c.stream.Participant != nil && s.random.IntN(3) == 0 {
		c.session(fmt.Sprint("st-", s.random.IntN(1000)))
	}
	s.camera = c
	take := c.begin(s.recorder)
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
	if s.camera.stream.Participant != nil && s.random.IntN(10) == 0 {
		take.Lost(Loss{media.Kind(s.random.IntN(2)), time.Now(), time.Duration(s.random.IntN(900)) * time.Millisecond})
	}
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
