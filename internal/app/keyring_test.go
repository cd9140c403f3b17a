package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/objectstore"

	"github.com/aws/aws-sdk-go-v2/config"
)

// The first start makes a key, in a file that AWS clients read.
func TestKeyringIsMade(t *testing.T) {
	dir := openTestDir(t)
	made, err := openKeyring(dir, &Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	private(t, dir.path)
	private(t, made.own.file)
	again, err := openKeyring(dir, &Config{}, slog.New(slog.DiscardHandler))
	if err != nil || again.own != made.own {
		t.Errorf("second start: %v (%v), want the same", again.own.accessKeyID, err)
	}
	if secret, ok := again.secret(made.own.accessKeyID); !ok || secret != made.own.secretAccessKey {
		t.Error("the key is not known")
	}

	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", made.own.file)
	loaded, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	read, err := loaded.Credentials.Retrieve(t.Context())
	if err != nil || read.AccessKeyID != made.own.accessKeyID || read.SecretAccessKey != made.own.secretAccessKey {
		t.Errorf("the SDK reads %v (%v), want %v", read.AccessKeyID, err, made.own.accessKeyID)
	}
}

// Which keys are good depends on the settings alone.
func TestKeyringSources(t *testing.T) {
	const (
		inFolder = "[default]\naws_access_key_id=FOLDER\naws_secret_access_key=f\n"
		given    = "[a]\naws_access_key_id=AAA\naws_secret_access_key=a\n[b]\naws_access_key_id=BBB\naws_secret_access_key=b\n"
	)
	for name, tt := range map[string]struct {
		env, file bool
		own       string
		good, bad []string
	}{
		"nothing given":        {false, false, "FOLDER", []string{"FOLDER"}, []string{"ENV", "AAA", ""}},
		"environment":          {true, false, "ENV", []string{"ENV"}, []string{"FOLDER", "AAA"}},
		"file":                 {false, true, "AAA", []string{"AAA", "BBB"}, []string{"FOLDER", "ENV"}},
		"environment and file": {true, true, "ENV", []string{"ENV", "AAA", "BBB"}, []string{"FOLDER"}},
	} {
		dir, cfg := openTestDir(t), &Config{}
		if err := dir.write(credentialsFile, []byte(inFolder)); err != nil {
			t.Fatal(err)
		}
		if tt.env {
			cfg.AccessKeyID, cfg.SecretAccessKey = "ENV", "e"
		}
		if tt.file {
			cfg.Credentials = writeFile(t, given)
		}
		k, err := openKeyring(dir, cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if k.own.accessKeyID != tt.own {
			t.Errorf("%s: own key is %s", name, k.own.accessKeyID)
		}
		for _, id := range tt.good {
			if secret, ok := k.secret(id); !ok || secret != strings.ToLower(id[:1]) {
				t.Errorf("%s: the secret of %s is %q", name, id, secret)
			}
		}
		for _, id := range tt.bad {
			if _, ok := k.secret(id); ok {
				t.Errorf("%s: %s is known", name, id)
			}
		}
	}
}

func TestKeyringMissing(t *testing.T) {
	for _, cfg := range []Config{{}, {AccessKeyID: "ENV", SecretAccessKey: "e"}} {
		cfg.Credentials = filepath.Join(t.TempDir(), "nothing")
		_, err := openKeyring(openTestDir(t), &cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "--credentials") {
			t.Errorf("%v, want it to name the flag", err)
		}
	}
}

// A change of the file counts a second later; a mistake in it is told once and
// changes nothing.
func TestKeyringReadAnew(t *testing.T) {
	key := func(id string) string {
		return "[" + id + "]\naws_access_key_id=" + id + "\naws_secret_access_key=hush-" + id + "\n"
	}
	path := filepath.Join(t.TempDir(), "keys")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(key("OLD"))
	dir := openTestDir(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k, err := openKeyring(dir, &Config{Credentials: path}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		want := func(when string, good ...string) {
			t.Helper()
			for _, id := range []string{"OLD", "NEW"} {
				if _, ok := k.secret(id); ok != strings.Contains(strings.Join(good, " "), id) {
					t.Errorf("%s: %s is known: %v", when, id, ok)
				}
			}
		}
		want("at first", "OLD")
		write(key("OLD") + key("NEW"))
		want("at once", "OLD")
		time.Sleep(time.Second)
		want("a second later", "OLD", "NEW")
		write(key("NEW"))
		time.Sleep(time.Second)
		want("without the old one", "NEW")

		for _, broken := range []string{"", key("OLD") + key("OLD"), "[x]\naws_secret_access_key=hush\n"} {
			log.Reset()
			write(broken)
			for range 3 {
				time.Sleep(time.Second)
				want("broken", "NEW")
			}
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("told %d times of %q: %s", n, broken, log.String())
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want("removed", "NEW")
		log.Reset()
		write(key("OLD"))
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want("there again", "OLD")
		if !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("nobody is warned that others can read the file: %s", log.String())
		}
		if strings.Contains(log.String(), "hush") {
			t.Errorf("the log has a secret: %s", log.String())
		}
	})
}

func TestParseCredentials(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"by hand", "\ufeff# mine\n[ default ] ; it\r\n aws_secret_access_key = a=b \r\naws_access_key_id=MINE\nregion=x\n", "default MINE a=b"},
		{"sections", "[a]\naws_access_key_id=AAA\naws_secret_access_key=a\n[role]\nrole_arn=x\n[b]\naws_secret_access_key=b\naws_access_key_id=BBB", "a AAA a, b BBB b"},
		{"comments", "[a]\n#aws_access_key_id=X\n; aws_secret_access_key=x\naws_access_key_id=AAA\naws_secret_access_key=a\n", "a AAA a"},
		{"nothing", "", "no section"},
		{"no section", "aws_access_key_id=AAA\naws_secret_access_key=hush\n", "no section"},
		{"empty section", "[default]\n", "no section"},
		{"no secret", "[a]\naws_access_key_id=AAA\n", "section [a]"},
		{"no key", "[a]\naws_secret_access_key=hush\n", "section [a]"},
		{"odd key", "[a]\naws_access_key_id=anabranch-server\naws_secret_access_key=hush\n", "section [a]"},
		{"twice", "[a]\naws_access_key_id=AAA\naws_secret_access_key=hush\n[b]\naws_access_key_id=AAA\naws_secret_access_key=hush\n", "[a] and [b]"},
	} {
		all, err := parseCredentials("keys", tt.content)
		var got []string
		for _, c := range all {
			got = append(got, c.profile+" "+c.accessKeyID+" "+c.secretAccessKey)
		}
		told := strings.Join(got, ", ")
		if err != nil {
			told = err.Error()
		}
		if err == nil && told != tt.want || !strings.Contains(told, tt.want) || strings.Contains(told, "hush") {
			t.Errorf("%s: %s, want %s", tt.name, told, tt.want)
		}
	}
}

// Every key opens the embedded S3 endpoint as well, and buckets are nobody's in
// particular.
func TestKeysOfEmbeddedStore(t *testing.T) {
	path := writeFile(t, "[a]\naws_access_key_id=AAA\naws_secret_access_key=a\n[b]\naws_access_key_id=BBB\naws_secret_access_key=b\n")
	s, _ := startServer(t, filepath.Join(t.TempDir(), "data"), "--credentials", path)
	for _, who := range [][2]string{{"AAA", "a"}, {"BBB", "b"}} {
		c, err := objectstore.New(t.Context(), objectstore.Config{
			Endpoint: "http://" + s.endpoints.S3, Region: s.cfg.Region, PathStyle: true, AccessKeyID: who[0], SecretAccessKey: who[1],
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CreateBucket(t.Context(), "shows"); err != nil {
			t.Error(err)
		}
		if err := c.Put(t.Context(), "shows", "ivs/x", "text/plain", strings.NewReader("x")); err != nil {
			t.Error(err)
		}
		if err := s.objects.Check(t.Context(), "shows"); err != nil {
			t.Error(err)
		}
	}
	c, err := objectstore.New(t.Context(), objectstore.Config{
		Endpoint: "http://" + s.endpoints.S3, Region: s.cfg.Region, PathStyle: true, AccessKeyID: "AAA", SecretAccessKey: "b",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateBucket(t.Context(), "other"); err == nil {
		t.Error("a wrong secret opens the store")
	}
}
