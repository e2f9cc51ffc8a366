package keystore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// recordMax is the largest file that is read, in bytes.
const recordMax = 4 << 20

// A draft is a file about to be replaced. Its content goes to a temporary file
// beside it, whose space is taken at once: a full disk shows before a server is
// asked for tokens, not after. The caller holds the lock under which the file is
// written, so the temporary file has one name, and what a killed process left
// there is used again.
type draft struct {
	path string
	file *os.File // nil: not made yet, or done
}

func newDraft(path string, size int) (*draft, error) {
	d := &draft{path: path}
	if err := d.create(); err != nil {
		return nil, err
	}
	_, err := d.file.Write(make([]byte, size))
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil {
		return nil, errors.Join(fileError(d.path, err), d.drop())
	}
	return d, nil
}

func (d *draft) temporary() string { return d.path + ".tmp" }

func (d *draft) create() error {
	f, err := os.OpenFile(d.temporary(), os.O_RDWR|os.O_CREATE|os.O_TRUNC|noFollow, 0o600)
	if err == nil {
		if err = f.Chmod(0o600); err != nil && !chmodMatters {
			err = nil
		}
		if err != nil {
			_ = f.Close() // the first error counts
		}
	}
	if err != nil {
		return fileError(d.path, err)
	}
	d.file = f
	return nil
}

// commit puts data in the place of the file: write, fsync, rename, fsync of the
// folder, read back. After a failure the old content stands, and commit may be
// called again.
func (d *draft) commit(data []byte) error {
	if d.file == nil {
		if err := d.create(); err != nil {
			return err
		}
	}
	if err := d.fill(data); err != nil {
		return fileError(d.path, err)
	}
	if err := os.Rename(d.temporary(), d.path); err != nil {
		return fileError(d.path, err)
	}
	if err := syncDir(filepath.Dir(d.path)); err != nil {
		return fileError(d.path, err)
	}
	back, err := readFile(d.path)
	if err == nil && !bytes.Equal(back, data) {
		err = &Error{Kind: Broken, Problem: "the file system returned something else than was written", Path: d.path}
	}
	return err
}

// fill makes data the whole content of the temporary file, and closes it:
// Windows renames only closed files.
func (d *draft) fill(data []byte) error {
	f := d.file
	d.file = nil
	_, err := f.WriteAt(data, 0)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// drop removes the temporary file, if there is one.
func (d *draft) drop() error {
	if d.file != nil {
		_ = d.file.Close() // what it holds is not wanted
		d.file = nil
	}
	return remove(d.temporary())
}

// writeFile replaces a file durably.
func writeFile(path string, data []byte) error {
	d := &draft{path: path}
	if err := d.commit(data); err != nil {
		return errors.Join(err, d.drop())
	}
	return nil
}

// readFile reads a whole file of at most recordMax bytes. A file that is not
// there is an error of kind Missing that is also fs.ErrNotExist.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, recordMax+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if len(b) > recordMax {
		return nil, &Error{Kind: Broken, Problem: "the file is far too large", Path: path}
	}
	return b, nil
}

// remove deletes a file; it is no error if there is none.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(path, err)
	}
	return nil
}

// fileError says what an error of the file system means.
func fileError(path string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Kind: Broken, Problem: "the file system failed", Path: path, Err: bare(err)}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, alsoFull), errors.Is(err, syscall.EFBIG):
		e.Kind, e.Problem = Full, "there is no room to write"
	case errors.Is(err, syscall.EROFS):
		e.Kind, e.Problem = ReadOnly, "the file system is read-only"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Problem = Permission, "access is denied"
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Problem = Missing, "there is no such file"
	}
	return e
}

// bare drops the path that the os package puts before an error: Error has it.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
