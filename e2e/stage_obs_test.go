package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// obsSections begin an offer as OBS makes it: the section of its sound, with
// mid "0", and that of its pictures, with mid "1".
const obsSections = "v=0\r\no=rtc 2093842331 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=msid-semantic:WMS *\r\n" +
	"a=setup:actpass\r\na=ice-ufrag:Wq9r\r\na=ice-pwd:k3J9bqz8pWvCtX4aYd7LmN2s\r\na=ice-options:ice2,trickle\r\na=fingerprint:sha-256 " + anyFingerprint + "\r\n" +
	"m=audio 53801 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 127.0.0.1\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\n" +
	"a=ssrc:3100201 cname:obs\r\na=ssrc:3100201 msid:obs obs-audio\r\na=msid:obs obs-audio\r\na=rtcp-mux\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1\r\n" +
	"a=candidate:1 1 UDP 2122317823 127.0.0.1 53801 typ host\r\na=end-of-candidates\r\n" +
	"m=video 53801 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 127.0.0.1\r\na=mid:1\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n" +
	"a=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n" +
	"a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n"

// What OBS needs of an answer: 201 with a body and one Location, every layer
// accepted, candidates in the answer, as it never sends a PATCH, and 200 for the
// DELETE when it stops.
func stageOBS(t *testing.T, s *server) {
	r := s.newRoom()
	for name, tt := range map[string]struct {
		offer string
		want  []string
	}{
		"one layer":    {obsSections + "a=ssrc:3100202 cname:obs\r\na=ssrc:3100202 msid:obs obs-video\r\na=msid:obs obs-video\r\n", nil},
		"three layers": {obsSections + "a=rid:0 send\r\na=rid:1 send\r\na=rid:2 send\r\na=simulcast:send 0;1;2\r\n", []string{"a=rid:0 recv", "a=rid:1 recv", "a=rid:2 recv", "a=simulcast:recv 0;1;2"}},
	} {
		ana := r.guest()
		a, err := ana.offer(ana.publishURL(), tt.offer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n := len(a.header.Values("Location")); n != 1 {
			t.Errorf("%s: there are %d Location headers", name, n)
		}
		sections := strings.Split(a.body, "m=")[1:]
		if len(sections) != 2 {
			t.Fatalf("%s: the answer is\n%s", name, a.body)
		}
		for i, want := range [][]string{{"audio ", " 111\r\n", "a=mid:0\r\n", "a=rtpmap:111 opus/48000/2\r\n"},
			append(tt.want, "video ", " 96\r\n", "a=mid:1\r\n", "a=rtpmap:96 H264/90000\r\n", "a=rtcp-fb:96 nack\r\n", "a=rtcp-fb:96 nack pli\r\n")} {
			for _, w := range append(want, "a=recvonly\r\n", "a=rtcp-mux\r\n", "a=candidate:", "a=end-of-candidates\r\n") {
				if !strings.Contains(sections[i], w) {
					t.Errorf("%s: section %d has no %q:\n%s", name, i, w, sections[i])
				}
			}
		}
		gone, err := call(t, http.MethodDelete, a.location, ana.token, "", "")
		if err != nil || gone.status != http.StatusOK {
			t.Errorf("%s: DELETE: %v, %v", name, gone, err)
		}
	}
}
