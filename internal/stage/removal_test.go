package stage

import (
	"testing"
	"time"
)

// DeleteStage takes everybody out; the store has told so.
func TestDeleted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana, bob := w.token("ana"), w.token("bob")
		published := w.onAir(ana)
		subscribed := w.subscribe(bob, "ana")
		listener := w.listen(bob)
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1", "bob JOINED", "bob SUBSCRIBE_STARTED ana")
		delete(w.ledger.stages, hall)
		w.ledger.sessions = nil
		w.Deleted(hall)
		if published.open() || subscribed.open() {
			t.Error("media goes on")
		}
		if got := sees(t, listener); got != "left the stage: stage-deleted" {
			t.Errorf("listener: %s", got)
		}
		listener.Close()
		_, err := w.Publish(t.Context(), ana, Client{}, nil)
		refused(t, err, 404, "")
		time.Sleep(2 * vacancy)
		w.told()
		if n := len(w.Manager.rooms) + len(w.Manager.sessions); n != 0 {
			t.Errorf("%d rooms and sessions are left", n)
		}
	})
}

// DisconnectParticipant takes a participant out at once and for good.
func TestDisconnect(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana, bob := w.token("ana"), w.token("bob")
		published := w.onAir(ana)
		listener := w.listen(ana)
		subscribed := w.subscribe(bob, "ana")
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1", "bob JOINED", "bob SUBSCRIBE_STARTED ana")
		if err := w.Disconnect(t.Context(), hall, "ana", "spam"); err != nil {
			t.Fatal(err)
		}
		w.told("ana killed", "ana PUBLISH_STOPPED", "ana LEFT", "ana Participant Unpublished st-1", "bob SUBSCRIBE_STOPPED ana")
		if published.open() || subscribed.open() {
			t.Error("media goes on")
		}
		if got := sees(t, listener); got != "left the stage: participant-disconnected" {
			t.Errorf("listener: %s", got)
		}
		_, err := w.Listen(t.Context(), ana, "hall", Client{})
		refused(t, err, 401, "")
		_, err = w.Authorize(t.Context(), ana)
		refused(t, err, 401, "")
		w.told()

		// One who never came does not come any more.
		if err := w.Disconnect(t.Context(), hall, "eve", ""); err != nil {
			t.Fatal(err)
		}
		_, err = w.Publish(t.Context(), w.token("eve"), Client{}, nil)
		refused(t, err, 401, "")
		w.told("eve killed")
		w.listen(w.token("ana-again"))
		w.told("ana-again JOINED")
	})
}

// Who was disconnected and tries to come back keeps no session going.
func TestDisconnectedKeepsNoSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.token("ana")
		w.listen(ana)
		if err := w.Disconnect(t.Context(), hall, "ana", ""); err != nil {
			t.Fatal(err)
		}
		w.told("st-1 begins", "ana JOINED", "ana killed", "ana LEFT")
		for range 10 {
			time.Sleep(30 * time.Second)
			_, err := w.Listen(t.Context(), ana, "hall", Client{})
			refused(t, err, 401, "")
		}
		w.told("st-1 ends")
		if n := len(w.Manager.rooms); n != 0 {
			t.Errorf("%d rooms are left", n)
		}
	})
}
