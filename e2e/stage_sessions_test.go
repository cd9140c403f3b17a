package e2e

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// A publisher whose network broke comes back with the same token while the
// server still waits for the old connection, then leaves and comes back again.
// Its subscribers stay: for them numbers go on, time stamps leap by as long as
// nothing came, and no other SSRC appears.
func stagePublisherReturns(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	first := ana.publish(small)
	session := r.session()
	in := ben.subscribe(ana)
	first.waitSent(2 * time.Second)
	first.vanish()
	second := ana.publish(small)
	second.waitSent(2 * time.Second)
	second.stop()
	for _, kind := range []string{"video", "audio"} {
		in.waitWhole(kind, first, second)
	}
	second.hangUp()
	third := ana.publish(small)
	third.waitSent(2 * time.Second)
	third.stop()
	for _, kind := range []string{"video", "audio"} {
		d := in.waitWhole(kind, first, second, third)
		t.Logf("%s: %v", kind, d)
		for _, m := range d.seams {
			if m.skips != 0 || m.lost != 0 {
				t.Errorf("%s: numbers leap by %d at a seam, before which %d packets are lost", kind, m.skips, m.lost)
			}
			if off := (m.stamps - m.wall).Abs(); m.stamps <= 0 || off > 500*time.Millisecond {
				t.Errorf("%s: time stamps leap by %v at a seam, nothing was sent for %v", kind, m.stamps, m.wall)
			}
		}
	}
	if in.hasGone() {
		t.Error("the subscriber's connection has ended")
	}
	if got := r.session(); got != session {
		t.Errorf("session %q follows %q", got, session)
	}
	if got := ana.events(session); slices.Contains(got, "LEFT") || !slices.Contains(got, "PUBLISH_STARTED") {
		t.Errorf("the publisher's events are %v", got)
	}
}

// Of two connections of a kind with one token, the newest stays.
func stageNewestWins(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	older, newer := ana.listen(), ana.listen()
	if closed := older.waitClosed(5 * time.Second); closed.Code != 4003 {
		t.Errorf("the older events socket is closed with %v", closed)
	}
	newer.waitState(5*time.Second, ana.id)

	first := ana.publish(small)
	in := ben.subscribe(ana)
	first.waitSent(time.Second)
	second := ana.publish(small)
	first.waitGone(5 * time.Second)
	second.waitSent(time.Second)
	again := ben.subscribe(ana)
	in.waitGone(5 * time.Second)
	second.waitSent(3 * time.Second)
	second.stop()
	again.waitWhole("video", second)
	newer.waitState(5*time.Second, ana.id+"!", ben.id)
}

// DisconnectParticipant ends all that a participant has open, and its token.
// The others do not notice, and with another token the user may come back.
func stageDisconnected(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	listener, others := ana.listen(), ben.listen()
	out, fromBen := ana.publish(small), ben.publish(small)
	in, toBen := ana.subscribe(ben), ben.subscribe(ana)
	toBen.waitGot("video", 10)
	session := r.session()
	ana.disconnect()
	if closed := listener.waitClosed(5 * time.Second); closed.Code != 4001 || closed.Reason != "participant-disconnected" {
		t.Errorf("the events socket is closed with %v", closed)
	}
	out.waitGone(5 * time.Second)
	in.waitGone(5 * time.Second)
	others.waitState(10*time.Second, ben.id+"!")
	ana.refused(t)
	unused := r.guest()
	unused.disconnect()
	unused.refused(t)
	ana.waitLeft(session)
	if fromBen.hasGone() {
		t.Error("the other publisher has gone, too")
	}
	again := r.guest().listen()
	again.waitState(5*time.Second, ben.id+"!", again.guest.id)
}

// refused checks that the participant's token is good for nothing.
func (g *guest) refused(t *testing.T) {
	t.Helper()
	for _, attempt := range []struct{ method, address, contentType, body string }{
		{http.MethodPost, g.publishURL(), sdpType, "v=0\r\n"},
		{http.MethodPost, g.subscribeURL(g), sdpType, "v=0\r\n"},
		{http.MethodOptions, g.publishURL(), "", ""},
	} {
		a, err := call(t, attempt.method, attempt.address, g.token, attempt.contentType, attempt.body)
		if err != nil || a.status != http.StatusUnauthorized && a.status != http.StatusForbidden && a.status != http.StatusNotFound {
			t.Errorf("%s %s with a token that is dead: %v, %v", attempt.method, attempt.address, a, err)
		}
	}
	if _, err := g.tryListen(); err == nil || !strings.HasPrefix(err.Error(), "40") {
		t.Errorf("an events socket with a token that is dead: %v", err)
	}
}

// DeleteStage ends everything in the stage.
func stageDeleted(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	listener := ana.listen()
	out := ana.publish(small)
	in := ben.subscribe(ana)
	in.waitGot("video", 10)
	if _, err := s.realtime().DeleteStage(t.Context(), &ivsrealtime.DeleteStageInput{Arn: r.Arn}); err != nil {
		t.Fatal(err)
	}
	if closed := listener.waitClosed(5 * time.Second); closed.Code != 4002 || closed.Reason != "stage-deleted" {
		t.Errorf("the events socket is closed with %v", closed)
	}
	out.waitGone(5 * time.Second)
	in.waitGone(5 * time.Second)
	ana.refused(t)
	if _, err := s.realtime().GetStage(t.Context(), &ivsrealtime.GetStageInput{Arn: r.Arn}); !isA[*types.ResourceNotFoundException](err) {
		t.Errorf("GetStage of a stage that is deleted: %v", err)
	}
}

// A token's time is over for who wants to join, not for who is there.
func stageTokenExpires(t *testing.T, s *server) {
	r := s.newRoom()
	key := s.importStageKey()
	over := time.Now().Unix() + 8
	ana, late, ben := key.guest(r, claims{"exp": over}), key.guest(r, claims{"exp": over}), r.guest()
	out := ana.publish(small)
	in := ben.subscribe(ana)
	eventually(t, 20*time.Second, "the token's time is over", func() error {
		a, err := call(t, http.MethodOptions, late.publishURL(), late.token, "", "")
		if err == nil && a.status == http.StatusOK {
			return errors.New("it is taken")
		}
		return err
	})
	if time.Now().Unix() < over {
		t.Error("that is early")
	}
	late.refused(t)
	ana.listen()
	in.waitGot("video", 100)
	out.stop()
	in.waitWhole("video", out)
	if _, err := s.realtime().DeletePublicKey(t.Context(), &ivsrealtime.DeletePublicKeyInput{Arn: &key.arn}); err != nil {
		t.Fatal(err)
	}
	if out.hasGone() {
		t.Error("who joined with a key that is deleted later, has gone")
	}
	key.guest(r, nil).refused(t)
}
