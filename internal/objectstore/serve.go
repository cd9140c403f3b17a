package objectstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

// ServeConfig is what the embedded store is made of.
type ServeConfig struct {
	// Listener takes S3 requests; Serve closes it.
	Listener net.Listener
	// Dir holds the buckets, an absolute path; it is made when missing. Objects
	// are plain files, <Dir>/<bucket>/<key>.
	Dir string
	// AccessKeyID and SecretAccessKey are the server's own account.
	AccessKeyID, SecretAccessKey string
	// Secret finds the secret of any other account's access key. It may be
	// called from several goroutines at once. It may be nil.
	Secret func(accessKeyID string) (secret string, ok bool)
	Region string
	// PublicRecordings lets anybody list and read the objects below ivs/ in
	// every bucket.
	PublicRecordings bool
	// Ready is called once requests are answered; those that come earlier
	// wait. It may be nil.
	Ready func()
	Log   *slog.Logger
}

// Bounds of the gateway.
const (
	maxConnections = 1024
	maxRequests    = 512
	maxParts       = 10_000 // of a multipart upload, as on AWS
	stopTimeout    = 5 * time.Second
)

// Serve is an S3 endpoint that keeps objects as files. It returns nil when ctx
// has ended and the requests under way are answered.
//
// A process can have one at a time: the gateway keeps the process's working
// directory at Dir while it runs, and its names are relative to it.
func Serve(ctx context.Context, cfg ServeConfig) error {
	// Beyond that, clients wait: the process has other things to open.
	cfg.Listener = netutil.LimitListener(cfg.Listener, maxConnections)
	defer cfg.Listener.Close()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder of buckets: %w", err)
	}
	attributes, err := attributesIn(cfg.Dir)
	if err != nil {
		return err
	}
	if before, err := os.Getwd(); err == nil {
		defer func() { _ = os.Chdir(before) }() // it was there a moment ago
	}
	options := posix.PosixOpts{ForceNoObjLockFile: true} // nobody else writes here
	options.SetNewDirPerm(0o700)
	options.SetNewFilePerm(0o600)
	files, err := posix.New(cfg.Dir, attributes, options)
	if err != nil {
		return fmt.Errorf("open folder of buckets: %w", err)
	}

	// The gateway tells no bound address and has no time limits, so it listens
	// on a socket of its own behind this package's server.
	socket := socketName()
	listening := make(chan struct{})
	gateway := embedgw.Config{
		RootUserAccess:    cfg.AccessKeyID,
		RootUserSecret:    cfg.SecretAccessKey,
		IAMService:        newAccounts(&cfg),
		Region:            cfg.Region,
		Ports:             []string{socket},
		SocketPerm:        "0600",
		MaxConnections:    maxConnections,
		MaxRequests:       maxRequests,
		MultipartMaxParts: maxParts,
		CORSAllowOrigin:   "*",
		DisableACLs:       true,
		KeepAlive:         true,
		Quiet:             true,
		S3Options:         []s3api.Option{s3api.WithOnListen(func() { close(listening) })},
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableCompression:    true, // Accept-Encoding may be signed
		MaxConnsPerHost:       maxConnections,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       30 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	server := &http.Server{
		Handler:           proxy(&cfg, transport),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}

	// The gateway outlives ctx, for the requests under way.
	gatewayCtx, stopGateway := context.WithCancel(context.WithoutCancel(ctx))
	parts, partsCtx := errgroup.WithContext(ctx)
	parts.Go(func() error {
		err := embedgw.RunVersityGW(gatewayCtx, files, &gateway)
		if err == nil && gatewayCtx.Err() == nil {
			err = errors.New("it ended by itself")
		}
		if err != nil {
			return fmt.Errorf("run S3 gateway: %w", err)
		}
		return nil
	})
	parts.Go(func() error {
		select {
		case <-listening:
		case <-partsCtx.Done():
			return nil
		}
		if cfg.Ready != nil {
			cfg.Ready()
		}
		if err := server.Serve(cfg.Listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve S3: %w", err)
		}
		return nil
	})
	parts.Go(func() error {
		defer stopGateway()
		<-partsCtx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			server.Close()
		}
		transport.CloseIdleConnections()
		return nil
	})
	return parts.Wait()
}

// proxy hands requests on to the gateway, which must see them as they were
// signed.
func proxy(cfg *ServeConfig, transport http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Transport: transport,
		// It tells of clients that left amid an answer.
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				cfg.Log.Warn("S3 request not answered", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "gateway"
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Host = r.In.Host
			if cfg.PublicRecordings && anonymousRead(r.In) {
				cfg.sign(r.Out)
			}
		},
	}
}

// attributesIn chooses where the gateway keeps objects' types and checksums:
// with the files, or in a folder beside dir where the file system cannot.
func attributesIn(dir string) (meta.MetadataStorer, error) {
	onFiles := meta.XattrMeta{}
	const name = "anabranch-probe"
	if onFiles.StoreAttribute(nil, dir, "", name, []byte("x")) == nil {
		return onFiles, onFiles.DeleteAttribute(dir, "", name)
	}
	beside := filepath.Clean(dir) + "-attributes"
	if err := os.MkdirAll(beside, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of object attributes: %w", err)
	}
	return meta.NewSideCar(beside)
}

// socketName names the gateway's socket. Linux has names outside the file
// system, which fit everywhere; elsewhere it is a file in the folder of
// buckets, named relative to it because a socket's path is limited to 104
// bytes.
func socketName() string {
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("@anabranch-s3-%d-%d", os.Getpid(), time.Now().UnixNano())
	}
	return ".socket"
}
