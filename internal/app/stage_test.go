package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/coder/websocket"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// A stage that was made over the API is joined over HTTP and HTTPS, and its
// sockets are told to come back when the server stops.
func TestStages(t *testing.T) {
	s, stop := startServer(t, filepath.Join(t.TempDir(), "data"), "--turn-url", "turn:turn.example.com", "--turn-secret", "hush")
	api := ivsrealtime.New(ivsrealtime.Options{
		Region: s.cfg.Region, BaseEndpoint: aws.String("http://" + s.endpoints.HTTP),
		Credentials: awscredentials.NewStaticCredentialsProvider(s.credentials.accessKeyID, s.credentials.secretAccessKey, ""),
	})
	created, err := api.CreateStage(t.Context(), &ivsrealtime.CreateStageInput{
		ParticipantTokenConfigurations: []types.ParticipantTokenConfiguration{{}, {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.endpoints.HTTP)
	if e := created.Stage.Endpoints; aws.ToString(e.Whip) != "http://localhost:"+port+"/whip" || aws.ToString(e.Events) != "ws://localhost:"+port+"/events" {
		t.Errorf("WHIP at %s, events at %s", aws.ToString(e.Whip), aws.ToString(e.Events))
	}

	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	_, id, _ := strings.Cut(aws.ToString(created.Stage.Arn), "/")
	var sockets []*websocket.Conn
	for i, base := range []string{"ws://" + s.endpoints.HTTP, "wss://" + s.endpoints.RTMPS} {
		token := aws.ToString(created.ParticipantTokens[i].Token)
		conn, _, err := websocket.Dial(t.Context(), base+"/events/"+id, &websocket.DialOptions{Subprotocols: []string{token}, HTTPClient: insecure})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		sockets = append(sockets, conn)
		self := aws.ToString(created.ParticipantTokens[i].ParticipantId)
		for told := ""; !strings.Contains(told, self); {
			told = readMessage(t, conn)
		}
	}

	r, err := http.NewRequest("OPTIONS", "http://"+s.endpoints.HTTP+"/whip", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+aws.ToString(created.ParticipantTokens[0].Token))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if link := res.Header.Get("Link"); !strings.HasPrefix(link, "<turn:turn.example.com>;") {
		t.Errorf("%s with link %q", res.Status, link)
	}

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	for _, conn := range sockets {
		for {
			_, _, err := conn.Read(t.Context())
			if err == nil {
				continue
			}
			if websocket.CloseStatus(err) != websocket.StatusServiceRestart {
				t.Errorf("stopped with %v", err)
			}
			break
		}
	}
	<-stopped
}

func readMessage(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	_, text, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatalf("not JSON: %q", text)
	}
	return string(text)
}

func TestStageEndpoints(t *testing.T) {
	e := Endpoints{HTTP: "127.0.0.1:7080", RTMP: "127.0.0.1:1935", RTMPS: "127.0.0.1:7443"}
	for _, tt := range []struct {
		cfg  Config
		want resource.StageEndpoints
	}{
		{Config{PublicHost: "localhost"}, resource.StageEndpoints{
			Events: "ws://localhost:7080/events", WHIP: "http://localhost:7080/whip",
			RTMP: "rtmp://localhost:1935/app/", RTMPS: "rtmps://localhost:7443/app/",
		}},
		{Config{PublicHost: "live.example", TLSCert: "c.pem"}, resource.StageEndpoints{
			Events: "wss://live.example:7443/events", WHIP: "https://live.example:7443/whip",
			RTMP: "rtmp://live.example:1935/app/", RTMPS: "rtmps://live.example:7443/app/",
		}},
		{Config{PublicHost: "::1", PublicURL: "https://http.example/live"}, resource.StageEndpoints{
			Events: "wss://http.example/live/events", WHIP: "https://http.example/live/whip",
			RTMP: "rtmp://[::1]:1935/app/", RTMPS: "rtmps://[::1]:7443/app/",
		}},
	} {
		if got := stageEndpoints(&tt.cfg, e, publicURL(&tt.cfg, e)); got != tt.want {
			t.Errorf("%+v, want %+v", got, tt.want)
		}
	}
}

func TestPublishLimits(t *testing.T) {
	for resolution, want := range map[string]rtc.Limits{
		"720p":  {Bitrate: 8_500_000, Width: 1280, Height: 720},
		"1080p": {Bitrate: 8_500_000, Width: 1920, Height: 1080},
	} {
		if got := publishLimits(&Config{StageMaxResolution: resolution}); got != want {
			t.Errorf("%s: %+v, want %+v", resolution, got, want)
		}
	}
}

// A connection that a handler took over counts until it is closed.
func TestConnectionsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := &connections{most: 2}
		taken := make(chan net.Conn)
		server := httpServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			taken <- conn
		}), conns, testLog(t))
		handed := &handover{conns: make(chan net.Conn), closed: make(chan struct{})}
		p := newParts(t.Context())
		p.start("HTTP", func(ctx context.Context) error { return serveHTTP(ctx, server, handed) })

		// connect says whether the server takes a connection.
		connect := func() (net.Conn, bool) {
			ours, theirs := net.Pipe()
			handed.give(t.Context(), theirs)
			go io.WriteString(ours, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			refused := make(chan struct{})
			go func() {
				if _, err := bufio.NewReader(ours).ReadByte(); err != nil {
					close(refused)
				}
			}()
			select {
			case conn := <-taken:
				return conn, true
			case <-refused:
				return nil, false
			}
		}
		first, ok := connect()
		second, ok2 := connect()
		if _, third := connect(); !ok || !ok2 || third {
			t.Fatalf("taken: %v, %v, %v; want two of three", ok, ok2, third)
		}
		synctest.Wait() // until the refused one is counted off
		first.Close()
		conns.released()
		third, ok := connect()
		if !ok {
			t.Fatal("a place that is free was refused")
		}
		second.Close()
		third.Close()
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}
