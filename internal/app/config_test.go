package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// grammar is what a command line looks like.
type grammar struct {
	Config
	Serve struct{} `cmd:"" default:"withargs"`
}

func parse(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	var g grammar
	if _, err := Parse(&g, args); err != nil {
		return Config{}, err
	}
	return g.Config, nil
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	const file = "# settings\nhttp-addr: :1\nlive-grace: 1m\naccount-id: 012345678901\npublic-recordings: true\n"
	cases := []struct {
		name string
		args []string
		env  string
		file string
		want string
	}{
		{"default", nil, "", "", ":7080"},
		{"file before default", nil, "", file, ":1"},
		{"environment before file", nil, ":2", file, ":2"},
		{"environment before default", nil, ":2", "", ":2"},
		{"flag before environment and file", []string{"--http-addr", ":3"}, ":2", file, ":3"},
		{"flag behind the command", []string{"serve", "--http-addr=:3"}, ":2", file, ":3"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.env != "" {
				t.Setenv("ANABRANCH_HTTP_ADDR", c.env)
			}
			args := c.args
			if c.file != "" {
				args = append(args, "--config", writeFile(t, c.file))
			}
			cfg, err := parse(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.HTTPAddr != c.want {
				t.Errorf("http-addr is %q, want %q", cfg.HTTPAddr, c.want)
			}
			if c.file != "" && (cfg.LiveGrace != time.Minute || cfg.AccountID != "012345678901" || !cfg.PublicRecordings) {
				t.Errorf("the file's other settings are %v, %q, %v", cfg.LiveGrace, cfg.AccountID, cfg.PublicRecordings)
			}
		})
	}
	t.Run("file by environment", func(t *testing.T) {
		t.Setenv("ANABRANCH_CONFIG", writeFile(t, file))
		cfg, err := parse(t)
		if err != nil || cfg.HTTPAddr != ":1" {
			t.Errorf("http-addr is %q (%v), want :1", cfg.HTTPAddr, err)
		}
	})
}

// TestVariables sees that the name of a variable follows from the flag's.
func TestVariables(t *testing.T) {
	t.Setenv("ANABRANCH_S3_ADDR", ":1")
	t.Setenv("ANABRANCH_PUBLIC_RECORDINGS", "true")
	t.Setenv("ANABRANCH_LIVE_GRACE", "2m")
	cfg, err := parse(t)
	if err != nil || cfg.S3Addr != ":1" || !cfg.PublicRecordings || cfg.LiveGrace != 2*time.Minute {
		t.Errorf("%q, %v, %v (%v)", cfg.S3Addr, cfg.PublicRecordings, cfg.LiveGrace, err)
	}
	t.Setenv("ANABRANCH_LIVE_GRACE", "soon")
	if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "ANABRANCH_LIVE_GRACE") {
		t.Errorf("%v, want it to name the variable", err)
	}
}

func TestFileErrors(t *testing.T) {
	cases := []struct{ name, file, want string }{
		{"unknown key", "http-adr: :1\n", `no setting "http-adr"`},
		{"a file in a file", "config: x.yaml\n", `no setting "config"`},
		{"nested", "http-addr:\n  port: 1\n", "http-addr needs one value"},
		{"list", "- http-addr\n", "not a list of settings"},
		{"nothing", "http-addr:\n", "http-addr needs one value"},
		{"twice", "region: a\nregion: b\n", "region"},
		{"not YAML", "a: [\n", "settings.yaml"},
		{"bad value", "live-grace: long\n", "--live-grace"},
		{"bad choice", "log-level: loud\n", "--log-level"},
	}
	for _, c := range cases {
		_, err := parse(t, "--config", writeFile(t, c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := parse(t, "--config", "/nowhere/x.yaml"); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := parse(t, "--config", writeFile(t, "# nothing\n")); err != nil {
		t.Errorf("empty file: %v", err)
	}
}

func TestValidate(t *testing.T) {
	cases := []struct {
		args string
		want string // empty: valid
	}{
		{"", ""},
		{"--http-addr 127.0.0.1:0 --rtmp-addr [::1]:0", ""},
		{"--http-addr 7080", "--http-addr"},
		{"--rtmps-addr :70000", "--rtmps-addr"},
		{"--admin-addr=", "--admin-addr"},
		{"--public-host live.example.com", ""},
		{"--public-host ::1", ""},
		{"--public-host http://x", "--public-host"},
		{"--public-host x:80", "--public-host"},
		{"--public-url https://x.example/live/", ""},
		{"--public-url x.example", "--public-url"},
		{"--public-url https://x.example?a=b", "--public-url"},
		{"--region Moon", "--region"},
		{"--account-id 12345", "--account-id"},
		{"--s3-endpoint ftp://x", "--s3-endpoint"},
		{"--s3-endpoint https://s3.example --s3-region eu-west-1", ""},
		{"--s3-region eu-west-1", "--s3-region"},
		{"--s3-endpoint https://s3.example --public-recordings", "--public-recordings"},
		{"--tls-cert c.pem", "--tls-key"},
		{"--live-grace -1s", "--live-grace"},
		{"--live-grace 48h", "--live-grace"},
		{"--limits aws", ""},
		{"--limits channels=50,CreateChannel=0", ""},
		{"--limits channels", "--limits"},
		{"--limits channels=-1", "--limits"},
		{"--limits chanels=1", "--limits"},
		{"--limits gcp", "--limits"},
		{"--transcode-capacity 0 --ffmpeg= --transcode-encoder=", ""},
		{"--transcode-capacity 8 --transcode-encoder h264_vaapi --transcode-overflow refuse", ""},
		{"--transcode-capacity=-2", "--transcode-capacity"},
		{"--transcode-capacity many", "--transcode-capacity"},
		{"--ffmpeg=", "--ffmpeg"},
		{"--transcode-encoder x264:a:b", "--transcode-encoder"},
		{"--transcode-encoder -y", "--transcode-encoder"},
		{"--transcode-overflow drop", "--transcode-overflow"},
		{"--webrtc-addr 127.0.0.1:0", ""},
		{"--webrtc-addr [::]:7081", ""},
		{"--webrtc-addr=", "--webrtc-addr"},
		{"--webrtc-addr 7081", "--webrtc-addr"},
		{"--webrtc-hosts 203.0.113.7,2001:db8::7,live.example.com", ""},
		{"--webrtc-hosts 203.0.113.7 --webrtc-hosts live.example.com", ""},
		{"--webrtc-hosts 0.0.0.0", "--webrtc-hosts"},
		{"--webrtc-hosts ::", "--webrtc-hosts"},
		{"--webrtc-hosts 224.0.0.1", "--webrtc-hosts"},
		{"--webrtc-hosts 203.0.113.7:7081", "--webrtc-hosts"},
		{"--webrtc-hosts 203.0.113.7,,x", "--webrtc-hosts"},
		{"--turn-url turn:turn.example.com --turn-secret hush", ""},
		{"--turn-url turns:[::1]:5349?transport=tcp,turn:192.0.2.1:3478?transport=udp --turn-secret hush", ""},
		{"--turn-url turn:turn.example.com", "--turn-secret"},
		{"--turn-secret hush", "--turn-url"},
		{"--turn-url stun:turn.example.com --turn-secret hush", "--turn-url"},
		{"--turn-url https://turn.example.com --turn-secret hush", "--turn-url"},
		{"--turn-url turn:a;b --turn-secret hush", "--turn-url"},
		{"--turn-url turn:a:1?transport=\">,<x --turn-secret hush", "--turn-url"},
		{"--turn-secret hush --turn-url " + strings.Repeat("turn:a,", 8) + "turn:a", "--turn-url"},
		{"--stage-max-resolution 1080p", ""},
		{"--stage-max-resolution 4k", "--stage-max-resolution"},
		{"--log-format xml", "--log-format"},
		{"--nothing", "--nothing"},
	}
	for _, c := range cases {
		cfg, err := parse(t, strings.Fields(c.args)...)
		if err == nil {
			err = cfg.prepare()
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want it to name %s", c.args, err, c.want)
		}
	}
}

func TestPrepare(t *testing.T) {
	t.Setenv("ANABRANCH_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("ANABRANCH_SECRET_ACCESS_KEY", "hush")
	cfg, err := parse(t, "--credentials", "keys", "--tls-cert", "c.pem", "--tls-key", "k.pem", "--public-url", "https://x.example/")
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cfg.DataDir, cfg.Credentials, cfg.TLSCert, cfg.TLSKey} {
		if !filepath.IsAbs(path) {
			t.Errorf("%s is not absolute", path)
		}
	}
	if cfg.PublicURL != "https://x.example" || cfg.AccessKeyID != "AKIDTEST" || cfg.SecretAccessKey != "hush" {
		t.Errorf("prepared %q, %q", cfg.PublicURL, cfg.AccessKeyID)
	}
	t.Setenv("ANABRANCH_SECRET_ACCESS_KEY", "")
	cfg.AccessKeyID, cfg.SecretAccessKey = "", ""
	if err := cfg.prepare(); err == nil {
		t.Error("an access key without a secret is taken")
	}
}

// Without a setting there is room for a stream at least.
func TestTranscodeCapacity(t *testing.T) {
	for args, want := range map[string]func(int) bool{
		"":                         func(n int) bool { return n >= 1 },
		"--transcode-capacity 0":   func(n int) bool { return n == 0 },
		"--transcode-capacity 500": func(n int) bool { return n == 500 },
	} {
		cfg, err := parse(t, strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		if c := transcodeConfig(&cfg, nil); !want(c.Capacity) || c.FFmpeg != "ffmpeg" || c.Encoder != "libx264:veryfast" {
			t.Errorf("%q: %+v", args, c)
		}
	}
}
