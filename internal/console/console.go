// Package console serves the web pages.
//
//	/                     where to go from here
//	/watch/<channel id>   the page that plays a channel
//	/recordings           the page that lists recordings, and plays one, or a stage's session
//	/stage/<stage id>     the page that joins a stage, with ?token=<participant token>
//	/assets/<file>        what the pages are made of
//	/clock                the server's clock, to measure latency by
//
// Pages are plain files in assets, embedded as they are. Two libraries, hls.js
// and the project's own client of stages, are put into assets/vendor by "make
// build"; without them the server still builds, and the pages say what is
// missing.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed all:assets
var embedded embed.FS

// Where the build puts the player library, and the first module of the client
// of stages, below assets.
const (
	hlsJS   = "vendor/hls.min.js"
	stageJS = "vendor/stage/index.js"
)

// Config is what a Server is made of.
type Config struct {
	// PlaybackPath is where a channel's multivariant playlist lies, from the
	// server's root.
	PlaybackPath func(channelID string) string
	// Region is what the page of recordings signs its calls of the API for.
	Region string
	// HTTPSPort is where the same pages are over TLS: elsewhere than on
	// localhost, browsers neither sign nor give a camera to a page in the clear.
	HTTPSPort string
}

// Server answers browsers. Its handlers may run side by side.
type Server struct {
	Config
	index      []byte
	watch      *template.Template
	stage      *template.Template
	recordings []byte
	assets     map[string]asset
}

type asset struct {
	content     []byte
	contentType string
	etag        string
}

// New makes a Server of the embedded files.
func New(cfg Config) (*Server, error) {
	files, err := fs.Sub(embedded, "assets")
	if err != nil {
		return nil, fmt.Errorf("open embedded assets: %w", err)
	}
	return newServer(cfg, files)
}

func newServer(cfg Config, files fs.FS) (*Server, error) {
	s := &Server{Config: cfg, assets: make(map[string]asset)}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".html" {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		s.assets[name] = asset{
			content:     content,
			contentType: mime.TypeByExtension(path.Ext(name)),
			etag:        `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read embedded assets: %w", err)
	}
	if s.watch, err = template.ParseFS(files, "watch.html"); err != nil {
		return nil, fmt.Errorf("parse watch page: %w", err)
	}
	if s.stage, err = template.ParseFS(files, "stage.html"); err != nil {
		return nil, fmt.Errorf("parse stage page: %w", err)
	}
	if s.recordings, err = s.recordingsPage(files); err != nil {
		return nil, fmt.Errorf("make page of recordings: %w", err)
	}
	if s.index, err = fs.ReadFile(files, "index.html"); err != nil {
		return nil, fmt.Errorf("read front page: %w", err)
	}
	return s, nil
}

// Register adds the server's paths to mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { page(w, r, s.index) })
	mux.HandleFunc("GET /watch/{channel}", s.player)
	mux.HandleFunc("GET /recordings", func(w http.ResponseWriter, r *http.Request) { page(w, r, s.recordings) })
	mux.HandleFunc("GET /stage/{stage}", s.room)
	mux.HandleFunc("GET /assets/{file...}", s.file)
	mux.HandleFunc("GET /clock", clock)
}

// resourceID is the form of a resource's id.
var resourceID = regexp.MustCompile(`^[a-zA-Z0-9-]{1,64}$`)

// policy lets the page run and load only what comes from here. hls.js plays
// from blobs, runs its worker from one, and begins text tracks as data.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'%s; " +
	"media-src 'self' blob: data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// host is the form of a host with a port or without.
var host = regexp.MustCompile(`^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?$`)

// policyFor names the WebSockets of the server, which was asked for as a host:
// not every browser counts them to 'self'.
func policyFor(name string) string {
	if !host.MatchString(name) {
		return fmt.Sprintf(policy, "")
	}
	return fmt.Sprintf(policy, " ws://"+name+" wss://"+name)
}

// player answers with the page of a channel, whether there is such a channel or
// not: the page goes on looking for it.
func (s *Server) player(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("channel")
	if !resourceID.MatchString(id) {
		http.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	err := s.watch.Execute(&b, map[string]any{
		"Channel": id,
		// Relative, so that the page also works below another path.
		"Source": ".." + s.PlaybackPath(id),
		"HLS":    s.hasHLS(),
	})
	if err != nil {
		http.Error(w, "page cannot be made", http.StatusInternalServerError)
		return
	}
	page(w, r, b.Bytes())
}

// recordingsPage is the same for everybody: what they may see is asked of the
// API.
func (s *Server) recordingsPage(files fs.FS) ([]byte, error) {
	t, err := template.ParseFS(files, "recordings.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Region": s.Region, "HTTPSPort": s.HTTPSPort, "HLS": s.hasHLS()})
	return b.Bytes(), err
}

func (s *Server) hasHLS() bool { return s.has(hlsJS) }

func (s *Server) has(name string) bool { _, ok := s.assets[name]; return ok }

// room answers with the page of a stage, whether there is such a stage or not.
// The token in the address is for the page's script alone.
func (s *Server) room(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("stage")
	if !resourceID.MatchString(id) {
		http.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	err := s.stage.Execute(&b, map[string]any{"Stage": id, "HTTPSPort": s.HTTPSPort, "Library": s.has(stageJS)})
	if err != nil {
		http.Error(w, "page cannot be made", http.StatusInternalServerError)
		return
	}
	page(w, r, b.Bytes())
}

// page answers with a page.
func page(w http.ResponseWriter, r *http.Request, content []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policyFor(r.Host))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[strings.TrimPrefix(r.PathValue("file"), "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // asked for again, answered with 304
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

// clock tells the time in milliseconds since 1970.
func clock(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	fmt.Fprintf(w, `{"now":%d}`, time.Now().UnixMilli())
}
