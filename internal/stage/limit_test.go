package stage

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// Quotas: publishers and subscribers of a stage, subscriptions and requests of a
// participant.
func TestQuotas(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.end()
		w.start(Config{MaxSubscribers: 3})
		var sessions []*session
		for i := range 12 {
			sessions = append(sessions, w.onAir(w.token(fmt.Sprint("host-", i))))
		}
		w.onAir(w.token("host-0")) // another connection is not another publisher
		extra := w.token("extra")
		_, err := w.Publish(t.Context(), extra, Client{}, nil)
		refused(t, err, 503, resource.ParticipantQuotaExceeded)
		sessions[1].Close(rtc.ErrHungUp)
		synctest.Wait()
		w.onAir(extra)

		w.subscribe(w.token("ana"), "host-1")
		w.subscribe(w.token("host-2"), "host-1")
		bob := w.token("bob")
		for i := range 12 {
			w.subscribe(bob, fmt.Sprint("host-", i))
		}
		_, err = w.Subscribe(t.Context(), w.token("host-0"), "host-1", Client{}, nil)
		refused(t, err, 503, resource.ParticipantQuotaExceeded)
		_, err = w.Listen(t.Context(), w.token("cid"), "hall", Client{}) // the 16th
		refused(t, err, 503, resource.ParticipantQuotaExceeded)
	})
}

// A token's requests under way are bounded; of those that are, the last one wins.
func TestManyRequests(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.token("ana")
		w.engine.hold = make(chan struct{})
		errs := make(chan error)
		for range maxHolds + 1 {
			go func() {
				_, err := w.Publish(t.Context(), ana, Client{}, nil)
				errs <- err
			}()
		}
		refused(t, <-errs, 429, "")
		close(w.engine.hold)
		for range maxHolds {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		open := 0
		for _, s := range w.engine.sessions {
			if s.open() {
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d publications are open", open)
		}
	})
}

// Publications and subscriptions end after a day.
func TestDuration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		published := w.onAir(w.token("ana"))
		subscribed := w.subscribe(w.token("bob"), "ana")
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1", "bob JOINED", "bob SUBSCRIBE_STARTED ana")
		time.Sleep(24*time.Hour - 1)
		if !published.open() || !subscribed.open() {
			t.Error("ended before")
		}
		time.Sleep(time.Nanosecond)
		if published.open() || subscribed.open() {
			t.Error("goes on")
		}
		w.ledger.mu.Lock()
		log := w.ledger.log
		w.ledger.mu.Unlock()
		if len(log) != 6 {
			t.Errorf("stored: %q", log)
		}
	})
}

// A publication that is taken over has begun with the first one; one that comes
// behind it has a day of its own.
func TestDurationTakenOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.onAir(w.token("ana"))
		for range 23 {
			time.Sleep(time.Hour)
			w.onAir(w.token("ana"))
		}
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1")
		time.Sleep(time.Hour)
		w.told("ana PUBLISH_ERROR STREAM_DURATION_EXCEEDED", "ana PUBLISH_STOPPED",
			"ana Participant Publish Error st-1", "ana Participant Unpublished st-1")
		time.Sleep(barring)
		next := w.onAir(w.token("ana"))
		time.Sleep(23 * time.Hour)
		if !next.open() {
			t.Error("the next one ended with the day of the first")
		}
	})
}

// What a publisher does wrong is told once, as an event of its and of the stage.
func TestLimitBroken(t *testing.T) {
	for cause, code := range map[error]resource.ParticipantErrorCode{
		rtc.ErrBitrate: resource.BitrateExceeded, rtc.ErrResolution: resource.ResolutionExceeded,
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := w.onAir(w.token("ana"))
			w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1")
			s.Close(cause)
			w.told("ana PUBLISH_ERROR "+string(code), "ana PUBLISH_STOPPED", "ana Participant Publish Error st-1", "ana Participant Unpublished st-1")
		})
	}
}

// Who broke a limit and publishes again at once is told why it may not, even if it
// left meanwhile. Everything else it may.
func TestLimitBrokenAgain(t *testing.T) {
	for cause, code := range map[error]resource.ParticipantErrorCode{
		rtc.ErrBitrate: resource.BitrateExceeded, rtc.ErrResolution: resource.ResolutionExceeded, errDuration: resource.StreamDurationExceeded,
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.onAir(w.token("bob"))
			ana := w.token("ana")
			w.onAir(ana).Close(cause)
			synctest.Wait()
			_, err := w.Publish(t.Context(), ana, Client{}, nil)
			refused(t, err, 403, code)
			w.onAir(w.token("bob"))
			w.subscribe(ana, "bob").Close(rtc.ErrHungUp)
			time.Sleep(barring - 1)
			if in := w.participants(hall); in != "bob" {
				t.Errorf("%s are in", in)
			}
			_, err = w.Publish(t.Context(), ana, Client{}, nil)
			refused(t, err, 403, code)
			time.Sleep(time.Nanosecond)
			w.onAir(ana)
		})
	}
}

// Who lost its connection, or hung up, may publish again at once.
func TestPublishAgain(t *testing.T) {
	for _, cause := range []error{rtc.ErrLost, rtc.ErrHungUp, rtc.ErrNeverConnected} {
		inWorld(t, func(t *testing.T, w *world) {
			ana := w.token("ana")
			w.onAir(ana).Close(cause)
			synctest.Wait()
			w.onAir(ana)
		})
	}
}
