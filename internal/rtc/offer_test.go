package rtc

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
	"github.com/pion/sdp/v3"
)

var update = flag.Bool("update", false, "write the answers that tests compare with")

// The answers to what clients offer are those that have been looked at, word for
// word.
func TestAnswers(t *testing.T) {
	offers, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(offers) == 0 {
		t.Fatal("no offers", err)
	}
	for _, path := range offers {
		name := strings.TrimSuffix(filepath.Base(path), ".sdp")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := answerOf(t, text, strings.HasSuffix(name, "-publish"))
			golden := filepath.Join("testdata", "answers", name+".sdp")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("answer:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// answerOf answers with a transport that is always the same.
func answerOf(t *testing.T, text []byte, publish bool) []byte {
	t.Helper()
	o, err := parseOffer(text)
	if err != nil {
		t.Fatal(err)
	}
	a, err := planOf(o, publish)
	if err != nil {
		t.Fatal(err)
	}
	return a.text(2, "a=ice-ufrag:abcd\r\n")
}

func planOf(o *offer, publish bool) (*answer, error) {
	if publish {
		return answerPublisher(o, Limits{Bitrate: 8_500_000})
	}
	return answerSubscriber(o, map[kind]outbound{audio: {ssrc: 1}, video: {ssrc: 2, rtxSSRC: 3}})
}

// base is an offer that tables of cases change.
const base = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n" +
	"a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:97 VP8/90000\r\n"

// An offer that breaks a rule is refused, by the name of what breaks it.
func TestRefusedOffers(t *testing.T) {
	h264 := "96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f"
	for _, tt := range []struct {
		name, old, change string
		publish           bool
		says              string
		is                error
	}{
		{"nothing", base, "", true, "v=0", nil},
		{"not SDP", base, `{"sdp":"v=0"}`, true, "v=0", nil},
		{"a line of another form", "s=-", "session", true, "line 3", nil},
		{"too long", "s=-", "s=" + strings.Repeat("a", maxOffer), true, "65536 bytes", nil},
		{"a line too long", "s=-", "s=" + strings.Repeat("a", maxLine), true, "line 3", nil},
		{"too many lines", "s=-", "s=-" + strings.Repeat("\r\na=b", maxLines), true, "2000 lines", nil},
		{"too many sections", "m=audio", strings.Repeat("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", 16) + "m=audio", true, "16 m= lines", nil},
		{"a port that is none", "m=audio 9 ", "m=audio 65536 ", true, "port", nil},
		{"media that are none", "m=audio 9", "m=0 9", true, "no such media", nil},
		{"a protocol that is none", "UDP/TLS/RTP/SAVPF 111", "UDP/0 111", true, "no protocol", nil},
		{"no formats", "SAVPF 111 0", "SAVPF", true, "m=", nil},
		{"a section outside BUNDLE", "BUNDLE 0 1", "BUNDLE 0", true, "a=group:BUNDLE", nil},
		{"no BUNDLE", "a=group:BUNDLE 0 1", "a=tool:x", true, "a=group:BUNDLE", nil},
		{"one mid twice", "a=mid:1", "a=mid:0", true, "a=mid", nil},
		{"a mid that is no token", "a=mid:1", "a=mid:a b", true, "a=mid", nil},
		{"no ufrag", "a=ice-ufrag:abcd", "a=b", true, "a=ice-ufrag", nil},
		{"a short ufrag", "ufrag:abcd", "ufrag:abc", true, "a=ice-ufrag", nil},
		{"a short password", "pwd:0123456789012345678901", "pwd:012345678901234567890", true, "a=ice-pwd", nil},
		{"a long password", "pwd:0", "pwd:" + strings.Repeat("0", 300), true, "a=ice-pwd", nil},
		{"another line in the ufrag", "ufrag:abcd", "ufrag:abcd\x0bef", true, "a=ice-ufrag", nil},
		{"no fingerprint", "a=fingerprint:sha-256", "a=print:sha-256", true, "a=fingerprint", nil},
		{"a weak fingerprint", "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33", "md5 00:11", true, "a=fingerprint", nil},
		{"half a fingerprint", "sha-256 00:11", "sha-256 00", true, "a=fingerprint", nil},
		{"the server is to be the client of DTLS", "setup:actpass", "setup:passive", true, "a=setup", nil},
		{"nobody makes checks", "a=setup", "a=ice-lite\r\na=setup", true, "a=ice-lite", nil},
		{"no rtcp-mux", "a=rtcp-mux\r\na=rtpmap:96", "a=rtpmap:96", true, "a=rtcp-mux", nil},
		{"one payload type for two codecs", "96", "111", true, "a=rtpmap:111", nil},
		{"more layers than there may be", "a=mid:1", "a=mid:1\r\na=rid:a send\r\na=rid:b send\r\na=rid:c send\r\na=rid:d send\r\na=rid:e send", true, "a=rid", nil},
		{"a rid that is none", "a=mid:1", "a=mid:1\r\na=rid:a;b send", true, "a=rid", nil},
		{"no H.264", h264, "96 VP9/90000", true, "H.264", ErrVideoCodec},
		{"H.264 of another profile", "42e01f", "f4001f", true, "H.264", ErrVideoCodec},
		{"H.264 with interleaving", "packetization-mode=1", "packetization-mode=2", true, "H.264", ErrVideoCodec},
		{"no Opus", "111 opus/48000/2", "111 red/48000/2", true, "Opus", ErrAudioCodec},
		{"a publisher that receives", "sendonly", "recvonly", true, "sends", nil},
		{"a subscriber that sends", "", "", false, "receives", nil},
		{"a subscriber without H.264", "sendonly\r\na=rtcp-mux\r\na=rtpmap:" + h264, "recvonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000", false, "H.264", ErrVideoCodec},
		{"other transports", "UDP/TLS/RTP/SAVPF", "RTP/AVP", true, "sends", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.ReplaceAll(base, tt.old, tt.change)
			if tt.old == "" {
				text = base
			} else if text == base {
				t.Fatal("the case changes nothing")
			}
			o, err := parseOffer([]byte(text))
			if err == nil {
				_, err = planOf(o, tt.publish)
			}
			var refusal *resource.Error
			if !errors.As(err, &refusal) || refusal.Kind != resource.Invalid || !strings.Contains(refusal.Msg, tt.says) {
				t.Errorf("error: %v, want one that names %s", err, tt.says)
			}
			if !errors.Is(err, tt.is) && tt.is != nil {
				t.Errorf("error: %v, want %v", err, tt.is)
			}
		})
	}
}

// Offers that look odd and are not refused.
func TestAcceptedOffers(t *testing.T) {
	for _, tt := range []struct {
		name, old, change string
		publish           bool
		want, without     string // of the answer
	}{
		{"lines that end in LF", "\r\n", "\n", true, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", ""},
		{"pictures alone", "m=audio 9", "m=audio 0", true, "a=group:BUNDLE 1\r\n", "opus"},
		{"sound alone", "m=video 9", "m=video 0", true, "a=group:BUNDLE 0\r\n", "H264"},
		{"sound with pictures that never come, of another codec", "1\r\na=sendonly", "1\r\na=inactive", true, "a=group:BUNDLE 0 1\r\n", "TIAS"},
		{"a bundle-only section", "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n", "m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\na=bundle-only\r\n", true, "m=video 9 ", ""},
		{"one who sends both ways", "sendonly", "sendrecv", false, "a=ssrc:2 cname:", ""},
		{"packetization-mode 0", "packetization-mode=1;", "", true, "packetization-mode=0;profile-level-id=42e01f", ""},
		{"H.264 without parameters", "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n", "", true, "profile-level-id=42000a", ""},
		{"Opus as it is offered", "a=rtpmap:0 PCMU/8000", "a=fmtp:111 stereo=1;usedtx=1;x=\"y", true, "a=fmtp:111 usedtx=1;stereo=1\r\n", "\"y"},
		{"header extensions that need two bytes", "a=mid:1", "a=mid:1\r\na=extmap:15 " + extOrientation, true, "", extOrientation},
		{"a subscriber of both", "sendonly", "recvonly", false, "a=ssrc:2 cname:", "a=ssrc:3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(answerOf(t, []byte(strings.ReplaceAll(base, tt.old, tt.change)), tt.publish))
			if !strings.Contains(got, tt.want) || tt.without != "" && strings.Contains(got, tt.without) {
				t.Errorf("answer has not %q, or has %q:\n%s", tt.want, tt.without, got)
			}
		})
	}
}

// Whatever is offered is answered or refused, in time; what is answered can be read
// by others, and keeps to the sections of the offer.
func FuzzOffer(f *testing.F) {
	offers, _ := filepath.Glob("testdata/offers/*.sdp")
	for _, path := range offers {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, strings.HasSuffix(path, "-publish.sdp"))
	}
	f.Add([]byte(base), true)
	f.Fuzz(func(t *testing.T, text []byte, publish bool) {
		began := time.Now()
		o, err := parseOffer(text)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		a, err := planOf(o, publish)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		answer := a.text(1, "a=ice-ufrag:abcd\r\n")
		var d sdp.SessionDescription
		if err := d.Unmarshal(answer); err != nil {
			t.Fatalf("answer: %v\n%s", err, answer)
		}
		if len(d.MediaDescriptions) != len(o.sections) {
			t.Fatalf("%d sections for %d\n%s", len(d.MediaDescriptions), len(o.sections), answer)
		}
		for i, m := range d.MediaDescriptions {
			if m.MediaName.Media != o.sections[i].media {
				t.Fatalf("section %d is %s, offered %s", i, m.MediaName.Media, o.sections[i].media)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *resource.Error
	if !errors.As(err, &refusal) || refusal.Kind != resource.Invalid {
		t.Fatalf("refused by %v", err)
	}
}

// An offer at its bounds is read in little time and memory.
func BenchmarkLargestOffer(b *testing.B) {
	text := base
	for i := 0; len(text) < maxOffer-100 && strings.Count(text, "\n") < maxLines-1; i++ {
		text += fmt.Sprintf("a=rtcp-fb:* x%d\r\n", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseOffer([]byte(text)); err != nil {
			b.Fatal(err)
		}
	}
}
