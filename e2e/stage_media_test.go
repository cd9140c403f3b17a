package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Whatever a publisher sends and a subscriber asks for: what both have gets
// through.
func stageKinds(t *testing.T, s *server) {
	var (
		both  = []string{"audio", "video"}
		audio = []string{"audio"}
		video = []string{"video"}
	)
	for _, tt := range []struct {
		name        string
		sends, asks peerOptions
		want        []string
	}{
		{"sound, asked for both", peerOptions{kinds: audio}, peerOptions{}, audio},
		{"pictures, asked for both", peerOptions{kinds: video}, peerOptions{}, video},
		{"both, asked for sound", peerOptions{}, peerOptions{kinds: audio}, audio},
		{"both, asked for pictures", peerOptions{}, peerOptions{kinds: video}, video},
		{"video section first", peerOptions{kinds: []string{"video", "audio"}}, peerOptions{kinds: []string{"video", "audio"}}, both},
		{"every codec offered", peerOptions{defaults: true}, peerOptions{defaults: true}, both},
	} {
		r := s.newRoom()
		ana, ben := r.guest(), r.guest()
		out := ana.publish(small, tt.sends)
		in := ben.subscribe(ana, tt.asks)
		for _, kind := range tt.want {
			in.waitGot(kind, 30)
		}
		out.stop()
		for _, kind := range both {
			if slices.Contains(tt.want, kind) {
				in.waitWhole(kind, out)
			} else if got := len(in.list(kind)); got > 0 {
				t.Errorf("%s: %d packets of %s have come", tt.name, got, kind)
			}
		}
		out.close()
		in.close()
	}
}

// A packet that a subscriber has lost comes again: by RTX where it takes that,
// and as it was where it does not. Another subscriber notices nothing.
func stageRepairs(t *testing.T, s *server) {
	r := s.newRoom()
	all := r.guests(3)
	out := all[0].publish(small)
	lossy := all[1].subscribe(all[0], peerOptions{drop: loseEach(9)})
	whole := all[2].subscribe(all[0])
	lossy.waitGot("video", 300)
	lossy.until = time.Now() // what is lost at the very end nobody misses
	lossy.waitGot("video", 100)
	lossy.waitGot("audio", 50)
	out.stop()
	for _, kind := range []string{"video", "audio"} {
		d := lossy.waitWhole(kind, out)
		t.Logf("%s: %v", kind, d)
		if d.late == 0 || kind == "video" && d.repaired == 0 {
			t.Errorf("%s that was lost has come: %v", kind, d)
		}
		if d := whole.waitWhole(kind, out); d.late > 0 || d.duplicates > 0 || d.repaired > 0 {
			t.Errorf("another subscriber has %s so: %v", kind, d)
		}
	}
	if n := out.resends.Load(); n > 0 {
		t.Errorf("the publisher was asked for %d packets again that it had brought to the server", n)
	}
}

// loseEach loses each nth packet of media when it first comes.
func loseEach(n uint16) func(*rtp.Header) bool {
	var mu sync.Mutex
	lost := make(map[uint64]bool)
	return func(h *rtp.Header) bool {
		if h.PayloadType == uint8(h264RTX.PayloadType) || h.SequenceNumber%n != 0 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		key := uint64(h.SSRC)<<16 | uint64(h.SequenceNumber)
		first := !lost[key]
		lost[key] = true
		return first
	}
}

// Of a publisher's layers (RFC 8853) all are accepted, and the best one is seen.
func stageSimulcast(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	layers := []scene{
		{width: 640, height: 360, bitrate: 500_000},
		{width: 320, height: 180, bitrate: 200_000, silent: true},
		{width: 160, height: 90, bitrate: 80_000, silent: true},
	}
	out := ana.publish(scene{}, peerOptions{layers: layers})
	for _, rid := range rids {
		if !strings.Contains(out.answer.body, "a=rid:"+rid+" recv") {
			t.Errorf("the answer does not accept the layer %s:\n%s", rid, out.answer.body)
		}
	}
	eventually(t, 10*time.Second, "all layers are known", func() error {
		for _, l := range out.layers {
			if len(l.list("video")) < 50 {
				return errors.New("few packets have been sent")
			}
		}
		return nil
	})
	in := ben.subscribe(ana)
	in.waitGot("video", 300)
	out.stop()
	in.waitWhole("video", out)
	in.waitWhole("audio", out)
}

// fragment is an SDP fragment (RFC 8840 §9) of the peer's own description.
func (p *peer) fragment(sdp string) string {
	text := "a=group:BUNDLE 0 1\r\n"
	for _, name := range []string{"ice-ufrag", "ice-pwd"} {
		text += regexp.MustCompile(`a=` + name + `:.*\r\n`).FindString(sdp)
	}
	text += regexp.MustCompile(`m=.*\r\n`).FindString(sdp) + "a=mid:0\r\n"
	for _, line := range regexp.MustCompile(`a=candidate:.*\r\n`).FindAllString(sdp, -1) {
		text += line
	}
	return text + "a=end-of-candidates\r\n"
}

// Candidates may come later, by PATCH (RFC 9725 §4.3.1), and ICE may begin anew
// (§4.3.2) while media flows.
func stageTrickle(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	out := ana.publish(small)
	in := ben.subscribe(ana, peerOptions{mildly: true})
	if in.answer.header.Get("ETag") == "" {
		t.Error("the session has no ETag")
	}
	patch := func(p *peer, body, etag string) *whipAnswer {
		t.Helper()
		a, err := call(t, http.MethodPatch, p.answer.location, p.guest.token, fragmentType, body, "If-Match", etag)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := patch(in.peer, in.fragment(in.LocalDescription().SDP), in.answer.header.Get("ETag")); a.status != http.StatusNoContent {
		t.Errorf("candidates are answered %v", a)
	}
	for _, p := range []*peer{in.peer, out.peer} {
		in.waitGot("video", 50)
		etag := p.answer.header.Get("ETag")
		offer, err := p.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
		if err != nil {
			t.Fatal(err)
		}
		gathered := webrtc.GatheringCompletePromise(p.PeerConnection)
		if err := p.SetLocalDescription(offer); err != nil {
			t.Fatal(err)
		}
		<-gathered
		a := patch(p, p.fragment(p.LocalDescription().SDP), etag)
		if a.status != http.StatusOK || a.header.Get("ETag") == "" || a.header.Get("ETag") == etag {
			t.Fatalf("a new beginning of ICE is answered %v with ETag %q", a, a.header.Get("ETag"))
		}
		answer := p.answer.body
		for _, name := range []string{"ice-ufrag", "ice-pwd"} {
			attribute := regexp.MustCompile(`a=` + name + `:.*\r\n`)
			fresh := attribute.FindString(a.body)
			if fresh == "" || strings.Contains(answer, fresh) {
				t.Fatalf("the answer has no new %s:\n%s", name, a.body)
			}
			answer = attribute.ReplaceAllLiteralString(answer, fresh)
		}
		if err := p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
			t.Fatal(err)
		}
		if a := patch(p, p.fragment(p.LocalDescription().SDP), etag); a.status != http.StatusPreconditionFailed && a.status != http.StatusOK {
			t.Errorf("a PATCH of the session as it was before is answered %v", a)
		}
		in.waitGot("video", 200)
	}
	out.stop()
	in.waitWhole("video", out)
	if a := patch(in.peer, "a=ice-ufrag:", ""); a.status/100 != 4 {
		t.Errorf("a fragment that is none is answered %v", a)
	}
}

// Who cannot send UDP takes TCP (RFC 6544), to publish as to subscribe.
func stageTCP(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	tcp := peerOptions{network: webrtc.NetworkTypeTCP4}
	out := ana.publish(small, tcp)
	in := ben.subscribe(ana, tcp)
	in.waitGot("video", 200)
	out.stop()
	for _, kind := range []string{"video", "audio"} {
		if d := in.waitWhole(kind, out); d.late > 0 || d.repaired > 0 {
			t.Errorf("%s over TCP: %v", kind, d)
		}
	}
}

// A server that listens on all addresses is reached over IPv6.
func TestStageIPv6(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--webrtc-addr", "[::]:0")
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	out := ana.publish(small, peerOptions{network: webrtc.NetworkTypeUDP6})
	in := ben.subscribe(ana, peerOptions{network: webrtc.NetworkTypeUDP6})
	old := r.guest().subscribe(ana) // and over IPv4 on the same port
	in.waitGot("video", 100)
	old.waitGot("video", 100)
	out.stop()
	in.waitWhole("video", out)
	old.waitWhole("video", out)
}

// Who exceeds a limit is refused or ended, and told why: in the answer, and by
// the participant's events.
func stageLimits(t *testing.T, s *server) {
	r := s.newRoom()
	listener := r.guest().listen() // keeps the session
	listener.waitState(5*time.Second, listener.guest.id)
	session := r.session()
	refused := func(g *guest, name string, status int, code string, event types.EventName, attempt func() error) {
		t.Helper()
		err := attempt()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("answered %d ", status)) || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v, not %d with %s", name, err, status, code)
		}
		g.waitEvent(session, string(event)+":"+code)
	}
	mute := r.guest(may(types.ParticipantTokenCapabilitySubscribe))
	refused(mute, "publish without the right", http.StatusForbidden, "INSUFFICIENT_CAPABILITIES", types.EventNamePublishError, func() error {
		_, err := mute.tryPublish(small, 1, peerOptions{})
		return err
	})
	deaf := r.guest(may(types.ParticipantTokenCapabilityPublish))
	refused(deaf, "subscribe without the right", http.StatusForbidden, "INSUFFICIENT_CAPABILITIES", types.EventNameSubscribeError, func() error {
		_, err := deaf.trySubscribe(mute, peerOptions{})
		return err
	})
	lonely := r.guest()
	refused(lonely, "subscribe to nobody", http.StatusNotFound, "PUBLISHER_NOT_FOUND", types.EventNameSubscribeError, func() error {
		_, err := lonely.trySubscribe(mute, peerOptions{})
		return err
	})
	other := r.guest()
	refused(other, "publish VP8", http.StatusBadRequest, "INVALID_VIDEO_CODEC", types.EventNamePublishError, func() error {
		_, err := other.offer(other.publishURL(), vp8Offer)
		return err
	})

	large := r.guest()
	out, err := large.tryPublish(scene{width: 1920, height: 1080, bitrate: 400_000, silent: true}, 1, peerOptions{})
	if err == nil {
		out.waitGone(15 * time.Second)
	}
	large.waitEvent(session, "PUBLISH_ERROR:RESOLUTION_EXCEEDED")

	const publishers = 12
	var all []*outgoing
	for _, g := range r.guests(publishers) {
		all = append(all, g.publish(small, peerOptions{kinds: []string{"audio"}, lean: true}))
	}
	late := r.guest()
	refused(late, "publish as the 13th", http.StatusServiceUnavailable, "QUOTA_EXCEEDED", types.EventNamePublishError, func() error {
		_, err := late.tryPublish(small, 1, peerOptions{})
		return err
	})
	all[0].hangUp()
	late.publish(small)
}

// vp8Offer is an offer of pictures that stages do not take.
const vp8Offer = "v=0\r\no=- 4215775240449105457 1795000000 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"a=fingerprint:sha-256 " + anyFingerprint + "\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\na=ice-ufrag:bMbnWqhZ\r\na=ice-pwd:rVPpYQLXAbSCMBBYXwqmzQVNTtPgjWtk\r\n" +
	"a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=ssrc:2596996162 cname:a\r\na=sendonly\r\n"

const anyFingerprint = "6E:5A:2B:8C:11:9F:03:D4:77:42:A8:EE:5C:90:1B:36:FD:68:2A:C7:84:15:E9:50:BB:0D:73:4F:96:28:DA:31"
