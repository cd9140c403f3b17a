package stage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// tape is a [Recorder] that takes note of what it is to do.
type tape struct {
	w *world

	mu      sync.Mutex // guards what follows
	log     []string
	running map[*rtc.Source]bool
	stream  string // the newest
}

func (r *tape) write(format string, args ...any) { r.log = append(r.log, fmt.Sprintf(format, args...)) }

func (r *tape) Record(streamID string, stage *resource.Stage, storage *resource.StorageConfiguration, who *resource.Participant, src *rtc.Source) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stage.ARN != who.Stage || storage.ARN != stage.Recording.StorageConfigurationARN || who.UserID != "user of "+who.ID {
		r.w.t.Errorf("recorded is %+v of %+v to %+v", who, stage, storage)
	}
	if r.running[src] {
		r.w.t.Errorf("%s is recorded twice at once", who.ID)
	}
	r.running[src], r.stream = true, streamID
	r.write("%s in %s to %s", who.ID, who.SessionID, storage.S3.BucketName)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.running[src] {
			r.w.t.Errorf("the recording of %s is stopped twice", who.ID)
		}
		delete(r.running, src)
		r.write("%s stops", who.ID)
	}
}

func (r *tape) Release(stage resource.ARN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write("%s is gone", stage.ID())
}

// recorded compares what is to be recorded since the last call.
func (r *tape) recorded(want ...string) {
	r.w.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.log, want) {
		r.w.t.Errorf("recorded:\n  %s\nwant:\n  %s", strings.Join(r.log, "\n  "), strings.Join(want, "\n  "))
	}
	r.log = nil
}

// state is the state of a participant's recording as the ledger has it.
func (w *world) state(id string) resource.ParticipantRecordingState {
	synctest.Wait()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return w.ledger.participants["st-1"+id].RecordingState
}

// published is the stream of a participant's newest publication as the ledger was
// told.
func (w *world) published(id string) (stream string) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for _, e := range w.ledger.events["st-1"+id] {
		if e.Name == resource.PublishStarted {
			stream = e.StreamID
		}
	}
	return stream
}

var recordedStage = resource.ParticipantRecording{StorageConfigurationARN: place.ARN(resource.KindStorageConfiguration, "s")}

// inRecordedWorld runs a test in a world whose stages are recorded.
func inRecordedWorld(t *testing.T, test func(t *testing.T, w *world, r *tape)) {
	inWorld(t, func(t *testing.T, w *world) {
		w.end()
		w.ledger.recording = recordedStage
		r := &tape{w: w, running: make(map[*rtc.Source]bool)}
		w.start(Config{Recorder: r})
		test(t, w, r)
	})
}

// A publication is recorded from its answer, so that nothing is missed, to its end,
// whatever ends it, once.
func TestRecordPublication(t *testing.T) {
	const begins, stops = "ana in st-1 to vods", "ana stops"
	for _, tt := range []struct {
		name string
		ends func(w *world, s *session)
		want []string // from the end on
	}{
		{"the network is lost", func(_ *world, s *session) { s.Close(rtc.ErrLost) }, []string{stops}},
		{"it breaks a limit", func(_ *world, s *session) { s.Close(rtc.ErrBitrate) }, []string{stops}},
		{"the client leaves", func(w *world, s *session) {
			if err := w.Leave(w.t.Context(), w.token("ana"), "ana", s.id); err != nil {
				w.t.Error(err)
			}
		}, []string{stops}},
		{"its time is over", func(w *world, _ *session) { time.Sleep(24 * time.Hour) }, []string{stops}},
		{"it is disconnected", func(w *world, _ *session) {
			if err := w.Disconnect(w.t.Context(), hall, "ana", ""); err != nil {
				w.t.Error(err)
			}
		}, []string{stops}},
		{"the stage is deleted", func(w *world, _ *session) { w.Deleted(hall) }, []string{stops, "hall is gone"}},
		{"the server stops", func(w *world, _ *session) { w.end() }, []string{stops}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRecordedWorld(t, func(t *testing.T, w *world, r *tape) {
				ana := w.token("ana")
				s := w.publish(ana)
				r.recorded(begins)
				if got := w.state("ana"); got != "" {
					t.Errorf("recording state %s before media flows", got)
				}
				close(s.flowing)
				r.recorded()
				if got := w.state("ana"); got != resource.ParticipantRecordingStarting {
					t.Errorf("recording state is %q", got)
				}
				if got := w.published("ana"); got != r.stream {
					t.Errorf("stream %q is told to be published, %q is recorded", got, r.stream)
				}
				tt.ends(w, s)
				r.recorded(tt.want...)
				time.Sleep(absence + vacancy)
				r.recorded()
			})
		})
	}
}

// A new connection of the same token takes the publication over: the recording goes
// on. Behind the publication's end begins another.
func TestRecordTakeover(t *testing.T) {
	inRecordedWorld(t, func(t *testing.T, w *world, r *tape) {
		ana := w.token("ana")
		first := w.onAir(ana)
		second := w.publish(ana)
		if first.open() {
			t.Error("the first connection goes on")
		}
		close(second.flowing)
		r.recorded("ana in st-1 to vods")
		second.Close(rtc.ErrLost)
		r.recorded("ana stops")
		w.onAir(ana)
		r.recorded("ana in st-1 to vods")
	})
}

// Each participant is recorded by itself, and who only subscribes is not.
func TestRecordSeveral(t *testing.T) {
	inRecordedWorld(t, func(t *testing.T, w *world, r *tape) {
		ana, bob := w.onAir(w.token("ana")), w.onAir(w.token("bob"))
		w.subscribe(w.token("cid"), "ana")
		r.recorded("ana in st-1 to vods", "bob in st-1 to vods")
		ana.Close(rtc.ErrLost)
		r.recorded("ana stops")
		bob.Close(rtc.ErrLost)
		r.recorded("bob stops")
	})
}

// What never became a publication, or is not to be kept, is not recorded.
func TestRecordNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		recording resource.ParticipantRecording
		refuse    error
		want      []string
	}{
		"off": {},
		"nothing to write": {recording: resource.ParticipantRecording{
			StorageConfigurationARN: recordedStage.StorageConfigurationARN, MediaTypes: []string{"NONE"},
			Thumbnail: resource.ParticipantThumbnail{RecordingMode: "DISABLED"},
		}},
		"thumbnails alone": {recording: resource.ParticipantRecording{
			StorageConfigurationARN: recordedStage.StorageConfigurationARN, MediaTypes: []string{"NONE"},
			Thumbnail: resource.ParticipantThumbnail{RecordingMode: "INTERVAL"},
		}, want: []string{"ana in st-1 to vods"}},
		"a refused offer": {recording: recordedStage, refuse: rtc.ErrVideoCodec},
	} {
		t.Run(name, func(t *testing.T) {
			inRecordedWorld(t, func(t *testing.T, w *world, r *tape) {
				w.ledger.recording, w.engine.refuse = tt.recording, tt.refuse
				_, err := w.Publish(t.Context(), w.token("ana"), Client{}, nil)
				if (err != nil) != (tt.refuse != nil) {
					t.Fatal(err)
				}
				r.recorded(tt.want...)
				if err != nil {
					return
				}
				close(w.engine.newest().flowing)
				if got := w.state("ana"); (got == resource.ParticipantRecordingStarting) != (tt.want != nil) {
					t.Errorf("recording state is %q", got)
				}
			})
		})
	}
}

// How a publication is recorded is decided when it begins. It does not begin
// while that is not known.
func TestRecordUnknown(t *testing.T) {
	inRecordedWorld(t, func(t *testing.T, w *world, r *tape) {
		ana := w.token("ana")
		w.listen(ana)
		w.ledger.setAway(true)
		if _, err := w.Publish(t.Context(), ana, Client{}, nil); !errors.Is(err, errAway) {
			t.Errorf("published: %v", err)
		}
		w.ledger.setAway(false)
		r.recorded()
		w.publish(ana)
		r.recorded("ana in st-1 to vods")
	})
}

// A stage without anybody may have recordings that wait.
func TestReleaseEmptyStage(t *testing.T) {
	inRecordedWorld(t, func(_ *testing.T, w *world, r *tape) {
		w.Deleted(hall)
		r.recorded("hall is gone")
	})
}

// A storage configuration may go between the reading of the stage and its own: the
// stage had got another before.
func TestRecordReconfigured(t *testing.T) {
	for name, tt := range map[string]struct {
		gone []resource.ARN
		want int // HTTP status of the refusal; 0: it is recorded
	}{
		"meanwhile":  {gone: []resource.ARN{recordedStage.StorageConfigurationARN}},
		"ever again": {gone: []resource.ARN{recordedStage.StorageConfigurationARN, "other"}, want: 503},
	} {
		t.Run(name, func(t *testing.T) {
			inRecordedWorld(t, func(t *testing.T, w *world, r *tape) {
				w.ledger.gone = tt.gone
				_, err := w.Publish(t.Context(), w.token("ana"), Client{}, nil)
				var refused *Error
				switch {
				case tt.want == 0 && err != nil, tt.want != 0 && (!errors.As(err, &refused) || refused.Status != tt.want):
					t.Errorf("published: %v", err)
				case err == nil:
					r.recorded("ana in st-1 to vods")
				}
			})
		})
	}
}
