package recordings

import (
	"encoding/json"
	"errors"
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
	if status := f.get(path, &report); status != 200 || text() != `{"bytes":100,"duration":0,"objects":2,"problems":[],"verified":true}` {
		t.Errorf("whole: %d %s", status, text())
	}
	f.objects.content[r.Prefix+"/note"] = []byte("x")
	if status := f.get(path+"?deep=true", &report); status != 200 ||
		text() != `{"bytes":101,"duration":0,"objects":3,"problems":[{"code":"object-foreign","path":"note","message":"nothing tells of it"}],"verified":false}` {
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
