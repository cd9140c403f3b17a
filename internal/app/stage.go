package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"anabranch/internal/api/realtime"
	"anabranch/internal/auth"
	"anabranch/internal/capture"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
	"anabranch/internal/signaling"
	"anabranch/internal/stage"
)

// stages are the parts that make real-time rooms.
type stages struct {
	endpoints resource.StageEndpoints
	tokens    *auth.ParticipantTokens
	engine    *rtc.Engine
	captures  *capture.Manager
	rooms     *stage.Manager
	signaling *signaling.Server
}

// assembleStages makes the parts of stages. Participants' tokens are signed with
// a key made of secret. released is told of each connection that an events
// socket has taken from the HTTP server, when it is closed.
func (s *server) assembleStages(ctx context.Context, secret []byte, released func()) (err error) {
	s.stages.endpoints = stageEndpoints(&s.cfg, s.endpoints, s.publicURL)
	s.stages.tokens = auth.NewParticipantTokens(secret, func() (string, string) {
		return s.stages.endpoints.Events, s.stages.endpoints.WHIP
	})
	if s.stages.engine, err = rtc.New(rtc.Config{
		UDP: s.sockets.webrtcUDP, TCP: s.sockets.webrtcTCP, Hosts: s.cfg.WebRTCHosts, Log: s.log,
	}); err != nil {
		return fmt.Errorf("--webrtc-addr, --webrtc-hosts: %w", err)
	}
	s.stages.captures = capture.NewManager(capture.Config{Recorder: s.recorder, Transcoder: s.transcoder, Log: s.log})
	if s.stages.rooms, err = stage.NewManager(ctx, stage.Config{
		Engine: stage.Media(s.stages.engine), Ledger: s.store, Tokens: s.stages.tokens, Limits: publishLimits(&s.cfg),
		Recorder: s.stages.captures, Log: s.log,
	}); err != nil {
		return err
	}
	s.stages.signaling = signaling.New(signaling.Config{
		Rooms: rooms{s.stages.rooms}, PublicURL: s.publicURL, TURN: signaling.TURN{URLs: s.cfg.TURNURLs, Secret: s.cfg.TURNSecret},
		MaxSockets: int(maxConnections() / 2), SocketClosed: released, Log: s.log,
	})
	return nil
}

// rooms is a [stage.Manager] as signaling wants one.
type rooms struct{ *stage.Manager }

func (r rooms) Listen(ctx context.Context, token, stageID string, from stage.Client) (signaling.Listener, error) {
	l, err := r.Manager.Listen(ctx, token, stageID, from)
	if err != nil {
		return nil, err // not a Listener that is a nil pointer
	}
	return l, nil
}

// stageEndpoints are where a stage's participants and encoders connect to.
func stageEndpoints(cfg *Config, e Endpoints, publicURL string) resource.StageEndpoints {
	base, _ := url.Parse(publicURL) // it was checked
	base.Scheme = strings.Replace(base.Scheme, "http", "ws", 1)
	ingest := func(scheme, addr string) string {
		_, port, _ := net.SplitHostPort(addr)
		return scheme + "://" + net.JoinHostPort(cfg.PublicHost, port) + "/app/"
	}
	return resource.StageEndpoints{
		Events: base.String() + "/events", WHIP: publicURL + "/whip",
		RTMP: ingest("rtmp", e.RTMP), RTMPS: ingest("rtmps", e.RTMPS),
	}
}

// maxPublishBitrate is what one participant may publish on IVS, in bit/s.
const maxPublishBitrate = 8_500_000

// publishLimits are what one participant may publish.
func publishLimits(cfg *Config) rtc.Limits {
	limits := rtc.Limits{Bitrate: maxPublishBitrate, Width: 1280, Height: 720}
	if cfg.StageMaxResolution == "1080p" {
		limits.Width, limits.Height = 1920, 1080
	}
	return limits
}

// stageOperations are the API's operations on stages.
func (s *server) stageOperations(sealer *auth.Sealer) realtime.Config {
	return realtime.Config{
		Place: s.place, Endpoints: s.stages.endpoints, Store: s.store, Rooms: s.stages.rooms, Tokens: s.stages.tokens,
		Buckets: s.objects, Sealer: sealer,
	}
}

// startStages starts the parts of stages: rooms end before the engine whose
// sessions they have, and what asks for rooms before these. What was published is
// captured, so the captures outlive the rooms, and the recorder outlives both.
func (s *server) startStages(p *parts) {
	p.start("captures", s.stages.captures.Run)
	p.start("WebRTC", s.stages.engine.Run)
	p.start("stages", s.stages.rooms.Run)
	p.start("events sockets", s.stages.signaling.Run)
}
