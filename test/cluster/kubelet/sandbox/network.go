package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"
)

// A pod's network is two network namespaces with a cable between them: the pod's,
// with its address on eth0, and that of one thread of pause, where the addresses
// are that the pod can reach. They must be apart: a pod that listens on :8081 takes
// that port on each address of its namespace, and could not reach a service on
// port 8081 whose address is there, too.
//
//	pod      eth0   10.244.0.7/8
//	         |
//	outside  world  10.255.255.254/8, and 10.0.0.1/32, 10.0.255.1/32 ... as aliases

// worldAddress is the address of the other end of the cable. Nothing listens there.
const worldAddress = "10.255.255.254"

// wire opens the network of a pod that has the address: it returns a listener for
// each address that the pod can reach.
func wire(address string, reach []string) (map[string]net.Listener, error) {
	inside, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	if err := up("lo"); err != nil {
		return nil, err
	}
	listeners := map[string]net.Listener{}
	laid := make(chan error)
	go func() {
		// The thread is in a namespace of its own, and no other goroutine must
		// ever run on it.
		runtime.LockOSThread()
		laid <- outside(inside, reach, listeners)
		select {}
	}()
	if err := <-laid; err != nil {
		return nil, fmt.Errorf("lay the cable out of the pod: %w", err)
	}
	return listeners, errors.Join(assign("eth0", address, "255.0.0.0"), up("eth0"))
}

// outside makes the namespace of this thread the one outside of the pod, and
// listens there.
func outside(inside *os.File, reach []string, listeners map[string]net.Listener) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	if err := cable("world", "eth0", inside); err != nil {
		return err
	}
	if err := errors.Join(assign("world", worldAddress, "255.0.0.0"), up("world"), up("lo")); err != nil {
		return err
	}
	var have []netip.Addr
	for _, text := range reach {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		if !slices.Contains(have, at.Addr()) {
			have = append(have, at.Addr())
			alias := fmt.Sprintf("lo:%d", len(have))
			if err := assign(alias, at.Addr().String(), "255.255.255.255"); err != nil {
				return err
			}
		}
		if listeners[text], err = net.Listen("tcp", text); err != nil {
			return err
		}
	}
	return nil
}

// ifreq is the argument of the ioctls of netdevice(7).
type ifreq struct {
	name [syscall.IFNAMSIZ]byte
	data [24]byte
}

// device does an ioctl on an interface of this thread's namespace.
func device(name string, request uintptr, data func([]byte)) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var r ifreq
	copy(r.name[:], name)
	data(r.data[:])
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return fmt.Errorf("set up interface %s: %w", name, errno)
	}
	return nil
}

// up is `ip link set NAME up`.
func up(name string) error {
	return device(name, syscall.SIOCSIFFLAGS, func(data []byte) {
		binary.NativeEndian.PutUint16(data, syscall.IFF_UP|syscall.IFF_RUNNING)
	})
}

// assign is `ip addr add ADDRESS/MASK dev NAME`.
func assign(name, address, mask string) error {
	for _, set := range []struct {
		request uintptr
		value   string
	}{{syscall.SIOCSIFADDR, address}, {syscall.SIOCSIFNETMASK, mask}} {
		ip := net.ParseIP(set.value).To4()
		if ip == nil {
			return fmt.Errorf("%s is no IPv4 address", set.value)
		}
		err := device(name, set.request, func(data []byte) { // a sockaddr_in
			binary.NativeEndian.PutUint16(data, syscall.AF_INET)
			copy(data[4:], ip)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Attributes of rtnetlink(7) that syscall does not name.
const (
	iflaInfoKind = 1
	iflaInfoData = 2
	iflaNetNsFd  = 28
	vethInfoPeer = 1
	nestedAttr   = 1 << 15
)

// cable is `ip link add NAME type veth peer name PEER netns THERE`.
func cable(name, peer string, there *os.File) error {
	header := make([]byte, syscall.SizeofIfInfomsg) // of nothing yet
	far := slices.Concat(header,
		attribute(syscall.IFLA_IFNAME, append([]byte(peer), 0)),
		attribute(iflaNetNsFd, binary.NativeEndian.AppendUint32(nil, uint32(there.Fd()))))
	body := slices.Concat(header,
		attribute(syscall.IFLA_IFNAME, append([]byte(name), 0)),
		attribute(syscall.IFLA_LINKINFO|nestedAttr, slices.Concat(
			attribute(iflaInfoKind, []byte("veth")),
			attribute(iflaInfoData|nestedAttr, attribute(vethInfoPeer|nestedAttr, far)))))

	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	message := binary.NativeEndian.AppendUint32(nil, uint32(syscall.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, syscall.RTM_NEWLINK)
	message = binary.NativeEndian.AppendUint16(message, syscall.NLM_F_REQUEST|syscall.NLM_F_CREATE|syscall.NLM_F_EXCL|syscall.NLM_F_ACK)
	message = append(message, make([]byte, 8)...) // sequence and port are the kernel's to give
	if err := syscall.Sendto(fd, append(message, body...), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < syscall.SizeofNlMsghdr+4 {
		return errors.New("netlink gave no answer")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[syscall.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("make a veth pair: %w", syscall.Errno(-code))
	}
	return nil
}

// attribute is one of netlink(7), padded.
func attribute(kind uint16, value []byte) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(syscall.SizeofRtAttr+len(value)))
	a = append(binary.NativeEndian.AppendUint16(a, kind), value...)
	return append(a, make([]byte, -len(a)&3)...)
}
