package recordings

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

// tell writes the metadata of a state, without renditions.
func (f *fixture) tell(r resource.Recording, name string, state resource.RecordingState) {
	f.objects.content[r.Prefix+"/events/recording-"+name+".json"] = []byte(`{"recording_status":"` + string(state) + `","media":{}}`)
}

func TestVerify(t *testing.T) {
	f := newFixture(t)
	r := f.add(a, "one", noon)
	f.tell(r, "started", resource.RecordingStarted)
	f.tell(r, "ended", resource.RecordingEnded)
	var report map[string]json.RawMessage
	text := func() string {
		b, err := json.Marshal(report)
		f.must(err)
		return string(b)
	}
	path := "/v1/recordings/" + a + "/verify"
	if status := f.get(path, &report); status != 200 || text() != `{"bytes":100,"duration":0,"objects":2,"problems":[],"renditions":[],"thumbnails":0,"verified":true}` {
		t.Errorf("whole: %d %s", status, text())
	}
	f.objects.content[r.Prefix+"/note"] = []byte("x")
	if status := f.get(path+"?deep=true", &report); status != 200 ||
		text() != `{"bytes":101,"duration":0,"objects":3,"problems":[{"code":"object-foreign","path":"note","message":"nothing tells of it"}],"renditions":[],"thumbnails":0,"verified":false}` {
		t.Errorf("with a problem: %d %s", status, text())
	}
	delete(f.objects.content, r.Prefix+"/note")

	for target, want := range map[string]struct {
		status  int
		message string
	}{
		path + "?deep=yes":                     {400, "deep: must be true or false"},
		"/v1/recordings/000000000000/verify":   {404, "Recording: 000000000000 not found"},
		"/v1/recordings/00000000%2F000/verify": {400, "id: must match"},
	} {
		var got struct{ Message string }
		if status := f.get(target, &got); status != want.status || !strings.HasPrefix(got.Message, want.message) {
			t.Errorf("%s: %d %s", target, status, got.Message)
		}
	}
	f.objects.fail = errors.New("connection refused to 10.0.0.1")
	var got struct{ Message string }
	if status := f.get(path, &got); status != 503 || got.Message != "bucket vod cannot be read now; the server's log says why" || !strings.Contains(f.log.String(), "10.0.0.1") {
		t.Errorf("a store that is away: %d %s", status, got.Message)
	}
}

// Every rendition is verified, and compared with the journal while there is one;
// its holes are told, and are no problem.
func TestVerifyRenditions(t *testing.T) {
	f := newFixture(t)
	f.spool[a] = recorder.Progress{}
	r := f.add(a, "one", noon)
	f.objects.content[r.Prefix+"/events/recording-started.json"] = []byte(`{"recording_status":"RECORDING_STARTED","media":{"hls":{"path":"media/hls",` +
		`"playlist":"master.m3u8","renditions":[{"path":"720p30","playlist":"playlist.m3u8"},{"path":"audio_only","playlist":"playlist.m3u8"}]},` +
		`"thumbnails":{"path":"media/thumbnails"}}}`)
	entry := "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00Z\n#EXTINF:10.500,\n0.ts\n"
	for name, content := range map[string]string{
		"media/hls/master.m3u8":              "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p30/playlist.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\naudio_only/playlist.m3u8\n",
		"media/hls/720p30/playlist.m3u8":     "#EXTM3U\n" + entry,
		"media/hls/720p30/0.ts":              "media",
		"media/hls/audio_only/playlist.m3u8": "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-GAP\n" + entry,
		"media/thumbnails/thumb0.jpg":        "picture",
	} {
		f.objects.content[r.Prefix+"/"+name] = []byte(content)
	}
	stored := recorder.Object{Rendition: "720p30", Name: "0.ts", Size: 5, Duration: 10500 * time.Millisecond, Time: noon}
	hole := stored
	hole.Rendition, hole.Size = "audio_only", 0
	f.stored = []recorder.Object{stored, hole}
	var report verifyResponse
	path := "/v1/recordings/" + a + "/verify"
	if status := f.get(path, &report); status != 200 || !report.Verified || report.Thumbnails != 1 || report.Duration != 10.5 ||
		!slices.Equal(report.Renditions, []verifiedRendition{{Name: "720p30", Bytes: 5}, {Name: "audio_only", Absent: 10.5}}) {
		t.Errorf("%d %+v", status, report)
	}
	f.stored[1].Size = 7
	if f.get(path, &report); len(report.Problems) != 1 || report.Problems[0].Path != "media/hls/audio_only/playlist.m3u8" {
		t.Errorf("against the journal: %+v", report)
	}
}

// A recording that ends while it is looked at is looked at again: neither of
// its states is a problem of the other.
func TestVerifyAtTheEnd(t *testing.T) {
	f := newFixture(t)
	f.spool[a] = recorder.Progress{}
	r := f.add(a, "one", noon)
	f.tell(r, "started", resource.RecordingStarted)
	walks := 0
	f.objects.walked = func() {
		if walks++; walks == 1 {
			f.tell(r, "ended", resource.RecordingEnded)
			f.must(f.store.EndRecording(t.Context(), a, noon, time.Minute))
			delete(f.spool, a)
		}
	}
	var report verifyResponse
	if status := f.get("/v1/recordings/"+a+"/verify", &report); status != 200 || !report.Verified || walks != 2 {
		t.Errorf("after %d looks: %d %+v", walks, status, report)
	}
}

// Reading recordings takes a store's time: few are verified side by side.
func TestVerifyBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objects := &bucket{hold: make(chan struct{})}
		s := New(Config{Store: known{}, Spool: spool{}, Objects: objects})
		var audits sync.WaitGroup
		for range maxAudits {
			audits.Go(func() {
				if _, err := s.verify(t.Context(), &verifyRequest{ID: a}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		var refused *resource.Error
		if _, err := s.verify(t.Context(), &verifyRequest{ID: a}); !errors.As(err, &refused) || refused.Kind != resource.ServiceUnavailable {
			t.Errorf("one too many: %v", err)
		}
		close(objects.hold)
		audits.Wait()
		if _, err := s.verify(t.Context(), &verifyRequest{ID: a}); err != nil {
			t.Error(err)
		}
	})
}
