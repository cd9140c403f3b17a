package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/api/lowlatency"
	"anabranch/internal/api/realtime"
	"anabranch/internal/api/recordings"
	"anabranch/internal/api/tags"
	"anabranch/internal/auth"
	"anabranch/internal/broadcast"
	"anabranch/internal/console"
	"anabranch/internal/disk"
	"anabranch/internal/ingest"
	"anabranch/internal/media"
	"anabranch/internal/objectstore"
	"anabranch/internal/playback"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/store"
	"anabranch/internal/transcode"
)

// Run runs a server until ctx ends, then finishes what is in flight, within
// seconds, and returns nil. An error is a setting's, or that of a part that
// could not start or go on.
func Run(ctx context.Context, cfg Config) error {
	err := serve(ctx, cfg, newLogger(os.Stderr, cfg.LogFormat, cfg.LogLevel), func(*server) {})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop while it started
	}
	return err
}

// server is a running server.
type server struct {
	cfg         Config // prepared
	log         *slog.Logger
	dir         *dataDir
	keys        *keyring
	credentials credentials // of whoever runs the server
	s3Account   credentials // the server's own with the embedded S3 endpoint
	place       resource.Place
	sockets     listeners
	endpoints   Endpoints
	publicURL   string

	store      *store.Store
	objects    *objectstore.Client
	stills     *transcode.Stills
	recorder   *recorder.Recorder
	checker    *recorder.Checker
	transcoder *transcode.Transcoder
	channels   *broadcast.Manager
	gate       *playback.Gate
	views      *playback.Views
	// countries is nil without --geo-db.
	countries *playback.Countries
	rtmp      *ingest.RTMPServer
	stages    stages
	tlsPort   *tlsPort
	http      *http.Server
	admin     *admin
}

// serve is Run, with a callback for when the server is ready.
func serve(ctx context.Context, cfg Config, log *slog.Logger, ready func(*server)) (err error) {
	if err := cfg.prepare(); err != nil {
		return err
	}
	s := &server{cfg: cfg, log: log, place: resource.Place{Region: cfg.Region, Account: cfg.AccountID}}
	if s.dir, err = openDataDir(cfg.DataDir); err != nil {
		return err
	}
	defer s.dir.Close()
	if err := s.removeEndpoints(); err != nil { // those of a server that was killed
		return err
	}
	if s.sockets, err = listen(&cfg); err != nil {
		return err
	}
	defer s.sockets.close()
	s.endpoints = s.sockets.endpoints()
	s.endpoints.Region = cfg.Region
	s.publicURL = publicURL(&cfg, s.endpoints)
	if s.store, err = store.Open(ctx, store.Config{
		Path: s.dir.file("anabranch.db"), Quotas: cfg.Limits.quotas(), Log: log,
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	if err := s.assemble(ctx); err != nil {
		return err
	}

	p := newParts(ctx)
	s.start(p)
	if p.ctx.Err() == nil {
		err = s.announce()
	}
	if err == nil && p.ctx.Err() == nil {
		ready(s)
		p.wait()
	}
	s.admin.ready.Store(false)
	log.Info("stopping", "cause", context.Cause(p.ctx))
	return errors.Join(err, s.removeEndpoints(), p.stop())
}

// assemble makes every part of those it leans on. None runs yet.
func (s *server) assemble(ctx context.Context) (err error) {
	if s.keys, err = openKeyring(s.dir, &s.cfg, s.log); err != nil {
		return err
	}
	s.credentials = s.keys.own
	s.s3Account = newS3Account()
	key, err := openSecretKey(s.dir)
	if err != nil {
		return err
	}
	sealer := auth.NewSealer(key)
	cert, err := openCertificate(s.dir, &s.cfg, s.log)
	if err != nil {
		return err
	}
	s.admin = newAdmin()
	if s.objects, err = objectstore.New(ctx, s.objectStore()); err != nil {
		return err
	}
	spoolMax, err := s.spoolMax()
	if err != nil {
		return err
	}
	s.stills = transcode.NewStills(s.cfg.FFmpeg, s.log)
	if s.recorder, err = recorder.Open(ctx, recorder.Config{
		Dir: s.dir.file("spool"), FS: disk.OS, SpoolMax: spoolMax, Objects: s.objects, Ledger: s.store, Place: s.place,
		Stills: s.stills, Log: s.log,
	}); err != nil {
		return err
	}
	s.transcoder = transcode.New(transcodeConfig(&s.cfg, s.log))
	s.checker = &recorder.Checker{Store: s.store, Objects: s.objects, Log: s.log}
	if s.channels, err = broadcast.NewManager(ctx, broadcast.Config{
		Dir: s.dir.file("live"), Grace: s.cfg.LiveGrace, MaxStreams: s.cfg.Limits.quotas().ConcurrentStreams,
		MediaBase: playback.MediaBase, SisterURI: playback.SisterURI,
		Transcode: transcoder{s.transcoder}, RefuseOverflow: s.cfg.TranscodeOverflow == "refuse",
		Place: s.place, Sessions: s.store, Recorder: s.recorder, Log: s.log,
	}); err != nil {
		return err
	}
	s.rtmp = ingest.NewRTMPServer(ingest.RTMPConfig{Publish: ingest.Into(s.channels), Log: s.log})
	s.tlsPort = newTLSPort(s.sockets.rtmps, cert, func(ctx context.Context, conn net.Conn) {
		s.rtmp.ServeConn(ctx, conn, true)
	}, s.log)
	if s.gate, err = playback.OpenGate(ctx, s.store, s.log); err != nil {
		return err
	}
	if s.cfg.GeoDB != "" {
		if s.countries, err = playback.OpenCountries(s.cfg.GeoDB, s.log); err != nil {
			return fmt.Errorf("--geo-db: %w", err)
		}
	}
	conns := &connections{most: maxConnections()}
	if err := s.assembleStages(ctx, key, conns.released); err != nil {
		return err
	}
	handler, err := s.handler(sealer)
	if err != nil {
		return err
	}
	s.http = httpServer(tellTLS(handler), conns, s.log)
	return nil
}

// transcoder is a [transcode.Transcoder] as broadcasts want one.
type transcoder struct{ *transcode.Transcoder }

func (t transcoder) Start(in media.Params, rungs []transcode.Rung, log *slog.Logger, out transcode.Output) broadcast.Transcoding {
	return t.Transcoder.Start(in, rungs, log, out)
}

// objectStore says where recordings go: to the endpoint of the settings, else
// to the embedded one.
func (s *server) objectStore() objectstore.Config {
	if s.cfg.S3Endpoint == "" {
		return objectstore.Config{
			Endpoint: "http://" + s.endpoints.S3, Region: s.cfg.Region, PathStyle: true, Root: s.dir.file("buckets"),
			AccessKeyID: s.s3Account.accessKeyID, SecretAccessKey: s.s3Account.secretAccessKey,
		}
	}
	u, _ := url.Parse(s.cfg.S3Endpoint) // it was checked
	return objectstore.Config{
		Endpoint: s.cfg.S3Endpoint,
		Region:   cmp.Or(s.cfg.S3Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), s.cfg.Region),
		// AWS alone has a host name for each bucket everywhere.
		PathStyle: !strings.HasSuffix(u.Hostname(), ".amazonaws.com"),
	}
}

// handler divides the paths of the HTTP port: what players and browsers ask
// for is named, the rest is the API's.
func (s *server) handler(sealer *auth.Sealer) (http.Handler, error) {
	playbackPath := func(channelID string) string { return playback.Path(s.place, channelID) }
	mux := http.NewServeMux()
	player := playback.New(playback.Config{
		Place: s.place, Channels: s.channels, Gate: s.gate, Sealer: sealer, Posters: s.recorder,
		Countries: s.countries, TrustedProxies: s.cfg.TrustedProxies, Log: s.log,
	})
	player.Register(mux)
	s.views = player.Views
	_, tlsPort, _ := net.SplitHostPort(s.endpoints.RTMPS)
	pages, err := console.New(console.Config{PlaybackPath: playbackPath, Region: s.cfg.Region, HTTPSPort: tlsPort})
	if err != nil {
		return nil, err
	}
	pages.Register(mux)
	shelf := recordings.New(recordings.Config{
		Place: s.place, PublicURL: s.publicURL, Public: s.cfg.PublicRecordings,
		Store: s.store, Spool: s.recorder, Objects: s.objects, Sealer: sealer, Log: s.log,
	})
	shelf.Register(mux)
	s.stages.signaling.Register(mux)
	operations := api.New(api.Config{
		Signatures: &auth.SigV4{Region: s.cfg.Region, Service: "ivs", Secret: s.keys.secret},
		Log:        s.log, Rates: s.cfg.Limits.rates(),
		Services: []api.Service{lowlatency.Service(lowlatency.Config{
			Place: s.place,
			Endpoints: lowlatency.Endpoints{
				IngestHost: s.cfg.PublicHost, SRTHost: s.cfg.PublicHost,
				PlaybackURL: func(channelID string) string { return s.publicURL + playbackPath(channelID) },
			},
			Store: gatedStore{s.store, s.gate}, OnAir: onAir{s.channels, s.views}, Sealer: sealer, ConfigurationCreated: s.checker.Poke,
		}), tags.Service(s.store), realtime.Service(s.stageOperations(sealer)), shelf.Service()},
	})
	mux.Handle("/", operations)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Paths with empty or dot segments are nobody's. The mux would redirect to
		// another, for which no signature was made.
		if clean := path.Clean(r.URL.Path); clean == r.URL.Path || clean+"/" == r.URL.Path {
			mux.ServeHTTP(w, r)
		} else {
			operations.ServeHTTP(w, r)
		}
	}), nil
}

// onAir is what the API asks of the channels on air.
type onAir struct {
	*broadcast.Manager
	views *playback.Views
}

func (o onAir) Viewers(channel resource.ARN) int { return o.views.Viewers(channel) }

// start starts the parts, each after those it leans on. The end of a broadcast
// is told to its publisher, so RTMP outlives the broadcasts; what it has sent
// is recorded, so the recorder outlives both.
func (s *server) start(p *parts) {
	p.start("admin endpoint", func(ctx context.Context) error {
		return serveHTTP(ctx, httpServer(s.admin, &connections{most: maxConnections()}, s.log), s.sockets.admin)
	})
	if s.sockets.s3 != nil {
		s.startObjectStore(p)
	}
	p.start("thumbnails", s.stills.Run)
	p.start("recorder", s.recorder.Run)
	p.start("check of buckets", s.checker.Run)
	p.start("janitor", s.janitor)
	p.start("RTMP", func(ctx context.Context) error { return s.rtmp.Run(ctx, s.sockets.rtmp) })
	p.start("TLS port", s.tlsPort.Run)
	p.start("check of ffmpeg", s.checkTranscoder)
	p.start("broadcasts", s.channels.Run)
	p.start("count of views", s.views.Run)
	p.start("who may watch", s.gate.Run)
	if s.countries != nil {
		p.start("countries", s.countries.Run)
	}
	s.startStages(p)
	p.start("HTTP", func(ctx context.Context) error {
		return serveHTTP(ctx, s.http, s.sockets.http, s.tlsPort.HTTP())
	})
}

// checkTranscoder says when there is no ffmpeg, or it does not transcode, and what
// is missing then. Nobody waits for that: a server that starts has publishers who
// are about to come back.
func (s *server) checkTranscoder(ctx context.Context) error {
	if _, err := exec.LookPath(s.cfg.FFmpeg); err != nil {
		s.log.Error("participants are recorded without sound, and nothing has thumbnails", "error", err)
	}
	if s.transcoder.Capacity() > 0 {
		if err := s.transcoder.Check(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("nothing is transcoded: every channel delivers its source alone", "error", err)
		}
	}
	<-ctx.Done()
	return nil
}

// startObjectStore starts the embedded S3 endpoint and returns when it answers.
func (s *server) startObjectStore(p *parts) {
	answers := make(chan struct{})
	p.start("S3 endpoint", func(ctx context.Context) error {
		return objectstore.Serve(ctx, objectstore.ServeConfig{
			Listener: s.sockets.s3, Dir: s.dir.file("buckets"), Region: s.cfg.Region,
			AccessKeyID: s.s3Account.accessKeyID, SecretAccessKey: s.s3Account.secretAccessKey, Secret: s.keys.secret,
			PublicRecordings: s.cfg.PublicRecordings,
			Ready:            func() { close(answers) },
			Log:              s.log,
		})
	})
	select {
	case <-answers:
	case <-p.ctx.Done():
	}
}

// announce says that the server is ready, and where.
func (s *server) announce() error {
	if err := s.dir.write(endpointsFile, s.endpoints.json()); err != nil {
		return err
	}
	s.admin.ready.Store(true)
	e := s.endpoints
	s.log.Info("ready", "http", e.HTTP, "rtmp", e.RTMP, "rtmps", e.RTMPS, "webrtc", e.WebRTC, "s3", cmp.Or(e.S3, s.cfg.S3Endpoint), "admin", e.Admin,
		"data", s.dir.path, "version", Version())
	if s.credentials.file != "" {
		use := fmt.Sprintf("export AWS_SHARED_CREDENTIALS_FILE=%s AWS_REGION=%s AWS_DEFAULT_REGION=%[2]s AWS_ENDPOINT_URL_IVS=http://%[3]s AWS_ENDPOINT_URL_IVS_REALTIME=http://%[3]s",
			s.credentials.file, s.cfg.Region, e.HTTP)
		if e.S3 != "" {
			use += " AWS_ENDPOINT_URL_S3=http://" + e.S3
		}
		if profile := s.credentials.profile; profile != "default" {
			use += " AWS_PROFILE=" + profile
		}
		s.log.Info("to use the AWS CLI and SDKs: "+use, "then", "aws ivs list-channels")
	}
	return nil
}

func (s *server) removeEndpoints() error {
	if err := os.RemoveAll(s.dir.file(endpointsFile)); err != nil {
		return fmt.Errorf("remove addresses in use: %w", err)
	}
	return nil
}

// sessionsKept is how long the sessions of channels and stages are kept, as on
// AWS those of channels are.
const sessionsKept = 60 * 24 * time.Hour

// janitor removes what is old, once a day.
func (s *server) janitor(ctx context.Context) error {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		now := time.Now()
		s.remove(ctx, "old stream sessions", s.store.DeleteOldSessions, now.Add(-sessionsKept))
		s.remove(ctx, "old stage sessions", s.store.DeleteOldStageSessions, now.Add(-sessionsKept))
		s.remove(ctx, "disconnected participants whose tokens have expired", s.store.DeleteOldKills, now.Add(-24*time.Hour)) // clocks are set back at times
		select {
		case <-day.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// remove removes what is from before a time.
func (s *server) remove(ctx context.Context, what string, old func(context.Context, time.Time) (int, error), before time.Time) {
	n, err := old(ctx, before)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.log.Error(what+" cannot be removed", "error", err)
	case n > 0:
		s.log.Info(what+" removed", "number", n)
	}
}
