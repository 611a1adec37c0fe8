package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// complaint is the descriptor where a container says why it cannot start.
const complaint = 4

// enter becomes the container that it is told to be.
func enter() error {
	runtime.LockOSThread()
	syscall.CloseOnExec(control)
	syscall.CloseOnExec(complaint)
	var c Container
	err := json.NewDecoder(os.NewFile(control, "control")).Decode(&c)
	if err == nil {
		err = become(c)
	}
	fmt.Fprint(os.NewFile(complaint, "complaint"), err)
	return err
}

// become makes the root file system, goes there and runs the program. It returns
// only if that fails.
func become(c Container) error {
	if err := c.mount(); err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		dir = "/"
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := c.drop(); err != nil {
		return err
	}
	if err := syscall.Exec(c.Args[0], c.Args, c.Env); err != nil {
		return fmt.Errorf("exec %s: %w", c.Args[0], err)
	}
	return nil
}

// devices are those that each container has.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// mount makes the root file system of the container that of this process.
func (c Container) mount() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to oneself: %w", err)
	}
	if err := syscall.Mount("tmpfs", c.Root, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount a root file system: %w", err)
	}
	mounts := []Mount{{Source: "/proc", Target: "/proc"}}
	for _, d := range devices {
		mounts = append(mounts, Mount{Source: d, Target: d})
	}
	if err := os.Mkdir(filepath.Join(c.Root, "tmp"), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(c.Root, "tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	for _, m := range append(mounts, c.Mounts...) {
		if err := m.in(c.Root); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
		}
	}
	if err := os.Chdir(c.Root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the file system of the host: %w", err)
	}
	if c.ReadOnly {
		return readOnly("/")
	}
	return nil
}

// in mounts it below root, and makes the place for it.
func (m Mount) in(root string) error {
	target := filepath.Join(root, m.Target)
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if err := place(target, info.IsDir()); err != nil {
		return err
	}
	if err := syscall.Mount(m.Source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if m.ReadOnly {
		return readOnly(target)
	}
	return nil
}

// place makes a directory or an empty file to mount something at.
func place(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// readOnly forbids writes through a mount. Flags that it has stay: whoever is not
// root must not drop them.
func readOnly(target string) error {
	var now syscall.Statfs_t
	if err := syscall.Statfs(target, &now); err != nil {
		return err
	}
	kept := uintptr(now.Flags) & (syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | syscall.MS_NOATIME | syscall.MS_NODIRATIME)
	return syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|kept, "")
}

// Numbers of prctl(2).
const (
	setParentDeathSignal = 1
	setNoNewPrivileges   = 38
)

// drop gives up what a container does not have: the user, and the hope to get
// back what was given up.
func (c Container) drop() error {
	parent := os.Getppid()
	if c.User != 0 || c.Group != 0 {
		if err := syscall.Setgroups(c.Groups); err != nil {
			return fmt.Errorf("set groups: %w", err)
		}
		if err := syscall.Setgid(c.Group); err != nil {
			return fmt.Errorf("become group %d: %w", c.Group, err)
		}
		if err := syscall.Setuid(c.User); err != nil {
			return fmt.Errorf("become user %d: %w", c.User, err)
		}
	}
	// It belongs to a thread, which must be the one that runs the program, and the
	// kernel forgets it when the user changes.
	if err := prctl(setParentDeathSignal, uintptr(syscall.SIGKILL)); err != nil {
		return err
	}
	if os.Getppid() != parent {
		return errors.New("the sandbox ended")
	}
	return prctl(setNoNewPrivileges, 1)
}

func prctl(option, value uintptr) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, value, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("prctl %d: %w", option, errno)
	}
	return nil
}
