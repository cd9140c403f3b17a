package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// apiCaller makes signed calls as bytes, before they are needed, so that those
// who send them use little of the machine.
type apiCaller struct {
	host string
	who  aws.Credentials
	sign *v4.Signer
}

func newAPICaller(s *server) *apiCaller {
	s.t.Helper()
	who, err := s.config().Credentials.Retrieve(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return &apiCaller{s.at.HTTP, who, v4.NewSigner()}
}

// call is a request for an operation, valid for some minutes.
func (a *apiCaller) call(t testing.TB, operation string, input any) []byte {
	t.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.host+"/"+operation, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	if err := a.sign.SignHTTP(t.Context(), a.who, r, hex.EncodeToString(sum[:]), "ivs", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	var request bytes.Buffer
	if err := r.Write(&request); err != nil {
		t.Fatal(err)
	}
	return request.Bytes()
}

// ask sends a call and decodes its answer.
func (a *apiCaller) ask(c *loadClient, request []byte, answer any) error {
	if _, err := c.ask(request); err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// apiLoad is a number of callers, each of whom makes calls, one after the
// other, as fast as they are answered.
type apiLoad struct {
	host  string
	pick  func(*rand.Rand) []byte // a call
	count int

	counting atomic.Bool
	failures failures
}

// run lets the callers loose until stop is called, which returns how long the
// calls took, in milliseconds, that began while counting was set.
func (l *apiLoad) run() (stop func() series) {
	ctx, cancel := context.WithCancel(context.Background())
	var calling sync.WaitGroup
	took := make([]series, l.count)
	for i := range l.count {
		calling.Go(func() {
			if err := l.call(ctx, rand.New(rand.NewPCG(1, uint64(i))), &took[i]); err != nil {
				l.failures.add(err)
			}
		})
	}
	return func() series {
		cancel()
		calling.Wait()
		return slices.Concat(took...)
	}
}

func (l *apiLoad) call(ctx context.Context, random *rand.Rand, took *series) error {
	c, err := dialLoad(l.host)
	if err != nil {
		return err
	}
	defer c.close()
	for ctx.Err() == nil {
		request := l.pick(random)
		counting, begin := l.counting.Load(), time.Now()
		if _, err := c.ask(request); err != nil {
			return err
		}
		if err := c.skip(); err != nil {
			return err
		}
		if counting {
			took.add(float64(time.Since(begin).Microseconds()) / 1000)
		}
	}
	return nil
}

// oneOf is a call of several that are alike.
func oneOf(calls [][]byte) func(*rand.Rand) []byte {
	return func(random *rand.Rand) []byte { return calls[random.IntN(len(calls))] }
}
