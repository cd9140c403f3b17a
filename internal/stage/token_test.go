package stage

import (
	"encoding/base64"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

func TestTokens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, token := range []string{"", "x", w.token("ana") + "x"} {
			_, err := w.Publish(t.Context(), token, Client{}, nil)
			refused(t, err, 401, "")
			_, err = w.Subscribe(t.Context(), token, "ana", Client{}, nil)
			refused(t, err, 401, "")
			_, err = w.Listen(t.Context(), token, "hall", Client{})
			refused(t, err, 401, "")
			_, err = w.Authorize(t.Context(), token)
			refused(t, err, 401, "")
		}
		_, err := w.Listen(t.Context(), w.token("ana"), "other", Client{})
		refused(t, err, 403, "")
		_, err = w.Listen(t.Context(), w.token("ana", func(c *auth.ParticipantClaims) {
			c.Stage = place.ARN(resource.KindStage, "gone")
		}), "gone", Client{})
		refused(t, err, 404, "")
		if claims, err := w.Authorize(t.Context(), w.token("ana")); err != nil || claims.ID != "ana" {
			t.Errorf("authorize: %+v, %v", claims, err)
		}
		w.told()
		if n := len(w.Manager.rooms); n != 0 {
			t.Errorf("%d rooms are left", n)
		}
	})
}

// A token that has expired lets nobody in, and nobody out: who came in time goes on
// with it.
func TestExpiry(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		token := w.token("ana", func(c *auth.ParticipantClaims) { c.ExpiresAt = c.IssuedAt.Add(time.Minute) })
		answer, err := w.Publish(t.Context(), token, Client{}, nil)
		if err != nil || answer.ParticipantID != "ana" || string(answer.SDP) != "answer" || answer.ETag != `"1"` {
			t.Fatalf("%+v, %v", answer, err)
		}
		s := w.engine.newest()
		time.Sleep(time.Hour)
		if !s.open() {
			t.Error("ended by the token's expiry")
		}
		earlier := w.token("ana", func(c *auth.ParticipantClaims) {
			c.IssuedAt, c.ExpiresAt = c.IssuedAt.Add(-14*time.Hour), c.ExpiresAt.Add(-13*time.Hour)
		})
		_, err = w.Listen(t.Context(), earlier, "hall", Client{})
		refused(t, err, 401, "")
		w.listen(token).Close()

		// Its session is still its own.
		_, err = w.Patch(t.Context(), token, "ana", answer.SessionID, `"0"`, nil)
		refused(t, err, 412, "")
		if patched, err := w.Patch(t.Context(), token, "ana", answer.SessionID, `"1"`, nil); err != nil || patched.ETag != `"2"` {
			t.Errorf("patch: %+v, %v", patched, err)
		}
		for _, tt := range []struct {
			token, participant, session string
			status                      int
		}{
			{w.token("ana"), "ana", answer.SessionID, 403},
			{w.token("bob"), "ana", answer.SessionID, 403},
			{token, "bob", answer.SessionID, 404},
			{token, "ana", "session-7", 404},
		} {
			refused(t, w.Leave(t.Context(), tt.token, tt.participant, tt.session), tt.status, "")
		}
		if !s.open() {
			t.Error("ended by another token")
		}
		if err := w.Leave(t.Context(), token, "ana", answer.SessionID); err != nil || s.open() {
			t.Errorf("leave: %v", err)
		}
		refused(t, w.Leave(t.Context(), token, "ana", answer.SessionID), 404, "")
		time.Sleep(absence)
		synctest.Wait()
		_, err = w.Listen(t.Context(), token, "hall", Client{})
		refused(t, err, 401, "")
	})
}

// Who is in may do more with its token when that has expired, too.
func TestExpiredWhileJoined(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.onAir(w.token("host"))
		ana := w.token("ana", func(c *auth.ParticipantClaims) { c.ExpiresAt = c.IssuedAt.Add(time.Minute) })
		w.listen(ana)
		time.Sleep(2 * time.Minute)
		w.subscribe(ana, "host")
		w.publish(ana)
		if in := w.participants(hall); in != "ana host" {
			t.Errorf("%s are in", in)
		}
	})
}

// What a newer token says while the first one's joining is being stored, is
// stored behind that.
func TestRenamedWhileJoining(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		join := make(chan struct{})
		w.ledger.held = map[string]chan struct{}{"JoinStage": join}
		for _, role := range []string{"guest", "host"} {
			token := w.token("ana", func(c *auth.ParticipantClaims) { c.Attributes = map[string]string{"role": role} })
			go w.Listen(t.Context(), token, "hall", Client{})
			synctest.Wait()
		}
		close(join)
		w.told("st-1 begins", "ana JOINED", "ana is host")
	})
}

// forged is a token that names an imported key, so that the database is asked.
func forged() string {
	part := base64.RawURLEncoding.EncodeToString
	header := fmt.Sprintf(`{"alg":"ES384","kid":"%s"}`, place.ARN(resource.KindPublicKey, "key"))
	return part([]byte(header)) + "." + part([]byte("{}")) + "." + part(make([]byte, 96))
}

// Whoever makes up tokens while the database is slow keeps nobody out.
func TestForgedTokens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		read := make(chan struct{})
		w.ledger.held = map[string]chan struct{}{"PublicKey": read}
		errs := make(chan error)
		for range 20 {
			go func() {
				_, err := w.Listen(t.Context(), forged(), "hall", Client{})
				errs <- err
			}()
		}
		synctest.Wait()
		begun := time.Now()
		w.listen(w.token("ana"))
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("ana waited for %v", waited)
		}
		close(read)
		for range 20 {
			refused(t, <-errs, 401, "")
		}
	})
}

// A token waits for being looked at, and for its key, as long as for joining.
func TestTokenPatience(t *testing.T) {
	for name, hinder := range map[string]func(w *world){
		"crowd": func(w *world) {
			for range cap(w.verifying) {
				w.verifying <- struct{}{}
			}
		},
		"database": func(w *world) {
			w.ledger.held = map[string]chan struct{}{"PublicKey": make(chan struct{})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				hinder(w)
				begun := time.Now()
				_, err := w.Publish(t.Context(), forged(), Client{}, nil)
				refused(t, err, 503, "")
				if waited := time.Since(begun); waited != joinPatience {
					t.Errorf("refused after %v", waited)
				}
			})
		})
	}
}
