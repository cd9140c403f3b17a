package rtc

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
)

// Who has another certificate than the offer's is not let in, whatever else it knows.
func TestForeignCertificate(t *testing.T) {
	e := listen(t, nil)
	pub := dial(t, nil)
	pub.sends(webrtc.MimeTypeOpus)
	offer := string(pub.offer())
	print := linesWith(offer, "a=fingerprint:sha-256 ")
	other := strings.Map(func(r rune) rune {
		if r == '0' {
			return '1'
		}
		return r
	}, print)
	if other == print {
		other = strings.Replace(print, "A", "B", 1)
	}
	in, answer, err := e.Publish(t.Context(), []byte(strings.ReplaceAll(offer, print, other)), newSource(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	wait(t, "the end", in.Done())
	if !errors.Is(in.Err(), ErrNeverConnected) {
		t.Errorf("ended by %v", in.Err())
	}
	select {
	case <-in.Connected():
		t.Error("connected")
	default:
	}
}

// Clients that know one protection profile alone are served by that. AES-GCM is not
// used where packets may go out twice.
func TestProtectionProfiles(t *testing.T) {
	for _, tt := range []struct {
		name     string
		profiles []dtls.SRTPProtectionProfile
		rtx      bool
		want     srtp.ProtectionProfile
	}{
		{"GCM where it is known", []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM}, true, srtp.ProtectionProfileAeadAes128Gcm},
		{"AES-CM alone", []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}, true, srtp.ProtectionProfileAes128CmHmacSha1_80},
		{"repairs without RTX", nil, false, srtp.ProtectionProfileAes128CmHmacSha1_80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := listen(t, nil)
			pub := dial(t, func(s *webrtc.SettingEngine) {
				if tt.profiles != nil {
					s.SetSRTPProtectionProfiles(tt.profiles...)
				}
			})
			pub.sends(webrtc.MimeTypeH264)
			offer := string(pub.offer())
			if !tt.rtx {
				offer = strings.ReplaceAll(offer, " rtx/90000", " x/90000")
			}
			s, answer, err := e.Publish(t.Context(), []byte(offer), newSource(t), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			pub.answer(answer)
			wait(t, "connected", s.Connected())
			s.dtls.mu.Lock()
			got, _ := s.dtls.conn.SelectedSRTPProtectionProfile()
			s.dtls.mu.Unlock()
			if srtp.ProtectionProfile(got) != tt.want {
				t.Errorf("profile %v, want %v", got, tt.want)
			}
		})
	}
}

// Once DTLS is through, what comes in the clear is not believed, wherever it comes
// from: not that the client hung up, and nothing that is no record.
func TestRecordsInTheClear(t *testing.T) {
	e := listen(t, nil)
	_, s := onAir(t, e, newSource(t), nil)
	for i, b := range [][]byte{
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 1, 0, 2, 2, 40}, // a fatal alert
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 2, 0, 2, 1, 0},  // close_notify
		{63, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 3, 0, 2, 1, 0},
		{22, 1},
	} {
		e.packet(*s.path.Load(), b, time.Now())
		for before := s.Stats().Audio.Packets; s.Stats().Audio.Packets < before+10; {
			select {
			case <-s.Done():
				t.Fatalf("record %d ended the session: %v", i, s.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

func TestEncrypted(t *testing.T) {
	clear := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 5, 0, 2, 1, 2}
	secret := []byte{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7}
	for _, tt := range []struct{ in, want []byte }{
		{nil, nil}, {clear, nil}, {secret, secret},
		{slices.Concat(clear, secret, clear, secret), slices.Concat(secret, secret)},
		{slices.Concat(secret, clear[:14]), secret}, {secret[:13], nil}, {secret[:12], nil},
	} {
		if got := encrypted(slices.Clone(tt.in)); !bytes.Equal(got, tt.want) {
			t.Errorf("of %x there is left %x, want %x", tt.in, got, tt.want)
		}
	}
}

// forgetful loses the server's first last flight of each handshake.
type forgetful struct {
	*net.UDPConn
	lost atomic.Bool
}

func (f *forgetful) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > 0 && b[0] == 20 && !f.lost.Swap(true) { // ChangeCipherSpec
		return len(b), nil
	}
	return f.UDPConn.WriteToUDPAddrPort(b, to)
}

// The server is through when its last flight is sent. When that is lost, the client's
// repetition of its own, half of it in the clear, brings it again.
func TestLastFlightIsRepeated(t *testing.T) {
	network := &forgetful{}
	e := listen(t, func(c *Config) {
		network.UDPConn = c.UDP.(*net.UDPConn)
		c.UDP = network
	})
	onAir(t, e, newSource(t), nil)
	if !network.lost.Load() {
		t.Error("nothing was lost")
	}
}
