package disk

import (
	"io"
	"io/fs"
	"strconv"
	"syscall"
)

// A File is an open file or folder, as os.File is.
type File struct {
	p      *Process
	path   string
	n      *node
	offset int
}

// Open is os.Open.
func Open(path string) (*File, error) { return OpenFile(path, O_RDONLY, 0) }

// OpenFile is os.OpenFile. What is opened for reading is read at once, as if no
// time passed between the two.
func OpenFile(path string, flag int, _ fs.FileMode) (*File, error) {
	p, at := user(path)
	op := "read"
	switch {
	case flag&O_TRUNC != 0:
		op = "create"
	case flag&O_CREATE != 0:
		op = "open"
	}
	if err := p.begin(op, at); err != nil {
		return nil, fail("open", path, err)
	}
	n := p.Disk.find(at)
	if folder, name := p.Disk.parent(at); n == nil && folder != nil && flag&O_CREATE != 0 {
		n = p.Disk.make(false)
		folder.names[name] = n
	}
	if n == nil {
		p.end(op, at, "none")
		return nil, fail("open", path, syscall.ENOENT)
	}
	if flag&O_TRUNC != 0 {
		n.data = nil
	}
	if op == "read" && n.names == nil {
		copied := *n // what a rename replaces stays with those who have it open
		n = &copied
		p.end(op, at, string(n.data))
	}
	return &File{p, at, n, 0}, nil
}

// Read is os.File's.
func (f *File) Read(b []byte) (int, error) {
	if f.offset >= len(f.n.data) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[f.offset:])
	f.offset += n
	return n, nil
}

// Write is os.File's.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.WriteAt(b, int64(f.offset))
	f.offset += n
	return n, err
}

// WriteAt is os.File's.
func (f *File) WriteAt(b []byte, at int64) (int, error) {
	if err := f.p.begin("write", f.path); err != nil {
		return 0, fail("write", f.path, err)
	}
	if missing := int(at) + len(b) - len(f.n.data); missing > 0 {
		f.n.data = append(f.n.data, make([]byte, missing)...)
	}
	return copy(f.n.data[at:], b), nil
}

// Truncate is os.File's.
func (f *File) Truncate(size int64) error {
	if err := f.p.begin("truncate", f.path); err != nil {
		return fail("truncate", f.path, err)
	}
	f.n.data = f.n.data[:size]
	return nil
}

// Sync is os.File's, for folders too.
func (f *File) Sync() error {
	if err := f.p.begin("sync", f.path); err != nil {
		return fail("sync", f.path, err)
	}
	f.n.sync()
	return nil
}

// Chmod is os.File's.
func (f *File) Chmod(mode fs.FileMode) error { return nil }

// Stat is os.File's.
func (f *File) Stat() (fs.FileInfo, error) { return f.n.info(f.path), nil }

// Close is os.File's.
func (f *File) Close() error { return nil }

// A Flock is a lock on a file, as github.com/gofrs/flock has it.
type Flock struct {
	path string
	file *File
	held bool
}

// An Option would change how a Flock opens its file.
type Option func()

// SetFlag is flock's.
func SetFlag(int) Option { return nil }

// SetPermissions is flock's.
func SetPermissions(fs.FileMode) Option { return nil }

// New is flock.New.
func New(path string, _ ...Option) *Flock { return &Flock{path: path} }

// TryLock is flock's.
func (l *Flock) TryLock() (bool, error) {
	f, err := OpenFile(l.path, O_RDWR|O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	if err := f.p.begin("lock", f.path); err != nil {
		return false, fail("flock", l.path, err)
	}
	l.file = f
	l.held = f.n.locked == nil
	if l.held {
		f.n.locked = l
		f.p.locks = append(f.p.locks, l)
	}
	f.p.end("lock", f.path, strconv.FormatBool(l.held))
	return l.held, nil
}

// Unlock is flock's.
func (l *Flock) Unlock() error {
	if l.file == nil || !l.held {
		return nil
	}
	if err := l.file.p.begin("unlock", l.file.path); err != nil {
		return fail("flock", l.path, err)
	}
	l.free()
	return nil
}

func (l *Flock) free() {
	if l.held && l.file.n.locked == l {
		l.file.n.locked = nil
	}
	l.held = false
}

// Stat is flock's.
func (l *Flock) Stat() (fs.FileInfo, error) { return l.file.Stat() }
