package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// A listener is told at once, of itself too, and then of each change: of changes
// that come together, together.
func TestListener(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ana := w.listen(w.token("ana"))
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() {}, "ana"},
			{func() { w.listen(w.token("bob")) }, "ana bob"},
			{func() { w.onAir(w.token("bob")) }, "ana bob*"},
			{func() { w.onAir(w.token("ana")); w.listen(w.token("cid")); w.engine.newest().Close(rtc.ErrHungUp) }, "ana bob* cid"},
			{func() { w.subscribe(w.token("cid"), "bob") }, context.DeadlineExceeded.Error()}, // nothing to be seen
		} {
			step.do()
			synctest.Wait()
			begun := time.Now()
			if got := sees(t, ana); got != step.want {
				t.Errorf("got %q, want %q", got, step.want)
			}
			if waited := time.Since(begun); waited > leastSpacing+3*spacingByAudience && step.want[0] == 'a' {
				t.Errorf("%q was told after %v", step.want, waited)
			}
		}
		if again := sees(t, w.listen(w.token("ana"))); again != "ana bob* cid" {
			t.Errorf("at first: %q", again)
		}
	})
}

// A slow listener costs nothing: it misses what is old.
func TestSlowListener(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow := w.listen(w.token("slow"))
		if got := sees(t, slow); got != "slow" {
			t.Error(got)
		}
		want := "slow"
		for i := range 9 {
			id := fmt.Sprint("p", i)
			w.listen(w.token(id))
			want += " " + id
			time.Sleep(time.Second)
		}
		if got := sees(t, slow); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := sees(t, slow); got != context.DeadlineExceeded.Error() {
			t.Errorf("got %q again", got)
		}
	})
}

// In a large room the audience is not named to its last one; who publishes is.
func TestLargeRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.listen(w.token("first"))
		for i := range maxAudience + 50 {
			w.listen(w.token(fmt.Sprint("p", i)))
		}
		named := func() int { return len(strings.Fields(sees(t, first))) }
		if n := named(); n != maxAudience {
			t.Errorf("%d are named", n)
		}
		last := w.token("last")
		w.listen(last)
		if got := sees(t, first); got != context.DeadlineExceeded.Error() {
			t.Errorf("a change that nobody sees was told: %s", got)
		}
		w.onAir(last)
		if got := sees(t, first); !strings.HasSuffix(got, " last*") {
			t.Errorf("got %s", got)
		}
	})
}

// Who published once and does no longer is of the audience.
func TestLargeRoomThatPublished(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.listen(w.token("first"))
		for i := range maxAudience + 50 {
			token := w.token(fmt.Sprint("p", i))
			w.listen(token)
			w.onAir(token).Close(rtc.ErrHungUp)
		}
		time.Sleep(time.Minute)
		if n := len(strings.Fields(sees(t, first))); n != maxAudience {
			t.Errorf("%d are named", n)
		}
	})
}

// What a snapshot says of a participant is what its token says, of the newest one.
func TestSeen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		role := func(role string) func(c *auth.ParticipantClaims) {
			return func(c *auth.ParticipantClaims) {
				c.UserID, c.Attributes = "<ana>\n", map[string]string{"role": role, "ä\"": "</script>"}
			}
		}
		l := w.listen(w.token("ana", role("guest")))
		w.told("st-1 begins", "ana JOINED")
		for _, r := range []string{"guest", "host"} {
			if r == "host" {
				w.publish(w.token("ana", role(r)))
				w.told("ana is host")
			}
			raw, err := l.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got Snapshot
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			want := Snapshot{StageID: "hall", Participants: []Seen{{ID: "ana", UserID: "<ana>\n", Attributes: map[string]string{"role": r, "ä\"": "</script>"}}}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	})
}

// A room with a thousand listeners, into which others come one behind the other:
// what is put together, and read, per joining.
func BenchmarkJoins(b *testing.B) {
	for _, size := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tokens := auth.NewParticipantTokens([]byte("secret"), func() (string, string) { return "ws://host/events", "http://host/whip" })
			m, err := NewManager(b.Context(), Config{
				Engine: &engine{}, Ledger: &ledger{stages: map[resource.ARN]bool{hall: true}}, Tokens: tokens,
				MaxSubscribers: 1 << 20, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- m.Run(ctx) }()
			join := func(i int) {
				now := time.Now()
				token, err := tokens.Mint(auth.ParticipantClaims{ID: fmt.Sprint("p", i), Stage: hall, IssuedAt: now, ExpiresAt: now.Add(time.Hour)})
				if err != nil {
					b.Fatal(err)
				}
				l, err := m.Listen(ctx, token, "hall", Client{})
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					for {
						if _, err := l.Next(ctx); err != nil {
							return
						}
					}
				}()
			}
			for i := range size {
				join(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				join(size + i%size)
			}
			b.StopTimer()
			cancel()
			<-done
		})
	}
}
