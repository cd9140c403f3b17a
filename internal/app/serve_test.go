package app

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

// startServer runs a server until the test ends, or until stop, which waits.
func startServer(t *testing.T, dir string, args ...string) (s *server, stop func()) {
	t.Helper()
	cfg, err := parse(t, append(args, "--transcode-capacity", "0", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--rtmp-addr", "127.0.0.1:0",
		"--rtmps-addr", "127.0.0.1:0", "--webrtc-addr", "127.0.0.1:0", "--s3-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	running, ended := make(chan *server, 1), make(chan error, 1)
	go func() {
		ended <- serve(ctx, cfg, testLog(t), func(s *server) { running <- s })
	}()
	select {
	case s = <-running:
	case err := <-ended:
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func (s *server) ivs() *ivs.Client {
	return ivs.New(ivs.Options{
		Region:       s.cfg.Region,
		BaseEndpoint: aws.String("http://" + s.endpoints.HTTP),
		Credentials: awscredentials.NewStaticCredentialsProvider(
			s.credentials.accessKeyID, s.credentials.secretAccessKey, ""),
	})
}

func TestServe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, stop := startServer(t, dir)

	content, err := os.ReadFile(filepath.Join(dir, "endpoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var at map[string]string
	if err := json.Unmarshal(content, &at); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"http", "rtmp", "rtmps", "webrtc", "s3", "admin"} {
		if _, port, err := net.SplitHostPort(at[name]); err != nil || port == "0" {
			t.Errorf("endpoints.json: %s is at %q", name, at[name])
		}
	}
	resp, err := http.Get("http://" + at["admin"] + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s", resp.Status)
	}

	cfg := s.cfg
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second server on the same data: %v", err)
	}

	if err := s.objects.CreateBucket(t.Context(), "shows"); err != nil {
		t.Error(err)
	}
	created, err := s.ivs().CreateChannel(t.Context(), &ivs.CreateChannelInput{Name: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	arn := created.Channel.Arn
	_, port, _ := net.SplitHostPort(at["http"])
	prefix := "http://localhost:" + port + "/api/video/v1/us-east-1.123456789012.channel."
	if url := aws.ToString(created.Channel.PlaybackUrl); !strings.HasPrefix(url, prefix) {
		t.Errorf("playback URL is %s, want %s…", url, prefix)
	}
	if got := aws.ToString(created.Channel.IngestEndpoint); got != "localhost" {
		t.Errorf("ingest endpoint is %s, want the bare host", got)
	}

	stop()
	if _, err := os.Stat(filepath.Join(dir, "endpoints.json")); err == nil {
		t.Error("endpoints.json is still there")
	}

	again, _ := startServer(t, dir)
	got, err := again.ivs().GetChannel(t.Context(), &ivs.GetChannelInput{Arn: arn})
	if err != nil || aws.ToString(got.Channel.Name) != "a" {
		t.Errorf("after a restart with the same credentials: %v", err)
	}
}

// TestOtherObjectStore records to another server's S3 endpoint, with
// credentials from the environment.
func TestOtherObjectStore(t *testing.T) {
	other, _ := startServer(t, filepath.Join(t.TempDir(), "other"))
	if err := other.objects.CreateBucket(t.Context(), "shows"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", other.credentials.accessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", other.credentials.secretAccessKey)
	s, _ := startServer(t, filepath.Join(t.TempDir(), "data"), "--s3-endpoint", "http://"+other.endpoints.S3)
	if s.endpoints.S3 != "" {
		t.Errorf("the embedded endpoint is at %s", s.endpoints.S3)
	}
	if err := s.objects.Check(t.Context(), "shows"); err != nil {
		t.Error(err)
	}
	if err := s.objects.Put(t.Context(), "shows", "ivs/x", "text/plain", strings.NewReader("x")); err != nil {
		t.Error(err)
	}
}

// TestServeFailsReadably sees that a server that cannot start says why and
// lets go of its folder and ports.
func TestServeFailsReadably(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := filepath.Join(t.TempDir(), "data")
	cfg, err := parse(t, "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--rtmp-addr", busy.Addr().String(),
		"--rtmps-addr", "127.0.0.1:0", "--webrtc-addr", "127.0.0.1:0", "--s3-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--rtmp-addr") {
		t.Errorf("a port in use: %v, want it to name the flag", err)
	}
	startServer(t, dir)
}

// A path that is not in its normal form is answered like any other that is
// unknown, not with a redirect.
func TestOddPaths(t *testing.T) {
	s, _ := startServer(t, filepath.Join(t.TempDir(), "data"))
	for _, path := range []string{"//CreateChannel", "/./CreateChannel", "/x/../CreateChannel", "/watch/%2e%2e/CreateChannel", "/CreateChannel/", "/CreateChannel//", "/nothing"} {
		r, err := http.NewRequest("POST", "http://"+s.endpoints.HTTP+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound || resp.Header.Get("x-amzn-ErrorType") != "UnknownOperationException" {
			t.Errorf("%s: %s, sent to %q", path, resp.Status, resp.Header.Get("Location"))
		}
	}
}

func TestPublicURL(t *testing.T) {
	e := Endpoints{HTTP: "127.0.0.1:7080", RTMPS: "127.0.0.1:7443"}
	cases := []struct {
		cfg  Config
		want string
	}{
		{Config{PublicHost: "localhost"}, "http://localhost:7080"},
		{Config{PublicHost: "::1"}, "http://[::1]:7080"},
		{Config{PublicHost: "live.example", TLSCert: "c.pem"}, "https://live.example:7443"},
		{Config{PublicHost: "x", TLSCert: "c.pem", PublicURL: "https://cdn.example/live"}, "https://cdn.example/live"},
	}
	for _, c := range cases {
		if got := publicURL(&c.cfg, e); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
