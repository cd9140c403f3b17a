package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// client calls the API of a running server.
type client struct {
	base        string // URL without a slash at the end
	from        string // where base was found, in words
	region      string
	credentials aws.Credentials
	http        *http.Client
}

// connect finds the server at endpoint, or that of the data folder, of which it
// only reads. It does not speak to the server yet.
func connect(ctx context.Context, cfg *Config, endpoint string) (*client, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	c := &client{http: &http.Client{Transport: &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
	}}}
	if endpoint != "" {
		return c, c.configure(ctx, cfg, endpoint)
	}
	name := filepath.Join(cfg.DataDir, endpointsFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no server runs on the data folder %s; start one, or give --data-dir or --endpoint", cfg.DataDir)
	}
	var e Endpoints
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		return nil, fmt.Errorf("read addresses of the server: %w", err)
	}
	c.base, c.from, c.region = "http://"+e.HTTP, "as "+name+" says", e.Region
	secret, err := ownCredentials(
		credentials{accessKeyID: cfg.AccessKeyID, secretAccessKey: cfg.SecretAccessKey},
		cmp.Or(cfg.Credentials, filepath.Join(cfg.DataDir, credentialsFile)))
	if err != nil {
		return nil, err
	}
	c.credentials = aws.Credentials{AccessKeyID: secret.accessKeyID, SecretAccessKey: secret.secretAccessKey}
	return c, nil
}

// configure is for a server that is known by its URL, and what the environment
// tells the AWS CLI.
func (c *client) configure(ctx context.Context, cfg *Config, endpoint string) error {
	if !isBaseURL(endpoint) {
		return fmt.Errorf("--endpoint: %q is not an http or https URL", endpoint)
	}
	c.base, c.from = strings.TrimRight(endpoint, "/"), "as --endpoint says"
	c.credentials = aws.Credentials{AccessKeyID: cfg.AccessKeyID, SecretAccessKey: cfg.SecretAccessKey}
	loaded, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("load AWS configuration: %w", err)
	}
	if c.region = loaded.Region; c.region == "" {
		c.region = cfg.Region
	}
	if c.credentials.AccessKeyID == "" {
		if c.credentials, err = loaded.Credentials.Retrieve(ctx); err != nil {
			return errors.New("--endpoint needs credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE")
		}
	}
	return nil
}

// maxAnswer bounds the JSON of an answer, in bytes.
const maxAnswer = 16 << 20

// call makes a signed GET and decodes its answer.
func (c *client) call(ctx context.Context, path string, query url.Values, answer any) error {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	nothing := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(ctx, c.credentials, r, hex.EncodeToString(nothing[:]), "ivs", c.region, time.Now()); err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	resp, err := c.do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	return nil
}

// do sends a request. An answer other than 2xx is an error with its message.
func (c *client) do(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil && r.Context().Err() == nil {
		return nil, fmt.Errorf("no server answers at %s, %s: %w", c.base, c.from, errors.Unwrap(err))
	}
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	defer resp.Body.Close()
	var told struct{ Message string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&told) // else the status says it
	return nil, &answerError{resp.StatusCode, printable(told.Message)}
}

// answerError is an answer of the server that refuses.
type answerError struct {
	status  int
	message string
}

func (e *answerError) Error() string {
	if e.message == "" {
		return http.StatusText(e.status)
	}
	return e.message
}

// recordings calls f for each recording that query leaves.
func (c *client) recordings(ctx context.Context, query url.Values, f func(json.RawMessage, *shelved) error) error {
	for {
		var page struct {
			Recordings []json.RawMessage
			NextToken  string
		}
		if err := c.call(ctx, "/v1/recordings", query, &page); err != nil {
			return fmt.Errorf("list recordings: %w", err)
		}
		for _, raw := range page.Recordings {
			r := new(shelved)
			if err := json.Unmarshal(raw, r); err != nil {
				return fmt.Errorf("list recordings: %w", err)
			}
			if err := f(raw, r); err != nil {
				return err
			}
		}
		if page.NextToken == "" {
			return nil
		}
		query.Set("nextToken", page.NextToken)
	}
}

// recording reads one recording.
func (c *client) recording(ctx context.Context, id string) (*shelved, error) {
	var got struct{ Recording shelved }
	if err := c.call(ctx, "/v1/recordings/"+url.PathEscape(id), nil, &got); err != nil {
		return nil, fmt.Errorf("read recording %s: %w", id, err)
	}
	return &got.Recording, nil
}
