// Package api serves the operations of the control API: REST with JSON, signed
// with AWS Signature Version 4.
//
//	HTTP → route → auth.SigV4, body ≤ 1 MiB → rate → decode and check → operation ┐
//	HTTP ← headers, JSON ←───── status and exception ←───── result or error ←─────┘
//
// An operation is a function from one struct to another. Tags on the input's
// fields name the shapes of the service model, whose constraints stand in a
// table ([Shapes]), so that whatever reaches an operation has passed them. What
// it returns is written as JSON; an error's kind decides status and exception,
// in one table (see error.go).
//
// The packages below this one hold the operations, one file for each noun.
package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

// Server answers API calls. It is safe for concurrent use.
type Server struct {
	signatures *auth.SigV4
	limiter    *limiter
	log        *slog.Logger
	operations map[string]*operation // by method, space and path
	labelled   []*operation          // those whose path has a label, the longest first
}

// Config is what a Server is made of.
type Config struct {
	Signatures *auth.SigV4
	Log        *slog.Logger
	Services   []Service
	// Rates bounds how often each access key may call an operation, in calls a
	// second. An operation that is missing has no bound.
	Rates map[string]int
}

// New makes a Server. It panics when an operation's input does not fit the
// shapes of its service, or two operations have one path.
func New(cfg Config) *Server {
	s := &Server{
		signatures: cfg.Signatures, limiter: newLimiter(cfg.Rates), log: cfg.Log, operations: make(map[string]*operation),
	}
	taken := make(map[string]bool)
	for _, service := range cfg.Services {
		for _, o := range service.Operations {
			route := o.method + " " + o.path
			if taken[route] {
				panic("api: two operations at " + route)
			}
			taken[route] = true
			op := &operation{Operation: o, input: service.Shapes.plan(o.input)}
			if before, rest, ok := strings.Cut(o.path, "{"); ok {
				_, after, _ := strings.Cut(rest, "}")
				op.before, op.after = before, after
				s.labelled = append(s.labelled, op)
				continue
			}
			s.operations[route] = op
		}
	}
	slices.SortStableFunc(s.labelled, func(a, b *operation) int { return len(b.path) - len(a.path) })
	return s
}

// operation is an Operation with its plan of decoding.
type operation struct {
	Operation
	input         *plan
	before, after string // of the path, around its label
}

// A request is bounded in bytes, and its body in the time it takes to arrive.
const (
	maxURI      = 16 << 10
	maxBody     = 1 << 20
	bodyTimeout = 30 * time.Second
)

// ServeHTTP answers one call. Every answer carries a request id, which the log
// has too.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	c := &call{Server: s, request: r, id: rand.Text()}
	setHeaders(w.Header(), c.id)
	if r.Method == http.MethodOptions {
		answerPreflight(w)
		return
	}
	status, body, err := c.run(w)
	var told failure
	if err != nil {
		told = c.explain(err)
		status, body = told.status, told.body()
		w.Header().Set("x-amzn-ErrorType", told.exception)
	}
	if body != nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client is gone

	took := time.Since(begin)
	metrics.APICalls.WithLabelValues(c.operation, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
	attrs := []slog.Attr{
		slog.String("operation", c.operation), slog.Int("status", status), slog.Duration("took", took),
		slog.String("request", c.id), slog.String("accessKey", c.accessKeyID),
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("exception", told.exception), slog.Any("error", err))
		if told.ours && r.Context().Err() == nil { // else what failed is the client's patience
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(r.Context(), level, "api call", attrs...)
}

// call is one request on its way.
type call struct {
	*Server
	request     *http.Request
	id          string // told in x-amzn-RequestId
	operation   string // "" unless known
	accessKeyID string // of who signed it, once verified
}

// run calls the operation that the request asks for and returns its answer.
func (c *call) run(w http.ResponseWriter) (status int, body []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if len(c.request.RequestURI) > maxURI {
		return 0, nil, errURITooLong
	}
	op, label, ok := c.route(c.request)
	if !ok {
		return 0, nil, errUnknownOperation
	}
	c.operation = op.Name
	sent := sync.OnceValues(func() ([]byte, error) { return readBody(w, c.request) })
	// Who signs wants to be known, also where nobody has to.
	if !op.public || auth.IsSigned(c.request) {
		if c.accessKeyID, err = c.signatures.Verify(c.request, sent); err != nil {
			return 0, nil, err
		}
	}
	if err := c.limiter.admit(op.Name, c.accessKeyID); err != nil {
		return 0, nil, err
	}
	query, err := url.ParseQuery(c.request.URL.RawQuery)
	if err != nil {
		return 0, nil, resource.Errorf(resource.Invalid, "the query cannot be read: %v", err)
	}
	text, err := sent()
	if err != nil {
		return 0, nil, err
	}
	if op.unhurried {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a recorder in a test has none
	}
	out, err := op.run(c.request.Context(), func(in any) error {
		return op.input.decode(in, source{body: text, path: label, query: query})
	})
	if err != nil || op.status == http.StatusNoContent {
		return op.status, nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is no HTML, and URLs read better
	if err := e.Encode(out); err != nil {
		return 0, nil, fmt.Errorf("encode answer: %w", err)
	}
	return op.status, b.Bytes(), nil
}

// readBody reads the whole body, as its signature is needed before anything
// else can be done.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	conn := http.NewResponseController(w) // a recorder in a test has no deadlines
	_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = conn.SetReadDeadline(time.Time{}) // or the call's context would end then
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge
	}
	if err != nil {
		return nil, resource.Errorf(resource.Invalid, "the body did not arrive as a whole")
	}
	return body, nil
}

// route finds the operation that r asks for, and what stands for the label in
// its path.
func (s *Server) route(r *http.Request) (op *operation, label string, ok bool) {
	if op, ok := s.operations[r.Method+" "+r.URL.Path]; ok {
		return op, "", true
	}
	for _, op := range s.labelled {
		// The label may be an ARN, whose slash may come escaped or not.
		rest, begins := strings.CutPrefix(r.URL.Path, op.before)
		label, ends := strings.CutSuffix(rest, op.after)
		if begins && ends && r.Method == op.method {
			return op, label, true
		}
	}
	return nil, "", false
}

// setHeaders sets what every answer carries.
func setHeaders(h http.Header, id string) {
	h.Set("x-amzn-RequestId", id)
	h.Set("Access-Control-Allow-Origin", "*") // calls are signed, not sent with cookies
	h.Set("Access-Control-Expose-Headers", "x-amzn-RequestId, x-amzn-ErrorType")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Strict-Transport-Security", "max-age=31536000") // browsers heed it over trusted TLS only
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// answerPreflight tells a browser that calls from any page may be made.
func answerPreflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, *") // * stands for all others
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// Service is a set of operations that share a model.
type Service struct {
	Shapes     Shapes
	Operations []Operation
}

// Operation is one operation of a service.
type Operation struct {
	Name   string
	method string
	path   string
	status int
	input  any // a pointer to a struct, nil
	output any // the same of what it answers with
	run    func(ctx context.Context, decode func(in any) error) (any, error)

	public    bool // also without a signature
	unhurried bool // without a limit of time
}

// NewOperation makes the operation that f performs, called by POST /<name> and
// answered with status and f's result; [http.StatusNoContent] has no body.
//
// The fields of In that a caller may set have tags: `json:"<member>"` and
// `shape:"<name in Shapes>"`. See [Shapes] for more. An In that has reached f
// keeps every constraint.
func NewOperation[In, Out any](name string, status int, f func(context.Context, *In) (*Out, error)) Operation {
	return Operation{
		Name: name, method: http.MethodPost, path: "/" + name, status: status, input: (*In)(nil), output: (*Out)(nil),
		run: func(ctx context.Context, decode func(any) error) (any, error) {
			in := new(In)
			if err := decode(in); err != nil {
				return nil, err
			}
			return f(ctx, in)
		},
	}
}

// At is o at another method and path. One part of the path may be a label in
// braces, such as "/tags/{resourceArn}": whatever stands there, slashes too,
// unless a longer path fits as well.
func (o Operation) At(method, path string) Operation {
	o.method, o.path = method, path
	return o
}

// Public is o for everybody: it is performed without a signature, too. A wrong
// signature is refused all the same.
func (o Operation) Public() Operation {
	o.public = true
	return o
}

// Unhurried is o without a limit to the time until it is answered; its context
// ends when the caller leaves.
func (o Operation) Unhurried() Operation {
	o.unhurried = true
	return o
}
