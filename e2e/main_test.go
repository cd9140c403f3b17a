package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain builds the program, unless the environment names one.
func TestMain(m *testing.M) {
	if file := os.Getenv(fanoutFile); file != "" {
		fmt.Fprintln(os.Stderr, runFanout(file))
		os.Exit(1)
	}
	var err error
	if external, err = findExternal(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name) // a developer's own account is none of our business
		}
	}
	os.Exit(func() int {
		program = os.Getenv("ANABRANCH")
		if program == "" {
			dir, err := os.MkdirTemp("", "anabranch-e2e-")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			program = filepath.Join(dir, "anabranch")
			if out, err := exec.Command("go", "build", "-o", program, "../cmd/anabranch").CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
				return 1
			}
		}
		return m.Run()
	}())
}
