package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// DefaultDir finds the state directory: MXAUTH_STATE_DIR, systemd's
// STATE_DIRECTORY (the first of several), XDG_STATE_HOME/mxauth, then
// ~/.local/state/mxauth, on macOS ~/Library/Application Support/mxauth, on
// Windows %LocalAppData%\mxauth. Every one must be absolute: a relative
// directory would hide the sessions from whoever stands elsewhere.
//
// An error is a mistake in the environment, such as a missing HOME.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv("MXAUTH_STATE_DIR"); dir != "" {
		return absolute("MXAUTH_STATE_DIR", dir)
	}
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); dir != "" && runtime.GOOS != "windows" {
		return absolute("STATE_DIRECTORY", dir)
	}
	if dir := getenv("XDG_STATE_HOME"); dir != "" {
		return absolute("XDG_STATE_HOME", dir, "mxauth")
	}
	if runtime.GOOS == "windows" {
		dir := getenv("LocalAppData")
		if dir == "" {
			return "", errors.New("LocalAppData is not set, so there is no place for sessions; MXAUTH_STATE_DIR would name one")
		}
		return absolute("LocalAppData", dir, "mxauth")
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("HOME is not set, so there is no place for sessions; MXAUTH_STATE_DIR would name one")
	}
	if runtime.GOOS == "darwin" {
		return absolute("HOME", home, "Library", "Application Support", "mxauth")
	}
	return absolute("HOME", home, ".local", "state", "mxauth")
}

func absolute(variable string, parts ...string) (string, error) {
	if !filepath.IsAbs(parts[0]) {
		return "", fmt.Errorf("%s is not an absolute path", variable)
	}
	return filepath.Join(parts...), nil
}

// makeDir makes the state directory, durably, and makes sure that it is ours
// alone.
func (k *Keystore) makeDir() error {
	var missing []string
	for d := k.sessionsDir(); d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, d)
	}
	if err := os.MkdirAll(k.sessionsDir(), 0o700); err != nil {
		return fileError(k.opts.Dir, err)
	}
	for _, d := range missing {
		if err := syncDir(filepath.Dir(d)); err != nil {
			return fileError(d, err)
		}
	}
	return k.private()
}

// private makes sure that nobody else can plant sessions or locks: it refuses
// directories that are not ours, and closes ours if they are open.
func (k *Keystore) private() error {
	for _, dir := range []string{k.opts.Dir, k.sessionsDir()} {
		info, err := ours(dir)
		if err != nil {
			return err
		}
		if chmodMatters && info.Mode().Perm()&0o077 != 0 {
			err := os.Chmod(dir, 0o700) // #nosec G302 -- a folder
			if err != nil {
				return fileError(dir, err)
			}
		}
	}
	return nil
}

// ours refuses what is no directory, what belongs to somebody else, and places
// like /tmp, which others need open.
func ours(dir string) (fs.FileInfo, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fileError(dir, err)
	case !info.IsDir():
		return nil, &Error{Kind: Broken, Problem: "it is not a directory", Path: dir}
	case foreign(info):
		return nil, &Error{Kind: Permission, Problem: "the directory belongs to another user", Path: dir}
	case info.Mode()&fs.ModeSticky != 0:
		return nil, &Error{Kind: Permission, Problem: "the directory is for everybody's files", Path: dir}
	}
	return info, nil
}

// probeDir reports whether the state directory can be written, if it is there.
// One that is missing is made at the first login.
func (k *Keystore) probeDir() error {
	_, err := ours(k.opts.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := newDraft(filepath.Join(k.opts.Dir, "probe"), roomFor(nil))
	if err != nil {
		return err
	}
	return d.drop()
}
