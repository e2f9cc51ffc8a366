package keystore

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// A fileLock is a kernel lock on a file of its own. The kernel frees it when its
// holder dies, however that happens, and keeps it while the holder sleeps.
type fileLock struct{ file *flock.Flock }

// lockFile waits for a lock, and says so when that takes long.
func (k *Keystore) lockFile(ctx context.Context, path string) (*fileLock, error) {
	defer k.slow("Waiting for another mxauth that is busy with this session.")()
	began := time.Now()
	limit, cancel := context.WithTimeout(ctx, k.limits.lock)
	defer cancel()
	for {
		if l, err := tryLock(path); l != nil || err != nil {
			return l, err
		}
		select {
		case <-limit.Done():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, &BusyError{PID: holder(path), Waited: time.Since(began)}
		case <-time.After(k.limits.poll/2 + rand.N(k.limits.poll)): // #nosec G404 -- no secret; many that wait shall not try at the same moment
		}
	}
}

// tryLock takes a lock that nobody holds; nil if somebody does. A lock file that
// was replaced meanwhile locks nothing, so what was locked is compared with what
// now stands under the name.
func tryLock(path string) (*fileLock, error) {
	l := &fileLock{flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(0o600))}
	got, err := l.file.TryLock()
	if err != nil {
		return nil, lockError(path, err)
	}
	if !got || !l.current(path) {
		l.unlock()
		return nil, nil
	}
	l.sign(path)
	return l, nil
}

// current reports whether the locked file is the one that stands under its name.
func (l *fileLock) current(path string) bool {
	held, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(held, named)
}

// sign tells others who holds the lock. It is a courtesy: the lock does not
// depend on it. Windows locks keep everybody from the content, us too.
func (l *fileLock) sign(path string) {
	if runtime.GOOS != "windows" {
		_ = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	}
}

func (l *fileLock) unlock() { _ = l.file.Unlock() } // the kernel frees it with the file in any case

// holder reads who signed a lock file; 0 if nobody did.
func holder(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// lockError tells a file system without locks from other trouble: without a
// lock nothing is changed.
func lockError(path string, err error) error {
	for _, none := range []error{syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.ENOTSUP} {
		if errors.Is(err, none) {
			return &Error{Kind: NoLock, Problem: "the file system has no locks", Path: path, Err: bare(err)}
		}
	}
	return fileError(path, err)
}
