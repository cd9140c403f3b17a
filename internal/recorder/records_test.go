package recorder

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

var someRecords = []record{
	&begun{
		Recording: resource.Recording{ID: "h3Rk9Lq2Zw8T", StartedAt: time.Date(2026, 3, 1, 10, 0, 7, 0, time.UTC), ReconnectWindow: time.Minute},
		Account:   "111122223333", Format: format{Width: 1280, Height: 720, FrameRate: 29.97}, Codecs: "avc1.4d401f",
	},
	&joined{ID: "st-1", At: time.Date(2026, 3, 1, 10, 0, 7, 1, time.UTC)},
	&measured{FrameRate: 29.96, VideoBitrate: 2e6},
	&header{Data: []byte{1, 2, 3}},
	&opened{N: 0},
	&part{Object: 0, Start: packager.Origin, Duration: 30_000, Time: time.UnixMilli(1772359207412).UTC(), Segment: true, Independent: true,
		Of: []share{{Size: 88_000, TS: packager.TSState{PAT: 1, PMT: 2, Video: 3, Audio: 15, Tag: 7, Segments: 3}, Sum: 17}}},
	&part{Object: 0, Start: packager.Origin + 30_000, Duration: 30_000, Time: time.UnixMilli(1772359207745).UTC(), Tail: 3003, Of: []share{{Size: 77_000}}},
	&closed{Target: 12, Tail: 3003},
	&done{What: probed},
	&done{What: told, N: 1},
	&done{What: storedHeader},
	&done{What: storedObject},
	&done{What: announced},
	&left{At: time.Date(2026, 3, 1, 10, 1, 7, 0, time.UTC)},
	&joined{ID: "st-2", Provisional: true, Object: 1},
	&opened{N: 1, Discontinuity: true},
	&part{Object: 1, Start: -1, Duration: 1, Time: time.UnixMilli(-1).UTC(), Of: []share{{Size: 1}}},
	&settled{Keep: false},
	&opened{N: 1},
	&cut{N: 1},
	&marked{packager.AdBreak{ID: "Zx81kQm0pLw4", Start: time.UnixMilli(1772359207412).UTC(), Planned: 30 * time.Second}, 1},
	&marked{packager.AdBreak{ID: "Zx81kQm0pLw4", Start: time.UnixMilli(1772359207412).UTC(), Planned: 30 * time.Second,
		End: time.UnixMilli(1772359237512).UTC()}, 2},
	&ending{At: time.Date(2026, 3, 1, 11, 0, 7, 0, time.UTC), Failure: "disk", Refused: true},
}

// participantRecords are those of a participant's recording.
var participantRecords = []record{
	&begun{
		Recording: resource.Recording{
			ID: "h3Rk9Lq2Zw8T", StartedAt: time.Date(2026, 3, 1, 10, 0, 7, 0, time.UTC),
			StageARN: stageARN, StageSessionIDs: []string{"st-0a1B2c3D4e5F6"}, ParticipantID: "guestA1b2C3d",
		},
		Participant: &participantLayout{MediaType: "AUDIO_VIDEO", Target: 6}, Renditions: []Rendition{{Name: "high"}},
	},
	&joined{ID: "st-1", StageSession: "st-0a1B2c3D4e5F6"},
	&described{Codecs: "avc1.42c01f,mp4a.40.2", Width: 640, Height: 360},
	&header{Data: []byte{1, 2, 3}},
	&opened{N: 0},
	&lost{0, Loss{media.Video, time.UnixMilli(1772359207412).UTC(), 400 * time.Millisecond}},
	&lost{0, Loss{media.Audio, time.UnixMilli(1772359207412).UTC(), 20 * time.Millisecond}},
	&lost{0, Loss{media.Video, time.UnixMilli(1772359208000).UTC(), time.Second}},
	&part{Object: 0, Start: packager.Origin, Duration: 30_000, Time: time.UnixMilli(1772359207412).UTC(), Segment: true, Independent: true,
		Of: []share{{Size: 88_000}}},
	&described{Codecs: "avc1.42c01f,mp4a.40.2", Width: 640, Height: 360, FrameRate: 30},
	&closed{Target: 12},
	&ending{At: time.Date(2026, 3, 1, 11, 0, 7, 0, time.UTC), Failure: "gone", Code: resource.RecordingNoBucket},
}

// replay applies records as they come back from the journal.
func replay(t *testing.T, records []record) (s state) {
	t.Helper()
	for _, r := range records {
		b, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b)
		if err != nil {
			t.Fatalf("decode %q: %v", b, err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("%+v becomes %+v", r, got)
		}
		if err := got.apply(&s); err != nil {
			t.Errorf("apply %+v: %v", r, err)
		}
	}
	return s
}

func TestRecords(t *testing.T) {
	s := replay(t, someRecords)
	if len(s.objects) != 1 || !s.objects[0].Stored || s.objects[0].size() != 165_000 || len(s.streams) != 1 || s.target != 12 || s.ending == nil {
		t.Errorf("state: %+v", s)
	}
	s = replay(t, participantRecords)
	if len(s.losses) != 2 || s.losses[0].Duration != 1588*time.Millisecond || s.described[0].FrameRate != 30 || s.stageSession() != "st-0a1B2c3D4e5F6" ||
		s.ending.why() != (resource.RecordingFailure{Code: resource.RecordingNoBucket, Reason: "gone"}) {
		t.Errorf("state: %+v", s)
	}
	// Journals from before there were codes have none.
	if why := (&ending{Failure: "disk"}).why(); why.Code != resource.RecordingServerError {
		t.Errorf("failure: %+v", why)
	}
}

// A recording of 48 hours has a journal of some tens of megabytes at most.
func TestJournalSize(t *testing.T) {
	p := part{
		Object: 17_280, Start: media.TicksOf(96*time.Hour, media.VideoRate), Duration: 30_150,
		Time: time.UnixMilli(1772359207412), Tail: 30_150,
		Of: []share{{Size: 1 << 20, TS: packager.TSState{PAT: 15, PMT: 15, Video: 15, Audio: 15, Tag: 15, Segments: 86_400}}},
	}
	b, err := encode(&p)
	if err != nil {
		t.Fatal(err)
	}
	if total := (8 + len(b)) * 3 * 48 * 3600; total > 25<<20 {
		t.Errorf("parts take %d bytes each, %d MB in 48 hours", 8+len(b), total>>20)
	}
}

// Whatever whole records a journal holds, it can be replayed or is refused, and
// what is replayed can be gone on with.
func FuzzReplay(f *testing.F) {
	var all []byte
	for _, r := range slices.Concat(someRecords, participantRecords) {
		b, err := encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte{}, []byte{})
		f.Add(all, b, b)
		all = b
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		replayBytes(t, someRecords[:2], a, b, c)
		replayBytes(t, participantRecords[:2], a, b, c)
	})
}

func replayBytes(t *testing.T, begins []record, some ...[]byte) {
	r := &Recorder{Config: Config{Dir: t.TempDir(), FS: disk.OS, Log: discard}, room: newRoom(0)}
	rec := r.blank("h3Rk9Lq2Zw8T", owner{})
	if err := os.MkdirAll(rec.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := journal.Open(disk.OS, filepath.Join(rec.dir, journalName), func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range begins {
		b, _ := encode(r)
		l.Append(b)
	}
	for _, b := range some {
		if len(b) > 0 && len(b) < journal.MaxRecord {
			l.Append(b)
		}
	}
	l.Close()
	if err := rec.recover(true, time.Now()); err != nil {
		return
	}
	defer rec.close()
	rec.next(time.Now())
	rec.position()
	if d := rec.duration(); d < 0 && d > math.MinInt64 {
		t.Logf("duration %v", d)
	}
	p := playlists{begun: rec.begun, variants: rec.variants(rec.objects), objects: rec.objects, losses: rec.losses, marks: rec.marks}
	for i := range p.variants {
		p.media(&p.variants[i])
	}
	p.master(mediaName)
	if _, err := rec.metadata(resource.RecordingStarted); err != nil {
		t.Log(err)
	}
}
