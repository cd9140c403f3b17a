package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A program that uses the AWS SDK for JavaScript calls each of its operations,
// on air and off; what comes back is what the SDK's schemas say.
func callWithTheJavaScriptSDK(t *testing.T, s *server) (known []string) {
	if _, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "operations.mjs", "http://"+s.at.HTTP, region, s.bucket)
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
		var line struct {
			Publish   string
			Operation string
			Problem   string
			Known     []string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("%q: %v", lines.Text(), err)
		}
		if line.Publish != "" {
			publish(t, "rtmp://"+s.at.RTMP+"/app/"+line.Publish, testPicture())
		}
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
