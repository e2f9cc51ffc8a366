package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
)

// fileMax is the largest credentials file that is read, in bytes.
const fileMax = 1 << 20

// writeFormat puts a handout into the file of a consumer.
func (a *app) writeFormat(f format, path string, h handout) error {
	if err := f.fits(h); err != nil {
		return err
	}
	old, private, err := readOwn(path)
	if err != nil {
		return err
	}
	text, err := f.write(old, h)
	if err != nil {
		return exit.Usagef("%s is left as it is: %w", path, err)
	}
	if private && bytes.Equal(text, old) {
		a.detail("%s is up to date.", path)
		return nil
	}
	err = replaceFile(path, text)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return exit.Usagef("there is no folder %s", filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("%w: %w", exit.ErrOutput, err)
	}
	a.detail("Wrote %s, good until %s.", path, clockTime(h.expiry))
	return nil
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return "the server ends it"
	}
	return t.Local().Format("15:04:05")
}

// readOwn reads a file that is to be replaced, nothing if there is none. What is
// no plain file of ours is refused: a link would lead the token elsewhere.
// private: nobody else can read it.
func readOwn(path string) (content []byte, private bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, &exit.UsageError{Err: err}
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, false, exit.Usagef("%s is a symbolic link, and a token is not written through one", path)
	case !info.Mode().IsRegular():
		return nil, false, exit.Usagef("%s is not a file", path)
	case othersFile(info):
		return nil, false, exit.Usagef("%s belongs to another user", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, false, &exit.UsageError{Err: err}
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err = io.ReadAll(io.LimitReader(f, fileMax+1))
	if err == nil && len(content) > fileMax {
		err = fmt.Errorf("%s is too large for a credentials file", path)
	}
	if err != nil {
		return nil, false, &exit.UsageError{Err: err}
	}
	return content, !modeMatters || info.Mode().Perm() == 0o600, nil
}

// replaceFile puts data in the place of a file: a reader sees the old one or the
// new one, whole, whenever the machine stops.
func replaceFile(path string, data []byte) error {
	dir, base := filepath.Split(path)
	dir = filepath.Clean(dir)
	clearLeft(dir, base)
	f, err := os.CreateTemp(dir, leftPrefix(base)+"*") // mode 0600, never through a link
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

// leftPrefix begins the names of files that are being written.
func leftPrefix(base string) string { return "." + base + ".mxauth-" }

// clearLeft removes what a killed process left beside a file. Another that is
// writing this moment is left alone.
func clearLeft(dir, base string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return // CreateTemp says what is wrong with the folder
	}
	for _, f := range files {
		info, err := f.Info()
		if err == nil && strings.HasPrefix(f.Name(), leftPrefix(base)) && info.Mode().IsRegular() && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(dir, f.Name())) // the next one tries again
		}
	}
}
