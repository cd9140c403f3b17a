package stage

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// A server that stops ends what is open; the next one goes on with the session.
func TestRestart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		crash bool
	}{{"stopped", false}, {"killed", true}} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ana, bob := w.token("ana"), w.token("bob")
				published := w.onAir(ana)
				listener := w.listen(bob)
				w.subscribe(bob, "ana")
				w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1", "bob JOINED", "bob SUBSCRIBE_STARTED ana")
				if tt.crash {
					w.ledger.setAway(true)
				}
				w.end()
				w.ledger.setAway(false)
				if published.open() {
					t.Error("still publishes")
				}
				if got := sees(t, listener); got != "left the stage: unknown" && got != "ana* bob" {
					t.Errorf("listener: %s", got)
				}
				w.start(Config{})
				synctest.Wait()
				w.ledger.mu.Lock()
				log := w.ledger.log
				w.ledger.log = nil
				w.ledger.mu.Unlock()
				if n := len(log); n != 3 {
					t.Errorf("the ends of two connections are stored as %q", log)
				}
				again := w.listen(bob)
				if got := sees(t, again); got != "ana bob" {
					t.Errorf("bob sees %q", got)
				}
				time.Sleep(absence)
				w.told("ana LEFT")
				if got := sees(t, again); got != "bob" {
					t.Errorf("bob sees %q", got)
				}
				again.Close()
				time.Sleep(absence + vacancy)
				w.told("bob LEFT", "st-1 ends")
			})
		})
	}
}

// A session without anybody ends a minute after a restart.
func TestRestartEmpty(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listen(w.token("ana")).Close()
		time.Sleep(absence)
		w.told("st-1 begins", "ana JOINED", "ana LEFT")
		w.end()
		w.start(Config{})
		time.Sleep(vacancy - 1)
		w.told()
		time.Sleep(time.Nanosecond)
		w.told("st-1 ends")
	})
}

// However much has happened since it began to publish, the next run knows that a
// participant did.
func TestRestartAfterMuch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.token("ana")
		w.onAir(ana)
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1")
		for range 5 {
			_, err := w.Subscribe(t.Context(), ana, "bob", Client{}, nil)
			refused(t, err, 404, resource.PublisherNotFound)
			w.told("ana SUBSCRIBE_ERROR PUBLISHER_NOT_FOUND")
			time.Sleep(tellAgain)
		}
		w.ledger.setAway(true)
		w.end()
		w.ledger.setAway(false)
		w.start(Config{})
		w.told("ana PUBLISH_STOPPED", "ana Participant Unpublished st-1")
	})
}

// Who was disconnected for good as the server ended, before it was stored that it
// left, has left when the next run begins.
func TestRestartDisconnected(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.token("ana")
		w.listen(ana)
		w.told("st-1 begins", "ana JOINED")
		w.ledger.setAway(true)
		w.end()
		w.ledger.setAway(false)
		if err := w.ledger.KillParticipant(t.Context(), hall, "ana", time.Now()); err != nil { // LEFT is not stored
			t.Fatal(err)
		}
		w.start(Config{})
		_, err := w.Listen(t.Context(), ana, "hall", Client{})
		refused(t, err, 401, "")
		_, err = w.Publish(t.Context(), ana, Client{}, nil)
		refused(t, err, 401, "")
		w.told("ana killed", "ana LEFT")
		time.Sleep(time.Hour)
		if in := w.participants(hall); in != "" {
			t.Errorf("%s are in", in)
		}
	})
}

// A request that was let in before the server stops, and whose token is looked at
// behind that, joins no room any more.
func TestAdmittedWhileStopping(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range cap(w.verifying) {
			w.verifying <- struct{}{}
		}
		errs := make(chan error)
		go func() {
			_, err := w.Publish(t.Context(), w.token("ana"), Client{}, nil)
			errs <- err
		}()
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			w.end()
			close(stopped)
		}()
		synctest.Wait()
		<-w.verifying
		refused(t, <-errs, 503, "")
		<-stopped
		w.told()
	})
}

// A room that stops does not wait for a database that is away for ever.
func TestStopWhileAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.onAir(w.token("ana"))
		w.ledger.setAway(true)
		begun := time.Now()
		w.end()
		if waited := time.Since(begun); waited != stopGrace {
			t.Errorf("stopped after %v", waited)
		}
		_, err := w.Listen(t.Context(), w.token("bob"), "hall", Client{})
		refused(t, err, 503, "")
		w.Deleted(hall)
		if err := w.Disconnect(t.Context(), hall, "ana", ""); !errors.Is(err, errAway) {
			t.Errorf("disconnect: %v", err)
		}
	})
}

// Who takes a participant out does not wait for that database either.
func TestDisconnectWhileStopping(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listen(w.token("ana"))
		w.ledger.held = map[string]chan struct{}{"UpdateParticipant": make(chan struct{})}
		done := make(chan error)
		go func() { done <- w.Disconnect(t.Context(), hall, "ana", "spam") }()
		synctest.Wait()
		begun := time.Now()
		go w.end()
		if err := <-done; err != nil || time.Since(begun) != stopGrace {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}
