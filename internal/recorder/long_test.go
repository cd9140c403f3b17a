package recorder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// tally is a store of objects that counts what comes, and keeps the playlists.
type tally struct {
	mu        sync.Mutex
	puts      map[string]int   // by kind
	bytes     map[string]int64 // by kind
	playlists map[string][]byte
}

func (o *tally) Put(ctx context.Context, bucket, key, contentType string, body io.ReadSeeker) error {
	name := filepath.Base(key)
	kind := name
	if !strings.HasSuffix(name, ".m3u8") {
		kind = filepath.Ext(name)
	}
	var kept bytes.Buffer
	to := io.Discard
	if kind == name {
		to = &kept
	}
	n, err := io.Copy(to, body)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.puts[kind]++
	o.bytes[kind] += n
	if kind == name {
		o.playlists[name] = kept.Bytes()
	}
	return err
}

func (o *tally) Check(context.Context, string) error { return nil }

// counted is a disk that counts its syncs.
type counted struct {
	disk.FS
	syncs *int
}

type countedFile struct {
	disk.File
	syncs *int
}

func (c counted) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return countedFile{f, c.syncs}, nil
}

func (c countedFile) Sync() error {
	*c.syncs++ // one at a time: by the recording's syncer
	return nil
}

// What a long recording costs: with time it takes more only where it must. The
// figures of as many hours as LONG_HOURS says are logged; two days take half a minute.
func TestLongRecording(t *testing.T) {
	for _, renditions := range []int{1, 5} {
		hours := 1
		if renditions == 1 {
			hours = 2 // playlists are stored less often after an hour
		}
		t.Run(fmt.Sprint(renditions, " renditions"), func(t *testing.T) { recordLong(t, newCamera(60), renditions, hours) })
	}
	t.Run("participant", func(t *testing.T) { // in objects of two seconds, the shortest
		c := newPublisher(60)
		c.stream.Participant.Recording.HLS.TargetSegmentDurationSeconds = 2
		recordLong(t, c, 1, 1)
	})
}

func recordLong(t *testing.T, c *camera, renditions, hours int) {
	const gop = 6 // chunks of a third of a second
	if s := os.Getenv("LONG_HOURS"); s != "" {
		hours, _ = strconv.Atoi(s)
	}
	var crashed string
	var journalSize int64
	objects := &tally{puts: make(map[string]int), bytes: make(map[string]int64), playlists: make(map[string][]byte)}
	ledger := newWorld()
	outer := t
	cfg := Config{FS: disk.OS, Objects: objects, Ledger: ledger, Place: place, Log: slog.New(slog.DiscardHandler)}
	var usage [2]syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage[0])
	synctest.Test(t, func(t *testing.T) {
		syncs := 0
		cfg := cfg
		cfg.Dir, cfg.FS = t.TempDir(), counted{disk.OS, &syncs}
		r, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, r)()
		for n := 1; n < renditions; n++ {
			c.stream.Renditions = append(c.stream.Renditions, Rendition{Name: fmt.Sprint(100*n, "p30"), Width: 200 * n, Height: 100 * n})
		}
		c.stream.Renditions = append(c.stream.Renditions, Rendition{})
		take := c.begin(r)
		frame := media.Frame{Payload: []byte{0, 0, 0, 1, 0x41}, Duration: 30_000}
		ch := packager.Chunk{Params: c.stream.Description.Params, Start: packager.Origin, Duration: 30_000}
		all := slices.Repeat(alone(&ch, nil), renditions)
		zero := time.Now()
		before := heap()
		for n := range hours * 3600 * 3 {
			frame.DTS, frame.PTS, frame.Key = ch.Start, ch.Start, n%gop == 0
			ch.Video = append(ch.Video[:0], frame)
			ch.Time = time.Now()
			ch.Segment, ch.Independent, ch.SegmentEnd = n%gop == 0, n%gop == 0, n%gop == gop-1
			if err := take.Write(&ch, all); err != nil {
				t.Fatal(err)
			}
			ch.Start = ch.End()
			time.Sleep(time.Until(zero.Add(ch.End().Duration(media.VideoRate) - (packager.Origin + 30_000).Duration(media.VideoRate))))
			if n == (2*hours-1)*1800*3 {
				crashed = copyTree(outer, cfg.Dir)
			}
		}
		synctest.Wait()
		clear(objects.playlists)
		t.Logf("%d h: heap grew by %d kB; %d syncs", hours, (heap()-before)>>10, syncs)
		info, err := os.Stat(filepath.Join(cfg.Dir, filepath.Base(take.rec.dir), journalName))
		if err != nil {
			t.Fatal(err)
		}
		journalSize = info.Size()
		take.End()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
	})
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage[1])
	cpu := time.Duration(usage[1].Utime.Nano() + usage[1].Stime.Nano() - usage[0].Utime.Nano() - usage[0].Stime.Nano())
	t.Logf("journal %d kB; CPU %v an hour", journalSize>>10, cpu/time.Duration(hours))
	for kind, n := range objects.puts {
		t.Logf("%s: stored %d times, %d kB in all, the last %d kB", kind, n, objects.bytes[kind]>>10, len(objects.playlists[kind])>>10)
	}

	if rows := ledger.recordings(); len(rows) != 1 || rows[0].Duration != time.Duration(hours)*time.Hour {
		t.Errorf("recordings: %+v", rows)
	}
	if n := bytes.Count(objects.playlists[rangesName], []byte("#EXT-X-BYTERANGE:")); c.stream.Participant == nil && n != hours*3600/2 {
		t.Errorf("the byte-range playlist has %d entries in %d hours", n, hours)
	}
	fixed := 300 // of records, in kB an hour
	if c.stream.Participant != nil {
		fixed = 500 // it has five times as many objects
	}
	if limit := int64(hours) * int64(fixed+200*renditions) << 10; journalSize > limit {
		t.Errorf("the journal has %d bytes after %d hours, want %d at most", journalSize, hours, limit)
	}
	if n, limit := objects.puts[mediaName], (365+(hours-1)*121)*renditions; n > limit {
		t.Errorf("the media playlist is stored %d times in %d hours, want %d at most", n, hours, limit)
	}
	// All copies of what grows by a tenth each time: eleven times the last.
	if sum, last := objects.bytes[rangesName], len(objects.playlists[rangesName]); sum > int64(13*last*renditions) {
		t.Errorf("the byte-range playlist, of %d bytes, is stored in %d in all", last, sum)
	}

	// The next start after a kill takes it up again.
	cfg.Dir = crashed
	ledger.mu.Lock()
	for id, row := range ledger.rows {
		row.State = "RECORDING_STARTED"
		ledger.rows[id] = row
	}
	ledger.mu.Unlock()
	begun := time.Now()
	before := heap()
	r, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("recovered in %v; heap grew by %d kB", time.Since(begun), (heap()-before)>>10)
	for _, rec := range r.all {
		if d := rec.duration(); d < time.Duration(2*hours-1)*30*time.Minute {
			t.Errorf("%v was recovered", d)
		}
		rec.close()
	}
}

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
