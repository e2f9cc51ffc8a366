package keystore

import (
	"context"
	"errors"
	"io/fs"
)

// plain keeps records readable for their owner. Nothing comes here unless
// somebody asked for it by its name.
type plain struct{ k *Keystore }

func (p plain) path(e Entry) string { return p.k.file(e.ID, ".plain") }

func (p plain) probe(context.Context) error { return p.k.probeDir() }

func (p plain) prepare(context.Context, bool) error { return nil }

func (p plain) read(_ context.Context, e Entry) ([]byte, error) {
	b, err := readFile(p.path(e))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, errAbsent
	}
	return b, err
}

func (p plain) open(_ context.Context, e Entry, now []byte) (pen, error) {
	d, err := newDraft(p.path(e), roomFor(now))
	if err != nil {
		return nil, err
	}
	return plainPen{d}, nil
}

func (p plain) erase(_ context.Context, e Entry) error { return eraseFile(p.path(e)) }

type plainPen struct{ *draft }

func (p plainPen) commit(_ context.Context, data []byte) error { return p.draft.commit(data) }

// eraseFile removes a record and what a killed write left beside it.
func eraseFile(path string) error { return errors.Join(remove(path+".tmp"), remove(path)) }

// roomFor is how much space is taken for the successor of a record: tokens keep
// about their length.
func roomFor(now []byte) int { return len(now) + len(now)/4 + 4<<10 }
