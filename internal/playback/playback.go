// Package playback serves channels to players.
//
//	/api/video/v1/<region>.<account>.channel.<id>.m3u8   multivariant playlist
//	        │ mints a session
//	        ▼
//	/v/<session>/<id>/<rendition>/playlist.m3u8          media playlist, blocking
//	        │ leads out of the session's path
//	        ▼
//	/live/<id>/<rendition>/<name>                        parts, segments, init sections
//
// The source, as the publisher sends it, lies in these folders without
// <rendition>.
//
// A channel that not everybody may watch has its media below the session too,
// at /v/<session>/<id>/<rendition>/<name>, and nothing at /live. Who may watch
// is decided when the multivariant playlist is asked for; the session then
// carries what was found (see admission.go), and each request below it is
// checked against what the [Gate] knows by then.
//
// Every URI is relative to the playlist it stands in, so a proxy may serve all
// of it below another path. Media is the same for all viewers and never
// changes under its name: caches in front may keep that of open channels.
//
// A session is a sealed token, not an entry in a table: it outlives restarts,
// and any server with the same key knows it.
package playback

import (
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"

	"anabranch/internal/auth"
	"anabranch/internal/broadcast"
	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

// Channels is what playback needs of the channels on air.
type Channels interface {
	// Lookup finds a channel's broadcast, false when it is not on air.
	Lookup(channelID string) (*broadcast.View, bool)
}

// Config is what a Server is made of.
type Config struct {
	Place    resource.Place
	Channels Channels
	Gate     *Gate
	Sealer   *auth.Sealer // of sessions
	Posters  Posters      // nil for none
	// Countries may be nil: then nobody knows where viewers are.
	Countries *Countries
	// TrustedProxies are whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
}

// Server answers players. Its handlers may run side by side.
type Server struct {
	Config
	Views  *Views // who plays
	opened openedTokens
	// verifying has a value for each token whose signature is being checked.
	verifying chan struct{}
	// noCountries is done when it was told that countries are not checked.
	noCountries sync.Once
}

// New makes a Server.
func New(cfg Config) *Server {
	return &Server{
		Config: cfg, Views: NewViews(), opened: openedTokens{seed: maphash.MakeSeed()},
		verifying: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// Register adds the server's paths to mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.Handle("/api/video/v1/{name}", s.handler(metrics.PlaybackMultivariant, s.multivariant, s.mayTune))
	for _, folder := range []string{"{channel}", "{channel}/{rendition}"} {
		mux.Handle("/v/{session}/"+folder+"/"+playlistName, s.handler(metrics.PlaybackPlaylist, s.media, s.mayEnter))
		mux.Handle("/v/{session}/"+folder+"/"+posterName, s.handler(metrics.PlaybackMedia, s.poster, s.mayEnter))
		mux.Handle("/v/{session}/"+folder+"/{name}", s.handler(metrics.PlaybackMedia, s.private, s.mayEnter))
		mux.Handle("/live/"+folder+"/{name}", s.handler(metrics.PlaybackMedia, s.live, everybodyMay))
	}
}

// Path is where a channel's multivariant playlist lies.
func Path(p resource.Place, channelID string) string {
	return "/api/video/v1/" + p.Region + "." + p.Account + ".channel." + channelID + ".m3u8"
}

// MediaBase is what media URIs in the playlist of a channel's rendition start
// with; "" is the source.
func MediaBase(ch *resource.Channel, rendition string) string {
	switch {
	case ch.Restricted():
		return "" // beside the playlist
	case rendition == "":
		return "../../../live/" + ch.ID() + "/"
	}
	return "../../../../live/" + ch.ID() + "/" + rendition + "/"
}

// SisterURI is where the playlist of one rendition lies, relative to that of
// another of the same channel; "" is the source.
func SisterURI(from, to string) string {
	uri := playlistName
	if to != "" {
		uri = to + "/" + uri
	}
	if from != "" {
		uri = "../" + uri
	}
	return uri
}

// playlistName is what a media playlist is called in its folder.
const playlistName = "playlist.m3u8"

// channelID takes the channel out of the last element of a playback URL, in
// its present or its older form with "aws.ivs." before it. It is false when
// the URL is not one of this server's.
func (s *Server) channelID(name string) (string, bool) {
	name = strings.TrimPrefix(name, "aws.ivs.")
	name, isPlaylist := strings.CutSuffix(name, ".m3u8")
	id, isHere := strings.CutPrefix(name, s.Place.Region+"."+s.Place.Account+".channel.")
	return id, isPlaylist && isHere && id != ""
}
