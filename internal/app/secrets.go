package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// openSecretKey reads the key that playback sessions and page tokens are
// sealed with, and makes it on the first start. It outlives a restart, so that
// players play on.
func openSecretKey(dir *dataDir) ([]byte, error) {
	const name, size = "secret.key", 32
	key, err := os.ReadFile(dir.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key = randomBytes(size)
		return key, dir.write(name, key)
	case err != nil:
		return nil, fmt.Errorf("read secret key: %w", err)
	case len(key) != size:
		return nil, fmt.Errorf("read secret key: %s has %d bytes, not %d; remove it to have a new one made", dir.file(name), len(key), size)
	}
	return key, nil
}
