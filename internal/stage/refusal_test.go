package stage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// What a token does not allow is refused, and told as an event.
func TestCapabilities(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.onAir(w.token("host"))
		w.told("st-1 begins", "host JOINED", "host PUBLISH_STARTED", "host Participant Published st-1")
		ana := w.token("ana", func(c *auth.ParticipantClaims) { c.Publish = false })
		_, err := w.Publish(t.Context(), ana, Client{}, nil)
		refused(t, err, 403, resource.InsufficientCapabilities)
		w.told("ana JOINED", "ana PUBLISH_ERROR INSUFFICIENT_CAPABILITIES", "ana Participant Publish Error st-1")
		w.subscribe(ana, "host")

		bob := w.token("bob", func(c *auth.ParticipantClaims) { c.Subscribe = false })
		_, err = w.Subscribe(t.Context(), bob, "host", Client{}, nil)
		refused(t, err, 403, resource.InsufficientCapabilities)
		w.publish(bob)
		w.told("ana SUBSCRIBE_STARTED host", "bob JOINED", "bob SUBSCRIBE_ERROR host INSUFFICIENT_CAPABILITIES")

		// Neither right is needed to listen.
		w.listen(w.token("cid", func(c *auth.ParticipantClaims) { c.Publish, c.Subscribe = false, false }))
	})
}

// Who tries the same again and again is told of once in a while, and leaves.
func TestFailureAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.token("ana")
		for range 50 {
			_, err := w.Subscribe(t.Context(), ana, "nobody", Client{}, nil)
			refused(t, err, 404, resource.PublisherNotFound)
		}
		w.told("st-1 begins", "ana JOINED", "ana SUBSCRIBE_ERROR PUBLISHER_NOT_FOUND")
		time.Sleep(absence)
		w.told("ana LEFT")
	})
}

// There is nobody to subscribe to before media flows, and behind the publisher's
// leaving.
func TestPublisherNotFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana, bob := w.token("ana"), w.token("bob")
		s := w.publish(ana)
		for range 2 {
			_, err := w.Subscribe(t.Context(), bob, "ana", Client{}, nil)
			refused(t, err, 404, resource.PublisherNotFound)
			close(s.flowing)
			synctest.Wait()
			subscribed := w.subscribe(bob, "ana")
			s.Close(rtc.ErrHungUp)
			time.Sleep(absence)
			if subscribed.open() {
				t.Error("the subscription outlives its publisher")
			}
			s = w.publish(ana)
		}
	})
}

// Whom a client made up is in no event.
func TestMadeUpPublisher(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		token := w.token("ana", func(c *auth.ParticipantClaims) { c.Subscribe = false })
		_, err := w.Subscribe(t.Context(), token, "made\x00up\xff"+strings.Repeat("x", 100), Client{}, nil)
		refused(t, err, 403, resource.InsufficientCapabilities)
		w.told("st-1 begins", "ana JOINED", "ana SUBSCRIBE_ERROR INSUFFICIENT_CAPABILITIES")
	})
}

// A publisher who leaves while an offer is being answered is not subscribed to.
func TestPublisherLeavesMeanwhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.onAir(w.token("ana"))
		bob := w.token("bob")
		w.listen(bob)
		w.engine.hold = make(chan struct{})
		done := make(chan error)
		go func() {
			_, err := w.Subscribe(t.Context(), bob, "ana", Client{}, nil)
			done <- err
		}()
		synctest.Wait()
		if err := w.Disconnect(t.Context(), hall, "ana", ""); err != nil {
			t.Fatal(err)
		}
		close(w.engine.hold)
		refused(t, <-done, 404, resource.PublisherNotFound)
		if w.engine.newest().open() {
			t.Error("the session is open")
		}
	})
}

// Errors of offers become refusals, and those of codecs events.
func TestOffers(t *testing.T) {
	invalid := resource.Errorf(resource.Invalid, "line 3: not SDP")
	for _, tt := range []struct {
		err    error
		status int
		code   resource.ParticipantErrorCode
	}{
		{invalid, 400, resource.InvalidInput},
		{fmt.Errorf("%w: %w", invalid, rtc.ErrVideoCodec), 400, resource.InvalidVideoCodec},
		{fmt.Errorf("%w: %w", invalid, rtc.ErrAudioCodec), 400, resource.InvalidAudioCodec},
		{rtc.ErrBusy, 503, ""},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.onAir(w.token("host"))
			w.engine.refuse = tt.err
			_, err := w.Publish(t.Context(), w.token("ana"), Client{}, nil)
			refused(t, err, tt.status, tt.code)
			_, err = w.Subscribe(t.Context(), w.token("bob"), "host", Client{}, nil)
			refused(t, err, tt.status, tt.code)
			want := []string{"st-1 begins", "host JOINED", "host PUBLISH_STARTED", "host Participant Published st-1", "ana JOINED"}
			if tt.code != "" {
				want = append(want, "ana PUBLISH_ERROR "+string(tt.code), "ana Participant Publish Error st-1")
			}
			want = append(want, "bob JOINED")
			if tt.code != "" {
				want = append(want, "bob SUBSCRIBE_ERROR host "+string(tt.code))
			}
			w.told(want...)
		})
	}
}

// While the database is away nobody gets in; who is in stays, and what happens is
// stored when it is back, in order.
func TestDatabaseAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		published := w.onAir(w.token("ana"))
		listener := w.listen(w.token("bob"))
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1", "bob JOINED")
		if got := sees(t, listener); got != "ana* bob" {
			t.Errorf("bob sees %s", got)
		}
		w.ledger.setAway(true)

		begun := time.Now()
		_, err := w.Listen(t.Context(), w.token("cid"), "hall", Client{})
		refused(t, err, 503, "")
		if waited := time.Since(begun); waited != joinPatience {
			t.Errorf("refused after %v", waited)
		}
		w.subscribe(w.token("bob"), "ana") // needs no database
		published.Close(rtc.ErrHungUp)
		time.Sleep(time.Hour)
		if got := sees(t, listener); got != context.DeadlineExceeded.Error() {
			t.Errorf("told before it is stored: %s", got)
		}
		joined := make(chan error)
		go func() {
			_, err := w.Listen(t.Context(), w.token("dan"), "hall", Client{})
			joined <- err
		}()
		time.Sleep(mostPause)
		w.ledger.setAway(false)
		if err := <-joined; err != nil {
			t.Errorf("dan: %v", err)
		}
		w.told("bob SUBSCRIBE_STARTED ana", "bob SUBSCRIBE_STOPPED ana", "ana PUBLISH_STOPPED", "ana LEFT",
			"ana Participant Unpublished st-1", "dan JOINED")
		if got := sees(t, listener); got != "bob dan" {
			t.Errorf("bob sees %s", got)
		}
	})
}
