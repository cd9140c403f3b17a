package stage

import (
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/rtc"
)

// A participant is in the room while it has any connection, and five seconds
// longer, whichever of them ends last.
func TestStay(t *testing.T) {
	kinds := []string{"listen", "publish", "subscribe"}
	for _, opened := range [][]int{{0}, {1}, {2}, {0, 1}, {1, 0}, {0, 2}, {2, 0}, {1, 2}, {2, 1}, {0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		for _, closed := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			name := ""
			for _, kind := range opened {
				name += kinds[kind] + " "
			}
			name += "then"
			for _, kind := range closed {
				name += " " + kinds[kind]
			}
			t.Run(name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.onAir(w.token("host"))
					w.told("st-1 begins", "host JOINED", "host PUBLISH_STARTED", "host Participant Published st-1")
					token := w.token("ana")
					end := make(map[int]func())
					for _, kind := range opened {
						switch kind {
						case 0:
							end[kind] = w.listen(token).Close
						case 1:
							s := w.publish(token)
							end[kind] = func() { s.Close(rtc.ErrHungUp) }
						case 2:
							s := w.subscribe(token, "host")
							end[kind] = func() { s.Close(rtc.ErrLost) }
						}
						time.Sleep(7 * time.Second)
					}
					for _, kind := range closed {
						if end[kind] == nil {
							continue
						}
						time.Sleep(7 * time.Second)
						if w.participants(hall) != "ana host" {
							t.Errorf("left before the end of %s", kinds[kind])
						}
						end[kind]()
						synctest.Wait()
					}
					time.Sleep(absence - 1)
					if w.participants(hall) != "ana host" {
						t.Error("left before five seconds had passed")
					}
					time.Sleep(2 * time.Nanosecond)
					synctest.Wait()
					if w.participants(hall) != "host" {
						t.Error("still there after five seconds")
					}
				})
			})
		}
	}
}

// Who comes back within five seconds has not been away.
func TestRejoin(t *testing.T) {
	for _, tt := range []struct {
		name   string
		away   time.Duration
		stored []string
	}{
		{"in time", absence - 1, nil},
		{"too late", absence + 1, []string{"ana LEFT", "ana JOINED"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				token := w.token("ana")
				w.listen(token).Close()
				w.told("st-1 begins", "ana JOINED")
				time.Sleep(tt.away)
				synctest.Wait()
				w.listen(token)
				w.told(tt.stored...)
			})
		})
	}
}

// A session ends a minute after the last participant left. Who comes before goes
// on with it.
func TestSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listen(w.token("ana")).Close()
		time.Sleep(absence + vacancy - 1)
		w.told("st-1 begins", "ana JOINED", "ana LEFT")
		bob := w.listen(w.token("bob"))
		time.Sleep(2 * vacancy)
		w.told("bob JOINED")
		bob.Close()
		time.Sleep(absence + vacancy)
		w.told("bob LEFT", "st-1 ends")
		if n := len(w.Manager.rooms); n != 0 {
			t.Errorf("%d rooms are left", n)
		}
		w.listen(w.token("ana"))
		w.told("st-2 begins", "ana JOINED")
	})
}

// Of each kind of connection a token has one: the newest.
func TestNewestWins(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana, bob := w.token("ana"), w.token("bob")
		first := w.onAir(ana)
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1")
		second := w.publish(ana)
		if first.open() || !second.open() {
			t.Error("the first publication goes on")
		}
		w.told() // it still publishes, as far as anybody can tell
		close(second.flowing)
		w.told()

		old := w.subscribe(bob, "ana")
		w.told("bob JOINED", "bob SUBSCRIBE_STARTED ana")
		w.subscribe(bob, "ana")
		if old.open() {
			t.Error("the first subscription goes on")
		}
		w.told("bob SUBSCRIBE_STOPPED ana", "bob SUBSCRIBE_STARTED ana")

		listener := w.listen(bob)
		newer := w.listen(bob)
		if got := sees(t, listener); got != "left the stage: token-reused" {
			t.Errorf("listener: %s", got)
		}
		listener.Close()
		if got := sees(t, newer); got != "ana* bob" {
			t.Errorf("the newer one sees %s", got)
		}
		second.Close(rtc.ErrLost)
		w.told("ana PUBLISH_STOPPED", "ana Participant Unpublished st-1")
	})
}

// A publisher who takes over and never sends anything publishes no more.
func TestTakeoverFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.token("ana")
		w.onAir(ana)
		second := w.publish(ana)
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1")
		second.Close(rtc.ErrNeverConnected)
		w.told("ana PUBLISH_STOPPED", "ana Participant Unpublished st-1")
	})
}

// A publisher who comes back is the same participant with the same source, and
// those who watch stay.
func TestReconnect(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana, bob := w.token("ana"), w.token("bob")
		first := w.onAir(ana)
		subscribed := w.subscribe(bob, "ana")
		listener := w.listen(bob)
		if got := sees(t, listener); got != "ana* bob" {
			t.Errorf("at first: %s", got)
		}
		w.told("st-1 begins", "ana JOINED", "ana PUBLISH_STARTED", "ana Participant Published st-1", "bob JOINED", "bob SUBSCRIBE_STARTED ana")
		first.Close(rtc.ErrLost)
		w.told("ana PUBLISH_STOPPED", "ana Participant Unpublished st-1")
		if got := sees(t, listener); got != "ana bob" {
			t.Errorf("in the gap: %s", got)
		}
		time.Sleep(4 * time.Second)
		w.subscribe(w.token("cid"), "ana") // who comes in the gap waits with the others
		w.told("cid JOINED", "cid SUBSCRIBE_STARTED ana")
		w.onAir(ana)
		w.told("ana PUBLISH_STARTED", "ana Participant Published st-1")
		if got := sees(t, listener); got != "ana* bob cid" {
			t.Errorf("after it: %s", got)
		}
		if !subscribed.open() {
			t.Error("the subscription ended")
		}
		for _, s := range w.engine.sources {
			if s != w.engine.sources[0] {
				t.Error("there is another source")
			}
		}
	})
}
