package stage

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
	"anabranch/internal/store"
)

// With a real database: what the API shows of a session after it, with a restart in
// it.
func TestStored(t *testing.T) {
	inStoredWorld(t, func(t *testing.T, w *world, db *slowStore) {
		ana := w.token("ana", func(c *auth.ParticipantClaims) { c.Attributes = map[string]string{"role": "host"} })
		begun := time.Now()
		if _, err := w.Publish(t.Context(), ana, Client{UserAgent: agents[0].agent}, nil); err != nil {
			t.Fatal(err)
		}
		close(w.engine.newest().flowing)
		bob := w.token("bob")
		listener := w.listen(bob)
		for sees(t, listener) != "ana* bob" {
		}
		w.subscribe(bob, "ana")
		time.Sleep(time.Minute)
		w.end()
		w.startWith(w.Config)
		w.listen(bob)
		time.Sleep(absence)
		synctest.Wait()

		got, err := db.Stage(t.Context(), hall)
		if err != nil || got.ActiveSessionID == "" {
			t.Fatalf("the stage has session %q, %v", got.ActiveSessionID, err)
		}
		list := func(id string) (lines []string) {
			for _, e := range db.happened(t, got.ActiveSessionID, id) {
				lines = append(lines, fmt.Sprint(e.Name, " ", e.RemoteParticipantID, " ", e.EventTime.Sub(begun).Round(time.Second)))
			}
			return lines
		}
		if got, want := list("ana"), []string{"JOINED  0s", "PUBLISH_STARTED  0s", "PUBLISH_STOPPED  1m0s", "LEFT  1m5s"}; !slices.Equal(got, want) {
			t.Errorf("ana: %q, want %q", got, want)
		}
		if got, want := list("bob"), []string{"JOINED  0s", "SUBSCRIBE_STARTED ana 0s", "SUBSCRIBE_STOPPED ana 1m0s"}; !slices.Equal(got, want) {
			t.Errorf("bob: %q, want %q", got, want)
		}
		p, err := db.Participant(t.Context(), hall, got.ActiveSessionID, "ana")
		if err != nil || p.State != resource.Disconnected || !p.Published || p.Protocol != resource.WHIP || p.UserID != "user of ana" ||
			p.Attributes["role"] != "host" || p.BrowserName != "Chrome" || !p.FirstJoinTime.Equal(begun) || p.RecordingState != "DISABLED" {
			t.Errorf("ana is %+v, %v", p, err)
		}

		// Everybody is put out with the stage.
		if err := db.DeleteStage(t.Context(), hall); err != nil {
			t.Fatal(err)
		}
		w.Deleted(hall)
		_, err = w.Listen(t.Context(), w.token("cid"), "hall", Client{})
		refused(t, err, 404, "")
		s, err := db.StageSession(t.Context(), hall, got.ActiveSessionID)
		if err != nil || s.End == nil {
			t.Errorf("session %+v, %v", s, err)
		}
		if got, want := list("bob"), "LEFT  1m5s"; got[len(got)-1] != want {
			t.Errorf("bob: %q, want %q at last", got, want)
		}
	})
}

// A stage that is deleted while the leaving of a participant waits to be stored has
// told of it, and it is not told twice.
func TestDeletedWhileStoring(t *testing.T) {
	inStoredWorld(t, func(t *testing.T, w *world, db *slowStore) {
		ana := w.onAir(w.token("ana"))
		db.hold = make(chan struct{})
		ana.Close(rtc.ErrLost)
		time.Sleep(absence + 1) // PUBLISH_STOPPED is being stored, LEFT waits behind it
		st, err := db.Stage(t.Context(), hall)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.DeleteStage(t.Context(), hall); err != nil {
			t.Fatal(err)
		}
		w.Deleted(hall)
		close(db.hold)
		synctest.Wait()
		var names []resource.ParticipantEventName
		for _, e := range db.happened(t, st.ActiveSessionID, "ana") {
			names = append(names, e.Name)
		}
		if want := []resource.ParticipantEventName{resource.Joined, resource.PublishStarted, resource.PublishStopped, resource.Left}; !slices.Equal(names, want) {
			t.Errorf("stored: %q, want %q", names, want)
		}
	})
}

// slowStore is a database that stores what happens to participants once hold is
// closed, where there is one.
type slowStore struct {
	*store.Store
	hold chan struct{}
}

func (s *slowStore) UpdateParticipant(ctx context.Context, stage resource.ARN, sessionID, participantID string,
	change func(*resource.Participant), happened []resource.ParticipantEvent, events ...resource.Event) error {

	if s.hold != nil {
		<-s.hold
	}
	return s.Store.UpdateParticipant(ctx, stage, sessionID, participantID, change, happened, events...)
}

// happened is what is stored of a participant, oldest first.
func (s *slowStore) happened(t *testing.T, sessionID, participantID string) []resource.ParticipantEvent {
	t.Helper()
	events, _, err := s.ListParticipantEvents(t.Context(), hall, sessionID, participantID, resource.Page{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	return events
}

// inStoredWorld runs a test on virtual time, with a real database.
func inStoredWorld(t *testing.T, test func(t *testing.T, w *world, db *slowStore)) {
	path := filepath.Join(t.TempDir(), "anabranch.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), store.Config{Path: path, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		st := resource.Stage{ARN: hall}
		st.FillDefaults()
		if err := db.CreateStage(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		slow := &slowStore{Store: db}
		w := &world{t: t, engine: &engine{}}
		w.startWith(Config{Engine: w.engine, Ledger: slow, Log: slog.New(slog.DiscardHandler)})
		defer func() { w.end() }()
		test(t, w, slow)
	})
}
