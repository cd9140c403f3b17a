package rtc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// patience is how long a test waits for what must happen; it is never waited for what
// must not.
const patience = 20 * time.Second

// listen runs an engine on loopback until the test ends.
func listen(t *testing.T, change func(*Config)) *Engine {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{UDP: udp, TCP: tcp}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return e
}

// client is a WebRTC client: pion's.
type client struct {
	*webrtc.PeerConnection
	t        *testing.T
	tracks   chan *webrtc.TrackRemote
	gathered <-chan struct{}
}

func dial(t *testing.T, change func(*webrtc.SettingEngine)) *client {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if change != nil {
		change(&settings)
	}
	codecs := &webrtc.MediaEngine{}
	if err := codecs.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(codecs, registry); err != nil {
		t.Fatal(err)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(codecs), webrtc.WithInterceptorRegistry(registry))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	c := &client{PeerConnection: pc, t: t, tracks: make(chan *webrtc.TrackRemote, 8)}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.tracks <- track })
	return c
}

// offer is the client's offer, with all its candidates.
func (c *client) offer() []byte {
	c.t.Helper()
	c.gathered = webrtc.GatheringCompletePromise(c.PeerConnection)
	offer, err := c.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.SetLocalDescription(offer); err != nil {
		c.t.Fatal(err)
	}
	<-c.gathered
	return []byte(c.LocalDescription().SDP)
}

func (c *client) answer(text []byte) {
	c.t.Helper()
	if err := c.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(text)}); err != nil {
		c.t.Fatalf("the client refuses the answer: %v\n%s", err, text)
	}
}

// sends adds a track to send.
func (c *client) sends(mime string) *webrtc.TrackLocalStaticRTP {
	c.t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, mime, "s")
	if err != nil {
		c.t.Fatal(err)
	}
	sender, err := c.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		c.t.Fatal(err)
	}
	go func() { // what comes back has to be read
		b := make([]byte, 1500)
		for {
			if _, _, err := sender.Sender().Read(b); err != nil {
				return
			}
		}
	}()
	return track
}

func (c *client) receives(kinds ...webrtc.RTPCodecType) {
	c.t.Helper()
	for _, k := range kinds {
		if _, err := c.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			c.t.Fatal(err)
		}
	}
}

func wait[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
	}
	panic("not reached")
}

// feed writes pictures and sound to the tracks, fast, until stopped; every picture is
// a key frame.
func feed(t *testing.T, pictures, sound *webrtc.TrackLocalStaticRTP) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var v, a uint16
		for n := uint32(0); ; n++ {
			if pictures != nil {
				for i, payload := range [][]byte{sps["1280x720"], idr} {
					_ = pictures.WriteRTP(&rtp.Packet{
						Header:  rtp.Header{Version: 2, SequenceNumber: v, Timestamp: n * 450, Marker: i == 1},
						Payload: payload,
					})
					v++
				}
			}
			if sound != nil {
				_ = sound.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: a, Timestamp: n * 240}, Payload: []byte("sound")})
				a++
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

func newSource(t *testing.T) *Source {
	src := NewSource()
	t.Cleanup(src.Close)
	return src
}

// What one publishes the other sees and hears, over UDP and over TCP.
func TestMediaReachesSubscriber(t *testing.T) {
	for name, network := range map[string]webrtc.NetworkType{"UDP": webrtc.NetworkTypeUDP4, "TCP": webrtc.NetworkTypeTCP4} {
		t.Run(name, func(t *testing.T) {
			e, src := listen(t, nil), newSource(t)
			pub := dial(t, nil)
			pictures, sound := pub.sends(webrtc.MimeTypeH264), pub.sends(webrtc.MimeTypeOpus)
			in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			pub.answer(answer)
			wait(t, "publisher connected", in.Connected())
			feed(t, pictures, sound)
			wait(t, "media flows", in.Flowing())

			sub := dial(t, func(s *webrtc.SettingEngine) { s.SetNetworkTypes([]webrtc.NetworkType{network}) })
			sub.receives(webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio)
			out, answer, err := e.Subscribe(t.Context(), sub.offer(), src)
			if err != nil {
				t.Fatal(err)
			}
			sub.answer(answer)
			wait(t, "subscriber connected", out.Connected())
			if got := out.path.Load(); (got.tcp != nil) != (name == "TCP") {
				t.Errorf("connected over %+v", got)
			}
			seen := map[webrtc.RTPCodecType]bool{}
			for range 2 {
				track := wait(t, "a track", sub.tracks)
				p, _, err := track.ReadRTP()
				if err != nil {
					t.Fatal(err)
				}
				want := []byte("sound")
				if track.Kind() == webrtc.RTPCodecTypeVideo {
					want = sps["1280x720"]
				}
				if !bytes.Equal(p.Payload, want) {
					t.Errorf("%s: first payload %x, want %x", track.Kind(), p.Payload, want)
				}
				seen[track.Kind()] = true
			}
			if len(seen) != 2 {
				t.Errorf("kinds: %v", seen)
			}
			if st := in.Stats(); st.Video.Width != 1280 || st.Video.Packets == 0 || st.Audio.Packets == 0 {
				t.Errorf("publisher's stats: %+v", st)
			}

			if err := sub.Close(); err != nil {
				t.Fatal(err)
			}
			if name == "TCP" { // what pion has queued ends with its connection, perhaps its last word
				out.Close(ErrHungUp)
			}
			wait(t, "subscriber's end", out.Done())
			if !errors.Is(out.Err(), ErrHungUp) {
				t.Errorf("subscriber ended: %v", out.Err())
			}
			in.Close(nil)
			wait(t, "publisher's end", in.Done())
			if in.Err() != nil {
				t.Errorf("publisher ended: %v", in.Err())
			}
			closed := make(chan struct{})
			pub.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
				if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed {
					select {
					case <-closed:
					default:
						close(closed)
					}
				}
			})
			if s := pub.ConnectionState(); s != webrtc.PeerConnectionStateClosed {
				wait(t, "publisher told", closed)
			}
		})
	}
}
