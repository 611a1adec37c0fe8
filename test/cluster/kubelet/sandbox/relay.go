package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// refused is what the other side of a link says in place of "ok" when there is
// nobody to connect to.
const refused = "refused"

// introduce says on a new link who is called, and waits until that one answers.
func introduce(link net.Conn, name string) error {
	if _, err := io.WriteString(link, name+"\n"); err != nil {
		return err
	}
	answer, err := readLine(link)
	if err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("connect to %s: %s", name, answer)
	}
	return nil
}

// readLine reads a line and not a byte more.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	b := make([]byte, 1)
	for line.Len() < 512 {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return line.String(), nil
		}
		line.WriteByte(b[0])
	}
	return "", errors.New("a link began with no line")
}

// Answer serves one link: it reads who is called, connects with dial, and carries
// bytes both ways until both have said all or one is gone.
func Answer(link net.Conn, dial func(name string) (net.Conn, error)) {
	name, err := readLine(link)
	if err != nil {
		_ = link.Close()
		return
	}
	conn, err := dial(name)
	if err != nil {
		_, _ = io.WriteString(link, refused+"\n")
		_ = link.Close()
		return
	}
	if _, err := io.WriteString(link, "ok\n"); err != nil {
		_ = link.Close()
		_ = conn.Close()
		return
	}
	Relay(link, conn)
}

// Relay carries bytes both ways until both have said all or one is gone, and
// closes both.
func Relay(a, b net.Conn) {
	var wg sync.WaitGroup
	carry := func(to, from net.Conn) {
		_, err := io.Copy(to, bufio.NewReader(from))
		if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
			_ = half.CloseWrite()
			return
		}
		_ = a.Close()
		_ = b.Close()
	}
	wg.Go(func() { carry(a, b) })
	wg.Go(func() { carry(b, a) })
	wg.Wait()
	_ = a.Close()
	_ = b.Close()
}
