package stage

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/store"
)

// With a real database: what the API shows of a session after it, with a restart in
// it.
func TestStored(t *testing.T) {
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
		cfg := Config{Engine: &engine{}, Ledger: db, Log: slog.New(slog.DiscardHandler)}
		w := &world{t: t, engine: cfg.Engine.(*engine)}
		w.startWith(cfg)
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
		w.startWith(cfg)
		w.listen(bob)
		time.Sleep(absence)
		synctest.Wait()

		got, err := db.Stage(t.Context(), hall)
		if err != nil || got.ActiveSessionID == "" {
			t.Fatalf("the stage has session %q, %v", got.ActiveSessionID, err)
		}
		list := func(id string) (lines []string) {
			events, _, err := db.ListParticipantEvents(t.Context(), hall, got.ActiveSessionID, id, resource.Page{Size: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				lines = append(lines, fmt.Sprint(e.Name, " ", e.RemoteParticipantID, " ", e.EventTime.Sub(begun).Round(time.Second)))
			}
			slices.Reverse(lines)
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
		w.end()
	})
}
