package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Programs that use the AWS SDK for JavaScript call each of its operations; what
// comes back is what the SDK's schemas say. This one is on air and off.
func callWithTheJavaScriptSDK(t *testing.T, s *server) (known []string) {
	return tellStory(t, s, "operations.mjs", func(line storyLine) {
		if line.Publish != "" {
			publish(t, "rtmp://"+s.at.RTMP+"/app/"+line.Publish, testPicture())
		}
	})
}

// storyLine is what such a program prints.
type storyLine struct {
	Publish   string // asks for a broadcast with a stream key
	Join      *struct{ ARN, ID, Token string }
	Operation string
	Problem   string
	Known     []string
}

// tellStory runs such a program, and does what it asks for. It returns the
// operations that the program knows.
func tellStory(t *testing.T, s *server, program string, do func(storyLine)) (known []string) {
	t.Helper()
	_, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket})
	if err != nil && !isA[*s3types.BucketAlreadyOwnedByYou](err) {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", program, "http://"+s.at.HTTP, region, s.bucket)
	cmd.Dir = "sdk"
	cmd.Env = append(os.Environ(), "AWS_SHARED_CREDENTIALS_FILE="+s.credentials(), "AWS_CONFIG_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var line storyLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("%q: %v", lines.Text(), err)
		}
		do(line)
		if line.Problem != "" {
			t.Error(line.Problem)
		}
		known = append(known, line.Known...)
	}
	if err := cmd.Wait(); err != nil || len(known) == 0 {
		t.Fatalf("the program ended early: %v\n%s", err, &stderr)
	}
	return known
}
