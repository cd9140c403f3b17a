package packager_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/packager"
)

// script is what happens to a window, step by step.
var script = []func(*source){
	func(s *source) { s.part(true, false) },
	func(s *source) { s.part(false, false) },
	func(s *source) { s.part(false, true) },
	func(s *source) { s.segment(12) },
	func(s *source) { s.part(true, false) },
	func(s *source) { s.part(true, false) }, // the one before ended unannounced
	func(s *source) { s.w.Interrupt() },
	func(s *source) { s.part(false, false) },
	func(s *source) { s.part(false, true) },
	func(s *source) { s.join = true; s.segment(12) },
	func(s *source) { s.join, s.params = true, large; s.segment(-2) },
	func(s *source) { s.join, s.params = true, small; s.segment(-2) },
	func(s *source) { s.segment(12); s.segment(12); s.segment(12) },
	func(s *source) { time.Sleep(20 * time.Second); s.segment(12); s.segment(-3) },
	func(s *source) { s.part(false, false) },
	func(s *source) { s.w.Interrupt() },
	func(s *source) { s.segment(-2) },
	func(s *source) { s.w.End() },
}

// Killed after any step, the window goes on as one that was interrupted there.
func TestKilled(t *testing.T) {
	for steps := range len(script) + 1 {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := packager.WindowConfig{Dir: t.TempDir(), Span: 13 * time.Second}
				s := newSource(t, open(t, cfg))
				for _, step := range script[:steps] {
					step(s)
				}
				cfg.Dir = copyDir(t, cfg.Dir)
				other := *s
				other.w = open(t, cfg)

				same(t, s, &other)
				s.w.Interrupt()
				if s.w.Info().Ended || steps == 0 {
					return
				}
				for range 3 {
					s.segment(4)
					other.segment(4)
					same(t, s, &other)
				}
			})
		})
	}
}

// What follows a stream that was torn off while its last picture was still to be
// shown begins when it has been. What was told of the stream stays as it was.
func TestKilledBeforeLastPicture(t *testing.T) {
	cfg := packager.WindowConfig{Dir: t.TempDir()}
	s := newSource(t, open(t, cfg))
	s.segment(6)
	s.segment(-2)
	s.tail = 6000
	s.part(false, false)
	s.w.Interrupt()
	text := playlist(t, s.w)
	w := open(t, cfg)
	if at, _ := w.Position(); at != s.at+6000 {
		t.Errorf("killed at %d, goes on at %d, want 6000 later", s.at, at)
	}
	if playlist(t, w) != text {
		t.Errorf("opened again, the playlist is\n%s\nno more\n%s", playlist(t, w), text)
	}
}

// same compares two windows in all that a viewer sees of them.
func same(t *testing.T, a, b *source) {
	t.Helper()
	if a.w.Info().Params.Video == nil {
		return
	}
	a.w.Interrupt()
	b.w.Interrupt()
	text := playlist(t, a.w)
	if other := playlist(t, b.w); text != other {
		t.Fatalf("playlist\n%s\nand\n%s", text, other)
	}
	for _, name := range names(text) {
		if read(t, a.w, name) != read(t, b.w, name) {
			t.Errorf("%s differs", name)
		}
	}
	if a, b := a.w.Info(), b.w.Info(); !a.Params.Equal(b.Params) || a.PeakBandwidth != b.PeakBandwidth || a.FrameRate != b.FrameRate {
		t.Errorf("info %+v and %+v", a, b)
	}
	if a, _ := a.w.Position(); a != 0 {
		if b, _ := b.w.Position(); a != b {
			t.Errorf("position %d and %d", a, b)
		}
	}
}

var name = regexp.MustCompile(`[\w.-]+\.m(4s|p4)`)

// names are the media that a playlist tells, once each.
func names(text string) []string { return name.FindAllString(text, -1) }

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Wherever the journal or the last segment is torn, what is whole before that
// goes on, and everything told is there.
func TestTornTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := t.TempDir()
		s := newSource(t, open(t, packager.WindowConfig{Dir: whole}))
		s.bytes = 50
		s.segment(3)
		s.join, s.params = true, large
		s.segment(3)
		sound, _ := os.Stat(filepath.Join(whole, "journal"))
		s.segment(-2)
		parts := strings.Count(playlist(t, s.w), "#EXT-X-PART:")
		position, _ := s.w.Position()

		for _, torn := range []struct {
			file string
			from int64
		}{
			{"journal", sound.Size()},
			{fmt.Sprintf("%d.m4s", first+2), 0},
		} {
			info, err := os.Stat(filepath.Join(whole, torn.file))
			if err != nil {
				t.Fatal(err)
			}
			before := 0
			for size := torn.from; size <= info.Size(); size++ {
				dir := copyDir(t, whole)
				if err := os.Truncate(filepath.Join(dir, torn.file), size); err != nil {
					t.Fatal(err)
				}
				w := open(t, packager.WindowConfig{Dir: dir})
				other := *s
				other.w = w
				text := playlist(t, w)
				n := strings.Count(text, "#EXT-X-PART:")
				if n < before || n < 6 || n > parts {
					t.Fatalf("%s cut to %d bytes: %d parts, %d before", torn.file, size, n, before)
				}
				before = n
				other.at = position
				other.segment(-2)
				for _, name := range names(strings.Split(playlist(t, w), "#EXT-X-PRELOAD")[0]) {
					read(t, w, name)
				}
				w.Close()
				again := open(t, packager.WindowConfig{Dir: dir})
				if at, _ := again.Position(); at != other.at {
					t.Errorf("%s cut to %d bytes and gone on: position %d, want %d", torn.file, size, at, other.at)
				}
				again.Close()
			}
			if before != parts {
				t.Errorf("%s uncut: %d parts, want %d", torn.file, before, parts)
			}
		}
	})
}

// What a power cut took out of the middle is forgotten with all before it;
// numbers go on.
func TestHole(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(dir string) error
		want []int // the segments left, by number
	}{
		{"none", func(string) error { return nil }, []int{0, 1, 2, 3}},
		{"oldest gone", func(dir string) error { return os.Remove(dir + "/946684800000.m4s") }, []int{1, 2, 3}},
		{"short", func(dir string) error { return os.Truncate(dir+"/946684800001.m4s", 2999) }, []int{2, 3}},
		{"two", func(dir string) error {
			return errors.Join(os.Truncate(dir+"/946684800001.m4s", 2999), os.Truncate(dir+"/946684800002.m4s", 0))
		}, []int{3}},
		{"last gone", func(dir string) error { return os.Remove(dir + "/946684800003.m4s") }, []int{0, 1, 2}},
		{"last two gone", func(dir string) error {
			return errors.Join(os.Truncate(dir+"/946684800003.m4s", 0), os.Remove(dir+"/946684800002.m4s"))
		}, []int{0, 1}},
		{"longer than told", func(dir string) error { return os.Truncate(dir+"/946684800002.m4s", 5000) }, []int{0, 1, 2, 3}},
		{"strangers", func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/946684777.m4s", nil, 0o600), os.WriteFile(dir+"/946684800004.m4s", nil, 0o600))
		}, []int{0, 1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				w := open(t, packager.WindowConfig{Dir: dir})
				s := newSource(t, w)
				for range 4 {
					s.segment(3)
				}
				w.Close()
				if err := tt.harm(dir); err != nil {
					t.Fatal(err)
				}
				s.w = open(t, packager.WindowConfig{Dir: dir})
				s.segment(-1)
				text := playlist(t, s.w)
				var want []string
				for _, n := range tt.want {
					want = append(want, fmt.Sprintf("%d.m4s", first+n))
				}
				got := regexp.MustCompile(`(?m)^\d+\.m4s$`).FindAllString(text, -1)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("segments %v, want %v", got, want)
				}
				if next := fmt.Sprintf("%d.0.m4s", first+tt.want[len(tt.want)-1]+1); !strings.Contains(text, next) {
					t.Errorf("no %s in\n%s", next, text)
				}
				for _, name := range got {
					if n := len(read(t, s.w, name)); n != 3000 {
						t.Errorf("%s has %d bytes", name, n)
					}
				}
				files, _ := filepath.Glob(dir + "/*.m4s")
				if len(files) != len(tt.want)+1 {
					t.Errorf("files left: %v", files)
				}
			})
		})
	}
}

// When all media is lost the numbers still do not go back.
func TestAllLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, packager.WindowConfig{Dir: dir})
		s := newSource(t, w)
		s.segment(3)
		s.join = true
		s.segment(3)
		w.Close()
		os.Remove(dir + "/946684800000.m4s")
		os.Remove(dir + "/946684800001.m4s")
		s.w = open(t, packager.WindowConfig{Dir: dir})
		if _, err := s.w.Playlist(t.Context(), now); !errors.Is(err, packager.ErrEmpty) {
			t.Errorf("error %v", err)
		}
		s.segment(-1)
		if text := playlist(t, s.w); !strings.Contains(text, "SEQUENCE:946684800002\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-DISCONTINUITY\n") {
			t.Errorf("playlist:\n%s", text)
		}
	})
}

// The journal of a long broadcast stays short, and still tells everything.
func TestCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := packager.WindowConfig{Dir: t.TempDir()}
		s := newSource(t, open(t, cfg))
		s.bytes = 30
		var largest int64
		for i := range 1000 {
			s.join = i%100 == 99
			s.segment(6)
			time.Sleep(2 * time.Second)
			info, err := os.Stat(filepath.Join(cfg.Dir, "journal"))
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, info.Size())
		}
		if largest > 512<<10 {
			t.Errorf("the journal grew to %d bytes", largest)
		}
		cfg.Dir = copyDir(t, cfg.Dir)
		other := *s
		other.w = open(t, cfg)
		same(t, s, &other)
	})
}

func TestEndedStaysEnded(t *testing.T) {
	dir := t.TempDir()
	w := open(t, packager.WindowConfig{Dir: dir})
	newSource(t, w).segment(3)
	if err := errors.Join(w.End(), w.Close()); err != nil {
		t.Fatal(err)
	}
	w = open(t, packager.WindowConfig{Dir: dir})
	if !w.Info().Ended || !strings.HasSuffix(playlist(t, w), "#EXT-X-ENDLIST\n") {
		t.Error("not ended")
	}
}

// A folder with something else in it is refused, not emptied.
func TestNoWindow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := packager.OpenWindow(packager.WindowConfig{Dir: file}); err == nil {
		t.Error("a file was opened as window")
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Error("the file is gone")
	}
}

// Whatever the records of a journal say, opening it ends without harm.
func FuzzWindowJournal(f *testing.F) {
	dir := f.TempDir()
	s := newSource(f, open(f, packager.WindowConfig{Dir: dir}))
	s.segment(2)
	s.params = large
	s.segment(-1)
	s.w.End()
	var all []byte
	read, err := journal.Open(disk.OS, filepath.Join(dir, "journal"), func(rec []byte) error {
		f.Add(bytes.Clone(rec))
		all = append(append(all, rec...), '\n')
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	read.Close()
	f.Add(all)
	f.Add([]byte(`{"unlisted":[{"msn":1795254474}]}`))
	f.Add(append(all, `{"segment":{"msn":1},"part":{"duration":1,"gap":true}}`...))
	f.Add(append(all, `{"part":{"duration":1,"size":1,"gap":true}}`...))
	f.Fuzz(func(t *testing.T, lines []byte) {
		dir := t.TempDir()
		log, err := journal.Open(disk.OS, filepath.Join(dir, "journal"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for rec := range bytes.SplitSeq(lines, []byte{'\n'}) {
			if len(rec) > 0 {
				log.Append(rec)
			}
		}
		log.Close()
		w, err := packager.OpenWindow(packager.WindowConfig{Dir: dir})
		if err != nil {
			return
		}
		defer w.Close()
		w.Info()
		if s := newSource(t, w); !w.Info().Ended {
			s.segment(1)
			playlist(t, w)
		}
	})
}
