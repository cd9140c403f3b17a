package recordings

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

const (
	// maxReads is how many objects are sent at a time, maxShare how many of
	// them to one address: who does not read what he asked for keeps nobody out.
	// It is large, for the address may be a proxy's.
	maxReads, maxShare = 256, 128
	// maxURI bounds what a request may bring, in bytes.
	maxURI = 4 << 10
	// openTimeout is how long the store may take until an object's first byte.
	openTimeout = 20 * time.Second
	// sendTimeout and slowest say how long it may take to be sent: the former
	// in any case, and what it takes at so many bytes a second.
	sendTimeout = 30 * time.Second
	slowest     = 32 << 10

	tokenPurpose = "recording-media"
	// A token is good for tokenLife at least. All that are made within
	// tokenStep are the same, so that caches know the URLs again.
	tokenLife = 12 * time.Hour
	tokenStep = time.Hour
)

// Register adds the paths of the media to mux.
func (s *Server) Register(mux *http.ServeMux) {
	mux.HandleFunc("/recordings/media/{token}/{path...}", s.media)
}

// token is leave to load the media of one recording.
type token struct {
	Recording string `json:"r"`
	Expires   int64  `json:"e"` // Unix time
}

// mediaPath is the path of the recording's prefix, with a token made now.
func (s *Server) mediaPath(id string, now time.Time) string {
	payload, err := json.Marshal(token{id, now.Truncate(tokenStep).Add(tokenStep + tokenLife).Unix()})
	if err != nil {
		panic(err) // strings and numbers can be marshalled
	}
	return "/recordings/media/" + s.Sealer.Seal(tokenPurpose, payload) + "/"
}

func (s *Server) openToken(text string, now time.Time) (t token, err error) {
	payload, err := s.Sealer.Open(tokenPurpose, text)
	if err == nil {
		err = json.Unmarshal(payload, &t)
	}
	switch {
	case err != nil:
		return t, &refusal{http.StatusForbidden, "the playback URL is not valid"}
	case now.Unix() >= t.Expires:
		return t, &refusal{http.StatusForbidden, "the playback URL has expired; the recording tells a new one"}
	}
	return t, nil
}

// reads counts the objects that are being sent, by the address they go to.
type reads struct {
	mu  sync.Mutex
	all int
	to  map[string]int
}

func (r *reads) begin(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == maxReads || r.to[host] == maxShare {
		return false
	}
	r.all++
	r.to[host]++
	return true
}

func (r *reads) end(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.to[host]--; r.to[host] == 0 {
		delete(r.to, host)
	}
}

// servable is what players load. Everything else below a prefix is not theirs,
// nor is anything of which this package does not know the type: whoever writes
// to the bucket must not be able to put pages on this server.
var servable = regexp.MustCompile(`^media/(?:hls|thumbnails|latest_thumbnail)/(?:[\w-]+/){0,2}[\w-]+\.(?:m3u8|ts|mp4|jpg)$`)

var contentTypes = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4", ".jpg": "image/jpeg",
}

// media answers players. Whatever has a token may load it, from any page.
func (s *Server) media(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Accept-Ranges, Content-Length, Content-Range, Date, ETag, Retry-After")
	h.Set("Timing-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	var err error
	var sent int64
	switch {
	case len(r.RequestURI) > maxURI:
		err = &refusal{http.StatusRequestURITooLong, "the URI is too long"}
	case r.Method == http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "If-Match, If-None-Match, If-Range, Range")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		err = &refusal{http.StatusMethodNotAllowed, "the method is not allowed"}
	default:
		sent, err = s.send(w, r)
	}
	status := http.StatusOK
	if err != nil {
		status = s.refuse(w, r, err)
	}
	metrics.PlaybackRecording.Answered(status, sent)
	if errors.Is(err, errCutOff) {
		panic(http.ErrAbortHandler) // or it would look whole
	}
}

// send answers with an object, or with what the request's range and conditions
// leave of it, as it comes from the store.
func (s *Server) send(w http.ResponseWriter, r *http.Request) (sent int64, err error) {
	now := time.Now()
	t, err := s.openToken(r.PathValue("token"), now)
	if err != nil {
		return 0, err
	}
	name := r.PathValue("path")
	if !servable.MatchString(name) {
		return 0, objectstore.ErrNotFound
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !s.reads.begin(host) {
		return 0, errBusy
	}
	defer s.reads.end(host)
	rec, err := s.Store.Recording(r.Context(), t.Recording)
	if err != nil {
		return 0, err
	}

	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	limit := time.AfterFunc(openTimeout, func() { cancel(errSlow) })
	defer limit.Stop()
	want, h := objectstore.Reading{HeadOnly: r.Method == http.MethodHead}, w.Header()
	if s.changes(&rec, name) {
		// Whole, and with nothing to compare it with: Chromium's own player
		// would take a range of one version for that of another.
		h.Set("Cache-Control", "no-cache")
	} else {
		h.Set("Cache-Control", "max-age="+strconv.FormatInt(t.Expires-now.Unix(), 10)+", immutable")
		h.Set("Accept-Ranges", "bytes")
		want.IfMatch, want.IfNoneMatch = r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
		want.Range = rangeOf(r)
	}
	piece, err := s.read(ctx, rec.Bucket, rec.Prefix+"/"+name, want, r.Header.Get("If-Range"))
	if err != nil {
		return 0, &readError{err}
	}
	defer piece.Body.Close()
	if piece.Size < 0 { // an answer that breaks off could not be told from a whole one
		return 0, &readError{errors.New("the store does not tell the size of object " + name)}
	}

	h.Set("Content-Type", contentTypes[path.Ext(name)])
	h.Set("Content-Length", strconv.FormatInt(piece.Size, 10))
	status := http.StatusOK
	if h.Get("Accept-Ranges") != "" && piece.ETag != "" {
		h.Set("ETag", piece.ETag)
	}
	if piece.Range != "" {
		status = http.StatusPartialContent
		h.Set("Content-Range", piece.Range)
	}
	patience := sendTimeout + time.Duration(piece.Size/slowest)*time.Second
	limit.Reset(patience)
	_ = http.NewResponseController(w).SetWriteDeadline(now.Add(patience)) // a recorder in a test has none
	w.WriteHeader(status)
	if want.HeadOnly {
		return 0, nil
	}
	if sent, err = io.CopyN(w, piece.Body, piece.Size); err != nil {
		return sent, errCutOff
	}
	return sent, nil
}

// read reads an object. If-Range (RFC 9110 §13.1.5) is not S3's: a range of
// what has changed becomes all of it.
func (s *Server) read(ctx context.Context, bucket, key string, want objectstore.Reading, ifRange string) (*objectstore.Piece, error) {
	if want.Range == "" || ifRange == "" || want.IfMatch != "" {
		return s.Objects.Read(ctx, bucket, key, want)
	}
	whole := want
	whole.Range = ""
	if !strings.HasPrefix(ifRange, `"`) {
		return s.Objects.Read(ctx, bucket, key, whole) // a date, or a weak tag
	}
	want.IfMatch = ifRange
	piece, err := s.Objects.Read(ctx, bucket, key, want)
	if errors.Is(err, objectstore.ErrChanged) {
		return s.Objects.Read(ctx, bucket, key, whole)
	}
	return piece, err
}

// changes says whether an object may be another one later: while the recording
// goes on, and after its end until all of it is stored.
func (s *Server) changes(r *resource.Recording, name string) bool {
	_, spooled := s.Spool.Progress(r.ID)
	if r.State != resource.RecordingStarted && !spooled {
		return false
	}
	return strings.HasSuffix(name, ".m3u8") || strings.HasPrefix(name, "media/latest_thumbnail/")
}

var oneRange = regexp.MustCompile(`^bytes=(\d+-\d*|-\d+)$`)

// rangeOf is the one range that r asks for. Others are ignored, which RFC 9110
// §14.2 allows.
func rangeOf(r *http.Request) string {
	if asked := r.Header.Get("Range"); r.Method == http.MethodGet && oneRange.MatchString(asked) {
		return asked
	}
	return ""
}
