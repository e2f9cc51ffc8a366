package disk

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// This file has the names of package os that the code under test uses.

// What does not depend on the file system.
const (
	O_RDONLY = os.O_RDONLY
	O_RDWR   = os.O_RDWR
	O_CREATE = os.O_CREATE
	O_TRUNC  = os.O_TRUNC
)

// Types of package os.
type (
	PathError = os.PathError
	LinkError = os.LinkError
)

// Getenv knows no variables: they would lead out of the model.
func Getenv(string) string { return "" }

// Getpid returns the same number for everyone; who holds a lock is only told.
func Getpid() int { return 1 }

// Geteuid is nobody in particular: a model's files belong to everyone.
func Geteuid() int { return 0 }

// clock is what the wall clock of the machine shows.
var clock time.Time

// SetClock sets the wall clock of the machine. It stands still: how long things
// take is told by the order in which they happen, and two runs that differ in
// nothing else shall write the same.
func SetClock(t time.Time) { clock = t }

// Now is time.Now by the wall clock alone, as after a resume or a restart.
func Now() time.Time { return clock }

func fail(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// An info is an fs.FileInfo.
type info struct {
	name string
	n    *node
	mode fs.FileMode
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

func (n *node) info(path string) fs.FileInfo {
	return info{path[strings.LastIndexByte(path, '/')+1:], n, n.mode, int64(len(n.data))}
}

// SameFile is os.SameFile.
func SameFile(a, b fs.FileInfo) bool {
	x, ok := a.(info)
	y, too := b.(info)
	return ok && too && x.n == y.n
}

// Stat is os.Stat.
func Stat(path string) (fs.FileInfo, error) { return stat("stat", path) }

// Lstat is os.Lstat: there are no symbolic links here.
func Lstat(path string) (fs.FileInfo, error) { return stat("lstat", path) }

func stat(op, path string) (fs.FileInfo, error) {
	p, at := user(path)
	if err := p.begin(op, at); err != nil {
		return nil, fail(op, path, err)
	}
	n := p.Disk.find(at)
	if n == nil {
		p.end(op, at, "none")
		return nil, fail(op, path, syscall.ENOENT)
	}
	p.end(op, at, "there")
	return n.info(path), nil
}

// Chmod is os.Chmod.
func Chmod(path string, mode fs.FileMode) error {
	p, at := user(path)
	if err := p.begin("chmod", at); err != nil {
		return fail("chmod", path, err)
	}
	n := p.Disk.find(at)
	if n == nil {
		return fail("chmod", path, syscall.ENOENT)
	}
	n.mode = n.mode&^0o777 | mode&0o777
	return nil
}

// MkdirAll is os.MkdirAll.
func MkdirAll(path string, mode fs.FileMode) error {
	p, at := user(path)
	if err := p.begin("mkdir", at); err != nil {
		return fail("mkdir", path, err)
	}
	n := p.Disk.root
	for _, name := range split(at) {
		if n.names[name] == nil {
			n.names[name] = p.Disk.make(true)
		}
		n = n.names[name]
	}
	return nil
}

// Remove is os.Remove.
func Remove(path string) error {
	p, at := user(path)
	if err := p.begin("remove", at); err != nil {
		return fail("remove", path, err)
	}
	folder, name := p.Disk.parent(at)
	if folder == nil || folder.names[name] == nil {
		p.end("remove", at, "none")
		return fail("remove", path, syscall.ENOENT)
	}
	delete(folder.names, name)
	p.end("remove", at, "done")
	return nil
}

// Rename is os.Rename.
func Rename(from, to string) error {
	p, at := user(from)
	_, target := user(to)
	if err := p.begin("rename", target); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	old, name := p.Disk.parent(at)
	folder, as := p.Disk.parent(target)
	if old == nil || old.names[name] == nil || folder == nil {
		p.end("rename", target, "none")
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.ENOENT}
	}
	folder.names[as] = old.names[name]
	delete(old.names, name)
	p.end("rename", target, "done")
	return nil
}

// Link is os.Link.
func Link(from, to string) error {
	p, at := user(from)
	_, target := user(to)
	if err := p.begin("link", target); err != nil {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: err}
	}
	folder, as := p.Disk.parent(target)
	if folder.names[as] != nil {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EEXIST}
	}
	folder.names[as] = p.Disk.find(at)
	return nil
}

// ReadDir is os.ReadDir.
func ReadDir(path string) ([]fs.DirEntry, error) {
	p, at := user(path)
	if err := p.begin("readdir", at); err != nil {
		return nil, fail("readdir", path, err)
	}
	folder := p.Disk.find(at)
	if folder == nil {
		p.end("readdir", at, "none")
		return nil, fail("open", path, syscall.ENOENT)
	}
	var entries []fs.DirEntry
	var names []string
	for name, n := range folder.names {
		entries, names = append(entries, fs.FileInfoToDirEntry(n.info(name))), append(names, name)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	slices.Sort(names)
	p.end("readdir", at, strings.Join(names, " "))
	return entries, nil
}

// ReadFile is os.ReadFile.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// WriteFile is os.WriteFile.
func WriteFile(path string, data []byte, _ fs.FileMode) error {
	f, err := OpenFile(path, O_RDWR|O_CREATE|O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// mistake is the one that is made on purpose.
var mistake string

// Mistake reports whether a mistake is to be made: tests put such places into
// the code under test, to see that they would be found.
func Mistake(name string) bool { return name == mistake }

// Make makes a mistake from now on; "" none.
func Make(name string) { mistake = name }
