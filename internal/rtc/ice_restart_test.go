package rtc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
	"github.com/pion/webrtc/v4"
)

// RFC 9725 §4.3.1: which PATCH is taken, by its If-Match and its fragment.
func TestPatch(t *testing.T) {
	candidate := "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
	credentialsOf := func(ufrag, pwd string) string { return "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + pwd + "\r\n" }
	newPwd := "abcdefghijklmnopqrstuv"
	for _, tt := range []struct {
		name, ifMatch, fragment string
		err                     error
		invalid, restarts       bool
	}{
		{"no condition", "", candidate, ErrNoCondition, false, false},
		{"another tag", `"x"`, candidate, ErrPrecondition, false, false},
		{"a weak tag", "W/ETAG", candidate, ErrPrecondition, false, false},
		{"candidates", "ETAG", candidate, nil, false, false},
		{"candidates with the credentials they are of", "ETAG", credentialsOf("abcd", "0123456789012345678901") + candidate, nil, false, false},
		{"candidates with the user name alone", "ETAG", "a=ice-ufrag:abcd\r\n" + candidate, nil, false, false},
		{"the end of candidates", `"x", ETAG`, "a=end-of-candidates\r\n", nil, false, false},
		{"candidates of whatever ICE session", "*", candidate, nil, false, false},
		{"restart", "*", credentialsOf("efgh", newPwd), nil, false, true},
		{"restart, the star in quotes", `"*"`, credentialsOf("efgh", newPwd), nil, false, true},
		{"restart, told twice", "*", credentialsOf("efgh", newPwd) + "m=video 9 X 1\r\n" + credentialsOf("efgh", newPwd), nil, false, true},
		{"restart of the session with this tag", "ETAG", credentialsOf("efgh", newPwd) + candidate, nil, false, true},
		{"restart of another", `"x"`, credentialsOf("efgh", newPwd), ErrPrecondition, false, false},
		{"half a restart", "*", "a=ice-ufrag:efgh\r\n", nil, true, false},
		{"another password alone", "*", credentialsOf("abcd", newPwd), nil, true, false},
		{"two user names", "*", "a=ice-ufrag:efgh\r\na=ice-ufrag:ijkl\r\n", nil, true, false},
		{"a short password", "*", credentialsOf("efgh", "short"), nil, true, false},
		{"not SDP", "*", "{}", nil, true, false},
		{"too long", "*", strings.Repeat("a=b\r\n", maxOffer), nil, true, false},
		{"too many lines", "*", strings.Repeat("a=b\r\n", maxLines+1), nil, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := listen(t, nil)
			s := opened(t, e)
			tag, before := s.ETag(), s.ice.present.local
			answer, etag, err := s.Patch(strings.ReplaceAll(tt.ifMatch, "ETAG", tag), []byte(tt.fragment))
			var refusal *resource.Error
			if errors.As(err, &refusal) != tt.invalid || !tt.invalid && !errors.Is(err, tt.err) {
				t.Errorf("error: %v", err)
			}
			if tt.restarts != (len(answer) > 0) || tt.restarts != (etag != tag) || etag != s.ETag() {
				t.Errorf("answer %q, tag %s after %s", answer, etag, tag)
			}
			if tt.restarts {
				after := s.ice.present.local
				for _, want := range []string{"a=ice-lite", "a=mid:0", "a=mid:1", "m=audio", "m=video", "a=ice-ufrag:" + after.ufrag, "a=ice-pwd:" + after.pwd, "a=candidate", "a=end-of-candidates"} {
					if !strings.Contains(string(answer), want+"\r\n") && !strings.Contains(string(answer), want+" ") && !strings.Contains(string(answer), want+":") {
						t.Errorf("no %s in\n%s", want, answer)
					}
				}
				if after == before || strings.Contains(string(answer), "fingerprint") {
					t.Errorf("answer:\n%s", answer)
				}
			}
		})
	}
}

// After a restart both ICE sessions work until the client nominates by the new one.
func TestRestartTakesOver(t *testing.T) {
	e := listen(t, nil)
	s := opened(t, e)
	old := s.ice.present.local
	if _, _, err := s.Patch("*", []byte("a=ice-ufrag:efgh\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n")); err != nil {
		t.Fatal(err)
	}
	fresh := s.ice.present.local
	c := socket(t, e)
	sendTo(t, c, checkOf(t, old.ufrag+":abcd", old.pwd, useCandidate))
	answered(t, c)
	sendTo(t, c, checkOf(t, fresh.ufrag+":efgh", fresh.pwd))
	answered(t, c)
	sendTo(t, c, checkOf(t, old.ufrag+":abcd", old.pwd))
	answered(t, c)
	sendTo(t, c, checkOf(t, fresh.ufrag+":efgh", fresh.pwd, useCandidate))
	answered(t, c)
	sendTo(t, c, checkOf(t, old.ufrag+":abcd", old.pwd)) // is not answered any more
	last := checkOf(t, fresh.ufrag+":efgh", fresh.pwd)
	sendTo(t, c, last)
	if m := answered(t, c); m.TransactionID != [12]byte(last[8:20]) {
		t.Error("the old ICE session is still there")
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.byUfrag) != 1 {
		t.Errorf("%d user names are known", len(e.byUfrag))
	}
}

// Media goes on through an ICE restart, from another socket of the client.
func TestRestartOfClient(t *testing.T) {
	e, src := listen(t, nil), newSource(t)
	pub := dial(t, nil)
	sound := pub.sends(webrtc.MimeTypeOpus)
	in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	feed(t, nil, sound)
	wait(t, "media flows", in.Flowing())
	before := *in.path.Load()

	offer, err := pub.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	fragment, _, err := in.Patch("*", []byte(linesWith(offer.SDP, "a=ice-ufrag", "a=ice-pwd")))
	if err != nil {
		t.Fatal(err)
	}
	text := string(answer)
	for _, name := range []string{"a=ice-ufrag:", "a=ice-pwd:"} {
		text = strings.ReplaceAll(text, linesWith(text, name), linesWith(string(fragment), name))
	}
	pub.answer([]byte(text))
	deadline := time.Now().Add(patience)
	for *in.path.Load() == before { // the client's new socket
		if time.Now().After(deadline) {
			t.Fatal("never came another way")
		}
		time.Sleep(time.Millisecond)
	}
	had := in.Stats().Audio.Packets
	for in.Stats().Audio.Packets < had+10 {
		if time.Now().After(deadline) {
			t.Fatal("no media after the restart")
		}
		time.Sleep(time.Millisecond)
	}
}

// linesWith are the lines of text that begin with a prefix; each once.
func linesWith(text string, prefixes ...string) string {
	found := ""
	for line := range strings.Lines(text) {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) && !strings.Contains(found, line) {
				found += line
			}
		}
	}
	return found
}
