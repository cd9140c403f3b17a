package realtime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// silent is an object store that never answers.
type silent struct{}

func (silent) Check(ctx context.Context, _ string) error {
	<-ctx.Done()
	return errors.New("the object store cannot be reached")
}

// An object store that does not answer is waited for, but not for ever, and not
// for a caller who has gone.
func TestStorageConfigurationPatience(t *testing.T) {
	in := new(createStorageConfigurationRequest)
	s := &service{Config{Buckets: silent{}}}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := s.createStorageConfiguration(t.Context(), in)
		var e *resource.Error
		if !errors.As(err, &e) || e.Kind != resource.Invalid || e.Msg != "s3.bucketName: the object store cannot be reached" {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("it was waited for for %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.createStorageConfiguration(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a caller it ends with %v", err)
		}
	})
}
