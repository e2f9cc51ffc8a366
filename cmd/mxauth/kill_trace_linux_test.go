package main

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A trace is how a traced run of the binary went.
type trace struct {
	result
	points int  // system calls at which it could have been killed
	killed bool // it was
}

// killedAt runs the binary under ptrace and kills it before its nth system call
// that matters, counted over all threads; 0 lets it live. strace counts in each
// thread anew, and Go moves its work between threads.
func (b box) killedAt(n int, args ...string) trace {
	b.t.Helper()
	dir := b.t.TempDir()
	out, errs := b.file(filepath.Join(dir, "stdout")), b.file(filepath.Join(dir, "stderr"))
	done := make(chan trace)
	go func() {
		runtime.LockOSThread() // a tracer is a thread
		defer runtime.UnlockOSThread()
		done <- b.lead(n, out, errs, args)
	}()
	t := <-done
	t.stdout, t.stderr = content(b.t, out), content(b.t, errs)
	b.saw(append([]string{binary}, args...), t.stdout, t.stderr)
	b.left()
	return t
}

func (b box) file(path string) *os.File {
	b.t.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	defer func() { _ = f.Close() }()
	s, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(s)
}

// lead starts the binary, stopped, and takes it from system call to system call.
func (b box) lead(n int, out, errs *os.File, args []string) (t trace) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		b.t.Error(err)
		return t
	}
	defer func() { _ = null.Close() }()
	pid, err := syscall.ForkExec(binary, append([]string{binary}, args...), &syscall.ProcAttr{
		Dir: b.dir, Env: b.env, Files: []uintptr{null.Fd(), out.Fd(), errs.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		b.t.Error(err)
		return t
	}
	const group = syscall.WALL | unix.WNOTHREAD
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil {
		b.t.Error(err)
		return t
	}
	options := unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(pid, options); err != nil {
		b.t.Error(err)
		return t
	}
	_ = syscall.PtraceSyscall(pid, 0) // if it has died, Wait4 tells
	for {
		thread, err := syscall.Wait4(-pid, &status, group, nil)
		if err != nil {
			return t
		}
		if thread == pid && (status.Exited() || status.Signaled()) {
			t.code = status.ExitStatus()
			return t
		}
		if !status.Stopped() {
			continue
		}
		if status.StopSignal() == syscall.SIGTRAP|0x80 && matters(thread) {
			t.points++
			if t.points == n {
				t.killed = true
				_ = syscall.Kill(pid, syscall.SIGKILL)
				continue
			}
		}
		_ = syscall.PtraceSyscall(thread, passOn(status)) // if it has died, Wait4 tells
	}
}

// passOn returns the signal that the tracee shall get: its own, not those of the
// tracing.
func passOn(status syscall.WaitStatus) int {
	switch s := status.StopSignal(); s {
	case syscall.SIGTRAP, syscall.SIGTRAP | 0x80, syscall.SIGSTOP:
		return 0
	default:
		return int(s)
	}
}

// matters reports whether a thread is about to make a system call that others
// could notice. The rest is memory, time and threads: to be killed there is to be
// killed at the next one that matters.
func matters(thread int) bool {
	var info struct { // struct ptrace_syscall_info
		op     uint8
		_      [3]uint8
		_      uint32
		_      [2]uint64
		number uint64
		_      [6]uint64
	}
	const getSyscallInfo, entry = 0x420e, 1
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || info.op != entry {
		return false
	}
	return !unnoticed[info.number]
}

var unnoticed = map[uint64]bool{
	unix.SYS_FUTEX: true, unix.SYS_NANOSLEEP: true, unix.SYS_CLOCK_NANOSLEEP: true, unix.SYS_SCHED_YIELD: true,
	unix.SYS_EPOLL_PWAIT: true, unix.SYS_EPOLL_CTL: true, unix.SYS_MMAP: true, unix.SYS_MUNMAP: true, unix.SYS_MADVISE: true,
	unix.SYS_MPROTECT: true, unix.SYS_RT_SIGACTION: true, unix.SYS_RT_SIGPROCMASK: true, unix.SYS_RT_SIGRETURN: true,
	unix.SYS_SIGALTSTACK: true, unix.SYS_GETTID: true, unix.SYS_GETPID: true, unix.SYS_TGKILL: true, unix.SYS_CLONE: true,
	unix.SYS_TIMER_CREATE: true, unix.SYS_TIMER_SETTIME: true, unix.SYS_TIMER_DELETE: true, unix.SYS_PRCTL: true,
	unix.SYS_SCHED_GETAFFINITY: true, unix.SYS_GETRANDOM: true, unix.SYS_FCNTL: true, unix.SYS_SETPGID: true,
	unix.SYS_PRLIMIT64: true, unix.SYS_UNAME: true, unix.SYS_GETSOCKNAME: true, unix.SYS_GETSOCKOPT: true,
	unix.SYS_SETSOCKOPT: true, unix.SYS_GETPEERNAME: true,
	unix.SYS_GETUID: true, unix.SYS_GETEUID: true, unix.SYS_RESTART_SYSCALL: true,
}
