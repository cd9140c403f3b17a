package transcode

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image/jpeg"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"anabranch/internal/media"
)

// keyFrame is a key frame of one colour, as the publisher's parser makes it.
func keyFrame(t *testing.T, source, pixels string) (*media.VideoParams, media.Frame) {
	t.Helper()
	stream, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "1",
		"-c:v", "libx264", "-pix_fmt", pixels, "-x264-params", "sliced-threads=0:slices=2", "-bsf:v", "filter_units=remove_types=6", "-f", "h264", "pipe:1").Output()
	if err != nil {
		t.Fatalf("make a picture: %v", err)
	}
	var sps, pps, unit []byte
	for nal := range bytes.SplitSeq(bytes.ReplaceAll(stream, []byte{0, 0, 0, 1}, []byte{0, 0, 1}), []byte{0, 0, 1}) {
		if len(nal) == 0 {
			continue
		}
		switch nal[0] & 0x1F {
		case 7:
			sps = nal
		case 8:
			pps = nal
		}
		unit = append(binary.BigEndian.AppendUint32(unit, uint32(len(nal))), nal...)
	}
	v, err := media.ParseH264(sps, pps)
	if err != nil {
		t.Fatal(err)
	}
	return v, media.Frame{Kind: media.Video, Key: true, Payload: unit}
}

// program is a shell script in ffmpeg's place.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStillIsThePicture(t *testing.T) {
	for _, tt := range []struct {
		name, source, pixels string
		width, height        int
		red, green, blue     uint32 // of the middle, of 255
	}{
		{"red", "color=red:size=320x180", "yuv420p", 320, 180, 255, 0, 0},
		{"portrait", "color=blue:size=90x160", "yuv420p", 90, 160, 0, 0, 255},
		{"size that no macroblock divides", "color=white:size=426x238", "yuv420p", 426, 238, 255, 255, 255},
		{"4:4:4", "color=0x00ff00:size=320x180", "yuv444p", 320, 180, 0, 255, 0},
		{"ten bits", "color=red:size=320x180", "yuv420p10le", 320, 180, 255, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, key := keyFrame(t, tt.source, tt.pixels)
			data, err := stillOf(t.Context(), "ffmpeg", v, key.Payload)
			if err != nil {
				t.Fatal(err)
			}
			img, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if b := img.Bounds(); b.Dx() != tt.width || b.Dy() != tt.height {
				t.Errorf("size = %v, want %dx%d", b, tt.width, tt.height)
			}
			r, g, b, _ := img.At(tt.width/2, tt.height/2).RGBA()
			for _, c := range []struct{ got, want uint32 }{{r >> 8, tt.red}, {g >> 8, tt.green}, {b >> 8, tt.blue}} {
				if max(c.got, c.want)-min(c.got, c.want) > 12 {
					t.Errorf("colour = %d %d %d, want %d %d %d", r>>8, g>>8, b>>8, tt.red, tt.green, tt.blue)
				}
			}
		})
	}
}

// What goes wrong is said, and ends: no program can keep a worker.
func TestStillThatCannotBeMade(t *testing.T) {
	v, key := keyFrame(t, "color=red:size=320x180", "yuv420p")
	for _, tt := range []struct {
		name, ffmpeg string
		payload      []byte
		want         string
	}{
		{"no program", "/nowhere/ffmpeg", key.Payload, "cannot run /nowhere/ffmpeg"},
		{"says why", program(t, "echo no such codec >&2; exit 3"), key.Payload, `exit status 3: "no such codec"`},
		{"says nothing", program(t, "exit 4"), key.Payload, "exit status 4"},
		{"talks on", program(t, "while echo chatter >&2; do i=$((i+1)); [ $i = 500 ] && exit 5; done"), key.Payload, "exit status 5"},
		{"delivers nothing", program(t, "cat >/dev/null"), key.Payload, "finds no picture"},
		{"delivers half", program(t, `printf '\377\330\377\340'`), key.Payload, "finds no picture"},
		{"delivers without end", program(t, "exec cat /dev/zero"), key.Payload, "larger than 4194304 bytes"},
		{"garbage", "ffmpeg", []byte{0, 0, 0, 4, 0x65, 1, 2, 3}, "ffmpeg"},
		{"cut short", "ffmpeg", key.Payload[:len(key.Payload)-1], "cut short"},
		{"length beyond the end", "ffmpeg", []byte{0xFF, 0xFF, 0xFF, 0xFF, 0x65}, "cut short"},
		{"no length", "ffmpeg", []byte{0, 0, 0}, "cut short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := stillOf(t.Context(), tt.ffmpeg, v, tt.payload)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A program that hangs is killed with what it started, and sees no credentials.
func TestStillProgramIsHeld(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	v, key := keyFrame(t, "color=red:size=320x180", "yuv420p")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var said []byte
	var listening sync.WaitGroup
	listening.Go(func() { // until the program has said all
		said, _ = os.ReadFile(pipe)
		cancel()
	})
	ffmpeg := program(t, fmt.Sprintf("sleep 60 & { env; nice; echo $!; } >%s; wait", pipe))
	if _, err := stillOf(ctx, ffmpeg, v, key.Payload); err == nil {
		t.Error("a still that was not made")
	}
	listening.Wait()
	if strings.Contains(string(said), "secret") {
		t.Error("the program sees the server's credentials")
	}
	lines := strings.Fields(string(said))
	child := lines[len(lines)-1]
	state, _ := exec.Command("ps", "-o", "stat=", "-p", child).Output()
	if s := strings.TrimSpace(string(state)); s != "" && s[0] != 'Z' { // init has it to reap
		t.Errorf("process %s outlives the program that started it", child)
	}
}

// answers collects what stills end with.
type answers struct {
	mu  sync.Mutex
	got []string
	all chan struct{} // one for each
}

func newAnswers() *answers { return &answers{all: make(chan struct{}, 10000)} }

func (a *answers) done(name string) func([]byte, error) {
	return func(jpeg []byte, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil {
			name += ": " + err.Error()
		}
		a.got = append(a.got, name)
		a.all <- struct{}{}
	}
}

func (a *answers) list() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.got, ", ")
}

// Of what waits, each owner's newest is made; an owner has no two at a time.
func TestNewestStillOfAnOwnerWins(t *testing.T) {
	v, key := keyFrame(t, "color=red:size=32x32", "yuv420p")
	s := NewStills("ffmpeg", slog.New(slog.DiscardHandler))
	a := newAnswers()
	for _, name := range []string{"a1", "b1", "a2", "c1", "a3"} {
		if !s.Take(name[:1], v, key, a.done(name)) {
			t.Fatalf("%s is refused", name)
		}
	}
	if s.bytes != 3*len(key.Payload) {
		t.Errorf("%d bytes wait, want %d", s.bytes, 3*len(key.Payload))
	}
	owner, first := s.next()
	if owner != "a" {
		t.Fatalf("first is %q's", owner)
	}
	first.done(nil, nil)
	s.Take("a", v, key, a.done("a4"))
	for range 2 {
		owner, r := s.next()
		if owner == "a" {
			t.Error("two of one owner at a time")
		}
		r.done(nil, nil)
	}
	if _, r := s.next(); r != nil {
		t.Error("two of one owner at a time")
	}
	delete(s.busy, "a")
	if _, r := s.next(); r == nil {
		t.Error("nothing is to be made, though a's turn came")
	} else {
		r.done(nil, nil)
	}
	if want := "a3, b1, c1, a4"; a.list() != want {
		t.Errorf("made %s, want %s", a.list(), want)
	}
	if s.bytes != 0 || len(s.waiting) != 0 {
		t.Errorf("%d bytes of %d owners are left", s.bytes, len(s.waiting))
	}
}

func TestStillsRun(t *testing.T) {
	v, key := keyFrame(t, "color=red:size=32x32", "yuv420p")
	s := NewStills("ffmpeg", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	a := newAnswers()
	const owners = 5
	for i := range owners {
		if !s.Take(string(rune('a'+i)), v, key, a.done("made")) {
			t.Fatal("refused")
		}
	}
	for range owners {
		<-a.all
	}
	if want := strings.TrimSuffix(strings.Repeat("made, ", owners), ", "); a.list() != want {
		t.Errorf("ended with %s, want %s", a.list(), want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s.Take("a", v, key, a.done("late")) {
		t.Error("taken after the end")
	}
	if len(s.busy) != 0 {
		t.Errorf("owners %v are kept for ever", s.busy)
	}
}

// Whatever is under way or waits when the server stops is told so, at once.
func TestStillsStop(t *testing.T) {
	v, key := keyFrame(t, "color=red:size=32x32", "yuv420p")
	begun := filepath.Join(t.TempDir(), "begun")
	s := NewStills(program(t, "echo >>"+begun+"; exec sleep 60"), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	a := newAnswers()
	for i := range 6 {
		s.Take(string(rune('a'+i%3)), v, key, a.done("a"))
	}
	for { // until both workers are at it
		if data, _ := os.ReadFile(begun); len(data) == stillWorkers {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	got := strings.Split(a.list(), ", ")
	for _, answer := range got {
		if answer != "a: "+errStillStopped.Error() {
			t.Errorf("ended with %q", answer)
		}
	}
	if len(got) < 3 || len(got) > 6 {
		t.Errorf("%d were answered", len(got))
	}
}

func TestStillsAreBounded(t *testing.T) {
	s := NewStills("ffmpeg", slog.New(slog.DiscardHandler))
	small := media.Frame{Payload: make([]byte, 1)}
	for i := range maxStillOwners {
		if !s.Take(fmt.Sprint(i), nil, small, nil) {
			t.Fatalf("owner %d is refused", i)
		}
	}
	if s.Take("one more", nil, small, nil) {
		t.Error("taken, beyond the bound of owners")
	}
	if !s.Take("0", nil, small, nil) {
		t.Error("an owner that waits already is refused")
	}
	large := media.Frame{Payload: make([]byte, maxStillBytes-maxStillOwners+1)}
	if !s.Take("0", nil, large, nil) {
		t.Error("refused, though it replaces a smaller one within the bound")
	}
	if s.Take("1", nil, media.Frame{Payload: make([]byte, 2)}, nil) {
		t.Error("taken, beyond the bound of bytes")
	}
}
