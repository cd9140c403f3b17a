package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// peer is one WebRTC connection to the server, by pion.
type peer struct {
	*webrtc.PeerConnection
	t         testing.TB
	guest     *guest
	connected chan struct{}  // closed when media can flow
	gone      chan struct{}  // closed when the connection is closed or has failed
	socket    net.PacketConn // nil where pion makes one itself
	tap       *tappedSocket  // the same, if it is tapped
	answer    *whipAnswer
}

// peerOptions say what kind of client it is. The zero value is one that has
// every kind of feedback.
type peerOptions struct {
	lean     bool                   // no feedback but NACK: for loads
	insists  bool                   // asks for five seconds for what is lost, not for one
	deaf     bool                   // no feedback at all
	network  webrtc.NetworkType     // UDP over IPv4 when not given
	drop     func(*rtp.Header) bool // which packets get lost on their way to it
	kinds    []string               // what it sends or wants; video and audio when not given
	layers   []scene                // of simulcast, from the best on
	keep     bool                   // payloads that come
	tapped   bool                   // keeps what it sends
	mildly   bool                   // posts its offer before it has candidates
	defaults bool                   // offers every codec that pion knows
	relay    *badNetwork            // the way its packets take
}

func (o peerOptions) wants() []string {
	if o.kinds == nil {
		return []string{"audio", "video"}
	}
	return o.kinds
}

// opus and h264 are what peers can do. Sound may be asked for again, too.
var (
	opus = webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}}}}
	h264 = webrtc.RTPCodecParameters{PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}}}
	h264RTX = webrtc.RTPCodecParameters{PayloadType: 103, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=102"}}
)

// peerCertificate is that of all peers: they are many.
var peerCertificate = sync.OnceValues(func() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return webrtc.GenerateCertificate(key)
})

// newPeer makes a connection that ends with the test.
func (g *guest) newPeer(o peerOptions) (*peer, error) {
	engine := &webrtc.MediaEngine{}
	if o.defaults {
		if err := engine.RegisterDefaultCodecs(); err != nil {
			return nil, err
		}
	} else if err := errors.Join(engine.RegisterCodec(opus, webrtc.RTPCodecTypeAudio),
		engine.RegisterCodec(h264, webrtc.RTPCodecTypeVideo), engine.RegisterCodec(h264RTX, webrtc.RTPCodecTypeVideo)); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{LoggerFactory: logging.NewDefaultLoggerFactory()}
	settings.LoggerFactory.(*logging.DefaultLoggerFactory).DefaultLogLevel = logging.LogLevelDisabled
	around := &interceptor.Registry{}
	if o.drop != nil {
		around.Add(dropFactory(o.drop))
		settings.DisableSRTPReplayProtection(true) // what is dropped has been decrypted
	}
	// pion does not notice what came by RTX and would ask for it again and again.
	// Ten times are a second, which a busy machine can sleep through.
	most := uint16(10)
	if o.insists {
		most = 50
	}
	asks := []nack.GeneratorOption{nack.GeneratorMaxNacksPerPacket(most)}
	var err error
	switch {
	case o.deaf:
	case o.lean:
		err = webrtc.ConfigureNackWithOptions(engine, around, asks)
	default:
		err = webrtc.RegisterDefaultInterceptorsWithOptions(engine, around, webrtc.WithNackGeneratorOptions(asks...))
	}
	if err != nil {
		return nil, err
	}
	network := o.network
	if network == 0 {
		network = webrtc.NetworkTypeUDP4
	}
	settings.SetNetworkTypes([]webrtc.NetworkType{network})
	p := &peer{t: g.t, guest: g, connected: make(chan struct{}), gone: make(chan struct{})}
	if loopback := map[webrtc.NetworkType]string{webrtc.NetworkTypeUDP4: "127.0.0.1:0", webrtc.NetworkTypeUDP6: "[::1]:0"}[network]; loopback != "" {
		if p.socket, err = net.ListenPacket("udp", loopback); err != nil {
			return nil, err
		}
		if o.tapped {
			p.tap = &tappedSocket{PacketConn: p.socket}
			p.socket = p.tap
		}
		settings.SetICEUDPMux(webrtc.NewICEUDPMux(settings.LoggerFactory.NewLogger("mux"), p.socket))
	}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(net.IP.IsLoopback)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	certificate, err := peerCertificate()
	if err != nil {
		return nil, err
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(around), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{*certificate}})
	if err != nil {
		return nil, err
	}
	p.PeerConnection = pc
	connected, gone := sync.OnceFunc(func() { close(p.connected) }), sync.OnceFunc(func() { close(p.gone) })
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			connected()
		case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed:
			gone()
		}
	})
	g.t.Cleanup(p.close)
	return p, nil
}

// close ends the connection as a tab that is closed does: DTLS says so.
func (p *peer) close() {
	p.Close()
	if p.socket != nil {
		p.socket.Close()
	}
}

// vanish ends the connection without a word to the server.
func (p *peer) vanish() {
	p.socket.Close()
	p.Close()
}

// negotiate posts the peer's offer, with its candidates unless it is to be
// mild, and takes the answer.
func (p *peer) negotiate(address string, o peerOptions) error {
	offer, err := p.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(p.PeerConnection)
	if err := p.SetLocalDescription(offer); err != nil {
		return err
	}
	if !o.mildly {
		<-gathered
		offer = *p.LocalDescription()
	}
	if p.answer, err = p.guest.offer(address, offer.SDP); err != nil {
		return err
	}
	answer := p.answer.body
	if o.relay != nil {
		answer = o.relay.instead(answer)
	}
	return p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

// waitConnected waits until media can flow.
func (p *peer) waitConnected() error {
	select {
	case <-p.connected:
		return nil
	case <-p.gone:
		return errors.New("the connection failed")
	case <-time.After(30 * time.Second):
		return fmt.Errorf("not connected within 30 s: %v", p.ConnectionState())
	}
}

// waitGone waits until the server has ended the connection.
func (p *peer) waitGone(limit time.Duration) {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(limit):
		p.t.Fatalf("the connection of %s is %v after %v", p.guest.id, p.ConnectionState(), limit)
	}
}

// hasGone says whether the connection has ended.
func (p *peer) hasGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// hangUp ends the session as WHIP has it.
func (p *peer) hangUp() {
	p.t.Helper()
	a, err := call(p.t, http.MethodDelete, p.answer.location, p.guest.token, "", "")
	if err != nil || a.status != http.StatusOK {
		p.t.Fatalf("DELETE: %v, %v", a, err)
	}
	p.close()
}

// dropFactory loses packets before anything else sees them, as a network would.
type dropFactory func(*rtp.Header) bool

func (f dropFactory) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &dropper{drop: f}, nil
}

type dropper struct {
	interceptor.NoOp
	drop func(*rtp.Header) bool
}

func (d *dropper) BindRemoteStream(_ *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			n, attributes, err := next.Read(b, a)
			var h rtp.Header
			if err == nil {
				if _, bad := h.Unmarshal(b[:n]); bad == nil && d.drop(&h) {
					continue
				}
			}
			return n, attributes, err
		}
	})
}

// tappedSocket keeps the first thousands of packets that leave it.
type tappedSocket struct {
	net.PacketConn

	mu   sync.Mutex // guards sent
	sent [][]byte
}

func (s *tappedSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.mu.Lock()
	if len(s.sent) < 3000 {
		s.sent = append(s.sent, slices.Clone(b))
	}
	s.mu.Unlock()
	return s.PacketConn.WriteTo(b, to)
}

// list is what has been sent.
func (s *tappedSocket) list() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}
